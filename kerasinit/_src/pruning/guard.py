"""What stands at a pruned weight, so that nobody trains it without its mask.

It takes the place of the variable's constraint, which every optimizer of Keras applies to what it
has updated: a public way to hear of an update.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from kerasinit._src import compat
from kerasinit._src.pruning import attach
from kerasinit._src.pruning.pruner import Pruner


class _Guard:
    """Stands as the constraint of a weight, and passes its update only in a pruned training."""

    is_open = False

    def __init__(
        self, original: Any, variable: Any, owner: str, is_masked: Callable[[Any], bool]
    ) -> None:
        self.original = original
        self._variable = weakref.ref(variable)
        self._owner, self._is_masked = owner, is_masked

    def __call__(self, value: Any) -> Any:
        if not self.is_open and not self._is_masked(compat.tensor(self._variable())):
            raise ValueError(
                f"Weights of {self._owner!r} are pruned, and are trained here without their "
                "masks. In fit, use callbacks=[kerasinit.pruning.UpdatePruningStep()]; in a loop "
                "of your own, call kerasinit.pruning.begin_step(model) before each forward pass, "
                "with the model that is trained. Or use strip_pruning first, to train without "
                "pruning."
            )
        return value if self.original is None else self.original(value)


def stand_at(variable: Any, owner: str, is_masked: Callable[[Any], bool]) -> None:
    """Guard a variable, unless it is guarded.

    Args:
        variable: A variable of Keras 3.
        owner: The model or layer that was pruned, by its name, for the error.
        is_masked: Whether a weight, as a tensor, is trained under its mask just now.
    """
    if not isinstance(variable.constraint, _Guard):
        attach.constrain(variable, _Guard(variable.constraint, variable, owner, is_masked))


def leave(variables: Iterable[Any]) -> None:
    """Give variables their own constraints back."""
    for variable in variables:
        if isinstance(variable.constraint, _Guard):
            attach.constrain(variable, variable.constraint.original)


@contextmanager
def all_open() -> Iterator[None]:
    """Pass every update of a step that is traced but not run."""
    _Guard.is_open = True
    try:
        yield
    finally:
        _Guard.is_open = False


def away(variables: Iterable[Any]) -> AbstractContextManager[None]:
    """Spare a training step that does mask the work of asking at every update."""
    guarded = (v for v in variables if isinstance(v.constraint, _Guard))
    return attach.constrained((v, v.constraint.original) for v in guarded)


def masks_and_constraints(pruner: Pruner) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each pruned variable, its mask, and its own constraint."""
    for mask, variable in zip(pruner.masks.values(), pruner.variables, strict=True):
        guard = variable.constraint
        yield variable, mask, guard.original if isinstance(guard, _Guard) else guard
