"""The influence on the loss, followed back from layer to layer.

A random change of a signal by a fraction ``e`` of its size changes the loss by about ``e |h|
|dL/dh|``. This number, unlike the gradient alone, is the same for all layers of a network that
preserves the scales of signal and gradient, whatever the widths, and across normalizations. A layer
on the main path is compared with the last hidden layers of that path. A residual branch may start
with almost no influence, as zero-initialized branches do; the layers of a long branch are compared
with its last ones.
"""

import math
from dataclasses import dataclass

from kerasinit._src.diagnosis.advice import advice
from kerasinit._src.diagnosis.findings import Review, has_zero_input, is_disconnected, will_recover
from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.objective import LINEAR
from kerasinit._src.theory import limits


@dataclass(frozen=True)
class _End:
    """The influence that a layer's is compared with, and the change allowed on the way back.

    Attributes:
        low: The logarithm of the min influence of the last layers on the paths from here.
        high: That of the max.
        variance: Variance of the logarithm by chance.
        averaged: Nats that averages may have removed.
        growth: Nats that normalizations add by themselves.
        beside: The min number of kernels between there and here, beside the main path.
    """

    low: float
    high: float
    variance: float = 0.0
    averaged: float = 0.0
    growth: float = 0.0
    beside: int = 0


def find_no_gradient(review: Review) -> None:
    """Judge layers that no gradient of the loss reaches."""
    learning = [row for row in review.rows if row.learns and row.way != "constant"]
    for row in learning:
        if is_disconnected(row):
            review.report(
                "no-gradient",
                row.layer,
                "no gradient of the loss reaches its output",
                1.0,
                advice("no-gradient", None),
            )
    # Zero inputs explain it as well.
    excused = _is_explained(review) or any(map(has_zero_input, learning))
    if learning and not excused and all(row.weight_gradient == 0 for row in learning):
        for row in learning:
            how = "the gradient of its weights is zero, as those of all other layers are"
            review.report("no-gradient", row.layer, how, 1.0, advice("no-gradient", None))


def _is_explained(review: Review) -> bool:
    """Return whether a zero gradient, or its cause, was already reported.

    (The gradient of a constant output is zero on some processors and a rounding error on others.)
    """
    causes = ("constant-output", "dead-units", "no-gradient")
    return any(kind in review.findings for kind in causes)


def follow_gradients(review: Review) -> None:
    """Follow the influence on the loss back from the last hidden layers."""
    ends: list[_End | None] = [None] * len(review.rows)
    reports: list[tuple[int, float, float, float]] = []
    recovers = False
    for place in reversed(range(len(review.rows))):
        row = review.rows[place]
        if review.is_hidden(place) and row.way in ("main", "beside"):
            end = _merged(_ends_after(review, place, ends))
            own = _influence(row)
            is_short = row.way == "beside" and end is not None and end.beside < limits.SHORT
            judged = row.role == "kernel" and row.gradient is not None and not is_short
            if judged and end is not None:
                reports += _judge(review, place, end, recovers)
            candidates = [] if end is None else [end]
            if own is not None and (end is None or _is_last_beside(review, place)):
                candidates.append(_End(own, own))
            ends[place] = _before(row, _merged(candidates))
        recovers = recovers or will_recover(row)
    for arguments in reversed(reports):
        _report(review, *arguments)


def _ends_after(review: Review, place: int, ends: list[_End | None]) -> list[_End]:
    """Return the ends of the paths from a layer, on the main path or beside it as the layer is."""
    way = review.rows[place].way
    users = review.users[place]
    same = [user for user in users if review.rows[user].way == way]
    if way == "main":
        same = same or users
    return [end for end in (ends[user] for user in same) if end is not None]


def _is_last_beside(review: Review, place: int) -> bool:
    """Return whether a branch merges into the main path right after a layer."""
    if review.rows[place].way == "main":
        return False
    return any(review.rows[user].way == "main" for user in review.users[place])


def _merged(ends: list[_End]) -> _End | None:
    if len(ends) < 2:
        return ends[0] if ends else None
    return _End(
        min(one.low for one in ends),
        max(one.high for one in ends),
        max(one.variance for one in ends),
        max(one.averaged for one in ends),
        max(one.growth for one in ends),
        min(one.beside for one in ends),
    )


def _before(row: Measure, end: _End | None) -> _End | None:
    """Return the end for the layers before this one."""
    if end is None:
        return None
    return _End(
        end.low,
        end.high,
        end.variance + (limits.spread([row.signal.units]) if row.role == "kernel" else 0.0),
        end.averaged + row.averaged,
        end.growth + (limits.NORMALIZED if row.kind == "BatchNormalization" else 0.0),
        end.beside + (row.role == "kernel") if row.way == "beside" else 0,
    )


def _influence(row: Measure) -> float | None:
    """Return the logarithm of the square of ``|h| |dL/dh|``.

    Layers beside the main path may be gates, whose mean is not a signal.
    """
    size = row.signal.variance if row.way == "beside" else row.signal.square
    if row.role not in ("kernel", "") or not row.gradient or not size > 0:
        return None
    return math.log(size) + 2 * math.log(row.gradient)


def _judge(
    review: Review,
    place: int,
    end: _End,
    recovers: bool,
) -> list[tuple[int, float, float, float]]:
    """Return the arguments of `_report`, if the influence is out of bounds."""
    row, influence = review.rows[place], _influence(review.rows[place])
    allowed = limits.allowed(end.variance, review.judgements)
    if influence is None:
        excused = recovers or _is_explained(review)
        if row.gradient == 0 and row.signal.square > 0 and not excused:
            return [(place, -math.inf, end.variance, allowed + end.averaged)]
        return []
    ratio = None if review.measured.objective == LINEAR else row.update_ratio
    harm = limits.harm_of_influence(review.kernels_on_path(place), ratio)
    below = limits.allowed(end.variance, review.judgements, harm) + end.averaged
    if influence < end.low - below:
        return [(place, influence - end.low, end.variance, below)]
    if influence > end.high + allowed + end.growth:
        return [(place, influence - end.high, end.variance, allowed + end.growth)]
    return []


def _report(review: Review, place: int, nats: float, variance: float, allowed: float) -> None:
    row = review.rows[place]
    kind = "vanishing-gradients" if nats < 0 else "exploding-gradients"
    how = f"{abs(nats):.1f} nats {'below' if nats < 0 else 'above'} the last hidden layer's"
    if math.isinf(nats):
        how = "the gradient is zero"
    review.report(
        kind,
        row.layer,
        f"square of |h| |dL/dh|: {how}, limit {allowed:.1f}",
        limits.confidence(nats, variance, review.judgements),
        review.advice(kind, place),
    )
