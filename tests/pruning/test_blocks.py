"""The patterns of removal, and what must never come back to life."""

import numpy as np
import pytest
import tensorflow as tf

from kerasinit._src.pruning.patterns import Blocks, MByN, SingleWeights, make_pattern, next_mask

ALL = tf.ones([4], tf.bool)


def kept(mask):
    return np.asarray(mask).astype(int).tolist()


def test_a_removed_weight_that_grew_may_take_the_place_of_a_smaller_one():
    mask, _ = next_mask(tf.constant([9.0, 2.0, 3.0, 4.0]), tf.constant([0, 1, 1, 1]) > 0, 0.5)
    assert kept(mask) == [1, 0, 0, 1]


def test_asking_for_less_sparsity_than_there_is_brings_nothing_back():
    before = tf.constant([0, 0, 0, 1]) > 0
    mask, _ = next_mask(tf.constant([0.1, 2.0, 3.0, 4.0]), before, 0.25)
    assert kept(mask) == [0, 0, 0, 1]


def test_a_threshold_of_zero_brings_nothing_back_and_removes_nothing_alive():
    before = tf.constant([0, 1, 1, 1]) > 0
    mask, threshold = next_mask(tf.constant([0.0, 0.0, 0.0, 4.0]), before, 0.5)
    assert float(threshold) == 0
    assert kept(mask) == [0, 1, 1, 1]


def test_weights_all_zero_and_never_removed_stay_alive():
    mask, _ = next_mask(tf.zeros([4]), ALL, 0.5)
    assert kept(mask) == [1, 1, 1, 1]


def test_ties_do_not_stop_an_update():
    before = tf.constant([1, 1, 1, 0]) > 0
    mask, _ = next_mask(tf.constant([1.0, 2.0, 2.0, 2.0]), before, 0.5)
    assert kept(mask) == [0, 1, 1, 1]


def test_a_mask_that_has_as_many_as_asked_for_is_updated_as_well():
    before = tf.constant([0, 0, 1, 1]) > 0
    mask, _ = next_mask(tf.constant([9.0, 2.0, 3.0, 4.0]), before, 0.5)
    assert kept(mask) == [1, 0, 0, 1]


@pytest.mark.parametrize(("pooling", "expected"), [("AVG", [1, 1, 0]), ("MAX", [0, 0, 1])])
def test_blocks_are_ranked_by_mean_or_maximum_also_at_a_ragged_edge(pooling, expected):
    # Blocks of width 2: magnitudes (3, 3), (1, 5) and the lone, cut off last column.
    weights = tf.constant([[3.0, -3.0, 0.0, 0.0, 2.0]])
    if pooling == "MAX":
        weights = tf.constant([[3.0, -3.0, 1.0, -2.0, 5.0]])
    else:
        weights = tf.constant([[3.0, -3.0, 0.0, -5.0, 2.0]])
    mask, _ = Blocks((1, 2), pooling).update(weights, tf.ones_like(weights, tf.bool), 0.5)
    columns = kept(mask)[0]
    # Of three blocks, round(1.5) = 2 stay; of the two rankings only MAX keeps the edge.
    assert columns[4] == expected[2]
    assert columns[:2] == [1, 1]
    assert len({*columns[2:4]}) == 1


def test_removed_blocks_stay_removed_when_less_is_asked_for():
    before = tf.constant([[1, 1, 0, 0]]) > 0
    mask, _ = Blocks((1, 2), "AVG").update(tf.constant([[1.0, 1.0, 5.0, 5.0]]), before, 0.0)
    assert kept(mask) == [[1, 1, 0, 0]]


def test_m_by_n_removes_the_smallest_along_the_inputs_and_ties_keep_the_first():
    weights = tf.constant([[1.0, 5.0], [1.0, 4.0], [1.0, 3.0], [1.0, -9.0], [7.0, 0.1]])
    mask, _ = MByN(2, 4).update(weights, tf.ones_like(weights, tf.bool), 0.0)
    assert kept(tf.transpose(mask)) == [[1, 1, 0, 0, 1], [1, 0, 0, 1, 1]]


def test_m_by_n_groups_the_input_channels_of_a_convolution():
    weights = tf.constant(np.random.default_rng(0).normal(size=(3, 2, 8, 5)).astype("float32"))
    mask, _ = MByN(3, 4).update(weights, tf.ones_like(weights, tf.bool), 0.0)
    groups = np.moveaxis(np.asarray(mask), 2, -1).reshape(-1, 4)
    assert (groups.sum(axis=1) == 1).all()


def test_m_by_n_brings_nothing_back():
    before = tf.constant([[1], [0], [1], [1]]) > 0
    mask, _ = MByN(2, 4).update(tf.constant([[1.0], [9.0], [8.0], [7.0]]), before, 0.0)
    assert kept(mask) == [[0], [0], [1], [0]]


@pytest.mark.parametrize(
    ("pattern", "weights", "expected"),
    [
        (SingleWeights(), [[0.0, 1.0]], [[0, 1]]),
        (MByN(1, 2), [[0.0], [1.0]], [[0], [1]]),
        (Blocks((1, 2), "AVG"), [[0.0, 1.0, 0.0, 0.0]], [[1, 1, 0, 0]]),
    ],
)
def test_a_pattern_knows_what_is_alive(pattern, weights, expected):
    assert kept(pattern.nonzero(tf.constant(weights))) == expected


def test_the_arguments_of_tfmot_name_a_pattern():
    assert make_pattern((1, 1), "AVG", None) == SingleWeights()
    assert make_pattern([2, 3], "MAX", None) == Blocks((2, 3), "MAX")
    assert make_pattern((1, 1), "AVG", [2, 4]) == MByN(2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((1, 1), "avg", None), r"'AVG', 'MAX'; got 'avg'\. Did you mean 'AVG'"),
        (((1, 1), "sum", None), r"got 'sum'\.$"),
        (((0, 4), "AVG", None), r"block_size to be two positive integers.*got \(0, 4\)"),
        ((4, "AVG", None), "block_size to be two positive integers.*got 4"),
        (((1, 1), "AVG", (2, 4, 8)), r"sparsity_m_by_n to be two positive integers"),
        (((1, 1), "AVG", (2.0, 4)), r"sparsity_m_by_n to be two positive integers"),
        (((1, 1), "AVG", (4, 4)), "m < n"),
        (((4, 4), "AVG", (2, 4)), "either block_size"),
    ],
)
def test_arguments_that_make_no_pattern_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_pattern(*arguments)


@pytest.mark.parametrize("pattern", [Blocks((4, 4), "AVG"), MByN(2, 4)])
def test_a_pattern_that_does_not_fit_a_weight_names_it(pattern):
    with pytest.raises(ValueError, match=r"'conv1d/kernel' has shape \(3, 2, 8\)"):
        pattern.check("conv1d/kernel", (3, 2, 8))
