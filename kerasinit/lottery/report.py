"""What a run came to: a table, pictures, a page, and its numbers for other programs."""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)
