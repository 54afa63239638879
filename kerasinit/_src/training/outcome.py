"""What a training reports: measurements, states, its progress and its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

State = dict[str, np.ndarray]


class DivergedError(ArithmeticError):
    """The loss of a training is no longer a finite number."""


@dataclass(frozen=True)
class Point:
    """What was measured after an iteration."""

    iteration: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a training went, and the weights it ended with.

    Attributes:
        curve: The measurements, in order of iterations.
        best_iteration: Where the validation loss was lowest (the first such): the
            "early stop" of the lottery papers, found afterwards.
        best_validation_loss: The validation loss there.
        test_accuracy: The accuracy on the test examples there.
        final_test_accuracy: The accuracy on the test examples at the end.
        final: Every variable at the end.
        kept: Every variable, and the optimizer's, at the iteration that was requested.
        seconds: The time that its steps took; a trainer's first training compiles them too.
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
    """A training that runs: all that the rest of it depends on, and all that it will report.

    Attributes:
        at: The iterations that are done, counted from the first weights.
        state: Every variable of the model and its optimizer, where it was written down.
        curve: The measurements so far.
        best: Which of them has the lowest validation loss (the first such); None if there
            is none yet.
        best_state: Every variable there.
        kept: Every variable at the iteration that was requested, if that is past.
        total: The sum of the training losses since the last measurement.
        seconds: The time that its steps took.
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
    """Return the part of a state that is the model's."""
    return {name: value for name, value in state.items() if not name.startswith("optimizer/")}


def optimizer_of(state: Mapping[str, np.ndarray]) -> State:
    """Return the part of a state that is the optimizer's."""
    return {name: value for name, value in state.items() if name.startswith("optimizer/")}
