"""Fixed masks hold while a model trains, in both Kerases."""

import keras
import numpy as np
import pytest

from kerasinit.pruning import (
    ConstantSparsity,
    HoldMasks,
    UpdatePruningStep,
    prune_low_magnitude,
    strip_pruning,
)
from tests.kerases import INSTALLED, tf_keras
from tests.products import each_value_once

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((64, 6)).astype("float32"), RNG.standard_normal((64, 2))
MASK = RNG.random((6, 5)) < 0.5
LIBRARIES = pytest.mark.parametrize("library", INSTALLED)


def _model(library, **compile_options):
    layers = library.layers
    model = library.Sequential([layers.InputLayer((6,)), layers.Dense(5), layers.Dense(2)])
    model.compile(library.optimizers.Adam(0.05), "mse", **compile_options)
    return model


@LIBRARIES
def test_removed_weights_are_zero_at_every_look_and_the_others_train(library):
    model = _model(library)
    before = [weights.copy() for weights in model.get_weights()]
    seen = []

    class Look(library.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(model.layers[0].kernel.numpy())

    model.fit(
        X,
        Y,
        epochs=2,
        batch_size=16,
        verbose=0,
        callbacks=[HoldMasks({"dense/kernel": MASK}), Look()],
    )

    assert len(seen) == 8
    for kernel in seen:
        assert not kernel[~MASK].any()
        assert kernel[MASK].all()
    assert np.all(seen[-1][MASK] != before[0][MASK])
    # There is no mask for the second layer, so all of it trains.
    assert np.all(model.layers[1].kernel.numpy() != before[2])


@LIBRARIES
def test_averaged_weights_that_the_optimizer_writes_at_the_end_are_masked_too(library):
    model = _model(library)
    model.compile(library.optimizers.Adam(0.05, use_ema=True), "mse")
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[HoldMasks({"dense/kernel": MASK})])

    assert not model.layers[0].kernel.numpy()[~MASK].any()


def test_both_kerases_train_the_same_sparse_network():
    kernels = []
    for library in (keras, tf_keras):
        model = _model(library)
        start = np.random.default_rng(1)
        model.set_weights([start.standard_normal(w.shape) for w in model.get_weights()])
        held = HoldMasks({"dense/kernel": MASK})
        model.fit(X, Y, epochs=2, batch_size=16, shuffle=False, verbose=0, callbacks=[held])
        kernels.append(model.layers[0].kernel.numpy())

    np.testing.assert_array_equal(*kernels)


@LIBRARIES
def test_masks_that_do_not_fit_are_refused_before_training(library):
    model = _model(library)

    for masks, match in (
        ({"dense/kernel": MASK.T}, r"'dense/kernel' has shape \(6, 5\), its mask \(5, 6\)"),
        ({"dens/kernel": MASK}, "a mask for 'dens/kernel'"),
    ):
        with pytest.raises(ValueError, match=match):
            model.fit(X, Y, verbose=0, callbacks=[HoldMasks(masks)])


class OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def _with_own_step(**compile_options):
    inputs = keras.Input((6,))
    outputs = keras.layers.Dense(2, name="dense_1")(keras.layers.Dense(5, name="dense")(inputs))
    model = OwnStep(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.05), "mse", **compile_options)
    return model


@pytest.mark.parametrize("make", [lambda **o: _model(tf_keras, **o), _with_own_step])
def test_several_steps_at_once_are_refused_where_masks_are_held_between_them(make):
    model = make(steps_per_execution=2)

    with pytest.raises(ValueError, match="takes 2 steps at a time"):
        model.fit(X, Y, verbose=0, callbacks=[HoldMasks({"dense/kernel": MASK})])


def _trained(model, callbacks, epochs=2):
    start = np.random.default_rng(1)
    model.set_weights([start.standard_normal(w.shape) for w in model.get_weights()])
    model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model.get_weights()


@pytest.fixture(scope="module")
def expected():
    """Return weights that were trained with masks held between the steps."""
    return _trained(_with_own_step(), [HoldMasks({"dense/kernel": MASK})])


@pytest.mark.parametrize("options", [{"steps_per_execution": 3}, {"run_eagerly": True}, {}])
def test_masks_in_the_compiled_step_and_between_steps_train_the_same(options, expected):
    found = _trained(_model(keras, **options), [HoldMasks({"dense/kernel": MASK})])
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_masks_hold_within_xla(expected):
    found = _trained(_model(keras, jit_compile=True), [HoldMasks({"dense/kernel": MASK})])
    assert not found[0][~MASK].any()
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_constraint_of_the_users_goes_before_the_mask():
    model = _model(keras)
    model.layers[0].kernel.constraint = keras.constraints.UnitNorm()
    kernel = _trained(model, [HoldMasks({"dense/kernel": MASK})])[0]

    assert not kernel[~MASK].any()
    lengths = np.linalg.norm(kernel, axis=0)
    # Of unit length before the mask took a part of it.
    assert np.all(lengths < 1)
    assert isinstance(model.layers[0].kernel.constraint, keras.constraints.UnitNorm)


def test_several_callbacks_hold_all_their_masks():
    masks = {"dense/kernel": MASK, "dense_1/kernel": np.tile([True, False], (5, 1))}
    model = _model(keras)
    _trained(model, [HoldMasks({name: mask}) for name, mask in masks.items()])
    for layer, mask in zip(model.layers, masks.values(), strict=True):
        kernel = layer.kernel.numpy()
        assert not kernel[~mask].any()
        assert kernel[mask].all()


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


@each_value_once(again=["fit", "train_on_batch"], broken_off=[False, True])
def test_a_training_without_the_callback_is_dense_again(again, broken_off):
    model, held = _model(keras), HoldMasks({"dense/kernel": MASK})
    if broken_off:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, verbose=0, callbacks=[held, Interrupt()])
    else:
        model.fit(X, Y, verbose=0, callbacks=[held])
    if again == "fit":
        model.fit(X, Y, verbose=0)
    else:
        model.train_on_batch(X, Y)
    assert model.layers[0].kernel.numpy().all()
    assert model.layers[0].kernel.constraint is None
    model.fit(X, Y, verbose=0, callbacks=[held])
    assert not model.layers[0].kernel.numpy()[~MASK].any()


def test_a_model_may_be_pruned_after_a_training_that_broke_off():
    model = _model(keras)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, verbose=0, callbacks=[HoldMasks({"dense/kernel": MASK}), Interrupt()])
    prune_low_magnitude(model, ConstantSparsity(0.5, 0, frequency=1))
    model.fit(X, Y, verbose=0, callbacks=[UpdatePruningStep()])
    assert (model.layers[1].kernel.numpy() == 0).mean() == 0.5
    strip_pruning(model)
    model.fit(X, Y, verbose=0)
    assert model.layers[0].kernel.numpy().all()


def test_a_model_that_is_compiled_again_is_held_as_it_is_now():
    model, held = _model(keras), HoldMasks({"dense/kernel": MASK})
    model.fit(X, Y, verbose=0, callbacks=[held])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0, callbacks=[held])
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_pruned_model_is_held_too_and_goes_on_pruning_itself():
    model = prune_low_magnitude(_model(keras), ConstantSparsity(0.5, 0, frequency=1))
    model.compile("sgd", "mse")
    held = HoldMasks({"dense/kernel": MASK})
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[UpdatePruningStep(), held])
    assert not model.layers[0].kernel.numpy()[~MASK].any()
    # The other layer is pruned by the model itself, also without the callback.
    assert np.mean(model.layers[1].kernel.numpy() == 0) == 0.5
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[UpdatePruningStep()])
    assert np.mean(model.layers[1].kernel.numpy() == 0) == 0.5


@LIBRARIES
def test_a_loop_of_a_users_own_holds_them_by_the_callback(library):
    model, held = _model(library), HoldMasks({"dense/kernel": MASK})
    held.set_model(model)
    for _ in range(2):  # the second finds a training function that the first has made
        held.on_train_begin()
        for batch in range(2):
            model.train_on_batch(X, Y)
            assert model.layers[0].kernel.numpy()[~MASK].any()
            held.on_train_batch_end(batch)
            assert not model.layers[0].kernel.numpy()[~MASK].any()
        held.on_train_end()
