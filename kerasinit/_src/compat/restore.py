"""Restores a model after a block of code has changed it."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from kerasinit._src.compat.variables import read


@contextlib.contextmanager
def restored(model: Any, keep: Iterable[Any] = ()) -> Iterator[None]:
    """Restore what the block changed: weights, moving statistics, counters, seeds, metrics.

    Changes to the variables in ``keep``, of the model or its optimizer, are kept unless the block
    raises.
    """
    kept = {id(one): one for one in keep}
    metrics: list[Any] = list(getattr(model, "metrics", None) or [])
    variables = {
        id(one): one
        for one in (
            *model.variables,
            *model.non_trainable_variables,
            *(variable for metric in metrics for variable in metric.variables),
            *kept.values(),
        )
    }
    before = [(one, read(one)) for one in variables.values() if hasattr(one, "numpy")]
    failed = True
    try:
        yield
        failed = False
    finally:
        for variable, value in before:
            keeps = not failed and id(variable) in kept
            if not keeps and read(variable).tobytes() != value.tobytes():
                variable.assign(value)
        # Computing a loss for the first time creates the metrics of its outputs.
        for metric in getattr(model, "metrics", None) or ():
            if all(metric is not one for one in metrics):
                metric.reset_state()
