"""Channels that are constant, not zero, and zeros anywhere: whatever is cut, outputs are equal."""

import numpy as np
import pytest

from kerasinit import shrinking
from tests.kerases import KERASES
from tests.products import each_value_once
from tests.shrinking import networks
from tests.shrinking.cutting import (
    assert_same_outputs,
    each_network,
)
from tests.shrinking.networks import INSTALLED, batch, leaf, make

pytestmark = pytest.mark.filterwarnings("ignore:compact keeps constant channels")

STATISTICS = ("moving_mean", "moving_variance")


def zero(model, wanted, rng, fraction=0.5):
    """Zero what a rule names, of a part of each group's channels, and nothing else of them."""
    for group in shrinking.groups(model):
        channels = rng.permutation(group.size)[: round(fraction * group.size)]
        for one in group.slices:
            if not wanted(one) or group.reason:
                continue
            values = np.array(one.variable)
            for channel in channels:
                index = [slice(None)] * values.ndim
                index[one.axis] = one.positions[channel]
                values[tuple(index)] = 0
            one.variable.assign(values)


RULES = {
    "what makes them": lambda one: one.role == "out" and leaf(one.variable) not in STATISTICS,
    "what reads them": lambda one: one.role == "in",
    "their kernels": lambda one: one.role == "out" and "kernel" in leaf(one.variable),
    "their scales": lambda one: leaf(one.variable) == "gamma",
}


@each_network(every=2, rule=tuple(RULES), fraction=(0.5, 1.0), seed=(0,))
def test_channels_of_which_only_a_part_is_zero(name, rule, fraction, seed, library):
    """What is constant may be folded or kept; the outputs are equal either way."""
    model = make(name, KERASES[library], seed)
    zero(model, RULES[rule], np.random.default_rng(seed), fraction)

    small = shrinking.compact(model)

    assert_same_outputs(model, small, batch(model))
    if rule == "what reads them" and any(not one.reason for one in shrinking.groups(model)):
        assert small.count_params() < model.count_params()


@each_network(every=2, fraction=(0.9, 0.98), seed=(0, 1))
def test_zeros_anywhere(name, fraction, seed, library):
    """Unstructured zeros, as a ticket has them, beside whole columns and rows of them."""
    model, rng = make(name, KERASES[library], seed), np.random.default_rng(seed)
    for variable in model.trainable_variables:
        values = np.array(variable)
        if "kernel" in leaf(variable) or leaf(variable) == "embeddings":
            values[rng.random(values.shape) < fraction] = 0
        elif rng.random() < 0.3:
            values[rng.random(values.shape) < 0.5] = 0
        if values.ndim > 1 and rng.random() < 0.5:
            axis = int(rng.integers(values.ndim))
            index = [slice(None)] * values.ndim
            index[axis] = rng.random(values.shape[axis]) < 0.6
            values[tuple(index)] = 0
        variable.assign(values)

    assert_same_outputs(model, shrinking.compact(model), batch(model))


def dense_model(library, *middle, units=6):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((5,)),
            layers.Dense(units, activation="sigmoid", name="first"),
            *middle,
            layers.Dense(3, name="last"),
        ]
    )


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_a_constant_unit_goes_into_the_next_bias(library):
    model = dense_model(library, library.layers.BatchNormalization())
    networks.randomize(model, 0)
    kernel, bias = model.get_layer("first").get_weights()
    kernel[:, [1, 4]] = 0
    model.get_layer("first").set_weights([kernel, bias])

    small = shrinking.compact(model)

    assert small.get_layer("first").kernel.shape == (5, 4)
    assert small.get_layer("last").kernel.shape == (4, 3)
    assert_same_outputs(model, small, batch(model))


def convolution_model(library, padding, **options):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((7, 7, 2)),
            layers.Conv2D(6, 3, name="first", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("sigmoid"),
            layers.Conv2D(5, 3, padding=padding, name="second", **options),
            layers.Activation("softplus"),
            layers.Conv2D(3, 3, padding=padding, name="last"),
        ]
    )


@each_value_once(library=INSTALLED, padding=("valid", "same"), use_bias=(True, False), rate=(1, 2))
def test_a_constant_channel_is_folded_where_that_is_exact(library, padding, use_bias, rate):
    model = convolution_model(library, padding, use_bias=use_bias, dilation_rate=rate)
    networks.randomize(model, 0)
    kernel = model.get_layer("first").kernel
    values = np.array(kernel)
    values[..., [0, 2, 3]] = 0
    kernel.assign(values)

    small = shrinking.compact(model)

    assert_same_outputs(model, small, batch(model))
    if padding == "valid":
        assert small.get_layer("first").kernel.shape[-1] == 3


@pytest.mark.nightly
@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_a_model_that_is_all_zero_keeps_its_form(library):
    for name in ("mlp", "vgg", "resnet20", "lstm_stack", "densenet"):
        model = make(name, library)
        for variable in model.trainable_variables:
            variable.assign(np.zeros(variable.shape))

        small = shrinking.compact(model)

        assert small.output_shape == model.output_shape
        assert_same_outputs(model, small, batch(model))
