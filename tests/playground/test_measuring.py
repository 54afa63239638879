"""What is shown of a network is what a reader would compute."""

import base64
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit._src.playground.measuring import BINS, GRID, Views, bounds
from kerasinit._src.playground.theory_lines import squares
from kerasinit.playground import Settings, SideSettings, TwoNetworks


def view_of(settings, steps=0, side=0):
    two = TwoNetworks(settings)
    two.advance(steps)
    network = two.networks[side]
    views = Views(network.model, two.examples, settings.sides[side].activation)
    return two, network.model, views.view(network.masks)


def test_the_boundary_is_what_the_network_predicts_from_the_top_left():
    two, model, view = view_of(Settings(depth=2), steps=30)
    left, right, bottom, top = bounds(two.examples)
    step = (right - left) / GRID, (top - bottom) / GRID

    best = np.frombuffer(base64.b64decode(view["grid"]["best"]), np.uint8).reshape(GRID, GRID)
    confidence = np.frombuffer(base64.b64decode(view["grid"]["confidence"]), np.uint8)

    for row, column in ((0, 0), (0, GRID - 1), (GRID - 1, 0), (7, 23)):
        point = [[left + (column + 0.5) * step[0], top - (row + 0.5) * step[1]]]
        chances = tf.nn.softmax(model(np.array(point, np.float32))).numpy()[0]
        assert best[row, column] == chances.argmax()
        assert confidence.reshape(GRID, GRID)[row, column] == pytest.approx(
            255 * chances.max(), abs=1
        )


@pytest.mark.parametrize("residual", [False, True])
def test_signals_and_gradients_are_those_of_the_network(residual):
    settings = Settings(depth=4, residual=residual)
    two, model, view = view_of(settings, steps=5)
    x, y = (tf.constant(part) for part in two.examples.probe)

    with tf.GradientTape(persistent=True) as tape:
        signal, signals, before = x, [], []
        for number in range(1, 5):
            z = model.get_layer(f"hidden_{number}")(signal)
            before.append(z)
            after = keras.activations.relu(z)
            signal = signal + after if residual and number > 1 else after
            signals.append(signal)
        logits = model.get_layer("outputs")(signal)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
    rms = [float(np.sqrt(np.mean(np.square(s)))) for s in [*signals, logits]]
    gradients = [tape.gradient(losses, z) for z in [*before, logits]]
    gradient_rms = [float(np.sqrt(np.mean(np.square(g)))) for g in gradients]

    np.testing.assert_allclose([one["activation"] for one in view["layers"]], rms, rtol=1e-4)
    np.testing.assert_allclose([one["gradient"] for one in view["layers"]], gradient_rms, rtol=1e-3)


def test_looking_at_a_network_changes_nothing():
    settings = Settings(depth=3, normalization="batch")
    two = TwoNetworks(settings)
    before = two.left.get_weights()

    Views(two.left, two.examples, "relu").view(two.networks[0].masks)

    for a, b in zip(two.left.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dead_saturated_and_identical_units_are_counted():
    sides = {
        "left": SideSettings("Constant:value=0.1", "relu", "Constant:value=-9"),
        "right": SideSettings("RandomNormal:stddev=30", "tanh"),
    }
    settings = Settings(depth=2, width=8, **sides)

    _, _, left = view_of(settings)
    _, _, right = view_of(settings, side=1)

    assert [layer["dead"] for layer in left["layers"]] == [8, 8, 0]
    assert [layer["identical"] for layer in left["layers"]] == [8, 8, 2]
    assert left["layers"][0]["saturated"] is None
    assert right["layers"][1]["saturated"] > 0.9
    assert [layer["identical"] for layer in right["layers"]] == [0, 0, 0]


def test_histograms_count_all_values():
    _, model, view = view_of(Settings(depth=2))
    kernel = model.get_layer("hidden_2").get_weights()[0]

    shown = view["layers"][1]["weights"]

    counts, _ = np.histogram(kernel, BINS, (shown["low"], shown["high"]))
    assert shown["counts"] == counts.tolist()
    assert (shown["low"], shown["high"]) == (kernel.min(), kernel.max())
    assert sum(view["layers"][1]["activations"]["counts"]) == 200 * 16


def test_the_confusion_of_digits_counts_the_test_examples():
    two, model, view = view_of(Settings(data="digits", depth=2), steps=60)
    predicted = model.predict(two.examples.x_test, verbose=0).argmax(axis=1)

    confusion = np.array(view["confusion"])

    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(two.examples.y_test))
    np.testing.assert_array_equal(confusion.sum(axis=0), np.bincount(predicted, minlength=10))
    assert view["grid"] is None
    for number, wrong, true in view["wrong"]:
        assert predicted[number] == wrong != true == two.examples.y_test[number]


def theory_of(settings, side="left"):
    two = TwoNetworks(settings)
    model = getattr(two, side)
    layers = [model.get_layer(f"hidden_{n + 1}").get_weights() for n in range(settings.depth)]
    kernels, biases = zip(*layers, strict=True)
    q = float((two.examples.probe[0] ** 2).mean())
    return squares(settings, getattr(settings, side), kernels, biases, q)


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"left": SideSettings("GlorotNormal", "tanh", "RandomNormal:stddev=0.3")},
        {"left": SideSettings("RandomNormal:stddev=0.05", "sigmoid")},
        {"left": SideSettings("LecunNormal", "selu")},
        {"left": SideSettings("Orthogonal", "gelu")},
        {"residual": True},
        {"residual": True, "left": SideSettings("GlorotNormal", "tanh")},
        {"normalization": "batch"},
        {"normalization": "layer", "residual": True, "left": SideSettings("HeNormal", "silu")},
    ],
    ids=str,
)
def test_the_line_of_theory_is_met_by_wide_networks(choice):
    settings = Settings(data="digits", depth=8, width=256, **choice)

    predicted, note = theory_of(settings)
    _, _, view = view_of(settings)
    measured = [layer["activation"] ** 2 for layer in view["layers"][:-1]]

    assert "256 wide" in note
    # Chance: a random walk in the logarithm, whose steps have the variance 5 / width for relu.
    chance = np.sqrt(5 / 256 * np.arange(1, 9))
    assert (np.abs(np.log(predicted) - np.log(measured)) < 3 * chance).all()


def test_there_is_no_line_where_the_theory_does_not_apply():
    reasons = {
        "Constant:value=0.1": "Constant draws none",
        "Zeros": "Zeros draws none",
        "lsuv": "lsuv fits them to the data",
    }
    for initializer, reason in reasons.items():
        settings = dataclasses.replace(Settings(), left=SideSettings(initializer))
        line, note = theory_of(settings)
        assert line is None
        assert reason in note
    line, note = theory_of(Settings(left=SideSettings("RandomNormal:mean=0.5,stddev=0.1")))
    assert line is None
    assert "mean 0" in note


def test_an_exploding_line_ends_in_infinity():
    line, _ = theory_of(Settings(depth=50, left=SideSettings("RandomNormal:stddev=100")))

    assert line[-1] == np.inf
    assert np.isfinite(line[0])
