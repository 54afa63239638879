"""The summary of a model tells of every weight, pruned or not, and why."""

import dataclasses
import io

import keras
import numpy as np
import pytest
from rich.console import Console

from kerasinit import pruning
from tests.kerases import KERASES, tf_keras

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)


def half():
    return pruning.ConstantSparsity(0.5, 0, frequency=1)


def network(library):
    """Return a small network with a weight for each of the usual reasons."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((8, 8, 2)),
            layers.SeparableConv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, use_bias=False),
            # tfmot refuses PReLU.
            layers.PReLU() if library is keras else layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def reasons(model, **arguments):
    return {
        row.name: (row.pruned, row.reason) for row in pruning.weight_summaries(model, **arguments)
    }


EXPECTED = {
    "separable_conv2d/depthwise_kernel": (False, "depthwise"),
    "separable_conv2d/pointwise_kernel": (True, "kernel"),
    "batch_normalization/gamma": (False, "normalization"),
    "batch_normalization/beta": (False, "normalization"),
    "batch_normalization/moving_mean": (False, "normalization"),
    "batch_normalization/moving_variance": (False, "normalization"),
    "depthwise_conv2d/kernel": (False, "depthwise"),
    "p_re_lu/alpha": (False, "not a kernel"),
    "dense/kernel": (True, "kernel"),
    "dense/bias": (False, "bias"),
}


@BOTH
def test_every_weight_comes_once_with_its_reason(library):
    pruned = pruning.prune_low_magnitude(network(library), half())
    expected = dict(EXPECTED)
    if library is tf_keras:
        expected["depthwise_conv2d/depthwise_kernel"] = expected.pop("depthwise_conv2d/kernel")
        del expected["p_re_lu/alpha"]
    assert reasons(pruned) == expected
    assert [row.name for row in pruning.weight_summaries(pruned) if row.pruned] == list(
        pruning.masks(pruned)
    )


@BOTH
def test_a_model_that_is_not_pruned_yet_says_so(library):
    found = reasons(network(library))
    prunable = {weight.name for weight in pruning.prunable_weights(network(library))}
    assert {name for name, (_, why) in found.items() if why == "not pruned yet"} == prunable
    assert not any(pruned for pruned, _ in found.values())


class OnlyDense:
    def allow_pruning(self, layer):
        return isinstance(layer, keras.layers.Dense | tf_keras.layers.Dense)

    def ensure_model_supports_pruning(self, model):
        pass


@BOTH
def test_what_a_policy_leaves_out_is_told_before_and_after(library):
    before = reasons(network(library), pruning_policy=OnlyDense())
    assert before["separable_conv2d/pointwise_kernel"] == (False, "policy")
    assert before["dense/kernel"] == (False, "not pruned yet")
    after = reasons(
        pruning.prune_low_magnitude(network(library), half(), pruning_policy=OnlyDense())
    )
    assert after["separable_conv2d/pointwise_kernel"] == (False, "policy")
    assert after["dense/kernel"] == (True, "kernel")


def test_the_mask_says_what_is_removed_though_an_update_has_moved_it():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    model.compile("sgd", "mse", jit_compile=False)
    callback = pruning.UpdatePruningStep()
    callback.set_model(pruning.prune_low_magnitude(model, half()))
    callback.on_train_begin()
    model.train_on_batch(np.ones((2, 8)), np.ones((2, 4)))
    kernel, _ = pruning.weight_summaries(model)
    assert np.mean(model.layers[0].kernel.numpy() == 0) < 0.5
    assert kernel.sparsity == 0.5


def test_a_part_that_is_pruned_by_itself_is_told_of_before_it_is_trained():
    layer = pruning.prune_low_magnitude(keras.layers.Dense(4), half())
    model = keras.Sequential([keras.Input((8,)), layer, keras.layers.Dense(2)])
    found = reasons(model)
    assert found["dense/kernel"] == (True, "kernel")
    assert found["dense_1/kernel"] == (False, "not pruned yet")


def test_a_weight_that_one_layer_may_share_with_one_left_out_is_not_left_out():
    class NotTheTwin:
        def allow_pruning(self, layer):
            return layer.name != "twin"

        def ensure_model_supports_pruning(self, model):
            pass

    class Twin(keras.layers.Layer):
        def __init__(self, other, **arguments):
            super().__init__(**arguments)
            self.other = other

        def call(self, inputs):
            return self.other(inputs)

        def get_prunable_weights(self):
            return [self.other.kernel]

    dense = keras.layers.Dense(8)
    model = keras.Sequential([keras.Input((8,)), dense, Twin(dense, name="twin")])
    before = reasons(model, pruning_policy=NotTheTwin())
    assert before["dense/kernel"] == (False, "not pruned yet")
    pruning.prune_low_magnitude(model, half(), pruning_policy=NotTheTwin())
    assert list(pruning.masks(model)) == ["dense/kernel"]


def test_sparsity_and_schedule_are_those_of_the_moment():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    schedule = pruning.PolynomialDecay(0.25, 0.75, 0, 2, power=1, frequency=1)
    pruning.prune_low_magnitude(model, schedule)
    callback = pruning.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()
    for step, expected in enumerate([0.5, 0.75]):
        callback.on_train_batch_begin(step)
        kernels = [row for row in pruning.weight_summaries(model) if row.pruned]
        assert [row.sparsity for row in kernels] == [expected, expected]
    assert kernels[0].schedule.startswith("PolynomialDecay(initial_sparsity=0.25, final_spars")
    assert kernels[0].shape == (8, 4)
    assert kernels[0].size == 32
    pruning.strip_pruning(model)
    kernels = [row for row in pruning.weight_summaries(model) if row.name.endswith("kernel")]
    assert [(row.pruned, row.sparsity, row.reason) for row in kernels] == [
        (False, 0.75, "no mask")
    ] * 2


@BOTH
def test_zeros_where_nothing_is_removed_do_not_read_like_pruning(library):
    model = network(library)
    rows = {row.name: row for row in pruning.weight_summaries(model)}
    assert not model.layers[-1].bias.numpy().any()
    assert rows["dense/bias"].sparsity == rows["batch_normalization/beta"].sparsity == 0
    printed = io.StringIO()
    pruning.summary(model, console=Console(file=printed, width=100))
    assert "1.0000" not in printed.getvalue()


@BOTH
def test_no_policy_is_named_where_none_was_given(library):
    layers = library.layers
    first = pruning.prune_low_magnitude(layers.Dense(4), half())
    model = library.Sequential([library.Input((8,)), first, layers.Dense(2)])
    assert reasons(model)["dense_1/kernel"] == (False, "not pruned yet")


class Scaling(keras.layers.Layer):
    def build(self, shape):
        self.scaling = self.add_weight(shape=(shape[-1],), name="scaling")
        self.mixing = self.add_weight(shape=(shape[-1], shape[-1]), name="mixing")

    def call(self, inputs):
        return (inputs * self.scaling) @ self.mixing


class Choosing(Scaling, pruning.PrunableLayer):
    def get_prunable_weights(self):
        return [self.mixing]


def test_a_layer_without_a_rule_is_told_where_pruning_would_refuse():
    model = keras.Sequential([keras.Input((4,)), Scaling(), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="it is not known which"):
        pruning.prunable_weights(model)
    found = reasons(model)
    assert found["scaling/scaling"] == found["scaling/mixing"] == (False, "no rule")
    assert found["dense/kernel"] == (False, "not pruned yet")


def test_a_layer_that_chooses_is_told_of():
    model = keras.Sequential([keras.Input((4,)), Choosing()])
    found = reasons(pruning.prune_low_magnitude(model, half()))
    assert found == {
        "choosing/scaling": (False, "not chosen by its class"),
        "choosing/mixing": (True, "chosen by its class"),
    }


@pytest.mark.parametrize("chooses", [True, False])
def test_weights_that_a_model_owns_itself_are_told_of(chooses):
    class Own(keras.Model):
        def build(self, shape):
            self.token = self.add_weight(shape=(shape[-1],), name="token")

        def call(self, inputs):
            return inputs + self.token

    if chooses:
        Own.get_prunable_weights = lambda self: [self.token]
    model = Own()
    model(np.zeros((2, 4), "float32"))
    ((_, found),) = reasons(model).items()
    assert found == (False, "not pruned yet" if chooses else "no rule")


def test_a_frozen_row_holds_the_data():
    (row, *_) = pruning.weight_summaries(network(keras))
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.pruned = True


@BOTH
def test_the_table_shows_every_row_and_the_schedule_once(library):
    model = pruning.prune_low_magnitude(network(library), half())
    console = Console(file=io.StringIO(), width=120)
    rows = pruning.summary(model, console=console)
    text = console.file.getvalue()
    assert rows == pruning.weight_summaries(model)
    assert all(row.name in text for row in rows)
    assert text.count("ConstantSparsity(target_sparsity=0.5") == 1
    covered = sum(row.size for row in rows if row.pruned)
    assert f"{covered} of {sum(row.size for row in rows)} numbers under masks, 0 of them" in text


def test_the_table_adds_up_what_is_removed():
    layers = keras.layers
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.Dense(2)])
    schedule = pruning.ConstantSparsity(0.75, 0, frequency=1)
    callback = pruning.UpdatePruningStep()
    callback.set_model(pruning.prune_low_magnitude(model, schedule))
    callback.on_train_begin()
    callback.on_train_batch_begin(0)
    console = Console(file=io.StringIO(), width=120)
    pruning.summary(model, console=console)
    # 24 of 32 and 6 of 8, with 6 biases besides.
    expected = "40 of 46 numbers under masks, 30 of them removed (75.00%)."
    assert expected in console.file.getvalue()


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ValueError, match="no weights yet"):
        pruning.summary(keras.Sequential([keras.layers.Dense(3)]))
