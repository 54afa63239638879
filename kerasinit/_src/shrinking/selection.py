"""Which channels are removed, given their importance and what the rest may cost.

A *level* says how much is removed: the number of channels at the lower end of one ranking of all
groups, or a fraction of every group. The cost falls with the level, so that bisection finds the
lowest one that meets all targets; then a few channels are given back where this misses no target,
since the last step may have removed more than was needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kerasinit._src.shrinking.channel_groups import Group

Scope = Literal["global", "local"]

# The fractions of a group that a local choice distinguishes.
_FRACTIONS = 4096
# A measurement takes seconds, and tells no finer levels apart.
_MEASURED_LEVELS = 64
# Steps of widths may go beyond a target: below this fraction of it, so many groups are held where
# they were before, one after the other, and the others are cut in their place.
_CLOSE, _HELD = 0.95, 16


@dataclass(frozen=True, eq=False)
class Target:
    """A cost, and the max fraction of it to remain.

    Attributes:
        name: Its name.
        fraction: The max fraction of the dense model's cost to remain, in (0, 1].
        of: Returns the cost that remains, given which channels are kept.
        measured: Whether it is measured, so that evaluating it takes long.
    """

    name: str
    fraction: float
    of: Callable[[np.ndarray], float]
    measured: bool = False

    def is_met(self, kept: np.ndarray) -> bool:
        """Return whether the cost that remains is within the target."""
        return self.of(kept) <= self.fraction * (1 + 1e-9)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A group whose channels compete.

    Attributes:
        group: The group.
        scores: The importance of each of its channels.
        sizes: The numbers of channels that may remain, the smallest first.
        present: Which of its channels have not been removed before.
        ratio: The fraction to remove, if it is given; its channels then do not compete.
    """

    group: Group
    scores: np.ndarray
    sizes: np.ndarray
    present: np.ndarray
    ratio: float | None = None

    @property
    def allowed(self) -> np.ndarray:
        """The sizes of at most the present number, or else that number."""
        number = int(self.present.sum())
        allowed = self.sizes[self.sizes <= number]
        return allowed if len(allowed) else np.array([number])

    def on_the_way(self, kept: np.ndarray, ratio: float | None) -> "Candidate":
        """Return this candidate for a choice that removes nothing that ``kept`` keeps.

        Its channels are removed one by one; ``kept`` says of each channel of the model whether the
        finished model keeps it.
        """
        number = int(kept[self.group.channels].sum())
        sizes = np.arange(number, self.group.size + 1)
        return replace(self, sizes=sizes, ratio=ratio)

    def nearest(self, size: float) -> int:
        """Return the allowed size next to a size; the larger one of two."""
        allowed = self.allowed
        between = (allowed[1:] + allowed[:-1]) / 2
        return int(allowed[np.searchsorted(between, size, "right")])


class Chooser:
    """Chooses the channels that are kept."""

    def __init__(self, candidates: Sequence[Candidate], scope: Scope, number: int) -> None:
        self._candidates, self._number = candidates, number
        # The present channels of each candidate, the most important first.
        self._orders = [_descending(one) for one in candidates]
        self._ranks = _ranks(candidates, self._orders) if scope == "global" else None
        free = [one for one in candidates if one.ratio is None]
        self.levels = (
            int(sum(one.present.sum() for one in free)) if scope == "global" else _FRACTIONS
        )

    def kept(self, targets: Sequence[Target]) -> np.ndarray | None:
        """Return which channels of the model are kept to meet all targets; None if none can."""
        ordered = sorted(targets, key=lambda one: one.measured)
        coarse = any(one.measured for one in targets)

        def met(counts: Sequence[int]) -> bool:
            kept = self.mask(counts)
            return all(one.is_met(kept) for one in ordered)

        best: list[int] = []
        used, floors = -1.0, [0] * len(self._candidates)
        for _ in range(1 if coarse else _HELD + 1):
            counts, before = self._lowest(met, floors, coarse)
            if counts is None:
                break
            counts = counts if coarse else self._given_back(counts, met)
            now = max((one.of(self.mask(counts)) / one.fraction for one in targets), default=1.0)
            if now > used:
                best, used = counts, now
            steps = [place for place, one in enumerate(before) if one > counts[place]]
            if now >= _CLOSE or not steps:
                break
            # A step of a wide group went far beyond the target: the others make up for it.
            for place in steps:
                floors[place] = before[place]
        return self.mask(best) if best else None

    def _lowest(
        self, met: Callable[[Sequence[int]], bool], floors: Sequence[int], coarse: bool
    ) -> tuple[list[int] | None, list[int]]:
        """Return the counts at the lowest level that meets the targets, and those just before."""

        def counts_at(place: int) -> list[int]:
            return list(map(max, self.counts(min(place * stride, self.levels)), floors))

        stride = max(1, self.levels // _MEASURED_LEVELS) if coarse else 1
        low, high = -1, -(-self.levels // stride)
        if not met(counts_at(high)):
            return None, []
        while high - low > 1:
            middle = (low + high) // 2
            if met(counts_at(middle)):
                high = middle
            else:
                low = middle
        return counts_at(high), counts_at(max(low, 0))

    def counts(self, level: int) -> list[int]:
        """Return how many channels of each candidate are kept at a level."""
        found = []
        for place, one in enumerate(self._candidates):
            if one.ratio is not None:
                wanted = one.group.size * (1 - one.ratio)
            elif self._ranks is not None:
                ranks = self._ranks[place]
                wanted = len(ranks) - int(np.searchsorted(ranks, level))
            else:
                wanted = one.group.size * (1 - level / _FRACTIONS)
            found.append(one.nearest(wanted))
        return found

    def mask(self, counts: Sequence[int]) -> np.ndarray:
        """Return which channels of the model are kept, given how many of each candidate."""
        kept = np.ones(self._number, bool)
        for one, order, count in zip(self._candidates, self._orders, counts, strict=True):
            kept[one.group.channels] = False
            kept[one.group.channels[order[:count]]] = True
        return kept

    def _given_back(self, counts: list[int], met: Callable[[Sequence[int]], bool]) -> list[int]:
        """Return counts that still meet the targets, each at most one allowed size larger.

        The most important channels come first.
        """
        offers = []
        for place, (one, order) in enumerate(zip(self._candidates, self._orders, strict=True)):
            larger = one.allowed[one.allowed > counts[place]]
            if one.ratio is None and len(larger):
                block = order[counts[place] : larger[0]]
                offers.append((-one.scores[block].mean(), place, int(larger[0])))
        for _, place, larger in sorted(offers):
            tried = [*counts]
            tried[place] = larger
            if met(tried):
                counts = tried
        return counts


def _descending(candidate: Candidate) -> np.ndarray:
    """Return the present channels, the most important first; of equals, the first."""
    order = np.argsort(-candidate.scores, kind="stable")
    return order[candidate.present[order]]


def _ranks(candidates: Sequence[Candidate], orders: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return for each candidate the ranks of its channels among all that compete, ascending.

    Channels of the same importance in several groups leave these evenly.
    """
    free = [place for place, one in enumerate(candidates) if one.ratio is None]
    scores, places, owners = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, "int64")]
    for place in free:
        order = orders[place][::-1]
        scores.append(candidates[place].scores[order])
        places.append((np.arange(len(order)) + 0.5) / max(len(order), 1))
        owners.append(np.full(len(order), place))
    owner = np.concatenate(owners)
    order = np.lexsort((owner, np.concatenate(places), np.concatenate(scores)))
    owner = owner[order]
    return [np.flatnonzero(owner == place) for place in range(len(candidates))]
