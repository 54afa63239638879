"""A training that was stopped goes on as if it had not been, and what it saves is sparse."""

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest

from kerasinit import pruning
from tests.products import each_value_once, nightly

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 6)).astype("float32"), 4 * RNG.normal(size=(48, 2)).astype("float32")
STEPS = 6  # in an epoch
EPOCHS = 4


def schedule():
    return pruning.PolynomialDecay(0.2, 0.75, begin_step=2, end_step=23, frequency=3)


def late():
    return pruning.PolynomialDecay(0.2, 0.75, begin_step=15, end_step=23, frequency=2)


def adam():
    return keras.optimizers.Adam(0.05)


def sgd():
    return keras.optimizers.SGD(0.05)


def made(optimizer=adam, plan=schedule):
    rng = np.random.default_rng(1)
    layers = keras.layers
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(2)])
    model.set_weights([rng.normal(size=w.shape, scale=0.5) for w in model.weights])
    model = pruning.prune_low_magnitude(model, plan())
    model.compile(optimizer(), "mse", jit_compile=False)
    return model


def fit(model, epochs, callbacks=(), **arguments):
    return model.fit(
        X,
        Y,
        batch_size=48 // STEPS,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[pruning.UpdatePruningStep(), *callbacks],
        **arguments,
    )


def sparsity(model):
    return [float(np.mean(layer.kernel.numpy() == 0)) for layer in model.layers]


def assert_same(model, other):
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    mine, theirs = pruning.masks(model), pruning.masks(other)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.fixture(scope="module")
def uninterrupted():
    model = made()
    fit(model, EPOCHS)
    assert sparsity(model) == [0.75, 0.75]
    return model


@pytest.mark.filterwarnings("ignore:Pruning. The last update:UserWarning")
@pytest.mark.parametrize("stop", [1, *(pytest.param(e, marks=nightly) for e in (2, 3))])
def test_a_model_loaded_and_pruned_again_goes_on_as_if_it_had_not_stopped(
    uninterrupted, stop, tmp_path
):
    model = made()
    fit(model, stop)
    model.save(tmp_path / "model.keras")
    loaded = pruning.prune_low_magnitude(
        keras.models.load_model(tmp_path / "model.keras"), schedule()
    )
    fit(loaded, EPOCHS, initial_epoch=stop)
    assert_same(loaded, uninterrupted)


@pytest.mark.filterwarnings("ignore:Pruning. :UserWarning")
@pytest.mark.parametrize("plan", [schedule, late])
def test_so_does_one_that_is_compiled_again(plan, tmp_path):
    whole = made(sgd, plan)
    fit(whole, EPOCHS)
    model = made(sgd, plan)
    fit(model, 2)
    assert (sparsity(model) == [0, 0]) is (plan is late)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    pruning.prune_low_magnitude(loaded, plan())
    loaded.compile(sgd(), "mse", jit_compile=False)
    fit(loaded, EPOCHS, initial_epoch=2)
    assert_same(loaded, whole)


GO_ON = """
import sys
import keras
from tests.pruning import test_resume as t

loaded = keras.models.load_model(sys.argv[1] + "/model.keras")
fit = t.fit(t.pruning.prune_low_magnitude(loaded, t.schedule()), t.EPOCHS, initial_epoch=2)
loaded.save(sys.argv[1] + "/done.keras")
"""


@nightly
@pytest.mark.filterwarnings("ignore:Pruning. The last update:UserWarning")
def test_a_fresh_process_goes_on_as_well(uninterrupted, tmp_path):
    model = made()
    fit(model, 2)
    model.save(tmp_path / "model.keras")
    done = subprocess.run(
        [sys.executable, "-c", GO_ON, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for one, two in zip(
        keras.models.load_model(tmp_path / "done.keras").weights, uninterrupted.weights, strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


class Stop(keras.callbacks.Callback):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_train_batch_begin(self, batch, logs=None):
        self.batches -= 1
        if self.batches < 0:
            raise KeyboardInterrupt


@each_value_once(same_model=[True, False], backup_first=[True, False])
def test_backup_and_restore_goes_on_from_the_last_epoch(
    uninterrupted, same_model, backup_first, tmp_path
):
    def train(model, *others):
        callbacks = [keras.callbacks.BackupAndRestore(tmp_path / "backup"), *others]
        callbacks.insert(1 if backup_first else 0, pruning.UpdatePruningStep())
        fit_arguments = {"batch_size": 8, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
        model.fit(X, Y, callbacks=callbacks, **fit_arguments)

    model = made()
    with pytest.raises(KeyboardInterrupt):
        train(model, Stop(2 * STEPS + 4))
    model = model if same_model else made()
    train(model)
    assert_same(model, uninterrupted)


def test_a_loop_of_the_users_own_goes_on_with_a_given_step(uninterrupted, tmp_path):
    def train(model, epochs):
        for _, start in itertools.product(range(epochs), range(0, 48, 8)):
            model.train_on_batch(X[start : start + 8], Y[start : start + 8])
            if start == 40:
                pruning.apply_masks(model)

    def begun(model):
        callback = pruning.UpdatePruningStep()
        callback.set_model(model)
        callback.on_train_begin()
        return model

    model = begun(made())
    train(model, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    pruning.prune_low_magnitude(loaded, schedule(), initial_step=STEPS)
    train(begun(loaded), EPOCHS - 1)
    assert_same(loaded, uninterrupted)


@pytest.mark.filterwarnings("ignore:Pruning. The last update:UserWarning")
def test_a_dense_model_that_is_pruned_from_an_epoch_on_starts_at_step_one():
    def dense():
        model = pruning.strip_pruning(made(sgd))
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return pruning.prune_low_magnitude(model, schedule())

    late, early = dense(), dense()
    fit(late, 4, initial_epoch=2)
    fit(early, 2)
    assert_same(late, early)
    assert sparsity(late) != [0.75, 0.75]


def test_where_the_data_does_not_tell_the_step_it_is_asked_for(tmp_path):
    model = made()
    fit(model, EPOCHS)
    model.save(tmp_path / "model.keras")
    loaded = pruning.prune_low_magnitude(
        keras.models.load_model(tmp_path / "model.keras"), schedule()
    )
    callbacks = [pruning.UpdatePruningStep()]
    endless = ((X[:8], Y[:8]) for _ in itertools.count())
    with pytest.raises(ValueError, match=r"resumes at epoch 2.*steps_per_epoch.*initial_step"):
        loaded.fit(endless, epochs=3, initial_epoch=2, callbacks=callbacks, shuffle=False)


@pytest.mark.filterwarnings("ignore:Pruning. The last update:UserWarning")
@each_value_once(save_freq=["epoch", 4], save_weights_only=[True, False])
def test_checkpoints_are_sparse_wherever_the_callbacks_stand(
    save_freq, save_weights_only, tmp_path
):
    end = ".weights.h5" if save_weights_only else ".keras"
    save = keras.callbacks.ModelCheckpoint(
        tmp_path / f"saved{end}", save_freq=save_freq, save_weights_only=save_weights_only
    )
    model = made()
    model.fit(
        X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[save, pruning.UpdatePruningStep()]
    )
    expected = [1 - mask.mean() for mask in pruning.masks(model).values()]
    if save_weights_only:
        saved = made()
        saved.optimizer.build(saved.trainable_variables)
        saved.load_weights(tmp_path / f"saved{end}")
    else:
        saved = keras.models.load_model(tmp_path / f"saved{end}")
    assert sparsity(saved) == pytest.approx(expected)
    assert min(expected) > 0.5


def test_early_stopping_puts_back_the_masks_of_the_best_epoch():
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(pruning.masks(self.model)["dense/kernel"])
            logs["quality"] = -float(epoch)

    best = keras.callbacks.EarlyStopping(
        "quality", mode="max", patience=9, restore_best_weights=True
    )
    model = made()
    with pytest.warns(UserWarning, match=r"restored: their sparsity is 0\.39.*short of the 0\.75"):
        fit(model, EPOCHS, callbacks=[Look(), best])
    np.testing.assert_array_equal(pruning.masks(model)["dense/kernel"], seen[0])
    np.testing.assert_array_equal(model.layers[0].kernel.numpy() != 0, seen[0])
    assert seen[-1].sum() < seen[0].sum()


def test_weights_that_a_user_loads_between_trainings_get_the_masks():
    model = made()
    start = made().get_weights()
    fit(model, EPOCHS)
    masks = pruning.masks(model)
    model.set_weights(start)
    pruning.apply_masks(model)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy() != 0, masks["dense/kernel"])
