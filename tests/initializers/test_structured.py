"""Identities, ZerO and orthogonal filters: what real layers make of their kernels."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import kerasinit
from tests.kerases import KERASES

both_kerases = pytest.mark.parametrize("kerase", KERASES)
windows = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


def convolved(kerase, made, images, filters, window, **more):
    """Return what a new convolution that keeps the images' size makes of them."""
    name = f"Conv{images.ndim - 2}D"
    layer = getattr(KERASES[kerase].layers, name)(
        filters, window, padding="same", kernel_initializer=made, **more
    )
    return np.asarray(layer(images))


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@both_kerases
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["Dirac", "Identity", "ZerO"])
def test_a_square_convolution_returns_its_input(name, taps, axes, kerase):
    images = noise(2, *[6] * axes, 3)
    made = getattr(kerasinit, name)()
    np.testing.assert_array_equal(convolved(kerase, made, images, 3, taps), images)


@both_kerases
def test_a_window_may_have_unequal_sides(kerase):
    images = noise(2, 6, 7, 8, 3)
    made = kerasinit.Identity()
    np.testing.assert_array_equal(convolved(kerase, made, images, 3, (2, 5, 4)), images)


@both_kerases
@pytest.mark.parametrize("name", ["Dirac", "Identity"])
def test_the_gain_multiplies_what_is_passed_on(name, kerase):
    images = noise(2, 6, 6, 3)
    made = getattr(kerasinit, name)(gain=-0.5)
    np.testing.assert_array_equal(convolved(kerase, made, images, 3, 3), images * -0.5)
    layer = KERASES[kerase].layers.Dense(6, kernel_initializer=made)
    np.testing.assert_array_equal(np.asarray(layer(images[0, 0].T)), images[0, 0].T * -0.5)


@both_kerases
def test_a_relu_rnn_of_identities_adds_up_its_inputs(kerase):
    made = kerasinit.Identity()
    layer = KERASES[kerase].layers.SimpleRNN(
        3, "relu", kernel_initializer=made, recurrent_initializer=made, return_sequences=True
    )
    steps = np.arange(24, dtype="float32").reshape(2, 4, 3)
    np.testing.assert_array_equal(np.asarray(layer(steps)), steps.cumsum(1))


@both_kerases
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_a_grouped_convolution_returns_its_input(groups, axes, kerase):
    images = noise(2, *[6] * axes, 6)
    made = kerasinit.Dirac(groups)
    np.testing.assert_array_equal(convolved(kerase, made, images, 6, 3, groups=groups), images)


@both_kerases
def test_surplus_channels_are_left_out_or_zero(kerase):
    images = noise(2, 6, 6, 4)
    fewer = convolved(kerase, kerasinit.Dirac(), images, 3, 3)
    np.testing.assert_array_equal(fewer, images[..., :3])
    more = convolved(kerase, kerasinit.Dirac(), images, 6, 3)
    np.testing.assert_array_equal(more[..., :4], images)
    assert not more[..., 4:].any()


@both_kerases
def test_each_group_passes_on_its_own_channels(kerase):
    images = noise(2, 6, 6, 4)
    fewer = convolved(kerase, kerasinit.Dirac(2), images, 2, 3, groups=2)
    np.testing.assert_array_equal(fewer, images[..., [0, 2]])
    more = convolved(kerase, kerasinit.Dirac(2), images, 6, 3, groups=2)
    np.testing.assert_array_equal(more[..., [0, 1, 3, 4]], images)
    assert not more[..., [2, 5]].any()


@both_kerases
def test_a_dense_layer_passes_on_what_it_has_room_for(kerase):
    rows = noise(5, 4)
    narrow = KERASES[kerase].layers.Dense(3, kernel_initializer=kerasinit.Dirac())
    np.testing.assert_array_equal(np.asarray(narrow(rows)), rows[:, :3])
    wide = KERASES[kerase].layers.Dense(6, kernel_initializer=kerasinit.Dirac())
    np.testing.assert_array_equal(np.asarray(wide(rows)), np.pad(rows, ((0, 0), (0, 2))))


@given(windows, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_dirac_is_one_where_its_formula_says_and_nowhere_else(window, groups, inputs, per_group):
    kernel = kerasinit.Dirac(groups)((*window, inputs, groups * per_group))
    centre = tuple((size - 1) // 2 for size in window)
    for group in range(groups):
        for i in range(min(inputs, per_group)):
            assert kernel[(*centre, i, group * per_group + i)] == 1
    assert np.count_nonzero(kernel) == kernel.sum() == groups * min(inputs, per_group)


@given(windows, st.integers(0, 5))
def test_dirac_of_square_kernels_is_the_identity(window, channels):
    shape = (*window, channels, channels)
    np.testing.assert_array_equal(kerasinit.Dirac()(shape), kerasinit.Identity()(shape))


def test_zero_has_the_values_of_its_formula():
    half = 2**-0.5
    by_hand = {
        (1, 1): [[1]],
        (3, 2): [[1, 0], [0, 1], [0, 0]],
        (1, 2): [[1, 1]],
        (1, 3): [[half, half, half]],
        (2, 3): [[half, half, half], [half, -half, half]],
        (3, 4): [[half, half, half, half], [half, -half, half, -half], [half, half, -half, -half]],
    }
    for shape, values in by_hand.items():
        np.testing.assert_array_equal(kerasinit.ZerO()(shape), np.float32(values))


@given(st.integers(1, 40), st.integers(1, 70))
def test_zero_is_the_product_of_the_paper(inputs, outputs):
    values = kerasinit.ZerO()((inputs, outputs))
    if outputs > inputs:
        # In the paper's notation, whose matrices are (outputs, inputs): c I* H I*.
        m = int(np.ceil(np.log2(outputs)))
        whole = 2 ** (-(m - 1) / 2) * scipy.linalg.hadamard(2**m)
        expected = (np.eye(outputs, 2**m) @ whole @ np.eye(2**m, inputs)).T
    else:
        expected = np.eye(inputs, outputs)
    np.testing.assert_array_equal(values, expected.astype("float32"))


@given(st.integers(1, 40), st.integers(1, 70))
def test_zero_has_full_rank(inputs, outputs):
    values = kerasinit.ZerO()((inputs, outputs))
    assert np.linalg.matrix_rank(values) == min(inputs, outputs)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 2), (5, 8), (63, 64), (100, 1024)])
def test_zero_keeps_angles_where_the_outputs_are_a_power_of_two(inputs, outputs):
    values = kerasinit.ZerO()((inputs, outputs)).astype("float64")
    np.testing.assert_allclose(values @ values.T, 2 * np.eye(inputs), rtol=0, atol=1e-6)


@both_kerases
@pytest.mark.parametrize("taps", [1, 2, 3])
@pytest.mark.parametrize("filters", [3, 4, 7])
def test_a_convolution_of_zero_is_its_dense_layer_at_every_pixel(filters, taps, kerase):
    images = noise(2, 6, 6, 4)
    dense = KERASES[kerase].layers.Dense(filters, kernel_initializer=kerasinit.ZerO())
    found = convolved(kerase, kerasinit.ZerO(), images, filters, taps)
    np.testing.assert_allclose(found, np.asarray(dense(images)), rtol=0, atol=1e-6)


def spectra(kernel):
    """Return the Fourier transforms of a kernel's windows: (outputs, inputs, frequencies)."""
    axes = tuple(range(kernel.ndim - 2))
    transforms = np.fft.fftn(kernel.astype("float64"), axes=axes)
    return transforms.reshape(-1, *kernel.shape[-2:]).transpose(2, 1, 0)


def assert_orthogonal(kernel, tolerance=1e-6):
    """Assert that, for every output, the transforms in each run of inputs are orthogonal."""
    found = spectra(kernel)
    _, inputs, frequencies = found.shape
    for start in range(0, inputs, frequencies):
        run = found[:, start : start + frequencies]
        products = run @ run.conj().swapaxes(1, 2)
        lengths = 2 / inputs * frequencies
        expected = np.broadcast_to(lengths * np.eye(run.shape[1]), products.shape)
        np.testing.assert_allclose(products, expected, rtol=0, atol=tolerance * lengths)


@pytest.mark.parametrize("window", [(1,), (3,), (2, 2), (3, 4), (5, 5), (2, 3, 3)])
@pytest.mark.parametrize("inputs", [1, 4, 25, 30])
def test_without_noise_the_transforms_of_a_filter_are_orthogonal(window, inputs):
    kernel = kerasinit.ConvolutionAware(eps_std=0, seed=1)((*window, inputs, 6))
    assert kernel.dtype == "float32"  # the way back from Fourier space ends in real numbers
    assert_orthogonal(kernel)


@both_kerases
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_convolution_holds_orthogonal_filters(axes, kerase):
    made = kerasinit.ConvolutionAware(eps_std=0, seed=1)
    layer = getattr(KERASES[kerase].layers, f"Conv{axes}D")(5, 3, kernel_initializer=made)
    layer.build((None, *[6] * axes, 8))
    assert_orthogonal(layer.kernel.numpy())


def test_every_run_of_filters_and_every_output_is_drawn_afresh():
    kernel = kerasinit.ConvolutionAware(eps_std=0, seed=1)((3, 3, 18, 2))
    sets = [kernel[..., start : start + 9, out] for start in (0, 9) for out in (0, 1)]
    for i, one in enumerate(sets):
        assert not any(np.allclose(one, other, atol=1e-3) for other in sets[:i])


@pytest.mark.parametrize("eps_std", [0.05, 0.3, 2.0])
def test_the_noise_turns_the_filters_by_as_much_as_it_says(eps_std):
    """The cosine of two orthonormal vectors, each with noise of relative size e."""
    found = spectra(kerasinit.ConvolutionAware(eps_std, seed=1)((3, 3, 9, 2000)))
    products = np.abs(found @ found.conj().swapaxes(1, 2)) / (9 * 2 / 9)
    squares = (products**2)[:, *np.triu_indices(9, 1)].mean(-1)
    expected = (2 * eps_std**2 + eps_std**4) / 9 / (1 + eps_std**2) ** 2
    assert abs(squares.mean() - expected) < 5 * squares.std() / np.sqrt(squares.size)


@pytest.mark.parametrize("eps_std", [0, 0.05, 1.0])
@pytest.mark.parametrize("shape", [(5, 20, 400), (3, 3, 64, 32), (3, 3, 3, 10, 50), (1, 90, 80)])
def test_filters_have_hes_variance(shape, eps_std):
    values = kerasinit.ConvolutionAware(eps_std, seed=1)(shape).astype("float64")
    squares = values**2 * np.prod(shape[:-1]) / 2
    # No entry's square varies more than that of a normal number does.
    assert abs(squares.mean() - 1) < (5 * np.sqrt(2 / values.size) if eps_std else 1e-6)
    assert abs(values.mean() / values.std()) < 5 / np.sqrt(values.size)


def test_filters_are_uniform_among_the_orthonormal_sets():
    """Each entry has the moments of an entry of a Haar matrix, and no two go together."""
    outputs = 20_000
    kernel = kerasinit.ConvolutionAware(eps_std=0, seed=1)((3, 3, 9, outputs))
    entries = (kernel.astype("float64") / np.sqrt(2 / 9)).reshape(81, outputs)
    for power, moment in ((1, 0), (2, 1 / 9), (3, 0), (4, 3 / (9 * 11))):
        powers = entries**power
        error = powers.std(1) / np.sqrt(outputs)
        assert (np.abs(powers.mean(1) - moment) < 5 * error).all()
    together = np.corrcoef(entries)[np.triu_indices(81, 1)]
    assert np.abs(together).max() < 5.5 / np.sqrt(outputs)  # of 3240 pairs


@both_kerases
def test_relu_after_filters_keeps_the_second_moment(kerase):
    images = noise(64, 12, 12, 16)
    made = kerasinit.ConvolutionAware(seed=1)
    found = convolved(kerase, made, images, 32, 3, activation="relu")[:, 1:-1, 1:-1]
    moments = (found**2).mean((1, 2, 3))
    assert abs(moments.mean() - 1) < 5 * moments.std() / np.sqrt(moments.size)


@settings(max_examples=30)
@given(windows, st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**32))
def test_any_kernel_can_be_made_of_orthogonal_filters(window, inputs, outputs, seed):
    kernel = kerasinit.ConvolutionAware(eps_std=0, seed=seed)((*window, inputs, outputs))
    assert_orthogonal(kernel, tolerance=1e-5)
