"""A model that takes its own steps: the same masks, the same bits, and said once."""

import warnings
from dataclasses import replace

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit import lottery
from kerasinit._src import compat
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training import keras_steps
from kerasinit._src.training.data import Order
from kerasinit._src.training.keras_steps import KerasTrainer
from kerasinit._src.training.trainer import Trainer
from tests.kerases import KERASES
from tests.lottery.blobs import blobs, builder
from tests.lottery.test_unkillable import SMALL
from tests.products import each_value_once

DATA = blobs()
TRAIN, VALIDATION = DATA.split(0, 0)
ORDER = Order(TRAIN, 20, seed=0, trial=0)


def _own(library, change=lambda logs: logs, optimizer=None):
    """Return a function that builds a model with a train_step of its own."""

    class Own(library.Model):
        def train_step(self, data):
            return change(super().train_step(data))

    def build():
        inputs = library.Input((8,))
        hidden = library.layers.Dense(16, "relu", kernel_initializer=kerasinit.HeNormal())(inputs)
        model = Own(inputs, library.layers.Dense(3)(hidden))
        model.compile(
            optimizer() if optimizer else library.optimizers.Adam(0.01),
            library.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    return build


@pytest.fixture(autouse=True)
def _quiet(recwarn):
    keras_steps._warn_once.cache_clear()
    warnings.filterwarnings("ignore", message="Own has a custom train_step")


def _pair(build):
    trainers = []
    for kind in (Trainer, KerasTrainer):
        with compat.global_stream(0, "weights"):
            trainers.append(kind(build(), DATA, VALIDATION, xla=False))
    return trainers


@each_value_once(kerase=list(KERASES), clip=[{}, {"clipnorm": 0.05}])
def test_both_ways_give_the_same_bits_and_leave_no_moments(kerase, clip):
    library = KERASES[kerase]
    build = _own(library, optimizer=lambda: library.optimizers.Adam(0.01, **clip))
    rng = np.random.default_rng(0)
    ends = []
    for trainer in _pair(build):
        masks = Masks({n: rng.random(s) < 0.5 for n, s in trainer.shapes.items()})
        rng = np.random.default_rng(0)
        ends.append(trainer.train(masks, ORDER, iterations=25, evaluate_every=10, keep=25))

    loop, own = ends
    assert loop.kept.keys() == own.kept.keys()
    for name in loop.kept:
        np.testing.assert_array_equal(loop.kept[name], own.kept[name], err_msg=name)
    assert [p.validation_loss for p in loop.curve] == [p.validation_loss for p in own.curve]
    assert [p.training_loss for p in loop.curve] == pytest.approx(
        [p.training_loss for p in own.curve]
    )


@pytest.mark.parametrize("kerase", KERASES)
def test_the_step_that_is_taken_is_the_models_own(tmp_path, kerase):
    calls = []
    build = _own(KERASES[kerase], lambda logs: calls.append(1) or logs)
    experiment = replace(SMALL, iterations=6, evaluate_every=3, rewind="init", controls=())
    runs = [lottery.run(experiment, out=tmp_path / n, build=build, data=DATA) for n in "ab"]

    assert calls
    assert runs[0].rows() == runs[1].rows()
    assert runs[0].rows()[1].density < 0.9


def test_it_is_said_once_that_keras_takes_the_steps(recwarn):
    warnings.simplefilter("always")
    for _ in range(2):
        KerasTrainer(_own(keras)(), DATA, VALIDATION, xla=False)

    said = [w for w in recwarn if "Own has a custom train_step" in str(w.message)]
    # It points here, at no line of the package.
    assert [warning.filename for warning in said] == [__file__]


def test_a_step_without_a_loss_says_what_is_missing():
    trainer = KerasTrainer(_own(keras, lambda logs: {"mae": 0.0})(), DATA, VALIDATION, xla=False)
    with pytest.raises(ValueError, match="returns mae; its 'loss' is needed"):
        trainer.train(Masks.dense(trainer.shapes), ORDER, iterations=2)


def test_a_model_without_a_step_of_its_own_stays_in_the_loop(tmp_path, recwarn):
    lottery.run(replace(SMALL, levels=0, controls=()), out=tmp_path, build=builder(), data=DATA)

    assert not [warning for warning in recwarn if "train_step" in str(warning.message)]
