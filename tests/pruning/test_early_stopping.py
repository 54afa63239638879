"""An early stopping that begins to count when the schedule has ended."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning
from tests.kerases import INSTALLED, KERASES
from tests.products import each_value_once

X, Y = np.random.default_rng(0).normal(size=(2, 16, 8)).astype("float32")
LIBRARIES = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)


class EveryStep(pruning.PruningSchedule):
    """A custom schedule that asks for half of the weights from step 7 on."""

    def __call__(self, step):
        return step > 0, tf.where(step < 7, 0.25, 0.5)

    def get_config(self):
        return {}


# A schedule, and the epoch of two steps in which it reaches its final sparsity.
SCHEDULES = {
    "decay": (lambda: pruning.PolynomialDecay(0.0, 0.5, 0, 8, frequency=2), 3),
    "constant": (lambda: pruning.ConstantSparsity(0.5, begin_step=5, frequency=3), 2),
    "custom": (EveryStep, 3),
}


def trained(library, schedule, callbacks, **pattern):
    model = library.Sequential([library.Input((8,)), library.layers.Dense(8)])
    model = pruning.prune_low_magnitude(model, schedule, **pattern)
    model.compile(library.optimizers.SGD(0.01), "mse", run_eagerly=True)
    history = model.fit(X, Y, batch_size=8, epochs=12, verbose=0, callbacks=callbacks)
    return model, len(history.history["loss"])


def worse_and_worse(cls, **arguments):
    """Return an early stopping that finds every epoch worse than the one before."""
    return cls("loss", mode="max", min_delta=1e9, **arguments)


@each_value_once(case=[*SCHEDULES], library=INSTALLED, first=[True, False])
def test_it_stops_when_patience_is_over_after_the_end_of_the_schedule(library, case, first):
    schedule, end = SCHEDULES[case]
    stop, update = worse_and_worse(pruning.EarlyStopping, patience=2), pruning.UpdatePruningStep()
    callbacks = [stop, update] if first else [update, stop]
    model, epochs = trained(library, schedule(), callbacks)
    # The epoch of the end is the first and the best; two worse ones follow.
    assert epochs == end + 1 + 2
    assert stop.stopped_epoch == end + 2
    assert pruning.masks(model)["dense/kernel"].mean() == 0.5
    assert isinstance(stop, keras.callbacks.EarlyStopping)


@LIBRARIES
def test_the_best_weights_are_of_the_final_sparsity(library):
    best = {"patience": 2, "restore_best_weights": True}
    stop = worse_and_worse(pruning.EarlyStopping, **best)
    schedule, end = SCHEDULES["decay"]
    model, _ = trained(library, schedule(), [pruning.UpdatePruningStep(), stop])
    assert stop.best_epoch == end
    assert pruning.masks(model)["dense/kernel"].mean() == 0.5
    kernel = getattr(model.layers[0], "layer", model.layers[0]).kernel.numpy()
    assert (kernel == 0).mean() == 0.5


@LIBRARIES
def test_kerass_own_would_have_stopped_before(library):
    stop = worse_and_worse(library.callbacks.EarlyStopping, patience=2)
    schedule, _ = SCHEDULES["decay"]
    with pytest.warns(UserWarning, match="ended at step 6 of 24"):
        _, epochs = trained(library, schedule(), [pruning.UpdatePruningStep(), stop])
    assert epochs == 3


@LIBRARIES
def test_after_the_schedule_it_is_kerass_own(library):
    losses = [5, 4, 9, 3, 3.5, 2.9, 4, 4, 4, 4, 4, 4]

    class Log(library.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["quality"] = losses[epoch]

    schedule = pruning.ConstantSparsity(0.5, 0, end_step=1, frequency=1)
    epochs = []
    for cls in (library.callbacks.EarlyStopping, pruning.EarlyStopping):
        stop = cls("quality", min_delta=0.2, patience=2, mode="min")
        epochs.append(trained(library, schedule, [pruning.UpdatePruningStep(), Log(), stop])[1])
    assert epochs == [6, 6]


def test_two_out_of_four_are_chosen_at_the_first_step():
    stop = worse_and_worse(pruning.EarlyStopping, patience=1)
    schedule = pruning.ConstantSparsity(0.5, begin_step=10)
    callbacks = [pruning.UpdatePruningStep(), stop]
    assert trained(keras, schedule, callbacks, sparsity_m_by_n=(2, 4))[1] == 2


@LIBRARIES
def test_a_model_that_is_not_pruned_is_refused(library):
    model = library.Sequential([library.Input((8,)), library.layers.Dense(8)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="not pruned"):
        model.fit(X, Y, verbose=0, callbacks=[pruning.EarlyStopping("loss")])
