"""Initializers of one network each, held against what their papers say of it."""

import itertools
import math

import keras
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import kerasinit
from tests.kerases import KERASES, hears_of_axes

WIDTH, DEPTH, OMEGA = 512, 12, 30.0
both = pytest.mark.parametrize("kerase", KERASES)


def assert_uniform(values, limit):
    values = np.asarray(values, np.float64).ravel() / limit
    assert scipy.stats.kstest(values, scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-4


@both
@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        ({}, math.sqrt(6 / 300) / 30),
        ({"omega": 5}, math.sqrt(6 / 300) / 5),
        ({"first": True}, 1 / 300),
        ({"first": True, "omega": 5}, 1 / 300),
    ],
)
def test_the_weights_of_a_siren_are_those_of_the_paper(kerase, arguments, limit):
    layer = KERASES[kerase].layers.Dense(
        200, kernel_initializer=kerasinit.Siren(seed=1, **arguments)
    )
    layer.build((None, 300))
    assert_uniform(layer.kernel.numpy(), limit)


@both
def test_a_convolution_counts_its_window(kerase):
    layer = KERASES[kerase].layers.Conv2D(64, 3, kernel_initializer=kerasinit.Siren(seed=1))
    layer.build((None, 8, 8, 32))
    assert_uniform(layer.kernel.numpy(), math.sqrt(6 / 288) / 30)


@pytest.fixture(scope="module", params=KERASES)
def signals(request):
    """Return what goes into the sines of a network of each Keras, layer by layer."""
    layers = KERASES[request.param].layers
    grid = np.linspace(-1, 1, 24, dtype="float32")
    signal = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    found = []
    for depth in range(DEPTH):
        layer = layers.Dense(
            WIDTH,
            kernel_initializer=kerasinit.Siren(OMEGA, first=depth == 0, seed=depth),
            use_bias=False,
        )
        found.append(OMEGA * np.asarray(layer(signal), np.float64))
        signal = np.sin(found[-1]).astype("float32")
    return found


def test_what_goes_into_a_sine_keeps_its_variance_through_depth(signals):
    first, *hidden = [(signal**2).mean(axis=0) for signal in signals]
    # The first layer: 30^2 * fan_in * Var(w) * mean square of the coordinates.
    grid = np.linspace(-1, 1, 24)
    expected = OMEGA**2 * 2 * (1 / 12) * (grid**2).mean()
    assert abs(first.mean() - expected) < 5 * first.std() / math.sqrt(WIDTH)
    # Then, of a sine that spans several periods, 1; and from there by the map. Given the
    # layer before, units are independent, each with a variance of its own.
    errors = [5 * units.std() / math.sqrt(WIDTH) for units in hidden]
    assert abs(hidden[0].mean() - 1) < errors[0]
    for (before, now), error in zip(itertools.pairwise(hidden), errors[1:], strict=True):
        assert abs(now.mean() - (1 - math.exp(-2 * before.mean()))) < error
    # What chance added on the way is brought back: the map's slope is 0.41 there.
    assert abs(hidden[-1].mean() - 0.7968) < errors[-1] / (1 - 0.41)


def test_what_goes_into_a_sine_is_normal(signals):
    # At one input the units of a layer are independent.
    for signal in signals[1:]:
        for place in (0, 100, 301):
            units = signal[place]
            assert scipy.stats.kstest(units / units.std(), scipy.stats.norm.cdf).pvalue > 1e-4


@given(st.floats(0.1, 1000), st.integers(0, 2**40))
def test_omega_is_taken_out_of_the_weights_again(omega, seed):
    reference = kerasinit.Siren(1.0, seed=seed)((20, 5))
    np.testing.assert_allclose(
        omega * kerasinit.Siren(omega, seed=seed)((20, 5)), reference, rtol=1e-5, atol=1e-7
    )


@hears_of_axes
def test_keras_tells_a_siren_the_axes_of_its_kernels():
    layer = keras.layers.EinsumDense(
        "abc,cde->abde", (None, 8, 16), kernel_initializer=kerasinit.Siren(seed=1)
    )
    layer.build((None, 6, 256))
    assert_uniform(layer.kernel.numpy(), math.sqrt(6 / 256) / 30)
    attention = keras.layers.MultiHeadAttention(8, 32, kernel_initializer=kerasinit.Siren())
    attention.build((None, 6, 256), (None, 6, 256))
    for weight in attention.weights:
        if len(weight.shape) == 3:
            assert_uniform(weight.numpy(), math.sqrt(6 / 256) / 30)


@both
def test_explicit_axes_are_used_in_both_kerases(kerase):
    made = kerasinit.Siren(seed=1, input_axes=[0], output_axes=[1, 2])
    layer = KERASES[kerase].layers.EinsumDense(
        "abc,cde->abde", (None, 8, 16), kernel_initializer=made
    )
    layer.build((None, 6, 256))
    assert_uniform(layer.kernel.numpy(), math.sqrt(6 / 256) / 30)


@both
def test_the_kernels_of_alexnet_are_normal_and_look_at_no_fans(kerase):
    for units, inputs in ((64, 48), (256, 12)):
        layer = KERASES[kerase].layers.Conv2D(units, 5, kernel_initializer=kerasinit.AlexNet(1))
        layer.build((None, 32, 32, inputs))
        values = layer.kernel.numpy().astype(np.float64).ravel() / 0.01
        assert scipy.stats.kstest(values, scipy.stats.norm.cdf).pvalue > 1e-4
        assert abs((values**2).mean() - 1) < 5 * math.sqrt(2 / values.size)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"omega": 0}, ValueError, "omega=0; expected a number above 0"),
        ({"omega": math.inf}, ValueError, "omega=inf; expected a finite"),
        ({"omega": "30"}, TypeError, "omega='30'; expected a number"),
        ({"first": 1}, TypeError, "first=1; expected True or False"),
        ({"input_axes": [0]}, ValueError, "give both or neither"),
        ({"input_axes": 0, "output_axes": 1}, TypeError, "expected a list of axes"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        kerasinit.Siren(**arguments)
