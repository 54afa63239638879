"""The size of the signal, and what it still tells apart, followed from layer to layer.

A layer is judged by where its signal came from: the inputs, or the last layers that set a scale
anew. It is judged if the data gets to an output only through it. What a residual branch, a gate or
one of several concatenated ways makes of its signal is judged by what it is joined to: the sum is
on the main way, and carries what the branch may have lost. Only a long way beside it, such as a
deep tower beside a wide one, is judged itself: it would take long to open.
"""

import dataclasses
import math
from dataclasses import dataclass

from kerasinit._src.diagnosis.findings import Found, gets_nothing, wakes
from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.objective import LINEAR
from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.theory import limits

_NOISE = 1e-7  # of a cosine in float32


@dataclass(frozen=True)
class _Origin:
    """Where the signal of a layer came from, and what chance and averages did to it since.

    Attributes:
        low: Logarithm of the mean square there; of the smallest one, if signals met.
        high: That of the largest one.
        apart: Logarithm of one minus the cosine there, of the most alike; None if unknown.
        variance: Of ``log q``, by chance.
        averaged: Nats that averages may have taken.
        beside: How many kernels, at least, the signal passed since it left the main way.
        ratio: Length of the next update of the last kernel that it passed, over that kernel's own;
            None if unknown.
    """

    low: float
    high: float
    apart: float | None
    variance: float = 0.0
    averaged: float = 0.0
    beside: int = 0
    ratio: float | None = None


def follow_activations(found: Found) -> None:
    """Follow ``log q`` and ``log(1 - c)`` from what sets a scale to all that comes after it."""
    inputs = [_input_origin(one) for one in found.measured.inputs]
    states: list[_Origin | None] = []
    for row in found.rows:
        before = [
            inputs[-1 - source] if source < 0 else states[source]
            for source in row.before
            if source >= -len(inputs)
        ]
        origin = _met([one for one in before if one is not None])
        place = len(states)
        if row.way == "constant":
            states.append(None)
        elif origin is None or (row.role == "source" and row.signal.square > 0):
            # The first signal of a model without floating inputs is an origin, too.
            states.append(_origin(row.signal))
            _judge_zero(found, place)
        else:
            here = dataclasses.replace(
                origin,
                variance=origin.variance + _spread(row),
                averaged=origin.averaged + row.averaged,
                beside=0 if row.way == "main" else origin.beside + (row.role == "kernel"),
                ratio=row.update_ratio if row.role == "kernel" else origin.ratio,
            )
            states.append(here)
            _judge(found, place, here)


def _origin(signal: Signal) -> _Origin | None:
    if not signal.square > 0:
        return None
    level = math.log(signal.square)
    return _Origin(level, level, _apart(signal.correlation))


def _input_origin(signal: Signal) -> _Origin | None:
    """Return an input as an origin: what brings a large one down to scale loses nothing of it."""
    origin = _origin(signal)
    return None if origin is None else dataclasses.replace(origin, low=min(limits.HARM, origin.low))


def _met(origins: list[_Origin]) -> _Origin | None:
    """Return the origin of a signal that is made of several."""
    if len(origins) < 2:
        return origins[0] if origins else None
    apart = [one.apart for one in origins if one.apart is not None]
    ratios = [one.ratio for one in origins if one.ratio is not None]
    return _Origin(
        min(one.low for one in origins),
        max(one.high for one in origins),
        min(apart) if apart else None,
        max(one.variance for one in origins),
        max(one.averaged for one in origins),
        min(one.beside for one in origins),
        min(ratios, default=None),
    )


def _spread(row: Measure) -> float:
    return limits.spread([row.signal.units]) if row.role == "kernel" else 0.0


def _is_judged(row: Measure, origin: _Origin | None = None) -> bool:
    if row.role in ("source", "choice", "block") or row.activation == "softmax":
        return False
    is_long = origin is not None and row.way == "beside" and origin.beside > limits.SHORT
    return row.way == "main" or is_long


def _judge_zero(found: Found, place: int) -> bool:
    """Judge a signal that is zero, and return whether it is."""
    row = found.rows[place]
    if row.signal.square > 0:
        return False
    excused = wakes(row) or gets_nothing(row) or "dead-units" in found.findings
    if _is_judged(row) and found.is_hidden(place) and not excused:
        mend = found.advice("vanishing-activations", place)
        found.tell("vanishing-activations", row.layer, "its output is zero", 1.0, mend)
    return True


def _judge(found: Found, place: int, origin: _Origin) -> None:
    row = found.rows[place]
    if _judge_zero(found, place) or not _is_judged(row, origin):
        return
    level = math.log(row.signal.square)
    if not found.is_normalized(place):
        # A small output does no harm: the last layer's gradient does not depend on its size.
        if found.is_hidden(place):
            ratio = None if found.measured.objective == LINEAR else origin.ratio
            harm = limits.harm(found.kernels_on_the_way(place), ratio)
            _moved(found, place, min(0.0, level - origin.low), origin, harm)
        if row.way == "main":
            _moved(found, place, max(0.0, level - origin.high), origin, limits.HARM)
    now = _apart(row.signal.correlation)
    judged = row.way == "main" and found.is_hidden(place) and row.signal.units > 1
    if judged and origin.apart and now:
        allowed = limits.allowed(origin.variance, found.judgements)
        fall = now - origin.apart
        # An average over k positions leaves a k-th of what differs by itself.
        if -fall - origin.averaged > allowed:
            found.tell(
                "correlation-collapse",
                row.layer,
                f"the cosine between examples is {_cosine(now)}, after {_cosine(origin.apart)} "
                f"where the signal came from: {-fall:.1f} nats nearer to 1, limit "
                f"{allowed + origin.averaged:.1f}",
                limits.confidence(fall, origin.variance, found.judgements),
                found.advice("correlation-collapse", place),
            )


def _moved(found: Found, place: int, nats: float, origin: _Origin, harm: float) -> None:
    """Judge a change of the mean square: down if it is negative, else up."""
    row = found.rows[place]
    down = nats < 0
    allowed = limits.allowed(origin.variance, found.judgements, harm)
    allowed += origin.averaged if down else 0.0
    if abs(nats) <= allowed:
        return
    kind = "vanishing-activations" if down else "exploding-activations"
    found.tell(
        kind,
        row.layer,
        f"mean square {row.signal.square:.1e}, {abs(nats):.1f} nats "
        f"{'below' if down else 'above'} where the signal came from, limit {allowed:.1f}",
        limits.confidence(nats, origin.variance, found.judgements),
        found.advice(kind, place),
    )


def _apart(correlation: float | None) -> float | None:
    """Return the logarithm of one minus a cosine, as far as float32 can tell."""
    return None if correlation is None else math.log(max(_NOISE, 1 - correlation))


def _cosine(apart: float) -> str:
    """Write a cosine so that how far it is from 1 can be seen."""
    apart = math.exp(apart)
    return f"{1 - apart:.2f}" if apart > 0.01 else f"1 - {apart:.1e}"
