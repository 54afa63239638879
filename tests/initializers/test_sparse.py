"""Exactly so many weights for each unit, anywhere, and of the right size."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import kerasinit
from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.quantiles import quantiles
from kerasinit._src.initializers.sampling import Stream
from tests.kerases import KERASES

from .table import FLOATS


def columns_of(values):
    return np.asarray(values, np.float64).reshape(math.prod(values.shape[:-1]), values.shape[-1])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count", [1, 15, 36])
def test_every_unit_has_exactly_so_many_weights(count, dtype):
    made = kerasinit.Sparse(count, seed=1)
    for shape in ((36, 500), (3, 3, 4, 500), (2, 1, 18, 1), (40, 0)):
        assert ((columns_of(made(shape, dtype)) != 0).sum(axis=0) == count).all()


@pytest.mark.parametrize("kerase", KERASES)
def test_units_of_layers_hold_them(kerase):
    module = KERASES[kerase]
    dense = module.layers.Dense(200, kernel_initializer=kerasinit.Sparse(seed=1))
    dense.build((None, 300))
    convolution = module.layers.Conv2D(64, 3, kernel_initializer=kerasinit.Sparse())
    convolution.build((None, 8, 8, 16))
    for layer in (dense, convolution):
        assert ((columns_of(layer.kernel.numpy()) != 0).sum(axis=0) == 15).all()


@pytest.mark.parametrize("kerase", KERASES)
def test_what_a_unit_sees_does_not_grow_with_the_inputs(kerase):
    # Inputs of 1: the unit's input is the sum of 15 weights, normal with 15 stddev^2.
    layer = KERASES[kerase].layers.Dense(
        4000, kernel_initializer=kerasinit.Sparse(stddev=0.5, seed=1), use_bias=False
    )
    signal = np.asarray(layer(np.ones((1, 500), "float32")), np.float64)[0]
    unit = scipy.stats.norm(scale=0.5 * math.sqrt(15))
    assert scipy.stats.kstest(signal, unit.cdf).pvalue > 1e-4


def test_the_weights_are_normal():
    values = columns_of(kerasinit.Sparse(10, stddev=0.25, seed=1)((30, 20_000)))
    weights = values[values != 0] / 0.25
    assert scipy.stats.kstest(weights, scipy.stats.norm.cdf).pvalue > 1e-4
    assert abs((weights**2).mean() - 1) < 5 * math.sqrt(2 / weights.size)
    # They do not depend on their place: each row's mean is one of 20,000 / 3 weights.
    means = values.sum(axis=1) / (values != 0).sum(axis=1) / 0.25
    statistic = (means**2 * (values != 0).sum(axis=1)).sum()
    assert scipy.stats.chi2(30).sf(statistic) > 1e-4


def test_every_place_is_as_likely():
    rows, count, columns = 20, 5, 20_000
    chosen = columns_of(kerasinit.Sparse(count, seed=1)((rows, columns))) != 0
    share = count / rows
    # The places of one column exclude each other, which is the factor in front.
    deviations = chosen.sum(axis=1) - columns * share
    statistic = (rows - 1) / rows * (deviations**2).sum() / (columns * share * (1 - share))
    assert scipy.stats.chi2(rows - 1).sf(statistic) > 1e-4


@pytest.mark.parametrize("count", [2, 3])
def test_every_order_of_rows_is_as_likely(count):
    rows, columns = 5, 60_000
    drawn = sampling.choices(Stream(1), count, rows, columns)
    orders = list(itertools.permutations(range(rows), count))
    codes = {order: index for index, order in enumerate(orders)}
    found = np.bincount([codes[tuple(column)] for column in drawn.T], minlength=len(orders))
    assert scipy.stats.chisquare(found).pvalue > 1e-4


def test_units_choose_for_themselves():
    rows, count, columns = 50, 10, 5000
    chosen = columns_of(kerasinit.Sparse(count, seed=1)((rows, columns))) != 0
    shared = (chosen[:, 1:] & chosen[:, :-1]).sum(axis=0)
    overlap = scipy.stats.hypergeom(rows, count, count)
    error = overlap.std() / math.sqrt(shared.size)
    assert abs(shared.mean() - overlap.mean()) < 5 * error


@given(st.integers(1, 300), st.integers(0, 40), st.integers(0, 2**130), st.data())
def test_no_row_is_chosen_twice(rows, columns, seed, data):
    count = data.draw(st.integers(0, rows))
    drawn = sampling.choices(Stream(seed), count, rows, columns)
    assert drawn.shape == (count, columns)
    assert drawn.size == 0 or (drawn.min() >= 0 and drawn.max() < rows)
    assert all(len(set(column)) == count for column in drawn.T)


def test_more_rows_than_two_bytes_can_count_are_chosen_from():
    drawn = sampling.choices(Stream(1), 1000, 2**17, 20)
    assert scipy.stats.kstest((drawn.ravel() + 0.5) / 2**17, "uniform").pvalue > 1e-4


def test_no_normal_number_is_zero():
    # Only the two cells on both sides of 0 come near to it; these are all their numbers.
    table = quantiles(-math.inf, math.inf)._table
    middle = len(table) // 2
    steps = np.arange(2**16, dtype=np.float32)
    for cell in (table[middle - 1], table[middle]):
        assert (steps * cell.imag + cell.real != 0).all()
    assert np.abs(table[[middle - 2, middle + 1]].real).min() > 1e-5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_nonzero": 0}, ValueError, "num_nonzero=0; expected a number that is at least 1"),
        ({"num_nonzero": 2.5}, TypeError, "num_nonzero=2.5; expected an integer"),
        ({"num_nonzero": True}, TypeError, "num_nonzero=True; expected a number"),
        ({"stddev": 0.0}, ValueError, "stddev=0.0; expected a number that is at least 1e-30"),
        ({"stddev": math.nan}, ValueError, "stddev=nan; expected a finite number"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        kerasinit.Sparse(**arguments)


@pytest.mark.parametrize("shape", [(14, 100), (3, 3, 1, 8), (0, 5)])
def test_more_weights_than_inputs_are_refused(shape):
    inputs = math.prod(shape[:-1])
    with pytest.raises(ValueError, match=f"has only {inputs} inputs; give num_nonzero={inputs} or"):
        kerasinit.Sparse()(shape)


@pytest.mark.parametrize("shape", [(), (20,)])
def test_a_shape_without_units_is_refused(shape):
    with pytest.raises(ValueError, match="of rank 2 or more"):
        kerasinit.Sparse()(shape)
