"""What becomes of a signal in fifty layers: the reason why the scale of weights matters.

Plain networks of width 512 on standard normal inputs. Measured is the drift, the
logarithm of the last layer's second moment over that of the first, before the
activation. It differs from seed to seed (each layer's weights are drawn once), so it is
held against its figure by its own spread.
"""

import functools
import math

import numpy as np
import pytest
import scipy.special

import kerasinit
from kerasinit._src.initializers.sampling import Stream, normal
from tests.kerases import KERASES

WIDTH, DEPTH, INPUTS, TRIALS = 512, 50, 32, 8
SLOPE = 0.3


def leaky(x):
    return np.where(x > 0, x, np.float32(SLOPE) * x)


def selu(x):
    return np.float32(1.05070099) * np.where(
        x > 0, x, np.float32(1.67326324) * np.expm1(np.minimum(x, 0))
    )


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": leaky,
    "selu": selu,
    "tanh": np.tanh,
    "gelu": lambda x: x * scipy.special.ndtr(x),
}
INITIALIZERS = {
    "He": kerasinit.HeNormal,
    "He with the slope": functools.partial(kerasinit.HeNormal, negative_slope=SLOPE),
    "Glorot": kerasinit.GlorotNormal,
    "LeCun": kerasinit.LecunNormal,
    "tanh's gain of PyTorch": functools.partial(
        kerasinit.VarianceScaling, kerasinit.gain("tanh", "torch") ** 2
    ),
    "gelu's gain": functools.partial(kerasinit.VarianceScaling, kerasinit.gain("gelu") ** 2),
}
# The mean over 8 other seeds, as far as it was written down.
FIGURES = {
    ("He", "relu"): -0.2,
    ("He", "leaky_relu"): 4.3,
    ("He with the slope", "leaky_relu"): 0.1,
    ("Glorot", "relu"): -34.8,
    ("LeCun", "selu"): 0.0,
    ("LeCun", "tanh"): -4.6,
    ("tanh's gain of PyTorch", "tanh"): -0.9,
    ("gelu's gain", "gelu"): 7.5,
}
ROUNDING = 0.05


def seed_of(trial, layer):
    return 1000 * trial + layer


def inputs_of(trial):
    return normal(Stream(10**6 + trial), (INPUTS, WIDTH), np.dtype("float32"))


def drift_of(first, last):
    return math.log((last.astype(np.float64) ** 2).mean() / (first.astype(np.float64) ** 2).mean())


@functools.cache
def factor_of(name):
    """Return by how much an initializer's weights are larger than LeCun's of the same seed.

    All are one distribution in different sizes, so the weights need be drawn only once.
    """
    shape, seed = (WIDTH, WIDTH), seed_of(0, 0)
    weights, unit = INITIALIZERS[name](seed=seed)(shape), kerasinit.LecunNormal(seed)(shape)
    factor = np.float32(np.abs(weights).sum() / np.abs(unit).sum())
    np.testing.assert_allclose(weights, factor * unit, rtol=1e-5)
    return factor


@functools.cache
def drifts():
    """Return the drift of each trial, for each initializer and activation with a figure."""
    found = {setting: [] for setting in FIGURES}
    factors = np.array([factor_of(name) for name, _ in FIGURES])[:, None, None]
    for trial in range(TRIALS):
        signals = np.stack([inputs_of(trial)] * len(FIGURES))
        for layer in range(DEPTH):
            unit = kerasinit.LecunNormal(seed_of(trial, layer))((WIDTH, WIDTH))
            # One product for all settings.
            before = factors * (signals.reshape(-1, WIDTH) @ unit).reshape(signals.shape)
            if layer == 0:
                first = before
            for index, (_, activation) in enumerate(FIGURES):
                signals[index] = ACTIVATIONS[activation](before[index])
        for setting, start, end in zip(FIGURES, first, before, strict=True):
            found[setting].append(drift_of(start, end))
    return {setting: np.array(values) for setting, values in found.items()}


@pytest.mark.parametrize(("name", "activation"), FIGURES)
def test_the_signal_drifts_as_far_as_it_is_known_to(name, activation):
    values = drifts()[name, activation]
    # Both means, ours and the one written down, are of as many seeds.
    error = values.std(ddof=1) * math.sqrt(2 / TRIALS)
    assert abs(values.mean() - FIGURES[name, activation]) < 5 * error + ROUNDING


@pytest.mark.parametrize(
    ("name", "activation"),
    [("He", "relu"), ("He with the slope", "leaky_relu")],
)
def test_the_gain_of_a_piecewise_linear_unit_leaves_only_chance(name, activation):
    values = drifts()[name, activation]
    # In a layer of width n the logarithm of the second moment, given the layer before,
    # is lower than that of its mean by half its variance: log E[e^x] = E[x] + var / 2.
    chance = values.mean() + values.var(ddof=1) / 2
    assert abs(chance) < 5 * values.std(ddof=1) / math.sqrt(TRIALS)


def test_where_the_map_is_not_stable_no_gain_keeps_the_signal():
    unstable = drifts()["gelu's gain", "gelu"]
    assert not kerasinit.stability("gelu").stable
    assert unstable.min() > 5
    for name, activation in (("LeCun", "selu"), ("tanh's gain of PyTorch", "tanh")):
        assert kerasinit.stability(activation).stable
        # The spread over seeds does not grow with depth either.
        assert drifts()[name, activation].std() < 0.1


@pytest.mark.parametrize("kerase", KERASES)
def test_fifty_layers_of_keras_do_what_the_matrices_do(kerase):
    module = KERASES[kerase]
    initializers = INITIALIZERS["He with the slope"]
    signal = inputs_of(0)
    first = last = None
    for layer in range(DEPTH):
        dense = module.layers.Dense(
            WIDTH, kernel_initializer=initializers(seed=seed_of(0, layer)), use_bias=False
        )
        last = dense(signal)
        first = last if first is None else first
        signal = module.layers.LeakyReLU(SLOPE)(last)
    drift = drift_of(np.asarray(first), np.asarray(last))
    assert drift == pytest.approx(drifts()["He with the slope", "leaky_relu"][0], abs=1e-3)
