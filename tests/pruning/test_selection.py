"""Which weights are the largest: against a plain sort, with many ties."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kerasinit._src.pruning.selection import keep_largest, kth_largest, magnitude_mask, num_kept

# A handful of values makes ties the rule.
TIED = arrays.arrays(
    np.float32,
    arrays.array_shapes(max_dims=3, max_side=5),
    elements=st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0]),
)
ANY = arrays.arrays(
    np.float32,
    st.integers(1, 40),
    elements=st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False),
)


def sorted_choice(scores, count, among):
    """Choose by a full stable sort, the slow and obvious way."""
    order = sorted(np.flatnonzero(among), key=lambda index: (-scores.ravel()[index], index))
    chosen = np.zeros(scores.size, dtype=bool)
    chosen[order[:count]] = True
    return chosen.reshape(scores.shape)


@given(st.data(), TIED)
def test_keep_largest_is_a_stable_sort_cut_off_at_the_count(data, scores):
    among = data.draw(arrays.arrays(bool, scores.shape))
    count = data.draw(st.integers(0, int(among.sum())))
    kept = keep_largest(scores, count, among)
    assert kept.sum() == count
    assert not (kept & ~among).any()
    np.testing.assert_array_equal(kept, sorted_choice(scores, count, among))


def test_keep_largest_chooses_everywhere_by_default():
    assert keep_largest([1.0, 4.0, 2.0], 2).tolist() == [False, True, True]


def test_keep_largest_gives_ties_to_the_lowest_index():
    assert keep_largest([1.0, 1.0, 1.0, 1.0], 3).tolist() == [True, True, True, False]


def test_keep_largest_ranks_bfloat16_and_integers():
    scores = tf.constant([1.0, 3.0, 2.0], tf.bfloat16).numpy()
    assert keep_largest(scores, 1).tolist() == [False, True, False]
    assert keep_largest(np.array([5, -7, 6]), 1).tolist() == [False, False, True]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_keep_largest_refuses_scores_that_are_not_finite(bad):
    with pytest.raises(ValueError, match="1 that are NaN or infinite of 3"):
        keep_largest([1.0, bad, 2.0], 1)


@pytest.mark.parametrize("count", [-1, 3])
def test_keep_largest_refuses_a_count_out_of_range(count):
    with pytest.raises(ValueError, match=rf"between 0 and 2.*got {count}"):
        keep_largest([1.0, 2.0, 3.0], count, among=[True, False, True])


def test_keep_largest_refuses_a_count_that_is_no_integer():
    with pytest.raises(TypeError, match="float"):
        keep_largest([1.0, 2.0], 1.0)


@pytest.mark.parametrize("among", [[1, 0], [True]])
def test_keep_largest_refuses_an_among_of_another_kind_or_shape(among):
    with pytest.raises(ValueError, match=r"boolean array of the scores' shape \(2,\)"):
        keep_largest([1.0, 2.0], 1, among=among)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("mode", ["eager", "bit by bit", "graph", "graph, counting", "xla"])
def test_kth_largest_is_the_kth_of_a_sort_in_every_dtype_and_mode(dtype, mode):
    counting = {"bit by bit": False, "graph, counting": True}.get(mode)
    function = functools.partial(kth_largest, by_histogram=counting)
    if mode not in ("eager", "bit by bit"):
        function = tf.function(function, jit_compile=mode == "xla")
    numbers = np.abs(np.random.default_rng(0).normal(size=60)).round(1)
    numbers = tf.cast(tf.constant(numbers), dtype)
    ordered = np.sort(numbers.numpy().astype("float64"))[::-1]
    for k in (1, 2, 17, 59, 60):
        found = function(numbers, tf.constant(k))
        assert found.dtype == dtype
        assert float(found) == ordered[k - 1]


@settings(max_examples=40)
@given(st.data(), st.one_of(TIED, ANY))
def test_kth_largest_is_exact_for_any_numbers(data, numbers):
    k = data.draw(st.integers(1, numbers.size))
    magnitudes = np.abs(numbers)
    expected = np.sort(magnitudes.ravel())[::-1][k - 1]
    assert float(kth_largest(magnitudes, k, by_histogram=True)) == expected
    assert float(kth_largest(magnitudes, k, by_histogram=False)) == expected


# Large tensors are searched in fewer and wider digits.
@pytest.mark.parametrize("size", [20_000, 999_999, 1_000_000])
def test_counting_is_exact_where_higher_digits_are_shared(size):
    # All but two of the upper halves hold thousands of numbers, told apart by the lower.
    numbers = np.random.default_rng(0).uniform(1.0, 1.01, size).astype("float32")
    ordered = np.sort(numbers)[::-1]
    for k in (1, 2, size // 2 - 1, size - 1, size):
        assert float(kth_largest(numbers, k, by_histogram=True)) == ordered[k - 1]


def test_counting_tells_numbers_of_all_magnitudes_apart():
    numbers = np.random.default_rng(0).integers(0, 0x7F800000, 1_200_000, np.int32)
    numbers = numbers.view("float32")
    for size in (50_000, 1_200_000):
        ordered = np.sort(numbers[:size].view("int32"))[::-1].view("float32")
        for k in (1, 7, size // 3, size):
            found = kth_largest(numbers[:size], k, by_histogram=True)
            assert found.numpy().view("int32") == ordered[k - 1].view("int32")


def test_kth_largest_tells_the_tiniest_floats_apart():
    tiny = np.array([0.0, 1e-45, 3e-45, 1e-40], np.float32)
    assert kth_largest(tiny, 2, by_histogram=True).numpy() == tiny[2]
    assert kth_largest(tiny, 2, by_histogram=False).numpy() == tiny[2]


@pytest.mark.parametrize("counting", [True, False])
def test_a_graph_counts_only_when_asked_to(counting):
    def ops(function):
        graph = tf.function(function).get_concrete_function(tf.TensorSpec([9])).graph
        return {operation.type for operation in graph.get_operations()}

    def mask(weights):
        return magnitude_mask(weights, 0.5, by_histogram=counting)

    assert ("Bincount" in ops(mask)) is counting
    assert "Bincount" not in ops(lambda weights: magnitude_mask(weights, 0.5))


def test_kth_largest_refuses_integers():
    with pytest.raises(TypeError, match="floating point magnitudes; got int32"):
        kth_largest([1, 2, 3], 1)


@settings(max_examples=40)
@given(st.one_of(TIED, ANY), st.floats(0.0, 1023 / 1024, width=32))
def test_magnitude_mask_keeps_all_that_reach_the_kth_largest(weights, sparsity):
    mask, threshold = magnitude_mask(weights, tf.constant(sparsity))
    k = int(max(np.round(np.float32(weights.size) * (np.float32(1) - np.float32(sparsity))), 1))
    assert float(threshold) == np.sort(np.abs(weights).ravel())[::-1][k - 1]
    np.testing.assert_array_equal(mask, np.abs(weights) >= threshold.numpy())


def test_num_kept_rounds_halves_to_even_and_keeps_at_least_one():
    kept = [int(num_kept(size, sparsity)) for size, sparsity in [(5, 0.5), (7, 0.5), (3, 0.99)]]
    assert kept == [2, 4, 1]


def test_num_kept_is_never_more_than_there_are():
    assert int(num_kept(2**24 + 3, 0.0)) <= 2**24 + 3
