"""Lottery tickets: train, prune by magnitude, rewind the survivors, train again."""

from kerasinit.lottery.data import Dataset, load
from kerasinit.lottery.digest import digest
from kerasinit.lottery.experiment import Experiment
from kerasinit.lottery.loop import Watch, prune, run
from kerasinit.lottery.report import figure, plot, rows, table
from kerasinit.lottery.store import Row, Store
from kerasinit.lottery.ticket import Ticket, load_ticket
from kerasinit.lottery.trainer import DivergedError
from kerasinit.lottery.verdict import Condition, Verdict, verdict
from kerasinit.lottery.verify import Finding, Proof, verify

__all__ = [
    "Condition",
    "Dataset",
    "DivergedError",
    "Experiment",
    "Finding",
    "Proof",
    "Row",
    "Store",
    "Ticket",
    "Verdict",
    "Watch",
    "digest",
    "figure",
    "load",
    "load_ticket",
    "plot",
    "prune",
    "rows",
    "run",
    "table",
    "verdict",
    "verify",
]
