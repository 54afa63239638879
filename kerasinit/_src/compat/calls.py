"""Intercepts the calls of layers; no other code wraps a layer's ``call``.

The intermediate values of a functional model can be read from its graph; those of a subclassed
model cannot. But Keras looks up ``call`` on the layer instance each time, so an instance attribute
temporarily overrides the class's method, in any kind of model.

The attribute is set in the instance's ``__dict__``, to bypass Keras' attribute tracking.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# Takes the layer, its original ``call``, and the arguments of that call; returns the outputs.
Around = Callable[[Any, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@contextlib.contextmanager
def intercepted(layers: Iterable[Any], around: Around) -> Iterator[None]:
    """Replace ``call`` of some layers by ``around`` within the block.

    Quantized layers of Keras 3 do not go through ``call``.

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
    """Replace a layer's ``call`` by ``around`` until `release`."""
    original, previous = layer.call, vars(layer).get("call")

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return around(layer, original, args, kwargs)

    call.intercepts = previous  # type: ignore[attr-defined]
    vars(layer)["call"] = call


def is_intercepted(layer: Any) -> bool:
    """Return whether the calls of a layer are intercepted."""
    return hasattr(vars(layer).get("call"), "intercepts")


def release(layer: Any) -> None:
    """Undo the last `intercept` of a layer."""
    previous = vars(layer).pop("call").intercepts
    if previous is not None:
        vars(layer)["call"] = previous


def by_batch_statistics(
    layer: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a batch normalization in training mode, so that it uses the batch's statistics."""
    return call(*args[:1], **{**kwargs, "training": True})


@contextlib.contextmanager
def replaced(layer: Any, attribute: str, value: Any) -> Iterator[None]:
    """Set an attribute of a layer within the block, bypassing Keras' attribute tracking."""
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
