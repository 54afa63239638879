"""What is wrong with a network, from what its layers showed."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kerasinit.diagnosis import limits
from kerasinit.diagnosis.advice import KINDS, advice
from kerasinit.diagnosis.measure import Measure, Measured
from kerasinit.diagnosis.signals import Signal

_RECTIFIERS = ("relu", "relu6")
_NOISE = 1e-7  # of a cosine in float32


@dataclass(frozen=True)
class Finding:
    """Something that keeps a network from training.

    Attributes:
        kind: One of `KINDS`.
        layer: The first layer where it shows, by its path; ``"input"`` for the data.
        evidence: What was measured there, and the limit.
        confidence: One minus the chance that a healthy network shows as much.
        meaning: What it means, in a sentence.
        advice: What to write to mend it.
        others: The paths of other layers that show it.
        as_is: Whether it shows with the weights as they are. If not, the other attributes
            are those of the first of the ``seeds``.
        seeds: Those of the seeds that were asked for with which it shows, the weights drawn anew.
            If none, it comes from these weights, not from the initializers.
    """

    kind: str
    layer: str
    evidence: str
    confidence: float
    meaning: str
    advice: str
    others: tuple[str, ...] = ()
    as_is: bool = True
    seeds: tuple[int, ...] = ()

    def shown(self, asked: int) -> str:
        """Return in how many of the seeds it shows, as a phrase; empty if none was asked for."""
        if not asked:
            return ""
        now = "" if self.as_is else "not as it is, but "
        return f"{now}in {len(self.seeds)} of {asked} seeds"


def judge(measured: Measured, times: int = 1) -> tuple[Finding, ...]:
    """Return what is wrong, one finding for each kind, causes before their effects.

    Args:
        measured: What the model showed.
        times: How many sets of weights of it are judged in all: the more, the rarer must be
            what counts as more than chance in one.
    """
    found = _Found(measured, times)
    sound = _non_finite(found)
    _unscaled_input(found)
    _symmetry(found)
    _dead_units(found)
    _saturation(found)
    _activations(found)
    if sound:
        _gradients(found)
    return _sorted(found.findings.values())


def together(
    as_it_is: tuple[Finding, ...], by_seed: dict[int, tuple[Finding, ...]]
) -> tuple[Finding, ...]:
    """Return findings of the weights as they are and of others, one for each kind.

    Args:
        as_it_is: Those of the weights as they are.
        by_seed: Those of weights drawn anew, by their seed.
    """
    first = {finding.kind: finding for finding in as_it_is}
    for findings in by_seed.values():
        for finding in findings:
            first.setdefault(finding.kind, dataclasses.replace(finding, as_is=False))
    return _sorted(
        dataclasses.replace(
            finding,
            seeds=tuple(
                seed
                for seed, findings in by_seed.items()
                if any(one.kind == finding.kind for one in findings)
            ),
        )
        for finding in first.values()
    )


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda one: list(KINDS).index(one.kind)))


class _Found:
    """The rows that can be judged, and what was found so far."""

    def __init__(self, measured: Measured, times: int) -> None:
        self.measured = measured
        self.rows = list(measured.layers)
        self.findings: dict[str, Finding] = {}
        kernels = [place for place, row in enumerate(self.rows) if row.role == "kernel"]
        self.head = kernels[-1] if kernels else len(self.rows)
        self.judgements = 4 * max(1, len(kernels)) * times

    def tell(self, kind: str, layer: str, evidence: str, confidence: float, mend: str) -> None:
        """Note a finding, or one more layer of it."""
        first = self.findings.get(kind)
        if first is None:
            finding = Finding(kind, layer, evidence, confidence, KINDS[kind], mend)
            self.findings[kind] = finding
        elif layer != first.layer and layer not in first.others:
            self.findings[kind] = dataclasses.replace(first, others=(*first.others, layer))

    def activation(self, place: int) -> str | None:
        """Return what follows a layer's sums, in the layer or in one right after it."""
        for row in self.rows[place : place + 3]:
            if row.activation is not None:
                return row.activation
            if row.role == "kernel" and row is not self.rows[place]:
                break
        return None

    def is_normalized(self, place: int) -> bool:
        """Return whether a normalization right after a layer makes its scale good."""
        return place + 1 < len(self.rows) and self.rows[place + 1].role == "source"


def _non_finite(found: _Found) -> bool:
    """Judge what is not finite, leave only the rows before it, and say whether there are more."""
    if not all(one.finite for one in found.measured.inputs):
        mend = advice("non-finite", None)
        found.tell("non-finite", "input", "x has numbers that are not finite", 1.0, mend)
        found.rows = []
        return False
    for place, row in enumerate(found.rows):
        if row.finite_weights and row.signal.finite:
            continue
        what = "its output" if row.finite_weights else "its weights"
        # Inner layers come before the blocks around them: the first is the cause.
        found.tell(
            "non-finite",
            row.layer,
            f"{what} has numbers that are not finite",
            1.0,
            advice("non-finite", None),
        )
        found.rows = found.rows[:place]
        return False
    return True


def _unscaled_input(found: _Found) -> None:
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
            found.tell(
                "unscaled-input",
                row.layer,
                f"its input goes from {given.least:.3g} to {given.most:.3g}, root mean square "
                f"{math.sqrt(given.square):.3g}; limit {math.exp(limits.HARM / 2):.3g}",
                1.0,
                advice("unscaled-input", None, given.least, given.most, math.sqrt(given.square)),
            )


def _symmetry(found: _Found) -> None:
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
                advice("symmetry", found.activation(place)),
            )


def _dead_units(found: _Found) -> None:
    for place, row in enumerate(found.rows):
        if row.activation not in _RECTIFIERS or _is_zero(row.given):
            continue
        dead = round(row.signal.dead * row.signal.units)
        if limits.too_many_dead(dead, row.signal.units, found.judgements):
            found.tell(
                "dead-units",
                row.layer,
                f"{dead} of {row.signal.units} units are zero for all {found.measured.examples} "
                f"examples; without a bias half are at most, on average",
                1 - min(1.0, found.judgements * limits.dead_by_chance(dead, row.signal.units)),
                advice("dead-units", found.activation(place)),
            )


def _saturation(found: _Found) -> None:
    for place, row in enumerate(found.rows):
        if row.signal.saturated is not None and row.signal.saturated > limits.TYPICAL:
            found.tell(
                "saturation",
                row.layer,
                f"{row.signal.saturated:.0%} of its outputs lie where {row.activation} is flat "
                f"(slope below {math.exp(-limits.HARM / 2):.0%} of the largest)",
                1.0,
                advice("saturation", found.activation(place)),
            )


def _activations(found: _Found) -> None:
    """Follow ``log q`` and ``log(1 - c)`` from one normalization to the next."""
    inputs = [one for one in found.measured.inputs if one.square > 0]
    level = math.log(inputs[0].square) if inputs else None
    apart = _apart(inputs[0].correlation) if inputs else None
    variance = slack = 0.0
    for place, row in enumerate(found.rows):
        square = row.signal.square
        if row.role in ("choice", "average"):
            slack += max(0.0, math.log(row.shrinks))
        if row.role == "source" and square > 0:
            level, apart = math.log(square), _apart(row.signal.correlation)
            variance = slack = 0.0
        if row.role == "kernel":
            variance += limits.spread([row.signal.units])
        if row.role in ("source", "choice", "block") or row.activation == "softmax":
            continue
        if square <= 0:
            if not (_wakes(row) or _is_zero(row.given) or "dead-units" in found.findings):
                mend = advice("vanishing-activations", found.activation(place))
                found.tell("vanishing-activations", row.layer, "its output is zero", 1.0, mend)
            continue
        if level is None:  # the first signal of a model without floating inputs
            level, apart = math.log(square), _apart(row.signal.correlation)
            continue
        allowed = limits.allowed(variance, found.judgements)
        if not found.is_normalized(place):
            _moved(found, place, math.log(square) - level, variance, slack)
        now = _apart(row.signal.correlation)
        if place < found.head and row.signal.units > 1 and apart and now:
            fall = math.log(now / apart)
            # An average over k positions leaves a k-th of what differs by itself.
            if -fall - slack > allowed:
                found.tell(
                    "correlation-collapse",
                    row.layer,
                    f"the cosine between examples is {_cosine(now)}, after {_cosine(apart)} where "
                    f"the signal came from: {-fall:.1f} nats nearer to 1, limit "
                    f"{allowed + slack:.1f}",
                    limits.confidence(fall, variance, found.judgements),
                    advice("correlation-collapse", found.activation(place)),
                )


def _cosine(apart: float) -> str:
    """Write a cosine so that how far it is from 1 can be seen."""
    return f"{1 - apart:.2f}" if apart > 0.01 else f"1 - {apart:.1e}"


def _moved(found: _Found, place: int, nats: float, variance: float, slack: float) -> None:
    row, allowed = found.rows[place], limits.allowed(variance, found.judgements)
    down = -nats - slack > allowed
    if not down and nats <= allowed:
        return
    kind = "vanishing-activations" if down else "exploding-activations"
    found.tell(
        kind,
        row.layer,
        f"mean square {row.signal.square:.1e}, {abs(nats):.1f} nats "
        f"{'below' if down else 'above'} where the signal came from, limit {allowed + slack:.1f}",
        limits.confidence(nats, variance, found.judgements),
        advice(kind, found.activation(place)),
    )


def _gradients(found: _Found) -> None:
    """Follow the sensitivity of the loss from the last hidden layer back.

    A random change of a signal, as large as the signal times ``e``, changes the loss by about
    ``e |h| |dL/dh|``. That number is the same for every layer of a network in which signal and
    gradient keep their size, whatever the widths, and where a normalization undoes the scale
    of what came before; so it is compared, not the gradient alone.
    """
    hidden = [
        (place, _sensitivity(row.signal.square, row.gradient))
        for place, row in enumerate(found.rows[: found.head])
        if row.role in ("kernel", "") and row.gradient and row.signal.square > 0
    ]
    if not hidden:
        return
    last, end = hidden[-1]
    variance = slack = growth = 0.0
    awake = any(_wakes(row) for row in found.rows[last + 1 :])
    told: list[Callable[[], None]] = []
    for place in range(last, -1, -1):
        row = found.rows[place]
        # Queries and keys only choose among values: as long as these are alike, it does not
        # matter what is chosen, whatever the initializer.
        chooses = row.layer.rsplit("/", 1)[-1] in ("query", "key")
        judged = row.role == "kernel" and row.signal.square > 0 and not chooses
        gradient = row.gradient if judged else None
        if gradient == 0:
            if not awake and "dead-units" not in found.findings:
                told.append(_gradient(found, place, -math.inf, variance, slack))
        elif gradient is not None:
            nats = _sensitivity(row.signal.square, gradient) - end
            allowed = limits.allowed(variance, found.judgements)
            if -nats > allowed + slack or nats > allowed + growth:
                told.append(_gradient(found, place, nats, variance, slack if nats < 0 else growth))
        awake = awake or _wakes(row)
        if row.role == "kernel":
            variance += limits.spread([row.signal.units])
        if row.role in ("choice", "average"):
            slack += max(0.0, math.log(row.shrinks))
        if row.kind == "BatchNormalization":
            growth += limits.NORMALIZED
    for tell in reversed(told):
        tell()


def _gradient(
    found: _Found, place: int, nats: float, variance: float, slack: float
) -> Callable[[], None]:
    row = found.rows[place]
    kind = "vanishing-gradients" if nats < 0 else "exploding-gradients"
    allowed = limits.allowed(variance, found.judgements) + slack
    how = f"{abs(nats):.1f} nats {'below' if nats < 0 else 'above'} the last hidden layer's"
    if math.isinf(nats):
        how = "the gradient is zero"
    return lambda: found.tell(
        kind,
        row.layer,
        f"square of |h| |dL/dh|: {how}, limit {allowed:.1f}",
        limits.confidence(nats, variance, found.judgements),
        advice(kind, found.activation(place)),
    )


def _sensitivity(square: float, gradient: float) -> float:
    return math.log(square) + 2 * math.log(gradient)


def _wakes(row: Measure) -> bool:
    """Return whether a layer is zero now and will not be after one step."""
    return row.zero_kernel and bool(row.weight_gradient)


def _is_zero(given: Signal | None) -> bool:
    return given is not None and given.square == 0


def _apart(correlation: float | None) -> float | None:
    return None if correlation is None else max(_NOISE, 1 - correlation)
