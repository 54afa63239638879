"""A model that is what it was before, whatever a block of code did to it."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from kerasinit._src.compat.variables import read


@contextlib.contextmanager
def restored(model: Any, but: Iterable[Any] = ()) -> Iterator[None]:
    """Restore what the block changed: weights, moving statistics, counters, seeds, metrics.

    Args:
        model: A model or layer of either Keras.
        but: Variables, of the model or its optimizer, that are only restored if the block
            fails.
    """
    free = {id(one): one for one in but}
    metrics: list[Any] = list(getattr(model, "metrics", None) or [])
    variables = {
        id(one): one
        for one in (
            *model.variables,
            *model.non_trainable_variables,
            *(variable for metric in metrics for variable in metric.variables),
            *free.values(),
        )
    }
    before = [(one, read(one)) for one in variables.values() if hasattr(one, "numpy")]
    failed = True
    try:
        yield
        failed = False
    finally:
        for variable, value in before:
            stays = not failed and id(variable) in free
            if not stays and read(variable).tobytes() != value.tobytes():
                variable.assign(value)
        # A loss makes metrics of its outputs when it is first computed.
        for metric in getattr(model, "metrics", None) or ():
            if all(metric is not one for one in metrics):
                metric.reset_state()
