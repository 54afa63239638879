"""How channels pass through each kind of layer and operation."""
