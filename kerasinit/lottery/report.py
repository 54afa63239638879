"""The results of a run: as a table, as plots, as a page, and as files for other programs."""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)
