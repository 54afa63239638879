"""Keeps evaluation and prediction of a pruned tf_keras model from affecting its training.

tfmot's wrapper layers multiply the weights by their masks at every forward pass, including those of
evaluation. These changes are undone after each batch, so that training does not depend on whether
the model is evaluated or called between two steps.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import calls
from kerasinit._src.pruning import attach
from kerasinit._src.pruning.tfmot_bridge import wrappers


class TfmotViews:
    """Wraps evaluation, prediction and calls of a tf_keras model and its nested models.

    ``at_epoch_end`` is set while ``fit`` itself evaluates the model. The weights are masked at the
    end of an epoch in any case, and other callbacks should see them masked.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.at_epoch_end = False

    def begin(self) -> None:
        """Start preserving the weights in evaluation, prediction and calls."""
        self.end()  # in case an earlier training run was interrupted
        for model in _with_inner(self._model):
            attach.override_methods(model, attach.compiled_overrides(model, self._batch_of(model)))
            calls.intercept(model, self._call)

    def end(self) -> None:
        """Restore the original methods."""
        for model in _with_inner(self._model):
            if calls.is_intercepted(model):
                attach.restore_methods(model)
                calls.release(model)

    def _batch_of(self, model: Any) -> Callable[..., Any]:
        def batch(compiled: Callable[..., Any], *args: Any) -> Any:
            with nullcontext() if self.at_epoch_end else _restore(model):
                return compiled(*args)

        return batch

    def _call(self, model: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        # Weights are only restored outside of graphs and of training.
        trains = kwargs.get("training", args[1] if len(args) > 1 else None)
        masks_stay = trains or self.at_epoch_end or tf.inside_function()
        with nullcontext() if masks_stay else _restore(model):
            return call(*args, **kwargs)


@contextmanager
def _restore(model: Any) -> Iterator[None]:
    weights = [weight for layer in wrappers(model) for weight, _, _ in layer.pruning_vars]
    before = [weight.read_value() for weight in weights]
    try:
        yield
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value)


def _with_inner(model: Any) -> Iterator[Any]:
    yield model
    for layer in model.layers:
        if compat.is_model(layer):
            yield from _with_inner(layer)
