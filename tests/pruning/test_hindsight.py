"""A training that ends before its schedule, or goes back to earlier weights, is said to do so."""

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning
from tests.kerases import INSTALLED, KERASES
from tests.products import each_value_once

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

X, Y = np.random.default_rng(0).normal(size=(2, 48, 8)).astype("float32")
STEPS = 6  # in an epoch
LIBRARIES = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)


def made(schedule, library=keras):
    model = library.Sequential([library.Input((8,)), library.layers.Dense(8)])
    model = pruning.prune_low_magnitude(model, schedule)
    model.compile(library.optimizers.SGD(0.0), "mse", run_eagerly=True)
    return model


def fit(model, *callbacks, epochs=10, data=(X, Y), **arguments):
    arguments = {"batch_size": 48 // STEPS, "shuffle": False, **arguments}
    callbacks = [pruning.UpdatePruningStep(), *callbacks]
    return model.fit(*data, epochs=epochs, verbose=0, callbacks=callbacks, **arguments)


def said(record):
    return [str(one.message) for one in record if str(one.message).startswith("Pruning: ")]


def cubic(begin_step, end_step):
    return pruning.PolynomialDecay(0.0, 0.75, begin_step, end_step, frequency=1)


def stop_after(library, epoch):
    """Return a callback that ends a training after some epoch."""

    class Stop(library.callbacks.Callback):
        def on_epoch_end(self, current, logs=None):
            self.model.stop_training = current == epoch

    return Stop()


def best_first(library, **arguments):
    """Return an EarlyStopping that takes the first of some equal epochs for the best."""
    return library.callbacks.EarlyStopping("loss", mode="max", min_delta=1e9, **arguments)


ENDED_EARLY = {
    "before its beginning": (
        lambda: cubic(20, 40),
        r"ended at step 12 of 60, before the schedule's begin_step=20",
    ),
    "before its end": (
        lambda: cubic(0, 40),
        r"at step 12 of 60, at a sparsity of 0\.49.*0\.75 .* at step 40\.",
    ),
    "before its first update": (
        lambda: pruning.ConstantSparsity(0.5, 0, frequency=20),
        r"ended at step 12 of 60, before the schedule's first update at step 20",
    ),
}


@each_value_once(case=[*ENDED_EARLY], library=INSTALLED, strips=[True, False])
def test_a_training_that_a_callback_ends_before_its_schedule(case, library, strips):
    schedule, message = ENDED_EARLY[case]

    def train():
        model = made(schedule(), library)
        fit(model, stop_after(library, 1))
        if strips:
            pruning.strip_pruning(model)

    with pytest.warns(UserWarning, match=message) as record:
        train()
    assert len(said(record)) == 1


@LIBRARIES
def test_a_training_that_ends_after_its_schedule_is_nothing_to_say(library):
    model = made(cubic(0, 12), library)
    fit(model, stop_after(library, 1))
    pruning.strip_pruning(model)


@each_value_once(library=INSTALLED, first=[True, False])
def test_weights_of_an_earlier_epoch(library, first):
    stop = best_first(library, patience=8, restore_best_weights=True)
    update = pruning.UpdatePruningStep()
    callbacks = [stop, update] if first else [update, stop]

    def train():
        model = made(cubic(0, 30), library)
        model.fit(X, Y, batch_size=8, epochs=12, shuffle=False, verbose=0, callbacks=callbacks)
        pruning.strip_pruning(model)

    with pytest.warns(UserWarning, match=r"0\.3\d+, short of") as record:
        train()
    assert len(said(record)) == 1


def test_weights_of_an_epoch_after_the_schedule_are_nothing_to_say():
    fit(made(cubic(0, 6)), best_first(keras, patience=3, restore_best_weights=True))


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_data_that_runs_out():
    model = made(cubic(0, 40))
    batches = ((X[:8], Y[:8]) for _ in range(20))
    # Some more than 20 steps: Keras looks ahead at the data, and gives it once more.
    with pytest.warns(UserWarning, match=r"at step [23]\d of 60, at a .* short of") as record:
        fit(model, data=(batches,), steps_per_epoch=6, batch_size=None)
    assert len(said(record)) == 1


def test_not_a_number():
    model = made(cubic(0, 40))
    with pytest.warns(UserWarning, match=r"ended at step 1 of 60, at a sparsity of") as record:
        fit(model, keras.callbacks.TerminateOnNaN(), data=(X, Y * np.nan))
    assert len(said(record)) == 1


@pytest.mark.parametrize("template", ["best.keras", "best-{epoch:02d}.weights.h5"])
def test_the_file_of_the_best_epoch(template, tmp_path):
    class Log(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["quality"] = -epoch

    save = keras.callbacks.ModelCheckpoint(
        tmp_path / template,
        monitor="quality",
        mode="max",
        save_best_only=True,
        save_weights_only=template.endswith("h5"),
    )
    model = made(cubic(0, 30))
    message = r"'best.*' holds the best .* of step 6, at a sparsity of 0\.3\d+; .* ends at 0\.75"
    with pytest.warns(UserWarning, match=message) as record:
        fit(model, Log(), save)
    assert len(said(record)) == 1


def test_files_of_every_epoch_are_nothing_to_say(tmp_path):
    fit(made(cubic(0, 30)), keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"))


def test_a_loop_that_ends_early_is_told_of_when_it_is_stripped():
    model = made(cubic(0, 40))
    pruning.begin_step(model)
    with pytest.warns(UserWarning, match=r"after step 1, at a sparsity of 0\.0548.*end_step=40"):
        pruning.strip_pruning(model)


def test_a_model_that_was_never_trained_is_stripped_without_a_word():
    pruning.strip_pruning(made(cubic(0, 40)))


def test_a_second_training_may_do_what_the_first_has_not():
    model = made(cubic(0, 40))
    with pytest.warns(UserWarning, match="at step 12 of 60"):
        fit(model, stop_after(keras, 1))
    fit(model, epochs=5)
    pruning.strip_pruning(model)


class Ramp(pruning.PruningSchedule):
    """Asks for more at every step, in the end for all."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, step):
        return step > 0, tf.cast(step, tf.float32) / self.steps

    def get_config(self):
        return {"steps": self.steps}


def test_an_impossible_sparsity_stops_a_training_of_unknown_length_there():
    model = made(Ramp(10))
    batches = ((X[:8], Y[:8]) for _ in range(30))
    with pytest.raises(ValueError, match=r"asks for 1 at step 10"):
        fit(model, data=(batches,), batch_size=None)
    assert int(model.optimizer.iterations) == 9


def test_after_an_epoch_of_unknown_length_the_end_is_known():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).filter(lambda x, y: True).batch(8)
    model = made(pruning.ConstantSparsity(0.5, 0, frequency=20))
    seen = []

    class When(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(len(said(record)))

    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        fit(model, When(), data=(data,), batch_size=None, epochs=3)
    assert seen == [0, 1, 1]
    assert re.search(r"does not fire in this training, steps 1 to 18", said(record)[0])
    assert len(said(record)) == 1
