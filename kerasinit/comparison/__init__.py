"""Which initializer trains this network best? Measured at equal cost, with several seeds."""

from kerasinit.comparison.compare import compare
from kerasinit.comparison.result import Band, Choice, Comparison, Point, Setting, Stop, Training
from kerasinit.comparison.verdict import Rival, Verdict

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
