"""What each kind of finding means, and the line that mends it."""

from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.theory.gains import gain

KINDS = {
    "non-finite": "One value that is not finite makes everything after it so: nothing is learned.",
    "equal-examples": "Examples that do not differ cannot be told apart: nothing is learned.",
    "labels": "The loss misreads them: it is not a number, or pulls the wrong way.",
    "constant-output": "The output is the same for every input and has no gradient: nothing is "
    "learned.",
    "output-range": "The output cannot reach the labels, however long it is trained.",
    "output-loss": "The loss clips or misreads what the output gives: the gradient is lost, or "
    "pulls the wrong way.",
    "unscaled-input": "The first layer's sums and gradients are out of proportion to the others'; "
    "one learning rate cannot serve both.",
    "symmetry": "Units that are the same and are pulled the same way stay the same: the layer has "
    "fewer units than it seems.",
    "dead-units": "A unit that is zero for every example has no gradient, and stays as it is.",
    "saturation": "The activation is flat at most of its inputs: hardly any gradient passes.",
    "vanishing-activations": "The signal is lost on the way: what comes after sees almost nothing "
    "of the input.",
    "exploding-activations": "The signal grows with each layer: the loss and its gradients are "
    "out of proportion.",
    "correlation-collapse": "All examples look alike after this layer: what comes after cannot "
    "tell them apart.",
    "no-gradient": "No gradient reaches these weights from the loss: they stay as they are.",
    "vanishing-gradients": "These layers have next to no influence on the loss, and will not learn "
    "while the later ones do.",
    "exploding-gradients": "A small change of these layers changes the loss more than a large one "
    "of the later layers: steps that suit those destroy these.",
    "target-scale": "The outputs start far from the labels: steps of the usual size take very long "
    "to get there, or the large errors destroy the weights.",
    "learning-rate": "A step of the wrong size destroys the first weights, or does not change "
    "them.",
}
# What other first values mend, as `kerasinit.recommend` gives them. Not what the data brings, and
# not numbers that are lost.
_NOT_FROM_VALUES = (
    "non-finite",
    "equal-examples",
    "labels",
    "constant-output",
    "output-range",
    "output-loss",
    "unscaled-input",
    "no-gradient",
    "target-scale",
    "learning-rate",
)
FROM_VALUES = tuple(kind for kind in KINDS if kind not in _NOT_FROM_VALUES)
# What the size of a signal does, so that an input out of scale does it, too.
SIZES = (
    "saturation",
    "vanishing-activations",
    "exploding-activations",
    "correlation-collapse",
    "vanishing-gradients",
    "exploding-gradients",
)
_CONTRAST = 0.02  # the least standard deviation of pixels between 0 and 1
_PLAIN = {
    None: "kerasinit.LecunNormal()",
    "linear": "kerasinit.LecunNormal()",
    "relu": "kerasinit.HeNormal()",
    "relu6": "kerasinit.HeNormal()",
    "selu": "kerasinit.LecunNormal()",
    "softmax": "kerasinit.GlorotUniform()",
    "sigmoid": "kerasinit.GlorotUniform()",
}


def initializer_for(activation: str | None) -> str:
    """Return the initializer that keeps the signal of an activation, as it is written.

    Args:
        activation: The activation's name; None for a linear layer.

    Example:
    >>> initializer_for("relu"), initializer_for("tanh")
    ('kerasinit.HeNormal()', "kerasinit.LecunNormal(nonlinearity='tanh')")
    """
    if activation in _PLAIN:
        return _PLAIN[activation]
    try:
        gain(activation)
    except (TypeError, ValueError):  # custom, or not elementwise
        return "kerasinit.GlorotUniform()"
    return f"kerasinit.LecunNormal(nonlinearity={activation!r})"


def scaling(given: Signal) -> str:
    """Return what to write to bring what goes in to scale.

    Pixels are divided by 255. Columns of a table, which differ in scale, or lie far from zero,
    are not alike after that; they are normalized each by itself.

    Args:
        given: What goes in.
    """
    pixels = given.least >= 0 and 1 < given.most <= 255
    if pixels and given.spread is not None and given.spread > _CONTRAST * 255:
        return "Put keras.layers.Rescaling(1 / 255) first."
    return "Put normalize = keras.layers.Normalization() first, after normalize.adapt(x)."


def never_drawn(names: list[str]) -> str:
    """Return how to mend kernels that are lost, and of which no initializer is known.

    Args:
        names: Their structural names.

    Example:
    >>> never_drawn(["own/w"])
    "Load the weights again, or: kerasinit.reinitialize(model, {'own/w': 'GlorotUniform'}, seed=1)"
    """
    rules = {name: "GlorotUniform" for name in names}
    return f"Load the weights again, or: kerasinit.reinitialize(model, {rules}, seed=1)"


def advice(kind: str, activation: str | None, *, is_function: bool = False) -> str:
    """Return what to write to mend a finding.

    Args:
        kind: One of `KINDS`, not ``"unscaled-input"``.
        activation: The activation that follows the layer's sums.
        is_function: Whether that is not one of the layer's arguments.

    Example:
    >>> advice("dead-units", "relu")
    "bias_initializer='zeros', kernel_initializer=kerasinit.HeNormal()"
    """
    kernel = f"kernel_initializer={initializer_for(activation)}"
    if kind == "non-finite":
        return "Load or draw the weights again: kerasinit.reinitialize(model, seed=1); look at x."
    if kind == "no-gradient":
        return (
            "Look for an operation without a gradient between this layer and the loss: "
            "stop_gradient, round, argmax, a comparison. Remove it, or set trainable = False."
        )
    if kind == "dead-units":
        return f"bias_initializer='zeros', {kernel}"
    if activation in _FLAT and is_function and kind in _FLATTENED:
        # What `kerasinit.recommend` gives: a function in a model's code is no argument to change.
        return f"kernel_initializer=kerasinit.CentredNormal(nonlinearity={activation!r})"
    if kind == "correlation-collapse":
        return f"{_replaced(activation)}keras.layers.BatchNormalization() after the layer"
    if kind == "vanishing-gradients":
        return f"{_replaced(activation)}{kernel if activation not in _FLAT else _INSTEAD}"
    if kind == "exploding-activations":
        return f"{kernel}; after a residual branch keras.layers.Rescaling(1 / blocks ** 0.5)"
    return kernel


_FLATTENED = ("correlation-collapse", "vanishing-gradients")
_FLAT = ("sigmoid", "hard_sigmoid")
_INSTEAD = "kernel_initializer=kerasinit.HeNormal()"


def _replaced(activation: str | None) -> str:
    return "activation='relu', " if activation in _FLAT else ""
