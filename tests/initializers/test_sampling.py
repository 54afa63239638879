"""The sampler: distributions as distributions, and values that threads cannot change."""

import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasinit.initializers import sampling
from kerasinit.initializers.sampling import CHUNK, Kind, Stream

FLOAT32 = np.dtype("float32")
DRAWS = 200_000
UNIT = scipy.stats.norm()
CUT = scipy.stats.truncnorm(-2, 2)


def draw(sampler, size=DRAWS, seed=1, **more):
    return sampler(Stream(seed), (size,), FLOAT32, **more)


DISTRIBUTIONS = {
    "normal": (lambda seed: draw(sampling.normal, seed=seed, mean=3, stddev=0.5), UNIT, 3, 0.5),
    "truncated": (
        lambda seed: draw(sampling.truncated_normal, seed=seed, mean=-1, stddev=2),
        CUT,
        -1,
        2,
    ),
    "uniform": (
        lambda seed: draw(sampling.uniform, seed=seed, minval=-2, maxval=1),
        scipy.stats.uniform(),
        -2,
        3,
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("seed", [1, 2**100])
def test_values_follow_their_distribution(name, seed):
    sampler, unit, shift, scale = DISTRIBUTIONS[name]
    values = (sampler(seed).astype(np.float64) - shift) / scale
    assert scipy.stats.kstest(values, unit.cdf).pvalue > 1e-4
    for power in (1, 2, 3, 4):
        moment, square = unit.moment(power), unit.moment(2 * power)
        error = np.sqrt((square - moment**2) / values.size)
        assert abs((values**power).mean() - moment) < 5 * error


def test_normal_values_have_tails():
    values = np.abs(draw(sampling.normal, 2**20))
    expected = 2**20 * 2 * UNIT.sf(4)
    assert abs((values > 4).sum() - expected) < 5 * np.sqrt(expected)


def test_bfloat16_keeps_the_tails():
    values = sampling.normal(Stream(1), (2**20,), np.dtype("bfloat16"))
    assert (np.abs(values.astype(np.float32)) > 4).sum() > 30


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


@pytest.mark.parametrize("shape", [(200, 200), (200, 50), (50, 200), (3, 3, 16, 32), (2, 3, 100)])
def test_orthogonal_columns_or_rows_are_orthonormal(shape):
    values = sampling.orthogonal(Stream(1), shape, FLOAT32).astype(np.float64)
    matrix = values.reshape(-1, shape[-1])
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    assert np.abs(matrix.T @ matrix - np.eye(matrix.shape[1])).max() < 1e-5


def test_orthogonal_matrices_are_uniform_among_all():
    # For the Haar measure the trace has mean 0 and variance 1, and the determinant's
    # sign is a fair coin. Without the correction of signs the trace's mean is far off.
    matrices = [sampling.orthogonal(Stream(seed), (6, 6), FLOAT32) for seed in range(2000)]
    traces = np.array([np.trace(matrix) for matrix in matrices], np.float64)
    assert abs(traces.mean()) < 5 / np.sqrt(2000)
    assert abs(traces.var() - 1) < 5 * np.sqrt(2 / 2000)
    positive = sum(np.linalg.det(matrix) > 0 for matrix in matrices)
    assert abs(positive - 1000) < 5 * np.sqrt(500)
    # An entry of a uniform unit vector in 6 dimensions: (x + 1) / 2 is Beta(5/2, 5/2).
    corners = [(matrix[0, 0] + 1) / 2 for matrix in matrices]
    assert scipy.stats.kstest(corners, scipy.stats.beta(2.5, 2.5).cdf).pvalue > 1e-4
