"""The documentation, and what writes parts of it: ``python -m docs.address``."""
