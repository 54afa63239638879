"""When a choice is clearly lost, so that its training need not go on.

To be behind is not to be lost: networks that start slowly catch up. A choice is judged at
looks, an eighth of the steps apart, against the leader, the choice whose median seed has
the least loss so far. It is lost if at two looks in a row

1. it needs more than four times as many steps: the best loss that any of its seeds has had
   by step ``t`` is above what *every* seed of the leader had by step ``t / 4``; and
2. it is not about to catch up: if its seeds went on falling until the last step in a
   straight line, as fast as since the look before, even the best of them would end above
   what every seed of the leader has now. (Learning curves flatten, so a straight line
   promises too much.)

The first is an exact rank test of "it needs at most four times the steps". If the losses of
the ``n`` seeds at ``t`` were drawn like those of the leader at ``t / 4``, all of the first
would lie above all of the second with a probability of at most ``1 / C(2n, n)``: 1/20 for
three seeds, 1/252 for five. For two seeds it is 1/6, so with fewer than three seeds nothing
is lost.

What no curve can show is not seen: a network on a plateau for more than a quarter of the
steps, that would have left it later, is stopped. A loss counts as the least so far, so that
nobody is lost for having begun to overfit.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from kerasinit._src.comparison.result import FEWEST, Training

LOOKS = 8
FACTOR = 4


def looks(measured: Sequence[int]) -> list[int]:
    """Return the steps after which choices are judged, the last of all left out.

    Args:
        measured: The steps after which losses are measured, without step 0.

    Example:
    >>> looks(range(25, 1001, 25))
    [125, 250, 375, 500, 625, 750, 875]
    >>> looks([1, 2, 3])
    [1, 2]
    """
    places = {math.ceil(len(measured) * part / LOOKS) - 1 for part in range(1, LOOKS)}
    return [measured[place] for place in sorted(places) if place < len(measured) - 1]


def leader(running: Mapping[str, Sequence[Training]], step: int) -> str:
    """Return the choice whose median seed has the least loss so far, the first of equals."""
    return min(running, key=lambda name: _median(running[name], step))


def behind(
    trainings: Sequence[Training], leading: Sequence[Training], look: int, before: int, steps: int
) -> str | None:
    """Return why a choice is lost as far as one look can tell; None if it is not.

    Args:
        trainings: The trainings of the choice.
        leading: Those of the leader.
        look: The step of the look.
        before: The step of the look before, 0 at the first.
        steps: The step at which all trainings end.

    Example:
    >>> from kerasinit._src.comparison.result import Point
    >>> def falling(rate):
    ...     points = tuple(Point(step, 2 - rate * step, 1.0) for step in range(0, 101, 5))
    ...     return [Training(trial, points) for trial in range(3)]
    >>> print(behind(falling(0.001), falling(0.01), 40, 20, steps=100))
    its best seed has 1.96 after 40 steps; every seed of the leader had 1.9 or less after 10 \
and has 1.6 or less now, out of reach by step 100 at its pace
    >>> behind(falling(0.004), falling(0.01), 40, 20, steps=100) is None  # a bit behind
    True
    """
    if len(trainings) < FEWEST:
        return None
    best = min(one.best_by(look) for one in trainings)
    early = max(one.best_by(look / FACTOR) for one in leading)
    now = max(one.best_by(look) for one in leading)
    if not math.isfinite(now) or best <= early:
        return None
    line = min(_extended(one, look, before, steps) for one in trainings)
    if line <= now:
        return None
    at = max(point.step for point in leading[0].points if point.step <= look / FACTOR)
    return (
        f"its best seed has {best:.4g} after {look} steps; every seed of the leader had "
        f"{early:.4g} or less after {at} and has {now:.4g} or less now, out of reach by step "
        f"{steps} at its pace"
    )


def _extended(one: Training, look: int, before: int, steps: int) -> float:
    now = one.best_by(look)
    if not math.isfinite(now):
        return math.inf
    return now - (one.best_by(before) - now) / (look - before) * (steps - look)


def _median(trainings: Sequence[Training], step: int) -> float:
    return statistics.median(one.best_by(step) for one in trainings)
