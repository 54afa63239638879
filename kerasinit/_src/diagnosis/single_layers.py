"""Faults of a single layer, whatever surrounds it."""

import math

from kerasinit._src.diagnosis.advice import advice, scaling
from kerasinit._src.diagnosis.findings import Review, has_zero_input
from kerasinit._src.theory import limits

_RECTIFIERS = ("relu", "relu6")


def find_non_finite(review: Review) -> bool:
    """Report the first values that are not finite, if any, and keep the rows before them only.

    Returns whether all are finite.
    """
    fix = advice("non-finite", None)
    if not all(signal.finite for signal in review.measured.inputs):
        review.report("non-finite", "input", "x is not finite", 1.0, fix)
        review.keep_first(0)
        return False
    for place, row in enumerate(review.rows):
        if not (row.finite_weights and row.signal.finite):
            evidence = f"its {'output is' if row.finite_weights else 'weights are'} not finite"
            # Inner layers come before the blocks around them, so the first is the cause.
            review.report("non-finite", row.layer, evidence, 1.0, fix)
            review.keep_first(place)
            return False
    return True


def find_unscaled_input(review: Review) -> None:
    """Judge the inputs of the first layers with kernels."""
    raw = [signal for signal in review.measured.inputs if signal.finite]
    first = True
    for place, row in enumerate(review.rows):
        if row.role != "kernel" or row.given is None:
            continue
        given = row.given
        is_raw = any(math.isclose(given.square, signal.square, rel_tol=1e-4) for signal in raw)
        judged, first = first or is_raw, False
        if not judged or given.square <= 0 or review.is_normalized(place):
            continue
        nats = math.log(given.square)
        if nats > limits.HARM:
            review.mark_out_of_scale(place, scaling(given))
            review.report(
                "unscaled-input",
                row.layer,
                f"its input ranges from {given.least:.3g} to {given.most:.3g}, root mean square "
                f"{math.sqrt(given.square):.3g}; limit {math.exp(limits.HARM / 2):.3g}",
                1.0,
                scaling(given),
            )


def find_symmetry(review: Review) -> None:
    """Judge identical units."""
    for place, row in enumerate(review.rows):
        if row.twins is None or row.call > 1:
            continue
        # Units of zeros are no fault if their gradients differ: they part on the first step.
        alike = row.twins.alike
        if row.twins.zero and row.twins.together < row.twins.units:
            alike -= row.twins.zero
        if alike:
            stay = (
                "with the same gradient"
                if row.twins.together
                else "but differ after the first step"
            )
            review.report(
                "symmetry",
                row.layer,
                f"{alike} of {row.twins.units} units have the weights of another unit, {stay}",
                1.0,
                review.advice("symmetry", place),
            )


def find_dead_units(review: Review) -> None:
    """Judge units that are zero for every example."""
    for place, row in enumerate(review.rows):
        if row.activation not in _RECTIFIERS or has_zero_input(row):
            continue
        dead = round(row.signal.dead * row.signal.units)
        if limits.too_many_dead(dead, row.signal.units, review.judgements):
            review.report(
                "dead-units",
                row.layer,
                f"{dead} of {row.signal.units} units are zero for all {review.measured.examples} "
                f"examples; without a bias at most half are, on average",
                1 - min(1.0, review.judgements * limits.dead_by_chance(dead, row.signal.units)),
                review.advice("dead-units", place),
            )


def find_saturation(review: Review) -> None:
    """Judge saturation along the paths: one activation almost always saturated, or several often.

    The last layer is left out, whose activation the loss often cancels in the gradient, and so
    are gates, which may start closed.
    """
    lost: list[float] = []  # nats of the gradient that saturation removes, up to each layer
    saturated: list[int] = []
    for place, row in enumerate(review.rows):
        here = max((lost[source] for source in row.before if source >= 0), default=0.0)
        part = row.signal.saturated
        is_gate = row.way == "beside" and row.activation in ("sigmoid", "hard_sigmoid")
        excused = row.activation == "softmax" or is_gate or not review.is_hidden(place)
        if part is not None and part > limits.TYPICAL and not excused:
            saturated.append(place)
            here -= math.log(max(1 - part, math.exp(-limits.HARM) / 2))
        lost.append(here)
    if not saturated or max(lost) <= limits.HARM / 2:
        return
    for place in saturated:
        row = review.rows[place]
        review.report(
            "saturation",
            row.layer,
            f"{row.signal.saturated:.0%} of its outputs are where {row.activation} is saturated "
            f"(slope below {math.exp(-limits.HARM / 2):.0%} of its max)",
            1.0,
            review.advice("saturation", place),
        )
