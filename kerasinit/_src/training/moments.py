"""Which weight each optimizer variable belongs to, and which of them start as copies of weights."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat import optimizers

# The step of a weight depends on its own gradient and moments alone, and is 0 where these and
# the weight are 0.
_ELEMENTWISE = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop", "SGD")


def weights_of_moments(model: Any, moments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the trainable variable that each moment belongs to.

    It has the moment's shape, and its name is part of the moment's. Ambiguous moments are left out.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if isinstance(optimizer, compat.classes("optimizers", "Adafactor")):
        # Its second moments are means over rows and columns and belong to no single weight.
        moments = {name: m for name, m in moments.items() if "average" in _flat(m)}
    found = {name: _weight_of(model, moment) for name, moment in moments.items()}
    return {name: weight for name, weight in found.items() if weight is not None}


def _weight_of(model: Any, moment: Any) -> Any:
    path = _flat(moment)
    matches: dict[int, list[Any]] = {}
    for variable in model.trainable_variables:
        weight = _flat(variable)
        if weight in path and tuple(moment.shape) == tuple(variable.shape):
            matches.setdefault(len(weight), []).append(variable)
    # The longest name: "dense/kernel" is part of "my_dense/kernel" as well.
    owners = matches[max(matches)] if matches else []
    return owners[0] if len(owners) == 1 else None


def weight_copies(
    moments: Mapping[str, Any], weights: Mapping[str, Any]
) -> dict[str, tuple[Any, np.ndarray]]:
    """Return the moments that the optimizer initializes to the weights: their weight and value.

    Such are averages of weights, and the iterate of a schedule-free optimizer. Where the weights
    are replaced before the first step, these must be, too.
    """
    kinds: dict[str, dict[str, tuple[Any, np.ndarray]]] = defaultdict(dict)
    confirmed: set[str] = set()
    for name, weight in weights.items():
        kind = _flat(moments[name]).replace(_flat(weight), "", 1)
        value = compat.read(moments[name])
        if np.array_equal(value, compat.read(weight)):
            kinds[kind][name] = weight, value
            # A bias of zeros equals any moment that starts at zero.
            if value.size and np.any(value != value.flat[0]):
                confirmed.add(kind)
    return {name: copy for kind in sorted(confirmed) for name, copy in kinds[kind].items()}


def is_elementwise(optimizer: type) -> bool:
    """Return whether a class of optimizers moves each weight by its own gradients alone."""
    return optimizer in compat.classes("optimizers", *_ELEMENTWISE)


def leaves_zeros(model: Any, moments: Mapping[str, Any], weights: Mapping[str, Any]) -> bool:
    """Return whether a model's optimizer cannot move removed weights without gradients.

    Their moments must be zero, so all moments must be known.
    """
    shapes = {tuple(variable.shape) for variable in model.trainable_variables}
    return (
        is_elementwise(type(model.optimizer))
        and not optimizers.averages_weights(model)
        and all(name in weights or tuple(m.shape) not in shapes for name, m in moments.items())
        # A constraint acts after the optimizer.
        and all(variable.constraint is None for variable in model.trainable_variables)
    )


def _flat(variable: Any) -> str:
    return compat.variable_path(variable).replace("/", "_")
