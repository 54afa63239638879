"""Biases, by what the layer that has them computes."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import kerasinit
from tests.kerases import KERASES

UNITS = 300
both = pytest.mark.parametrize("kerase", KERASES)


def recurrent(module, name, bias, **more):
    """Return a layer without kernels: its gates are what its bias makes of them."""
    if name == "ConvLSTM2D":
        more |= {"kernel_size": 1, "padding": "same", "recurrent_activation": "sigmoid"}
    if name != "GRU":
        more["unit_forget_bias"] = False
    size = "filters" if name == "ConvLSTM2D" else "units"
    return getattr(module.layers, name)(
        **{size: UNITS},
        kernel_initializer="zeros",
        recurrent_initializer="zeros",
        bias_initializer=bias,
        return_state=True,
        **more,
    )


def after(layer, steps, memory):
    """Return what a layer remembers after so many empty steps."""
    extra = (1, 1) if "Conv" in type(layer).__name__ else ()
    states = 1 if type(layer).__name__ == "GRU" else 2
    start = [tf.fill((1, *extra, UNITS), float(memory)) for _ in range(states)]
    inputs = tf.ones((1, steps, *extra, 1))
    return np.asarray(layer(inputs, initial_state=start)[-1], np.float64).ravel()


@both
@settings(max_examples=25)
@given(st.floats(1e-30, 1 - 1e-6))
def test_a_sigmoid_starts_at_the_given_probability(kerase, probability):
    layer = KERASES[kerase].layers.Dense(
        3,
        "sigmoid",
        kernel_initializer="zeros",
        bias_initializer=kerasinit.PriorProbability(probability),
    )
    found = np.asarray(layer(np.ones((2, 5), "float32")))
    np.testing.assert_allclose(found, probability, rtol=1e-5)


@pytest.mark.parametrize("probability", [5e-324, 1e-300, 1 - 2**-53])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_bias_of_an_extreme_probability_is_finite(probability, dtype):
    (value,) = kerasinit.PriorProbability(probability)((1,), dtype)
    assert value == pytest.approx(scipy.special.logit(probability), rel=1e-3)


@both
@pytest.mark.parametrize("name", ["LSTM", "ConvLSTM2D"])
@pytest.mark.parametrize("value", [0.0, 1.0, 3.0])
def test_the_forget_gate_is_open_as_far_as_asked(kerase, name, value):
    layer = recurrent(KERASES[kerase], name, kerasinit.ForgetBias(UNITS, value))
    forget = scipy.special.expit(value)
    for steps in (1, 7):
        np.testing.assert_allclose(after(layer, steps, 1), forget**steps, rtol=1e-5)


@both
def test_it_is_the_bias_that_keras_makes_by_itself(kerase):
    module = KERASES[kerase]
    made = recurrent(module, "LSTM", kerasinit.ForgetBias(UNITS))
    keras_own = module.layers.LSTM(UNITS, bias_initializer="zeros")
    for layer in (made, keras_own):
        layer.build((None, 3, 1))
    np.testing.assert_array_equal(made.cell.bias.numpy(), keras_own.cell.bias.numpy())


@both
@pytest.mark.parametrize("name", ["LSTM", "ConvLSTM2D"])
def test_the_times_of_an_lstm_are_uniform(kerase, name):
    layer = recurrent(KERASES[kerase], name, kerasinit.Chrono(UNITS, 200, seed=1))
    times = 1 / (1 - after(layer, 1, 1))
    assert scipy.stats.kstest(times, scipy.stats.uniform(2, 198).cdf).pvalue > 1e-4


@both
@pytest.mark.parametrize("reset_after", [True, False])
def test_the_times_of_a_gru_are_uniform(kerase, reset_after):
    layer = recurrent(
        KERASES[kerase],
        "GRU",
        kerasinit.Chrono(UNITS, 200, cell="gru", seed=1),
        reset_after=reset_after,
    )
    times = 1 / (1 - after(layer, 1, 1))
    assert scipy.stats.kstest(times, scipy.stats.uniform(2, 198).cdf).pvalue > 1e-4
    # It remembers for as long: after that time, about 1 / e of the state is left.
    np.testing.assert_allclose(after(layer, 50, 1), (1 - 1 / times) ** 50, rtol=1e-3)


@both
def test_an_lstm_takes_in_as_much_as_it_forgets(kerase):
    layer = recurrent(KERASES[kerase], "LSTM", kerasinit.Chrono(UNITS, 50, seed=1))
    forget = after(layer, 1, 1)
    kernel = np.zeros((1, 4 * UNITS), "float32")
    kernel[:, 2 * UNITS : 3 * UNITS] = 20  # the candidate is now tanh(20) = 1
    layer.set_weights([kernel, *layer.get_weights()[1:]])
    np.testing.assert_allclose(after(layer, 10, 1), 1, rtol=1e-5)
    np.testing.assert_allclose(after(layer, 10, 0), 1 - forget**10, rtol=1e-4)


@given(st.integers(1, 20), st.floats(2.001, 1e6), st.integers(0, 2**40))
def test_chrono_biases_lie_where_they_should(units, longest, seed):
    bias = kerasinit.Chrono(units, longest, seed=seed)((4 * units,)).reshape(4, units)
    np.testing.assert_array_equal(bias[0], -bias[1])
    np.testing.assert_array_equal(bias[2:], 0)
    assert (bias[1] >= 0).all()
    assert (bias[1] <= np.float32(math.log(longest - 1)) * (1 + 1e-6)).all()
    gru = kerasinit.Chrono(units, longest, "gru", seed)((2, 3 * units))
    np.testing.assert_array_equal(gru[0, :units], bias[1])
    np.testing.assert_array_equal(gru[0, units:], 0)
    np.testing.assert_array_equal(gru[1], 0)
    flat = kerasinit.Chrono(units, longest, "gru", seed)((3 * units,))
    np.testing.assert_array_equal(flat, gru[0])


@both
@pytest.mark.parametrize("name", ["LSTM", "ConvLSTM2D"])
@pytest.mark.parametrize("make", [kerasinit.ForgetBias, lambda units: kerasinit.Chrono(units, 9)])
def test_a_layer_that_makes_its_own_forget_bias_is_told_apart(kerase, name, make):
    layers = KERASES[kerase].layers
    if name == "LSTM":
        layer, shape = layers.LSTM(4, bias_initializer=make(4)), (None, 3, 2)
    else:
        layer, shape = layers.ConvLSTM2D(4, 3, bias_initializer=make(4)), (None, 3, 5, 5, 2)
    with pytest.raises(ValueError, match="pass unit_forget_bias=False to the layer"):
        layer.build(shape)


@pytest.mark.parametrize(
    ("name", "arguments", "error", "message"),
    [
        ("PriorProbability", (0,), ValueError, "probability=0; expected a number above 0"),
        ("PriorProbability", (1.0,), ValueError, "probability=1.0; expected a number between"),
        ("PriorProbability", (math.nan,), ValueError, "probability=nan; expected a finite"),
        ("PriorProbability", ("0.1",), TypeError, "probability='0.1'; expected a number"),
        ("ForgetBias", (), TypeError, "units"),
        ("ForgetBias", (0,), ValueError, "units=0; expected a number that is at least 1"),
        ("ForgetBias", (4.0,), TypeError, "units=4.0; expected an integer"),
        ("ForgetBias", (4, math.inf), ValueError, "value=inf; expected a finite"),
        ("Chrono", (4,), TypeError, "max_time"),
        ("Chrono", (4, 2), ValueError, "max_time=2; expected a number above 2"),
        ("Chrono", (4, 9, "GRU"), ValueError, "Did you mean 'gru'\\? Choices: gru, lstm"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(kerasinit, name)(*arguments)


@pytest.mark.parametrize("shape", [(), (12,), (20,), (4, 16), (1, 16), (2, 12)])
def test_a_shape_that_is_no_bias_of_such_an_lstm_is_refused(shape):
    for made in (kerasinit.ForgetBias(4), kerasinit.Chrono(4, 9)):
        with pytest.raises(ValueError, match=r"an LSTM with 4 units, of shape \(16,\); got"):
            made(shape)


@pytest.mark.parametrize("shape", [(), (16,), (4,), (3, 12), (12, 2)])
def test_a_shape_that_is_no_bias_of_such_a_gru_is_refused(shape):
    with pytest.raises(ValueError, match=r"a GRU with 4 units, of shape \(2, 12\), or \(12,\)"):
        kerasinit.Chrono(4, 9, cell="gru")(shape)


@pytest.mark.parametrize("made", [kerasinit.PriorProbability(), kerasinit.ForgetBias(1)], ids=repr)
def test_biases_come_only_in_floating_dtypes(made):
    with pytest.raises(ValueError, match=r"floating-point dtypes only.*got dtype='int32'"):
        made((4,), "int32")


def test_a_forget_bias_that_the_dtype_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="dtype 'float16' cannot hold"):
        kerasinit.ForgetBias(1, 1e5)((4,), "float16")
