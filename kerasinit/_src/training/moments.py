"""Which weight each of an optimizer's variables belongs to, and which begin as its copy."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat import optimizers

# Each weight's step depends on its own gradient and moments alone, and is zero where these and
# the weight are.
_BY_ENTRY = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop", "SGD")
BY_ENTRY = frozenset(compat.classes("optimizers", *_BY_ENTRY))
"""Optimizers that leave a weight of zero at zero, where its gradients and moments are zero."""


_FACTORED = compat.classes("optimizers", "Adafactor")


def weights_of_moments(model: Any, moments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the trainable variable that each moment belongs to.

    It is that of its shape whose name it carries. A moment that cannot be told apart from
    others has none, and is left out.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if isinstance(optimizer, _FACTORED):
        # Its second moments are products of means over rows and columns, of no single weight.
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
    # The longest name: "dense/kernel" is found within "my_dense/kernel" as well.
    owners = matches[max(matches)] if matches else []
    return owners[0] if len(owners) == 1 else None


def first_copies(
    moments: Mapping[str, Any], weights: Mapping[str, Any]
) -> dict[str, tuple[Any, np.ndarray]]:
    """Return the moments that an optimizer begins with copies of the weights, and their values.

    Averages of weights are such, and what an optimizer without a schedule takes its steps on.
    Where the weights are replaced before the first step, these must be, too.

    Returns:
        By the moment's name: its weight, and the value of both.
    """
    kinds: dict[str, dict[str, tuple[Any, np.ndarray]]] = defaultdict(dict)
    proven: set[str] = set()
    for name, weight in weights.items():
        kind = _flat(moments[name]).replace(_flat(weight), "", 1)
        value = compat.read(moments[name])
        if np.array_equal(value, compat.read(weight)):
            kinds[kind][name] = weight, value
            # A bias of zeros equals any moment that begins with zeros.
            if value.size and np.any(value != value.flat[0]):
                proven.add(kind)
    return {name: copy for kind in sorted(proven) for name, copy in kinds[kind].items()}


def leaves_zeros(model: Any, moments: Mapping[str, Any], weights: Mapping[str, Any]) -> bool:
    """Return whether a model's optimizer cannot move removed weights without gradients.

    Provided that their moments are zero; so all moments must be known.
    """
    shapes = {tuple(variable.shape) for variable in model.trainable_variables}
    return (
        type(model.optimizer) in BY_ENTRY
        and not optimizers.averages_weights(model)
        and all(name in weights or tuple(m.shape) not in shapes for name, m in moments.items())
        # A constraint acts after the optimizer.
        and all(variable.constraint is None for variable in model.trainable_variables)
    )


def _flat(variable: Any) -> str:
    return compat.variable_path(variable).replace("/", "_")
