"""One step per update of the weights, whatever makes it; and masks that hold in every optimizer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning
from tests.products import each_value_once, nightly

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 6)).astype("float32"), 4 * RNG.normal(size=(48, 2)).astype("float32")


class Recording(pruning.PruningSchedule):
    """Removes a weight more at every step, so that a mask tells the step it was made at."""

    def __call__(self, step):
        return step > 0, tf.cast(step, tf.float32) / 48

    def get_config(self):
        return {}


def at(sparsity, begin_step=0):
    return pruning.ConstantSparsity(sparsity, begin_step, frequency=1)


def made(optimizer, dtype=None, **compilation):
    rng = np.random.default_rng(1)
    layers = [keras.layers.Dense(8, dtype=dtype), keras.layers.Dense(2, dtype=dtype)]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.set_weights([rng.normal(size=w.shape, scale=0.5) for w in model.weights])
    model.compile(optimizer, "mse", **{"jit_compile": False, **compilation})
    return model


def fit(model, callbacks=(), **arguments):
    arguments = {"batch_size": 4, "shuffle": False, "verbose": 0, **arguments}
    model.fit(X, Y, callbacks=[pruning.UpdatePruningStep(), *callbacks], **arguments)


def removed(model):
    return int((~pruning.masks(model)["dense/kernel"]).sum())


def sparsities(model):
    return [float(np.mean(layer.kernel.numpy() == 0)) for layer in model.layers]


@pytest.mark.parametrize("steps_per_execution", [pytest.param(1, marks=nightly), 5])
def test_a_step_is_an_update_of_the_weights_under_gradient_accumulation(steps_per_execution):
    optimizer = keras.optimizers.SGD(0.05, gradient_accumulation_steps=3)
    model = made(optimizer, steps_per_execution=steps_per_execution)
    pruning.prune_low_magnitude(model, Recording())
    fit(model)  # 12 batches
    assert removed(model) == int(optimizer.iterations) == 4
    fit(model, batch_size=12)  # 4 batches: one update, and one begun
    fit(model, batch_size=24)  # 2 batches: the rest of it
    assert removed(model) == int(optimizer.iterations) == 6


def test_gradient_accumulation_prunes_as_larger_batches_do():
    weights = []
    for accumulation, batch in ((None, 12), (3, 4)):
        optimizer = keras.optimizers.SGD(0.05, gradient_accumulation_steps=accumulation)
        model = made(optimizer)
        fit(pruning.prune_low_magnitude(model, at(0.5, begin_step=2)), batch_size=batch, epochs=2)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        np.testing.assert_array_equal(one == 0, other == 0)


@pytest.mark.filterwarnings("ignore:Pruning. :UserWarning")
def test_a_training_that_stops_within_an_accumulation_goes_on_within_it():
    def train(*epochs):
        model = made(keras.optimizers.SGD(0.05, gradient_accumulation_steps=8))
        for first, last in epochs:
            pruning.prune_low_magnitude(model, Recording()) if first == 0 else None
            fit(model, epochs=last, initial_epoch=first)
        return model

    whole, parts = train((0, 4)), train((0, 1), (1, 4))
    assert removed(whole) == removed(parts) == 6
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore:Pruning. :UserWarning")
def test_so_does_a_model_that_is_saved_within_an_accumulation_and_loaded(tmp_path):
    model = made(keras.optimizers.SGD(0.05, gradient_accumulation_steps=8))
    fit(pruning.prune_low_magnitude(model, Recording()))  # 12 batches: one update, and one begun
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    fit(pruning.prune_low_magnitude(loaded, Recording()), epochs=4, initial_epoch=1)
    assert removed(loaded) == int(loaded.optimizer.iterations) == 6


@pytest.mark.parametrize("accumulation", [None, 2])
def test_a_loop_that_counts_twice_counts_once(accumulation):
    optimizer = keras.optimizers.SGD(0.05, gradient_accumulation_steps=accumulation)
    model = pruning.prune_low_magnitude(made(optimizer), Recording())
    callback = pruning.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()
    for batch in range(4):
        callback.on_train_batch_begin(batch)
        model.train_on_batch(X[:4], Y[:4])
    assert removed(model) == int(optimizer.iterations) == 4 // (accumulation or 1)


@pytest.fixture(scope="module")
def expected():
    """Return a model that `fit` has pruned in an epoch."""
    model = pruning.prune_low_magnitude(made(keras.optimizers.Adam(0.05)), Recording())
    fit(model)
    return model


@pytest.mark.parametrize("compiled", ["eager", "graph", "xla"])
def test_a_loop_of_the_users_own_trains_as_fit_does(compiled, expected):
    model = pruning.prune_low_magnitude(made("sgd"), Recording())
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build(model.trainable_variables)

    def step(x, y):
        pruning.begin_step(model)
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    if compiled != "eager":
        step = tf.function(step, jit_compile=compiled == "xla")
    for start in range(0, 48, 4):
        step(tf.constant(X[start : start + 4]), tf.constant(Y[start : start + 4]))
    pruning.apply_masks(model)
    assert removed(model) == removed(expected) == 12
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("compiled", "error"), [(False, ValueError), (True, tf.errors.InvalidArgumentError)]
)
def test_a_loop_of_the_users_own_that_will_ask_for_all_weights_stops_there(compiled, error):
    def ramp(step):
        return True, tf.cast(step, tf.float32) / 4

    model = pruning.prune_low_magnitude(made("sgd"), ramp)

    def step():
        pruning.begin_step(model)

    step = tf.function(step) if compiled else step
    for _ in range(3):
        step()
    before = {name: mask.copy() for name, mask in pruning.masks(model).items()}
    with pytest.raises(error, match=r"sparsities in \[0, 1\)"):
        step()
    for name, mask in pruning.masks(model).items():
        np.testing.assert_array_equal(mask, before[name])


class AtEveryBatch(keras.callbacks.Callback):
    """Looks at the weights that an evaluation sees."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append([float(np.mean(w == 0)) for w in self.model.get_weights() if w.ndim > 1])


OPTIMIZERS = {
    "weight decay": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "clipping": lambda: keras.optimizers.Adam(0.05, global_clipnorm=0.5),
    "EMA": lambda: keras.optimizers.SGD(0.02, use_ema=True, ema_momentum=0.5),
    "EMA overwrite": lambda: keras.optimizers.SGD(
        0.02, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_removed_weights_are_zero_whenever_looked_at(optimizer):
    model = pruning.prune_low_magnitude(made(OPTIMIZERS[optimizer]()), at(0.5))
    look = AtEveryBatch()
    fit(model, [look], batch_size=8)
    assert len(look.seen) == 6
    assert {value for seen in look.seen for value in seen} == {0.5}
    assert sparsities(model) == [0.5, 0.5]
    kept = model.layers[0].kernel.numpy()[pruning.masks(model)["dense/kernel"]]
    assert kept.all()


@pytest.mark.parametrize("swap_on_epoch", [True, False])
def test_averaged_weights_that_are_swapped_in_are_saved_sparse(swap_on_epoch, tmp_path):
    optimizer = keras.optimizers.SGD(0.02, use_ema=True, ema_momentum=0.5)
    model = pruning.prune_low_magnitude(made(optimizer), at(0.5))
    path = tmp_path / "model.weights.h5"
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    fit(model, [swap, save], epochs=2, validation_data=(X, Y))
    saved = made(keras.optimizers.SGD(0.02, use_ema=True))
    saved.optimizer.build(saved.trainable_variables)
    saved.load_weights(path)
    assert sparsities(saved) == sparsities(model) == [0.5, 0.5]


@each_value_once(policy=["mixed_float16", "mixed_bfloat16", "bfloat16"], jit_compile=[False, True])
def test_masks_hold_in_low_precision(policy, jit_compile):
    optimizer = keras.optimizers.SGD(0.01)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model = made(optimizer, dtype=policy, jit_compile=jit_compile)
    start = model.layers[0].kernel.numpy()
    pruning.prune_low_magnitude(model, at(0.5))
    look = AtEveryBatch()
    fit(model, [look], batch_size=8)
    # With eight bits there are ties, and all of them are kept.
    least = 0.3 if policy == "bfloat16" else 0.5
    assert all(least <= value <= 0.5 for seen in look.seen for value in seen)
    assert all(least <= value <= 0.5 for value in sparsities(model))
    changed = model.layers[0].kernel.numpy() != start
    assert changed[pruning.masks(model)["dense/kernel"]].any()


def test_a_step_whose_gradients_overflow_counts_and_masks():
    model = made(keras.optimizers.SGD(0.01), dtype="mixed_float16")
    model.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**60),
        "mse",
        jit_compile=False,
    )
    start = model.get_weights()[0]
    pruning.prune_low_magnitude(model, Recording())
    model.fit(X[:8], Y[:8], batch_size=4, verbose=0, callbacks=[pruning.UpdatePruningStep()])
    assert int(model.optimizer.iterations) == 0, "both updates overflowed"
    # As in tfmot, a step is a step of the training, whether or not it was of use.
    assert removed(model) == 2
    mask = pruning.masks(model)["dense/kernel"]
    np.testing.assert_array_equal(model.get_weights()[0], start * mask)
