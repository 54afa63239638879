"""The scale of the signal, and the similarity of examples, followed from layer to layer.

A layer is compared with the origin of its signal: the inputs, or the last layers that set the
scale anew. It is judged if all data passes it on some path from input to output. Residual branches,
gates and concatenated branches are judged by what they are merged into: the sum is on the main
path. Only a long branch, such as a deep tower beside a wide one, is judged itself, since training
would take long to open it.
"""

import dataclasses
import math
from dataclasses import dataclass

from kerasinit._src.diagnosis.findings import Review, has_zero_input, will_recover
from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.objective import LINEAR
from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.theory import limits

_NOISE = 1e-7  # rounding error of a cosine in float32


@dataclass(frozen=True)
class _Origin:
    """The origin of a layer's signal, and the effect of chance and averages since.

    Attributes:
        low: Logarithm of the mean square there; the min, if signals were merged.
        high: The max.
        apart: Logarithm of one minus the cosine there; the min; None if unknown.
        variance: Variance of ``log q`` by chance.
        averaged: Nats that averages may have removed.
        beside: The min number of kernels that the signal passed since it left the main path.
        ratio: `Measure.update_ratio` of the last kernel that it passed; None if unknown.
    """

    low: float
    high: float
    apart: float | None
    variance: float = 0.0
    averaged: float = 0.0
    beside: int = 0
    ratio: float | None = None


def follow_activations(review: Review) -> None:
    """Follow ``log q`` and ``log(1 - c)`` from the layers that set a scale to those after them."""
    inputs = [_input_origin(signal) for signal in review.measured.inputs]
    states: list[_Origin | None] = []
    for row in review.rows:
        before = [
            inputs[-1 - source] if source < 0 else states[source]
            for source in row.before
            if source >= -len(inputs)
        ]
        origin = _merged([state for state in before if state is not None])
        place = len(states)
        if row.way == "constant":
            states.append(None)
        elif origin is None or (row.role == "source" and row.signal.square > 0):
            # The first signal of a model without floating-point inputs is also an origin.
            states.append(_origin(row.signal))
            _judge_zero(review, place)
        else:
            here = dataclasses.replace(
                origin,
                variance=origin.variance + _spread(row),
                averaged=origin.averaged + row.averaged,
                beside=0 if row.way == "main" else origin.beside + (row.role == "kernel"),
                ratio=row.update_ratio if row.role == "kernel" else origin.ratio,
            )
            states.append(here)
            _judge(review, place, here)


def _origin(signal: Signal) -> _Origin | None:
    if not signal.square > 0:
        return None
    level = math.log(signal.square)
    return _Origin(level, level, _apart(signal.correlation))


def _input_origin(signal: Signal) -> _Origin | None:
    """Return an input as an origin, its scale capped: scaling a large input down is no loss."""
    origin = _origin(signal)
    return None if origin is None else dataclasses.replace(origin, low=min(limits.HARM, origin.low))


def _merged(origins: list[_Origin]) -> _Origin | None:
    """Return the origin of a signal that is merged from several."""
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


def _judge_zero(review: Review, place: int) -> bool:
    """Judge a signal if it is zero, and return whether it is."""
    row = review.rows[place]
    if row.signal.square > 0:
        return False
    excused = will_recover(row) or has_zero_input(row) or "dead-units" in review.findings
    if _is_judged(row) and review.is_hidden(place) and not excused:
        fix = review.advice("vanishing-activations", place)
        review.report("vanishing-activations", row.layer, "its output is zero", 1.0, fix)
    return True


def _judge(review: Review, place: int, origin: _Origin) -> None:
    row = review.rows[place]
    if _judge_zero(review, place) or not _is_judged(row, origin):
        return
    level = math.log(row.signal.square)
    if not review.is_normalized(place):
        # A small output does no harm: the last layer's gradient does not depend on its scale.
        if review.is_hidden(place):
            ratio = None if review.measured.objective == LINEAR else origin.ratio
            harm = limits.harm(review.kernels_on_path(place), ratio)
            _judge_scale(review, place, min(0.0, level - origin.low), origin, harm)
        if row.way == "main":
            _judge_scale(review, place, max(0.0, level - origin.high), origin, limits.HARM)
    now = _apart(row.signal.correlation)
    judged = row.way == "main" and review.is_hidden(place) and row.signal.units > 1
    if judged and origin.apart and now:
        allowed = limits.allowed(origin.variance, review.judgements)
        fall = now - origin.apart
        # An average over k positions leaves 1/k of the differences between examples.
        if -fall - origin.averaged > allowed:
            review.report(
                "correlation-collapse",
                row.layer,
                f"the cosine between examples is {_cosine(now)}, {_cosine(origin.apart)} at the "
                f"signal's origin: {-fall:.1f} nats closer to 1, limit "
                f"{allowed + origin.averaged:.1f}",
                limits.confidence(fall, origin.variance, review.judgements),
                review.advice("correlation-collapse", place),
            )


def _judge_scale(review: Review, place: int, nats: float, origin: _Origin, harm: float) -> None:
    """Judge a decrease (negative) or increase of the mean square, in nats."""
    row = review.rows[place]
    down = nats < 0
    allowed = limits.allowed(origin.variance, review.judgements, harm)
    allowed += origin.averaged if down else 0.0
    if abs(nats) <= allowed:
        return
    kind = "vanishing-activations" if down else "exploding-activations"
    review.report(
        kind,
        row.layer,
        f"mean square {row.signal.square:.1e}, {abs(nats):.1f} nats "
        f"{'below' if down else 'above'} the signal's origin, limit {allowed:.1f}",
        limits.confidence(nats, origin.variance, review.judgements),
        review.advice(kind, place),
    )


def _apart(correlation: float | None) -> float | None:
    """Return the logarithm of one minus a cosine, within float32 precision."""
    return None if correlation is None else math.log(max(_NOISE, 1 - correlation))


def _cosine(apart: float) -> str:
    """Format a cosine so that its distance from 1 is visible."""
    apart = math.exp(apart)
    return f"{1 - apart:.2f}" if apart > 0.01 else f"1 - {apart:.1e}"
