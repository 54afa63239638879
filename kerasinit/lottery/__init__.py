"""Lottery tickets: train, prune by magnitude, rewind the survivors, train again."""

from kerasinit.lottery.data import Dataset, load
from kerasinit.lottery.experiment import Experiment
from kerasinit.lottery.files import NoSpaceError
from kerasinit.lottery.lock import BusyError
from kerasinit.lottery.loop import Watch, prune, run
from kerasinit.lottery.report import figure, plot, rows, table
from kerasinit.lottery.store import Row, Store
from kerasinit.lottery.ticket import Ticket, load_ticket
from kerasinit.lottery.training import DivergedError
from kerasinit.lottery.workers import WorkerDiedError

__all__ = [
    "BusyError",
    "Dataset",
    "DivergedError",
    "Experiment",
    "NoSpaceError",
    "Row",
    "Store",
    "Ticket",
    "Watch",
    "WorkerDiedError",
    "figure",
    "load",
    "load_ticket",
    "plot",
    "prune",
    "rows",
    "run",
    "table",
]
