"""Recurrent kernels made gate by gate, in the recurrent layers of both Kerases."""

import keras
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import kerasinit
from tests.kerases import KERASES

from .table import SEEDED

INPUTS, UNITS = 12, 8
LAYERS = {
    "LSTM": (4, lambda module, **more: module.layers.LSTM(UNITS, **more)),
    "GRU": (3, lambda module, **more: module.layers.GRU(UNITS, reset_after=True, **more)),
    "GRU before": (3, lambda module, **more: module.layers.GRU(UNITS, reset_after=False, **more)),
}


def gates_of(kernel, gates):
    return np.split(np.asarray(kernel, np.float64), gates, axis=-1)


def assert_square_orthogonal(matrix):
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(matrix.shape[1]), rtol=0, atol=1e-5)


def built(name, kerase, **initializers):
    gates, make = LAYERS[name]
    layer = make(KERASES[kerase], **initializers)
    outputs = layer(np.ones((2, 5, INPUTS), np.float32))
    assert np.isfinite(np.asarray(outputs)).all()
    return layer, gates


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("name", LAYERS)
def test_every_gate_of_a_recurrent_kernel_is_orthogonal(name, kerase):
    gates = LAYERS[name][0]
    layer, _ = built(name, kerase, recurrent_initializer=kerasinit.PerGate("Orthogonal", gates))
    matrices = gates_of(layer.cell.recurrent_kernel, gates)
    for matrix in matrices:
        assert matrix.shape == (UNITS, UNITS)
        assert_square_orthogonal(matrix)
    for first in range(gates):
        for second in range(first):
            assert np.abs(matrices[first] - matrices[second]).max() > 0.1


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("name", LAYERS)
def test_a_gate_starts_as_the_identity_where_the_initializer_draws_nothing(name, kerase):
    gates = LAYERS[name][0]
    made = kerasinit.PerGate(kerasinit.Identity(0.5), gates)
    layer, _ = built(name, kerase, recurrent_initializer=made)
    expected = np.concatenate([0.5 * np.eye(UNITS)] * gates, axis=1)
    np.testing.assert_array_equal(layer.cell.recurrent_kernel.numpy(), expected)


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_glorot_counts_the_units_of_one_gate(kind, gates, kerase):
    layer = getattr(KERASES[kerase].layers, kind)(
        96, kernel_initializer=kerasinit.PerGate("GlorotUniform", gates, seed=1)
    )
    layer.build((None, 5, 160))
    limit = np.sqrt(6 / (160 + 96))
    for gate in gates_of(layer.cell.kernel, gates):
        spread = scipy.stats.uniform(-limit, 2 * limit)
        assert scipy.stats.kstest(gate.ravel(), spread.cdf).pvalue > 1e-4


def test_the_gates_are_independent():
    gates = gates_of(kerasinit.PerGate("RandomNormal:stddev=1", 4, seed=1)((200, 800)), 4)
    for first in range(4):
        for second in range(first):
            # The mean of 40,000 products of independent unit normal values.
            assert abs((gates[first] * gates[second]).mean()) < 5 / 200


@pytest.mark.parametrize("kerase", KERASES)
def test_every_gate_of_a_convolutional_lstm_is_an_orthogonal_convolution(kerase):
    layer = KERASES[kerase].layers.ConvLSTM2D(
        6,
        3,
        kernel_initializer=kerasinit.PerGate("ConvOrthogonal"),
        recurrent_initializer=kerasinit.PerGate(kerasinit.DeltaOrthogonal(0.5)),
    )
    layer(np.ones((1, 2, 5, 5, 4), np.float32))
    for gate in gates_of(layer.cell.kernel, 4):
        assert gate.shape == (3, 3, 4, 6)
        at_frequencies = np.fft.fft2(gate, (8, 8), axes=(0, 1))
        products = at_frequencies @ at_frequencies.conj().swapaxes(2, 3)
        assert np.abs(products - np.eye(4)).max() < 1e-6
    for gate in gates_of(layer.cell.recurrent_kernel, 4):
        assert gate.shape == (3, 3, 6, 6)
        assert_square_orthogonal(2 * gate[1, 1])
        gate[1, 1] = 0
        assert not gate.any()


@pytest.mark.parametrize("kerase", KERASES)
def test_an_lstm_with_an_orthogonal_kernel_passes_the_length_of_its_input_to_every_gate(kerase):
    """What a step adds to the gates, seen through the layer's own arithmetic."""
    layer, _ = built("LSTM", kerase, kernel_initializer=kerasinit.PerGate("Orthogonal", seed=1))
    matrices = gates_of(layer.cell.kernel, 4)
    direction = np.random.default_rng(1).normal(size=UNITS)
    for matrix in matrices:  # 12 inputs, 8 units: orthonormal columns
        assert np.linalg.norm(matrix @ direction) == pytest.approx(np.linalg.norm(direction), 1e-5)
    # Candidate tanh, input and output gates at sigmoid, forget gate without a past.
    x = np.random.default_rng(2).normal(size=INPUTS)
    i, _, c, o = (x @ matrix for matrix in matrices)

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    expected = sigmoid(o) * np.tanh(sigmoid(i) * np.tanh(c))
    outputs = np.asarray(layer(x[None, None].astype(np.float32)))[0]
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kerase", KERASES)
def test_a_simple_rnn_of_relus_that_starts_as_the_identity_adds_up_what_it_sees(kerase):
    layer = KERASES[kerase].layers.SimpleRNN(
        UNITS,
        "relu",
        kernel_initializer=kerasinit.Identity(),
        recurrent_initializer=kerasinit.Identity(),
        return_sequences=True,
    )
    seen = np.random.default_rng(1).integers(0, 9, size=(2, 20, UNITS)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(layer(seen)), np.cumsum(seen, axis=1))


@pytest.mark.parametrize("kerase", KERASES)
def test_a_simple_rnn_has_one_gate(kerase):
    made = kerasinit.PerGate("Orthogonal", gates=1, seed=1)
    layer = KERASES[kerase].layers.SimpleRNN(UNITS, recurrent_initializer=made)
    layer(np.ones((2, 5, INPUTS), np.float32))
    assert_square_orthogonal(np.asarray(layer.cell.recurrent_kernel))


@pytest.mark.parametrize("kerase", KERASES)
def test_both_directions_of_a_bidirectional_layer_have_it(kerase):
    module = KERASES[kerase]
    inner = module.layers.GRU(UNITS, recurrent_initializer=kerasinit.PerGate("Orthogonal", 3))
    layer = module.layers.Bidirectional(inner)
    layer(np.ones((2, 5, INPUTS), np.float32))
    kernels = [half.cell.recurrent_kernel for half in (layer.forward_layer, layer.backward_layer)]
    for kernel in kernels:
        for gate in gates_of(kernel, 3):
            assert_square_orthogonal(gate)
    assert not np.array_equal(*map(np.asarray, kernels))


@given(
    st.sampled_from([case for case in SEEDED if case.kind == "matrix"]),
    st.integers(1, 6),
    st.integers(0, 2**64),
)
def test_a_gate_by_gate_initializer_of_anything_round_trips(case, gates, seed):
    made = kerasinit.PerGate(case.make(), gates, seed)
    shape = (5, 4 * gates)
    for module in KERASES.values():
        saved = module.initializers.serialize(made)
        again = module.initializers.get(saved)
        assert again.get_config() == made.get_config()
        np.testing.assert_array_equal(again(shape), made(shape))


def test_an_instance_a_name_and_a_configuration_are_the_same():
    instance = kerasinit.HeNormal(negative_slope=0.5)
    ways = (
        instance,
        "HeNormal:negative_slope=0.5",
        keras.saving.serialize_keras_object(instance),
    )
    first, *others = [kerasinit.PerGate(way, seed=1)((6, 8)) for way in ways]
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("kerase", KERASES)
def test_a_last_axis_that_does_not_divide_into_gates_is_refused(kerase):
    layer = KERASES[kerase].layers.LSTM(4, kernel_initializer=kerasinit.PerGate(gates=3))
    with pytest.raises(ValueError, match=r"into 3 gates .* got shape \(5, 16\).*GRU"):
        layer.build((None, 7, 5))
    with pytest.raises(ValueError, match="equal size; got shape \\(\\)"):
        kerasinit.PerGate("Zeros")(())


def test_an_integer_dtype_is_refused_even_for_an_initializer_that_draws_nothing():
    with pytest.raises(ValueError, match="PerGate supports floating-point dtypes only"):
        kerasinit.PerGate("Ones")((4, 4), "int32")
