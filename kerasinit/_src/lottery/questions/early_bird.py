"""Early-bird tickets: how soon in training their masks could be drawn."""

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from kerasinit._src.lottery.experiment import Experiment, option, require_experiment
from kerasinit._src.lottery.questions.answers import (
    Answers,
    MessageCallback,
    ignore,
    read_json,
    write_json,
)
from kerasinit._src.lottery.questions.question_plots import distance_figure
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.lottery.trial import Setup, Trial
from kerasinit._src.mask_arrays import Masks, keep_largest
from kerasinit._src.reports import base, terminal
from kerasinit._src.training import models
from kerasinit._src.training.data import Dataset
from kerasinit._src.training.outcome import Point, weights_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The fields of an experiment that apply to training a dense network once per trial.
_APPLICABLE = (
    "dataset",
    "model",
    "initializer",
    "optimizer",
    "validation",
    "iterations",
    "trials",
    "seed",
    "batch_size",
    "evaluate_every",
    "xla",
)


def mask_distance(first: Masks, second: Masks) -> float:
    """Return the fraction of weights that are kept in one of two masks and not in the other.

    This is the Hamming distance, divided by the number of weights: 0 for equal masks.

    Args:
        first: Masks.
        second: Masks of the same weights.

    Raises:
        ValueError: If the masks are of other weights.

    Example:
    >>> from kerasinit.pruning import Masks
    >>> a = Masks({"kernel": np.array([True, True, False, False])})
    >>> b = Masks({"kernel": np.array([True, False, True, False])})
    >>> mask_distance(a, b)
    0.5

    Reference:
        You, Li, Xu, Fu, Wang, Chen, Baraniuk, Wang and Lin, 2020, "Drawing early-bird tickets",
        https://arxiv.org/abs/1909.11957, section 3.2.
    """
    second.require_fit({name: mask.shape for name, mask in first.items()}, "the first masks")
    other = sum(int(np.count_nonzero(mask != second[name])) for name, mask in first.items())
    return other / first.size


def draw(weights: dict[str, np.ndarray], names: Sequence[str], density: float) -> Masks:
    """Return the masks of the largest-magnitude weights of all layers together.

    ``round(density * size)`` are kept, at least one; among equal ones the first in the order of
    ``names``.
    """
    magnitudes = np.concatenate([np.abs(weights[name]).ravel() for name in names])
    kept = keep_largest(magnitudes, max(1, round(density * magnitudes.size)))
    ends = np.cumsum([weights[name].size for name in names])[:-1]
    parts = np.split(kept, ends)
    return Masks(
        {name: part.reshape(weights[name].shape) for name, part in zip(names, parts, strict=True)}
    )


def farthest(masks: Sequence[Masks], window: int) -> list[float | None]:
    """Return each mask's largest `mask_distance` from the ``window - 1`` masks before it.

    It is None for the first ``window - 1`` masks. Distances between successive masks would not do:
    small steps may lead far, and more frequent evaluation makes them smaller.
    """
    return [
        max(mask_distance(mask, before) for before in masks[last - window + 1 : last])
        if last >= window - 1
        else None
        for last, mask in enumerate(masks)
    ]


@dataclass(frozen=True)
class Check:
    """A check of the mask while the dense network trains.

    Attributes:
        iteration: The iteration of the check.
        distance: The distance from the mask of the previous check; None at the first.
        farthest: The largest distance from a mask of the window; None where there
            were too few.
        to_last: The distance from the mask of the last check.
        validation_accuracy: The accuracy of the dense network on the validation examples, a
            fraction.

    Example:
        See `earlybird`.
    """

    iteration: int
    distance: float | None
    farthest: float | None
    to_last: float
    validation_accuracy: float


@dataclass(frozen=True)
class Flight:
    """The checks of one trial, and its early bird.

    Attributes:
        trial: The trial, from 0.
        iteration: The iteration of the early bird; None if there was none.
        checks: The checks, in the order of iterations.

    Example:
        See `earlybird`.
    """

    trial: int
    iteration: int | None
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class EarlyBirds:
    """The result of `earlybird`.

    Attributes:
        density: The fraction of weights that the masks keep.
        window: The number of masks that were compared, including the newest.
        epsilon: The limit on their distances from the newest.
        iterations: The length of the trainings.
        flights: The trials.
        folder: The folder in which each trial with an early bird has its ``ticket.safetensors``.

    Example:
        See `earlybird`.
    """

    density: float
    window: int
    epsilon: float
    iterations: int
    flights: tuple[Flight, ...]
    folder: Path

    def table(self) -> Table:
        """Return a table with a line for each check; the early birds are marked."""
        results = [
            f"trial {flight.trial}: "
            + (
                "no early bird"
                if flight.iteration is None
                else f"early bird at iteration {flight.iteration} of {self.iterations}"
            )
            for flight in self.flights
        ]
        heads = ["trial", "iteration", "distance from\nthe mask before"]
        heads += [f"farthest of\n{self.window - 1} before", "from the\nlast mask"]
        heads += ["validation\naccuracy (%)", ""]
        rows = []
        for flight in self.flights:
            for check in flight.checks:
                distances = (check.distance, check.farthest, check.to_last)
                shown = ("" if value is None else f"{value:.4f}" for value in distances)
                accuracy = f"{100 * check.validation_accuracy:.2f}"
                mark = "early bird" if check.iteration == flight.iteration else ""
                rows.append((flight.trial, check.iteration, *shown, accuracy, mark))
        return terminal.table(
            heads,
            rows,
            title=f"Masks of the {100 * self.density:g} % largest weights of a dense network",
            caption=f"{'; '.join(results)}. The early bird is the first mask for which the "
            f"{self.window - 1} masks before it are all less than {self.epsilon:g} away.",
        )

    def plot(self) -> "Figure":
        """Return a matplotlib figure: the distance of the masks against the iteration.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        flights = [
            (one.trial, one.iteration, [(c.iteration, c.farthest) for c in one.checks])
            for one in self.flights
        ]
        return distance_figure(flights, self.epsilon)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "question": "earlybird",
            **{
                name: getattr(self, name) for name in ("density", "window", "epsilon", "iterations")
            },
            "trials": base.as_json([asdict(flight) for flight in self.flights]),
        }


def earlybird(
    experiment: Experiment | None = None,
    *,
    density: float = 0.3,
    window: int = 5,
    epsilon: float = 0.1,
    out: str | Path | None = None,
    build: models.Build | None = None,
    data: Dataset | None = None,
    say: MessageCallback = ignore,
) -> EarlyBirds:
    """Find how early in training the mask of the largest weights can be drawn.

    The mask is drawn every ``experiment.evaluate_every`` iterations (the paper: every epoch), from
    all layers together, and compared with those shortly before. The early bird (early-bird ticket,
    EB ticket) is the first mask for which the ``window - 1`` masks before it are all less than
    ``epsilon`` away. The paper draws channels by the scales of their batch normalization; here
    single weights are drawn by magnitude, as the tickets of a run are.

    Args:
        experiment: What to train; ``Experiment()`` by default. Fields that apply only to pruning,
            rewinding or controls must have their defaults.
        density: The fraction of weights that the mask keeps, between 0 and 1; 0.3 by default.
        window: The number of masks that are compared, at least 2; 5 by default.
        epsilon: The limit on the distances from the newest mask, a fraction of all weights; 0.1
            by default.
        out: The folder for the answers, by default one named after the question.
            Finished trials in it are reused.
        build: A function that returns a compiled model, in place of ``experiment.model``.
            Default: None.
        data: Examples, in place of ``experiment.dataset``. Default: None.
        say: Called with a line for each finished training. Default: no messages.

    Returns:
        The checks of every trial. The mask of an early bird is saved in the folder, as a
        ticket with the initial weights.

    Raises:
        ValueError: Before any training, if an argument does not fit.
        DivergedError: If the loss of a training is not finite.

    Example:
    >>> from kerasinit import lottery
    >>> from kerasinit.lottery import questions
    >>> short = lottery.Experiment(iterations=60, trials=1, evaluate_every=10, xla=False)
    >>> found = questions.earlybird(short)
    >>> flight = found.flights[0]
    >>> flight.iteration, len(flight.checks), flight.checks[-1].to_last
    (50, 6, 0.0)

    Reference:
        You, Li, Xu, Fu, Wang, Chen, Baraniuk, Wang and Lin, 2020, "Drawing early-bird
        tickets", https://arxiv.org/abs/1909.11957.
    """
    experiment = require_experiment(experiment or Experiment())
    _require_options(experiment, density, window, epsilon)
    setup = Setup.of(experiment, build, data)
    if setup.experiment.xla is None:
        setup = replace(setup, experiment=Trial(setup, 0).experiment)
    experiment = setup.experiment
    folder = (
        Path(out)
        if out is not None
        else Path(f"earlybird-{setup.data.name}-{experiment.digest}-{density:g}")
    )
    answers = Answers(
        folder,
        {
            "question": "earlybird",
            "experiment": experiment.to_dict(),
            "data": setup.data.digest,
            "density": density,
            "window": window,
            "epsilon": epsilon,
        },
    )
    flights = []
    with answers.held():
        for trial in range(experiment.trials):
            part = f"trial-{trial}"
            if not answers.has(part):
                flight, ticket = _train_trial(Trial(setup, trial), trial, density, window, epsilon)
                with answers.new(part) as new:
                    write_json(new / "checks.json", asdict(flight))
                    if ticket is not None:
                        ticket.save(new / "ticket.safetensors")
                say(f"trial {trial}: {len(flight.checks)} masks drawn")
            found = read_json(answers.path(part) / "checks.json")
            checks = tuple(Check(**check) for check in found["checks"])
            flights.append(Flight(found["trial"], found["iteration"], checks))
    return EarlyBirds(density, window, epsilon, experiment.iterations, tuple(flights), folder)


def _require_options(experiment: Experiment, density: float, window: int, epsilon: float) -> None:
    for name, value in (("density", density), ("epsilon", epsilon)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise ValueError(
                f"--{name} must be a number between 0 and 1, both excluded; got {value!r}."
            )
    if isinstance(window, bool) or not isinstance(window, int) or window < 2:
        raise ValueError(f"--window must be a whole number of at least 2; got {window!r}.")
    plain = Experiment(dataset=experiment.dataset)
    for field in dataclasses.fields(experiment):
        name = field.name
        if name not in _APPLICABLE and getattr(experiment, name) != getattr(plain, name):
            raise ValueError(
                f"{option(name)} does not apply to an early bird, which trains only the dense "
                f"network. Omit it."
            )
    count = experiment.iterations // experiment.evaluate_every
    if count < window:
        raise ValueError(
            f"{experiment.iterations} iterations with a mask every {experiment.evaluate_every} "
            f"give {count} masks, fewer than the {window} that are compared. Use a smaller "
            f"--evaluate-every or more --iterations."
        )


def _train_trial(
    training: Trial, trial: int, density: float, window: int, epsilon: float
) -> tuple[Flight, Ticket | None]:
    """Train one dense network and draw its masks on the way."""
    names = list(training.trainer.shapes)
    drawn: list[tuple[Point, Masks]] = []
    every = training.experiment.evaluate_every

    def draw_mask(point: Point) -> None:
        # The last measurement need not be at a multiple.
        if point.iteration % every == 0:
            drawn.append((point, draw(training.trainer.state(), names, density)))

    dense = Masks.dense(training.trainer.shapes)
    begun, _ = training.train(f"trial {trial}", dense, {}, training.order(), watch=draw_mask)
    masks = [mask for _, mask in drawn]
    far = farthest(masks, window)
    checks = tuple(
        Check(
            point.iteration,
            mask_distance(masks[number - 1], mask) if number else None,
            far[number],
            mask_distance(mask, masks[-1]),
            point.validation_accuracy,
        )
        for number, (point, mask) in enumerate(drawn)
    )
    near = [value is not None and value < epsilon for value in far]
    if not any(near):
        return Flight(trial, None, checks), None
    mask, iteration = masks[near.index(True)], checks[near.index(True)].iteration
    weights = weights_of(training.trainer.mask_state(begun, mask))
    about = {"place": f"trial {trial}", "early bird": f"iteration {iteration}"}
    return Flight(trial, iteration, checks), Ticket(mask, weights, about)
