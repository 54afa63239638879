"""The result of a comparison of initializers."""

import functools
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kerasinit._src.comparison.winner import ALPHA, Verdict, verdict
from kerasinit._src.reports import base

if TYPE_CHECKING:
    from rich.table import Table


FEWEST = next(n for n in range(1, 10) if 1 / math.comb(2 * n, n) <= 0.05)
"""With fewer seeds no choice is called lost: see `comparison.racing`."""

_LISTED = 4


@dataclass(frozen=True)
class Point:
    """The losses after a step.

    Attributes:
        step: The number of optimizer steps taken; 0 before the first.
        loss: The loss of the held-out examples.
        training_loss: The mean loss of the batches since the previous point; None at step 0.

    Example:
        See `kerasinit.compare`.
    """

    step: int
    loss: float
    training_loss: float | None = None


@dataclass(frozen=True)
class Training:
    """One training of one choice.

    Attributes:
        trial: The index of its seed, from 0. Choices with the same seed have the same batches.
        points: Its measurements in order of steps, from step 0, up to the first loss that was not
            finite.

    Example:
        See `kerasinit.compare`.
    """

    trial: int
    points: tuple[Point, ...]

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return self.points[-1].step

    @property
    def broke(self) -> bool:
        """Whether a loss was not finite, which ended the training."""
        last = self.points[-1]
        return not (math.isfinite(last.loss) and math.isfinite(last.training_loss or 0.0))

    @property
    def diverged(self) -> bool:
        """Whether the network ended up worse than it started.

        This is the case if a loss was not finite, or if the mean loss of the last batches exceeds
        the loss at step 0 by more than its absolute value: for positive losses, if it doubled. The
        batches count, since the loss of held-out examples also grows by overfitting; and the last
        ones, since a network may recover from a jump.
        """
        first, last = self.points[0], self.points[-1]
        if self.broke:
            return True
        return last.training_loss is not None and (
            last.training_loss - first.loss > abs(first.loss)
        )

    def best_by(self, step: float) -> float:
        """Return the lowest held-out loss up to a step; infinite once a loss is not finite.

        Args:
            step: The last step that counts.
        """
        if self.broke and step >= self.steps:
            return math.inf
        return min(point.loss for point in self.points if point.step <= step)

    @property
    def best(self) -> float:
        """The lowest held-out loss; infinite if the training diverged."""
        return math.inf if self.diverged else self.best_by(self.steps)

    def steps_to(self, target: float) -> int | None:
        """Return the first measured step with a held-out loss of at most the target.

        Args:
            target: The held-out loss.

        Returns:
            The step, or None if no measured loss is that low.
        """
        return next((point.step for point in self.points if point.loss <= target), None)


@dataclass(frozen=True)
class Band:
    """The held-out losses of all seeds after a step; infinite where they were not finite.

    Attributes:
        step: The step.
        median: The median of the losses.
        least: The min.
        most: The max.

    Example:
        See `kerasinit.compare`.
    """

    step: int
    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Stop:
    """Why a choice was stopped early.

    Attributes:
        step: The step after which it was stopped.
        kind: ``"lost"`` or ``"diverged"``.
        why: The evidence, in a sentence.

    Example:
        See `kerasinit.compare`.
    """

    step: int
    kind: str
    why: str


@dataclass(frozen=True)
class Choice:
    """One of the compared initializers.

    Attributes:
        name: The name under which it was given.
        trainings: One for each seed.
        stop: Why it was stopped early; None if it was not.
        kept: The names of the variables that keep their values from ``build``; empty for
            ``"own"``, which keeps all.

    Example:
        See `kerasinit.compare`.
    """

    name: str
    trainings: tuple[Training, ...]
    stop: Stop | None = None
    kept: tuple[str, ...] = ()

    def bands(self) -> tuple[Band, ...]:
        """Return median and range of the held-out loss over the seeds, for each step."""
        longest = max((training.points for training in self.trainings), key=len)
        bands = []
        for place, point in enumerate(longest):
            losses = [
                training.points[place].loss if place < len(training.points) else math.inf
                for training in self.trainings
            ]
            bands.append(_band(point.step, losses))
        return tuple(bands)

    @property
    def start(self) -> Band:
        """The losses before the first step."""
        return self.bands()[0]

    @property
    def best(self) -> Band:
        """Median and range of the lowest loss of each seed; infinite for those that diverged.

        ``step`` is the number of steps taken.
        """
        return _band(self.steps, [training.best for training in self.trainings])

    @property
    def steps(self) -> int:
        """The number of steps of its longest training."""
        return max(training.steps for training in self.trainings)

    @property
    def diverged(self) -> float:
        """The fraction of seeds that diverged, between 0 and 1."""
        return sum(one.diverged for one in self.trainings) / len(self.trainings)

    def reached(self, target: float) -> int:
        """Return how many seeds reached a loss.

        Args:
            target: The held-out loss.
        """
        return sum(one.steps_to(target) is not None for one in self.trainings)

    def steps_to(self, target: float) -> float | None:
        """Return the median over the seeds of the steps to a loss.

        Seeds that did not reach it count as infinite; None if the median is infinite.

        Args:
            target: The held-out loss.
        """
        steps = [training.steps_to(target) for training in self.trainings]
        median = statistics.median(math.inf if step is None else step for step in steps)
        return median if math.isfinite(median) else None


@dataclass(frozen=True)
class Setting:
    """The settings that all choices share.

    Attributes:
        model: The name of the model.
        data: The name of the data.
        held_out: The number of examples the loss was measured on.
        steps: The max number of steps of each training.
        seeds: The number of trainings of each choice.
        seed: The seed that all random streams are derived from.
        batch_size: Examples per step.
        evaluate_every: Steps between two measurements.
        stopping: Whether choices that are clearly lost were stopped.

    Example:
        See `kerasinit.compare`.
    """

    model: str
    data: str
    held_out: int
    steps: int
    seeds: int
    seed: int
    batch_size: int
    evaluate_every: int
    stopping: bool


@dataclass(frozen=True)
class Comparison(base.PageReport):
    """The result of `kerasinit.compare`.

    Attributes:
        setting: The settings that all choices share.
        choices: The choices, in the order given.
        wanted: The ``target`` that was given; None if it was not.

    Example:
        See `kerasinit.compare`.
    """

    setting: Setting
    choices: tuple[Choice, ...]
    wanted: float | None = None

    def __getitem__(self, name: str) -> Choice:
        """Return the choice of this name."""
        return base.row_named(self.choices, name, "choice")

    @property
    def leader(self) -> Choice | None:
        """The choice with the lowest median of best losses, the first in a tie.

        None if more than half of the seeds of each choice diverged. The leader is not necessarily
        the best: see `verdict`.
        """
        first = min(self.choices, key=lambda choice: choice.best.median)
        return first if math.isfinite(first.best.median) else None

    @functools.cached_property
    def verdict(self) -> Verdict:
        """What the seeds show about the leader."""
        losses = {choice.name: [one.best for one in choice.trainings] for choice in self.choices}
        return verdict(losses, None if self.leader is None else self.leader.name)

    @property
    def best(self) -> Choice | None:
        """The choice that was shown to be better than every other; None if none was."""
        return None if self.verdict.best is None else self[self.verdict.best]

    @property
    def target(self) -> float | None:
        """The target loss.

        Unless it was given, the loss that the median seed of the leader reached after half of the
        steps; None without a leader.
        """
        if self.wanted is not None or self.leader is None:
            return self.wanted
        half = self.setting.steps / 2
        return statistics.median(one.best_by(half) for one in self.leader.trainings)

    @property
    def saved(self) -> float:
        """The fraction of all steps that early stops saved, between 0 and 1."""
        taken = sum(one.steps for choice in self.choices for one in choice.trainings)
        return 1 - taken / (self.setting.steps * self.setting.seeds * len(self.choices))

    def said(self) -> tuple[str, ...]:
        """Return the verdict and the remarks on the table, as sentences."""
        stops = [
            f"{choice.name} was stopped at step {choice.stop.step} ({choice.stop.kind}): "
            f"{choice.stop.why}"
            for choice in self.choices
            if choice.stop
        ]
        lines = [*self.verdict.said(), *(stops or [self._why_none()])]
        if self.saved:
            lines.append(f"{self.saved:.0%} of the steps were saved.")
        return (*lines, *self._kept())

    def _kept(self) -> list[str]:
        """Return the variables that choices keep as built, one sentence for each such set."""
        alike: dict[tuple[str, ...], list[str]] = {}
        for choice in self.choices:
            if choice.kept:
                alike.setdefault(choice.kept, []).append(choice.name)
        lines = []
        for kept, names in alike.items():
            more = f" and {len(kept) - _LISTED} more" if len(kept) > _LISTED else ""
            who = f"{names[0]} leaves" if len(names) == 1 else f"{', '.join(names)} leave"
            lines.append(f"{who} as built: {', '.join(kept[:_LISTED])}{more}.")
        return lines

    def _why_none(self) -> str:
        if not self.setting.stopping:
            return "Early stopping was off."
        if self.setting.seeds < FEWEST:
            return f"With fewer than {FEWEST} seeds no choice is called lost."
        return "No choice was clearly lost: all were trained to the end."

    def table(self) -> "Table":
        """Return a rich table, one line per choice; a star marks the best, if there is one."""
        return base.table(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary."""
        found, target = self.verdict, self.target
        return {
            "setting": vars(self.setting),
            "best": found.best,
            "leader": found.leader,
            "p": found.p,
            "level": ALPHA,
            "seeds_needed": found.seeds_needed,
            "rivals": [vars(one) | {"seeds_needed": one.seeds_needed} for one in found.rivals],
            "said": self.said(),
            "target": target,
            "saved": self.saved,
            "choices": [_row(choice, target) for choice in self.choices],
        }


def _row(choice: Choice, target: float | None) -> dict[str, Any]:
    return {
        "name": choice.name,
        "stop": None if choice.stop is None else vars(choice.stop),
        "kept": choice.kept,
        "steps": choice.steps,
        "start": vars(choice.start),
        "best": vars(choice.best),
        "steps_to_target": None if target is None else choice.steps_to(target),
        "reached_target": None if target is None else choice.reached(target),
        "diverged": choice.diverged,
        "bands": [vars(band) for band in choice.bands()],
        "trainings": [
            {"trial": one.trial, "diverged": one.diverged, "points": [*map(vars, one.points)]}
            for one in choice.trainings
        ],
    }


def _band(step: int, losses: list[float]) -> Band:
    losses = [loss if math.isfinite(loss) else math.inf for loss in losses]
    return Band(step, statistics.median(losses), min(losses), max(losses))
