"""A model that is looked at, and afterwards is what it was."""

import contextlib
from collections.abc import Iterator
from typing import Any

from kerasinit._src import compat


@contextlib.contextmanager
def as_it_was(model: Any) -> Iterator[None]:
    """Put back what the block moved: weights, moving statistics, counters, seeds, metrics."""
    variables = {id(one): one for one in (*model.variables, *model.non_trainable_variables)}
    metrics: list[Any] = list(getattr(model, "metrics", None) or [])
    for metric in metrics:
        variables.update({id(one): one for one in metric.variables})
    before = [(one, compat.read(one)) for one in variables.values() if hasattr(one, "numpy")]
    try:
        yield
    finally:
        for variable, value in before:
            if compat.read(variable).tobytes() != value.tobytes():
                compat.assign(variable, value)
        # A loss makes metrics of its outputs when it is first computed.
        for metric in getattr(model, "metrics", None) or ():
            if all(metric is not one for one in metrics):
                metric.reset_state()
