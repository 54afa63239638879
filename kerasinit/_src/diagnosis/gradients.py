"""The influence on the loss, followed back from layer to layer.

A random change of a signal, as large as the signal times ``e``, changes the loss by about ``e |h|
|dL/dh|``. That number is the same for every layer of a network in which signal and gradient keep
their size, whatever the widths, and where a normalization undoes the scale of what came before; so
it is compared, not the gradient alone. A layer on the main way is compared with the last hidden
ones on it. What is beside it, such as a residual branch, may start with next to no influence, as
zero-initialized branches do; the layers of a long branch are compared with its last ones.
"""

import math
from dataclasses import dataclass

from kerasinit._src.diagnosis.advice import advice
from kerasinit._src.diagnosis.findings import Found, gets_nothing, is_cut_off, wakes
from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.objective import LINEAR
from kerasinit._src.theory import limits


@dataclass(frozen=True)
class _End:
    """What the influence of a layer is compared with, and what is allowed on the way back.

    Attributes:
        low: The smallest influence, its logarithm, of the last layers on the ways from here.
        high: The largest one.
        variance: Of the logarithm, by chance.
        averaged: Nats that averages may have taken.
        growth: Nats that normalizations add by themselves.
        beside: How many kernels, at least, are between there and here, beside the main way.
    """

    low: float
    high: float
    variance: float = 0.0
    averaged: float = 0.0
    growth: float = 0.0
    beside: int = 0


def find_no_gradient(found: Found) -> None:
    """Judge layers that the loss does not depend on, as far as differentiation sees it."""
    learning = [row for row in found.rows if row.learns and row.way != "constant"]
    for row in learning:
        if is_cut_off(row):
            found.tell(
                "no-gradient",
                row.layer,
                "no gradient comes back from the loss to what it returns",
                1.0,
                advice("no-gradient", None),
            )
    # Nothing can be learned from zeros either.
    excused = _is_explained(found) or any(map(gets_nothing, learning))
    if learning and not excused and all(row.weight_gradient == 0 for row in learning):
        for row in learning:
            how = "the gradient of its weights is zero, and so are those of all others"
            found.tell("no-gradient", row.layer, how, 1.0, advice("no-gradient", None))


def _is_explained(found: Found) -> bool:
    """Return whether a gradient of zero is known already, by itself or by its cause.

    That of a constant output is zero on one processor, and on another what rounding leaves of it.
    """
    causes = ("constant-output", "dead-units", "no-gradient")
    return any(kind in found.findings for kind in causes)


def follow_gradients(found: Found) -> None:
    """Follow the influence on the loss from the last hidden layers back."""
    ends: list[_End | None] = [None] * len(found.rows)
    told: list[tuple[int, float, float, float]] = []
    awake = False
    for place in reversed(range(len(found.rows))):
        row = found.rows[place]
        if found.is_hidden(place) and row.way in ("main", "beside"):
            end = _met(_compared_with(found, place, ends))
            own = _influence(row)
            is_short = row.way == "beside" and end is not None and end.beside < limits.SHORT
            judged = row.role == "kernel" and row.gradient is not None and not is_short
            if judged and end is not None:
                _judge(found, place, end, awake, told)
            candidates = [] if end is None else [end]
            if own is not None and (end is None or _is_last_beside(found, place)):
                candidates.append(_End(own, own))
            ends[place] = _passed(row, _met(candidates))
        awake = awake or wakes(row)
    for place, nats, variance, allowed in reversed(told):
        _tell(found, place, nats, variance, allowed)


def _compared_with(found: Found, place: int, ends: list[_End | None]) -> list[_End]:
    """Return the ends of the ways that a layer is judged by."""
    way = found.rows[place].way
    users = found.users[place]
    same = [user for user in users if found.rows[user].way == way]
    if way == "main":
        same = same or users
    return [end for end in (ends[user] for user in same) if end is not None]


def _is_last_beside(found: Found, place: int) -> bool:
    """Return whether what a layer returns is joined to the main way right after it."""
    if found.rows[place].way == "main":
        return False
    return any(found.rows[user].way == "main" for user in found.users[place])


def _met(ends: list[_End]) -> _End | None:
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


def _passed(row: Measure, end: _End | None) -> _End | None:
    """Return the end as it is for the layers before one."""
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

    Beside the main way stand gates. What is the same in all of a gate is no signal.
    """
    size = row.signal.variance if row.way == "beside" else row.signal.square
    if row.role not in ("kernel", "") or not row.gradient or not size > 0:
        return None
    return math.log(size) + 2 * math.log(row.gradient)


def _judge(
    found: Found,
    place: int,
    end: _End,
    awake: bool,
    told: list[tuple[int, float, float, float]],
) -> None:
    row, influence = found.rows[place], _influence(found.rows[place])
    allowed = limits.allowed(end.variance, found.judgements)
    if influence is None:
        excused = awake or _is_explained(found)
        if row.gradient == 0 and row.signal.square > 0 and not excused:
            told.append((place, -math.inf, end.variance, allowed + end.averaged))
        return
    ratio = None if found.measured.objective == LINEAR else row.update_ratio
    harm = limits.harm_of_influence(found.kernels_on_the_way(place), ratio)
    below = limits.allowed(end.variance, found.judgements, harm) + end.averaged
    if influence < end.low - below:
        told.append((place, influence - end.low, end.variance, below))
    elif influence > end.high + allowed + end.growth:
        told.append((place, influence - end.high, end.variance, allowed + end.growth))


def _tell(found: Found, place: int, nats: float, variance: float, allowed: float) -> None:
    row = found.rows[place]
    kind = "vanishing-gradients" if nats < 0 else "exploding-gradients"
    how = f"{abs(nats):.1f} nats {'below' if nats < 0 else 'above'} the last hidden layer's"
    if math.isinf(nats):
        how = "the gradient is zero"
    found.tell(
        kind,
        row.layer,
        f"square of |h| |dL/dh|: {how}, limit {allowed:.1f}",
        limits.confidence(nats, variance, found.judgements),
        found.advice(kind, place),
    )
