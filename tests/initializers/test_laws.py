"""The law of an initializer is the distribution of its values."""

import math

import keras
import numpy as np
import pytest
from scipy import integrate, stats

import kerasinit
from kerasinit import initializers
from kerasinit._src.initializers.laws import law_of
from tests.kerases import INSTALLED

SHAPE = (300, 200)
# Whose values are constant, not identically distributed, or neither normal nor uniform.
WITHOUT = {
    "Bilinear", "Chrono", "Constant", "ConvOrthogonal", "ConvolutionAware", "DeltaOrthogonal",
    "Dirac", "ForgetBias", "FromModel", "ICNR", "Identity", "Ones", "Orthogonal", "PerGate",
    "PriorProbability", "STFT", "Sparse", "WinningTicket", "ZerO", "Zeros",
}  # fmt: skip
SPECIAL = [
    ("RandomNormal", {"mean": 1, "stddev": 0.5}),
    ("RandomUniform", {"minval": -1, "maxval": 3}),
    ("TruncatedNormal", {"mean": 2, "stddev": 0.5, "bounds": (0, None)}),
    ("TruncatedNormal", {"bounds": (None, -1)}),
    ("TruncatedNormal", {"bounds": (None, None)}),
    ("TruncatedNormal", {"mean": 0.1, "stddev": 0.5, "bounds": (-0.2, 0.3), "absolute": True}),
    ("TruncatedNormal", {"bounds": (8, 10)}),
    ("VarianceScaling", {"scale": 3, "mode": "fan_geo", "distribution": "uniform"}),
    ("VarianceScaling", {"distribution": "untruncated_normal", "nonlinearity": "tanh"}),
    ("HeNormal", {"gain": 2, "fans": (10, 20)}),
    ("Siren", {"first": True}),
    ("CentredNormal", {"nonlinearity": "sigmoid"}),
]
WITH = [(name, {}) for name in sorted(set(initializers.__all__) - WITHOUT)] + SPECIAL


@pytest.mark.parametrize(("name", "arguments"), WITH)
def test_values_follow_the_law(name, arguments):
    initializer = getattr(kerasinit, name)(**arguments, seed=1)
    law = law_of(initializer, SHAPE)
    values = np.sort(initializer(SHAPE).astype(float).ravel())
    low, high = law.support
    low, high = max(low, values[0] - 1), min(high, values[-1] + 1)
    grid = np.linspace(low, high, 200_001)
    area = integrate.cumulative_trapezoid(law.density(grid), grid, initial=0)
    mean = np.trapezoid(grid * law.density(grid), grid)
    second = np.trapezoid((grid - mean) ** 2 * law.density(grid), grid)

    assert area[-1] == pytest.approx(1, abs=1e-4)
    assert second == pytest.approx(law.variance, rel=2e-3)
    # Values of one unit of CentredNormal sum to zero, which the test does not see.
    assert stats.kstest(values, lambda at: np.interp(at, grid, area)).pvalue > 1e-3
    assert not law.density([low - 1e3, high + 1e3]).any()


def test_a_class_has_a_law_or_a_reason_for_none():
    found = {name for name in initializers.__all__ if name in WITHOUT or name in dict(WITH)}

    assert found == set(initializers.__all__)
    assert set(dict(WITH)) & WITHOUT == set()


@pytest.mark.parametrize("name", sorted(WITHOUT - {"FromModel", "WinningTicket", "Constant"}))
def test_others_have_none(name):
    arguments = {
        "Chrono": {"max_time": 10, "units": 8},
        "ForgetBias": {"units": 8},
        "PerGate": {"initializer": "HeNormal"},
    }.get(name, {})

    assert law_of(getattr(kerasinit, name)(**arguments), SHAPE) is None


@pytest.mark.parametrize("library", INSTALLED)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("HeNormal", {}),
        ("GlorotUniform", {}),
        ("RandomNormal", {"mean": 1.0, "stddev": 0.5}),
        ("RandomUniform", {"minval": 0.0, "maxval": 2.0}),
        ("TruncatedNormal", {"stddev": 2.0}),
        ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}),
    ],
)
def test_keras_own_have_the_law_of_ours(library, name, arguments):
    theirs = getattr(library.initializers, name)(**arguments)

    law = law_of(theirs, SHAPE)
    assert law == law_of(getattr(kerasinit, name)(**arguments), SHAPE)
    assert float(np.var(theirs(SHAPE))) == pytest.approx(law.variance, rel=0.05)
    assert law_of(library.initializers.Orthogonal(), SHAPE) is None


def test_constants_and_custom_classes_have_none():
    class Doubled(kerasinit.HeNormal):
        def _draw(self, *arguments):
            return 2 * super()._draw(*arguments)

    assert law_of(Doubled(), SHAPE) is None
    assert law_of(kerasinit.RandomNormal(stddev=0), SHAPE) is None
    assert law_of(kerasinit.TruncatedNormal(stddev=0), SHAPE) is None
    assert law_of(kerasinit.RandomUniform(1, 1), SHAPE) is None
    assert law_of(keras.ops.zeros, SHAPE) is None


def test_names_and_supports():
    assert law_of(kerasinit.HeNormal(), SHAPE).name == "truncated normal"
    assert law_of(kerasinit.HeUniform(), SHAPE).name == "uniform"
    assert law_of(kerasinit.AlexNet(), SHAPE).name == "normal"
    assert law_of(kerasinit.AlexNet(), SHAPE).support == (-math.inf, math.inf)
    one_sided = law_of(kerasinit.TruncatedNormal(bounds=(0, None)), SHAPE)
    assert (one_sided.name, one_sided.support) == ("truncated normal", (0, math.inf))
