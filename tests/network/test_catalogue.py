"""Every layer class of both Kerases has a row in the catalogue, and one that fits it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit._src.files import keras_names
from kerasinit._src.network import readings
from kerasinit._src.network.catalogue import UNKNOWN, exact_row, row_of
from kerasinit._src.network.parts import Kernel, parts
from kerasinit._src.network.prunable import NoRuleError, layer_weights
from tests.kerases import INSTALLED, KERASES

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
# Base classes: what derives from them has variables and does something to a signal.
ABSTRACT = {"Layer", "AbstractRNNCell"}


def without_row(layers, base):
    """Return the names of the layer classes in a namespace that have no row of their own."""
    return {
        name
        for name, kind in layers.items()
        if isinstance(kind, type) and issubclass(kind, base) and exact_row(kind) is UNKNOWN
    }


@BOTH
def test_every_layer_class_has_a_row(library):
    assert without_row(vars(library.layers), library.layers.Layer) - ABSTRACT == set()


@BOTH
@pytest.mark.parametrize("base", ["Layer", "Dense"])
def test_a_class_made_up_here_has_none(library, base):
    made_up = type("MadeUp", (getattr(library.layers, base),), {})
    layers = {**vars(library.layers), "MadeUp": made_up}
    assert without_row(layers, library.layers.Layer) - ABSTRACT == {"MadeUp"}


@BOTH
def test_a_subclass_has_the_row_of_its_base_but_no_rule_for_pruning(library):
    class Mine(library.layers.Dense):
        pass

    layer = Mine(3)
    layer.build((None, 4))
    assert row_of(layer) is row_of(library.layers.Dense(3))
    with pytest.raises(NoRuleError, match="get_prunable_weights"):
        layer_weights(layer)


@BOTH
def test_the_row_of_the_nearest_base_counts(library):
    class Mine(library.layers.Conv2DTranspose):  # which tf_keras derives from Conv2D
        pass

    assert row_of(Mine(3, 2)) is exact_row(library.layers.Conv2DTranspose)
    assert row_of(library.layers.Conv2D(3, 2)) is not row_of(Mine(3, 2))


def test_what_is_no_layer_of_keras_has_none():
    class Mine(keras.layers.Layer):
        pass

    assert row_of(Mine()) is row_of(None) is row_of(keras.Sequential()) is UNKNOWN


@BOTH
def test_every_kernel_is_pruned_but_depthwise_ones(library):
    for kind in vars(library.layers).values():
        if isinstance(kind, type) and exact_row(kind).kernels:
            readers = {name: reader for name, (_, reader) in exact_row(kind).kernels.items()}
            wanted = {name for name, reader in readers.items() if reader is not readings.depthwise}
            assert set(exact_row(kind).pruned) == wanted, kind


@BOTH
@pytest.mark.parametrize("name", [*keras_names._VARIABLES, *keras_names._CELLS])
def test_what_is_known_of_files_agrees_with_the_catalogue(library, name):
    known = {**keras_names._VARIABLES, **keras_names._CELLS}[name]
    row = exact_row(getattr(library.layers, name))
    assert row is not UNKNOWN
    assert {*row.kernels, *(row.pruned or ())} <= {one for names in known for one in names}


# What the classes below need to be made.
ARGUMENTS = {
    "Activation": ("tanh",),
    "AlphaDropout": (0.5,),
    "Cropping1D": (1,),
    "Dropout": (0.5,),
    "GaussianDropout": (0.5,),
    "GaussianNoise": (0.5,),
    "Normalization": (-1, 0.5, 2.0),
    "Permute": ((2, 1),),
    "Rescaling": (2.0, 1.0),
    "RepeatVector": (3,),
    "Reshape": ((6, 8),),
}
SHAPES = {1: (8, 6), 2: (8, 8, 6), 3: (8, 8, 8, 6)}


def made(kind):
    """Return a layer of a class and a shape of inputs for it."""
    name = kind.__name__
    rank = int(name[-2]) if name[-2:] in ("1D", "2D", "3D") else 1
    arguments = ARGUMENTS.get(name, ())
    if name.startswith(("Adaptive", "AveragePooling", "DepthwiseConv")):
        arguments = (2,)
    elif name.startswith("SpatialDropout"):
        arguments = (0.5,)
    return kind(*arguments), (6,) if name == "RepeatVector" else SHAPES[rank]


def with_row(**wanted):
    """Return the classes of both Kerases whose row has certain values."""
    kinds = {
        f"{library.__name__}-{kind.__name__}": kind
        for library in INSTALLED
        for kind in vars(library.layers).values()
        if isinstance(kind, type)
        if all(getattr(exact_row(kind), name) == value for name, value in wanted.items())
    }
    return [pytest.param(kind, id=name) for name, kind in kinds.items() if "Input" not in name]


def output(layer, *inputs):
    inputs = [tf.constant(one, tf.float32) for one in inputs]
    return np.asarray(layer(inputs if len(inputs) > 1 else inputs[0]))


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)


@pytest.mark.parametrize("kind", with_row(channels="passes"))
def test_a_channel_that_passes_changes_no_other(kind):
    layer, shape = made(kind)
    x = numbers(shape)
    changed = x.copy()
    changed[..., 4] += 1
    difference = np.abs(output(layer, changed) - output(layer, x))
    assert difference[..., 4].any()
    assert not np.delete(difference, 4, axis=-1).any()


@pytest.mark.parametrize("kind", with_row(signal="passes"))
def test_what_passes_returns_the_same_numbers(kind):
    layer, shape = made(kind)
    x = numbers(shape)
    np.testing.assert_array_equal(np.sort(output(layer, x), None), np.sort(x, None))


@pytest.mark.parametrize("kind", with_row(channels="joins"))
def test_what_joins_does_so_channel_by_channel(kind):
    x, y = numbers((6,)), numbers((6,), 1)
    changed = y.copy()
    changed[:, 4] += 1 + np.abs(x[:, 4])
    changed[:, 4] *= -1
    difference = np.abs(output(kind(), x, changed) - output(kind(), x, y))
    assert not np.delete(difference, 4, axis=-1).any()
    assert output(kind(), x, y).shape == x.shape


@pytest.mark.parametrize("kind", with_row(signal="adds"))
def test_what_adds_returns_the_sum(kind):
    x, y = numbers((6,)), numbers((6,), 1)
    np.testing.assert_allclose(output(kind(), x, y), x + y, rtol=1e-6)


@pytest.mark.parametrize("kind", with_row(signal="multiplies"))
def test_what_multiplies_is_zero_where_one_input_is(kind):
    layer = kind(axes=1) if kind.__name__ == "Dot" else kind()
    assert not output(layer, numbers((6,)), np.zeros((2, 6))).any()


@pytest.mark.parametrize("kind", with_row(signal="normalizes"))
def test_what_normalizes_brings_inputs_to_one_scale(kind):
    if hasattr(kind, "adapt"):
        layer = kind()
        layer.adapt(10 * numbers((6,)))
    elif kind.__name__ == "GroupNormalization":
        layer = kind(groups=2)
    else:
        layer = kind()
    x = tf.constant(10 * numbers((6,)))
    training = {"training": True} if kind.__name__ == "BatchNormalization" else {}
    assert np.abs(np.asarray(layer(x, **training))).max() < 3


@pytest.mark.parametrize("kind", with_row(signal="averages"))
def test_what_averages_keeps_a_constant_and_no_spread(kind):
    layer, shape = made(kind)
    x = numbers(shape)
    assert np.allclose(output(layer, np.full_like(x, 3)), 3)
    assert output(layer, x).std() < x.std()


@BOTH
@pytest.mark.parametrize(
    "name",
    [
        *("Dense", "Embedding", "MultiHeadAttention", "SimpleRNN", "GRU", "LSTM"),
        *(f"Conv{rank}D{kind}" for rank in (1, 2, 3) for kind in ("", "Transpose")),
        *("SeparableConv1D", "SeparableConv2D", "ConvLSTM1D", "ConvLSTM2D"),
    ],
)
def test_prunable_variables_are_kernels_that_are_read(library, name):
    kind = getattr(library.layers, name)
    if name == "MultiHeadAttention":
        inputs = library.Input((8, 6))
        outputs = kind(2, 3)(inputs, inputs)
    elif name in ("Dense", "SimpleRNN", "GRU", "LSTM"):
        inputs = library.Input((8, 6))
        outputs = kind(3)(inputs)
    elif name == "Embedding":
        inputs = library.Input((8,))
        outputs = kind(5, 3)(inputs)
    else:
        rank = int(name.partition("D")[0][-1])
        inputs = library.Input(SHAPES[rank] if "LSTM" not in name else (4, *SHAPES[rank]))
        outputs = kind(3, 2)(inputs)
    model = library.Model(inputs, outputs)
    kernels = {id(part.variable) for part in parts(model) if isinstance(part, Kernel)}
    pruned = {id(variable) for layer in model.layers for variable in layer_weights(layer)}
    assert pruned
    assert pruned <= kernels
    assert not any(part.reading.by_shape for part in parts(model) if isinstance(part, Kernel))
