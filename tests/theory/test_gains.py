"""Gains against closed forms, against another integrator, and through real layers."""

import functools
import math

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import kerasinit
from kerasinit._src.theory import gains
from kerasinit._src.theory.gains import gain, stability
from tests.kerases import KERASES, since_keras, tf_keras

UNFIT = {"glu", "log_softmax", "softmax", "sparsemax", "threshold"}
ELEMENTWISE = sorted(set(gains._names()) - UNFIT)
FIGURES = {
    "relu": (1.41421, 1.71286, 1.0),
    "gelu": (1.53353, 1.70093, 1.144),
    "silu": (1.67653, 1.78719, 1.173),
    "tanh": (1.59254, 1.59254, 0.461),
    "mish": (1.48685, 1.59203, 1.076),
    "elu": (1.24520, 1.27084, 0.891),
    "selu": (1.0, 1.0, 0.783),
}
# Formulas of our own, for the integrator of scipy.
WRITTEN = {
    "relu": lambda z: max(z, 0.0),
    "gelu": lambda z: z * scipy.special.ndtr(z),
    "silu": lambda z: z * scipy.special.expit(z),
    "tanh": math.tanh,
    "mish": lambda z: z * math.tanh(np.logaddexp(0, z)),
    "elu": lambda z: z if z > 0 else math.expm1(z),
    "softplus": lambda z: np.logaddexp(0, z),
    "sigmoid": scipy.special.expit,
    "hard_tanh": lambda z: min(max(z, -1.0), 1.0),
}


def expected(function, variance=1.0):
    """Return E[function(z)], z ~ N(0, variance), by scipy."""
    deviation = math.sqrt(variance)
    return sum(
        scipy.integrate.quad(
            lambda z: function(z) * math.exp(-z * z / 2 / variance),
            *ends,
            epsabs=1e-13,
            epsrel=1e-12,
            limit=200,
        )[0]
        for ends in ((-12, -1), (-1, 0), (0, 1), (1, 12))
    ) / (deviation * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("name", FIGURES)
def test_the_gains_are_the_known_ones(name):
    second, centred, slope = FIGURES[name]
    assert gain(name) == pytest.approx(second, abs=5e-6)
    assert gain(name, "centred") == pytest.approx(centred, abs=5e-6)
    assert stability(name).variance_slope == pytest.approx(slope, abs=5e-4)


@pytest.mark.parametrize("name", WRITTEN)
def test_another_integrator_finds_the_same(name):
    function = WRITTEN[name]
    mean, square = expected(function), expected(lambda z: function(z) ** 2)
    assert gain(name) == pytest.approx(1 / math.sqrt(square), rel=1e-8)
    assert gain(name, "centred") == pytest.approx(1 / math.sqrt(square - mean**2), rel=1e-8)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_slopes_are_those_of_the_map(name):
    function = WRITTEN[name]
    step = 1e-3

    def second(variance):
        return expected(lambda z: function(z) ** 2, variance)

    def centred(variance):
        return second(variance) - expected(function, variance) ** 2

    for mode, map_ in (("second_moment", second), ("centred", centred)):
        slope = (map_(1 + step) - map_(1 - step)) / (2 * step) / map_(1)
        assert stability(name, mode).variance_slope == pytest.approx(slope, abs=1e-5)
        assert stability(name, mode).gain == gain(name, mode)


@pytest.mark.parametrize(
    ("name", "derivative"),
    [
        ("tanh", lambda z: 1 / math.cosh(z) ** 2),
        ("gelu", lambda z: scipy.special.ndtr(z) + z * scipy.stats.norm.pdf(z)),
        ("elu", lambda z: 1 if z > 0 else math.exp(z)),
        ("hard_tanh", lambda z: abs(z) < 1),
        ("softplus", scipy.special.expit),
    ],
)  # fmt: skip
def test_the_slope_of_the_correlation_is_that_of_the_derivative(name, derivative):
    chi = gain(name) ** 2 * expected(lambda z: float(derivative(z)) ** 2)
    assert stability(name).correlation_slope == pytest.approx(chi, rel=1e-8)


def test_only_what_stays_near_its_fixed_point_is_called_stable():
    found = {name: stability(name).stable for name in FIGURES}
    assert found == {
        "relu": True, "gelu": False, "silu": False, "tanh": True, "mish": False, "elu": True,
        "selu": True,
    }  # fmt: skip


@given(st.floats(-50, 50))
def test_a_leaky_unit_has_the_gain_of_its_closed_form(slope):
    expected = math.sqrt(2 / (1 + slope**2))
    # TensorFlow rounds the slope to float32.
    assert gain("leaky_relu", negative_slope=slope) == pytest.approx(expected, rel=1e-7)
    assert gain("leaky_relu", "torch", slope) == pytest.approx(expected, rel=1e-12)
    assert stability("leaky_relu", negative_slope=slope).stable


@given(
    st.sampled_from(ELEMENTWISE),
    st.floats(1e-6, 1e6).flatmap(lambda size: st.sampled_from([size, -size])),
    st.sampled_from(["second_moment", "centred"]),
)
def test_the_gain_of_a_multiple_is_the_gain_divided(name, factor, mode):
    function = getattr(keras.activations, name)
    scaled = gain(lambda x: factor * keras.ops.convert_to_numpy(function(x)), mode)
    assert scaled == pytest.approx(gain(name, mode) / abs(factor), rel=1e-9)


@given(st.floats(-3, 3))
def test_a_kink_and_a_jump_may_stand_anywhere(place):
    above = scipy.special.ndtr(-place)
    density = math.exp(-place * place / 2) / math.sqrt(2 * math.pi)
    square = (1 + place**2) * above - place * density
    assert gain(lambda x: np.maximum(x - place, 0)) == pytest.approx(square**-0.5, rel=1e-9)
    assert gain(lambda x: (x > place).astype(float)) == pytest.approx(above**-0.5, rel=1e-9)
    variance = above * (1 - above)
    assert gain(lambda x: x > place, "centred") == pytest.approx(variance**-0.5, rel=1e-9)


@given(st.floats(-3, 3))
def test_a_jump_has_no_finite_slope_of_the_correlation_and_a_kink_has(place):
    assert stability(lambda x: x + (x > place)).correlation_slope == math.inf
    kinked = stability(lambda x: np.maximum(x - place, 0))
    share = scipy.special.ndtr(-place)
    assert kinked.correlation_slope == pytest.approx(kinked.gain**2 * share, rel=1e-5)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_activation_of_keras_has_a_gain_as_a_name_and_as_a_function(name):
    made = gain(name)
    assert math.isfinite(made)
    assert made > 0
    assert gain(getattr(keras.activations, name)) == made
    assert gain(functools.partial(getattr(keras.activations, name))) == pytest.approx(made)


@pytest.mark.parametrize("kerase", KERASES)
def test_activation_layers_have_the_gain_of_what_they_compute(kerase):
    layers = KERASES[kerase].layers
    leaky = math.sqrt(2 / (1 + 0.09))
    assert gain(layers.LeakyReLU(0.3)) == pytest.approx(leaky)
    assert gain(layers.PReLU("ones")) == pytest.approx(1)
    assert gain(layers.PReLU(shared_axes=[1, 2])) == pytest.approx(math.sqrt(2))
    assert gain(layers.Activation("gelu", dtype="float16")) == pytest.approx(gain("gelu"))
    assert gain(layers.ReLU(max_value=1.0)) == pytest.approx(
        expected(lambda z: min(max(z, 0), 1) ** 2) ** -0.5
    )


def test_a_layer_is_left_as_it_was():
    layer = keras.layers.PReLU()
    gain(layer)
    assert not layer.built
    assert layer.weights == []


def test_the_functions_of_tf_keras_are_their_own():
    # Its hard_sigmoid has another slope than that of Keras 3, to which the name belongs.
    square = expected(lambda z: min(max(0.2 * z + 0.5, 0), 1) ** 2)
    found = gain(tf_keras.activations.hard_sigmoid)
    assert found == pytest.approx(square**-0.5, rel=1e-8)
    assert abs(found - gain("hard_sigmoid")) > 0.01
    assert gain(tf_keras.activations.gelu) == pytest.approx(gain("gelu"), rel=1e-12)


def test_any_function_of_an_array_or_a_tensor_will_do():
    for function in (
        lambda x: x * (x > 0),
        tf.nn.relu,
        lambda x: tf.where(x > 0, x, tf.zeros_like(x)),
        lambda x: keras.ops.maximum(x, 0),
        lambda x: np.maximum(x, 0, out=x),
    ):
        assert gain(function) == pytest.approx(math.sqrt(2), rel=1e-12)
    # In float32 no more than float32 can be had.
    assert gain(lambda x: np.maximum(x, 0).astype("float32")) == pytest.approx(math.sqrt(2))


def test_a_gain_may_be_asked_for_while_a_function_is_traced():
    gains._moments_of_name.cache_clear()
    found = []
    tf.function(lambda: found.append(gain("tanh")))()
    assert found == [pytest.approx(1.5925374)]


def test_no_activation_is_the_linear_one():
    assert gain(None) == gain("linear") == pytest.approx(1, rel=1e-12)


def test_torch_mode_is_pytorchs_table():
    table = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": 2**0.5, "selu": 0.75}
    assert {name: gain(name, "torch") for name in table} == table
    assert gain("leaky_relu", "torch") == math.sqrt(2 / (1 + 0.01**2))
    assert gain(keras.activations.tanh, "torch") == 5 / 3


def test_a_leaky_name_without_a_slope_has_the_slope_of_keras():
    assert gain("leaky_relu") == gain("leaky_relu", negative_slope=0.2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("gelo",), ValueError, "Unknown activation 'gelo'. Did you mean 'gelu'\\? Choices: celu"),
        (("gelu", "centered"), ValueError, "Did you mean 'centred'\\? Choices: centred, second_mo"),
        (("gelu", "torch"), ValueError, "PyTorch's table 'gelu'.*Choices: leaky_relu, linear, rel"),
        ((np.tanh, "torch"), ValueError, "The mode 'second_moment' supports every activation"),
        (("relu", "second_moment", 0.1), ValueError, "requires the activation 'leaky_relu'; got"),
        (("leaky_relu", "torch", math.inf), ValueError, "finite number; got inf"),
        (("leaky_relu", "torch", "0.1"), TypeError, "negative_slope to be a number; got '0.1'"),
        ((3,), TypeError, "got 3 of type int"),
        (("softmax",), ValueError, "'softmax' is not elementwise: its outputs depend on"),
        (("glu",), ValueError, "'glu' is not elementwise: it maps the shape"),
        ((keras.layers.Softmax(),), ValueError, "Softmax.* is not elementwise"),
        ((lambda x: x / np.abs(x).max(),), ValueError, "not elementwise"),
        ((lambda x: np.random.default_rng().normal(size=x.shape),), ValueError, "not elementwise"),
        ((np.zeros_like,), ValueError, "zero everywhere"),
        ((np.ones_like, "centred"), ValueError, "constant everywhere"),
        ((np.sqrt,), ValueError, "not finite at -0.0026"),
        ((lambda x: np.exp(x * x / 4),), ValueError, "second moment of its output is not finite"),
        ((lambda x: np.sin(1e6 * x),), ValueError, "too rough to integrate"),
        ((lambda: None,), ValueError, "cannot be applied to an array"),
        (("threshold",), ValueError, "missing 2 required positional arguments"),
        pytest.param(
            *((keras.layers.Lambda(lambda x: x),), ValueError, "Give its function instead"),
            marks=since_keras("3.12.4", "no Lambda is copied by its configuration"),
        ),
    ],
)  # fmt: skip
def test_what_has_no_gain_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        gain(*arguments)


def test_a_constant_has_a_gain_where_the_mean_counts():
    assert gain(lambda x: np.full_like(x, 2)) == pytest.approx(0.5)


def test_stability_knows_no_mode_without_a_fixed_point():
    with pytest.raises(ValueError, match=r"Unknown mode 'torch'.* Choices: centred, second_moment"):
        stability("tanh", "torch")


def test_a_name_is_integrated_once():
    gains._moments_of_name.cache_clear()
    for mode in ("second_moment", "centred"):
        gain("gelu", mode)
        gain(keras.activations.gelu, mode)
    assert gains._moments_of_name.cache_info().misses == 1


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("name", ["gelu", "tanh", "leaky_relu"])
def test_a_layer_with_the_gain_passes_on_the_second_moment(kerase, name):
    module = KERASES[kerase]
    width = 1024
    made = kerasinit.VarianceScaling(gain(name) ** 2, seed=1)
    active = getattr(keras.activations, name)
    # One activation for both: tf_keras' LeakyReLU has another slope, and gelu no layer.
    layer = module.layers.Dense(width, kernel_initializer=made, use_bias=False)
    signal = kerasinit.RandomNormal(stddev=1, seed=2)((256, width))
    after = np.asarray(layer(np.asarray(active(signal))), np.float64)
    # Each of the 1024 weights' columns has its own variance, and the 256 rows share them.
    moments = (after**2).mean(axis=0)
    assert abs(moments.mean() - 1) < 5 * moments.std() / math.sqrt(width) + 0.01


def test_numbers_that_went_through_float32_on_the_way_do_for_a_gain():
    # As Keras' tanh does on JAX with 64 bits: float64 by its dtype, not by its digits.
    def rounded(z):
        return np.tanh(z).astype(np.float32) + np.maximum(z, 0)

    def exact(z):
        return np.tanh(z) + np.maximum(z, 0)

    found, expected = kerasinit.stability(rounded), kerasinit.stability(exact)
    assert found.gain == pytest.approx(expected.gain, rel=1e-7)
    assert found.variance_slope == pytest.approx(expected.variance_slope, rel=1e-6)
    assert found.correlation_slope == pytest.approx(expected.correlation_slope, rel=1e-3)
