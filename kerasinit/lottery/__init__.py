"""Lottery tickets: train, prune by magnitude, rewind the survivors, train again."""

from typing import TYPE_CHECKING

from kerasinit._src import lazy

if TYPE_CHECKING:
    from kerasinit._src.files.atomic import NoSpaceError
    from kerasinit._src.files.lock import BusyError
    from kerasinit._src.lottery.experiment import Experiment
    from kerasinit._src.lottery.loop import run
    from kerasinit._src.lottery.method.survivors import prune
    from kerasinit._src.lottery.options import command, preset, read_toml, to_toml
    from kerasinit._src.lottery.progress import Watch
    from kerasinit._src.lottery.proof.verification import Finding, Proof, verify
    from kerasinit._src.lottery.proof.winning import Condition, Verdict, verdict
    from kerasinit._src.lottery.report.exports import rows
    from kerasinit._src.lottery.report.means import table
    from kerasinit._src.lottery.report.plots import figure, plot
    from kerasinit._src.lottery.store.run_digest import digest
    from kerasinit._src.lottery.store.stage import Row
    from kerasinit._src.lottery.store.store import Store
    from kerasinit._src.lottery.store.ticket import Ticket, load_ticket
    from kerasinit._src.lottery.workers import WorkerDiedError
    from kerasinit._src.training.data import Dataset, load
    from kerasinit._src.training.outcome import DivergedError

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

__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "files.atomic": ("NoSpaceError",),
        "files.lock": ("BusyError",),
        "lottery.experiment": ("Experiment",),
        "lottery.loop": ("run",),
        "lottery.method.survivors": ("prune",),
        "lottery.options": ("command", "preset", "read_toml", "to_toml"),
        "lottery.progress": ("Watch",),
        "lottery.proof.verification": ("Finding", "Proof", "verify"),
        "lottery.proof.winning": ("Condition", "Verdict", "verdict"),
        "lottery.report.exports": ("rows",),
        "lottery.report.means": ("table",),
        "lottery.report.plots": ("figure", "plot"),
        "lottery.store.run_digest": ("digest",),
        "lottery.store.stage": ("Row",),
        "lottery.store.store": ("Store",),
        "lottery.store.ticket": ("Ticket", "load_ticket"),
        "lottery.workers": ("WorkerDiedError",),
        "training.data": ("Dataset", "load"),
        "training.outcome": ("DivergedError",),
    },
)
