"""The records of a training: measurements, states, progress and outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

State = dict[str, np.ndarray]


class DivergedError(ArithmeticError):
    """The loss of a training is not a finite number.

    `kerasinit.lottery.run` raises it. Trainings that are finished are kept; lower the learning rate
    in a new run.
    """


@dataclass(frozen=True)
class Point:
    """A measurement after an iteration; the accuracy is a fraction."""

    iteration: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a training.

    ``best_iteration`` is the first with the lowest validation loss: the "early stop" of the lottery
    papers, determined afterwards; ``test_accuracy`` is taken there. ``final`` has every variable at
    the end, ``kept`` those at the requested iteration, each with the optimizer's. ``seconds`` is
    the time of the steps, including compilation in a trainer's first training.
    """

    curve: tuple[Point, ...]
    best_iteration: int
    best_validation_loss: float
    test_accuracy: float
    final_test_accuracy: float
    final: State
    kept: State | None
    seconds: float


@dataclass(eq=False)
class Progress:
    """A training in progress: all that the rest of it depends on, and all that it will report.

    ``at`` counts iterations from the first weights. ``best`` is the index in ``curve`` of the
    (first) lowest validation loss, ``best_state`` every variable there. ``kept`` is the state at
    the requested iteration, once past. ``total`` sums the training losses since the last
    measurement.
    """

    at: int
    state: State = field(default_factory=dict)
    curve: tuple[Point, ...] = ()
    best: int | None = None
    best_state: Mapping[str, Any] | None = None
    kept: State | None = None
    total: float = 0.0
    seconds: float = 0.0


def weights_of(state: Mapping[str, np.ndarray]) -> State:
    """Return the model's part of a state."""
    return {name: value for name, value in state.items() if not name.startswith("optimizer/")}


def optimizer_of(state: Mapping[str, np.ndarray]) -> State:
    """Return the optimizer's part of a state."""
    return {name: value for name, value in state.items() if name.startswith("optimizer/")}
