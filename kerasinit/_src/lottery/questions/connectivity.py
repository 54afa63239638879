"""Linear mode connectivity: whether a ticket is stable to the order of its data.

Two copies of a network are trained from the same values on two orders of the examples. If the
error stays low on the line between the two, they lie in the same valley of the loss, which the
order did not make them leave.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from rich.table import Table

from kerasinit._src.lottery.questions.answers import (
    Answers,
    MessageCallback,
    answers_folder,
    chosen_levels,
    ignore,
    read_json,
    write_json,
)
from kerasinit._src.lottery.questions.batch_statistics import normalizations, recompute
from kerasinit._src.lottery.questions.question_plots import line_figure
from kerasinit._src.lottery.report.means import over_trials
from kerasinit._src.lottery.store.stage import Place, Row, Stage
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.lottery.trial import Setup, Trial
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.reports import base, terminal
from kerasinit._src.training import models
from kerasinit._src.training.data import Dataset
from kerasinit._src.training.outcome import State, weights_of
from kerasinit._src.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STABLE_BELOW = 0.02
"""The paper's margin: a lower barrier is noise, from it on the network is unstable."""


def barrier(errors: Sequence[float]) -> float:
    """Return how far the error rises between two networks.

    Formula: ``barrier = max over alpha of error(alpha) - (error(0) + error(1)) / 2``.

    Args:
        errors: Error rates along the line, including both ends, as fractions.

    Returns:
        A fraction, 0 or more.

    Raises:
        ValueError: If there are fewer than two errors.

    Example:
    >>> barrier([0.25, 0.5, 0.125])
    0.3125

    Reference:
        Frankle, Dziugaite, Roy and Carbin, 2020, "Linear mode connectivity and the lottery ticket
        hypothesis", https://arxiv.org/abs/1912.05671, section 2.
    """
    if len(errors) < 2:
        raise ValueError(f"A line has two ends; got {len(errors)} errors.")
    return max(errors) - (errors[0] + errors[-1]) / 2


def interpolate(first: State, second: State, step: int, steps: int) -> State:
    """Return the values at a step of the straight line between two networks.

    ``w = ((steps - step) * first + step * second) / steps``, computed in float64, so that both
    ends, and every point between equal values, are exact in float32. Integers (seeds, counters) are
    taken from the first.
    """
    mixed = {}
    for name, value in first.items():
        if tf.as_dtype(value.dtype).is_floating:
            a, b = (np.asarray(end[name], np.float64) for end in (first, second))
            value = (((steps - step) * a + step * b) / steps).astype(value.dtype)
        mixed[name] = value
    return mixed


@dataclass(frozen=True)
class Line:
    """The errors between two copies of one network; all are fractions.

    Attributes:
        trial: The trial.
        level: The level of its ticket; 0 is the dense network.
        density: The fraction of weights that are kept.
        test_errors: On the test examples, from one end to the other, evenly spaced.
        train_errors: The same, on the training examples.
        recomputed: Whether the model has batch normalization, whose statistics were
            then recomputed at every point, including the ends.

    Example:
        See `lmc`.
    """

    trial: int
    level: int
    density: float
    test_errors: tuple[float, ...]
    train_errors: tuple[float, ...]
    recomputed: bool

    @property
    def test_barrier(self) -> float:
        """The rise of the error on the test examples."""
        return barrier(self.test_errors)

    @property
    def train_barrier(self) -> float:
        """The rise of the error on the training examples."""
        return barrier(self.train_errors)


@dataclass(frozen=True)
class Connectivity:
    """The result of `lmc`: a line for each trial and level.

    Attributes:
        lines: The lines.

    Example:
        See `lmc`.
    """

    lines: tuple[Line, ...]

    def barriers(self) -> dict[int, tuple[float, float]]:
        """Return the mean barriers over the trials, test and training, by level."""
        return {
            level: (
                statistics.mean(line.test_barrier for line in self._at(level)),
                statistics.mean(line.train_barrier for line in self._at(level)),
            )
            for level in sorted({line.level for line in self.lines})
        }

    def stable(self) -> dict[int, bool]:
        """Return whether the mean barrier on the test examples is below 2 points, by level."""
        return {level: test < STABLE_BELOW for level, (test, _) in self.barriers().items()}

    def _at(self, level: int) -> list[Line]:
        return [line for line in self.lines if line.level == level]

    def table(self) -> Table:
        """Return a table with a line for each level, means over the trials."""
        trials = len({line.trial for line in self.lines})
        caption = "Stable: the error rises by less than 2 points between two orders of the data."
        if any(line.recomputed for line in self.lines):
            caption += " Statistics of batch normalization were recomputed at every point."
        heads = ["level", "weights\nleft (%)", "test error\nat the ends (%)"]
        heads += ["highest\nbetween (%)", "barrier, test\n(points)", "barrier, train\n(points)", ""]
        rows, stable = [], self.stable()
        for level, barriers in self.barriers().items():
            lines = self._at(level)
            density = lines[0].density
            both = [line.test_errors[0] + line.test_errors[-1] for line in lines]
            ends = statistics.mean(both) / 2
            highest = statistics.mean(max(line.test_errors) for line in lines)
            shown = (f"{100 * value:.2f}" for value in (density, ends, highest, *barriers))
            rows.append((level, *shown, "stable" if stable[level] else "unstable"))
        title = f"Linear mode connectivity, {over_trials(trials)}"
        return terminal.table(heads, rows, title=title, caption=caption)

    def plot(self) -> "Figure":
        """Return a matplotlib figure: the test error on the line, by level.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        labels = {
            line.level: f"level {line.level}, {100 * line.density:.3g} % left"
            for line in sorted(self.lines, key=lambda one: one.level)
        }
        errors = {
            label: [line.test_errors for line in self._at(level)] for level, label in labels.items()
        }
        return line_figure(errors, STABLE_BELOW)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""

        def barriers(test: float, train: float) -> dict[str, float]:
            return {"test_barrier": test, "train_barrier": train}

        stable = self.stable()
        return {
            "question": "lmc",
            "levels": [
                {"level": level, **barriers(test, train), "stable": stable[level]}
                for level, (test, train) in self.barriers().items()
            ],
            "lines": [
                base.as_json({**vars(line), **barriers(line.test_barrier, line.train_barrier)})
                for line in self.lines
            ],
        }


def lmc(
    run: Run,
    *,
    levels: Iterable[int] = (),
    points: int = 11,
    out: str | Path | None = None,
    build: models.Build | None = None,
    data: Dataset | None = None,
    say: MessageCallback = ignore,
) -> Connectivity:
    """Measure whether tickets are stable to the order of their data.

    Also known as linear mode connectivity, or instability analysis.

    For each trial and level, two copies are trained from the ticket (level 0: from the
    rewind point of the dense network) on two orders of the examples that no other
    training uses, and the error is measured on the line between them, at the last
    iteration. Both copies draw the same numbers in their random layers.

    Args:
        run: A run, its folder or what `kerasinit.lottery.run` returned; it is not changed.
        levels: The levels of the tickets, by default the last finished one. The dense
            network, level 0, is always included.
        points: The number of points on the line, including both ends; at least 3, 11 by default.
            The paper uses 30.
        out: The folder for the answers, by default the run's name and ``-lmc``. Finished
            trainings in it are reused; more levels may be added later.
        build: The run's function that builds a model, if it cannot be imported. Default: None.
        data: The run's examples, if they cannot be loaded by name. Default: None.
        say: Called with a line for each finished training. Default: no messages.

    Returns:
        A `Connectivity`: the errors on each line, and its barrier.

    Raises:
        ValueError: Before any training, if an argument does not fit.
        DivergedError: If the loss of a training is not finite.

    Example:
    >>> from kerasinit.lottery import questions
    >>> found = questions.lmc("RUN", points=3)
    >>> [(line.trial, line.level, len(line.test_errors)) for line in found.lines]
    [(0, 0, 3), (0, 1, 3), (1, 0, 3), (1, 1, 3)]
    >>> found.stable()
    {0: True, 1: True}

    Reference:
        Frankle, Dziugaite, Roy and Carbin, 2020, "Linear Mode Connectivity and the
        Lottery Ticket Hypothesis", https://arxiv.org/abs/1912.05671.
    """
    if isinstance(points, bool) or not isinstance(points, int) or points < 3:
        raise ValueError(
            f"--points must be a whole number of at least 3 (both ends and one between); "
            f"got {points!r}."
        )
    store = Store.of(run)
    chosen = chosen_levels(store, {0, *chosen_levels(store, levels)})
    setup = Setup.of_run(store, build, data)
    answers = Answers(
        answers_folder(out, store.folder, "lmc"),
        {"question": "lmc", "experiment": store.experiment.to_dict(), "data": setup.data.digest},
    )
    lines = []
    with answers.held():
        for trial in range(store.experiment.trials):
            copies = _Copies(setup, store, answers, trial, say)
            lines += [copies.line(level, points) for level in chosen]
    return Connectivity(tuple(lines))


class _Copies:
    """One trial's pairs of copies; the network is built when a copy has to be trained."""

    def __init__(
        self, setup: Setup, store: Store, answers: Answers, trial: int, say: MessageCallback
    ) -> None:
        self._setup, self._store, self._answers = setup, store, answers
        self._trial, self._say = trial, say
        self._retraining: Trial | None = None

    @property
    def _training(self) -> Trial:
        if self._retraining is None:
            self._retraining = Trial(self._setup, self._trial)
            self._require_same_network(self._retraining.first)
        return self._retraining

    def _stage(self, place: Place) -> Stage:
        return self._store.stage(place).named_for(lambda: self._training.trainer.model)

    def _require_same_network(self, first: State) -> None:
        """Raise unless the network built here is the one of the run."""
        saved = self._stage(Place(self._trial, 0, "ticket")).ticket().weights
        mine = weights_of(first)
        # Another machine may round the same draws differently.
        alike = set(mine) == set(saved) and all(
            mine[name].shape == value.shape
            and np.allclose(np.asarray(mine[name], float), np.asarray(value, float), atol=1e-5)
            for name, value in saved.items()
        )
        if not alike:
            raise ValueError(
                f"{self._setup.experiment.model} gives other initial weights now than "
                f"{self._store.folder} was begun with: the function that builds the model, or the "
                f"one passed as build, is not the run's."
            )

    def line(self, level: int, points: int) -> Line:
        """Return the errors between the copies of a level, from the folder if present."""
        at = (f"trial-{self._trial}", f"level-{level:02d}", f"line-{points}")
        masks, start = self._ticket(level)
        ends = (self._copy(level, 0, masks, start), self._copy(level, 1, masks, start))
        if not self._answers.has(*at):
            trainer = self._training.trainer
            errors = line_errors(trainer, ends, points, self._setup.data, self._training.positions)
            with self._answers.new(*at) as folder:
                content = {"recomputed": bool(normalizations(trainer.model)), **errors}
                write_json(folder / "errors.json", content)
        found = read_json(self._answers.path(*at) / "errors.json")
        return Line(
            self._trial,
            level,
            masks.density,
            tuple(found["test_errors"]),
            tuple(found["train_errors"]),
            found["recomputed"],
        )

    def _ticket(self, level: int) -> tuple[Masks, State]:
        """Return a level's masks and the state from which its copies start."""
        rewind = self._stage(Place(self._trial, 0, "ticket")).state("rewind")
        ticket = self._stage(Place(self._trial, level, "ticket")).ticket()
        # The question about the dense network is the rewind point, not the initial values. A
        # ticket's file has its weights; the optimizer's variables are in the rewind point.
        if level == 0:
            return ticket.masks, rewind
        experiment = self._store.experiment
        if experiment.rewind == "finetune":
            before = Place(self._trial, experiment.scored_level(level), "ticket")
            rewind |= self._stage(before).state("optimizer")
        return ticket.masks, {**rewind, **ticket.weights}

    def _copy(self, level: int, number: int, masks: Masks, start: State) -> State:
        """Return the trained values of a copy, training it if necessary."""
        at = (f"trial-{self._trial}", f"level-{level:02d}", f"copy-{number}")
        stage = Stage(self._answers.path(*at))
        if not self._answers.has(*at):
            place = Place(self._trial, level, f"copy-{number}")
            begun, trained = self._training.train(
                str(place),
                masks,
                start,
                self._training.order("lmc", number),
                begin=self._store.experiment.rewind_step,
            )
            row = Row.of(place, masks.density, trained)
            with self._answers.new(*at) as folder:
                ticket = Ticket(masks, weights_of(begun), {"place": str(place)})
                Stage(folder).write(row, trained, ticket)
                Stage(folder).write_state("trained", weights_of(trained.final))
            self._say(f"{place}: test error {100 * (1 - row.final_test_accuracy):.2f} % at the end")
        stage = stage.named_for(lambda: self._training.trainer.model)
        if stage.ticket().masks != masks:
            raise ValueError(
                f"{stage.folder} has other masks than the ticket of {self._store.folder}; it was "
                f"made from another run. Choose another folder with --out."
            )
        return stage.state("trained")


def line_errors(
    trainer: Trainer, ends: tuple[State, State], points: int, data: Dataset, positions: np.ndarray
) -> dict[str, list[float]]:
    """Return the errors along the line between the values of two copies, as `Line` has them."""
    model = trainer.model
    train_x = models.fit_shape(model, data.x_train[positions], "The build function")
    test_x = models.fit_shape(model, data.x_test, "The build function")
    parts = {
        "test_errors": (tf.constant(test_x), tf.constant(data.y_test)),
        "train_errors": (tf.constant(train_x), tf.constant(data.y_train[positions])),
    }
    recomputed = bool(normalizations(model))
    errors: dict[str, list[float]] = {name: [] for name in parts}
    for step in range(points):
        trainer.restore(interpolate(*ends, step, points - 1))
        if recomputed:
            recompute(model, train_x)
        for name, (x, y) in parts.items():
            errors[name].append(1 - trainer.measure(x, y)[1])
    return errors
