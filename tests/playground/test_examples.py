"""Examples depend on the settings alone, and their noise makes them harder."""

import numpy as np
import pytest

from kerasinit._src.playground.examples import examples_for
from kerasinit.playground import Settings

PLANE = ("blobs", "moons", "circles", "xor", "spirals")


def nearest_neighbour_accuracy(examples):
    distances = ((examples.x_test[:, None] - examples.x[None]) ** 2).sum(axis=-1)
    return (examples.y[distances.argmin(axis=1)] == examples.y_test).mean()


@pytest.mark.parametrize("data", PLANE)
def test_examples_in_the_plane_can_be_told_apart_but_for_noise(data):
    clean, noisy = (examples_for(Settings(data=data, noise=noise)) for noise in (0.0, 0.8))

    assert clean.x.shape == (400, 2)
    assert clean.x_test.shape == (200, 2)
    assert nearest_neighbour_accuracy(clean) > 0.97
    assert nearest_neighbour_accuracy(noisy) < 0.9
    np.testing.assert_allclose(clean.x.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(clean.x.std(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(np.bincount(clean.y) / 400, 0.5, atol=0.06)


@pytest.mark.parametrize("data", PLANE)
def test_the_seed_decides_the_examples(data):
    one, again, other = (examples_for(Settings(data=data, seed=seed)) for seed in (1, 1, 2))

    np.testing.assert_array_equal(one.x, again.x)
    assert not np.array_equal(one.x, other.x)


@pytest.mark.parametrize("data", ["circles", "xor", "spirals", "moons"])
def test_no_straight_line_tells_them_apart(data):
    examples = examples_for(Settings(data=data))
    x = np.concatenate([examples.x, np.ones((400, 1))], axis=1)

    line = np.linalg.lstsq(x, examples.y * 2.0 - 1, rcond=None)[0]

    assert ((x @ line > 0) == examples.y).mean() < 0.93


def test_digits_are_images_with_a_test_part():
    examples = examples_for(Settings(data="digits"))

    assert examples.x.shape == (1438, 64)
    assert examples.image_side == 8
    assert len(examples.classes) == 10
    assert not examples.is_plane


def test_a_table_is_standardized_whatever_its_scale():
    x = [[n * 1e200, n % 7, 5.0] for n in range(90)]
    table = {"x": x, "labels": [n % 3 for n in range(90)]}
    names = {"classes": ["a", "b", "c"], "columns": ["p", "q", "r"]}

    examples = examples_for(Settings(data="csv"), table | names)

    assert len(examples.x) == 60
    assert len(examples.x_test) == 30
    np.testing.assert_allclose(examples.x.std(axis=0), [1, 1, 0], atol=1e-6)
    assert examples.columns == ("p", "q", "r")


def test_a_missing_table_is_asked_for():
    with pytest.raises(ValueError, match="choose the file again"):
        examples_for(Settings(data="csv"))
