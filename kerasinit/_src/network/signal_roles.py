"""The role of a node in a graph: it activates, normalizes, joins or passes on a signal."""

from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.graph import Node


def own_activation(layer: Any) -> Any:
    """Return the activation inside a layer with kernels: a name, a layer or a function, or None."""
    while row_of(layer).inside == "layer":
        layer = layer.layer
    activation = getattr(layer, "activation", None)
    if activation is None or row_of(layer).signal in ("recurs", "steps"):
        return None
    return _named(activation)


def activation_of(node: Node) -> Any:
    """Return the activation that a node without kernels applies; None for any other."""
    layer = node.layer
    if row_of(layer).signal in ("activates", "chooses"):
        return _named(getattr(layer, "activation", layer))
    if layer is None or type(layer).__name__ == "TFOpLambda":
        name = "silu" if node.function == "swish" else node.function
        return name if name in _OPERATIONS else None
    return None


def _named(activation: Any) -> Any:
    """Return an activation's name if it means the same in both Kerases, else the activation."""
    if compat.is_layer(activation):
        return _name_of_layer(activation)
    name = getattr(activation, "__name__", None)
    if name == "linear":
        return None
    if name == "swish":  # tf_keras' name for it
        return "silu"
    if getattr(keras.activations, name or "", None) is activation:
        return name
    tf_keras = compat.imported().get("tf_keras")
    same = tf_keras and getattr(tf_keras.activations, name or "", None) is activation
    return name if same and name in _SAME else activation


def _name_of_layer(layer: Any) -> Any:
    """Return the name of an activation layer's function, or the layer, if it has no name."""
    if not isinstance(layer, compat.layer_classes("ReLU")):
        return layer
    config = layer.get_config()  # of tf_keras, with arrays of NumPy
    if config["threshold"] or config["negative_slope"]:
        return layer
    if config["max_value"] is None:
        return "relu"
    return "relu6" if float(config["max_value"]) == 6 else layer


def is_normalization(layer: Any) -> bool:
    """Return whether a layer normalizes its inputs to one scale."""
    return row_of(layer).signal == "normalizes"


def is_concatenation(node: Node) -> bool:
    """Return whether a node concatenates its inputs."""
    return node.function in ("concatenate", "concat")


def passes(node: Node) -> bool:
    """Return whether a node passes on its one input, at most rearranged, masked or pooled."""
    if len(node.inputs) != 1:
        return False
    if node.layer is None:
        return node.function in _REARRANGING
    return row_of(node.layer).signal in _PASSING or _is_activation(node.layer)


def _is_activation(layer: Any) -> bool:
    return isinstance(layer, compat.layer_classes("Activation"))


def key_of(activation: Any) -> str:
    """Return a string that equal activations share."""
    if activation is None or isinstance(activation, str):
        return activation or ""
    if not compat.is_layer(activation):
        return repr(activation)
    config = {key: repr(value) for key, value in activation.get_config().items() if key != "name"}
    return f"{type(activation).__name__} {sorted(config.items())}"


_PASSING = ("averages", "masks", "maximizes", "normalizes", "passes", "resizes")
_REARRANGING = ("expanddims", "flatten", "getitem", "reshape", "squeeze", "transpose")
# These names mean the same in both Kerases.
_SAME = [
    "elu",
    "exponential",
    "gelu",
    "leaky_relu",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]
# Operations of Keras 3 and functions of TensorFlow.
_OPERATIONS = [
    "elu",
    "gelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]
