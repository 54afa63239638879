"""Frozen layers are named, and two policies leave out what had better not be pruned."""

import keras
import numpy as np
import pytest

from kerasinit import pruning
from tests.kerases import KERASES, tf_keras

X, Y = np.random.default_rng(0).normal(size=(2, 16, 8)).astype("float32")
LIBRARIES = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)


def half():
    return pruning.ConstantSparsity(0.5, 0, frequency=1)


def gate(library):
    class Gate(library.layers.Layer):
        def build(self, shape):
            self.gate = self.add_weight(shape=(int(shape[-1]),), name="gate", initializer="ones")

        def call(self, inputs):
            return self.gate * inputs

    return Gate(name="gate")


def transferred(library, *others):
    layers = library.layers
    base = library.Sequential([library.Input((8,)), layers.Dense(8, name="base_dense")])
    base.trainable = False
    return library.Sequential([library.Input((8,)), base, *others, layers.Dense(8, name="head")])


def fit(model):
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, Y, verbose=0, callbacks=[pruning.UpdatePruningStep()])


def pruned_of(model):
    return sorted(pruning.masks(model))


@LIBRARIES
def test_frozen_layers_that_are_pruned_are_named(library):
    with pytest.warns(UserWarning, match=r"layer 'base_dense' is frozen.*PruneTrainable") as said:
        model = pruning.prune_low_magnitude(transferred(library), half())
    assert len(said) == 1
    fit(model)
    reasons = {row.name: row.reason for row in pruning.weight_summaries(model)}
    assert reasons["sequential/dense/kernel"] == "kernel, frozen"
    assert reasons["dense/kernel"] == "kernel"


def test_so_are_those_that_are_frozen_after_they_were_pruned():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(8)])
    pruning.prune_low_magnitude(model, half())
    model.layers[0].trainable = False
    with pytest.warns(UserWarning, match=f"layer '{model.layers[0].name}' is frozen") as said:
        fit(model)
    assert len(said) == 1
    fit(model)


def test_of_many_frozen_layers_some_are_named():
    layers = [keras.layers.Dense(8, name=f"d{i}", trainable=False) for i in range(8)]
    with pytest.warns(UserWarning, match=r"layers 'd0', .* 'd4' and 3 more are frozen"):
        pruning.prune_low_magnitude(keras.Sequential([keras.Input((8,)), *layers]), half())


@LIBRARIES
def test_frozen_layers_are_left_out_by_a_policy(library):
    policy = pruning.PruneTrainableLayers()
    model = transferred(library)
    model = pruning.prune_low_magnitude(model, half(), pruning_policy=policy)
    assert pruned_of(model) == ["dense/kernel"]
    fit(model)


def test_a_kernel_that_only_an_adapter_trains_is_frozen():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(8)])
    model.layers[0].enable_lora(2)
    assert not pruning.PruneTrainableLayers().allow_pruning(model.layers[0])
    assert pruning.PruneTrainableLayers().allow_pruning(model.layers[1])


@LIBRARIES
def test_layers_without_a_rule_are_left_out_by_a_policy(library):
    def build():
        layers = library.layers
        return library.Sequential([library.Input((8,)), gate(library), layers.Dense(8)])

    with pytest.raises(ValueError, match=r"[Gg]ate"):
        pruning.prune_low_magnitude(build(), half())
    policy = pruning.PruneKnownLayers()
    model = pruning.prune_low_magnitude(build(), half(), pruning_policy=policy)
    assert pruned_of(model) == ["dense/kernel"]


def test_so_are_layers_that_tfmot_refuses():
    layers = tf_keras.layers
    inputs = tf_keras.Input((6, 8))
    outputs = layers.Dense(4)(layers.EinsumDense("abc,cd->abd", (None, 4))(inputs))
    policy = pruning.PruneKnownLayers()
    model = tf_keras.Model(inputs, outputs)
    model = pruning.prune_low_magnitude(model, half(), pruning_policy=policy)
    assert pruned_of(model) == ["dense/kernel"]
    recurrent = layers.LSTM(3)
    recurrent(inputs)
    assert policy.allow_pruning(recurrent)


def test_so_are_weights_of_a_model_itself():
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(8)
            self.scale = self.add_weight(shape=(8,), initializer="ones", name="scale")

        def call(self, inputs):
            return self.scale * self.dense(inputs)

    model = Scaled()
    model(X)
    policy = pruning.PruneKnownLayers()
    with pytest.raises(ValueError, match="scale"):
        pruning.prune_low_magnitude(model, half())
    with pytest.raises(ValueError, match="scale"):
        pruning.prune_low_magnitude(model, half(), pruning_policy=pruning.PruneTrainableLayers())
    pruning.prune_low_magnitude(model, half(), pruning_policy=policy)
    assert pruned_of(model) == ["dense/kernel"]


@LIBRARIES
def test_policies_are_combined(library):
    both = pruning.PruneTrainableLayers() & pruning.PruneKnownLayers()
    model = transferred(library, gate(library))
    model = pruning.prune_low_magnitude(model, half(), pruning_policy=both)
    assert pruned_of(model) == ["dense/kernel"]


def test_what_is_combined_is_asked_about_the_model_as_well():
    policy = pruning.PruneTrainableLayers() & pruning.PruneForLatencyOnXNNPack()
    with pytest.raises(ValueError, match="XNNPACK"):
        pruning.prune_low_magnitude(transferred(keras), half(), pruning_policy=policy)
    with pytest.raises(TypeError):
        pruning.PruneTrainableLayers() & "half"
