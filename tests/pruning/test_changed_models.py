"""Models whose layers change after they were pruned: masks follow variables, not names."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 6)).astype("float32"), RNG.normal(size=(32, 4)).astype("float32")


def half():
    return pruning.ConstantSparsity(0.5, 0, frequency=1)


def pruned(*layers):
    layers = layers or (keras.layers.Dense(8), keras.layers.Dense(4))
    model = pruning.prune_low_magnitude(keras.Sequential([keras.Input((6,)), *layers]), half())
    return fit(model)


def fit(model, callbacks=None):
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    callbacks = [pruning.UpdatePruningStep()] if callbacks is None else callbacks
    model.fit(X, Y, verbose=0, callbacks=callbacks)
    return model


def reasons(model):
    return {
        row.name: (row.pruned, row.reason)
        for row in pruning.weight_summaries(model)
        if row.name.endswith("kernel")
    }


def test_a_replaced_layer_does_not_inherit_the_mask_of_the_old_one():
    model = pruned()
    first = pruning.masks(model)["dense/kernel"]
    model.pop()
    model.add(keras.layers.Dense(4))
    assert [*pruning.masks(model)] == ["dense/kernel"]
    gone = r"'dense_1/kernel' \(.*/kernel in Keras\) was pruned and is no longer in the model"
    new = r"'dense_1/kernel' was added to the model after pruning, and is not pruned"
    with pytest.warns(UserWarning, match=f"Pruning: {gone}.* {new}"):
        fit(model)
    assert not (model.layers[-1].kernel.numpy() == 0).any()
    np.testing.assert_array_equal(pruning.masks(model)["dense/kernel"], first)
    assert reasons(model) == {
        "dense/kernel": (True, "kernel"),
        "dense_1/kernel": (False, "new since pruning"),
    }
    # Said once.
    fit(model)


def test_pruning_again_takes_in_what_is_new_and_keeps_the_masks_that_there_were():
    model = pruned()
    first = pruning.masks(model)["dense/kernel"]
    model.pop()
    model.add(keras.layers.Dense(4))
    pruning.prune_low_magnitude(model, half())
    assert pruning.masks(model)["dense_1/kernel"].all()
    np.testing.assert_array_equal(pruning.masks(model)["dense/kernel"], first)
    fit(model)
    assert [mask.mean() for mask in pruning.masks(model).values()] == [0.5, 0.5]


def test_a_layer_that_is_gone_is_an_ordinary_one():
    model = pruned()
    head = model.pop()
    model.add(keras.layers.Dense(4))
    with pytest.warns(UserWarning, match="is no longer in the model"):
        fit(model)
    fit(keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), head]), callbacks=[])
    assert (head.kernel.numpy() == 0).mean() < 0.5


def test_stripping_frees_a_layer_that_was_taken_out():
    model = pruned()
    head = model.pop()
    pruning.strip_pruning(model)
    fit(keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), head]), callbacks=[])


def test_names_move_with_the_layers():
    model = pruned()
    before = pruning.masks(model)
    last = model.pop()
    model.add(keras.layers.Dense(8))
    model.add(last)
    with pytest.warns(UserWarning, match=r"Pruning: 'dense_1/kernel' was added to the model"):
        fit(model)
    masks = pruning.masks(model)
    assert [*masks] == ["dense/kernel", "dense_2/kernel"]
    np.testing.assert_array_equal(masks["dense/kernel"], before["dense/kernel"])
    assert masks["dense_2/kernel"].shape == (8, 4)
    held = pruning.HoldMasks(masks)
    model.fit(X, Y, verbose=0, callbacks=[pruning.UpdatePruningStep(), held])


def test_a_loop_warns_when_a_layer_has_been_replaced():
    model = pruned()
    model.pop()
    model.add(keras.layers.Dense(4))
    with pytest.warns(UserWarning, match="was added to the model after"):
        pruning.begin_step(model)
    pruning.begin_step(model)


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize`:UserWarning")
def test_a_quantized_model_has_no_masks_and_cannot_be_pruned():
    model = pruned()
    model.quantize("int8")
    assert pruning.masks(model) == {}
    assert reasons(model) == {
        "dense/kernel": (False, "quantized"),
        "dense_1/kernel": (False, "quantized"),
    }
    assert all((layer._kernel.numpy() == 0).mean() >= 0.5 for layer in model.layers)
    pruning.strip_pruning(model)
    with pytest.raises(ValueError, match=r"'dense/kernel' is of dtype int8.*before it is quant"):
        pruning.prune_low_magnitude(model, half())


def test_an_adapter_above_a_pruned_kernel_is_named():
    model = pruned()
    model.layers[0].enable_lora(2)
    with pytest.warns(UserWarning, match="'dense/kernel' has an adapter .enable_lora."):
        fit(model)
    base = model.layers[0].weights[0]
    assert (base.numpy() == 0).mean() == 0.5
    np.testing.assert_array_equal(pruning.masks(model)["dense/kernel"], base.numpy() != 0)
    masks = pruning.masks(pruning.prune_low_magnitude(model, half()))
    assert not any("lora" in name for name in masks)
    pruning.strip_pruning(model)
    with pytest.warns(UserWarning, match="HoldMasks: 'dense/kernel' has an adapter"):
        fit(model, callbacks=[pruning.HoldMasks(masks)])


def test_a_normalization_that_is_adapted_changes_nothing():
    model = pruned(keras.layers.Normalization(), keras.layers.Dense(4))
    before = pruning.masks(model)
    model.layers[0].adapt(X)
    fit(model)
    np.testing.assert_array_equal(pruning.masks(model)["dense/kernel"], before["dense/kernel"])


def test_what_a_policy_leaves_out_is_not_new_and_what_is_added_is():
    class NotTheHead:
        def allow_pruning(self, layer):
            return layer.name != "head"

        def ensure_model_supports_pruning(self, model):
            pass

    layers = [keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(4, name="head")]
    model = keras.Sequential(layers)
    fit(pruning.prune_low_magnitude(model, half(), pruning_policy=NotTheHead()))
    assert reasons(model)["dense_1/kernel"] == (False, "policy")
    model.pop()
    model.add(keras.layers.Dense(4, name="head"))
    fit(model)  # Without a warning.
    assert reasons(model)["dense_1/kernel"] == (False, "policy")


def test_held_masks_hold_in_the_layer_that_is_there_now():
    mask = np.arange(32).reshape(8, 4) % 2 == 0
    held = pruning.HoldMasks({"dense_1/kernel": mask})
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(4)])
    fit(model, callbacks=[held])
    model.pop()
    model.add(keras.layers.Dense(4))
    fit(model, callbacks=[held])
    assert not model.layers[-1].kernel.numpy()[~mask].any()


def test_steps_that_were_traced_before_pruning_are_noticed_when_it_is_stripped():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    optimizer = keras.optimizers.SGD(0.1)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(X) - Y) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    step()
    pruning.prune_low_magnitude(model, half())
    step()
    with pytest.warns(UserWarning, match=r"no training step was counted.*trace it again"):
        pruning.strip_pruning(model)


def test_weights_that_are_put_into_a_pruned_model_are_no_steps():
    model = pruning.prune_low_magnitude(
        keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)]), half()
    )
    model.set_weights([weights + 1 for weights in model.get_weights()])
    pruning.strip_pruning(model)


@pytest.mark.filterwarnings("ignore:Pruning. 'dense_1/kernel' was added to:UserWarning")
def test_a_layer_that_is_frozen_after_its_weight_has_another_name_is_named():
    model = pruned()
    last = model.pop()
    model.add(keras.layers.Dense(8))
    model.add(last)
    last.trainable = False
    with pytest.warns(UserWarning, match=f"'?{last.name}'? is frozen"):
        fit(model)
