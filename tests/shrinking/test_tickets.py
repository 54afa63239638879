"""What is promised of the compact form of a lottery ticket, trained or to be trained."""

import keras
import numpy as np
import pytest

from kerasinit import lottery, pruning, shrinking
from kerasinit._src import compat
from kerasinit._src.mask_arrays import Masks
from tests.kerases import INSTALLED
from tests.lottery.blobs import blobs, builder
from tests.products import each_value_once

BATCH, EPOCHS = 15, 4
RATES = {"Adam": 0.01, "SGD": 0.1}
WITHOUT_INPUT, WITHOUT_OUTPUT = [1, 4, 5], [0, 4, 9]
LEFT = np.setdiff1d(np.arange(16), [*WITHOUT_INPUT, *WITHOUT_OUTPUT])
DATA = blobs()


def ticket(model, bias=0.0):
    """Return a random half of a network's weights, with dead units and one value for all biases."""
    random = np.random.default_rng(0)
    masks = {
        "dense/kernel": random.random((8, 16)) < 0.5,
        "dense_1/kernel": random.random((16, 3)) < 0.5,
    }
    masks["dense/kernel"][0] = masks["dense_1/kernel"][:, 0] = True  # no more dead units than these
    masks["dense/kernel"][:, WITHOUT_INPUT] = False
    masks["dense_1/kernel"][WITHOUT_OUTPUT] = False
    values = [compat.read(one) for one in model.weights]
    names = ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")
    weights = {name: value * masks.get(name, 1) for name, value in zip(names, values, strict=True)}
    weights |= {name: np.full_like(weights[name], bias) for name in names if name.endswith("bias")}
    return lottery.Ticket(Masks(masks), weights)


def trained_twins(library, optimizer, activation="relu", bias=0.0):
    """Train a masked network and its compact form alike; return both and their losses by epoch."""
    build = builder(library.__name__, seed=1)
    masked = build()
    masked.layers[0].activation = library.activations.get(activation)
    found = ticket(masked, bias)
    small = shrinking.compact(found.apply(masked))
    kept = {f"{layer.name}/kernel": compat.read(layer.kernel) != 0 for layer in small.layers}
    losses = []
    for model, masks in (
        (masked, found.masks),
        (small, dict(zip(found.masks, kept.values(), strict=True))),
    ):
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(getattr(library.optimizers, optimizer)(RATES[optimizer]), loss)
        history = model.fit(
            DATA.x_train,
            DATA.y_train,
            batch_size=BATCH,
            epochs=EPOCHS,
            shuffle=False,
            callbacks=[pruning.HoldMasks(masks)],
            verbose=0,
        )
        losses.append(history.history["loss"])
    return masked, small, losses


@each_value_once(library=INSTALLED, optimizer=tuple(RATES))
def test_a_compact_ticket_trains_like_the_masked_one(library, optimizer):
    masked, small, (losses, same) = trained_twins(library, optimizer)

    assert small.layers[0].units == len(LEFT)
    assert losses[-1] < 0.99 * losses[0]
    np.testing.assert_allclose(same, losses, rtol=1e-5)
    kernel, bias = masked.layers[0].get_weights()
    for cut, whole in zip(
        small.layers[0].get_weights(), (kernel[:, LEFT], bias[LEFT]), strict=True
    ):
        np.testing.assert_allclose(cut, whole, atol=1e-5)
    np.testing.assert_allclose(
        small.layers[1].get_weights()[0], masked.layers[1].get_weights()[0][LEFT], atol=1e-5
    )


@pytest.mark.parametrize(
    ("activation", "bias"), [("relu", 0.5), ("softplus", 0.0)], ids=["rewound bias", "softplus"]
)
def test_constants_that_are_not_zero_train_in_the_masked_ticket_only(activation, bias):
    # In the compact form, the constant of a unit without inputs is part of the next bias. The
    # outputs are equal, but the masked network trains it in several places.
    masked, small, (losses, others) = trained_twins(keras, "Adam", activation, bias)

    assert small.layers[0].units == len(LEFT)
    constant = masked.layers[0].bias.numpy()[WITHOUT_INPUT[0]]
    assert abs(constant - bias) > 1e-3
    assert np.abs(np.subtract(losses, others)).max() > 1e-4


@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_first_values_give_the_same_outputs(activation):
    model = builder(seed=1)()
    model.layers[0].activation = keras.activations.get(activation)
    ticket(model, bias=0.5).apply(model)

    small = shrinking.compact(model)

    assert small.layers[0].units == len(LEFT)
    np.testing.assert_allclose(small(DATA.x_test), model(DATA.x_test), atol=1e-5)


def test_trained_tickets_of_a_run_predict_the_same(tmp_path):
    experiment = lottery.Experiment(
        iterations=60, levels=2, rate=0.7, output_rate=0.7, trials=1, controls=(), batch_size=BATCH
    )
    run = lottery.run(experiment, out=tmp_path / "run", build=builder(), data=DATA)

    for place in run.places():
        model = keras.models.load_model(run.stage(place).model_path)
        small = shrinking.compact(model)

        first, second = (layer.kernel.numpy() != 0 for layer in model.layers)
        assert small.layers[0].units == (first.any(axis=0) & second.any(axis=1)).sum()
        before, after = (one(DATA.x_test).numpy() for one in (model, small))
        np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
        np.testing.assert_allclose(after, before, atol=1e-5)
    assert small.layers[0].units < 16
