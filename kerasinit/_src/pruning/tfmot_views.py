"""Evaluation and prediction of a tf_keras model that leave a training as it was.

tfmot's wrapper layers multiply the weights by their masks at every forward pass, also at one that
only looks. What that changes is put back here, batch by batch, so that a training does not depend
on who evaluates or calls the model between two of its steps.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.pruning.tfmot_bridge import wrappers

# What makes a compiled function, and where tf_keras keeps that.
_MADE = {
    "make_test_function": "test_function",
    "make_predict_function": "predict_function",
}


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
        for model in _with_inner(self._model):
            for make in _MADE:
                if make not in vars(model):
                    setattr(model, make, _Make(getattr(model, make), self, model))
            if "call" not in vars(model):
                model.call = _call(model.call, self, model)

    def end(self) -> None:
        """Let them do as tfmot has it again."""
        for model in _with_inner(self._model):
            if hasattr(vars(model).get("call"), "puts_back"):
                del model.call
            for make, attribute in _MADE.items():
                if isinstance(vars(model).get(make), _Make):
                    delattr(model, make)
                    function = getattr(model, attribute)
                    if isinstance(function, _PuttingBack):
                        setattr(model, attribute, function.compiled)


class _Make:
    """A method that makes a model's compiled function, to make one that puts weights back."""

    def __init__(self, own: Callable[..., Any], views: Views, model: Any) -> None:
        self._own, self._views, self._model = own, views, model

    def __call__(self, force: bool = False) -> Any:
        function = self._own(force)
        if isinstance(function, _PuttingBack):
            return function
        return _PuttingBack(function, self._views, self._model)


class _PuttingBack:
    """A compiled function, after which the weights are what they were before."""

    def __init__(self, compiled: Callable[..., Any], views: Views, model: Any) -> None:
        self.compiled, self._views, self._model = compiled, views, model

    def __call__(self, *args: Any) -> Any:
        if self._views.at_epoch_end:
            return self.compiled(*args)
        with _put_back(self._model):
            return self.compiled(*args)


def _call(own: Callable[..., Any], views: Views, model: Any) -> Callable[..., Any]:
    """Return a model's ``call`` that puts weights back, outside of graphs and of training."""

    @functools.wraps(own)
    def call(*args: Any, **kwargs: Any) -> Any:
        trains = kwargs.get("training", args[1] if len(args) > 1 else None)
        if trains or views.at_epoch_end or tf.inside_function():
            return own(*args, **kwargs)
        with _put_back(model):
            return own(*args, **kwargs)

    call.puts_back = True  # type: ignore[attr-defined]
    return call


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
