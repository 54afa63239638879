"""Other questions that lottery tickets raise, each a function that trains what it needs.

`lmc` asks whether a ticket is stable to the order of the data, `transfer` whether it
works on other data, `earlybird` how soon its mask could have been drawn, and `sweep`
what the initializer changes.
"""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)
