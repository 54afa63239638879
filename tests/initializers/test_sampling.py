"""The sampler: distributions as distributions, and values that threads cannot change."""

import math
import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.sampling import CHUNK, Kind, Stream

FLOAT32 = np.dtype("float32")
DRAWS = 200_000
UNIT = scipy.stats.norm()


def draw(sampler, size=DRAWS, seed=1, **more):
    return sampler(Stream(seed), (size,), FLOAT32, **more)


@settings(max_examples=40)
@given(
    st.floats(-12, 12) | st.just(-math.inf),
    st.floats(0.01, 8) | st.none(),
    st.integers(0, 2**40),
)
def test_values_follow_a_normal_distribution_cut_anywhere(low, width, seed):
    high = math.inf if width is None else max(low, -12) + width
    values = draw(sampling.truncated_normal, 2**15, seed=seed, bounds=(low, high))
    low, high = np.float32(low), np.float32(high)
    assert low <= values.min()
    assert values.max() <= high
    cut = scipy.stats.truncnorm(low, high)
    # Forty of these: a fluke of one in a million would be seen every tenth year.
    assert scipy.stats.kstest(values.astype(np.float64), cut.cdf).pvalue > 1e-6


def test_the_tails_beyond_the_table_are_those_of_the_distribution():
    values = np.abs(draw(sampling.normal, 2**23).astype(np.float64))
    for bound in (3.0, 3.5, 4.0, 4.5):
        expected = values.size * 2 * UNIT.sf(bound)
        assert abs((values > bound).sum() - expected) < 5 * np.sqrt(expected)
    tail = values[values > 3]
    assert scipy.stats.kstest(tail, scipy.stats.truncnorm(3, math.inf).cdf).pvalue > 1e-4


def test_no_truncated_value_is_beyond_two_standard_deviations():
    values = draw(sampling.truncated_normal, 2**20, stddev=0.1)
    assert np.abs(values).max() <= 2 * np.float32(0.1)
    assert np.abs(values).max() > 1.999 * np.float32(0.1)


@given(st.floats(-1e6, 1e6, width=32), st.floats(0, 1e6, width=32))
def test_a_uniform_value_is_never_the_upper_end(low, width):
    low, high = np.float32(low), np.float32(low) + np.float32(width)
    values = draw(sampling.uniform, 5000, minval=low, maxval=high)
    assert (values >= low).all()
    if high > low:
        assert (values < high).all()
    else:
        assert (values == low).all()


def test_a_uniform_interval_of_two_neighbours_gives_only_the_lower():
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    assert set(draw(sampling.uniform, 1000, minval=low, maxval=high).tolist()) == {1.0}


@pytest.mark.parametrize("sampler", [sampling.normal, sampling.truncated_normal, sampling.uniform])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_threads_change_nothing(sampler, dtype):
    shape, dtype = (5, CHUNK + 3), np.dtype(dtype)
    one = sampler(Stream(3), shape, dtype, threads=1)
    for threads in (2, 5, None):
        np.testing.assert_array_equal(sampler(Stream(3), shape, dtype, threads=threads), one)


@settings(max_examples=15)
@given(st.integers(1, 3 * CHUNK), st.integers(0, 2**130), st.sampled_from([1, 2, 5]))
def test_a_longer_tensor_begins_with_the_whole_chunks_of_a_shorter(size, seed, threads):
    longer = sampling.normal(Stream(seed), (3 * CHUNK,), FLOAT32, threads=threads)
    shorter = sampling.normal(Stream(seed), (size,), FLOAT32, threads=1)
    whole = size - size % CHUNK
    np.testing.assert_array_equal(longer[:whole], shorter[:whole])


def test_a_shape_only_arranges_the_values():
    flat = draw(sampling.normal, 60)
    np.testing.assert_array_equal(
        sampling.normal(Stream(1), (3, 4, 5), FLOAT32), flat.reshape(3, 4, 5)
    )


def test_chunks_and_kinds_of_seed_are_streams_of_their_own():
    streams = [Stream(5), Stream(5, Kind.FRESH), Stream((5, 0), Kind.GENERATOR), Stream(6)]
    firsts = {stream.chunk(index).random_raw() for stream in streams for index in range(100)}
    assert len(firsts) == 400


def test_an_error_in_a_thread_comes_out():
    with pytest.raises(TypeError):
        sampling.normal(Stream("no seed"), (5 * CHUNK,), FLOAT32, threads=2)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_memory_stays_below_twice_the_tensor(dtype):
    dtype = np.dtype(dtype)
    tracemalloc.start()
    try:
        values = sampling.truncated_normal(Stream(1), (40 * CHUNK,), dtype, threads=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert values.nbytes <= peak < 2 * values.nbytes


ORTHOGONAL_SHAPES = [
    *((1, 1), (2, 1), (7, 1), (1024, 1), (1, 7), (1, 1024), (2, 2), (3, 2), (2, 3)),
    *((200, 200), (200, 50), (50, 200), (3, 3, 16, 32), (2, 3, 100), (1024, 1024), (4608, 64)),
]


def orthonormal_error(values):
    """Return how far the columns of a matrix, or its rows if fewer, are from orthonormal."""
    matrix = values.reshape(-1, values.shape[-1]).astype(np.float64)
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    return np.abs(matrix.T @ matrix - np.eye(matrix.shape[1])).max()


@pytest.mark.parametrize("shape", ORTHOGONAL_SHAPES)
def test_orthogonal_columns_or_rows_are_orthonormal(shape):
    values = sampling.orthogonal(Stream(1), shape, FLOAT32)
    assert values.shape == shape
    assert values.flags.c_contiguous
    assert orthonormal_error(values) < 1e-5


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**64))
def test_orthogonal_matrices_of_any_size_are_orthonormal(rows, columns, seed):
    values = sampling.orthogonal(Stream(seed), (rows, columns), FLOAT32)
    assert orthonormal_error(values) < 2e-6


@pytest.mark.parametrize("gain", [2.5, -1.5, 0.0])
def test_a_gain_only_multiplies_an_orthogonal_matrix(gain):
    for shape in ((5, 5), (7, 3), (3, 7)):
        unit = sampling.orthogonal(Stream(1), shape, FLOAT32)
        values = sampling.orthogonal(Stream(1), shape, FLOAT32, gain)
        np.testing.assert_allclose(values, gain * unit, rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4), (5, 2), (2, 5), (1, 1)])
def test_an_orthogonal_matrix_without_any_length_to_start_from_is_still_one(shape, monkeypatch):
    def zeros(stream, shape, dtype, **more):
        return np.zeros(shape, dtype)

    monkeypatch.setattr(sampling, "normal", zeros)
    assert orthonormal_error(sampling.orthogonal(Stream(1), shape, FLOAT32)) < 1e-6


def assert_moment(samples, expected):
    """Assert that the mean of independent samples is within 5 standard errors of this."""
    error = samples.std(axis=0) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - expected) < 5 * error).all()


@pytest.mark.parametrize("shape", [(6, 6), (6, 3), (3, 6), (6, 1), (2, 2)])
def test_orthogonal_matrices_are_uniform_among_all(shape):
    # What integrals over the orthogonal group give for an entry q of a matrix whose longer
    # side is n: E q^2 = 1/n, E q^4 = 3/(n(n+2)); and for two in a row or column that is a
    # unit vector: E q^2 p^2 = 1/(n(n+2)). Odd moments are 0: without the correction of
    # signs, the diagonal has a mean far from 0.
    n = max(shape)
    drawn = [sampling.orthogonal(Stream(seed), shape, FLOAT32) for seed in range(4000)]
    q = np.array(drawn, np.float64)
    assert_moment(q, 0)
    assert_moment(q**2, 1 / n)
    assert_moment(q**3, 0)
    assert_moment(q**4, 3 / (n * (n + 2)))
    whole = q if shape[0] == n else q.transpose(0, 2, 1)
    assert_moment(whole[:, 0, :] ** 2 * whole[:, 1, :] ** 2, 1 / (n * (n + 2)))
    # An entry of a uniform unit vector in n dimensions: (x + 1) / 2 is a Beta variable.
    beta = scipy.stats.beta((n - 1) / 2, (n - 1) / 2).cdf
    for row in {0, shape[0] - 1}:
        for column in {0, shape[1] - 1}:
            assert scipy.stats.kstest((q[:, row, column] + 1) / 2, beta).pvalue > 1e-4


def test_the_trace_and_determinant_of_orthogonal_matrices_are_those_of_uniform_ones():
    # The first powers of the trace of a Haar matrix have the moments of the unit normal
    # distribution; the trace of its square has mean 1 and variance 2 (Diaconis and
    # Shahshahani, 1994); the sign of its determinant is a fair coin.
    drawn = [sampling.orthogonal(Stream(seed), (8, 8), FLOAT32) for seed in range(4000)]
    matrices = np.array(drawn, np.float64)
    trace = np.trace(matrices, axis1=1, axis2=2)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert_moment(trace**power, moment)
    squared = np.trace(matrices @ matrices, axis1=1, axis2=2)
    assert_moment(squared, 1)
    assert_moment((squared - 1) ** 2, 2)
    assert_moment(np.sign(np.linalg.det(matrices)), 0)


def test_a_turned_orthogonal_matrix_has_the_same_distribution():
    # Haar means that a fixed rotation, from either side, changes nothing that one can see.
    turn = scipy.linalg.qr(np.random.default_rng(5).standard_normal((5, 5)))[0]
    drawn = [sampling.orthogonal(Stream(seed), (5, 5), FLOAT32) for seed in range(3000)]
    first, second = np.array(drawn[:1500]), np.array(drawn[1500:])
    for turned in (turn @ second, second @ turn):
        for row, column in ((0, 0), (4, 0), (0, 4), (2, 3), (4, 4)):
            compared = scipy.stats.ks_2samp(first[:, row, column], turned[:, row, column])
            assert compared.pvalue > 1e-4


@pytest.mark.parametrize("shape", [(700, 600), (600, 700), (640, 640)])
def test_threads_change_nothing_in_an_orthogonal_matrix(shape):
    one = sampling.orthogonal(Stream(3), shape, FLOAT32, threads=1)
    np.testing.assert_array_equal(sampling.orthogonal(Stream(3), shape, FLOAT32, threads=5), one)


@pytest.mark.parametrize("shape", [(1500, 1500), (3000, 500), (500, 3000)])
def test_memory_stays_near_two_orthogonal_matrices(shape):
    tracemalloc.start()
    try:
        values = sampling.orthogonal(Stream(1), shape, FLOAT32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert values.nbytes <= peak < 2.2 * values.nbytes


@given(st.integers(1, 30), st.data())
def test_a_subspace_has_an_orthonormal_basis_in_float64(size, data):
    dimension = data.draw(st.one_of(st.none(), st.integers(0, size)))
    basis = sampling.subspace(Stream(data.draw(st.integers(0, 2**64))), size, dimension)
    assert basis.shape[0] == size
    assert dimension is None or basis.shape[1] == dimension
    assert np.abs(basis.T @ basis - np.eye(basis.shape[1])).max(initial=0) < 1e-13


def test_a_random_subspace_has_each_direction_with_probability_one_half():
    bases = [sampling.subspace(Stream(seed), 5) for seed in range(3000)]
    dimensions = np.array([basis.shape[1] for basis in bases], np.float64)
    assert_moment(dimensions, 2.5)
    assert_moment((dimensions - 2.5) ** 2, 1.25)
    assert set(dimensions) == {0, 1, 2, 3, 4, 5}
    projections = np.array([basis @ basis.T for basis in bases])
    # Each of the 3000 is 0 or the identity now and then, so none of the spreads is 0.
    assert_moment(projections, np.eye(5) / 2)
