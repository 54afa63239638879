"""What is promised of times and of the intervals around them."""

import gc
import math

import numpy as np
import pytest

from kerasinit._src.shrinking.timing import (
    MAX_ROUNDS,
    MIN_ROUNDS,
    median_interval,
    ratio_interval,
    timed_in_turn,
)


class Clock:
    """A clock that moves only when a function says how long it takes."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def __call__(self):
        return self.now

    def takes(self, name, *seconds):
        """Return a function that takes each of these times in turn."""

        def run():
            self.now += seconds[self.calls.count(name) % len(seconds)]
            self.calls.append(name)

        return run


@pytest.mark.parametrize("count", [6, 7, 25, 200])
def test_the_interval_covers_the_median_as_often_as_it_says(count):
    random = np.random.default_rng(1)
    # Times are skewed and have outliers.
    samples = random.lognormal(size=(4000, count)) ** 2

    covered = np.mean([one.low <= 1 <= one.high for one in map(median_interval, samples)])

    assert covered > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 4000)
    # The ranks are whole numbers, so that few values are covered too often.
    assert covered < (0.975 if count > 10 else 1)


def test_of_too_few_values_the_interval_is_unbounded():
    assert median_interval(range(5)).high == math.inf
    assert median_interval(range(6)).high == 5


def test_a_ratio_is_taken_within_each_round():
    # A machine that gets slower and slower: the times differ by a factor of 100.
    slowness = np.logspace(0, 2, 20)

    found = ratio_interval(0.5 * slowness, slowness)

    assert (found.median, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_every_function_runs_once_in_each_round():
    clock = Clock()
    runs = {name: clock.takes(name, 0.01) for name in "abc"}

    times = timed_in_turn(runs, 2.99, clock)

    rounds = len(times["a"])
    assert rounds == 100
    assert times == {name: pytest.approx([0.01] * rounds) for name in "abc"}
    in_turn = clock.calls[-3 * rounds :]
    turns = {tuple(in_turn[place : place + 3]) for place in range(0, 3 * rounds, 3)}
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    # No function always runs after the same other one.
    assert len(turns) == 6


def test_a_fast_function_runs_untimed_before():
    clock = Clock()
    fast = clock.takes("fast", 1e-4)

    times = timed_in_turn({"fast": fast}, 0.1, clock)

    # A millisecond of ten runs goes before each timed one.
    assert len(clock.calls) - 3 == pytest.approx(11 * len(times["fast"]), rel=0.1)


def test_there_are_rounds_enough_for_an_interval_even_without_time():
    clock = Clock()

    times = timed_in_turn({"slow": clock.takes("slow", 60.0)}, 0.001, clock)

    assert len(times["slow"]) == MIN_ROUNDS
    assert math.isfinite(median_interval(times["slow"]).high)


def test_rounds_end_even_if_time_does_not():
    clock = Clock()

    times = timed_in_turn({"none": clock.takes("none", 0.002)}, math.inf, clock)

    assert len(times["none"]) == MAX_ROUNDS


def test_warming_up_is_not_timed():
    clock = Clock()
    first_is_slow = clock.takes("one", 9.0, *([0.5] * 1000))

    times = timed_in_turn({"one": first_is_slow}, 1.0, clock)

    assert times["one"] == pytest.approx([0.5] * MIN_ROUNDS)


def test_the_garbage_collector_is_off_while_it_times_and_on_again_after():
    seen = []

    def fails():
        seen.append(gc.isenabled())
        if len(seen) > 5:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        timed_in_turn({"fails": fails}, 1.0)

    assert seen[-1] is False
    assert gc.isenabled()
