"""Whoever looks at a model between two steps sees the sparse network, and changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning
from tests.kerases import INSTALLED, KERASES, tf_keras
from tests.products import each_value_once, nightly

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 12)).astype("float32"), RNG.normal(size=(64, 4)).astype("float32")
LIBRARIES = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)


def made(library, optimizer=None, **compilation):
    layers = library.layers
    model = library.Sequential([library.Input((12,)), layers.Dense(16, "relu"), layers.Dense(4)])
    start = np.random.default_rng(1)
    model.set_weights([start.normal(size=w.shape, scale=0.4) for w in model.get_weights()])
    # With a large learning rate many removed weights come back.
    schedule = pruning.ConstantSparsity(0.5, 0, frequency=2)
    model = pruning.prune_low_magnitude(model, schedule)
    optimizer = optimizer or library.optimizers.SGD(0.3)
    model.compile(optimizer, "mse", **{"jit_compile": False, **compilation})
    return model


def trained(library, look=None, callbacks=(), validated=False, **arguments):
    """Train for two epochs, and look at the model after each batch; return all weights."""
    model = made(library, **arguments)

    class Look(library.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            look(self.model)

    model.fit(
        X,
        Y,
        batch_size=8,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y) if validated else None,
        callbacks=[*callbacks, pruning.UpdatePruningStep(), *([Look()] if look else [])],
    )
    return {**pruning.masks(model), **dict(enumerate(model.get_weights()))}


def assert_same(disturbed, expected):
    for name, value in expected.items():
        np.testing.assert_array_equal(disturbed[name], value, err_msg=str(name))


@pytest.fixture(scope="module")
def undisturbed():
    """Return what trainings learn that nobody looks at, by library."""
    return {library: trained(library) for library in INSTALLED}


LOOKS = {
    "get_weights": lambda model, folder: model.get_weights(),
    "save": lambda model, folder: model.save(folder / "model.keras"),
    "save_weights": lambda model, folder: model.save_weights(folder / "model.weights.h5"),
    "evaluate": lambda model, folder: model.evaluate(X[:8], Y[:8], verbose=0),
    "predict": lambda model, folder: model.predict(X[:8], verbose=0),
    "test_on_batch": lambda model, folder: model.test_on_batch(X[:8], Y[:8]),
    "predict_on_batch": lambda model, folder: model.predict_on_batch(X[:8]),
    "call": lambda model, folder: model(X[:8]),
}


@each_value_once(way=[*LOOKS], library=INSTALLED)
def test_looking_between_batches_changes_nothing(library, way, undisturbed, tmp_path):
    assert_same(trained(library, lambda model: LOOKS[way](model, tmp_path)), undisturbed[library])


@LIBRARIES
def test_nor_do_checkpoints_and_validation(library, undisturbed, tmp_path):
    save = library.callbacks.ModelCheckpoint(str(tmp_path / "model.keras"), save_freq=3)
    disturbed = trained(library, callbacks=[save], validated=True)
    assert_same(disturbed, undisturbed[library])


@pytest.mark.parametrize("run_eagerly", [True, pytest.param(False, marks=nightly)])
def test_a_checkpoint_after_validation_is_as_sparse_as_tfmot_has_it(run_eagerly, tmp_path):
    save = tf_keras.callbacks.ModelCheckpoint(str(tmp_path / "model.keras"))
    model = made(tf_keras, run_eagerly=run_eagerly)
    callbacks = [save, pruning.UpdatePruningStep()]
    model.fit(X, Y, validation_data=(X, Y), batch_size=16, verbose=0, callbacks=callbacks)
    with pruning.prune_scope():
        loaded = tf_keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert float(np.mean(loaded.layers[0].layer.kernel.numpy() == 0)) == 0.5


EMA = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3}
OPTIONS = {
    "averages": lambda: {"optimizer": keras.optimizers.SGD(0.3, **EMA)},
    "loss scale": lambda: {
        "optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01))
    },
    "accumulation": lambda: {"optimizer": keras.optimizers.SGD(0.3, gradient_accumulation_steps=2)},
    "several steps": lambda: {"steps_per_execution": 3},
    "xla": lambda: {"jit_compile": True},
    "eager": lambda: {"run_eagerly": True},
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case in ("averages", "xla") else nightly) for case in OPTIONS],
)
def test_nothing_changes_however_the_model_is_trained(case):
    def look(model):
        model.get_weights()
        model.evaluate(X[:8], Y[:8], verbose=0)

    assert_same(trained(keras, look, **OPTIONS[case]()), trained(keras, **OPTIONS[case]()))


def begun(model):
    """Return a model after one step of a loop, which has moved removed weights."""
    callback = pruning.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()
    model.train_on_batch(X, Y)
    model.train_on_batch(X, Y)
    assert np.mean(model.layers[0].kernel.numpy() == 0) < 0.5
    return model


class Seen(keras.layers.Layer):
    """Keeps how sparse the kernel beside it was at the last call."""

    def __init__(self, dense):
        super().__init__()
        self.dense = dense

    def build(self, shape):
        self.zeros = self.add_weight(shape=(), initializer="zeros", trainable=False, name="zeros")

    def call(self, inputs, training=None):
        if not training:
            kernel = tf.convert_to_tensor(self.dense.kernel)
            self.zeros.assign(tf.reduce_mean(tf.cast(kernel == 0, tf.float32)))
        return inputs

    def get_prunable_weights(self):
        return []


class Write(keras.callbacks.Callback):
    """Gives the model other weights for a test, as callbacks of averages do."""

    def on_test_begin(self, logs=None):
        self.kernel = self.model.layers[0].kernel
        self.before = self.kernel.numpy()
        self.kernel.assign(np.full((12, 16), 2.0, "float32"))

    def on_test_end(self, logs=None):
        assert (self.kernel.numpy() == 2).all(), "a callback does not find what it wrote"
        self.kernel.assign(self.before)


@pytest.mark.parametrize("callback", [None, Write])
@pytest.mark.parametrize("way", ["evaluate", "predict"])
def test_what_is_evaluated_is_sparse_and_what_was_there_is_put_back(callback, way):
    dense = keras.layers.Dense(16)
    model = keras.Sequential([keras.Input((12,)), dense, Seen(dense), keras.layers.Dense(4)])
    pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.5, 0, frequency=1))
    model.compile(keras.optimizers.SGD(0.3), "mse", jit_compile=False)
    before = begun(model).layers[0].kernel.numpy()
    data = (X, Y) if way == "evaluate" else (X,)
    callbacks = [callback()] if callback else []
    getattr(model, way)(*data, batch_size=32, verbose=0, callbacks=callbacks)
    assert float(model.layers[1].zeros) == 0.5
    np.testing.assert_array_equal(dense.kernel.numpy(), before)


WAYS_OUT = {
    "save": lambda model, folder: model.save(folder / "model.keras"),
    "save_weights": lambda model, folder: model.save_weights(folder / "m.weights.h5"),
    "export": lambda model, folder: model.export(folder / "exported", verbose=False),
    "get_weights": lambda model, folder: model.get_weights(),
}


def read_back(way, result, folder):
    """Return the kernels that have left a model in some way."""
    if way == "get_weights":
        return result[::2]
    if way == "export":
        variables = tf.saved_model.load(str(folder / "exported")).variables
        return [variable.numpy() for variable in variables if len(variable.shape) == 2]
    if way == "save":
        return keras.models.load_model(folder / "model.keras").get_weights()[::2]
    model = pruning.strip_pruning(made(keras))
    model.optimizer.build(model.trainable_variables)
    model.load_weights(folder / "m.weights.h5")
    return model.get_weights()[::2]


@pytest.mark.parametrize("way", WAYS_OUT)
def test_what_leaves_a_model_between_batches_is_sparse(way, tmp_path):
    model = begun(made(keras))
    before = [layer.kernel.numpy() for layer in model.layers]
    result = WAYS_OUT[way](model, tmp_path)
    assert [np.mean(kernel == 0) for kernel in read_back(way, result, tmp_path)] == [0.5, 0.5]
    for layer, kernel in zip(model.layers, before, strict=True):
        np.testing.assert_array_equal(layer.kernel.numpy(), kernel)


def test_weights_are_put_back_after_an_error_too(tmp_path):
    model = begun(made(keras))
    before = model.layers[0].kernel.numpy()
    with pytest.raises(ValueError, match=r"filepath|filename"):
        model.save(tmp_path / "model.nonsense")
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before)


def test_what_a_custom_evaluation_loads_is_seen_masked_and_stays_as_it_is():
    class Loading(keras.Sequential):
        def evaluate(self, *args, **kwargs):
            self.layers[0].kernel.assign(np.ones((12, 16), "float32"))
            return super().evaluate(*args, **kwargs)

    dense = keras.layers.Dense(16)
    model = Loading([keras.Input((12,)), dense, Seen(dense), keras.layers.Dense(4)])
    pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.5, 0, frequency=1))
    model.compile(keras.optimizers.SGD(0.3), "mse", jit_compile=False)
    begun(model).evaluate(X, Y, verbose=0)
    assert float(model.layers[1].zeros) == 0.5
    assert (dense.kernel.numpy() == 1).all()


def test_stripping_gives_a_model_its_compiled_functions_back():
    model = made(keras)
    model.evaluate(X, Y, verbose=0)
    pruning.strip_pruning(model)
    made_before = model.test_function
    model.evaluate(X, Y, verbose=0)
    assert model.test_function is made_before
    assert type(made_before).__module__.partition(".")[0] != "kerasinit"


def test_a_tf_keras_model_is_evaluated_as_tfmot_has_it_after_the_training():
    model = made(tf_keras)
    trained_by = [pruning.UpdatePruningStep()]
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=trained_by)
    assert not {"call", "make_test_function", "make_predict_function"} & vars(model).keys()
    kernel = model.layers[0].layer.kernel
    kernel.assign(tf.ones_like(kernel))
    model.evaluate(X, Y, verbose=0)
    assert float(tf.reduce_mean(kernel)) == 0.5
