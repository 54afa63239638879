"""Warnings at the end of training about a network that is less sparse than intended.

This happens when training ends before its schedule, because of a callback or for lack of data, when
weights of an earlier epoch are restored, and when a checkpoint keeps the best epoch while sparsity
still grows.
"""

import os
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src import errors
from kerasinit._src.pruning import outlook
from kerasinit._src.pruning.schedules import is_standard

_WAIT = "kerasinit.pruning.EarlyStopping waits until the schedule has ended."


@dataclass(frozen=True)
class Sparsity:
    """The sparsity of the pruned weights of a model at some time.

    Attributes:
        fractions: Name of each weight to the fraction that is removed.
        sizes: The same names to the number of elements.
        tolerance: By how much a fraction may fall short; in half precision there are ties, all of
            which are kept.
    """

    fractions: Mapping[str, float]
    sizes: Mapping[str, int]
    tolerance: float = 1e-6

    def short_of(self, other: "Sparsity") -> list[str]:
        """Return the names of weights that are less sparse here than in ``other``."""
        return [
            name
            for name, fraction in self.fractions.items()
            if fraction + self.tolerance < other.fractions.get(name, 0.0)
        ]

    def of(self, names: Iterable[str]) -> float:
        """Return the fraction removed from several weights taken together."""
        sizes = {name: self.sizes[name] for name in names}
        return sum(size * self.fractions[name] for name, size in sizes.items()) / sum(
            sizes.values()
        )


def ended_early(schedule: Any, last: int, announced: int, advice: str = _WAIT) -> str | None:
    """Return a message if the schedule would have removed more by the announced last step."""
    if last >= announced:
        return None
    steps, targets = outlook.updates(schedule, announced)
    behind = steps <= last
    reached = float(targets[behind][-1]) if behind.any() else 0.0
    if not len(steps) or targets[-1] <= reached + outlook.SHOWN:
        return None
    ended = f"The training ended at step {last} of {announced}"
    if not behind.any():
        return f"{ended}, {_nothing_removed(schedule, last, int(steps[0]))}. {advice}"
    final = int(steps[np.flatnonzero(targets >= targets[-1] - 1e-6)[0]])
    return (
        f"{ended}, at a sparsity of {reached:.4g}, short of the {targets[-1]:.4g} that the "
        f"schedule reaches at step {final}. {advice}"
    )


def stripped_early(schedule: Any, last: int) -> str | None:
    """Return a message if a standard schedule was not done when pruning was stripped."""
    if not is_standard(schedule):
        return None
    steps, targets = outlook.updates(schedule, last)
    done = f"Pruning was stripped after step {last}"
    if not len(steps):
        following = outlook.next_standard_update(schedule, last)
        return f"{done}, {_nothing_removed(schedule, last, following)}."
    final = getattr(schedule, "final_sparsity", targets[-1])
    if targets[-1] >= final - outlook.SHOWN:
        return None
    return (
        f"{done}, at a sparsity of {targets[-1]:.4g}, short of the {final:.4g} at which the "
        f"schedule ends (end_step={schedule.end_step})."
    )


def _nothing_removed(schedule: Any, last: int, first: int) -> str:
    begin = getattr(schedule, "begin_step", None)
    if begin is not None and last < begin:
        return f"before the schedule's begin_step={begin}: nothing was removed"
    if first == outlook.NEVER:
        return "and the schedule has never fired: nothing was removed"
    return f"before the schedule's first update at step {first}: nothing was removed"


def weights_restored(now: Sparsity, reached: Sparsity) -> str | None:
    """Return a message if restored weights of an earlier epoch are less sparse."""
    short = now.short_of(reached)
    if not short:
        return None
    return (
        f"Weights of an earlier epoch were restored: their sparsity is {now.of(short):.4g}, short "
        f"of the {reached.of(short):.4g} that the training had reached. {_WAIT}"
    )


def stale_checkpoint(
    callback: Any, files: Mapping[str, tuple[int, Sparsity]], now: Sparsity
) -> str | None:
    """Return a message if a ModelCheckpoint's best epoch is less sparse than the final model.

    ``callback`` may be any callback. ``files`` maps the path of each saved file to its step and
    sparsity, the latest last.
    """
    template = getattr(callback, "filepath", None)
    if not getattr(callback, "save_best_only", False) or not isinstance(template, str):
        return None
    pattern = "".join(
        re.escape(literal) + ("" if field is None else ".*")
        for literal, field, _, _ in string.Formatter().parse(template)
    )
    saved = [path for path in files if re.fullmatch(pattern, path, re.DOTALL)]
    if not saved:
        return None
    step, then = files[saved[-1]]
    short = then.short_of(now)
    if not short:
        return None
    return (
        f"{os.path.basename(saved[-1])!r} holds the best weights of the training, those of step "
        f"{step}, at a sparsity of {then.of(short):.4g}; the model ends at {now.of(short):.4g}. "
        f"Use {type(callback).__name__} in a second fit, after the schedule has ended."
    )


def warn(messages: Iterable[str | None]) -> bool:
    """Issue one warning with all distinct messages, and return whether there were any."""
    distinct = [*dict.fromkeys(message for message in messages if message)]
    if distinct:
        errors.warn("Pruning: " + " ".join(distinct))
    return bool(distinct)
