"""Whether the seeds show that the leading choice is the best.

Choices with the same seed share batches and all other random draws, so they are compared in pairs,
by the lowest held-out loss of each. A training that diverged is worse than any that did not: it
gets the largest rank instead of being left out, and two that diverged are equal. The test is the
exact sign-flip test of `theory.permutation` on signed ranks (Wilcoxon's signed-rank test), so that
neither the scale of the losses nor a single outlier decides.

The best is better than every other choice, so the largest p-value counts, and no correction for
their number is needed (intersection-union). But the same losses also select the leader; two-sided
tests are enough to correct for that, for any number of choices: a false best is most frequent if
two choices are equally good and all others far behind, and then each of the two is called best at
half the level. For six seeds this is easy to see: a choice is called the best only if it is ahead
of all others in each of them. If it is not the best, or not alone, it is ahead of some other with
a probability of at most 1/2, so it leads a seed with a probability ``p_i`` of at most 1/2; and with
``p_i`` that add up to 1, ``sum(p_i ** 6)`` is at most ``2 / 2 ** 6 = 0.031``. For more seeds the
papers below prove it for families of distributions, and tests/comparison/test_verdict.py simulates
it for these ranks, with equal and unequal spread, choices far behind and seeds that diverge: 0.05
at most.

Reference:
    Berger, 1982, "Multiparameter hypothesis testing and acceptance sampling" (intersection-union);
    Gutmann and Maymin, 1987, "Is the selected population the best?"; Hung and Fithian, 2019, "Rank
    verification for exponential families" (two-sided tests of the first against each of the
    others need no further correction); Wilcoxon, 1945, "Individual comparisons by ranking
    methods"; Pratt, 1959, "Remarks on zeros and ties in the Wilcoxon signed rank procedures".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasinit._src.theory.permutation import POWER, Differences, fewest

ALPHA = 0.05
"""The level of the two-sided tests by which a choice is called the best."""

FEWEST = fewest(ALPHA / 2)
"""With fewer seeds no choice can be shown to be the best."""

_SHOWN = 3


@dataclass(frozen=True)
class Rival:
    """The comparison of the leading choice with another one.

    Attributes:
        name: The other choice's name.
        ahead: In how many seeds the leader had the lower loss.
        behind: In how many seeds the other one had it; in the rest they are equal.
        p: The two-sided p-value of the leader being better; 1 if the ranks favor the other.
        ranks: How far ahead the leader was, as signed ranks, by seed.

    Example:
        See `kerasinit.compare`.
    """

    name: str
    ahead: int
    behind: int
    p: float
    ranks: tuple[float, ...]

    @property
    def beaten(self) -> bool:
        """Whether the leader is shown to be better."""
        return self.p <= ALPHA

    @property
    def seeds_needed(self) -> int | None:
        """How many seeds that differ as these do would settle it, with a power of 0.8.

        None if it is settled, or if no number up to 10,000 would be enough.
        """
        return None if self.beaten else Differences(self.ranks).needed(0, alpha=ALPHA / 2)


@dataclass(frozen=True)
class Verdict:
    """What the seeds show about the leading choice.

    Attributes:
        leader: The name of the leading choice; None if no choice trains.
        rivals: The comparisons with each of the others.
        seeds: The number of seeds.

    Example:
        See `kerasinit.compare`.
    """

    leader: str | None
    rivals: tuple[Rival, ...]
    seeds: int

    @property
    def best(self) -> str | None:
        """The leader, if it is shown to be better than each of the others."""
        return self.leader if self.rivals and all(one.beaten for one in self.rivals) else None

    @property
    def p(self) -> float | None:
        """The largest p-value, which decides; None without a leader or a rival."""
        return max((one.p for one in self.rivals), default=None)

    @property
    def seeds_needed(self) -> int | None:
        """How many seeds would settle it; None if it is settled, or no number is known."""
        needed = [one.seeds_needed for one in self.rivals if not one.beaten]
        known = [number for number in needed if number is not None]
        return max(known, default=None) if len(known) == len(needed) else None

    def said(self) -> tuple[str, ...]:
        """Return the verdict as sentences."""
        if self.leader is None:
            return ("No choice trains.",)
        if not self.rivals:
            return (f"{self.leader} is the only choice: there is nothing to compare it with.",)
        if self.best is not None:
            alone = len(self.rivals) == 1
            others = f"{self.rivals[0].name}'s" if alone else "that of each of the others"
            return (
                f"Best: {self.best}. Its loss is lower than {others} (p = {self.p:.2g}"
                f"{'' if alone else ' or less'}; {self.seeds} seeds, exact signed-rank tests).",
            )
        return (self._open(), self._enough())

    def _open(self) -> str:
        hardest = sorted((one for one in self.rivals if not one.beaten), key=lambda one: -one.p)
        shown = [
            f"{one.name} (ahead in {one.ahead} of {_seeds(self.seeds)}, p = {one.p:.2g})"
            for one in hardest[:_SHOWN]
        ]
        if len(hardest) > _SHOWN:
            shown.append(f"{len(hardest) - _SHOWN} more")
        listed = f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
        return f"No clear best: {self.leader} leads, but not clearly over {listed}."

    def _enough(self) -> str:
        minimum = f"At least {FEWEST} seeds are needed to show that a choice is the best"
        if self.seeds == 1:
            return f"{minimum}; one seed gives no estimate of how many."
        needed = self.seeds_needed
        enough = "No number of seeds up to 10,000" if needed is None else f"About {needed} seeds"
        estimate = (
            f"{enough} would settle it if others differ as these {self.seeds} do (power {POWER:g})."
        )
        return f"{minimum}. {estimate}" if self.seeds < FEWEST else estimate


def verdict(best: Mapping[str, Sequence[float]], leader: str | None) -> Verdict:
    """Return the verdict on the leader, if any, from the lowest loss of each seed by choice.

    Losses of all choices are in the same order of seeds, infinite for seeds that diverged.
    """
    seeds = max(map(len, best.values()))
    if leader is None:
        return Verdict(None, (), seeds)
    rivals = tuple(
        _rival(name, _signed_ranks(best[leader], losses))
        for name, losses in best.items()
        if name != leader
    )
    return Verdict(leader, rivals, seeds)


def _rival(name: str, ranks: Sequence[float]) -> Rival:
    p = min(1.0, 2 * Differences(ranks).p_greater(0))
    ahead, behind = sum(rank > 0 for rank in ranks), sum(rank < 0 for rank in ranks)
    return Rival(name, ahead, behind, p, tuple(ranks))


def _signed_ranks(leading: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return the ranks of how far the leader is ahead, by seed; negative where it is behind.

    Example:
    >>> inf = float("inf")
    >>> _signed_ranks([1, 2, inf, 4, inf], [3, 1, 5, inf, inf])
    [3.0, -2.0, -4.5, 4.5, 0.0]
    """
    # Imported here, since it is slow and `import kerasinit` imports this module.
    from scipy.stats import rankdata

    pairs = zip(leading, other, strict=True)
    ahead = [0.0 if one == another else another - one for one, another in pairs]
    return (np.sign(ahead) * rankdata(np.abs(ahead))).tolist()


def _seeds(number: int) -> str:
    return f"{number} {'seed' if number == 1 else 'seeds'}"
