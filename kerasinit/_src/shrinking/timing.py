"""Times of several functions in turn, and intervals that assume nothing about how they spread.

A machine is not equally fast at all times. All functions run once in each round, so that what slows
one round slows them all, and ratios are taken within a round. The order within a round is random,
and a fast function runs untimed for a millisecond just before: it finds its caches filled and its
threads awake, and those of the function before it have gone to sleep.
"""

import gc
import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy import stats

from kerasinit._src import streams

_Key = TypeVar("_Key", bound=Hashable)

MIN_ROUNDS = 10
MAX_ROUNDS = 2000
LEVEL = 0.95
_WARM_UPS = 3
_UNTIMED = 1e-3  # seconds; what takes longer than that needs no warming up in each round


@dataclass(frozen=True)
class Interval:
    """A median and its interval.

    Attributes:
        median: The median.
        low: The lower end of its 95 % interval.
        high: The upper end.
    """

    median: float
    low: float
    high: float


def median_interval(values: Iterable[float]) -> Interval:
    """Return the median of independent values with an interval that holds for any distribution.

    The number of values below the true median has a binomial distribution, so the interval from
    the k-th smallest to the k-th largest covers it with a probability that depends on k alone. The
    smallest interval of at least 95 % is returned; of fewer than 6 values not even the whole range
    has as much, and the ends are infinite.

    Example:
    >>> median_interval(range(1, 11))
    Interval(median=5.5, low=2.0, high=9.0)

    Reference:
        Hahn and Meeker, 1991, "Statistical intervals", section 5.2.
    """
    ordered = np.sort(np.asarray([*values], np.float64))
    # The largest k with P(Binomial(n, 1/2) < k) of at most half of what may be missed.
    missed = (1 - LEVEL) / 2
    k = int(stats.binom.ppf(missed, len(ordered), 0.5))
    if stats.binom.cdf(k, len(ordered), 0.5) <= missed:
        k += 1
    median = float(np.median(ordered))
    if k < 1:
        return Interval(median, -math.inf, math.inf)
    return Interval(median, float(ordered[k - 1]), float(ordered[-k]))


def ratio_interval(times: Sequence[float], reference: Sequence[float]) -> Interval:
    """Return the median of the ratios within each round, with its interval.

    Example:
    >>> ratio_interval([1.0, 2.0, 3.0] * 4, [2.0, 4.0, 6.0] * 4)
    Interval(median=0.5, low=0.5, high=0.5)

    Reference:
        Kalibera and Jones, 2013, "Rigorous benchmarking in reasonable time".
    """
    return median_interval(np.asarray(times) / np.asarray(reference))


def timed_in_turn(
    functions: Mapping[_Key, Callable[[], Any]],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    min_rounds: int = MIN_ROUNDS,
) -> dict[_Key, list[float]]:
    """Return the times of functions in seconds, one for each round.

    Rounds go on until the time is over, but there are at least ``min_rounds`` and at most
    `MAX_ROUNDS` of them. The garbage collector is off meanwhile.
    """
    slow = {key for key, run in functions.items() if _warm_up(run, clock) > _UNTIMED}
    times: dict[_Key, list[float]] = {key: [] for key in functions}
    keys = list(functions)
    random = streams.generator(0, "order of timing")
    collects = gc.isenabled()
    gc.disable()
    try:
        end, rounds = clock() + seconds, 0
        while functions and rounds < MAX_ROUNDS and (rounds < min_rounds or clock() < end):
            for index in random.permutation(len(keys)):
                key, run = keys[index], functions[keys[index]]
                start = clock()
                while key not in slow and clock() - start < _UNTIMED:
                    run()
                start = clock()
                run()
                times[key].append(clock() - start)
            rounds += 1
    finally:
        if collects:
            gc.enable()
    return times


def _warm_up(run: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Run a function a few times, and return how long the last run took."""
    start = clock()
    for _ in range(_WARM_UPS):
        start = clock()
        run()
    return clock() - start
