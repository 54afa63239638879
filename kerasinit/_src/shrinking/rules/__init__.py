"""How channels go through each kind of layer and operation."""
