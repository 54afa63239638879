"""Follows the scale of the signal and the similarity of examples from layer to layer.

A layer is compared with the origin of its signal: the inputs, or the last layers that reset the
scale. It is judged if it is on the main path, which all data takes from input to output. Residual
branches, gates and concatenated branches are judged by what they are merged into: the sum is on the
main path. Only a long branch, such as a deep tower beside a wide one, is judged itself, since
training would take long to open it.
"""

import dataclasses
import math
from dataclasses import dataclass

from kerasinit._src.diagnosis.findings import Review, has_zero_input, will_recover
from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.objective import LINEAR
from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.theory import limits

_SMALLEST_DISTANCE = 1e-7  # the rounding error of a cosine in float32


@dataclass(frozen=True)
class _Origin:
    """The origin of a layer's signal, and what chance and averages have done to it since.

    Attributes:
        low: Logarithm of the mean square at the origin; the lowest, if signals were merged.
        high: The same; the highest, if signals were merged.
        log_distance: Logarithm of one minus the cosine at the origin, the lowest if signals were
            merged; None if unknown.
        variance: Variance of ``log q`` due to chance.
        averaged: Nats that averages may have removed.
        kernels_beside: The fewest kernels that the signal has passed since it left the main path.
        update_ratio: `Measure.update_ratio` of the last kernel that the signal passed; None if
            unknown.
    """

    low: float
    high: float
    log_distance: float | None
    variance: float = 0.0
    averaged: float = 0.0
    kernels_beside: int = 0
    update_ratio: float | None = None


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
            # Without floating-point inputs, the first signal is also an origin.
            states.append(_origin(row.signal))
            _judge_zero(review, place)
        else:
            here = dataclasses.replace(
                origin,
                variance=origin.variance + _chance_variance(row),
                averaged=origin.averaged + row.averaged,
                kernels_beside=0
                if row.way == "main"
                else origin.kernels_beside + (row.role == "kernel"),
                update_ratio=row.update_ratio if row.role == "kernel" else origin.update_ratio,
            )
            states.append(here)
            _judge(review, place, here)


def _origin(signal: Signal) -> _Origin | None:
    if not signal.square > 0:
        return None
    level = math.log(signal.square)
    return _Origin(level, level, _log_distance(signal.correlation))


def _input_origin(signal: Signal) -> _Origin | None:
    """Return an input as an origin, its scale capped: shrinking a large input loses nothing."""
    origin = _origin(signal)
    return None if origin is None else dataclasses.replace(origin, low=min(limits.HARM, origin.low))


def _merged(origins: list[_Origin]) -> _Origin | None:
    """Return the origin of a signal that is merged from several."""
    if len(origins) < 2:
        return origins[0] if origins else None
    distances = [one.log_distance for one in origins if one.log_distance is not None]
    ratios = [one.update_ratio for one in origins if one.update_ratio is not None]
    return _Origin(
        min(one.low for one in origins),
        max(one.high for one in origins),
        min(distances, default=None),
        max(one.variance for one in origins),
        max(one.averaged for one in origins),
        min(one.kernels_beside for one in origins),
        min(ratios, default=None),
    )


def _chance_variance(row: Measure) -> float:
    return limits.spread([row.signal.units]) if row.role == "kernel" else 0.0


def _is_judged(row: Measure, origin: _Origin | None = None) -> bool:
    if row.role in ("source", "choice", "block") or row.activation == "softmax":
        return False
    is_long = origin is not None and row.way == "beside" and origin.kernels_beside > limits.SHORT
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
            ratio = None if review.measured.objective == LINEAR else origin.update_ratio
            harm = limits.harm(review.kernels_on_path(place), ratio)
            _judge_scale(review, place, min(0.0, level - origin.low), origin, harm)
        if row.way == "main":
            _judge_scale(review, place, max(0.0, level - origin.high), origin, limits.HARM)
    now = _log_distance(row.signal.correlation)
    judged = row.way == "main" and review.is_hidden(place) and row.signal.units > 1
    if judged and origin.log_distance and now:
        allowed = limits.allowed(origin.variance, review.judgements)
        fall = now - origin.log_distance
        # An average over k positions leaves 1/k of the differences between examples.
        if -fall - origin.averaged > allowed:
            review.report(
                "correlation-collapse",
                row.layer,
                f"the cosine between examples is {_cosine(now)}, "
                f"{_cosine(origin.log_distance)} at the signal's origin: {-fall:.1f} nats closer "
                f"to 1, limit {allowed + origin.averaged:.1f}",
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


def _log_distance(correlation: float | None) -> float | None:
    """Return the logarithm of one minus a cosine, within float32 precision."""
    return None if correlation is None else math.log(max(_SMALLEST_DISTANCE, 1 - correlation))


def _cosine(log_distance: float) -> str:
    """Format a cosine so that its distance from 1 is visible."""
    distance = math.exp(log_distance)
    return f"{1 - distance:.2f}" if distance > 0.01 else f"1 - {distance:.1e}"
