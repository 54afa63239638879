"""What cannot be cut is named, and what is no model is refused, before anything is changed."""

import keras
import numpy as np
import pytest

from kerasinit import shrinking
from tests.shrinking import networks
from tests.shrinking.cutting import (
    assert_same_outputs,
    zero_channels,
)
from tests.shrinking.networks import INSTALLED, batch, make


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_weights_that_are_no_numbers_are_refused(library, value):
    model = make("mlp", library)
    kernel = model.layers[1].kernel
    values = np.array(kernel)
    values[3, 4] = value
    kernel.assign(values)

    with pytest.raises(ValueError, match=r"dense_\d*/kernel.*NaN"):
        shrinking.compact(model)


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
@pytest.mark.parametrize("function", [shrinking.compact, shrinking.groups])
def test_a_model_that_is_not_built_is_refused(library, function):
    model = library.Sequential([library.layers.Dense(3), library.layers.Dense(2)])

    with pytest.raises(ValueError, match=r"not built|built"):
        function(model)


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
@pytest.mark.parametrize("function", [shrinking.compact, shrinking.groups])
def test_a_subclassed_model_is_refused_with_the_way_round(library, function):
    class Subclassed(library.Model):
        def __init__(self):
            super().__init__()
            self.dense = library.layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(np.zeros((1, 4), "float32"))

    with pytest.raises((TypeError, ValueError), match=r"(?i)functional.*Sequential|subclass"):
        function(model)


@pytest.mark.parametrize("wrong", [None, 3, "model.keras", keras.layers.Dense])
def test_what_is_no_model_is_refused(wrong):
    with pytest.raises(TypeError):
        shrinking.compact(wrong)


def custom_layer(library):
    @library.saving.register_keras_serializable("shrinking_tests")
    class Mixing(library.layers.Layer):
        """Mixes the channels in a way that nobody knows."""

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 6), name="kernel")

        def call(self, inputs):
            return inputs @ self.kernel

        def compute_output_shape(self, shape):
            return (*shape[:-1], 6)

    return Mixing


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_a_custom_layer_is_named_and_left_whole(library):
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((5,)),
            layers.Dense(8, activation="sigmoid", name="early"),
            layers.Dense(7, activation="sigmoid", name="before"),
            custom_layer(library)(name="mixing"),
            layers.Dense(9, activation="sigmoid", name="after"),
            layers.Dense(2, name="last"),
        ]
    )
    networks.randomize(model, 0)
    reasons = [one.reason for one in shrinking.groups(model) if one.reason]
    assert any("mixing" in one or "Mixing" in one for one in reasons)
    zero_channels(model, 0.5, np.random.default_rng(0))

    small = shrinking.compact(model)

    assert [one.shape[-1] for one in small.get_weights() if one.ndim == 2] == [4, 7, 6, 5, 2]
    assert small.get_layer("mixing").kernel.shape == (7, 6)
    assert_same_outputs(model, small, batch(model))


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_channels_first_is_cut_or_refused_in_words(library):
    layers = library.layers
    x = inputs = library.Input((3, 8, 8))
    # Without biases, which Keras adds along another axis on a processor.
    options = {"data_format": "channels_first", "use_bias": False}
    x = layers.Conv2D(7, 3, activation="sigmoid", name="early", **options)(x)
    x = layers.BatchNormalization(axis=1)(x)
    x = layers.Conv2D(5, 3, name="late", **options)(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = library.Model(inputs, layers.Dense(2, name="last")(x))
    networks.randomize(model, 0)

    gone = zero_channels(model, 0.5, np.random.default_rng(0))
    small = shrinking.compact(model)

    for layer in small.layers:  # a processor cannot run it: what its weights say must agree
        if layer.name == "early":
            filters = layer.kernel.shape[-1]
        if "BatchNormalization" in type(layer).__name__:
            assert layer.gamma.shape == (filters,)
        if layer.name == "late":
            assert layer.kernel.shape[-2] == filters
            assert layer.kernel.shape[-1] == small.get_layer("last").kernel.shape[0]
    if not gone:
        assert any("channels_first" in one.reason for one in shrinking.groups(model))


@pytest.mark.parametrize("channels", [[99], [-1], [0.5], ["a"], 7.0])
def test_channels_that_are_not_there_cannot_be_zeroed(channels):
    group = next(one for one in shrinking.groups(make("mlp", keras)) if not one.reason)

    with pytest.raises((ValueError, TypeError, IndexError)):
        group.zero(channels)


def test_a_quantized_layer_is_named_and_left_whole():
    inputs = keras.Input((5,))
    x = keras.layers.Dense(8, activation="sigmoid")(inputs)
    x = keras.layers.Dense(7, activation="sigmoid")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    networks.randomize(model, 0)
    zero_channels(model, 0.5, np.random.default_rng(0))
    model.layers[2].quantize("int8")

    assert any("quantized" in group.reason for group in shrinking.groups(model))
    with pytest.warns(UserWarning, match="quantized"):  # what was dead before it stays
        small = shrinking.compact(model)

    assert (8, 7) in {tuple(one.shape) for one in small.layers[2].weights}
    assert_same_outputs(model, small, batch(model))
