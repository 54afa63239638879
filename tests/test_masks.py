"""Masks check their own values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kerasinit._src.mask_arrays import Masks

boolean = arrays.arrays(bool, arrays.array_shapes(max_dims=3, max_side=5))


@given(st.dictionaries(st.text(min_size=1), boolean, min_size=1, max_size=3))
def test_density_counts_what_lives(arrays_by_name):
    masks = Masks(arrays_by_name)

    everything = np.concatenate([array.ravel() for array in arrays_by_name.values()])
    assert masks.density == everything.mean()
    assert (masks.kept, masks.size) == (everything.sum(), everything.size)


def test_a_mask_cannot_be_changed_through_the_array_it_came_from():
    array = np.ones(3, bool)
    masks = Masks({"kernel": array})
    array[0] = False

    assert masks["kernel"].all()
    with pytest.raises(ValueError, match="read-only"):
        masks["kernel"][0] = False


def test_within_is_true_only_if_nothing_came_back():
    more = Masks({"kernel": np.array([True, True, False])})
    less = Masks({"kernel": np.array([True, False, False])})
    other = Masks({"kernel": np.array([False, False, True])})

    assert less.within(more)
    assert more.within(more)
    assert not more.within(less)
    assert not other.within(more)


@pytest.mark.parametrize(
    ("arrays_by_name", "error", "match"),
    [
        ({}, ValueError, "at least one"),
        ({"k": np.ones(3)}, TypeError, "float64"),
        ({"k": np.ones((0, 2), bool)}, ValueError, "no elements"),
    ],
)
def test_what_is_no_mask_is_refused(arrays_by_name, error, match):
    with pytest.raises(error, match=match):
        Masks(arrays_by_name)


def test_a_mask_that_does_not_fit_says_where():
    masks = Masks({"a": np.ones((2, 2), bool), "b": np.ones(3, bool)})

    masks.require_fit({"a": (2, 2), "b": (3,)}, "the model")
    with pytest.raises(ValueError, match=r"'a' has shape \(2, 3\), its mask \(2, 2\)"):
        masks.require_fit({"a": (2, 3), "b": (3,)}, "the model")
    with pytest.raises(ValueError, match="no mask for 'c'"):
        masks.require_fit({"a": (2, 2), "b": (3,), "c": (1,)}, "the model")
    with pytest.raises(ValueError, match="a mask for 'b'"):
        masks.require_fit({"a": (2, 2)}, "the model")


def test_masks_of_other_weights_are_neither_within_nor_equal():
    one = Masks({"a": np.array([True, False])})
    two = Masks({"a": np.array([True, False]), "b": np.array([True, True])})

    assert not one.within(two)
    assert not two.within(one)
    assert one != two
    assert two == Masks(dict(two))
    assert two != Masks({**two, "b": np.array([True, False])})
