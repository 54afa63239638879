"""The variance that the fans ask for, on arrays and through real layers."""

import json

import keras
import numpy as np
import pytest
import scipy.stats

import kerasinit
from tests.kerases import KERASES, has_keras, hears_of_axes, tf_keras
from tests.products import each_value_once

NAMED = {
    "GlorotNormal": ("fan_avg", 1, "truncated_normal"),
    "GlorotUniform": ("fan_avg", 1, "uniform"),
    "HeNormal": ("fan_in", 2, "truncated_normal"),
    "HeUniform": ("fan_in", 2, "uniform"),
    "LecunNormal": ("fan_in", 1, "truncated_normal"),
    "LecunUniform": ("fan_in", 1, "uniform"),
}
FANS = {"fan_in": 500.0, "fan_out": 400.0, "fan_avg": 450.0, "fan_geo": 200000**0.5}
UNITS = {
    "truncated_normal": scipy.stats.truncnorm(-2, 2, scale=1 / 0.87962566103423978),
    "untruncated_normal": scipy.stats.norm(),
    "uniform": scipy.stats.uniform(-(3**0.5), 2 * 3**0.5),
}


def assert_distributed(values, variance, distribution):
    unit = UNITS[distribution]
    values = np.asarray(values, np.float64).ravel() / np.sqrt(variance)
    assert scipy.stats.kstest(values, unit.cdf).pvalue > 1e-4
    error = np.sqrt((unit.moment(4) - 1) / values.size)
    assert abs((values**2).mean() - 1) < 5 * error
    assert abs(values.mean()) < 5 / np.sqrt(values.size)


@pytest.mark.parametrize("mode", FANS)
@pytest.mark.parametrize("distribution", UNITS)
def test_the_variance_is_the_scale_over_the_fan(mode, distribution):
    made = kerasinit.VarianceScaling(1.7, mode, distribution, seed=1)
    assert_distributed(made((500, 400)), 1.7 / FANS[mode], distribution)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_class_is_variance_scaling_with_its_settings(name):
    mode, scale, distribution = NAMED[name]
    named = getattr(kerasinit, name)(seed=1)
    core = kerasinit.VarianceScaling(scale, mode, distribution, seed=1)
    np.testing.assert_array_equal(named((50, 40)), core((50, 40)))
    assert (named.mode, named.distribution) == (mode, distribution)


@each_value_once(name=list(NAMED), kerase=list(KERASES))
def test_a_convolution_holds_the_distribution(name, kerase):
    mode, scale, distribution = NAMED[name]
    layer = KERASES[kerase].layers.Conv2D(
        128, 3, kernel_initializer=getattr(kerasinit, name)(seed=1)
    )
    layer.build((None, 8, 8, 64))
    fan = 9 * {"fan_in": 64, "fan_avg": 96}[mode]
    assert_distributed(layer.kernel.numpy(), scale / fan, distribution)


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0, -1.0, 2.0])
def test_he_makes_good_for_the_slope(slope):
    made = kerasinit.HeNormal(seed=1, negative_slope=slope)
    values = made((400, 500))
    assert_distributed(values, 2 / (1 + slope**2) / 400, "truncated_normal")
    # The output of the activation has the second moment that its input had.
    signal = kerasinit.RandomNormal(stddev=1, seed=2)((500, 400)) @ values
    active = np.where(signal > 0, signal, np.float32(slope) * signal)
    assert (active**2).mean() == pytest.approx(1, abs=0.05)


@each_value_once(name=list(NAMED), activation=["tanh", "gelu", "selu", keras.activations.silu])
def test_every_named_class_makes_good_for_the_activation(name, activation):
    mode, _, distribution = NAMED[name]
    made = getattr(kerasinit, name)(seed=1, nonlinearity=activation, gain=0.5)
    scale = 0.25 * kerasinit.gain(activation) ** 2
    assert_distributed(made((500, 400)), scale / FANS[mode], distribution)


@pytest.mark.parametrize("name", ["GlorotNormal", "LecunUniform", "VarianceScaling"])
def test_a_slope_alone_means_a_leaky_relu(name):
    alone = getattr(kerasinit, name)(seed=1, negative_slope=0.3)
    named = getattr(kerasinit, name)(seed=1, nonlinearity="leaky_relu", negative_slope=0.3)
    np.testing.assert_array_equal(alone((50, 40)), named((50, 40)))
    he = kerasinit.VarianceScaling(2 / 1.09, alone.mode, alone.distribution, seed=1)
    np.testing.assert_allclose(alone((50, 40)), he((50, 40)), rtol=1e-6)


def test_he_for_relu_is_lecun_with_its_gain():
    he = kerasinit.HeNormal(seed=1)((50, 40))
    lecun = kerasinit.LecunNormal(seed=1, nonlinearity="relu")((50, 40))
    np.testing.assert_allclose(he, lecun, rtol=1e-6)


def test_the_activation_may_be_a_function_of_ones_own_once_it_is_registered():
    @keras.saving.register_keras_serializable("test_variance")
    def doubled(inputs):
        return 2 * inputs

    made = kerasinit.LecunNormal(seed=1, nonlinearity=doubled)
    assert_distributed(made((400, 500)), 1 / 4 / 400, "truncated_normal")
    again = kerasinit.LecunNormal.from_config(json.loads(json.dumps(made.get_config())))
    assert again.nonlinearity is doubled
    np.testing.assert_array_equal(again((4, 5)), made((4, 5)))


@pytest.mark.parametrize("name", NAMED)
def test_fans_that_are_given_count_before_shape_and_axes(name):
    mode, scale, distribution = NAMED[name]
    made = getattr(kerasinit, name)(seed=1, fans=(9, 25), input_axes=[0], output_axes=[1])
    fan = {"fan_in": 9, "fan_avg": 17}[mode]
    assert_distributed(made((500, 400)), scale / fan, distribution)


def test_normal_is_the_truncated_normal_in_any_case():
    assert kerasinit.VarianceScaling(distribution="Normal").distribution == "truncated_normal"


@hears_of_axes
def test_attention_kernels_have_their_right_variance_in_keras():
    layer = keras.layers.MultiHeadAttention(8, 32, kernel_initializer=kerasinit.LecunNormal())
    layer.build((None, 6, 256), (None, 6, 256))
    kernels = [weight.numpy() for weight in layer.weights if len(weight.shape) == 3]
    assert [kernel.shape for kernel in kernels] == [(256, 8, 32)] * 3 + [(8, 32, 256)]
    for kernel in kernels:
        assert_distributed(kernel, 1 / 256, "truncated_normal")
    # Fresh values for each: the query is not the key.
    assert not np.array_equal(kernels[0], kernels[1])


@pytest.mark.parametrize("name", NAMED)
def test_every_named_class_works_in_attention(name):
    layer = keras.layers.MultiHeadAttention(2, 4, kernel_initializer=getattr(kerasinit, name)())
    assert layer(np.ones((1, 3, 8), "float32"), np.ones((1, 3, 8), "float32")).shape == (1, 3, 8)


@hears_of_axes
def test_he_keeps_its_slope_in_attention():
    made = kerasinit.HeNormal(negative_slope=1.0)
    layer = keras.layers.MultiHeadAttention(8, 32, kernel_initializer=made)
    layer.build((None, 6, 256), (None, 6, 256))
    assert_distributed(layer.weights[0].numpy(), 1 / 256, "truncated_normal")


@hears_of_axes
@pytest.mark.parametrize("name", NAMED)
def test_einsum_kernels_have_their_right_variance_in_keras(name):
    mode, scale, distribution = NAMED[name]
    layer = keras.layers.EinsumDense(
        "abc,cde->abde", (None, 8, 16), kernel_initializer=getattr(kerasinit, name)()
    )
    layer.build((None, 6, 256))
    fan = {"fan_in": 256, "fan_avg": 192}[mode]
    assert_distributed(layer.kernel.numpy(), scale / fan, distribution)
    assert layer.kernel_initializer.input_axes is None


@pytest.mark.parametrize("kerase", KERASES)
def test_explicit_axes_are_used_by_einsum_layers_of_both_kerases(kerase):
    made = kerasinit.LecunNormal(input_axes=[0], output_axes=(1, 2))
    layer = KERASES[kerase].layers.EinsumDense(
        "abc,cde->abde", (None, 8, 16), kernel_initializer=made
    )
    layer.build((None, 6, 256))
    assert_distributed(layer.kernel.numpy(), 1 / 256, "truncated_normal")


@pytest.mark.parametrize("library", [tf_keras, *([] if has_keras("3.15") else [keras])])
def test_without_axes_an_einsum_kernel_is_taken_for_a_convolution(library):
    """The documented limit; when this fails, the docstring can promise more."""
    layer = library.layers.EinsumDense(
        "abc,cde->abde", (None, 8, 16), kernel_initializer=kerasinit.LecunNormal()
    )
    layer.build((None, 6, 256))
    assert_distributed(layer.kernel.numpy(), 1 / (256 * 8), "truncated_normal")


@pytest.mark.parametrize("bounds", [(-2, 2), (-1, 0.5), (0, None), (None, -1), (3, None)])
@pytest.mark.parametrize("absolute", [False, True])
def test_the_bounds_of_the_truncated_normal_are_relative_or_absolute(bounds, absolute):
    mean, stddev = 0.25, 0.5
    made = kerasinit.TruncatedNormal(mean, stddev, seed=1, bounds=bounds, absolute=absolute)
    values = made((100, 1000)).astype(np.float64)
    ends = [
        end if bound is None else bound
        for bound, end in zip(bounds, (-np.inf, np.inf), strict=True)
    ]
    if absolute:
        ends = [(end - mean) / stddev for end in ends]
    cut = scipy.stats.truncnorm(*ends, loc=mean, scale=stddev)
    assert scipy.stats.kstest(values.ravel(), cut.cdf).pvalue > 1e-4


def test_without_a_spread_the_truncated_normal_is_its_mean():
    for absolute in (False, True):
        made = kerasinit.TruncatedNormal(0.5, 0.0, seed=1, bounds=(-1, 1), absolute=absolute)
        assert (made((3, 4)) == 0.5).all()
