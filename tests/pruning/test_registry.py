"""Which weights are pruned, under which names, in both Kerases."""

import sys

import keras
import numpy as np
import pytest

from kerasinit._src.network.prunable import has_rule
from kerasinit.pruning import prunable_weights
from tests.kerases import INSTALLED, KERASES
from tests.products import nightly

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)

# (shape of the input, how to make the layer, names within it)
LAYERS = {
    "Dense": ((8,), lambda k: k.layers.Dense(3), ["kernel"]),
    "Conv1D": ((8, 2), lambda k: k.layers.Conv1D(3, 2), ["kernel"]),
    "Conv2D": ((8, 8, 2), lambda k: k.layers.Conv2D(3, 2), ["kernel"]),
    "Conv3D": ((8, 8, 8, 2), lambda k: k.layers.Conv3D(3, 2), ["kernel"]),
    "Conv2DTranspose": ((8, 8, 2), lambda k: k.layers.Conv2DTranspose(3, 2), ["kernel"]),
    "Conv3DTranspose": ((4, 4, 4, 2), lambda k: k.layers.Conv3DTranspose(3, 2), ["kernel"]),
    "SeparableConv1D": ((8, 2), lambda k: k.layers.SeparableConv1D(3, 2), ["pointwise_kernel"]),
    "SeparableConv2D": (
        (8, 8, 2),
        lambda k: k.layers.SeparableConv2D(3, 2),
        ["pointwise_kernel"],
    ),
    "DepthwiseConv2D": ((8, 8, 2), lambda k: k.layers.DepthwiseConv2D(3), []),
    "Embedding": ((5,), lambda k: k.layers.Embedding(7, 3), ["embeddings"]),
    "LSTM": ((5, 2), lambda k: k.layers.LSTM(3), ["kernel", "recurrent_kernel"]),
    "GRU": ((5, 2), lambda k: k.layers.GRU(3), ["kernel", "recurrent_kernel"]),
    "SimpleRNN": ((5, 2), lambda k: k.layers.SimpleRNN(3), ["kernel", "recurrent_kernel"]),
    "stacked": (
        (5, 2),
        lambda k: k.layers.RNN([k.layers.LSTMCell(3), k.layers.LSTMCell(2)]),
        [
            "lstm_cell/kernel",
            "lstm_cell/recurrent_kernel",
            "lstm_cell_1/kernel",
            "lstm_cell_1/recurrent_kernel",
        ],
    ),
    "ConvLSTM2D": (
        (3, 6, 6, 2),
        lambda k: k.layers.ConvLSTM2D(3, 2),
        ["kernel", "recurrent_kernel"],
    ),
    "Bidirectional": (
        (5, 2),
        lambda k: k.layers.Bidirectional(k.layers.SimpleRNN(3)),
        [
            "forward/kernel",
            "forward/recurrent_kernel",
            "backward/kernel",
            "backward/recurrent_kernel",
        ],
    ),
    "TimeDistributed": (
        (5, 2),
        lambda k: k.layers.TimeDistributed(k.layers.Dense(3)),
        ["kernel"],
    ),
    "EinsumDense": ((5, 2), lambda k: k.layers.EinsumDense("abc,cd->abd", (5, 3)), ["kernel"]),
    "BatchNormalization": ((8,), lambda k: k.layers.BatchNormalization(), []),
    "LayerNormalization": ((8,), lambda k: k.layers.LayerNormalization(), []),
    "PReLU": ((8,), lambda k: k.layers.PReLU(), []),
    "Dropout": ((8,), lambda k: k.layers.Dropout(0.5), []),
}


def names(model):
    return [weight.name for weight in prunable_weights(model)]


@BOTH
@pytest.mark.parametrize("case", LAYERS)
def test_each_layer_gives_the_weights_that_multiply_activations(library, case):
    shape, make, expected = LAYERS[case]
    layer = make(library)
    inputs = library.Input(shape)
    model = library.Model(inputs, layer(inputs))
    assert [name.split("/", 1)[1] for name in names(model)] == expected


# As above, of layers that not every Keras has; what is not pruned has weights nevertheless.
OTHERS = {
    "AdditiveAttention": ((5, 2), lambda layer, x: layer()([x, x]), []),
    "Attention": ((5, 2), lambda layer, x: layer(use_scale=True)([x, x]), []),
    "Conv1DTranspose": ((8, 2), lambda layer, x: layer(3, 2)(x), ["kernel"]),
    "DepthwiseConv1D": ((8, 2), lambda layer, x: layer(3)(x), []),
    "GroupNormalization": ((8,), lambda layer, x: layer(2)(x), []),
    "LocallyConnected1D": ((8, 2), lambda layer, x: layer(3, 2)(x), ["kernel"]),
    "LocallyConnected2D": ((8, 8, 2), lambda layer, x: layer(3, 2)(x), ["kernel"]),
    "Normalization": ((8,), lambda layer, x: layer()(x), []),
    "RMSNormalization": ((8,), lambda layer, x: layer()(x), []),
}


@pytest.mark.parametrize(
    ("library", "case"),
    [
        pytest.param(library, case, id=f"{library.__name__}-{case}")
        for library in INSTALLED
        for case in OTHERS
        if hasattr(library.layers, case)
    ],
)
def test_so_do_layers_of_one_kerase_and_those_of_few_weights(library, case):
    shape, call, expected = OTHERS[case]
    inputs = library.Input(shape)
    model = library.Model(inputs, call(getattr(library.layers, case), inputs))
    assert model.weights
    assert [name.split("/", 1)[1] for name in names(model)] == expected


# Layers that have a `build` of their own and no kernels: it checks shapes, or builds what is
# inside. The last run what was made elsewhere, and are refused if that has weights.
WITHOUT_KERNELS = {
    *("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"),
    *("AugMix", "RandAugment", "RandomBrightness", "RandomColorJitter", "RandomContrast"),
    *("RandomCrop", "RandomFlip", "RandomHeight", "RandomRotation", "RandomTranslation"),
    *("RandomWidth", "RandomZoom", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"),
    *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "UnitNormalization"),
    *(f"Global{kind}{d}D" for kind in ("AveragePooling", "MaxPooling") for d in (1, 2, 3)),
    *("Wrapper", "DenseFeatures", "FlaxLayer", "JaxLayer"),
}


@BOTH
def test_every_layer_of_keras_has_a_rule_or_no_kernel(library):
    layer = library.layers.Layer
    classes = {k for k in vars(library.layers).values() if isinstance(k, type)} - {layer}
    strange = {
        kind.__name__
        for kind in classes
        if issubclass(kind, layer) and kind.build is not layer.build and not has_rule(kind)
    }
    assert strange <= WITHOUT_KERNELS


def applications(library):
    return [
        pytest.param(model, id=f"{library.__name__}-{name}", marks=nightly)
        for name, model in vars(library.applications).items()
        if callable(model) and name[0].isupper()
    ]


@pytest.mark.parametrize("make", [case for library in INSTALLED for case in applications(library)])
def test_every_network_of_keras_applications_has_its_rules(make):
    found = [weight.name for weight in prunable_weights(make(weights=None))]
    assert found
    assert not any("layer_scale" in name for name in found)


@BOTH
def test_the_scale_of_a_branch_is_not_pruned(library):
    # The layer of ConvNeXt, which no module of Keras makes public.
    home = sys.modules[library.applications.convnext.ConvNeXtTiny.__module__]
    scale = home.LayerScale(1e-6, 8)
    inputs = library.Input((4, 4, 8))
    model = library.Model(inputs, library.layers.Conv2D(8, 1)(scale(inputs)))
    assert len(scale.weights) == 1
    assert names(model) == ["conv2d/kernel"]


def test_a_class_without_a_rule_names_both_ways_out():
    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")

        def call(self, inputs):
            return inputs * self.scale

    model = keras.Sequential([keras.Input((4,)), Scale()])
    with pytest.raises(ValueError, match=r"Scale has 1 weights.*get_prunable_weights.*pruning_pol"):
        prunable_weights(model)
    assert prunable_weights(model, lambda layer: not isinstance(layer, Scale)) == []


@BOTH
def test_attention_gives_its_four_kernels_told_apart(library):
    inputs = library.Input((5, 8))
    model = library.Model(inputs, library.layers.MultiHeadAttention(2, 4)(inputs, inputs))
    assert names(model) == [
        f"multi_head_attention/{part}/kernel"
        for part in ("query", "key", "value", "attention_output")
    ]


def nested(library):
    layers = library.layers
    inner = library.Sequential([layers.Dense(4), layers.Dense(4)])
    return library.Sequential([library.Input((6,)), layers.Dense(4), inner, layers.Dense(2)])


@BOTH
def test_names_do_not_depend_on_what_was_built_before(library):
    expected = ["dense/kernel", "sequential/dense/kernel", "sequential/dense_1/kernel"]
    expected.append("dense_1/kernel")
    assert names(nested(library)) == names(nested(library)) == expected


@BOTH
def test_a_layer_used_twice_comes_once(library):
    shared = library.layers.Dense(4)
    inputs = library.Input((4,))
    model = library.Model(inputs, shared(shared(inputs)))
    assert names(model) == ["dense/kernel"]


@BOTH
def test_a_single_built_layer_is_as_good_as_a_model(library):
    layer = library.layers.Dense(3)
    layer.build((None, 4))
    (weight,) = prunable_weights(layer)
    assert weight.name == "dense/kernel"
    assert weight.layer is layer
    assert weight.variable is layer.kernel


@BOTH
def test_an_unbuilt_model_is_refused_with_the_remedy(library):
    with pytest.raises(ValueError, match=r"has no weights yet.*keras\.Input"):
        prunable_weights(library.Sequential([library.layers.Dense(3)]))


def scaling_layer(library):
    class Scaling(library.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")
            self.shift = self.add_weight(shape=(shape[-1],), name="shift")
            self.built = True

        def call(self, inputs):
            return inputs * self.scale + self.shift

    return Scaling


@BOTH
def test_a_layer_without_a_rule_is_refused_by_name(library):
    model = library.Sequential([library.Input((4,)), scaling_layer(library)(name="mine")])
    with pytest.raises(ValueError, match=r"'mine' of class .*Scaling.*get_prunable_weights"):
        prunable_weights(model)


@BOTH
def test_a_layer_that_chooses_a_variable_that_is_not_its_own_is_refused(library):
    stray = library.layers.Dense(3)
    stray.build((None, 4))

    class Prunable(scaling_layer(library)):
        def get_prunable_weights(self):
            return [self.scale, stray.kernel]

    model = library.Sequential([library.Input((4,)), Prunable(name="mine")])
    with pytest.raises(
        ValueError, match=r"(?s)'mine' returned .*not among its weights.*add_weight"
    ):
        prunable_weights(model)


@BOTH
def test_a_layer_may_choose_what_is_pruned(library):
    class Prunable(scaling_layer(library)):
        def get_prunable_weights(self):
            return [self.scale]

    model = library.Sequential([library.Input((4,)), Prunable()])
    assert names(model) == ["prunable/scale"]


@BOTH
def test_weights_of_one_name_that_a_layer_chooses_are_told_apart(library):
    class Twice(library.layers.Layer):
        def build(self, shape):
            self.both = [self.add_weight(shape=(shape[-1],), name="scale") for _ in range(2)]
            self.built = True

        def call(self, inputs):
            return inputs * self.both[0] * self.both[1]

        def get_prunable_weights(self):
            return self.both

    model = library.Sequential([library.Input((4,)), Twice()])
    assert names(model) == ["twice/scale", "twice/scale_1"]


@BOTH
def test_layers_that_are_not_allowed_are_not_looked_at(library):
    layers = [library.layers.Dense(4), scaling_layer(library)()]
    model = library.Sequential([library.Input((4,)), *layers])
    found = prunable_weights(model, allow=lambda layer: isinstance(layer, library.layers.Dense))
    assert [weight.name for weight in found] == ["dense/kernel"]


def subclassed(library, **methods):
    class Own(library.Model):
        def __init__(self):
            super().__init__()
            self.dense = library.layers.Dense(3)

        def build(self, shape):
            self.dense.build(shape)
            self.token = self.add_weight(shape=(3,), name="token")
            self.built = True

        def call(self, inputs):
            return self.dense(inputs) + self.token

    model = type("Own", (Own,), methods)()
    model(np.zeros((2, 4), "float32"))
    return model


@BOTH
def test_weights_that_a_model_owns_itself_are_not_skipped_in_silence(library):
    with pytest.raises(ValueError, match=r"\(token\).*get_prunable_weights"):
        prunable_weights(subclassed(library))
    choice = {"get_prunable_weights": lambda self: [self.token]}
    assert names(subclassed(library, **choice)) == ["dense/kernel", "model/token"]


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Expected a model or layer"):
        prunable_weights("model.keras")
