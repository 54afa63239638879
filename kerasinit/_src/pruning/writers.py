"""Which callbacks may write weights while a model trains, is evaluated or predicts."""

import inspect
from collections.abc import Callable
from typing import Any

import keras

# The methods that are called between two training steps, and around batches that are evaluated
# or predicted.
BETWEEN_STEPS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
AROUND_BATCHES = {
    "evaluate": ("on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end"),
    "predict": (
        "on_predict_begin",
        "on_predict_end",
        "on_predict_batch_begin",
        "on_predict_batch_end",
    ),
}


def may_write_weights(callbacks: Any, methods: tuple[str, ...]) -> bool:
    """Return whether some callback has one of the methods and may write weights there.

    Of Keras' callbacks `SwapEMAWeights` does, around batches that are evaluated or predicted;
    of a custom one nobody knows.

    Args:
        callbacks: What Keras takes as ``callbacks``: a list, a ``CallbackList``, one or None.
        methods: Names of methods of a callback.
    """
    return any(
        _is_strange(callback) and any(_is_overridden(callback, name) for name in methods)
        for callback in listed(callbacks)
    )


def listed(callbacks: Any) -> list[Any]:
    """Return what Keras takes as ``callbacks`` as a list."""
    callbacks = getattr(callbacks, "callbacks", callbacks) or []
    return [*callbacks] if isinstance(callbacks, list | tuple) else [callbacks]


def is_kerass_own(method: Callable[..., Any]) -> bool:
    """Return whether a model's method is Keras' own.

    A custom one may bring callbacks of its own, or write weights itself.
    """
    name = getattr(method, "__name__", "")
    return getattr(method, "__func__", method) is getattr(keras.Model, name, None)


def callbacks_of(method: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Return the callbacks that a call of ``fit``, ``evaluate`` or ``predict`` is given."""
    if "callbacks" in kwargs:
        return kwargs["callbacks"]
    return inspect.signature(method).bind_partial(*args).arguments.get("callbacks")


def _is_strange(callback: Any) -> bool:
    home = type(callback).__module__.partition(".")[0]
    return home not in ("keras", "kerasinit") or isinstance(
        callback, keras.callbacks.LambdaCallback | keras.callbacks.SwapEMAWeights
    )


def _is_overridden(callback: Any, name: str) -> bool:
    method: Callable[..., Any] | None = getattr(callback, name, None)
    return getattr(method, "__func__", method) is not getattr(keras.callbacks.Callback, name)
