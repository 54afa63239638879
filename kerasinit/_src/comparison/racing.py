"""The rule by which a choice is clearly lost, so that its trainings can be stopped.

Being behind is not enough: networks that start slowly may catch up. A choice is checked every
eighth of the steps against the leader, the choice whose median seed has the lowest loss so far. It
is lost if at two checks in a row

1. it needs more than four times as many steps: the lowest loss of any of its seeds by step ``t`` is
   above the lowest loss of *every* seed of the leader by step ``t / 4``; and
2. it is not about to catch up: if its losses continued to fall in a straight line until the last
   step, at the rate since the previous check, even the best seed would end above what every seed
   of the leader has now. (Learning curves flatten, so a straight line is optimistic.)

The first is an exact rank test of "it needs at most four times the steps". If the losses of the
``n`` seeds at ``t`` had the distribution of the leader's at ``t / 4``, all of the first would
exceed all of the second with a probability of at most ``1 / C(2n, n)``: 1/20 for three seeds, 1/252
for five. For two seeds it is 1/6, so with fewer than three seeds no choice is lost.

A network on a plateau for more than a quarter of the steps is stopped even if it would have left
the plateau later: no curve can show that. The lowest loss so far counts, so that overfitting does
not make a choice lost.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from kerasinit._src.comparison.result import FEWEST, Training

CHECKS = 8
FACTOR = 4


def checks(measured: Sequence[int]) -> list[int]:
    """Return those of the measured steps after which choices are checked, without the last one.

    Example:
    >>> checks(range(25, 1001, 25))
    [125, 250, 375, 500, 625, 750, 875]
    >>> checks([1, 2, 3])
    [1, 2]
    """
    places = {math.ceil(len(measured) * part / CHECKS) - 1 for part in range(1, CHECKS)}
    return [measured[place] for place in sorted(places) if place < len(measured) - 1]


def leader(running: Mapping[str, Sequence[Training]], step: int) -> str:
    """Return the choice whose median seed has the lowest loss so far, the first in a tie."""
    return min(running, key=lambda name: _median(running[name], step))


def behind(
    trainings: Sequence[Training], leading: Sequence[Training], check: int, before: int, steps: int
) -> str | None:
    """Return why a choice is lost by a single check; None if it is not.

    ``leading`` are the trainings of the leader, ``before`` is the step of the previous check, or 0.
    """
    if len(trainings) < FEWEST:
        return None
    best = min(training.best_by(check) for training in trainings)
    early = max(training.best_by(check / FACTOR) for training in leading)
    now = max(training.best_by(check) for training in leading)
    if not math.isfinite(now) or best <= early:
        return None
    if min(_extrapolated(training, check, before, steps) for training in trainings) <= now:
        return None
    at = max(point.step for point in leading[0].points if point.step <= check / FACTOR)
    return (
        f"its best seed has {best:.4g} after {check} steps; every seed of the leader had "
        f"{early:.4g} or less after {at} and has {now:.4g} or less now, out of reach by step "
        f"{steps} at its pace"
    )


def _extrapolated(training: Training, check: int, before: int, steps: int) -> float:
    now = training.best_by(check)
    if not math.isfinite(now):
        return math.inf
    return now - (training.best_by(before) - now) / (check - before) * (steps - check)


def _median(trainings: Sequence[Training], step: int) -> float:
    return statistics.median(training.best_by(step) for training in trainings)
