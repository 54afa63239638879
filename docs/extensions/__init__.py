"""What the pages need of Sphinx besides its own extensions."""
