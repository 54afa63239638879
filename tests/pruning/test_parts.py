"""Layers, lists and nested models pruned by themselves, and weights that models share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning
from tests.products import each_value_once

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 6)).astype("float32"), RNG.normal(size=(32, 2)).astype("float32")
UNMASKED = "are pruned, and are trained here without their masks"


def at(sparsity, begin_step=0):
    return pruning.ConstantSparsity(sparsity, begin_step, frequency=1)


def dense(units=8):
    return keras.layers.Dense(units)


def fit(model, callbacks=None, **arguments):
    if not model.compiled:
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    callbacks = [pruning.UpdatePruningStep()] if callbacks is None else callbacks
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=callbacks, **arguments)
    return model


def sequential(*layers):
    return keras.Sequential([keras.Input((6,)), *layers])


class Own(keras.Model):
    """A subclassed model."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = list(parts)

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


def subclassed(*parts):
    model = Own(*parts)
    model(X)
    return model


def sparsity(layer):
    return float(np.mean(layer.kernel.numpy() == 0))


@each_value_once(model_class=[sequential, subclassed], built=[True, False])
def test_a_layer_pruned_by_itself_is_pruned_in_the_model_that_trains_it(model_class, built):
    layer = dense()
    if built:
        layer.build((None, 6))
    assert pruning.prune_low_magnitude(layer, at(0.75)) is layer
    model = fit(model_class(layer, dense(2)), epochs=2)
    assert sparsity(layer) == 0.75
    assert [*pruning.masks(model)] == ["dense/kernel"]
    assert pruning.strip_pruning(model) is model
    fit(model, callbacks=[])
    assert sparsity(layer) < 0.75


@pytest.mark.filterwarnings("ignore:Pruning. The schedule does not fire:UserWarning")
def test_layers_of_a_list_keep_their_own_schedules():
    first, second = pruning.prune_low_magnitude([dense(), dense()], at(0.25))
    third = pruning.prune_low_magnitude(dense(2), at(0.5, begin_step=6))
    model = sequential(first, second, third)
    fit(model)
    assert [sparsity(layer) for layer in model.layers] == [0.25, 0.25, 0.0]
    fit(model)
    assert [sparsity(layer) for layer in model.layers] == [0.25, 0.25, 0.5]


def test_a_layer_keeps_its_schedule_in_a_model_that_is_pruned_as_well():
    layer = pruning.prune_low_magnitude(dense(), at(0.75))
    model = pruning.prune_low_magnitude(sequential(layer, dense(2)), at(0.25))
    fit(model)
    assert [sparsity(layer) for layer in model.layers] == [0.75, 0.25]


@pytest.mark.parametrize("model_class", [sequential, subclassed])
def test_a_model_pruned_by_itself_is_pruned_inside_another(model_class):
    inner = pruning.prune_low_magnitude(sequential(dense(), dense(4)), at(0.5))
    fit(model_class(inner, dense(2)))
    assert [sparsity(layer) for layer in inner.layers] == [0.5, 0.5]


def test_a_layer_within_a_wrapper_and_a_wrapper_itself_are_pruned():
    within = pruning.prune_low_magnitude(dense(4), at(0.5))
    both_ways = keras.layers.Bidirectional(keras.layers.SimpleRNN(4))
    around = pruning.prune_low_magnitude(both_ways, at(0.75))
    layers = [keras.layers.Reshape((3, 2)), keras.layers.TimeDistributed(within), around, dense(2)]
    masks = pruning.masks(fit(sequential(*layers)))
    assert {name: mask.mean() for name, mask in masks.items()} == {
        "time_distributed/kernel": 0.5,
        "bidirectional/forward/kernel": 0.25,
        "bidirectional/forward/recurrent_kernel": 0.25,
        "bidirectional/backward/kernel": 0.25,
        "bidirectional/backward/recurrent_kernel": 0.25,
    }


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_a_part_that_is_trained_without_the_callback_is_an_error(run_eagerly):
    layer = pruning.prune_low_magnitude(dense(), at(0.5))
    inner = pruning.prune_low_magnitude(sequential(dense()), at(0.5))
    for model in (sequential(layer, dense(2)), sequential(inner, dense(2))):
        model.compile("sgd", "mse", run_eagerly=run_eagerly)
        for _ in range(2):
            with pytest.raises(ValueError, match=UNMASKED):
                fit(model, callbacks=[])
        fit(model)
        with pytest.raises(ValueError, match="callback UpdatePruningStep, which is missing"):
            fit(model, callbacks=[])


def test_a_loop_without_begin_step_is_an_error():
    model = pruning.prune_low_magnitude(sequential(dense(2)), at(0.5))
    optimizer = keras.optimizers.SGD(0.05)

    def step(begins):
        if begins:
            pruning.begin_step(model)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(X, training=True) - Y) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    for wrap in (tf.function, lambda function: function):
        with pytest.raises(ValueError, match=UNMASKED):
            wrap(step)(False)
    step(True)
    pruning.strip_pruning(model)
    step(False)
    assert sparsity(model.layers[0]) < 0.5


def test_constraints_of_the_user_stay_in_force_and_in_the_config():
    layer = keras.layers.Dense(2, kernel_constraint=keras.constraints.NonNeg())
    pruning.prune_low_magnitude(layer, at(0.25))
    model = fit(sequential(layer))
    assert (layer.kernel.numpy() >= 0).all()
    config = keras.layers.Dense.from_config(layer.get_config()).kernel_constraint
    assert isinstance(config, keras.constraints.NonNeg)
    pruning.strip_pruning(model)
    assert isinstance(layer.kernel.constraint, keras.constraints.NonNeg)


def test_two_models_share_the_mask_of_a_layer_they_share():
    shared = dense()
    one, other = sequential(shared, dense(2)), sequential(shared, dense(2))
    pruning.prune_low_magnitude(one, at(0.75))
    fit(one)
    with pytest.raises(ValueError, match=UNMASKED):
        fit(other, callbacks=[])
    pruning.prune_low_magnitude(other, at(0.75))
    before = pruning.masks(one)["dense/kernel"]
    np.testing.assert_array_equal(pruning.masks(other)["dense/kernel"], before)
    fit(other)
    after = pruning.masks(one)["dense/kernel"]
    np.testing.assert_array_equal(pruning.masks(other)["dense/kernel"], after)
    assert after.mean() == 0.25
    pruning.strip_pruning(one)
    np.testing.assert_array_equal(pruning.masks(other)["dense/kernel"], after)
    with pytest.raises(ValueError, match=UNMASKED):
        fit(one, callbacks=[])
    pruning.strip_pruning(other)
    fit(one, callbacks=[])
    assert sparsity(shared) < 0.75


def test_stripping_a_layer_leaves_the_rest_of_its_model_pruned():
    first, second = dense(), dense(2)
    pruning.prune_low_magnitude([first, second], at(0.5))
    model = fit(sequential(first, second))
    assert pruning.strip_pruning(first) is first
    assert [*pruning.masks(model)] == ["dense_1/kernel"]
    fit(model)
    assert sparsity(first) < 0.5
    assert sparsity(second) == 0.5
    assert pruning.strip_pruning([first, second]) == [first, second]
    fit(model, callbacks=[])
    assert sparsity(second) < 0.5


def test_a_layer_stripped_before_it_was_used_is_an_ordinary_one():
    layer = pruning.strip_pruning(pruning.prune_low_magnitude(dense(2), at(0.5)))
    fit(sequential(layer), callbacks=[])
    assert sparsity(layer) < 0.5


def test_a_layer_that_the_pattern_does_not_fit_is_refused_when_built():
    layer = keras.layers.Conv1D(3, 2)
    layer.build((None, 8, 2))
    with pytest.raises(ValueError, match=r"'conv1d/kernel' has shape \(2, 2, 3\)"):
        pruning.prune_low_magnitude(layer, block_size=(2, 2))
    layer = pruning.prune_low_magnitude(keras.layers.Conv1D(3, 2), block_size=(2, 2))
    with pytest.raises(ValueError, match=r"'conv1d/kernel' has shape \(2, 2, 3\)"):
        layer.build((None, 8, 2))
