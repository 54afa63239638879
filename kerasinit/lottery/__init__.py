"""Lottery tickets: train, prune by magnitude, rewind the survivors, train again."""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)
