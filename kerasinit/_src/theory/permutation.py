"""Exact permutation tests and confidence bounds for the mean of a few paired differences.

Under the null hypothesis the differences are symmetric about ``m``, so all sign flips of
``d - m`` are equally likely. Flipping a subset ``S`` does not decrease the sum if and only if
the mean of ``d`` over ``S`` is at most ``m``. So the means of all subsets are sufficient: the
fraction of them that is at most ``m`` is the p-value of "greater than m", and their order
statistics are the bounds of the confidence interval that inverts the test.

Reference:
    Hartigan, 1969, "Using subsample values as typical values", JASA 64.
"""

import math
from collections.abc import Sequence

import numpy as np

from kerasinit._src import streams

ALPHA = 0.05
"""Significance level of each one-sided test."""

POWER = 0.8
_MAX_EXACT = 16
_SAMPLED = 99_999
_MAX_NEEDED = 10_000
_UNIT = 1e-9


def fewest(alpha: float) -> int:
    """Return the min number of differences that can be significant: ``2 ** -n <= alpha``."""
    return math.ceil(-math.log2(alpha))


FEWEST = fewest(ALPHA)
"""The min number of trials that can be significant at `ALPHA`."""


class Differences:
    """Paired differences, one for each trial, rounded to 1e-9 so that ties are exact."""

    def __init__(self, values: Sequence[float]) -> None:
        array = np.asarray(values, float)
        if array.ndim != 1 or not array.size or not np.isfinite(array).all():
            raise ValueError(f"Expected finite differences, one or more; got {values!r}.")
        self.values = array
        # Integers add up exactly, so that ties are exact.
        whole = np.rint(array / _UNIT)
        if len(array) <= _MAX_EXACT:
            subsets = np.arange(1, 2 ** len(array))
            members = (subsets[:, None] >> np.arange(len(array))) & 1
        else:
            random = streams.generator(0, "permutation", len(array))
            members = random.integers(0, 2, (_SAMPLED, len(array)))
            # The empty subset has no mean; its probability is 2**-17 or less.
            members[~members.any(axis=1), 0] = 1
        self._means = np.sort(members @ whole / members.sum(axis=1)) * _UNIT

    @property
    def mean(self) -> float:
        """The mean difference."""
        return float(self.values.mean())

    @property
    def sd(self) -> float:
        """The standard deviation over trials; 0 for a single trial."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else 0.0

    def p_greater(self, threshold: float) -> float:
        """Return the p-value of "greater than the threshold"; ties count against it.

        Exact for up to 16 differences; for more, from 99,999 random subsets.
        """
        return self._p(self._means <= threshold + _UNIT / 2)

    def p_less(self, threshold: float) -> float:
        """Return the p-value of "less than the threshold"; ties count against it."""
        return self._p(self._means >= threshold - _UNIT / 2)

    def p_at_most(self, threshold: float) -> float:
        """Return the p-value of "not greater than the threshold"; ties count for it."""
        return self._p(self._means > threshold + _UNIT / 2)

    def p_at_least(self, threshold: float) -> float:
        """Return the p-value of "not less than the threshold"; ties count for it."""
        return self._p(self._means < threshold - _UNIT / 2)

    def _p(self, as_extreme: np.ndarray) -> float:
        # The empty subset, which flips no sign, always counts.
        return (1 + int(np.count_nonzero(as_extreme))) / (1 + len(self._means))

    def bounds(self) -> tuple[float, float]:
        """Return one-sided confidence bounds, each at ``1 - ALPHA``: a 90 % interval.

        They are infinite if there are fewer than `FEWEST` differences.
        """
        # p > ALPHA needs at least this many subsets on the other side.
        rank = math.floor(ALPHA * (1 + len(self._means)))
        if not rank:
            return -math.inf, math.inf
        # Removes the rounding error of the multiplication by _UNIT.
        low, high = self._means[rank - 1], self._means[-rank]
        return round(float(low), 12), round(float(high), 12)

    def needed(self, threshold: float, alpha: float = ALPHA) -> int | None:
        """Return how many trials a one-sided test needs to be significant with power `POWER`.

        This assumes the same mean and standard deviation. It is the power of the t test, at the
        levels that the exact test can attain::

            P(t > c) = Phi((sqrt(n) effect / sd - c) / sqrt(1 + c**2 / (2 (n - 1))))

        The result exceeds the current number of trials. It is None if 10,000 are not enough,
        such as for a mean at the threshold.
        """
        from scipy import special  # not scipy.stats, which takes long to import

        least = max(fewest(alpha), len(self.values) + 1)
        effect = abs(self.mean - threshold)
        if effect <= _UNIT:
            return None
        if self.sd <= _UNIT:
            return least
        n = np.arange(least, _MAX_NEEDED + 1)
        steps = np.exp2(np.minimum(n, 50))
        level = np.floor(alpha * steps) / steps
        critical = special.stdtrit(n - 1, 1 - level)
        # A normal approximation of the noncentral t distribution, slightly conservative.
        shift = effect / self.sd * np.sqrt(n)
        power = special.ndtr((shift - critical) / np.sqrt(1 + critical**2 / (2 * (n - 1))))
        enough = np.flatnonzero(power >= POWER)
        return int(n[enough[0]]) if enough.size else None
