"""Scales from theory alone: against sums by hand, and against what a batch shows."""

import numpy as np
import pytest

import kerasinit
from kerasinit._src.whole_models.from_batch.moment_propagation import propagate_moments
from tests.kerases import KERASES

both = pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)


@both
def test_one_layer_by_hand(module):
    # Kernel of mean 2 and variance 1, inputs of mean 1 and variance 3, fan_in 2:
    # 2 * (1 * (3 + 1) + 4 * 3) = 32, and the mean 2 * 2 * 1 / sqrt(32).
    model = module.Sequential([module.Input((2,)), module.layers.Dense(1)])
    model.set_weights([np.array([[1.0], [3.0]]), np.array([0.0])])
    row = propagate_moments(model, mean=1.0, variance=3.0)["dense"]

    assert (row.before, row.variance) == pytest.approx((32, 1))
    assert row.mean == pytest.approx(4 / np.sqrt(32))
    np.testing.assert_allclose(model.get_weights()[0], np.array([[1], [3]]) / np.sqrt(32), 1e-6)


@both
def test_behind_relu_a_sum_and_a_normalization_a_batch_agrees(module):
    layers = module.layers
    inputs = module.Input((400,))
    x = layers.Dense(400, "relu")(inputs)
    x = layers.Add()([x, layers.Dense(400, "tanh")(layers.LayerNormalization()(x))])
    outputs = layers.Dense(400)(x)
    model = module.Model(inputs, outputs)
    kerasinit.reinitialize(model, {"kernel": "GlorotUniform"}, seed=1)
    report = propagate_moments(model)

    batch = np.random.default_rng(0).standard_normal((400, 400)).astype("float32")
    assert report["dense_2"].variance == pytest.approx(1)
    assert np.asarray(model(batch)).var() == pytest.approx(1, abs=0.1)


@both
def test_concatenated_and_rescaled_branches_by_hand(module):
    layers = module.layers
    inputs = module.Input((3,))
    # Of mean 0 and variance 1 become mean 5 and variance 4, one input's worth of three more.
    wide = layers.Rescaling(2.0, 5.0)(layers.RepeatVector(3)(inputs))
    both = layers.Concatenate()([layers.Flatten()(wide), inputs])
    model = module.Model(inputs, layers.Dense(1)(both))
    model.set_weights([np.r_[np.ones((6, 1)), -np.ones((6, 1))], np.zeros(1)])

    # A mixture of three to one: mean 15 / 4, mean square (3 (4 + 25) + 1) / 4 = 22. With a
    # kernel of mean 0 and variance 1, and a fan_in of 12, the sum has the variance 12 * 22.
    assert propagate_moments(model)["dense"].before == pytest.approx(12 * 22)


@both
def test_what_theory_does_not_know_is_refused_and_can_be_said(module):
    layers = [module.layers.Dense(3), module.layers.Softmax(name="mix"), module.layers.Dense(2)]
    model = module.Sequential([module.Input((4,)), *layers])
    before = [np.array(weight) for weight in model.get_weights()]
    with pytest.raises(ValueError, match="does not cover 'mix'"):
        propagate_moments(model)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    first = propagate_moments(model, assume={"mix": (0.5, 0.25)})["dense_1"].before
    again = propagate_moments(model, assume={"mix": (5.0, 25.0)})["dense_1"].before
    assert first == pytest.approx(2 * (before[2].var() * 0.5 + before[2].mean() ** 2 * 0.25) * 1.5)
    assert again > 2
    with pytest.raises(ValueError, match="Did you mean 'mix'"):
        propagate_moments(model, assume={"mixx": (0, 1)})


@both
def test_a_kernel_of_zeros_is_an_error(module):
    model = module.Sequential([module.Input((4,)), module.layers.Dense(3)])
    model.set_weights([np.zeros((4, 3)), np.zeros(3)])
    with pytest.raises(ValueError, match="No scale gives 'dense'"):
        propagate_moments(model)
