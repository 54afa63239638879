"""What is wrong outside the layers: data, outputs, loss, labels and learning rate.

A network of sound first values learns nothing if its output cannot be what the labels are, if the
loss expects something else than the output gives, or if a step is of the wrong size. Each rule here
is one of these. It counts what was measured, not how a layer is called: where Keras computes a
crossentropy from the logits, a sigmoid before it does no harm, and none is found.

**Thresholds.** Labels that the output's activation cannot reach are told where they hold more than
a hundredth of the labels' variance (`UNREACHABLE`): as much error stays after any training. Targets
are out of scale where their root mean square is above ``exp(HARM / 2)``, 20, the limit for inputs,
and a step of the optimizer shows harm: by what it adds to the outputs, more than 10,000 such steps
(`STEPS`) would be needed to come to the targets, or the loss grows. A step is too large where it
is 10 times as long as the weights of a layer (`STEP`; more where few weights may be short by
chance), or where it moves them by more than a tenth and the loss of the very examples that it was
made for grows tenfold (`WORSE`) or is no number any more. Where the labels are above 1,000
(`_ALONE`), it is these that make it so. It is too small where float32 rounds it away (`LOST`).
"""

import math
from collections.abc import Iterator

from kerasinit._src.diagnosis.findings import Found, is_cut_off
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
from kerasinit._src.diagnosis.trial import Step
from kerasinit._src.theory import limits

UNREACHABLE = 0.01
STEPS = 1e4
STEP = 10.0
WORSE = 10.0
LOST = 2.0**-24
_MOVED = 0.1
_ALONE = 1000.0  # a scale of targets that no optimizer is needed to judge
# With these, every gradient is out of proportion, and the learning rate may be right.
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
_PROPER = 0.3  # by what share of the weights the first step of a sound learning rate may move them


def find_beside(found: Found) -> None:
    """Judge data, outputs, loss and labels."""
    for kind, layer, evidence, mend in _beside(found.measured):
        found.tell(kind, layer, evidence, 1.0, mend)


def find_learning_rate(found: Found) -> None:
    """Judge the next step, after all else that makes a step too long or too short."""
    if not any(kind in found.findings for kind in _MOVES_GRADIENTS):
        for kind, layer, evidence, mend in _rate(found.measured):
            found.tell(kind, layer, evidence, 1.0, mend)


def find_flat_loss(found: Found) -> None:
    """Judge a loss whose gradient is zero at every weight."""
    measured = found.measured
    pulls = [row.weight_gradient for row in measured.layers]
    if not measured.loss or not measured.trainable or not measured.heads:
        return
    if any(pulls) or any(map(is_constant, measured.heads)):
        return
    if any(row.learns and row.way != "constant" and is_cut_off(row) for row in measured.layers):
        return  # that says more
    head = measured.heads[-1]
    if not (math.isfinite(head.least) and math.isfinite(head.most)):
        return
    flat = head.least == head.most
    found.tell(
        "no-gradient",
        head.layer,
        f"the gradient of the loss is zero at every weight; outputs go from {head.least:.3g} to "
        f"{head.most:.3g}" + (", all the same" if flat else ""),
        1.0,
        _output_for(head.targets, head.loss)
        if head.activation not in (None, "linear")
        else "kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)",
    )


Evidence = tuple[str, str, str, str]  # kind, layer, what was measured, what mends it


def _beside(measured: Measured) -> Iterator[Evidence]:
    if measured.alike:
        what = "zero" if measured.alike == "zero" else "the same"
        yield (
            "equal-examples",
            "input",
            f"all {measured.examples} examples are {what}",
            "Look at how x is made: numpy.unique(x, axis=0). If x is sorted, shuffle it and y.",
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
        # One that weighs other signals, as attention to one position does, is no fault, and
        # that of an output was judged.
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
        evidence = f"{head.loss} of one output: the one class there is has probability 1"
    yield "constant-output", head.layer, evidence, _output_for(head.targets, head.loss)


def _output_for(given: Targets | None, loss: str | None) -> str:
    """Return an output and a loss that suit labels."""
    if given is None:
        if loss in DISTANCES:
            return "activation=None at the output"
        return "keras.layers.Dense(1, activation='sigmoid') as output, loss='binary_crossentropy'"
    if given.sums is not None and given.binary:
        if given.sums == (1.0, 1.0):
            return "activation='softmax' at the output, loss='categorical_crossentropy'"
        return "activation='sigmoid' at the output, loss='binary_crossentropy'"
    if given.binary:
        return "keras.layers.Dense(1, activation='sigmoid') as output, loss='binary_crossentropy'"
    if given.classes and loss not in DISTANCES:
        return (
            f"keras.layers.Dense({given.most + 1:.0f}, activation='softmax') as output, "
            f"loss='sparse_categorical_crossentropy'"
        )
    return f"activation=None at the output, loss='mse'{_standardized(given)}"


def _standardized(given: Targets) -> str:
    # Nearer ones may do no harm under this optimizer, which shows once the output can reach them.
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
                f"the rows of the labels sum to {low:.3g} to {high:.3g}; those of a softmax to 1",
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
            f"labels go from {given.least:.3g} to {given.most:.3g}; {head.activation} gives "
            f"{reach}",
            f"activation=None at the output{_standardized(given)}",
        )


def _far(given: Targets) -> bool:
    return given.scale > math.exp(limits.HARM / 2)


def _loss(head: Head) -> Iterator[Evidence]:
    """Judge whether an output is what its loss takes."""
    raw = head.activation in (None, "linear")
    shown = f"outputs go from {head.least:.3g} to {head.most:.3g}"
    applied = "no activation" if raw else head.activation
    if head.loss in (*CATEGORICAL, *SPARSE):
        if head.from_logits and head.distribution and not head.logits:
            yield (
                "output-loss",
                head.layer,
                f"{head.loss} expects logits and gets probabilities: rows sum to 1",
                "from_logits=False in the loss, or no softmax in the model",
            )
        elif not (head.from_logits or head.logits or head.distribution):
            yield (
                "output-loss",
                head.layer,
                f"{head.loss} expects probabilities and gets {applied}: {shown}",
                "activation='softmax' at the output"
                + (", or from_logits=True in the loss" if raw else ""),
            )
    elif head.loss in BINARY:
        bounded = head.least >= 0 and head.most <= 1
        cut = head.activation in ("relu", "relu6", "tanh")
        if not head.from_logits and not head.logits and (cut or raw or not bounded):
            if raw and bounded and head.activation is None:
                return  # an unknown custom output, in range so far
            yield (
                "output-loss",
                head.layer,
                f"{head.loss} expects probabilities and gets {applied}: {shown}",
                "activation='sigmoid' at the output"
                + (", or from_logits=True in the loss" if raw else ""),
            )
        elif head.from_logits and head.activation in ("relu", "relu6"):
            yield (
                "output-loss",
                head.layer,
                f"{head.loss} expects logits, and {head.activation} has no negative ones",
                "activation=None at the output",
            )
    elif head.loss in DIVERGENCES and not head.distribution:
        yield (
            "output-loss",
            head.layer,
            f"{head.loss} expects rows of probabilities that sum to 1 and gets {applied}: {shown}; "
            f"without that sum the loss only asks for more of everything",
            "activation='softmax' at the output"
            if head.shape[-1] > 1
            else _output_for(head.targets, head.loss),
        )
    elif head.loss == "poisson" and (head.least < 0 or raw):
        yield (
            "output-loss",
            head.layer,
            f"poisson expects rates above 0 and gets {applied}: {shown}",
            "activation='softplus' at the output",
        )


def _scale(measured: Measured) -> Iterator[Evidence]:
    for head in measured.heads:
        given = head.targets
        bounded = math.isfinite(RANGES.get(head.activation or "", (0.0, math.inf))[1])
        if given is None or head.loss not in DISTANCES or bounded or not _far(given):
            continue
        evidence = f"root mean square of the labels {given.scale:.3g}, of what comes out "
        evidence += f"{max(abs(head.least), abs(head.most)):.3g} at most"
        if measured.step is None:
            harm = given.scale > _ALONE
        elif head.moved is None or given.distance is None or not math.isfinite(head.moved):
            harm = True
        else:
            steps = given.distance / head.moved if head.moved > 0 else math.inf
            harm = steps > STEPS
            if harm:
                evidence += f"; a step moves that by {head.moved:.1e}"
            elif _grows(measured):
                harm = True
                evidence += "; a step of the optimizer makes the loss larger"
            elif given.scale > _ALONE and _is_too_long(measured.step):
                harm = True
                evidence += f"; a step is {measured.step.ratio:.2g} times as long as the weights"
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
            f"the next step is {step.ratio:.2g} times as long as the weights, and changes the loss "
            f"from {before:.3g} to {step.loss:.3g}",
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
            f"a step is {step.ratio:.2g} times as long as the weights: float32 rounds it away",
            f"keras.optimizers.{step.optimizer}(learning_rate={_USUAL:g})",
        )
