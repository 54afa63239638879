"""The version of the package, which stands here and nowhere else.

``pyproject.toml`` takes it from this file, so that no import has to read package metadata.
"""

__version__ = "0.1.0"
