"""Models and layers that are not built yet, pruned as tfmot prunes them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 6)).astype("float32"), RNG.normal(size=(32, 2)).astype("float32")
UNMASKED = "are pruned, and are trained here without their masks"


def half(begin_step=0):
    return pruning.ConstantSparsity(0.5, begin_step, frequency=1)


def dense(units=8):
    return keras.layers.Dense(units)


def unbuilt():
    return keras.Sequential([dense(), keras.layers.Dropout(0.1), dense(2)])


class Own(keras.Model):
    """Makes one of its layers only when it is built."""

    def __init__(self):
        super().__init__()
        self.first = dense()

    def build(self, shape):
        self.first.build(shape)
        self.second = dense(2)
        self.second.build((None, 8))

    def call(self, inputs):
        return self.second(self.first(inputs))


def fit(model, x=X, y=Y, **arguments):
    if not model.compiled:
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    defaults = {"callbacks": [pruning.UpdatePruningStep()], "verbose": 0, "shuffle": False}
    arguments = {**defaults, **arguments}
    return model.fit(x, y, **arguments)


def sparsities(model):
    return [float((w == 0).mean()) for w in model.get_weights() if w.ndim == 2]


def batches():
    while True:
        yield X[:8], Y[:8]


DATA = {
    "arrays": ((X, Y), {}),
    "dataset": ((tf.data.Dataset.from_tensor_slices((X, Y)).batch(8), None), {}),
    "generator": ((batches(), None), {"steps_per_epoch": 4}),
    "sample weights": ((X, Y), {"sample_weight": np.ones(32)}),
}


@pytest.mark.parametrize("data", DATA)
def test_a_model_that_fit_builds_is_pruned_from_its_first_step(data):
    model = pruning.prune_low_magnitude(unbuilt(), half())
    (x, y), arguments = DATA[data]
    fit(model, x, y, epochs=2, **arguments)
    assert sparsities(model) == [0.5, 0.5]
    assert [*pruning.masks(model)] == ["dense/kernel", "dense_1/kernel"]


def test_it_trains_as_if_it_had_been_built_before():
    found = []
    for build in (False, True):
        keras.utils.set_random_seed(1)
        model = unbuilt()
        if build:
            model.build((None, 6))
        pruning.prune_low_magnitude(model, pruning.PolynomialDecay(0.0, 0.75, 1, 7, frequency=2))
        fit(model, batch_size=8, epochs=2)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [Own, lambda: keras.Sequential([dense(), unbuilt()])])
def test_subclassed_and_nested_models_are_pruned_when_they_are_built(make):
    model = pruning.prune_low_magnitude(make(), half())
    fit(model)
    assert set(sparsities(model)) == {0.5}


WAYS = {
    "build": lambda model: model.build((None, 6)),
    "call": lambda model: model(X),
    "predict": lambda model: model.predict(X, verbose=0),
    "evaluate": lambda model: model.evaluate(X, Y, verbose=0),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_is_built_otherwise_is_pruned_as_well(way):
    model = pruning.prune_low_magnitude(unbuilt(), half())
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    WAYS[way](model)
    assert [*pruning.masks(model)] == ["dense/kernel", "dense_1/kernel"]
    fit(model)
    assert sparsities(model) == [0.5, 0.5]


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_loop_around_train_on_batch_builds_and_prunes(run_eagerly):
    model = pruning.prune_low_magnitude(unbuilt(), half(begin_step=3))
    model.compile(keras.optimizers.SGD(0.05), "mse", run_eagerly=run_eagerly)
    callback = pruning.UpdatePruningStep()
    callback.set_model(model)
    callback.on_train_begin()
    for _ in range(3):
        assert set(sparsities(model)) <= {0.0}
        model.train_on_batch(X, Y)
    callback.on_epoch_end(batch=0)
    assert sparsities(model) == [0.5, 0.5]


def test_layers_of_a_model_that_is_not_built_keep_their_own_schedules():
    model = unbuilt()
    assert pruning.prune_low_magnitude(model.layers, half()) == model.layers
    fit(model)
    assert sparsities(model) == [0.5, 0.5]
    model = keras.Sequential([pruning.prune_low_magnitude(dense(), half()), dense(2)])
    fit(model)
    assert sparsities(model) == [0.5, 0.0]


def test_without_the_callback_a_model_that_fit_would_build_is_refused():
    model = pruning.prune_low_magnitude(unbuilt(), half())
    with pytest.raises(ValueError, match="callback UpdatePruningStep, which is missing"):
        fit(model, callbacks=[])
    inner = pruning.prune_low_magnitude(unbuilt(), half())
    with pytest.raises(ValueError, match=UNMASKED):
        fit(keras.Sequential([inner]), callbacks=[])


def test_a_loop_that_begins_a_step_before_there_are_weights_is_refused():
    model = pruning.prune_low_magnitude(unbuilt(), half())
    with pytest.raises(ValueError, match=r"has no weights yet.*Build it before the first step"):
        pruning.begin_step(model)
    model.build((None, 6))
    pruning.begin_step(model)
    assert sparsities(model) == [0.5, 0.5]


def test_a_model_stripped_before_it_is_built_is_an_ordinary_one():
    model = pruning.strip_pruning(pruning.prune_low_magnitude(unbuilt(), half()))
    fit(model, callbacks=[])
    assert sparsities(model) == [0.0, 0.0]


def test_a_policy_is_asked_when_the_model_is_built():
    class Narrow:
        def allow_pruning(self, layer):
            return bool(layer.weights) and layer.units == 2

        def ensure_model_supports_pruning(self, model):
            pass

    model = pruning.prune_low_magnitude(unbuilt(), half(), pruning_policy=Narrow())
    fit(model)
    assert sparsities(model) == [0.0, 0.5]


def test_a_training_goes_on_at_a_later_epoch_of_a_model_that_fit_builds():
    model = pruning.prune_low_magnitude(unbuilt(), half(), initial_step=4)
    fit(model, batch_size=8, epochs=2, initial_epoch=1)
    assert sparsities(model) == [0.5, 0.5]


def test_a_shape_builds_a_layer_and_the_model_that_begins_with_it():
    first = pruning.prune_low_magnitude(dense(), half(), input_shape=(6,))
    assert first.built
    model = keras.Sequential([first, dense(2)])
    assert model.built
    fit(model)
    assert sparsities(model) == [0.5, 0.0]
    alone = keras.Sequential()
    alone.add(pruning.prune_low_magnitude(keras.layers.LSTM(3), half(), input_shape=(5, 2)))
    fit(alone, np.ones((4, 5, 2)), np.ones((4, 3)))
    assert sparsities(alone) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (dense, "six", r"shape of one input without the batch.*got 'six'"),
        (unbuilt, (6,), "is for a single layer. Give a model a keras.Input"),
        (lambda: [dense()], (6,), "is for a single layer"),
    ],
)
def test_a_shape_that_cannot_be_used_is_refused(make, shape, message):
    with pytest.raises(ValueError, match=message):
        pruning.prune_low_magnitude(make(), half(), input_shape=shape)


class Strange(keras.layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 2), name="kernel")

    def call(self, inputs):
        return inputs @ self.kernel


class Doubles(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


@pytest.mark.parametrize(
    "make",
    [
        Strange,
        lambda: [dense(), Strange()],
        lambda: keras.Sequential([dense(), Strange()]),
        lambda: keras.layers.TimeDistributed(Strange()),
    ],
)
def test_a_class_without_a_rule_is_named_before_it_is_built(make):
    with pytest.raises(ValueError, match=r"Strange is not built yet, and it is not known"):
        pruning.prune_low_magnitude(make(), half())


def test_a_class_without_weights_needs_no_rule():
    model = pruning.prune_low_magnitude(keras.Sequential([Doubles(), dense(2)]), half())
    fit(model)
    assert sparsities(model) == [0.5]


def test_what_does_not_fit_a_pattern_is_refused_when_it_is_built_and_again():
    model = keras.Sequential([keras.layers.Conv1D(2, 2), keras.layers.Flatten(), dense(2)])
    pruning.prune_low_magnitude(model, half(), block_size=(2, 2))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"'conv1d/kernel' has shape \(2, 1, 2\)"):
            fit(model, X[..., None])


@pytest.mark.parametrize("built", [True, False])
def test_a_layer_that_has_nothing_to_prune_trains_with_a_warning(built):
    layer = pruning.prune_low_magnitude(keras.layers.DepthwiseConv2D(3, name="thin"), half())
    shape = [keras.Input((4, 4, 3))] if built else []
    model = keras.Sequential([*shape, layer, keras.layers.Flatten(), dense(2)])
    x = np.ones((8, 4, 4, 3), "float32")
    with pytest.warns(UserWarning, match=r"Nothing is pruned.*\('thin'\) have no weights to prune"):
        fit(model, x, Y[:8])
    assert pruning.masks(model) == {}
