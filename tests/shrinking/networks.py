"""Small networks of many kinds, with random values in all of their variables.

No value is left as Keras starts it: a bias, an offset or a moving mean of zero would hide what is
lost with it, a scale of one what is applied twice.
"""

import contextlib
import inspect
import zlib

import keras
import numpy as np

from tests.kerases import INSTALLED
from tests.shrinking import (
    convolution_networks,
    graph_networks,
    image_networks,
    sequence_networks,
    traps,
)

MODULES = (image_networks, convolution_networks, sequence_networks, graph_networks, traps)
NETWORKS = {
    name: function
    for module in MODULES
    for name, function in vars(module).items()
    if inspect.isfunction(function) and not name.startswith("_")
}
"""A function of a Keras, `keras` or `tf_keras`, that returns a model, by the network's name."""

KERAS_3_ONLY = {
    "activations_over_channels": "log_softmax by its name",
    "constants_in_the_graph": "keras.ops",
    "gated_linear_units": "keras.ops",
    "low_rank_adapters": "enable_lora",
    "padded_with_numbers": "keras.ops",
    "tied_embeddings": "ReversibleEmbedding",
    "wrapped_in_spectral_normalization": "InputSpec",
    "grouped_query_attention": "GroupQueryAttention",
    "operations": "keras.ops",
    "operations_that_mix": "keras.ops",
    "operations_that_move": "keras.ops",
    "operations_that_split": "keras.ops",
    "rms_normalization": "RMSNormalization",
    "transformer_of_operations": "keras.ops",
}
"""Networks that tf_keras cannot make, and what it lacks."""

LARGE = {name for name in NETWORKS if name.endswith("_application")} - {
    "nested_sequential_application"
}
"""Networks that take seconds each."""

NOT_PORTABLE = {"custom_activation", "lambda_layer"}
"""Networks with code of the test's own: their files load only where that code is."""


def libraries_of(name):
    """Return the Kerases that are here and can make a network."""
    return (keras,) if name in KERAS_3_ONLY else INSTALLED


def make(name, library, seed=0):
    """Return a network by its name, with random values in all variables."""
    model = NETWORKS[name](library)
    randomize(model, zlib.crc32(name.encode()) + seed)
    if name in LARGE:
        calibrate(model)
    return model


def leaf(variable):
    """Return the last part of a variable's name, in either Keras."""
    return variable.name.split("/")[-1].split(":")[0]


def randomize(model, seed):
    """Draw all floating-point variables of a model anew, at scales that keep signals alive."""
    rng = np.random.default_rng(seed)
    statistics = _statistics_of_data(model)
    for variable in model.variables:
        if id(variable) in statistics or "float" not in str(variable.dtype):
            continue
        shape, name = tuple(variable.shape), leaf(variable)
        if name in ("gamma", "scale"):
            values = rng.uniform(0.5, 1.5, shape) * rng.choice((-1, 1), shape)
        elif "variance" in name:
            values = rng.uniform(0.2, 1, shape)
        elif "kernel" in name and len(shape) > 1:
            values = rng.normal(0, np.sqrt(2 / _fan_in(shape)), shape)
        elif name == "embeddings":
            values = rng.normal(0, 1, shape)
        else:  # biases, offsets, means, slopes
            values = rng.normal(0, 0.3, shape)
        variable.assign(values.astype("float32"))


def calibrate(model):
    """Set moving statistics to those of a batch, so that signals keep their size in deep models.

    Where they grow without bound, rounding alone takes two models further apart than 1e-5.
    """
    kinds = tuple(library.layers.BatchNormalization for library in INSTALLED)
    norms = [(layer, layer.momentum) for layer in model.layers if isinstance(layer, kinds)]
    for layer, _ in norms:
        layer.momentum = 0.0
    model(batch(model, size=8), training=True)
    for layer, momentum in norms:
        layer.momentum = momentum


def _fan_in(shape):
    is_depthwise = len(shape) > 2 and shape[-1] < min(4, shape[-2])
    return np.prod(shape[:-2] if is_depthwise else shape[:-1])


def _statistics_of_data(model):
    """Return what a layer `Normalization` has computed from data, and keeps beside copies of it."""
    kinds = [library.layers.Normalization for library in INSTALLED]
    found, waiting = set(), [model]
    while waiting:
        layer = waiting.pop()
        waiting += getattr(layer, "layers", [])
        if isinstance(layer, tuple(kinds)):
            found |= {id(variable) for variable in layer.variables}
    return found


def batch(model, size=4, seed=0):
    """Return inputs for a model: an array, or a list or dictionary where it has several."""
    rng = np.random.default_rng(seed)
    found = []
    for tensor in model.inputs:
        shape = (size, *(places or 7 for places in tensor.shape[1:]))
        if "int" in str(tensor.dtype):
            found.append(rng.integers(0, sequence_networks.WORDS, shape).astype("int32"))
        else:
            found.append(rng.normal(0, 1, shape).astype("float32"))
    if takes_a_dictionary(model):
        return dict(zip(sorted(model.input), found, strict=True))
    return found[0] if len(found) == 1 else found


def takes_a_dictionary(model):
    """Return whether a model's inputs have names."""
    # A Sequential that was loaded has inputs, but no input.
    kinds = tuple(library.Sequential for library in INSTALLED)
    return not isinstance(model, kinds) and isinstance(model.input, dict)


def outputs_of(model, x):
    """Return the outputs of a model in prediction, as a list of arrays."""
    outputs = model(x, training=False)
    if isinstance(outputs, dict):
        outputs = [outputs[key] for key in sorted(outputs)]
    return [
        np.asarray(one) for one in (outputs if isinstance(outputs, list | tuple) else [outputs])
    ]


@contextlib.contextmanager
def precision(library, policy):
    """Make the layers that are made meanwhile of a dtype policy."""
    if library is keras:
        get, put = keras.config.dtype_policy, keras.config.set_dtype_policy
    else:
        mixed = library.mixed_precision
        get, put = mixed.global_policy, mixed.set_global_policy
    before = get()
    put(policy)
    try:
        yield
    finally:
        put(before)
