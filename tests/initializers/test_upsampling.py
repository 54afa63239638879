"""Layers that enlarge images, and what they show before any training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import kerasinit
from tests.kerases import KERASES, has_keras

both_kerases = pytest.mark.parametrize("kerase", KERASES)


def enlarged(kerase, images, scale):
    """Return what a new transposed convolution of `Bilinear` makes of images."""
    layer = getattr(KERASES[kerase].layers, f"Conv{images.ndim - 2}DTranspose")(
        images.shape[-1],
        2 * scale - scale % 2,
        strides=scale,
        padding="same",
        kernel_initializer=kerasinit.Bilinear(),
    )
    return np.asarray(layer(images))


def inside(images, scale):
    """Return images without the border, where the zeros beyond it shine in."""
    return images[(slice(None), *[slice(scale, -scale)] * (images.ndim - 2))]


@both_kerases
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
def test_constants_and_ramps_stay_what_they_are(scale, axes, kerase):
    size = 5
    # The middle of a pixel is where its value is: of scale small ones (scale - 1) / 2.
    fine = (np.arange(size * scale) - (scale - 1) / 2) / scale
    places = np.meshgrid(*[np.arange(size)] * axes, indexing="ij")
    fine_places = np.meshgrid(*[fine] * axes, indexing="ij")
    ramp = [3 + sum((i + 1) * at for i, at in enumerate(grid)) for grid in (places, fine_places)]
    coarse, expected = (
        np.stack([np.ones_like(image), image], -1)[np.newaxis].astype("float32") for image in ramp
    )
    found = enlarged(kerase, coarse, scale)
    assert found.shape == expected.shape
    compare = np.testing.assert_array_equal if scale in (1, 2, 4) else np.testing.assert_allclose
    rounding = {} if scale in (1, 2, 4) else {"rtol": 1e-6}
    compare(inside(found, scale), inside(expected, scale), **rounding)


@both_kerases
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_images_are_enlarged_as_tensorflow_enlarges_them(scale, kerase):
    images = np.random.default_rng(0).normal(size=(2, 6, 7, 3)).astype("float32")
    expected = tf.image.resize(images, (6 * scale, 7 * scale), "bilinear").numpy()
    found = inside(enlarged(kerase, images, scale), scale)
    np.testing.assert_allclose(found, inside(expected, scale), rtol=0, atol=1e-5)


@both_kerases
def test_no_channel_shines_into_another(kerase):
    images = np.zeros((1, 5, 5, 3), "float32")
    images[..., 1] = 1
    found = enlarged(kerase, images, 2)
    assert not found[..., [0, 2]].any()
    assert found[..., 1].all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 3))
def test_a_kernel_is_the_product_of_triangles(window, channels):
    kernel = kerasinit.Bilinear()((*window, channels, channels))
    taps = kernel[..., 0, 0]
    assert (taps > 0).all()
    np.testing.assert_array_equal(taps, np.flip(taps))
    np.testing.assert_array_equal(
        kernel, taps[..., np.newaxis, np.newaxis] * np.eye(channels, dtype="float32")
    )
    for axis, size in enumerate(window):
        line = np.moveaxis(taps, axis, 0).reshape(size, -1)[:, 0]
        steps = np.diff(line[: (size + 1) // 2])
        np.testing.assert_allclose(steps, np.full_like(steps, steps[:1].sum()), rtol=1e-5)
        assert (steps > 0).all()


@both_kerases
@pytest.mark.parametrize("inner", ["HeNormal", "GlorotUniform", "Orthogonal"])
@pytest.mark.parametrize(("scale", "taps"), [(1, 3), (2, 3), (3, 1), (4, 2)])
def test_sub_pixels_make_the_nearest_neighbour_of_a_small_convolution(scale, taps, inner, kerase):
    images = np.random.default_rng(0).normal(size=(2, 6, 7, 4)).astype("float32")
    layers = KERASES[kerase].layers
    wide = layers.Conv2D(
        3 * scale**2,
        taps,
        padding="same",
        kernel_initializer=kerasinit.ICNR(inner, scale=scale, seed=1),
    )
    small = layers.Conv2D(
        3, taps, padding="same", kernel_initializer=getattr(kerasinit, inner)(seed=1)
    )
    channels = wide(images)
    found = channels if scale == 1 else tf.nn.depth_to_space(channels, scale)
    expected = np.asarray(small(images)).repeat(scale, 1).repeat(scale, 2)
    # The weights are equal to the last bit, below; the two layers add up in their own order.
    np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=1e-5)
    for pixel in range(scale**2):
        kernel = wide.kernel.numpy()[..., pixel * 3 : (pixel + 1) * 3]
        np.testing.assert_array_equal(kernel, small.kernel.numpy())
    if scale > 1 and has_keras("3.14"):
        np.testing.assert_array_equal(keras.ops.depth_to_space(np.asarray(channels), scale), found)


@both_kerases
def test_sub_pixels_of_identities_enlarge_an_image_exactly(kerase):
    images = np.random.default_rng(0).normal(size=(2, 6, 7, 4)).astype("float32")
    made = kerasinit.ICNR(kerasinit.Dirac(), scale=3)
    layer = KERASES[kerase].layers.Conv2D(36, 3, padding="same", kernel_initializer=made)
    found = tf.nn.depth_to_space(layer(images), 3)
    np.testing.assert_array_equal(found, images.repeat(3, 1).repeat(3, 2))


def test_the_fans_are_those_of_the_small_convolution():
    kernel = kerasinit.ICNR("GlorotUniform", scale=4, seed=1)((3, 3, 10, 160))
    limit = np.sqrt(6 / (9 * (10 + 10)))
    assert 0.98 * limit < np.abs(kernel).max() <= limit
