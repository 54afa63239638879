"""What the lessons say is what their networks do."""

import dataclasses
import functools
import math

import keras
import numpy as np
import pytest

from kerasinit._src.playground import lesson_files
from kerasinit._src.playground.networks import build
from kerasinit._src.playground.two_networks import COLUMNS, TwoNetworks
from tests.products import nightly

LESSONS = {lesson.id: lesson for lesson in lesson_files.built_in()}
IDLE = 0.02  # around the loss of a guess: biases follow the classes of the last batch
LEARNED = 0.1


class Run:
    """A trained pair of networks, and its rows by name and step."""

    def __init__(self, settings, steps):
        self.two = TwoNetworks(settings)
        self.first = [one.model.get_weights() for one in self.two.networks]
        self.two.advance(steps)
        self.rows = dict(zip(COLUMNS, self.two.rows.T, strict=True))

    def losses(self, side):
        return self.rows[f"{side} loss"]

    def end(self, column):
        return self.rows[column][-1]

    def is_idle(self, side, steps=None):
        """Return whether a network guesses in all steps but the first, in which biases settle."""
        guess = math.log(len(self.two.examples.classes))
        losses = self.losses(side)[20:steps]
        return bool((abs(losses - guess) <= IDLE).all())

    def has_learned_nothing(self, side):
        """Return whether a network, whatever its biases do, never gets better than a guess."""
        guess = math.log(len(self.two.examples.classes))
        return bool(self.losses(side).min() > guess - IDLE)

    def has_learned(self, side):
        # Not at the last step: a single batch may throw a network back.
        return bool(self.losses(side).min() < LEARNED)


@functools.cache
def run(name, attempt=None, seed=None):
    lesson = LESSONS[name]
    settings = lesson.settings if attempt is None else lesson.patched(attempt)
    if seed is not None:
        settings = dataclasses.replace(settings, seed=seed)
    return Run(settings, lesson.steps)


def first_signals(name, side):
    """Return the rms of each dense layer's output, and of the loss' gradient there."""
    settings = LESSONS[name].settings
    two = run(name).two
    x, y = two.examples.probe
    model = build(settings, getattr(settings, side), two.examples.x, len(two.examples.classes))
    import tensorflow as tf

    sums, z = [], tf.constant(x)
    with tf.GradientTape() as tape:
        for layer in model.layers[1:]:
            z = layer(z)
            if isinstance(layer, keras.layers.Dense):
                tape.watch(z)
                sums.append(z)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, z))
    gradients = tape.gradient(loss, sums)
    return tuple([float(np.sqrt(np.mean(np.square(a)))) for a in s] for s in (sums, gradients))


def test_the_lessons_are_in_the_order_of_the_course():
    assert list(LESSONS) == [
        *("zeros", "sizes", "sigmoid", "xavier", "he"),
        *("alexnet", "orthogonal", "lsuv", "ticket"),
    ]


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=list(LESSONS))
def test_a_lesson_is_short_and_names_its_paper(lesson):
    assert 200 <= lesson.steps <= 1500
    assert 1 <= len(lesson.attempts) <= 3
    for text in (lesson.question, lesson.answer, *(one.text for one in lesson.attempts)):
        assert text.count("`") % 2 == 0
        assert len(text) < 700
    assert any(str(year) in lesson.answer for year in range(1986, 2020))
    assert all(one.settings is not None for one in lesson.attempts)


def test_zeros_learn_nothing_and_a_constant_little():
    trained = run("zeros")

    assert trained.is_idle("left")
    assert abs(trained.end("left accuracy") - 0.5) < 0.05
    assert 0.59 < trained.end("right loss") < 0.65
    for kernel in trained.two.right.get_weights()[2::2]:  # rows of the first one are two inputs
        assert np.ptp(kernel, axis=0).max() < 1e-5
    first = trained.two.right.get_weights()[0]
    assert np.ptp(first, axis=1).max() < 1e-5


def test_random_values_break_the_symmetry():
    assert run("zeros", 0).has_learned("right")
    one_unit = run("zeros", 1)
    assert abs(one_unit.end("right loss") - run("zeros").end("right loss")) < 0.03
    assert run("zeros", 2).has_learned_nothing("left")


def test_small_weights_stay_and_large_ones_diverge():
    trained = run("sizes")

    assert trained.is_idle("left")
    losses = trained.losses("right")
    assert losses[0] == pytest.approx(313, abs=1)
    assert np.isfinite(losses[:4]).all()
    assert not np.isfinite(losses[4:]).any()


@nightly
def test_the_right_size_trains_as_does_he():
    trained = run("sizes", 0)
    assert trained.has_learned("left")
    assert trained.has_learned("right")
    other = run("sizes", 1)
    assert other.is_idle("left")
    assert other.losses("right")[0] > 20
    assert other.has_learned("right")
    assert run("sizes", 2).has_learned("right")


def test_sigmoids_block_what_tanh_lets_through():
    trained = run("sigmoid")

    assert trained.is_idle("left")
    assert trained.has_learned("right")
    _, left = first_signals("sigmoid", "left")
    _, right = first_signals("sigmoid", "right")
    assert 200 < left[4] / left[0] < 300
    assert 0.5 < right[4] / right[0] < 2


@nightly
def test_centred_weights_and_adam_start_a_chain_of_sigmoids():
    assert run("sigmoid", 0).end("left loss") < 0.6
    adam = run("sigmoid", 1)
    assert adam.is_idle("left", 100)
    assert adam.end("left loss") < 0.6


def test_xavier_carries_tanh_through_ten_layers():
    trained = run("xavier")

    assert trained.is_idle("left")
    assert trained.has_learned("right")
    signals, _ = first_signals("xavier", "left")
    assert signals[-2] ** 2 < 1 / 50_000
    for sizes in first_signals("xavier", "right"):
        hidden = sizes[:-1]
        assert max(hidden) / min(hidden) < 3


@nightly
def test_the_old_rule_is_slower_in_two_layers():
    shallow = run("xavier", 0)

    assert shallow.end("right loss") < shallow.end("left loss") - 0.1 < 0.5
    assert run("xavier", 1).has_learned("right")


def test_he_trains_thirty_layers_and_glorot_does_not():
    trained = run("he")

    assert trained.is_idle("left")
    assert trained.has_learned("right")
    _, left = first_signals("he", "left")
    _, right = first_signals("he", "right")
    assert right[0] > 10_000 * left[0]


@nightly
def test_glorot_trains_five_layers_and_with_adam_thirty():
    assert run("he", 0).has_learned("left")
    assert run("he", 0).has_learned("right")
    adam = run("he", 1)
    assert adam.has_learned("left")
    assert adam.losses("left")[60] > adam.losses("right")[60] + 0.1
    residual = run("he", 2)
    assert residual.losses("left")[0] > 1000
    assert residual.losses("right")[0] > 100_000


def test_alexnets_weights_vanish_in_a_narrow_network():
    trained = run("alexnet")

    assert trained.is_idle("left")
    assert trained.has_learned("right")
    signals, _ = first_signals("alexnet", "left")
    assert 1e-13 < signals[-1] < 1e-11


@nightly
def test_what_helps_alexnet_in_a_narrow_network():
    assert run("alexnet", 0).has_learned_nothing("left")
    assert run("alexnet", 1).is_idle("left")
    normalized = run("alexnet", 2)
    assert normalized.end("left loss") < 0.66
    assert normalized.losses("right").min() < normalized.losses("left").min()


@nightly
def test_orthogonal_layers_are_faster_the_deeper():
    deep, shallow = run("orthogonal"), run("orthogonal", 0)

    assert deep.end("right loss") < 0.2
    assert deep.end("right accuracy") > 0.93
    assert 0.5 < deep.end("left loss") < 0.85
    assert deep.end("left accuracy") < 0.87
    assert shallow.end("left loss") == pytest.approx(shallow.end("right loss"), rel=0.15)
    curved = run("orthogonal", 1)
    assert curved.end("right loss") < 0.6 * curved.end("left loss")


def test_lsuv_trains_what_the_default_does_not():
    trained = run("lsuv")

    assert trained.is_idle("left")
    assert trained.has_learned("right")
    left, _ = first_signals("lsuv", "left")
    right, _ = first_signals("lsuv", "right")
    assert left[0] == pytest.approx(0.5, abs=0.05)
    assert left[-1] < 2e-7
    assert 0.8 < min(right) < max(right) < 1.3


@nightly
def test_he_is_near_to_gelu_and_no_formula_to_softplus():
    assert run("lsuv", 0).has_learned("left")
    assert run("lsuv", 0, seed=1).is_idle("left")
    softplus = run("lsuv", 1)
    assert softplus.is_idle("left")
    assert softplus.has_learned("right")


def check_ticket(trained):
    test = trained.rows["left test accuracy"], trained.rows["right test accuracy"]
    assert test[0][450] > test[1][450] + 0.25
    assert test[1][450] < 0.2
    assert 0.26 < trained.end("left test loss") < 0.36
    assert 0.5 < trained.end("right test loss") < 0.8
    assert trained.end("left test accuracy") > trained.end("right test accuracy") + 0.04


def test_a_ticket_beats_new_weights():
    trained = run("ticket")

    check_ticket(trained)
    left, right = trained.two.networks
    for masks in (left.masks, right.masks):
        assert all(mask.mean() == pytest.approx(0.125, abs=0.001) for mask in masks.values())
    kernels = trained.first[0][::2]
    for kernel, mask in zip(kernels, left.masks.values(), strict=True):
        assert 2.3 < (kernel[mask] ** 2).mean() / (kernel**2).mean() < 3.3


@nightly
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_ticket_beats_new_weights_with_each_seed(seed):
    check_ticket(run("ticket", seed=seed))


@nightly
def test_with_half_of_the_weights_a_ticket_matters_less():
    gap = {}
    for attempt in (None, 0):
        trained = run("ticket", attempt)
        gap[attempt] = trained.end("right test loss") - trained.end("left test loss")
    assert 0 < gap[0] < 0.5 * gap[None]
    same = run("ticket", 1)
    assert (same.losses("left") == same.losses("right")).all()


@nightly
@pytest.mark.parametrize("name", ["sizes", "sigmoid", "xavier", "he", "alexnet", "lsuv"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_next_seeds_show_the_same(name, seed):
    trained = run(name, seed=seed)

    assert trained.is_idle("left")
    assert trained.has_learned("right") == (name != "sizes")
