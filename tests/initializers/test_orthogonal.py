"""Orthogonal kernels keep lengths: as matrices, in attention, and as whole convolutions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kerasinit
from tests.kerases import KERASES

WINDOWS = [
    *((1,), (2,), (3,), (5,)),
    *((1, 1), (2, 2), (3, 3), (5, 5), (1, 3), (5, 2)),
    *((1, 1, 1), (2, 2, 2), (3, 3, 3), (5, 5, 5), (3, 1, 2)),
]
IMAGE = (7, 6, 5)


def assert_orthonormal(matrix, tolerance=2e-6):
    """Assert that the rows of a matrix, or its columns if fewer, are orthonormal."""
    matrix = np.asarray(matrix, np.complex128)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    assert np.abs(matrix @ matrix.conj().T - np.eye(matrix.shape[0])).max() < tolerance


def convolution(module, made, window, filters, padding):
    kind = getattr(module.layers, f"Conv{len(window)}D")
    return kind(filters, window, padding=padding, use_bias=False, kernel_initializer=made)


def images(window, channels):
    size = (2, *IMAGE[: len(window)], channels)
    return np.random.default_rng(3).normal(size=size).astype(np.float32)


def lengths(values, axis=None):
    return np.sqrt(np.square(np.asarray(values, np.float64)).sum(axis))


def length_of_each(values):
    return lengths(values, tuple(range(1, np.ndim(values))))


# Orthogonal: which axes are the rows and which the columns.


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize(
    ("equation", "inputs", "outputs", "axes"),
    [
        ("abc,cde->abde", (24,), (4, 6), {"input_axes": [0], "output_axes": [1, 2]}),
        ("abc,cde->abde", (24,), (5, 7), {"input_axes": [0], "output_axes": (-2, -1)}),
        ("abde,dec->abc", (4, 6), (24,), {"input_axes": [0, 1], "output_axes": [2]}),
    ],
)
def test_an_attention_kernel_with_its_axes_keeps_the_length_of_every_token(
    kerase, equation, inputs, outputs, axes
):
    layer = KERASES[kerase].layers.EinsumDense(
        equation,
        (None, *outputs),
        kernel_initializer=kerasinit.Orthogonal(seed=1, **axes),
    )
    tokens = np.random.default_rng(1).normal(size=(2, 3, *inputs)).astype(np.float32)
    result = np.asarray(layer(tokens)).reshape(2, 3, -1)
    np.testing.assert_allclose(
        lengths(result, -1), lengths(tokens.reshape(2, 3, -1), -1), rtol=1e-5
    )


@pytest.mark.parametrize("kerase", KERASES)
def test_query_key_and_value_of_an_attention_layer_are_orthogonal(kerase):
    made = kerasinit.Orthogonal(input_axes=[0], output_axes=[1, 2])
    layer = KERASES[kerase].layers.MultiHeadAttention(4, 6, kernel_initializer=made)
    tokens = np.ones((1, 3, 24), np.float32)
    layer(tokens, tokens)
    kernels = [np.asarray(weight) for weight in layer.weights if tuple(weight.shape) == (24, 4, 6)]
    assert len(kernels) == 3
    for kernel in kernels:
        assert_orthonormal(kernel.reshape(24, 24))
    assert not np.array_equal(kernels[0], kernels[1])


def test_axes_in_the_usual_places_change_nothing():
    plain = kerasinit.Orthogonal(1.5, 7)
    matrix = kerasinit.Orthogonal(1.5, 7, [0], [1])
    np.testing.assert_array_equal(matrix((5, 8)), plain((5, 8)))
    kernel = kerasinit.Orthogonal(1.5, 7, [0, 1, 2], [3])
    np.testing.assert_array_equal(kernel((3, 2, 4, 9)), plain((3, 2, 4, 9)))


@pytest.mark.parametrize("name", ["ConvOrthogonal", "DeltaOrthogonal", "Orthogonal"])
@pytest.mark.parametrize(
    ("arguments", "gain"),
    [
        ({"nonlinearity": "relu"}, math.sqrt(2)),
        ({"nonlinearity": "tanh"}, 1.592537),
        ({"negative_slope": 0.3}, math.sqrt(2 / 1.09)),
        ({"nonlinearity": "leaky_relu", "negative_slope": 0.3, "gain": 0.5}, 0.5 / 0.545**0.5),
    ],
    ids=str,
)
def test_the_gain_of_an_activation_is_a_factor(name, arguments, gain):
    kind = getattr(kerasinit, name)
    made = kind(seed=1, **arguments)
    np.testing.assert_allclose(made((3, 4, 4)), gain * kind(seed=1)((3, 4, 4)), rtol=1e-5)
    # As every variance-scaling class takes them.
    scaled = kerasinit.VarianceScaling(seed=1, **arguments)
    np.testing.assert_allclose(
        scaled((40, 40)), gain * kerasinit.VarianceScaling(seed=1)((40, 40)), rtol=1e-5
    )
    for module in KERASES.values():
        again = module.initializers.get(module.initializers.serialize(made))
        assert again.get_config() == made.get_config()
        np.testing.assert_array_equal(again((3, 4, 4)), made((3, 4, 4)))


@pytest.mark.parametrize("kerase", KERASES)
def test_keras_gets_the_whole_factor_in_a_portable_copy(kerase):
    module = KERASES[kerase]
    made = kerasinit.Orthogonal(0.5, seed=1, nonlinearity="relu")
    layer = module.layers.Dense(4, kernel_initializer=made)
    copy = kerasinit.portable(module.Sequential([module.Input((4,)), layer]))
    theirs = copy.layers[-1].kernel_initializer
    assert type(theirs) is module.initializers.Orthogonal
    assert theirs.get_config()["gain"] == pytest.approx(math.sqrt(0.5), rel=1e-6)


def test_exchanged_axes_transpose_the_matrix():
    made = kerasinit.Orthogonal(seed=7, input_axes=[1], output_axes=[0])
    np.testing.assert_array_equal(made((5, 8)), kerasinit.Orthogonal(seed=7)((8, 5)).T)


@given(st.data())
def test_whatever_the_roles_of_the_axes_every_matrix_is_orthogonal(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    axes = data.draw(st.permutations(range(len(shape))))
    first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(shape))] * 2)))
    batch, inputs, outputs = axes[:first], axes[first:second], axes[second:]
    made = kerasinit.Orthogonal(2.0, 1, inputs, [axis - len(shape) for axis in outputs])
    values = made(shape)
    assert values.shape == shape
    rows = math.prod(shape[axis] for axis in inputs)
    columns = math.prod(shape[axis] for axis in outputs)
    ordered = values.transpose([*sorted(batch), *inputs, *outputs])
    for matrix in ordered.reshape(-1, rows, columns):
        assert_orthonormal(matrix / 2)


def test_batch_axes_number_matrices_that_are_independent():
    values = kerasinit.Orthogonal(seed=1, input_axes=[1], output_axes=[2])((1000, 8, 8))
    values = values.astype(np.float64)
    # For two independent Haar matrices the trace of A^T B has mean 0 and variance 1.
    traces = np.einsum("nij,nij->n", values[:-1:2], values[1::2])
    assert abs(traces.mean()) < 5 / np.sqrt(500)
    assert abs(traces.var() - 1) < 5 * np.sqrt(2 / 500)
    entries = values[:, 0, 0]
    assert abs((entries**2).mean() - 1 / 8) < 5 * (entries**2).std() / np.sqrt(1000)


def test_no_matrices_at_all_are_an_empty_tensor():
    assert kerasinit.Orthogonal(input_axes=[1], output_axes=[2])((0, 3, 4)).shape == (0, 3, 4)
    assert kerasinit.Orthogonal(input_axes=[1], output_axes=[2])((3, 0, 4)).shape == (3, 0, 4)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (([0], [3]), "output_axes names axis 3, but the shape"),
        (([-4], [1]), "input_axes names axis -4"),
        (([0], [0]), "Axis 0 of the shape .* is named twice, in input_axes and in output_axes"),
        (([1, -2], [0]), "Axis 1 of the shape .* is named twice"),
    ],
)
def test_axes_that_cannot_be_are_refused_at_the_call(axes, message):
    with pytest.raises(ValueError, match=message):
        kerasinit.Orthogonal(1.0, 1, *axes)((4, 3, 2))


# Convolutions.


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_delta_orthogonal_convolution_turns_every_pixel_and_nothing_else(kerase, window):
    made = kerasinit.DeltaOrthogonal(1.5, seed=2)
    layer = convolution(KERASES[kerase], made, window, 9, "same")
    pixels = images(window, 6)
    result = np.asarray(layer(pixels))
    centre = tuple((size - 1) // 2 for size in window)
    turn = made((*window, 6, 9))[centre]
    assert_orthonormal(turn / 1.5)
    np.testing.assert_allclose(result, pixels @ turn, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lengths(result, -1), 1.5 * lengths(pixels, -1), rtol=1e-5)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_delta_orthogonal_kernel_is_zero_but_for_its_centre(window):
    values = kerasinit.DeltaOrthogonal(seed=2)((*window, 6, 9))
    centre = tuple((size - 1) // 2 for size in window)
    np.testing.assert_array_equal(values[centre], kerasinit.Orthogonal(seed=2)((6, 9)))
    values[centre] = 0
    assert not values.any()


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("channels", [(6, 6), (3, 7)])
def test_an_orthogonal_convolution_keeps_the_length_of_every_image(kerase, window, channels):
    inputs, filters = channels
    made = kerasinit.ConvOrthogonal(seed=1)
    layer = convolution(KERASES[kerase], made, window, filters, "valid")
    pixels = images(window, inputs)
    # Round the border, so that every pixel is seen by the whole window.
    around = [(0, 0), *[(0, size - 1) for size in window], (0, 0)]
    result = np.asarray(layer(np.pad(pixels, around, mode="wrap")))
    assert result.shape == (*pixels.shape[:-1], filters)
    np.testing.assert_allclose(length_of_each(result), length_of_each(pixels), rtol=1e-4)


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("name", ["ConvOrthogonal", "DeltaOrthogonal"])
def test_twenty_orthogonal_convolutions_in_a_row_still_keep_it(kerase, name):
    made = getattr(kerasinit, name)()
    values = pixels = images((3, 3), 5)
    for _ in range(20):
        layer = convolution(KERASES[kerase], made, (3, 3), 5, "valid")
        around = [(0, 0), (1, 1), (1, 1), (0, 0)]
        values = np.asarray(layer(np.pad(values, around, mode="wrap")))
    np.testing.assert_allclose(length_of_each(values), length_of_each(pixels), rtol=1e-4)


def assert_orthonormal_at_every_frequency(kernel, tolerance=1e-6):
    """Assert that the convolution keeps lengths, whatever the size of a periodic image."""
    window = kernel.shape[:-2]
    # The products are trigonometric polynomials: so many points settle them everywhere.
    points = [2 * size for size in window]
    matrices = np.fft.fftn(kernel.astype(np.float64), points, axes=range(len(window)))
    products = matrices @ matrices.conj().swapaxes(-1, -2)
    assert np.abs(products - np.eye(kernel.shape[-2])).max() < tolerance


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(0, 5),
    st.integers(0, 2**64),
)
def test_an_orthogonal_convolution_has_orthonormal_rows_at_every_frequency(
    window, inputs, more, seed
):
    kernel = kerasinit.ConvOrthogonal(seed=seed)((*window, inputs, inputs + more))
    assert_orthonormal_at_every_frequency(kernel)


@pytest.mark.parametrize("shape", [(3, 3, 64, 128), (3, 3, 256, 256), (7, 7, 32, 32), (9, 16, 64)])
def test_large_orthogonal_convolutions_are_as_exact(shape):
    assert_orthonormal_at_every_frequency(kerasinit.ConvOrthogonal(seed=1)(shape))


@pytest.mark.parametrize("gain", [2.0, -0.5, 0])
@pytest.mark.parametrize("name", ["ConvOrthogonal", "DeltaOrthogonal"])
def test_a_gain_only_multiplies_a_convolution(name, gain):
    unit = getattr(kerasinit, name)(seed=1)((3, 3, 4, 6))
    scaled = getattr(kerasinit, name)(gain, seed=1)((3, 3, 4, 6))
    np.testing.assert_allclose(scaled, gain * unit, rtol=1e-6)


@pytest.mark.parametrize("window", [(4,), (3, 3), (1, 3), (2, 3, 2)])
def test_an_orthogonal_convolution_spreads_over_its_window_as_coins_fall(window):
    # Each step along an axis sends every direction one tap on with probability 1/2. So the
    # share of a tap in the squares is binomial along each axis; no direction of channels is
    # special, so within a tap all entries have one variance, and mean 0.
    seeds = 600
    kernels = [kerasinit.ConvOrthogonal(seed=seed)((*window, 2, 3)) for seed in range(seeds)]
    kernels = np.array(kernels, np.float64)
    expected = np.ones(())
    for size in window:
        share = [math.comb(size - 1, tap) / 2 ** (size - 1) for tap in range(size)]
        expected = np.multiply.outer(expected, share)
    for values, mean in ((kernels, 0), (kernels**2, expected[..., None, None] / 3)):
        error = values.std(axis=0) / np.sqrt(seeds)
        assert (np.abs(values.mean(axis=0) - mean) < 5 * error).all()


def test_the_orthogonal_convolutions_of_one_channel_are_shifts():
    seen = set()
    for seed in range(100):
        kernel = kerasinit.ConvOrthogonal(seed=seed)((3, 2, 1, 1))[..., 0, 0]
        np.testing.assert_array_equal(np.sort(np.abs(kernel).ravel()), [0, 0, 0, 0, 0, 1])
        seen.add((*np.argwhere(kernel)[0].tolist(), float(kernel.sum())))
    assert len(seen) == 3 * 2 * 2  # every tap, with either sign


@pytest.mark.parametrize("name", ["ConvOrthogonal", "DeltaOrthogonal"])
@pytest.mark.parametrize("kerase", KERASES)
def test_a_convolution_with_fewer_outputs_than_inputs_is_refused(kerase, name):
    layer = convolution(KERASES[kerase], getattr(kerasinit, name)(), (3, 3), 4, "same")
    with pytest.raises(ValueError, match=f"{name} preserves .*6 inputs and 4 outputs.*use"):
        layer.build((None, 5, 5, 6))


@pytest.mark.parametrize("name", ["ConvOrthogonal", "DeltaOrthogonal"])
@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (1, 1, 1, 1, 2, 3)])
def test_what_is_not_the_kernel_of_a_convolution_is_refused(name, shape):
    with pytest.raises(
        ValueError, match=f"{name} needs the shape of a convolution kernel.*rank {len(shape)}"
    ):
        getattr(kerasinit, name)()(shape)
