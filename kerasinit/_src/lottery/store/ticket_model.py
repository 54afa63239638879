"""Assignment of a ticket's weights to a model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.files.tensors import is_floating
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.parts import named_variables
from kerasinit._src.network.prunable import prunable_weights
from kerasinit._src.troubleshooting import see


def assign(model: Any, masks: Masks, weights: Mapping[str, np.ndarray]) -> None:
    """Assign a ticket's weights to a model, by the model's current names of its variables.

    Raises:
        ValueError: If the model has other weights; it is then left unchanged.
    """
    variables = named_variables(model)
    wrong = [f"it has no {name!r}" for name in weights if name not in variables]
    wrong += [f"the ticket has no {name!r}" for name in variables if name not in weights]
    shared = [(name, variables[name], weights[name]) for name in weights if name in variables]
    wrong += [
        f"{name!r} has dtype {compat.dtype_of(variable)}, which does not hold the ticket's "
        f"{value.dtype}"
        for name, variable, value in shared
        if not _holds(compat.dtype_of(variable), value)
    ]
    wrong += [
        f"{name!r} has shape {tuple(variable.shape)}, the ticket's {value.shape}"
        for name, variable, value in shared
        if tuple(variable.shape) != value.shape
    ]
    if wrong:
        raise ValueError(
            f"The ticket does not fit the model: {'; '.join(wrong)}. {see('masks-do-not-fit')}"
        )
    masks.require_fit(
        {weight.name: tuple(weight.variable.shape) for weight in prunable_weights(model)},
        "the model",
    )
    for name, value in weights.items():
        compat.assign(variables[name], value)


def _holds(dtype: str, value: np.ndarray) -> bool:
    """Return whether a dtype can hold values: of their kind, without overflow."""
    target = np.dtype(dtype)
    if target == value.dtype:
        return True
    if not (is_floating(value) and is_floating(np.zeros((), target))):
        return False
    with np.errstate(over="ignore"):
        return bool(np.isfinite(value.astype(target)).all())
