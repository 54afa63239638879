"""Policies: the same models are taken in both Kerases, and the same layers pruned."""

import keras
import numpy as np
import pytest

from kerasinit import pruning
from tests.kerases import KERASES

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)


def network(library, *between, pad=1, strides=2, ends=True, skip=False):
    """Return a network that XNNPACK runs sparse if the layers in between let it."""
    layers = library.layers
    inputs = library.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=strides)(layers.ZeroPadding2D(pad)(inputs))
    shortcut = x
    for make in between:
        x = make(layers)(x)
    if skip:
        x = x + shortcut
    x = layers.GlobalAveragePooling2D()(x) if ends else layers.Flatten()(x)
    return library.Model(inputs, layers.Dense(2)(x))


def conv(**arguments):
    return lambda layers: layers.Conv2D(**{"filters": 4, "kernel_size": 1, **arguments})


def depthwise(size, **arguments):
    return lambda layers: layers.DepthwiseConv2D(size, **arguments)


def padding(size):
    return lambda layers: layers.ZeroPadding2D(size)


TAKEN = {
    "a plain 1x1": [conv()],
    "with activations": [
        conv(),
        *(lambda layers, name=name: layers.Activation(name) for name in ("relu", "elu")),
        lambda layers: layers.ReLU(6),
        lambda layers: layers.LeakyReLU(),
        lambda layers: layers.Dropout(0.1),
    ],
    "normalized": [conv(), lambda layers: layers.BatchNormalization(axis=3)],
    "depthwise 3x3": [depthwise(3, padding="same"), conv()],
    "depthwise 5x5": [depthwise(5, padding="same"), conv()],
    "padded depthwise 3x3": [padding(1), depthwise(3, strides=2), conv()],
    "padded depthwise 5x5": [padding(2), depthwise(5, strides=2), conv()],
    "enlarged": [lambda layers: layers.UpSampling2D(2, interpolation="bilinear"), conv()],
    "pooled": [conv(), lambda layers: layers.GlobalAveragePooling2D(keepdims=True), conv()],
}
REFUSED = {
    "a 3x3 convolution": [conv(kernel_size=3)],
    "a strided 1x1": [conv(strides=2)],
    "a grouped 1x1": [conv(groups=2)],
    "normalized over rows": [lambda layers: layers.BatchNormalization(axis=1)],
    "a depthwise multiplied": [depthwise(3, padding="same", depth_multiplier=2)],
    "a depthwise of 7x7": [depthwise(7, padding="same")],
    "a depthwise not padded": [depthwise(3)],
    "a depthwise padded by too much": [padding(2), depthwise(3)],
    "a depthwise dilated": [depthwise(3, padding="same", dilation_rate=2)],
    "a strided depthwise that pads itself": [depthwise(3, padding="same", strides=2)],
    "enlarged to the nearest": [lambda layers: layers.UpSampling2D(2)],
    "tanh": [lambda layers: layers.Activation("tanh")],
    "a pooling": [lambda layers: layers.MaxPooling2D()],
}


def prune(model):
    return pruning.prune_low_magnitude(model, pruning_policy=pruning.PruneForLatencyOnXNNPack())


@BOTH
@pytest.mark.parametrize("case", TAKEN)
def test_models_that_xnnpack_runs_sparse_are_taken(library, case):
    pruning.PruneForLatencyOnXNNPack().ensure_model_supports_pruning(network(library, *TAKEN[case]))


@BOTH
@pytest.mark.parametrize("case", REFUSED)
def test_models_that_it_does_not_are_refused(library, case):
    with pytest.raises(ValueError, match="XNNPack"):
        prune(network(library, *REFUSED[case]))


@BOTH
def test_only_the_1x1_convolutions_are_pruned(library):
    model = network(library, depthwise(3, padding="same"), conv(), conv(use_bias=False), skip=True)
    assert list(pruning.masks(prune(model))) == ["conv2d_1/kernel", "conv2d_2/kernel"]


@BOTH
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pad": 2}, "ZeroPadding2D"),
        ({"strides": 1}, "ZeroPadding2D"),
        ({"ends": False}, "GlobalAveragePooling2D"),
    ],
)
def test_where_the_sparse_part_begins_and_ends_is_asked_for(library, arguments, message):
    with pytest.raises(ValueError, match=message):
        prune(network(library, conv(), **arguments))


@BOTH
def test_each_input_and_output_must_lead_to_it(library):
    good = network(library, conv())
    other = library.Input((2,))
    for inputs, outputs in (
        ([*good.inputs, other], good.outputs[0] + other),
        (good.inputs, [*good.outputs, library.layers.Flatten()(good.inputs[0])]),
    ):
        with pytest.raises(ValueError, match=r"[Ii]nput|[Oo]utput"):
            prune(library.Model(inputs, outputs))


@BOTH
def test_a_subclassed_model_is_refused(library):
    class Own(library.Model):
        def __init__(self):
            super().__init__()
            self.inner = network(library, conv())

        def call(self, inputs):
            return self.inner(inputs)

    model = Own()
    model(np.zeros((1, 16, 16, 3), "float32"))
    with pytest.raises(ValueError, match=r"[Ss]ubclassed"):
        pruning.PruneForLatencyOnXNNPack().ensure_model_supports_pruning(model)


def test_a_transposed_convolution_is_not_taken_for_a_convolution():
    # In tf_keras it is a subclass of Conv2D, and tfmot takes it.
    with pytest.raises(ValueError, match="does not run the Conv2DTranspose"):
        prune(network(keras, lambda layers: layers.Conv2DTranspose(4, 1)))


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ValueError, match="is not built"):
        prune(keras.Sequential([keras.layers.Conv2D(3, 1)]))


def test_the_refusal_names_the_layer_and_what_it_needs():
    with pytest.raises(ValueError, match=r"Conv2D 'wide' of the model.*kernel_size=1, strides=1"):
        prune(network(keras, conv(kernel_size=3, name="wide")))


def test_operations_and_models_inside_are_looked_into():
    def block(layers, last):
        inputs = keras.Input((8, 8, 4))
        return keras.Model(inputs, last(layers.Conv2D(4, 1)(inputs)))

    good = [lambda layers: block(layers, keras.ops.relu), conv()]
    assert list(pruning.masks(prune(network(keras, *good, skip=True)))) == [
        "functional/conv2d/kernel",
        "conv2d_1/kernel",
    ]
    with pytest.raises(ValueError, match=r"does not run the Tanh '\w+' of the model"):
        prune(network(keras, lambda layers: block(layers, keras.ops.tanh)))


@BOTH
def test_a_policy_of_ones_own_serves_both_kerases(library):
    class Wide(pruning.PruningPolicy):
        def allow_pruning(self, layer):
            return getattr(layer, "units", 0) > 4

        def ensure_model_supports_pruning(self, model):
            if len(model.layers) > 3:
                raise ValueError("too deep")

    layers = library.layers
    wide = [library.Input((6,)), layers.Dense(8), layers.Dense(2)]
    model = pruning.prune_low_magnitude(library.Sequential(wide), pruning_policy=Wide())
    assert list(pruning.masks(model)) == ["dense/kernel"]
    deep = [library.Input((6,)), *(layers.Dense(8) for _ in range(4))]
    with pytest.raises(ValueError, match="too deep"):
        pruning.prune_low_magnitude(library.Sequential(deep), pruning_policy=Wide())


def test_a_policy_that_does_not_answer_cannot_be_made():
    class Silent(pruning.PruningPolicy):
        def allow_pruning(self, layer):
            return True

    with pytest.raises(TypeError, match="ensure_model_supports_pruning"):
        Silent()
