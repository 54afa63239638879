"""Fixed masks hold while a model trains, in both Kerases."""

import keras
import numpy as np
import pytest
import tf_keras

from kerasinit.pruning import HoldMasks

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((64, 6)).astype("float32"), RNG.standard_normal((64, 2))
MASK = RNG.random((6, 5)) < 0.5
LIBRARIES = pytest.mark.parametrize("library", [keras, tf_keras])


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


@LIBRARIES
def test_several_steps_at_once_are_refused(library):
    model = _model(library, steps_per_execution=2)

    with pytest.raises(ValueError, match="takes 2 steps at a time"):
        model.fit(X, Y, verbose=0, callbacks=[HoldMasks({"dense/kernel": MASK})])
