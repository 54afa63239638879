"""What a training has not done for its schedule, said when it is over.

A training that ends before its schedule, by a callback or for want of data, leaves a network less
sparse than it was to be; so do weights of an earlier epoch that are put back at the end, and files
that keep the best epoch of a training in which sparsity grows.
"""

import os
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src import errors
from kerasinit._src.pruning import schedules

_WAIT = "kerasinit.pruning.EarlyStopping waits until the schedule has ended."


@dataclass(frozen=True)
class Sparsity:
    """How sparse the pruned weights of a model were at some time.

    Attributes:
        fractions: Name of each weight to the fraction that is removed.
        sizes: The same names to the number of elements.
        tolerance: By how much a fraction may miss what it was to be: in half precision there
            are ties, and all of them are kept.
    """

    fractions: Mapping[str, float]
    sizes: Mapping[str, int]
    tolerance: float = 1e-6

    def short_of(self, other: "Sparsity") -> list[str]:
        """Return the weights that are less sparse than in another."""
        return [
            name
            for name, fraction in self.fractions.items()
            if fraction + self.tolerance < other.fractions.get(name, 0.0)
        ]

    def of(self, names: Iterable[str]) -> float:
        """Return the fraction of several weights, taken together, that is removed."""
        sizes = {name: self.sizes[name] for name in names}
        return sum(size * self.fractions[name] for name, size in sizes.items()) / sum(
            sizes.values()
        )


def ended_early(schedule: Any, last: int, announced: int) -> str | None:
    """Return what a training has missed that ended at a step before the one announced."""
    if last >= announced:
        return None
    steps, asked = schedules.updates(schedule, announced)
    behind = steps <= last
    reached = float(asked[behind][-1]) if behind.any() else 0.0
    if not len(steps) or asked[-1] <= reached + 1e-6:
        return None
    ended = f"The training ended at step {last} of {announced}"
    if not behind.any():
        return f"{ended}, {_before_what(schedule, last, int(steps[0]))}. {_WAIT}"
    final = int(steps[np.flatnonzero(asked >= asked[-1] - 1e-6)[0]])
    return (
        f"{ended}, at a sparsity of {reached:.4g}, short of the {asked[-1]:.4g} that the schedule "
        f"reaches at step {final}. {_WAIT}"
    )


def short_of_the_end(schedule: Any, last: int) -> str | None:
    """Return what one of tfmot's schedules had still to do after a step."""
    if not schedules.is_tfmots_own(schedule):
        return None
    steps, asked = schedules.updates(schedule, last)
    done = f"Pruning is stripped after step {last}"
    if not len(steps):
        following = schedules.next_tfmot_update(schedule, last)
        return f"{done}, {_before_what(schedule, last, following)}."
    final = getattr(schedule, "final_sparsity", asked[-1])
    if asked[-1] >= final - 1e-6:
        return None
    return (
        f"{done}, at a sparsity of {asked[-1]:.4g}, short of the {final:.4g} that the schedule is "
        f"to end at (end_step={schedule.end_step})."
    )


def _before_what(schedule: Any, last: int, first: int) -> str:
    begin = getattr(schedule, "begin_step", None)
    if begin is not None and last < begin:
        return f"before the schedule's begin_step={begin}: nothing was removed"
    if first == schedules.NEVER:
        return "and the schedule has never fired: nothing was removed"
    return f"before the schedule's first update at step {first}: nothing was removed"


def weights_put_back(now: Sparsity, reached: Sparsity) -> str | None:
    """Return what weights of an earlier epoch lack that were put back in a training."""
    short = now.short_of(reached)
    if not short:
        return None
    return (
        f"Weights of an earlier epoch were restored: their sparsity is {now.of(short):.4g}, short "
        f"of the {reached.of(short):.4g} that the training had reached. {_WAIT}"
    )


def file_left_behind(
    callback: Any, files: Mapping[str, tuple[int, Sparsity]], now: Sparsity
) -> str | None:
    """Return what the file lacks in which a ModelCheckpoint keeps the best epoch.

    Args:
        callback: Any callback.
        files: Path to step and sparsity of each file that was saved, the last one last.
        now: How sparse the model is at the end.
    """
    template = getattr(callback, "filepath", None)
    if not getattr(callback, "save_best_only", False) or not isinstance(template, str):
        return None
    form = "".join(
        re.escape(literal) + ("" if field is None else ".*")
        for literal, field, _, _ in string.Formatter().parse(template)
    )
    saved = [path for path in files if re.fullmatch(form, path, re.DOTALL)]
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


def say(messages: Iterable[str | None]) -> bool:
    """Warn once of everything that is wrong, and return whether anything was."""
    wrong = [*dict.fromkeys(message for message in messages if message)]
    if wrong:
        errors.warn("Pruning: " + " ".join(wrong))
    return bool(wrong)
