"""Other questions that lottery tickets raise, each a function that trains what it needs.

`lmc` asks whether a ticket is stable to the order of the data, `transfer` whether it
works on other data, `earlybird` how soon its mask could have been drawn, and `sweep`
what the initializer changes.
"""

from typing import TYPE_CHECKING

from kerasinit._src import lazy

if TYPE_CHECKING:
    from kerasinit._src.lottery.questions.connectivity import Connectivity, Line, barrier, lmc
    from kerasinit._src.lottery.questions.early_bird import (
        Check,
        EarlyBirds,
        Flight,
        earlybird,
        mask_distance,
    )
    from kerasinit._src.lottery.questions.initializer_sweep import Sweep, sweep
    from kerasinit._src.lottery.questions.other_data import Transfer, transfer

__all__ = [
    "Check",
    "Connectivity",
    "EarlyBirds",
    "Flight",
    "Line",
    "Sweep",
    "Transfer",
    "barrier",
    "earlybird",
    "lmc",
    "mask_distance",
    "sweep",
    "transfer",
]

__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "lottery.questions.connectivity": ("Connectivity", "Line", "barrier", "lmc"),
        "lottery.questions.early_bird": (
            "Check",
            "EarlyBirds",
            "Flight",
            "earlybird",
            "mask_distance",
        ),
        "lottery.questions.initializer_sweep": ("Sweep", "sweep"),
        "lottery.questions.other_data": ("Transfer", "transfer"),
    },
)
