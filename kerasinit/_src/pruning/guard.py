"""Guards pruned weights against training without masks.

A guard replaces the variable's constraint, which every Keras optimizer applies after an update;
this is the public hook into updates.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.pruning import attach
from kerasinit._src.pruning.pruner import Pruner
from kerasinit._src.troubleshooting import see


class _Guard(keras.constraints.Constraint):  # any callable only from Keras 3.15 on
    """A constraint that raises unless the weight is trained under its mask."""

    is_disabled = False

    def __init__(
        self, original: Any, variable: Any, owner: str, is_masked: Callable[[Any], bool]
    ) -> None:
        self.original = original
        self._variable = weakref.ref(variable)
        self._owner, self._is_masked = owner, is_masked

    def __call__(self, value: Any) -> Any:
        if not self.is_disabled and not self._is_masked(compat.tensor(self._variable())):
            raise ValueError(
                f"Weights of {self._owner!r} are pruned, and are trained here without their "
                "masks. In fit, use callbacks=[kerasinit.pruning.UpdatePruningStep()]; in a custom "
                "loop, call kerasinit.pruning.begin_step(model) with the trained model before each "
                f"forward pass. To train without pruning, call strip_pruning first. "
                f"{see('pruning-callback')}"
            )
        return value if self.original is None else self.original(value)


def add(variable: Any, owner: str, is_masked: Callable[[Any], bool]) -> None:
    """Guard a Keras 3 variable, unless it is guarded already.

    ``owner`` names the pruned model or layer in the error. ``is_masked`` receives the TensorFlow
    variable and returns whether it is currently trained under its mask.
    """
    if not isinstance(variable.constraint, _Guard):
        attach.set_constraint(variable, _Guard(variable.constraint, variable, owner, is_masked))


def remove(variables: Iterable[Any]) -> None:
    """Restore the original constraints of variables."""
    for variable in variables:
        if isinstance(variable.constraint, _Guard):
            attach.set_constraint(variable, variable.constraint.original)


@contextmanager
def disabled() -> Iterator[None]:
    """Accept every update within the block, for a step that is traced but not run."""
    _Guard.is_disabled = True
    try:
        yield
    finally:
        _Guard.is_disabled = False


def bypassed(variables: Iterable[Any]) -> AbstractContextManager[None]:
    """Remove the guards of variables within the block, for a step known to apply the masks."""
    guarded = (v for v in variables if isinstance(v.constraint, _Guard))
    return attach.temporary_constraints((v, v.constraint.original) for v in guarded)


def masks_and_constraints(pruner: Pruner) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each pruned variable, its mask, and its original constraint."""
    for mask, variable in zip(pruner.masks.values(), pruner.variables, strict=True):
        guard = variable.constraint
        yield variable, mask, guard.original if isinstance(guard, _Guard) else guard
