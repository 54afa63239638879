"""What each kind of finding means, and the line that fixes it."""

from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.theory.gains import gain

KINDS = {
    "non-finite": "A value that is not finite spreads to all later layers: nothing is learned.",
    "equal-examples": "All examples are identical: there is nothing to learn from them.",
    "labels": "The loss misinterprets the labels: it is NaN, or its gradient is wrong.",
    "constant-output": "The output is the same for every input and has no gradient: nothing is "
    "learned.",
    "output-range": "The output cannot reach the labels, however long it is trained.",
    "output-loss": "The loss clips or misinterprets the output: the gradient is zero or wrong.",
    "unscaled-input": "The first layer's sums and gradients are out of proportion to those of the "
    "others: no learning rate suits both.",
    "symmetry": "Identical units with identical gradients stay identical: the layer has fewer "
    "units than it seems.",
    "dead-units": "A unit that is zero for every example has no gradient and cannot learn.",
    "saturation": "The activation is saturated at most of its inputs: its gradient vanishes.",
    "vanishing-activations": "The signal vanishes: later layers see almost nothing of the input.",
    "exploding-activations": "The signal grows with each layer: the loss and its gradients are "
    "out of proportion.",
    "correlation-collapse": "All examples look alike after this layer: later layers cannot tell "
    "them apart.",
    "no-gradient": "No gradient of the loss reaches these weights: they cannot learn.",
    "vanishing-gradients": "These layers have almost no influence on the loss, and will not learn "
    "while the later ones do.",
    "exploding-gradients": "A small change of these layers changes the loss more than a large one "
    "of the later layers: a learning rate that suits those is too large here.",
    "target-scale": "The outputs start far from the labels: with steps of the usual size training "
    "takes very long, or the large errors destroy the weights.",
    "learning-rate": "The step size destroys the initial weights, or is too small to change them.",
}
"""What each kind of finding of `kerasinit.diagnose` means, in the order of the report."""
# Also caused by an input out of scale.
SIZES = (
    "saturation",
    "vanishing-activations",
    "exploding-activations",
    "correlation-collapse",
    "vanishing-gradients",
    "exploding-gradients",
)
# Fixed by the initial values of `kerasinit.recommend`.
FROM_VALUES = ("symmetry", "dead-units", *SIZES)
_CONTRAST = 0.02  # the min standard deviation of pixels between 0 and 1
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
    """Return the code of the initializer that preserves the signal through an activation.

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
    """Return the fix for an input out of scale.

    Pixels are divided by 255. The columns of a table, which may differ in scale or be far from
    zero, are normalized one by one.
    """
    pixels = given.least >= 0 and 1 < given.most <= 255
    if pixels and given.spread is not None and given.spread > _CONTRAST * 255:
        return "Put keras.layers.Rescaling(1 / 255) first."
    return "Put normalize = keras.layers.Normalization() first, after normalize.adapt(x)."


def without_initializer(names: list[str]) -> str:
    """Return the fix for kernels with lost values, given by name, and no known initializer."""
    rules = {name: "GlorotUniform" for name in names}
    return f"Reload the weights, or: kerasinit.reinitialize(model, {rules}, seed=1)"


def advice(kind: str, activation: str | None, *, is_function: bool = False) -> str:
    """Return what to write to fix a finding, except for an unscaled input (see `scaling`).

    ``activation`` follows the layer's sums; ``is_function`` if it is not an argument of the layer.
    """
    kernel = f"kernel_initializer={initializer_for(activation)}"
    if kind == "non-finite":
        return "Reload or redraw the weights: kerasinit.reinitialize(model, seed=1); check x."
    if kind == "no-gradient":
        return (
            "Find the operation without a gradient between this layer and the loss, such as "
            "stop_gradient, round, argmax or a comparison. Remove it, or set trainable = False."
        )
    if kind == "dead-units":
        return f"bias_initializer='zeros', {kernel}"
    if kind == "exploding-activations":
        return f"{kernel}; after a residual branch keras.layers.Rescaling(1 / blocks ** 0.5)"
    if kind not in ("correlation-collapse", "vanishing-gradients"):
        return kernel
    relu = ""
    if activation in ("sigmoid", "hard_sigmoid"):
        if is_function:
            # As `kerasinit.recommend`: a function in the model's code is not an argument.
            return f"kernel_initializer=kerasinit.CentredNormal(nonlinearity={activation!r})"
        relu, kernel = "activation='relu', ", "kernel_initializer=kerasinit.HeNormal()"
    if kind == "correlation-collapse":
        return f"{relu}keras.layers.BatchNormalization() after the layer"
    return f"{relu}{kernel}"
