"""Further experiments with lottery tickets, each a function that trains what it needs.

`lmc` measures whether a ticket is stable to the order of the data, `transfer` whether it works on
other data, `earlybird` how early in training its mask could have been drawn, and `sweep` the
effect of the initializer.
"""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)
