"""What a comparison of initializers found."""

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
"""With fewer seeds no choice can be told to be lost, see `comparison.racing`."""

_NAMED = 4


@dataclass(frozen=True)
class Point:
    """What was measured after a step.

    Attributes:
        step: How many optimizer steps were taken; 0 before the first.
        loss: The loss of the held-out examples.
        training_loss: The mean loss of the batches since the point before; None at step 0.
    """

    step: int
    loss: float
    training_loss: float | None = None


@dataclass(frozen=True)
class Training:
    """One training of one choice.

    Attributes:
        trial: Which seed it had, from 0; the same number of another choice has the same
            batches.
        points: Its measurements, in the order of steps, from step 0 on. If a loss was not
            finite, that is the last one.
    """

    trial: int
    points: tuple[Point, ...]

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self.points[-1].step

    @property
    def broke(self) -> bool:
        """Whether a loss was not finite, which ended it."""
        last = self.points[-1]
        return not (math.isfinite(last.loss) and math.isfinite(last.training_loss or 0.0))

    @property
    def diverged(self) -> bool:
        """Whether it came out worse than it went in.

        It did if a loss was not finite, or if the mean loss of the last batches exceeds the
        loss at step 0 by more than the size of that: for a loss above zero, if it has
        doubled. The batches are asked, not the held-out examples, whose loss also grows
        where a network overfits; and the last ones, as a network may recover from a jump.
        """
        first, last = self.points[0], self.points[-1]
        if self.broke:
            return True
        return last.training_loss is not None and (
            last.training_loss - first.loss > abs(first.loss)
        )

    def best_by(self, step: float) -> float:
        """Return the least held-out loss up to a step; infinite from where it broke on."""
        if self.broke and step >= self.steps:
            return math.inf
        return min(point.loss for point in self.points if point.step <= step)

    @property
    def best(self) -> float:
        """The least held-out loss; infinite if it diverged."""
        return math.inf if self.diverged else self.best_by(self.steps)

    def steps_to(self, target: float) -> int | None:
        """Return the first measured step with a held-out loss of at most the target, if any."""
        return next((point.step for point in self.points if point.loss <= target), None)


@dataclass(frozen=True)
class Band:
    """The held-out losses of all seeds after a step; infinite for those that broke.

    Attributes:
        step: The step.
        median: Their median.
        least: The smallest.
        most: The largest.
    """

    step: int
    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Stop:
    """Why a choice was not trained to the end.

    Attributes:
        step: After which step.
        kind: ``"lost"`` or ``"diverged"``.
        why: The evidence, in a sentence.
    """

    step: int
    kind: str
    why: str


@dataclass(frozen=True)
class Choice:
    """One of the initializers that were compared.

    Attributes:
        name: Its name.
        trainings: One for each seed.
        stop: Why it was stopped; None if it was trained to the end.
        kept: The names of the variables that it leaves as ``build`` made them; none of `"own"`,
            which is to leave all.
    """

    name: str
    trainings: tuple[Training, ...]
    stop: Stop | None = None
    kept: tuple[str, ...] = ()

    def bands(self) -> tuple[Band, ...]:
        """Return median and range of the held-out loss over the seeds, step by step."""
        steps = max((one.points for one in self.trainings), key=len)
        found = []
        for place, point in enumerate(steps):
            losses = [
                _or_infinite(one.points[place].loss) if place < len(one.points) else math.inf
                for one in self.trainings
            ]
            found.append(Band(point.step, statistics.median(losses), min(losses), max(losses)))
        return tuple(found)

    @property
    def start(self) -> Band:
        """The losses before the first step."""
        return self.bands()[0]

    @property
    def best(self) -> Band:
        """Median and range of the least loss of each seed; infinite for those that diverged.

        ``step`` is how many steps were taken.
        """
        losses = [one.best for one in self.trainings]
        return Band(self.steps, statistics.median(losses), min(losses), max(losses))

    @property
    def steps(self) -> int:
        """How many steps its longest training took."""
        return max(one.steps for one in self.trainings)

    @property
    def diverged(self) -> float:
        """The share of seeds that diverged, between 0 and 1."""
        return sum(one.diverged for one in self.trainings) / len(self.trainings)

    def reached(self, target: float) -> int:
        """Return how many seeds reached a loss."""
        return sum(one.steps_to(target) is not None for one in self.trainings)

    def steps_to(self, target: float) -> float | None:
        """Return the median over the seeds of the steps to a loss.

        A seed that did not reach it counts as infinitely late; None if that makes the median
        infinite.
        """
        found = [one.steps_to(target) for one in self.trainings]
        median = statistics.median(math.inf if step is None else step for step in found)
        return median if math.isfinite(median) else None


@dataclass(frozen=True)
class Setting:
    """What was the same for all choices.

    Attributes:
        model: What the model is called.
        data: What the data are called.
        held_out: How many examples the loss was measured on.
        steps: How many steps each training may take.
        seeds: How many trainings each choice has.
        seed: The origin of every random number.
        batch_size: Examples in a step.
        evaluate_every: Steps between two measurements.
        stopping: Whether choices that are clearly lost were stopped.
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
    """What `kerasinit.compare` found.

    Attributes:
        setting: What was the same for all.
        choices: The choices, in the order in which they were given.
        wanted: The target loss that was asked for; None if none was.
    """

    setting: Setting
    choices: tuple[Choice, ...]
    wanted: float | None = None

    def __getitem__(self, name: str) -> Choice:
        """Return the choice of this name."""
        return base.row_named(self.choices, name, "choice")

    @property
    def leader(self) -> Choice | None:
        """The choice with the lowest median of best losses; None if over half diverged in all.

        Of equals the first. It need not be the best: see `verdict`.
        """
        first = min(self.choices, key=lambda choice: choice.best.median)
        return first if math.isfinite(first.best.median) else None

    @functools.cached_property
    def verdict(self) -> Verdict:
        """What the seeds show of the leader: a `comparison.winner.Verdict`."""
        losses = {choice.name: [one.best for one in choice.trainings] for choice in self.choices}
        return verdict(losses, None if self.leader is None else self.leader.name)

    @property
    def best(self) -> Choice | None:
        """The choice that is shown to be better than every other; None if none is."""
        return None if self.verdict.best is None else self[self.verdict.best]

    @property
    def target(self) -> float | None:
        """The target loss.

        If none was asked for, what the median seed of the leader had reached after half of the
        steps; None without a leader.
        """
        if self.wanted is not None or self.leader is None:
            return self.wanted
        half = self.setting.steps / 2
        return statistics.median(one.best_by(half) for one in self.leader.trainings)

    @property
    def saved(self) -> float:
        """The share of all steps that was not taken, between 0 and 1."""
        taken = sum(one.steps for choice in self.choices for one in choice.trainings)
        return 1 - taken / (self.setting.steps * self.setting.seeds * len(self.choices))

    def said(self) -> tuple[str, ...]:
        """Return what there is to say beside the table, in sentences."""
        lines = list(self.verdict.said())
        lines += [
            f"{choice.name} was stopped at step {choice.stop.step} ({choice.stop.kind}): "
            f"{choice.stop.why}"
            for choice in self.choices
            if choice.stop
        ]
        if not any(choice.stop for choice in self.choices):
            lines.append(self._why_none())
        if self.saved:
            lines.append(f"{self.saved:.0%} of the steps were saved.")
        return (*lines, *self._kept())

    def _kept(self) -> list[str]:
        """Return what choices leave as it was built, in a sentence for all that leave the same."""
        alike: dict[tuple[str, ...], list[str]] = {}
        for choice in self.choices:
            if choice.kept:
                alike.setdefault(choice.kept, []).append(choice.name)
        lines = []
        for kept, names in alike.items():
            more = f" and {len(kept) - _NAMED} more" if len(kept) > _NAMED else ""
            who = f"{names[0]} leaves" if len(names) == 1 else f"{', '.join(names)} leave"
            lines.append(f"{who} as built: {', '.join(kept[:_NAMED])}{more}.")
        return lines

    def _why_none(self) -> str:
        if not self.setting.stopping:
            return "Nothing was stopped early, as asked."
        if self.setting.seeds < FEWEST:
            return f"With fewer than {FEWEST} seeds nothing is called lost."
        return "Nothing was clearly lost: all were trained to the end."

    def table(self) -> "Table":
        """Return a table, a line for each choice, for rich; a star marks the best, if any is."""
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


def _or_infinite(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf
