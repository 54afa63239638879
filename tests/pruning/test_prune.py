"""Pruning a Keras 3 model: what it promises around the masks."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(32, 6)).astype("float32"), RNG.normal(size=(32, 2)).astype("float32")


# Keras itself meets NumPy's changed `copy` when it saves a TensorFlow variable.
SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


# Trainings in several pieces, and requests of less than there is, are what is tested.
SAID = pytest.mark.filterwarnings("ignore:Pruning. :UserWarning")


def half(begin_step=0):
    return pruning.ConstantSparsity(0.5, begin_step, frequency=1)


def small(library=keras):
    layers = library.layers
    return library.Sequential([library.Input((6,)), layers.Dense(8, "relu"), layers.Dense(2)])


def compiled(model, **arguments):
    optimizer = arguments.pop("optimizer", None) or keras.optimizers.SGD(0.05)
    model.compile(optimizer, "mse", **{"jit_compile": False, **arguments})
    return model


def fit(model, callbacks=None, **arguments):
    callbacks = [pruning.UpdatePruningStep()] if callbacks is None else callbacks
    arguments = {"batch_size": 8, "verbose": 0, "shuffle": False, **arguments}
    return model.fit(*DATA, callbacks=callbacks, **arguments)


def sparsity(model):
    return [float(np.mean(layer.kernel.numpy() == 0)) for layer in model.layers]


def test_the_model_is_the_same_object_with_the_same_layers_and_variables():
    model = compiled(small())
    layers, variables, optimizer = model.layers, model.variables, model.optimizer
    assert pruning.prune_low_magnitude(model, half()) is model
    fit(model)
    assert model.layers == layers
    assert [id(v) for v in model.variables] == [id(v) for v in variables]
    assert model.optimizer is optimizer
    assert sparsity(model) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("first", "jit_compile"), [("compile", True), ("compile", "auto"), ("prune", False)]
)
def test_compiling_may_come_before_or_after_pruning(first, jit_compile):
    model = small()
    if first == "compile":
        compiled(model, jit_compile=jit_compile)
    pruning.prune_low_magnitude(model, half())
    if first == "prune":
        compiled(model, jit_compile=jit_compile)
    fit(model)
    assert sparsity(model) == [0.5, 0.5]


def test_a_model_that_was_fitted_already_is_pruned_from_then_on():
    model = compiled(small())
    fit(model, callbacks=[])
    pruning.prune_low_magnitude(model, half())
    fit(model)
    assert sparsity(model) == [0.5, 0.5]


def test_compiling_again_goes_on_pruning():
    model = pruning.prune_low_magnitude(compiled(small()), half())
    fit(model)
    compiled(model)
    with pytest.raises(ValueError, match="UpdatePruningStep"):
        fit(model, callbacks=[])
    fit(model)
    assert sparsity(model) == [0.5, 0.5]


def test_a_model_runs_eagerly_too():
    model = pruning.prune_low_magnitude(compiled(small(), run_eagerly=True), half())
    fit(model)
    assert sparsity(model) == [0.5, 0.5]


@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_missing_callback_is_an_error_at_every_training(jit_compile):
    model = pruning.prune_low_magnitude(compiled(small(), jit_compile=jit_compile), half())
    before = model.get_weights()
    for _ in range(2):
        with pytest.raises(ValueError, match="callback UpdatePruningStep, which is missing"):
            fit(model, callbacks=[])
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    fit(model)
    with pytest.raises(ValueError, match="UpdatePruningStep"):
        fit(model, callbacks=[])


def test_a_training_that_broke_off_does_not_excuse_the_next():
    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = pruning.prune_low_magnitude(compiled(small()), half())
    with pytest.raises(KeyboardInterrupt):
        fit(model, callbacks=[pruning.UpdatePruningStep(), Break()])
    with pytest.raises(ValueError, match="UpdatePruningStep"):
        fit(model, callbacks=[])


def test_the_callback_on_a_model_that_is_not_pruned_is_an_error():
    with pytest.raises(ValueError, match=r"not pruned.*prune_low_magnitude"):
        fit(compiled(small()))


def test_a_loop_around_train_on_batch_prunes():
    model = pruning.prune_low_magnitude(compiled(small()), half(begin_step=3))
    callback = pruning.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()
    for batch in range(3):
        assert pruning.masks(model)["dense/kernel"].all()
        callback.on_train_batch_begin(batch)
        model.train_on_batch(*DATA)
    callback.on_epoch_end(batch=0)
    assert sparsity(model) == [0.5, 0.5]


def test_a_loop_of_gradient_tapes_prunes():
    model = pruning.prune_low_magnitude(small(), half(begin_step=3))
    callback, optimizer = pruning.UpdatePruningStep(), keras.optimizers.SGD(0.05)
    callback.set_model(model)
    callback.on_train_begin()
    for batch in range(3):
        assert pruning.masks(model)["dense/kernel"].all()
        callback.on_train_batch_begin(batch)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(DATA[0], training=True) - DATA[1]) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    callback.on_epoch_end(batch=0)
    assert sparsity(model) == [0.5, 0.5]


def test_a_training_step_of_the_users_own_is_called():
    class Counting(keras.Sequential):
        calls = 0

        def train_step(self, data):
            self.calls += 1
            return super().train_step(data)

    model = Counting([keras.Input((6,)), keras.layers.Dense(2)])
    fit(pruning.prune_low_magnitude(compiled(model, run_eagerly=True), half()))
    assert model.calls == 4
    assert sparsity(model) == [0.5]


@SAID
def test_nested_shared_and_subclassed_models_are_pruned_and_steps_counted_once():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.shared = keras.layers.Dense(6)
            self.inner = small()

        def call(self, inputs):
            return self.inner(self.shared(self.shared(inputs)))

    model = Own()
    model(DATA[0])
    pruning.prune_low_magnitude(compiled(model), half(begin_step=5))
    fit(model)
    assert all(mask.all() for mask in pruning.masks(model).values())
    fit(model)
    names = ["dense/kernel", "sequential/dense/kernel", "sequential/dense_1/kernel"]
    assert {name: mask.mean() for name, mask in pruning.masks(model).items()} == dict.fromkeys(
        names, 0.5
    )


def test_weights_averaged_at_the_end_are_masked_as_well():
    optimizer = keras.optimizers.SGD(0.05, use_ema=True)
    model = pruning.prune_low_magnitude(compiled(small(), optimizer=optimizer), half())
    fit(model)
    assert sparsity(model) == [0.5, 0.5]


@SAID
def test_pruning_again_with_less_sparsity_brings_nothing_back():
    model = compiled(small())
    fit(pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.75, 0, frequency=1)))
    before = pruning.masks(model)
    fit(pruning.prune_low_magnitude(model, half()))
    for name, mask in pruning.masks(model).items():
        np.testing.assert_array_equal(mask, before[name])


@SAID
@SAVES
def test_a_sparse_model_loaded_again_stays_as_sparse(tmp_path):
    model = compiled(small())
    fit(pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.75, 0, frequency=1)))
    pruning.strip_pruning(model).save(tmp_path / "sparse.keras")
    loaded = keras.models.load_model(tmp_path / "sparse.keras")
    fit(pruning.prune_low_magnitude(loaded, half()))
    assert sparsity(loaded) == [0.75, 0.75]


@SAID
def test_zeros_of_an_initializer_are_alive():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6, None, True, "identity")])
    pruning.prune_low_magnitude(compiled(model), half(begin_step=2))
    assert pruning.masks(model)["dense/kernel"].all()
    model.layers[0].set_weights([np.eye(6), np.zeros(6)])
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    model.fit(DATA[0], DATA[0][:, ::-1], callbacks=[pruning.UpdatePruningStep()], verbose=0)
    model.fit(DATA[0], DATA[0][:, ::-1], callbacks=[pruning.UpdatePruningStep()], verbose=0)
    mask = pruning.masks(model)["dense/kernel"]
    assert mask.sum() == 18
    assert (mask & ~np.eye(6, dtype=bool)).any()


@SAVES
def test_stripping_leaves_an_ordinary_model_with_zeros(tmp_path):
    model = pruning.prune_low_magnitude(compiled(small()), half())
    fit(model)
    assert pruning.strip_pruning(model) is model
    assert not {"fit", "train_step", "make_train_function"} & vars(model).keys()
    assert sparsity(model) == [0.5, 0.5]
    assert not any(np.signbit(w[w == 0]).any() for w in model.get_weights()[::2])
    with pytest.raises(ValueError, match="not pruned, or was stripped"):
        pruning.masks(model)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in loaded.layers] == [keras.layers.Dense] * 2
    assert sparsity(loaded) == [0.5, 0.5]

    fit(model, callbacks=[])
    assert sparsity(model) != [0.5, 0.5]


def test_stripping_a_model_that_is_not_pruned_changes_nothing():
    model = small()
    before = model.get_weights()
    assert pruning.strip_pruning(model) is model
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@SAVES
def test_a_pruned_model_is_saved_exported_and_cloned_like_a_dense_one(tmp_path):
    model = pruning.prune_low_magnitude(compiled(small()), half())
    fit(model)
    model.save(tmp_path / "model.keras")
    assert len(keras.models.load_model(tmp_path / "model.keras").weights) == len(model.weights)
    model.save_weights(tmp_path / "m.weights.h5")
    small().load_weights(tmp_path / "m.weights.h5")
    assert keras.models.clone_model(model).count_params() == model.count_params()
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    assert len(exported.variables) == len(model.variables)


def test_a_pruned_model_is_freed_when_no_one_holds_it():
    gc.freeze()  # Spares the collector what other tests have left.
    model = pruning.prune_low_magnitude(small(), half())
    gone = weakref.ref(model)
    del model
    gc.collect()
    gc.unfreeze()
    assert gone() is None


def test_a_policy_chooses_the_layers():
    class NotTheLast:
        asked = None

        def allow_pruning(self, layer):
            return layer.units == 8

        def ensure_model_supports_pruning(self, model):
            self.asked = model

    policy, model = NotTheLast(), compiled(small())
    pruning.prune_low_magnitude(model, half(), pruning_policy=policy)
    fit(model)
    assert policy.asked is model
    assert sparsity(model) == [0.5, 0.0]


def test_half_precision_weights_are_pruned():
    with_policy = {"dtype": "bfloat16"}
    layers = [keras.Input((6,)), keras.layers.Dense(8, **with_policy)]
    model = pruning.prune_low_magnitude(keras.Sequential([*layers, keras.layers.Dense(2)]), half())
    compiled(model)
    fit(model)
    kernel = model.layers[0].kernel.numpy().astype("float32")
    # All ties are kept, and with eight bits there are ties.
    assert 0.35 < np.mean(kernel == 0) <= 0.5


def test_without_a_schedule_half_of_the_weights_go():
    model = pruning.prune_low_magnitude(compiled(small()))
    fit(model, batch_size=1, epochs=4)  # the first update is at step 100
    assert sparsity(model) == [0.5, 0.5]
