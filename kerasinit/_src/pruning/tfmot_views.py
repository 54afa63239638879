"""Evaluation and prediction of a tf_keras model that leave a training as it was.

tfmot's wrapper layers multiply the weights by their masks at every forward pass, also at one that
only looks. What that changes is put back here, batch by batch, so that a training does not depend
on who evaluates or calls the model between two of its steps.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import calls
from kerasinit._src.pruning import attach
from kerasinit._src.pruning.tfmot_bridge import wrappers


class Views:
    """The methods by which others look at a tf_keras model, and at the models in it.

    Args:
        model: A tf_keras model with tfmot's wrapper layers.

    Attributes:
        at_epoch_end: Whether ``fit`` itself is evaluating the model. An epoch ends with masked
            weights in any case, and other callbacks are to find them so.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.at_epoch_end = False

    def begin(self) -> None:
        """Let evaluation and prediction leave the weights alone."""
        self.end()  # what a training has left that broke off
        for model in _with_inner(self._model):
            attach.put_in_front(model, attach.compiled_within(model, self._batch_of(model)))
            calls.intercept(model, self._call)

    def end(self) -> None:
        """Let them do as tfmot has it again."""
        for model in _with_inner(self._model):
            if calls.is_intercepted(model):
                attach.take_away(model)
                calls.release(model)

    def _batch_of(self, model: Any) -> Callable[..., Any]:
        def batch(compiled: Callable[..., Any], *args: Any) -> Any:
            with nullcontext() if self.at_epoch_end else _put_back(model):
                return compiled(*args)

        return batch

    def _call(self, model: Any, own: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        # Weights are put back outside of graphs and of training.
        trains = kwargs.get("training", args[1] if len(args) > 1 else None)
        stays = trains or self.at_epoch_end or tf.inside_function()
        with nullcontext() if stays else _put_back(model):
            return own(*args, **kwargs)


@contextmanager
def _put_back(model: Any) -> Iterator[None]:
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
