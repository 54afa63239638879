"""The optimizer's state of a model, for the channels that are left."""

from collections import defaultdict
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.shrinking.channels import Channels
from kerasinit._src.shrinking.reading import ModelChannels
from kerasinit._src.shrinking.rebuilding import kept_values


def copy_state(reading: ModelChannels, small: Any, kept: np.ndarray) -> None:
    """Give a smaller model the optimizer's state of a model, such as the moments of Adam.

    Raises ValueError if the model has no optimizer, or if a part of its state cannot be assigned to
    a weight.
    """
    model = reading.model
    if not compat.is_compiled(model):
        raise ValueError(
            f"optimizer=True, but {model.name!r} is not compiled: it has no optimizer."
        )
    state, new = optimizers.optimizer_variables(model), optimizers.optimizer_variables(small)
    if len(state) != len(new):
        raise ValueError(
            f"optimizer=True, but the state of {type(model.optimizer).__name__} has {len(new)} "
            f"variables for the smaller model instead of {len(state)}, since a bias was added to "
            f"a layer. Use optimizer=False."
        )
    owners = _owners(model, state)
    for old, other in zip(state, new, strict=True):
        values = _state_values(reading.channels, old, owners.get(id(old)), kept)
        if values.shape != tuple(other.shape):
            raise ValueError(
                f"optimizer=True, but {compat.variable_path(old)!r} of "
                f"{type(model.optimizer).__name__} belongs to no weight by its name. Use "
                f"optimizer=False."
            )
        compat.assign(other, values)


def _state_values(channels: Channels, slot: Any, weight: Any, kept: np.ndarray) -> np.ndarray:
    values = compat.read(slot)
    if weight is None or values.shape != tuple(weight.shape):
        return values
    return kept_values(channels, weight, values, kept)


def _owners(model: Any, state: list[Any]) -> dict[int, Any]:
    """Return the weight that each variable of an optimizer belongs to, by its ``id``.

    Keras names them after the weights: ``dense_kernel_momentum`` in Keras 3, ``m/dense/kernel`` in
    tf_keras. Where weights have one name, they come in the order of the weights.
    """
    weights = list(model.trainable_variables)
    found: dict[int, Any] = {}
    taken: dict[tuple[str, str], int] = defaultdict(int)
    is_keras_3 = compat.kerase_of(model) == "keras"
    by_name: dict[str, list[Any]] = defaultdict(list)
    for weight in weights:
        path = compat.variable_path(weight)
        by_name[path.replace("/", "_") if is_keras_3 else path].append(weight)
    for slot in state:
        own = compat.variable_path(slot)
        own = own.rsplit("/", 1)[-1] if is_keras_3 else own
        names = [
            name
            for name in by_name
            if (own.startswith(f"{name}_") if is_keras_3 else own.endswith(f"/{name}"))
        ]
        if names:
            name = max(names, key=len)
            place = taken[own, name] % len(by_name[name])
            taken[own, name] += 1
            found[id(slot)] = by_name[name][place]
    return found
