"""What counts as wrong: the limits are those of their theory, and each is held to its layer."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

from kerasinit._src.diagnosis.judge import judge
from kerasinit._src.diagnosis.measured import Measure, Measured
from kerasinit._src.diagnosis.signals import Signal
from kerasinit._src.theory import limits


def _row(layer, role="kernel", *, nats=0.0, units=1000, dead=0.0, **others):
    signal = Signal(
        mean=0.0,
        variance=1.0,
        square=math.exp(nats),
        least=-1.0,
        most=1.0,
        finite=True,
        units=units,
        dead=dead,
        saturated=None,
        correlation=0.5,
        rank=2.0,
    )
    kind = {"kernel": "Dense", "source": "BatchNormalization"}[role]
    options = {"activation": None, "given": None, **others}
    return Measure(layer, layer, kind, 1, (8, units), role, signal=signal, **options)


def _found(*rows, times=1):
    inputs = (_row("input").signal,)
    rows = tuple(dataclasses.replace(row, before=(place - 1,)) for place, row in enumerate(rows))
    findings = judge(Measured(inputs, rows, "none", examples=8, passes=2), times)
    return {(one.kind, one.layer) for one in findings}


def test_a_layer_of_relu_spreads_by_what_its_width_leaves_to_chance():
    squares = np.square(np.maximum(np.random.default_rng(0).normal(size=(20_000, 50)), 0))
    means = squares.mean(axis=1)

    assert limits.spread([50]) == pytest.approx(means.var() / means.mean() ** 2, rel=0.05)
    assert limits.spread([50, 100]) == pytest.approx(1.5 * limits.spread([50]))


@pytest.mark.parametrize("judgements", [1, 40])
@pytest.mark.parametrize("variance", [5.0, 30.0])
def test_a_walk_passes_its_limit_in_one_of_all_judgements_as_rarely_as_promised(
    variance, judgements
):
    # The logarithm of a product of layers drifts down by half its variance.
    walk = scipy.stats.norm(-variance / 2, math.sqrt(variance))
    limit = limits.allowed(variance, judgements)

    assert limit > limits.HARM
    assert 2 * judgements * walk.cdf(-limit) == pytest.approx(limits.FALSE_ALARM)
    assert limits.confidence(-limit, variance, judgements) == pytest.approx(1 - limits.FALSE_ALARM)
    assert limits.confidence(limit, variance, judgements) == pytest.approx(1 - limits.FALSE_ALARM)


def test_what_chance_does_is_no_harm_and_less_than_harm_is_never_told():
    assert limits.allowed(0.1, 1) == limits.allowed(0.0, 100) == limits.HARM


@pytest.mark.parametrize(("dead", "units"), [(0, 4), (1, 1), (3, 4), (20, 32)])
def test_the_chance_of_dead_units_is_that_of_so_many_heads_or_more(dead, units):
    chance = sum(math.comb(units, n) for n in range(dead, units + 1)) / 2**units

    assert limits.dead_by_chance(dead, units) == pytest.approx(chance)
    assert limits.too_many_dead(dead, units, 1) == (chance < limits.FALSE_ALARM)


def test_of_more_sets_of_weights_only_what_is_rarer_counts():
    dead = _row("dense", units=16, dead=1.0, activation="relu"), _row("head")

    # 2**-16 in one of 8 judgements, and in one of 800.
    assert _found(*dead) == {("dead-units", "dense")}
    assert _found(*dead, times=100) == set()


def test_after_a_normalization_chance_adds_up_from_nothing():
    narrow = [_row(f"dense_{number}", units=4) for number in range(20)]
    last = _row("last", nats=-8.0), _row("head", nats=-8.0)

    assert _found(*narrow, *last) == set()
    assert _found(*narrow, _row("norm", "source"), *last) == {("vanishing-activations", "last")}


@pytest.mark.parametrize(
    ("nats", "found"), [(-10.0, {("vanishing-gradients", "first")}), (10.0, set())]
)
def test_normalizations_let_gradients_grow_and_not_vanish(nats, found):
    normalizations = [_row(f"norm_{number}", "source") for number in range(30)]
    first, last = _row("first", gradient=math.exp(nats / 2)), _row("last", gradient=1.0)

    assert 30 * limits.NORMALIZED > 10
    assert _found(first, *normalizations, last, _row("head")) == found
    # Without them it may do neither.
    assert len(_found(first, last, _row("head"))) == 1


@pytest.mark.parametrize("weights", [1, 2, 16, 10_000])
def test_a_kernel_is_as_short_by_chance_as_rarely_as_promised(weights):
    square = weights / limits.shortness(weights) ** 2

    assert scipy.stats.chi2(weights).cdf(square) == pytest.approx(limits.FALSE_ALARM)


def test_a_layer_of_little_influence_that_moves_quickly_is_no_finding():
    quick, slow = 2 * 0.01, 0.5 * 0.01
    last, head = _row("last", gradient=1.0), _row("head")

    def found(nats, ratio, *between):
        first = _row("first", gradient=math.exp(nats / 2), update_ratio=ratio)
        return _found(first, *between, last, head)

    vanishing = {("vanishing-gradients", "first")}
    assert found(-10.0, quick) == set()
    assert found(-10.0, slow) == found(-10.0, None) == found(-25.0, quick) == vanishing
    # In a network of many layers one that moves does not help the others.
    assert found(-10.0, quick, *(_row(f"more_{n}", gradient=1.0) for n in range(5))) == vanishing
