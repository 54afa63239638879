"""Faults outside the layers: data, outputs, loss, labels and learning rate.

A well-initialized network learns nothing if its output cannot reach the labels, if output and loss
do not match, or if the learning rate is wrong. The rules use measurements, not the names of layers:
where Keras computes a crossentropy from the logits, a sigmoid before it does no harm and is not
reported.

**Thresholds.** Labels outside the range of the output's activation are reported if they hold more
than a hundredth of the labels' variance (`UNREACHABLE`), an error that no training removes. Targets
are out of scale if their root mean square is above ``exp(HARM / 2)``, 20, the limit for inputs, and
a step of the optimizer shows harm: by its effect on the outputs, more than 10,000 such steps
(`STEPS`) would be needed to reach the targets, or the loss grows. A step is too large if its norm
is 10 times that of a layer's weights (`STEP`; more for few weights, which may be small by chance),
or if it changes them by more than a tenth and the loss of the same examples grows tenfold (`WORSE`)
or becomes NaN. Labels above 1,000 (`_ALONE`) are taken as the cause of that. A step is too small if
float32 rounds it away (`LOST`).
"""

import math
from collections.abc import Iterator

from kerasinit._src.diagnosis.findings import Review, is_disconnected
from kerasinit._src.diagnosis.heads import (
    BINARY,
    CATEGORICAL,
    DISTANCES,
    DIVERGENCES,
    RANGES,
    SPARSE,
    Head,
    Targets,
    is_constant,
    misfit,
)
from kerasinit._src.diagnosis.measured import Measured
from kerasinit._src.diagnosis.next_step import Step
from kerasinit._src.theory import limits

UNREACHABLE = 0.01
STEPS = 1e4
STEP = 10.0
WORSE = 10.0
LOST = 2.0**-24
_MOVED = 0.1
_ALONE = 1000.0  # targets of this scale are reported without a trial step
# With these, all gradients are out of proportion, and the learning rate may be fine.
_MOVES_GRADIENTS = (
    "non-finite",
    "unscaled-input",
    "exploding-activations",
    "vanishing-activations",
    "exploding-gradients",
    "vanishing-gradients",
    "target-scale",
)
_USUAL = 0.001  # a learning rate that suits most networks
_PROPER = 0.3  # the max relative change of the weights by the first step of a good learning rate


def find_output_faults(review: Review) -> None:
    """Judge data, outputs, loss and labels."""
    for kind, layer, evidence, fix in _output_faults(review.measured):
        review.report(kind, layer, evidence, 1.0, fix)


def find_learning_rate(review: Review) -> None:
    """Judge the next step, unless another finding explains its size."""
    if not any(kind in review.findings for kind in _MOVES_GRADIENTS):
        for kind, layer, evidence, fix in _rate(review.measured):
            review.report(kind, layer, evidence, 1.0, fix)


def find_constant_loss(review: Review) -> None:
    """Judge a loss whose gradient is zero with respect to all weights."""
    measured = review.measured
    if not measured.loss or not measured.trainable or not measured.heads:
        return
    if any(row.weight_gradient for row in measured.layers) or any(map(is_constant, measured.heads)):
        return
    if any(
        row.learns and row.way != "constant" and is_disconnected(row) for row in measured.layers
    ):
        return  # reported with its cause
    head = measured.heads[-1]
    if not (math.isfinite(head.least) and math.isfinite(head.most)):
        return
    review.report(
        "no-gradient",
        head.layer,
        f"the gradient of the loss with respect to all weights is zero; outputs range from "
        f"{head.least:.3g} to {head.most:.3g}",
        1.0,
        _output_for(head.targets, head.loss)
        if head.activation not in (None, "linear")
        else "kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)",
    )


Evidence = tuple[str, str, str, str]  # kind, layer, evidence, fix


def _output_faults(measured: Measured) -> Iterator[Evidence]:
    if measured.alike:
        what = "zero" if measured.alike == "zero" else "identical"
        yield (
            "equal-examples",
            "input",
            f"all {measured.examples} examples are {what}",
            "Check x: numpy.unique(x, axis=0). If x is sorted, shuffle x and y together.",
        )
    heads = measured.heads
    for head in heads:
        wrong = misfit(head)
        if wrong is not None:
            yield "labels", "labels", *wrong
    fits = [head for head in heads if misfit(head) is None]
    for head in heads:
        yield from _constant(head)
    for head in fits:
        if not is_constant(head):
            yield from _out_of_range(head)
            yield from _loss(head)
    for place, row in enumerate(measured.layers):
        # A softmax that weights other signals, as attention to one position, is no fault, and
        # outputs were judged above.
        excused = row.way == "choice" or any(head.layer == row.layer for head in heads)
        if row.activation == "softmax" and row.shape[-1:] == (1,) and not excused and place:
            yield (
                "constant-output",
                row.layer,
                "a softmax over one number is always 1",
                "activation='sigmoid'",
            )
    yield from _scale(measured)


def _constant(head: Head) -> Iterator[Evidence]:
    if not is_constant(head):
        return
    if head.chooses == 1:
        evidence = f"{head.activation} over one number is always {head.most:.0f}"
    else:
        evidence = f"{head.loss} of one output: the only class has probability 1"
    yield "constant-output", head.layer, evidence, _output_for(head.targets, head.loss)


def _output_for(given: Targets | None, loss: str | None) -> str:
    """Return an output and a loss that suit the labels."""
    if given is None and loss in DISTANCES:
        return "activation=None at the output"
    if given is not None and given.sums is not None and given.binary:
        if given.sums == (1.0, 1.0):
            return "activation='softmax' at the output, loss='categorical_crossentropy'"
        return "activation='sigmoid' at the output, loss='binary_crossentropy'"
    if given is None or given.binary:
        return "keras.layers.Dense(1, activation='sigmoid') as output, loss='binary_crossentropy'"
    if given.classes and loss not in DISTANCES:
        return (
            f"keras.layers.Dense({given.most + 1:.0f}, activation='softmax') as output, "
            f"loss='sparse_categorical_crossentropy'"
        )
    return f"activation=None at the output, loss='mse'{_standardized(given)}"


def _standardized(given: Targets) -> str:
    # Smaller labels may do no harm, which is measured once the output can reach them.
    harms = given.scale > _ALONE
    return ", and standardized labels: y = (y - y.mean()) / y.std()" if harms else ""


def _out_of_range(head: Head) -> Iterator[Evidence]:
    given = head.targets
    if given is None:
        return
    compared = (*DISTANCES, *BINARY, *CATEGORICAL)
    if head.activation == "softmax" and head.loss in compared and given.sums is not None:
        low, high = given.sums
        if low < 0.9 or high > 1.1:
            yield (
                "output-range",
                head.layer,
                f"rows of labels sum to {low:.3g} to {high:.3g}; those of a softmax sum to 1",
                _output_for(given, head.loss)
                if given.binary
                else "activation=None at the output, loss='mse'",
            )
            return
    if head.loss in DISTANCES and given.unreachable > UNREACHABLE:
        low, high = RANGES[head.activation or ""]
        reach = f"{low:.3g} to {high:.3g}" if math.isfinite(high) else f"{low:.3g} and more"
        yield (
            "output-range",
            head.layer,
            f"labels range from {given.least:.3g} to {given.most:.3g}; {head.activation} returns "
            f"{reach}",
            f"activation=None at the output{_standardized(given)}",
        )


def _loss(head: Head) -> Iterator[Evidence]:
    """Judge whether an output suits its loss."""
    mismatch = _mismatch(head)
    if mismatch is not None:
        yield "output-loss", head.layer, *mismatch


def _mismatch(head: Head) -> tuple[str, str] | None:
    raw = head.activation in (None, "linear")
    is_logits = head.from_logits or head.logits
    applied = "no activation" if raw else head.activation
    returned = f"{applied}: outputs range from {head.least:.3g} to {head.most:.3g}"
    or_logits = ", or from_logits=True in the loss" if raw else ""
    if head.loss in (*CATEGORICAL, *SPARSE):
        if head.from_logits and head.distribution and not head.logits:
            return (
                f"{head.loss} expects logits, not probabilities: rows sum to 1",
                "from_logits=False in the loss, or no softmax in the model",
            )
        if not (is_logits or head.distribution):
            return (
                f"{head.loss} expects probabilities, not {returned}",
                f"activation='softmax' at the output{or_logits}",
            )
    elif head.loss in BINARY:
        bounded = head.least >= 0 and head.most <= 1
        # An unknown custom output may be in range by construction.
        unsuited = head.activation in ("linear", "relu", "relu6", "tanh") or not bounded
        if not is_logits and unsuited:
            return (
                f"{head.loss} expects probabilities, not {returned}",
                f"activation='sigmoid' at the output{or_logits}",
            )
        if head.from_logits and head.activation in ("relu", "relu6"):
            return (
                f"{head.loss} expects logits; those of {head.activation} are never negative",
                "activation=None at the output",
            )
    elif head.loss in DIVERGENCES and not head.distribution:
        return (
            f"{head.loss} expects rows of probabilities that sum to 1, not {returned}; without "
            f"that sum, larger outputs always have a lower loss",
            "activation='softmax' at the output"
            if head.shape[-1] > 1
            else _output_for(head.targets, head.loss),
        )
    elif head.loss == "poisson" and (head.least < 0 or raw):
        return (
            f"poisson expects rates above 0, not {returned}",
            "activation='softplus' at the output",
        )
    return None


def _scale(measured: Measured) -> Iterator[Evidence]:
    for head in measured.heads:
        given = head.targets
        bounded = math.isfinite(RANGES.get(head.activation or "", (0.0, math.inf))[1])
        if given is None or head.loss not in DISTANCES or bounded:
            continue
        if given.scale <= math.exp(limits.HARM / 2):
            continue
        evidence = f"root mean square of the labels {given.scale:.3g}, outputs up to "
        evidence += f"{max(abs(head.least), abs(head.most)):.3g}"
        if measured.step is None:
            harm = given.scale > _ALONE
        elif head.moved is None or given.distance is None or not math.isfinite(head.moved):
            harm = True
        else:
            steps = given.distance / head.moved if head.moved > 0 else math.inf
            harm = steps > STEPS
            if harm:
                evidence += f"; a step changes these by {head.moved:.1e}"
            elif _grows(measured):
                harm = True
                evidence += "; a step of the optimizer increases the loss"
            elif given.scale > _ALONE and _is_too_long(measured.step):
                harm = True
                evidence += f"; the norm of a step is {measured.step.ratio:.2g} times the weights'"
        if harm:
            yield (
                "target-scale",
                "labels",
                evidence,
                "Standardize the labels: y = (y - y.mean()) / y.std()",
            )


def _is_too_long(step: Step) -> bool:
    return step.ratio > STEP * limits.shortness(max(1, step.weights))


def _grows(measured: Measured) -> bool:
    before, after = measured.loss, None if measured.step is None else measured.step.loss
    if before is None or after is None or not math.isfinite(before):
        return False
    return not math.isfinite(after) or after > before


def _rate(measured: Measured) -> Iterator[Evidence]:
    step, before = measured.step, measured.loss
    if step is None or before is None or not math.isfinite(before):
        return
    if _is_too_long(step) or (
        step.ratio > _MOVED and (not math.isfinite(step.loss) or step.loss > WORSE * before)
    ):
        proper = "a smaller one"
        if math.isfinite(step.ratio) and step.rate > 0:
            proper = f"{10.0 ** math.floor(math.log10(step.rate * _PROPER / step.ratio)):g}"
        yield (
            "learning-rate",
            step.layer,
            f"the norm of the next step is {step.ratio:.2g} times the weights', and the loss "
            f"changes from {before:.3g} to {step.loss:.3g}",
            f"keras.optimizers.{step.optimizer}(learning_rate={proper})",
        )
    elif (
        step.ratio < LOST
        and step.rate < _USUAL
        and not step.scheduled
        and any(row.weight_gradient for row in measured.layers)
    ):
        yield (
            "learning-rate",
            step.layer,
            f"the norm of a step is {step.ratio:.2g} times the weights': float32 rounds it away",
            f"keras.optimizers.{step.optimizer}(learning_rate={_USUAL:g})",
        )
