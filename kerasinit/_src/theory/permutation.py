"""Exact tests and confidence bounds for the mean of a few paired differences.

Under the null hypothesis that differences are symmetric about ``m``, each is as likely to
lie as far on the other side. Flipping the signs of a subset ``S`` of ``d - m`` makes their
sum at least as large as it was exactly if the mean of ``d`` over ``S`` is at most ``m``. So
the means of all subsets say everything: how many of them are at most ``m`` is the p-value of
"greater than m", and their order statistics are the bounds of the confidence interval that
inverts the test.

Reference:
    Hartigan, 1969, "Using subsample values as typical values", JASA 64.
"""

import math
from collections.abc import Sequence

import numpy as np

from kerasinit._src import streams

ALPHA = 0.05
"""The level of every one-sided test."""

POWER = 0.8
_EXACT_UP_TO = 16
_DRAWN = 99_999
_MOST_NEEDED = 10_000
_UNIT = 1e-9


def fewest(alpha: float) -> int:
    """Return how many differences a one-sided test needs to be able to reach a level.

    With n of them the least p-value is ``2 ** -n``.
    """
    return math.ceil(-math.log2(alpha))


FEWEST = fewest(ALPHA)
"""Fewer trials cannot reach `ALPHA`."""


class Differences:
    """Paired differences, one of each trial.

    Args:
        values: The differences. They are rounded to 1e-9, so that equal ones are equal.

    Raises:
        ValueError: If there is none, or one is not finite.

    Example:
    >>> better = Differences([0.4, 0.2, 0.3, 0.5, 0.1])
    >>> better.p_greater(0), better.p_less(0)
    (0.03125, 1.0)
    >>> better.bounds()
    (0.1, 0.5)
    """

    def __init__(self, values: Sequence[float]) -> None:
        array = np.asarray(values, float)
        if array.ndim != 1 or not array.size or not np.isfinite(array).all():
            raise ValueError(f"Expected finite differences, one or more; got {values!r}.")
        self.values = array
        # Whole numbers add up exactly, so that ties are ties.
        whole = np.rint(array / _UNIT)
        if len(array) <= _EXACT_UP_TO:
            subsets = np.arange(1, 2 ** len(array))
            members = (subsets[:, None] >> np.arange(len(array))) & 1
        else:
            random = streams.generator(0, "permutation", len(array))
            members = random.integers(0, 2, (_DRAWN, len(array)))
            # The empty subset has no mean; it comes once in 2**17 draws or less.
            members[~members.any(axis=1), 0] = 1
        self._means = np.sort(members @ whole / members.sum(axis=1)) * _UNIT

    @property
    def mean(self) -> float:
        """The mean difference."""
        return float(self.values.mean())

    @property
    def sd(self) -> float:
        """The standard deviation over the trials; 0 for one trial."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else 0.0

    def p_greater(self, threshold: float) -> float:
        """Return the p-value of "greater than the threshold"; a tie speaks against it.

        Exact for up to 16 differences; for more, from 99,999 drawn subsets.
        """
        return self._p(self._means <= threshold + _UNIT / 2)

    def p_less(self, threshold: float) -> float:
        """Return the p-value of "less than the threshold"; a tie speaks against it."""
        return self._p(self._means >= threshold - _UNIT / 2)

    def p_at_most(self, threshold: float) -> float:
        """Return the p-value of "not greater than the threshold"; a tie speaks for it."""
        return self._p(self._means > threshold + _UNIT / 2)

    def p_at_least(self, threshold: float) -> float:
        """Return the p-value of "not less than the threshold"; a tie speaks for it."""
        return self._p(self._means < threshold - _UNIT / 2)

    def _p(self, as_extreme: np.ndarray) -> float:
        # The empty subset, that is the differences as they are, always counts.
        return (1 + int(np.count_nonzero(as_extreme))) / (1 + len(self._means))

    def bounds(self) -> tuple[float, float]:
        """Return the one-sided confidence bounds, each at ``1 - ALPHA``: a 90 % interval.

        They are infinite where there are fewer than `FEWEST` differences.
        """
        # p > ALPHA needs at least this many subsets on the other side.
        rank = math.floor(ALPHA * (1 + len(self._means)))
        if not rank:
            return -math.inf, math.inf
        # Rounded, as a mean of whole units is one up to the rounding of their product.
        low, high = self._means[rank - 1], self._means[-rank]
        return round(float(low), 12), round(float(high), 12)

    def needed(self, threshold: float, alpha: float = ALPHA) -> int | None:
        """Return how many trials would tell the mean from the threshold, at a level.

        If the mean and the standard deviation stay as they are, a one-sided test reaches its
        level with a probability of `POWER`. That is the power of the t test, at the levels
        that the exact test can attain::

            P(t > c) = Phi((sqrt(n) effect / sd - c) / sqrt(1 + c**2 / (2 (n - 1))))

        Returns:
            At least `fewest` of the level and more than there are; None where no number up to
            10,000 is enough, as where the mean lies at the threshold.
        """
        # Imported when it is needed: it takes long.
        import scipy.stats

        least = max(fewest(alpha), len(self.values) + 1)
        effect = abs(self.mean - threshold)
        if effect <= _UNIT:
            return None
        if self.sd <= _UNIT:
            return least
        n = np.arange(least, _MOST_NEEDED + 1)
        steps = np.exp2(np.minimum(n, 50))
        level = np.floor(alpha * steps) / steps
        critical = scipy.stats.t.ppf(1 - level, n - 1)
        # A normal approximation of the noncentral t, a little on the safe side.
        shift = effect / self.sd * np.sqrt(n)
        power = scipy.stats.norm.cdf((shift - critical) / np.sqrt(1 + critical**2 / (2 * (n - 1))))
        enough = np.flatnonzero(power >= POWER)
        return int(n[enough[0]]) if enough.size else None
