"""Which initializer trains a network best: measured at equal cost, with several seeds."""

from kerasinit._src.comparison.entry import compare
from kerasinit._src.comparison.result import (
    Band,
    Choice,
    Comparison,
    Point,
    Setting,
    Stop,
    Training,
)
from kerasinit._src.comparison.winner import Rival, Verdict

__all__ = [
    "Band",
    "Choice",
    "Comparison",
    "Point",
    "Rival",
    "Setting",
    "Stop",
    "Training",
    "Verdict",
    "compare",
]
