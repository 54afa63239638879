"""The diagnosis of a network in plain words: what was found, why it matters, what fixes it."""

import math
import re
from typing import Any

from kerasinit._src.diagnosis.findings import Finding
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.playground.settings import SIDES, Settings

_CERTAIN, _LIKELY, _POSSIBLE = "will not", "will probably not", "may not"

# How sure it is that a network with such a finding does not train, and why in a few words.
TITLES = {
    "non-finite": (_CERTAIN, "some of its numbers are not finite"),
    "equal-examples": (_CERTAIN, "all examples are the same"),
    "labels": (_CERTAIN, "the loss misreads the labels"),
    "constant-output": (_CERTAIN, "its output is the same for every input"),
    "output-range": (_CERTAIN, "its output cannot reach the labels"),
    "output-loss": (_CERTAIN, "its output does not fit the loss"),
    "unscaled-input": (_POSSIBLE, "the inputs are out of scale"),
    "symmetry": (_LIKELY, "units are identical and stay so"),
    "dead-units": (_LIKELY, "units are dead"),
    "saturation": (_LIKELY, "its {activation} units are saturated"),
    "vanishing-activations": (_LIKELY, "the signal dies on its way forward"),
    "exploding-activations": (_POSSIBLE, "the signal explodes on its way forward"),
    "correlation-collapse": (_LIKELY, "all examples look alike to its last layers"),
    "no-gradient": (_CERTAIN, "no gradient reaches some of its weights"),
    "vanishing-gradients": (_LIKELY, "the gradient dies on its way back"),
    "exploding-gradients": (_POSSIBLE, "the gradient explodes on its way back"),
    "target-scale": (_POSSIBLE, "its outputs start far from the labels"),
    "learning-rate": (_POSSIBLE, "the learning rate does not suit its weights"),
}

WHY = {
    "non-finite": "Infinity and NaN (not a number) spread: whatever is computed from them is not "
    "finite either. The next step makes all weights NaN, and no further step repairs that.",
    "equal-examples": "The network can only learn how examples differ, and these do not. The best "
    "it can do is to give each class its frequency.",
    "labels": "The loss takes the labels for something else than they are, such as numbers of "
    "classes for probabilities. Its value and its gradient then belong to another task.",
    "constant-output": "Whatever the input, the output is the same, and small changes of the "
    "weights do not change it. So the gradient is zero, and no step is taken.",
    "output-range": "The last activation limits the outputs, and the labels lie outside its "
    "limits. No weights reach them, however long the network trains.",
    "output-loss": "The loss expects another kind of outputs, such as probabilities in the place "
    "of logits. It clips what it gets, and the gradient is zero or wrong.",
    "unscaled-input": "The gradient of a weight is proportional to its input, so that inputs of "
    "very different sizes need very different steps. One learning rate is too large for some "
    "weights, or too small for the others.",
    "symmetry": "Units with the same weights compute the same and get the same gradient, so that "
    "each step keeps them the same. A layer of such units learns no more than a single unit "
    "could; random first values break the symmetry.",
    "dead-units": "A relu that is zero for all examples has the slope 0 for all of them, so that "
    "no gradient passes it. Its weights do not change, and it rarely comes back to life.",
    "saturation": "Far from zero the activation is flat: its output hardly changes with its "
    "input. Its slope is nearly 0 there, the gradient is multiplied by it, and the layers before "
    "it hardly learn.",
    "vanishing-activations": "Each layer multiplies the size of the signal by a factor, and if "
    "the factor is below 1, the product of many is almost zero. Later layers then see hardly "
    "anything of the input but their own biases, and the output hardly depends on it.",
    "exploding-activations": "Each layer multiplies the size of the signal by a factor, and if "
    "the factor is above 1, the product of many is huge. The outputs are then extreme, the loss "
    "and its gradients, too, and the first steps can ruin the weights.",
    "correlation-collapse": "Each layer makes different examples a little more alike, and after "
    "many layers they are almost the same. Later layers cannot tell apart what looks the same, so "
    "that all examples get the same output.",
    "no-gradient": "A weight is changed by the gradient of the loss, and none comes back to "
    "these. They keep their first values, whatever happens in the layers after them.",
    "vanishing-gradients": "On its way back the gradient is multiplied in each layer, by weights "
    "and by the slope of the activation, and if the factor is below 1, almost nothing is left of "
    "it. The first layers then stay as they are while the last ones learn.",
    "exploding-gradients": "On its way back the gradient is multiplied in each layer, by weights "
    "and by the slope of the activation, and if the factor is above 1, it is huge in the first "
    "layers. A step that suits the last layers is then far too large for the first ones.",
    "target-scale": "The outputs are of another size than the labels, and the loss begins with "
    "large errors. Steps of the usual size need very long to make up for that, or the large "
    "errors ruin the weights.",
    "learning-rate": "A step should change the weights a little: by about a thousandth of their "
    "size. Much larger steps wipe out the first values and can make the loss explode, much "
    "smaller ones change nothing in a reasonable time.",
}
_NATS = re.compile(r"([\d.]+) nats")


def verdict(diagnosis: Diagnosis, settings: Settings, side: str) -> dict[str, Any]:
    """Return a diagnosis in plain words.

    Args:
        diagnosis: The diagnosis of the network.
        settings: The settings of the playground.
        side: ``"left"`` or ``"right"``.

    Returns:
        ``ok``, a ``title``, and ``findings``, each with its ``kind``, the ``layer`` that shows it
        first (``hidden_1`` and so on, ``outputs``, or ``input``), a ``text`` with what was
        measured, ``why`` it matters and the line that is the ``fix``.
    """
    activation = settings.sides[SIDES.index(side)].activation
    names = {row.layer: row.name for row in diagnosis.layers}
    return {
        "ok": diagnosis.ok,
        "title": _title(diagnosis, activation),
        "findings": [_words(finding, names, settings) for finding in diagnosis.findings],
    }


def _title(diagnosis: Diagnosis, activation: str) -> str:
    if diagnosis.ok:
        return "It will train"
    how_sure, what = TITLES[diagnosis.findings[0].kind]
    return f"It {how_sure} train as it is: {what.format(activation=activation)}"


def _words(finding: Finding, names: dict[str, str], settings: Settings) -> dict[str, str]:
    name = names.get(finding.layer, finding.layer)
    layer = _layer_of(name)
    text = f"{_place(name, layer)}: {finding.evidence}."
    more = {_layer_of(names.get(other, other)) for other in finding.others} - {layer}
    if more:
        text += f" {len(more)} more of {settings.depth + 1} layers show it."
    largest = max((float(number) for number in _NATS.findall(finding.evidence)), default=0.0)
    if largest:
        text += f" ({largest:g} nats are a factor of {_factor(largest)}.)"
    return {
        "kind": finding.kind,
        "layer": layer,
        "text": text,
        "why": WHY[finding.kind],
        "fix": finding.advice,
    }


def _layer_of(name: str) -> str:
    """Return the dense layer that a layer belongs to: ``hidden_3`` for ``activation_3``."""
    kind, _, number = name.rpartition("_")
    return f"hidden_{number}" if kind in ("activation", "add", "normalization") else name


def _place(name: str, layer: str) -> str:
    if name == "input":
        return "In the inputs"
    kind = name.rpartition("_")[0]
    parts = {"activation": "activation", "add": "residual sum", "normalization": "normalization"}
    return f"After the {parts[kind]} of {layer}" if kind in parts else f"In {layer}"


def _factor(nats: float) -> str:
    """Return a factor given in nats, with two digits."""
    factor = math.exp(nats)
    return f"{float(f'{factor:.2g}'):,.0f}" if 10 <= factor < 1e6 else f"{factor:.2g}"
