"""Lottery tickets: train, prune by magnitude, rewind the remaining weights, train again.

Also known as iterative magnitude pruning (IMP).
"""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)
