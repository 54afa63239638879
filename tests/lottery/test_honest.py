"""The proof of an untouched run holds, whatever layers and optimizers its model has."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import lottery
from kerasinit.lottery import Dataset
from tests.kerases import KERASES
from tests.lottery import families
from tests.lottery.blobs import blobs, builder
from tests.lottery.test_verify import LAST, SMALL, _found, _repair
from tests.products import nightly

ONCE = replace(SMALL, iterations=3, evaluate_every=2, levels=1, trials=1, batch_size=5)
ALL = {f"{kerase}-{name}": (kerase, name) for kerase in KERASES for name in families.names(kerase)}


def _run(tmp_path, build, data, **changes):
    return lottery.run(replace(ONCE, **changes), out=tmp_path / "run", build=build, data=data)


@nightly
@pytest.mark.parametrize(("kerase", "name"), ALL.values(), ids=ALL)
def test_a_run_holds_with_any_layer_of_keras(tmp_path, kerase, name):
    data = families.data_for(families.network(kerase, name))
    store = _run(tmp_path, lambda: families.network(kerase, name), data)

    assert lottery.verify(store.folder).findings == ()


@pytest.mark.parametrize("kerase", ["keras", pytest.param("tf_keras", marks=nightly)])
def test_a_run_holds_with_random_recurrent_attention_and_normalizing_layers(tmp_path, kerase):
    library = KERASES[kerase]
    layers = library.layers

    def build():
        inputs = library.Input((6, 4))
        x = layers.SpatialDropout1D(0.2)(layers.GaussianNoise(0.1)(inputs))
        x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x))
        x = layers.LSTM(4, recurrent_dropout=0.2)(x)
        x = layers.Dropout(0.3)(layers.BatchNormalization()(x))
        model = library.Model(inputs, layers.Dense(3)(x))
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        return model

    x = np.random.default_rng(0).random((20, 6, 4), dtype="float32")
    data = Dataset(x, np.arange(20) % 3, x[:6], np.arange(6) % 3, name="steps")
    proof = lottery.verify(_run(tmp_path, build, data, controls=()).folder)

    assert proof.findings == ()
    unsaved = " ".join(proof.notes)
    # Keras 3 keeps where its random layers stand, and does not save it.
    assert ("dropout/seed_generator_state" in unsaved) == (kerase == "keras")
    assert "only a published digest" in unsaved


@keras.saving.register_keras_serializable(package="tests")
class MadeUp(keras.layers.Layer):
    """Saves what others do not: a half of its kernel; and keeps what none saves."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")
        self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")
        self.rng = keras.random.SeedGenerator(1, name="rng")
        self.calls = self.add_weight(shape=(), dtype="int32", trainable=False, name="calls")

    def get_prunable_weights(self):
        return []

    def call(self, x):
        self.calls.assign_add(1)
        noise = keras.random.normal(keras.ops.shape(x), seed=self.rng)
        return (x + 0.01 * noise) @ self.kernel * self.scale

    def save_own_variables(self, store):
        store["half"] = self.kernel.numpy()[:, :2]
        store["scale"] = self.scale

    def load_own_variables(self, store):
        raise NotImplementedError


def _made_up():
    model = keras.Sequential([keras.Input((8,)), MadeUp(), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Heard(lottery.Watch):
    """Keeps what a run notes."""

    def __init__(self):
        self.notes = []

    def note(self, place, message):
        self.notes.append(message)


def test_the_claim_covers_what_keras_saves_and_says_so(tmp_path):
    heard = Heard()
    experiment = replace(ONCE, controls=())
    store = lottery.run(experiment, out=tmp_path / "run", build=_made_up, data=blobs(), watch=heard)
    proof = lottery.verify(store)

    assert proof.findings == ()
    for name in ("made_up/kernel", "made_up/calls"):
        assert name in proof.notes[0]
        assert name in heard.notes[0]
    assert len(heard.notes) == 1
    assert "made_up/scale" not in proof.notes[0]
    assert "dense/kernel" not in proof.notes[0]
    # What it does save is still compared.
    assert proof.checks["model files hold the trained weights"] == 2 * 3

    place = replace(LAST, trial=0, level=1)
    arrays, words = store.stage(place).tensors("trained")
    arrays["made_up/scale"] += 1
    path = store.path(place) / "trained.safetensors"
    path.unlink()
    store.stage(place).write_state("trained", arrays, words)
    _repair(store, place)
    claim = "model files hold the trained weights"
    assert _found(store) == {(claim, 0, 1, "ticket", "model.keras", "made_up/scale")}


OPTIMIZERS = {
    f"{kerase}-{name}": (kerase, name)
    for kerase, library in KERASES.items()
    for name, thing in vars(library.optimizers).items()
    if isinstance(thing, type)
    and issubclass(thing, library.optimizers.Optimizer)
    # Ftrl divides by accumulators that a lottery sets to zero where weights are removed: its
    # second level ends in NaN, which is said, and nothing is there to be proven.
    and name not in ("Optimizer", "MultiOptimizer", "LossScaleOptimizer", "Ftrl")
}


@nightly
@pytest.mark.parametrize(("kerase", "name"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_run_holds_with_any_optimizer_of_keras(tmp_path, kerase, name):
    data = blobs()
    store = _run(tmp_path, builder(kerase), data, optimizer=name, rewind="step:1")

    assert lottery.verify(store.folder).findings == ()


@nightly
@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "float64"])
def test_a_run_holds_in_any_precision(tmp_path, kerase, policy):
    library = KERASES[kerase]

    def build():
        model = library.Sequential(
            [
                library.layers.InputLayer((8,), dtype=policy.removeprefix("mixed_")),
                library.layers.Dense(8, "relu", dtype=policy),
                library.layers.Dense(3, dtype=policy),
            ]
        )
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = library.optimizers.Adam(0.01)
        if policy == "mixed_float16":
            mixed = library.optimizers if kerase == "keras" else library.mixed_precision
            optimizer = mixed.LossScaleOptimizer(optimizer)
        model.compile(optimizer, loss)
        return model

    store = _run(tmp_path, build, blobs(), rewind="finetune")
    assert lottery.verify(store.folder).findings == ()


def test_a_rewind_point_before_the_first_update_is_one(tmp_path):
    def build():
        model = builder()()
        optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=3)
        model.compile(optimizer, model.loss)
        return model

    store = _run(tmp_path, build, blobs(), controls=(), rewind="step:2")
    assert lottery.verify(store).findings == ()


def test_a_model_that_takes_its_own_steps_may_take_any_number(tmp_path):
    class Twice(keras.Sequential):
        def train_step(self, data):
            x, y = data[:2]
            for _ in range(2):
                with tf.GradientTape() as tape:
                    loss = self.compute_loss(x, y, self(x, training=True))
                gradients = tape.gradient(loss, self.trainable_variables)
                self.optimizer.apply(gradients, self.trainable_variables)
            # A rate that falls as the model goes stands in its configuration, too.
            self.optimizer.learning_rate.assign(self.optimizer.learning_rate * 0.9)
            return {"loss": loss}

    def build():
        model = Twice([keras.Input((8,)), keras.layers.Dense(3)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    with pytest.warns(UserWarning, match="has a custom train_step"):
        store = _run(tmp_path, build, blobs(), controls=())
    assert lottery.verify(store.folder).findings == ()
    counter = store.stage(replace(LAST, trial=0, level=1)).state("optimizer")["optimizer/000"]
    assert int(counter) == 2 * ONCE.iterations
