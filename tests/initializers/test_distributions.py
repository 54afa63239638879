"""A million draws of every class that draws, held against the law that it states.

Through a variable of a layer of each Keras, each with a seed of its own.
"""

import functools
import itertools
import math

import numpy as np
import pytest
import scipy.stats

import kerasinit
from tests.kerases import KERASES
from tests.products import each_value_once, nightly

from .laws import CHANNELS, PLACES_OF_UNIT, ROWS, WINDOW
from .table import SEEDED

SEEDS = {"keras": 1, "tf_keras": 2**100}
LEAST = 1e-4  # p-value
INDEPENDENT = [row for row in ROWS if row.independent]
DEPENDENT = [row for row in ROWS if not row.independent]
both = pytest.mark.parametrize("kerase", KERASES)
# Both Kerases hold what a direct call returns, bit for bit (see `test_promises`), so that each
# law in one of them is enough for the default run.
WITH_TABLES = [row for row in INDEPENDENT if row.undone is None]


def variables(row, kerase, dtype="float32"):
    """Return the values of as many variables as the row needs, one seed after another."""
    layer = KERASES[kerase].layers.Layer()
    made = (row.make(SEEDS[kerase] + index) for index in range(row.calls))
    return [
        layer.add_weight(name="w", shape=row.shape, initializer=one, dtype=dtype).numpy()
        for one in made
    ]


def powers(values):
    squares = values * values
    return values, squares, squares * values, squares * squares


def assert_mean(samples, expected):
    """Assert that the mean of independent samples is within 5 standard errors of this."""
    error = samples.std(axis=0) / math.sqrt(len(samples))
    # What float32 rounds counts where nothing else varies, as in the length of a row.
    assert (np.abs(samples.mean(axis=0) - expected) < 5 * error + 1e-7).all()


def test_every_class_that_draws_has_its_law_here():
    assert {row.name for row in ROWS} == {case.name for case in SEEDED}


@each_value_once(kerase=list(KERASES), row=INDEPENDENT)
def test_a_million_draws_follow_their_law(row, kerase):
    numbers = row.numbers(variables(row, kerase))
    assert numbers.size >= 10**6
    # "asymp" for the time; at this size it is the exact p-value to three digits.
    assert scipy.stats.kstest(numbers, row.law.cdf, method="asymp").pvalue > LEAST
    for power, drawn in enumerate(powers(numbers), 1):
        moment, square = row.law.moment(power), row.law.moment(2 * power)
        error = math.sqrt((square - moment**2) / numbers.size)
        assert abs(drawn.mean() - moment) < 5 * error, power


@each_value_once(kerase=list(KERASES), row=DEPENDENT)
def test_numbers_that_depend_on_each_other_follow_their_law(row, kerase):
    """Entries of orthogonal matrices: one of each matrix, and then all of them.

    One entry of each is an independent sample. All entries together are not, but the
    means over each matrix are, and their spread is the standard error, whatever ties the
    entries together.
    """
    numbers = row.numbers(variables(row, kerase))
    for member in (0, numbers.shape[1] // 2, numbers.shape[1] - 1):
        assert scipy.stats.kstest(numbers[:, member], row.law.cdf).pvalue > LEAST
    scale = math.sqrt(row.law.moment(2))
    for power, drawn in enumerate(powers(numbers / scale), 1):
        assert_mean(drawn.mean(axis=1), row.law.moment(power) / scale**power)
    # The distribution function itself, at 61 points.
    points = scale * np.linspace(-3, 3, 61)
    cells = np.searchsorted(points, numbers)  # how many of the points are below
    cells += 62 * np.arange(len(numbers))[:, np.newaxis]
    counts = np.bincount(cells.ravel(), minlength=62 * len(numbers)).reshape(-1, 62)
    shares = counts.cumsum(axis=1)[:, :-1] / numbers.shape[1]
    assert_mean(shares, row.law.cdf(points))


@functools.cache
def finite_numbers(dtype):
    """Return the finite numbers of a dtype of 16 bits, in order, and where rounding parts them."""
    with np.errstate(invalid="ignore"):
        every = np.arange(2**16, dtype=np.uint16).view(np.dtype(dtype)).astype(np.float64)
    numbers = np.unique(every[np.isfinite(every)])
    return numbers, (numbers[1:] + numbers[:-1]) / 2


@each_value_once(kerase=list(KERASES), dtype=["float16", "bfloat16"], row=WITH_TABLES)
def test_every_number_of_a_short_dtype_comes_as_often_as_it_should(row, dtype, kerase):
    drawn = row.numbers(variables(row, kerase, dtype))
    numbers, borders = finite_numbers(dtype)
    masses = np.diff(row.law.cdf(borders), prepend=0, append=1)
    counts = np.bincount(np.searchsorted(numbers, drawn), minlength=numbers.size)
    # All numbers that are expected ten times or more; the others go with the last of them.
    expected = drawn.size * masses
    common = expected >= 10
    observed, awaited = (
        np.append(of[common][:-1], of[common][-1] + of[~common].sum()) for of in (counts, expected)
    )
    statistic = ((observed - awaited) ** 2 / awaited).sum()
    # Not LEAST: one of these 64, of the most cells, has a p-value of 8.5e-5, at seed 1. Of
    # 150 seeds it is the only one below 0.01, and over all of them, 1.5e8 draws, it is 0.75.
    assert scipy.stats.chi2(common.sum() - 1).sf(statistic) > LEAST / 10
    # The rare ones, by how many different ones came.
    come = -np.expm1(drawn.size * np.log1p(-np.clip(masses, 0, 1)))
    error = math.sqrt((come * (1 - come)).sum())
    assert abs((counts > 0).sum() - come.sum()) <= 5 * error
    # And the tails: none beyond a cut, and beyond four deviations as many as there should be.
    assert not counts[masses == 0].any()
    mean = row.law.moment(1)
    far = np.abs(numbers - mean) > 4 * math.sqrt(row.law.moment(2) - mean**2)
    assert abs(counts[far].sum() - expected[far].sum()) <= 5 * math.sqrt(expected[far].sum())


def test_normal_numbers_have_tails_in_bfloat16():
    # The same once more, without a table of expectations between it and the eye.
    values = kerasinit.RandomNormal(stddev=1.0, seed=1)((2**20,), "bfloat16").astype(np.float32)
    # 63 are expected of 2^20; Keras' own on JAX has none beyond 2.9, and 128 numbers in all.
    assert 30 < (np.abs(values) > 4).sum() < 100
    assert np.unique(values).size > 3000


@both
def test_every_set_of_places_of_a_sparse_unit_is_as_likely(kerase):
    row = next(row for row in ROWS if row.name == "Sparse")
    (kernel,) = variables(row, kerase)
    chosen = (kernel != 0).T @ 2 ** np.arange(PLACES_OF_UNIT)
    sets = [sum(2**place for place in few) for few in itertools.combinations(range(10), 3)]
    counts = np.bincount(chosen, minlength=2**PLACES_OF_UNIT)
    assert counts.sum() == counts[sets].sum() == row.shape[1]
    assert scipy.stats.chisquare(counts[sets]).pvalue > LEAST


@pytest.fixture(scope="module", params=["keras", pytest.param("tf_keras", marks=nightly)])
def convolutions(request):
    """Return kernels of ConvOrthogonal, each with a seed of its own."""
    row = next(row for row in ROWS if row.name == "ConvOrthogonal")
    return np.stack(variables(row, request.param)).astype(np.float64)


def test_the_lengths_at_the_taps_of_an_orthogonal_convolution_are_binomial(convolutions):
    """What is known of the lengths, whose whole law is not a simple one.

    An axis of three taps is made by two convolutions with ``(P, I - P)``. The mean of P
    is I / 2, and ``P (I - P) = 0``, so each convolution sends half of the mean square of
    every tap one tap further: 1/4, 1/2, 1/4. Nothing is lost: the squares of all that an
    input feeds sum up to gain^2.
    """
    squares = convolutions**2
    np.testing.assert_allclose(squares.sum(axis=(1, 2, 4)), 1.5**2, rtol=1e-5)
    share = np.array([1, 2, 1]) / 4
    expected = 1.5**2 / CHANNELS * np.outer(share, share)
    assert squares.shape[1:3] == WINDOW == expected.shape
    # No input and no output is before the others.
    assert_mean(squares.mean(axis=(3, 4)), expected)
    assert_mean(squares.mean(axis=4), expected[..., np.newaxis])
    assert_mean(squares.mean(axis=3), expected[..., np.newaxis])


def test_signs_of_an_orthogonal_convolution_are_fair(convolutions):
    for drawn in (convolutions, convolutions**3, np.sign(convolutions)):
        assert_mean(drawn, 0)
