"""Lottery tickets: train, prune by magnitude, rewind the survivors, train again."""

from kerasinit.lottery.data import Dataset, load
from kerasinit.lottery.digest import digest
from kerasinit.lottery.experiment import Experiment
from kerasinit.lottery.files import NoSpaceError
from kerasinit.lottery.lock import BusyError
from kerasinit.lottery.loop import run
from kerasinit.lottery.options import command, read_toml, to_toml
from kerasinit.lottery.presets import preset
from kerasinit.lottery.report import figure, plot, rows, table
from kerasinit.lottery.stage import Row
from kerasinit.lottery.store import Store
from kerasinit.lottery.survivors import prune
from kerasinit.lottery.ticket import Ticket, load_ticket
from kerasinit.lottery.training import DivergedError
from kerasinit.lottery.verdict import Condition, Verdict, verdict
from kerasinit.lottery.verify import Finding, Proof, verify
from kerasinit.lottery.watch import Watch
from kerasinit.lottery.workers import WorkerDiedError

__all__ = [
    "BusyError",
    "Condition",
    "Dataset",
    "DivergedError",
    "Experiment",
    "Finding",
    "NoSpaceError",
    "Proof",
    "Row",
    "Store",
    "Ticket",
    "Verdict",
    "Watch",
    "WorkerDiedError",
    "command",
    "digest",
    "figure",
    "load",
    "load_ticket",
    "plot",
    "preset",
    "prune",
    "read_toml",
    "rows",
    "run",
    "table",
    "to_toml",
    "verdict",
    "verify",
]
