"""What is wrong with a layer by itself, whatever stands around it."""

import math

from kerasinit._src.diagnosis.advice import advice, scaling
from kerasinit._src.diagnosis.findings import Found, gets_nothing
from kerasinit._src.theory import limits

_RECTIFIERS = ("relu", "relu6")


def find_non_finite(found: Found) -> bool:
    """Judge what is not finite, leave only the rows before it, and say whether there are more."""
    if not all(one.finite for one in found.measured.inputs):
        mend = advice("non-finite", None)
        found.tell("non-finite", "input", "x has numbers that are not finite", 1.0, mend)
        found.keep_first(0)
        return False
    for place, row in enumerate(found.rows):
        if row.finite_weights and row.signal.finite:
            continue
        what = "its output has" if row.finite_weights else "its weights have"
        # Inner layers come before the blocks around them: the first is the cause.
        found.tell(
            "non-finite",
            row.layer,
            f"{what} numbers that are not finite",
            1.0,
            advice("non-finite", None),
        )
        found.keep_first(place)
        return False
    return True


def find_unscaled_input(found: Found) -> None:
    """Judge what comes into the first layers with kernels."""
    raw = [one for one in found.measured.inputs if one.finite]
    first = True
    for place, row in enumerate(found.rows):
        if row.role != "kernel" or row.given is None:
            continue
        given = row.given
        is_raw = any(math.isclose(given.square, one.square, rel_tol=1e-4) for one in raw)
        judged, first = first or is_raw, False
        if not judged or given.square <= 0:
            continue
        if found.is_normalized(place):
            continue
        nats = math.log(given.square)
        if nats > limits.HARM:
            found.note_out_of_scale(place, scaling(given))
            found.tell(
                "unscaled-input",
                row.layer,
                f"its input goes from {given.least:.3g} to {given.most:.3g}, root mean square "
                f"{math.sqrt(given.square):.3g}; limit {math.exp(limits.HARM / 2):.3g}",
                1.0,
                scaling(given),
            )


def find_symmetry(found: Found) -> None:
    """Judge units that are the same."""
    for place, row in enumerate(found.rows):
        if row.twins is None or row.call > 1:
            continue
        # A kernel of zeros is one of its own kind: it wakes, if its units are told apart.
        alike = row.twins.alike
        if row.twins.zero and row.twins.together < row.twins.units:
            alike -= row.twins.zero
        if alike:
            stay = "and have the same gradient" if row.twins.together else "but part on first step"
            found.tell(
                "symmetry",
                row.layer,
                f"{alike} of {row.twins.units} units have the weights of another one, {stay}",
                1.0,
                found.advice("symmetry", place),
            )


def find_dead_units(found: Found) -> None:
    """Judge units that are zero whatever comes in."""
    for place, row in enumerate(found.rows):
        if row.activation not in _RECTIFIERS or gets_nothing(row):
            continue
        dead = round(row.signal.dead * row.signal.units)
        if limits.too_many_dead(dead, row.signal.units, found.judgements):
            found.tell(
                "dead-units",
                row.layer,
                f"{dead} of {row.signal.units} units are zero for all {found.measured.examples} "
                f"examples; without a bias half are at most, on average",
                1 - min(1.0, found.judgements * limits.dead_by_chance(dead, row.signal.units)),
                found.advice("dead-units", place),
            )


def find_saturation(found: Found) -> None:
    """Judge flat activations where few ways are left: one is flat almost always, or several mostly.

    The last layer is left out, where the loss often undoes what an activation does to the gradient,
    and so are gates beside the signal, which may start shut.
    """
    lost: list[float] = []  # nats of the ways on which no activation is flat, up to each layer
    flat: list[int] = []
    for place, row in enumerate(found.rows):
        here = max((lost[source] for source in row.before if source >= 0), default=0.0)
        part = row.signal.saturated
        is_gate = row.way == "beside" and row.activation in ("sigmoid", "hard_sigmoid")
        excused = row.activation == "softmax" or is_gate or not found.is_hidden(place)
        if part is not None and part > limits.TYPICAL and not excused:
            flat.append(place)
            here -= math.log(max(1 - part, math.exp(-limits.HARM) / 2))
        lost.append(here)
    if not flat or max(lost) <= limits.HARM / 2:
        return
    for place in flat:
        row = found.rows[place]
        found.tell(
            "saturation",
            row.layer,
            f"{row.signal.saturated:.0%} of its outputs lie where {row.activation} is flat "
            f"(slope below {math.exp(-limits.HARM / 2):.0%} of the largest)",
            1.0,
            found.advice("saturation", place),
        )
