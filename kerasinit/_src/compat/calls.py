"""Calls of layers, intercepted: the only code that stands between a layer and its ``call``.

A functional model can be cut open by its graph, a subclassed one cannot. What every layer of
either Keras has is a ``call``, and Keras looks it up on the instance each time. So for a while the
instance has another one, in front of its class's, and any kind of model shows what its layers do.

Keras tracks what is assigned to a layer; what stands here for a while goes past that.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# Takes the layer, its own ``call``, and what that was called with; returns the outputs.
Around = Callable[[Any, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@contextlib.contextmanager
def intercepted(layers: Iterable[Any], around: Around) -> Iterator[None]:
    """Let a function run in the place of each call of some layers within the block.

    Args:
        layers: Layers or models of either Keras, which are called by ``call`` (quantized layers
            of Keras 3 are not).
        around: Runs in the place of ``call``. It calls that itself, if at all.

    Example:
    >>> import keras
    >>> double = keras.layers.Rescaling(2.0)
    >>> with intercepted([double], lambda layer, call, args, kwargs: call(*args, **kwargs) + 1):
    ...     inside = float(double(keras.ops.ones(())))
    >>> inside, float(double(keras.ops.ones(())))
    (3.0, 2.0)
    """
    entered: list[Any] = []
    try:
        for layer in layers:
            intercept(layer, around)
            entered.append(layer)
        yield
    finally:
        for layer in reversed(entered):
            release(layer)


def intercept(layer: Any, around: Around) -> None:
    """Let a function run in the place of each call of a layer until `release`."""
    own, before = layer.call, vars(layer).get("call")

    @functools.wraps(own)
    def call(*args: Any, **kwargs: Any) -> Any:
        return around(layer, own, args, kwargs)

    call.intercepts = before  # type: ignore[attr-defined]
    vars(layer)["call"] = call


def is_intercepted(layer: Any) -> bool:
    """Return whether the calls of a layer are intercepted."""
    return hasattr(vars(layer).get("call"), "intercepts")


def release(layer: Any) -> None:
    """Let a layer be called as it was before the last `intercept`."""
    before = vars(layer).pop("call").intercepts
    if before is not None:
        vars(layer)["call"] = before


def by_batch_statistics(
    layer: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a batch normalization so that it normalizes by the batch, as it does in training."""
    return call(*args[:1], **{**kwargs, "training": True})


@contextlib.contextmanager
def replaced(layer: Any, attribute: str, value: Any) -> Iterator[None]:
    """Give a layer another attribute within the block, past what Keras tracks."""
    attributes = vars(layer)
    had, old = attribute in attributes, attributes.get(attribute)
    attributes[attribute] = value
    try:
        yield
    finally:
        if had:
            attributes[attribute] = old
        else:
            del attributes[attribute]
