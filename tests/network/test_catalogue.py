"""Every layer class of both Kerases has a row in the catalogue, and one that fits it."""

import keras
import pytest
import tf_keras

from kerasinit._src.network.catalogue import UNKNOWN, exact_row, row_of
from kerasinit._src.network.parts import Kernel, parts
from kerasinit._src.network.prunable import NoRuleError, layer_weights

BOTH = pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
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


SHAPES = {1: (8, 6), 2: (8, 8, 6), 3: (8, 8, 8, 6)}


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
