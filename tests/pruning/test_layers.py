"""Each layer that has kernels is pruned, with the rule of tfmot, wherever it stands."""

import keras
import numpy as np
import pytest

from kerasinit import pruning
from kerasinit._src.pruning.selection import magnitude_mask
from kerasinit._src.pruning.tfmot_bridge import tfmot
from tests.kerases import KERASES, needs_tfmot

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
layers = keras.layers


def half():
    return pruning.ConstantSparsity(0.5, 0, frequency=1)


def take_a_step(model):
    """Begin one training step, as the callback does in a loop of the user's own."""
    callback = pruning.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_train_batch_begin(0)


def around(layer, shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


def attention(kind, *arguments):
    inputs = keras.Input((5, 8))
    return keras.Model(inputs, kind(*arguments)(inputs, inputs))


def inner_model(shape):
    return keras.Sequential([keras.Input(shape), layers.Dense(4), layers.Dense(3)])


QKVO = [f"{part}/kernel" for part in ("query", "key", "value", "attention_output")]
RECURRENT = ["kernel", "recurrent_kernel"]
# How to make the model, and the names of what is pruned within its layer.
MODELS = {
    "EinsumDense": (lambda: around(layers.EinsumDense("abc,cd->abd", (5, 3)), (5, 2)), ["kernel"]),
    "MultiHeadAttention": (lambda: attention(layers.MultiHeadAttention, 2, 4), QKVO),
    "GroupQueryAttention": (lambda: attention(layers.GroupQueryAttention, 4, 4, 2), QKVO),
    "Bidirectional": (
        lambda: around(layers.Bidirectional(layers.LSTM(3)), (5, 2)),
        [f"{way}/{name}" for way in ("forward", "backward") for name in RECURRENT],
    ),
    "Bidirectional of cells": (
        lambda: around(
            layers.Bidirectional(layers.RNN([layers.GRUCell(3), layers.GRUCell(2)])), (5, 2)
        ),
        [
            f"{way}/{cell}/{name}"
            for way in ("forward", "backward")
            for cell in ("gru_cell", "gru_cell_1")
            for name in RECURRENT
        ],
    ),
    "TimeDistributed": (
        lambda: around(layers.TimeDistributed(layers.Conv2D(3, 2)), (2, 5, 5, 2)),
        ["kernel"],
    ),
    "TimeDistributed of a model": (
        lambda: around(layers.TimeDistributed(inner_model((4,))), (5, 4)),
        ["dense/kernel", "dense_1/kernel"],
    ),
    "ConvLSTM1D": (lambda: around(layers.ConvLSTM1D(3, 2), (3, 6, 2)), RECURRENT),
    "ConvLSTM2D": (lambda: around(layers.ConvLSTM2D(3, 2), (3, 6, 6, 2)), RECURRENT),
    "ConvLSTM3D": (lambda: around(layers.ConvLSTM3D(3, 2), (2, 4, 4, 4, 2)), RECURRENT),
    "SeparableConv1D": (lambda: around(layers.SeparableConv1D(3, 2), (8, 2)), ["pointwise_kernel"]),
    "SeparableConv2D": (
        lambda: around(layers.SeparableConv2D(3, 2), (8, 8, 2)),
        ["pointwise_kernel"],
    ),
    "Conv1DTranspose": (lambda: around(layers.Conv1DTranspose(3, 2), (8, 2)), ["kernel"]),
    "Embedding": (lambda: around(layers.Embedding(7, 3), (5,)), ["embeddings"]),
    "ReversibleEmbedding": (lambda: around(layers.ReversibleEmbedding(7, 3), (5,)), ["embeddings"]),
    "ReversibleEmbedding untied": (
        lambda: around(layers.ReversibleEmbedding(7, 3, tie_weights=False), (5,)),
        ["embeddings", "reverse_embeddings"],
    ),
    "SpectralNormalization": (
        lambda: around(layers.SpectralNormalization(layers.Dense(3)), (4,)),
        ["layer/kernel"],
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_step_of_training_prunes_what_tfmot_would_and_nothing_else(case):
    make, expected = MODELS[case]
    model = make()
    weights = {weight.name: weight.variable for weight in pruning.prunable_weights(model)}
    assert [name.split("/", 1)[1] for name in weights] == expected
    before = [variable.numpy() for variable in model.variables]
    kernels = {name: variable.numpy() for name, variable in weights.items()}
    pruning.prune_low_magnitude(model, half())
    take_a_step(model)
    for name, mask in pruning.masks(model).items():
        np.testing.assert_array_equal(mask, magnitude_mask(kernels[name], 0.5)[0])
        np.testing.assert_array_equal(weights[name].numpy(), kernels[name] * mask)
        assert mask.mean() == pytest.approx(0.5, abs=0.6 / mask.size)
    pruned = {id(variable) for variable in weights.values()}
    for variable, value in zip(model.variables, before, strict=True):
        if id(variable) not in pruned:
            np.testing.assert_array_equal(variable.numpy(), value)


def test_the_kernels_of_a_spectrogram_are_not_pruned():
    model = around(layers.STFTSpectrogram(), (600, 1))
    assert len(model.weights) == 2
    assert pruning.prunable_weights(model) == []


@BOTH
def test_a_layer_wrapped_for_its_spectrum_is_found_in_both_kerases(library):
    wrapped = library.layers.SpectralNormalization(library.layers.Conv2D(3, 2))
    model = library.Sequential([library.Input((6, 6, 2)), wrapped])
    names = [weight.name for weight in pruning.prunable_weights(model)]
    assert names == ["spectral_normalization/layer/kernel"]


def gated(library, *bases):
    class Gated(library.layers.Layer, *bases):
        def build(self, shape):
            # tf_keras calls it at every call of tfmot's wrapper.
            self.wide = self.add_weight(
                shape=(shape[-1], 4), initializer="glorot_uniform", name="wide"
            )
            self.gate = self.add_weight(shape=(4,), initializer="ones", name="gate")
            self.built = True

        def call(self, inputs):
            return self.gate * (inputs @ self.wide)

        def get_prunable_weights(self):
            return [self.wide]

    return Gated


@BOTH
def test_a_prunable_layer_is_pruned_in_both_kerases(library):
    layer = gated(library, pruning.PrunableLayer)()
    model = library.Sequential([library.Input((6,)), layer])
    model = pruning.prune_low_magnitude(model, half())
    model.compile(library.optimizers.SGD(0.0), "mse")
    x, y = np.ones((4, 6), "float32"), np.ones((4, 4), "float32")
    model.fit(x, y, callbacks=[pruning.UpdatePruningStep()], verbose=0)
    assert {name: mask.mean() for name, mask in pruning.masks(model).items()} == {"gated/wide": 0.5}
    assert not (layer.gate.numpy() == 0).any()


@BOTH
def test_a_prunable_layer_that_does_not_choose_cannot_be_made(library):
    class Silent(library.layers.Dense, pruning.PrunableLayer):
        pass

    with pytest.raises(TypeError, match="get_prunable_weights"):
        Silent(3)


@BOTH
def test_a_recurrent_cell_may_choose(library):
    class Cell(library.layers.SimpleRNNCell, pruning.PrunableLayer):
        def get_prunable_weights(self):
            return [self.recurrent_kernel]

    inputs = library.Input((5, 2))
    model = library.Model(inputs, library.layers.RNN(Cell(3))(inputs))
    assert list(pruning.masks(pruning.prune_low_magnitude(model, half()))) == [
        "rnn/recurrent_kernel"
    ]


@needs_tfmot
@BOTH
def test_tfmot_takes_a_prunable_layer_for_one_of_its_own(library):
    layer = gated(library, pruning.PrunableLayer)()
    assert isinstance(layer, tfmot().PrunableLayer)
    assert not isinstance(gated(library)(), tfmot().PrunableLayer)


def test_models_inside_models_are_pruned_each_weight_once():
    inner = inner_model((6,))
    inputs = keras.Input((6,))
    deep = keras.Sequential([keras.Input((3,)), keras.Sequential([layers.Dense(6)])])
    model = keras.Model(inputs, inner(deep(inner(inputs))))
    pruning.prune_low_magnitude(model, half())
    take_a_step(model)
    names = ["sequential/dense/kernel", "sequential/dense_1/kernel"]
    assert {name: mask.mean() for name, mask in pruning.masks(model).items()} == dict.fromkeys(
        [*names, "sequential_1/sequential/dense/kernel"], 0.5
    )


def test_a_layer_shared_by_two_models_is_masked_in_both():
    shared = layers.Dense(8)
    one, two = (keras.Sequential([keras.Input((6,)), shared, layers.Dense(2)]) for _ in range(2))
    pruning.prune_low_magnitude(one, half())
    take_a_step(one)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    kernel = shared.kernel.numpy()
    assert (kernel == 0).mean() == 0.5
    hidden = x @ kernel + shared.bias.numpy()
    np.testing.assert_allclose(two(x), hidden @ two.layers[1].kernel.numpy(), rtol=1e-5, atol=1e-6)
    assert not (two.layers[1].kernel.numpy() == 0).any()


def test_two_pruned_models_that_share_a_layer_agree_on_it():
    shared = layers.Dense(8)
    one, two = (keras.Sequential([keras.Input((6,)), shared, layers.Dense(2)]) for _ in range(2))
    for model in (one, two):
        pruning.prune_low_magnitude(model, half())
    take_a_step(one)
    take_a_step(two)
    name = "dense/kernel"
    np.testing.assert_array_equal(pruning.masks(one)[name], pruning.masks(two)[name])
    assert (shared.kernel.numpy() == 0).mean() == 0.5


@BOTH
def test_the_scope_of_tfmot_opens_in_both_kerases(library, tmp_path):
    model = library.Sequential([library.Input((6,)), library.layers.Dense(2)])
    model = pruning.prune_low_magnitude(model, half())
    model.save(tmp_path / "pruned.keras")
    with pruning.prune_scope():
        loaded = library.models.load_model(tmp_path / "pruned.keras", compile=False)
    assert [type(layer).__name__ for layer in loaded.layers] == [
        type(layer).__name__ for layer in model.layers
    ]
