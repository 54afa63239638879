"""Models without a call, whose parts are pruned: GANs, VAEs, autoencoders with a train_step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning
from tests.products import each_value_once

X = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")


def half():
    return pruning.ConstantSparsity(0.5, 0, frequency=1)


def part(inputs, outputs):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs)])


class Autoencoder(keras.Model):
    """Trains an encoder and a decoder that it holds in whatever way."""

    def __init__(self, encoder, decoder, held="attributes"):
        super().__init__()
        if held == "attributes":
            self.encoder, self.decoder = encoder, decoder
        elif held == "list":
            self.parts = [encoder, decoder]
        elif held == "dict":
            self.parts = {"encoder": encoder, "decoder": decoder}
        elif held == "nested lists":
            self.parts = [[encoder], ([decoder],)]
        elif held == "container":
            self.inner = Autoencoder(encoder, decoder)
        self.halves = lambda: (encoder, decoder)

    def train_step(self, data):
        encoder, decoder = self.halves()
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((decoder(encoder(data)) - data) ** 2)
        weights = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


def fit(model, **arguments):
    if not model.compiled:
        model.compile(keras.optimizers.SGD(0.05), jit_compile=False)
    arguments = {"callbacks": [pruning.UpdatePruningStep()], "verbose": 0, **arguments}
    model.fit(X, batch_size=8, **arguments)
    return model


def sparsity(model):
    return float(np.mean(model.layers[-1].kernel.numpy() == 0))


@pytest.mark.parametrize("held", ["attributes", "list", "dict", "nested lists", "container"])
def test_parts_are_pruned_however_a_model_without_a_call_holds_them(held):
    encoder, decoder = part(6, 4), part(4, 6)
    pruning.prune_low_magnitude([encoder, decoder], half())
    model = fit(Autoencoder(encoder, decoder, held))
    assert not model.built or held == "container"
    assert [sparsity(encoder), sparsity(decoder)] == [0.5, 0.5]
    masks = pruning.masks(model)
    assert [mask.mean() for mask in masks.values()] == [0.5, 0.5]
    assert [row.name for row in pruning.weight_summaries(model) if row.pruned] == list(masks)
    assert pruning.strip_pruning(model) is model
    fit(model, callbacks=[])
    assert sparsity(encoder) < 0.5


@each_value_once(what=["model", "layer", "part", "not built"], run_eagerly=[False, True])
def test_the_whole_or_one_part_or_a_layer_of_it_may_be_pruned(what, run_eagerly):
    encoder, decoder = part(6, 4), part(4, 6)
    if what == "not built":
        encoder = keras.Sequential([keras.layers.Dense(4)])
    model = Autoencoder(encoder, decoder)
    things = {"model": model, "layer": encoder.layers[0], "part": encoder, "not built": model}
    pruning.prune_low_magnitude(things[what], half())
    model.compile(keras.optimizers.SGD(0.05), run_eagerly=run_eagerly)
    fit(model)
    assert [sparsity(encoder), sparsity(decoder)] == [0.5, 0.5 if things[what] is model else 0.0]


def test_a_part_without_the_callback_is_an_error_in_a_model_without_a_call():
    encoder = pruning.prune_low_magnitude(part(6, 4), half())
    model = Autoencoder(encoder, part(4, 6))
    with pytest.raises(ValueError, match="trained here without their masks"):
        fit(model, callbacks=[])
    fit(model)
    assert sparsity(encoder) == 0.5


@pytest.mark.parametrize("wrap", [tf.function, lambda step: step], ids=["graph", "eager"])
def test_a_loop_begins_steps_of_a_model_without_a_call(wrap):
    encoder = pruning.prune_low_magnitude(part(6, 4), half())
    model, optimizer = Autoencoder(encoder, part(4, 6)), keras.optimizers.SGD(0.05)
    model.compile(optimizer)

    @wrap
    def step():
        pruning.begin_step(model)
        model.train_step(X)

    step()
    step()
    pruning.apply_masks(model)
    assert sparsity(encoder) == 0.5


def test_two_models_without_a_call_share_the_mask_of_their_common_part():
    shared = pruning.prune_low_magnitude(part(6, 4), half())
    one, other = (fit(Autoencoder(shared, part(4, 6))) for _ in range(2))
    (mask,), (same,) = (pruning.masks(model).values() for model in (one, other))
    np.testing.assert_array_equal(mask, same)
    fit(one)
    assert sparsity(shared) == 0.5
    (mask,), (same,) = (pruning.masks(model).values() for model in (one, other))
    np.testing.assert_array_equal(mask, same)


class Gan(keras.Model):
    """Has an optimizer for each of its parts."""

    def __init__(self, generator, discriminator):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def compile(self, **optimizers):
        super().compile(jit_compile=False)
        self.optimizers = optimizers

    def train_step(self, data):
        for name, target in (("discriminator", 1.0), ("generator", -1.0)):
            weights = getattr(self, name).trainable_weights
            with tf.GradientTape() as tape:
                score = self.discriminator(self.generator(data)) - self.discriminator(data)
                loss = target * tf.reduce_mean(score)
            self.optimizers[name].apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


@pytest.mark.filterwarnings("ignore:Pruning. The schedule does not fire:UserWarning")
@pytest.mark.parametrize("accumulation", [None, 2])
def test_steps_are_those_of_the_optimizers_that_a_model_holds_itself(accumulation):
    def optimizer():
        return keras.optimizers.SGD(0.05, gradient_accumulation_steps=accumulation)

    generator, discriminator = part(6, 6), part(6, 1)
    schedule = pruning.ConstantSparsity(0.5, 3, frequency=1)
    pruning.prune_low_magnitude(generator, schedule)
    model = Gan(generator, discriminator)
    model.compile(generator=optimizer(), discriminator=optimizer())
    fit(model)  # of four batches
    assert sparsity(generator) == (0.0 if accumulation else 0.5)
    fit(model)
    assert sparsity(generator) == 0.5


def test_zeros_of_a_part_that_other_optimizers_have_trained_stay_removed():
    generator, discriminator = part(6, 6), part(6, 1)
    model = Gan(generator, discriminator)
    model.compile(generator=keras.optimizers.SGD(0.05), discriminator=keras.optimizers.SGD(0.05))
    fit(model, callbacks=[])
    kernel = generator.layers[0].kernel
    removed = np.arange(36).reshape(6, 6) % 4 == 0
    kernel.assign(np.where(removed, 0.0, kernel.numpy()))
    pruning.prune_low_magnitude(model, half())
    assert not pruning.masks(model)["sequential/dense/kernel"][removed].any()


class Block(keras.layers.Layer):
    """A layer without a rule, in which layers may be pruned nevertheless."""

    def __init__(self, *inner):
        super().__init__()
        self.inner = inner

    def build(self, shape):
        self.scale = self.add_weight(shape=(2, 3), name="scale")
        for layer in self.inner:
            layer.build(shape)

    def call(self, inputs):
        for layer in self.inner:
            inputs = layer(inputs)
        return inputs * keras.ops.sum(self.scale)


def test_a_pruned_layer_within_a_layer_that_has_no_rule_is_pruned():
    dense = pruning.prune_low_magnitude(keras.layers.Dense(6), half())
    inner = pruning.prune_low_magnitude(part(6, 6), half())
    model = keras.Sequential([keras.Input((6,)), Block(dense, inner)])
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    model.fit(X, X, verbose=0, callbacks=[pruning.UpdatePruningStep()])
    masks = pruning.masks(model)
    assert [mask.mean() for mask in masks.values()] == [0.5, 0.5]
    assert (dense.kernel.numpy() == 0).mean() == 0.5
    assert sparsity(inner) == 0.5
