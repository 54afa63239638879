"""Determines which callbacks may write weights during training, evaluation or prediction."""

import inspect
from collections.abc import Callable
from typing import Any

import keras

# Callback methods that run between training steps, and around batches of evaluation or prediction.
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
    """Return whether any callback overrides one of the methods and may write weights in it.

    Of Keras' callbacks only `SwapEMAWeights` does; any custom callback may. ``callbacks`` is what
    Keras accepts: a list, a ``CallbackList``, a single callback or None.
    """
    return any(
        _may_be_custom(callback) and any(_is_overridden(callback, name) for name in methods)
        for callback in as_list(callbacks)
    )


def as_list(callbacks: Any) -> list[Any]:
    """Return the ``callbacks`` argument of Keras as a list."""
    callbacks = getattr(callbacks, "callbacks", callbacks) or []
    return [*callbacks] if isinstance(callbacks, list | tuple) else [callbacks]


def is_keras_method(method: Callable[..., Any]) -> bool:
    """Return whether a model's method is Keras' own.

    A custom method may add callbacks, or write weights itself.
    """
    name = getattr(method, "__name__", "")
    return getattr(method, "__func__", method) is getattr(keras.Model, name, None)


def callbacks_of(method: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Return the callbacks passed to a call of ``fit``, ``evaluate`` or ``predict``."""
    if "callbacks" in kwargs:
        return kwargs["callbacks"]
    return inspect.signature(method).bind_partial(*args).arguments.get("callbacks")


def _may_be_custom(callback: Any) -> bool:
    home = type(callback).__module__.partition(".")[0]
    return home not in ("keras", "kerasinit") or isinstance(
        callback, keras.callbacks.LambdaCallback | keras.callbacks.SwapEMAWeights
    )


def _is_overridden(callback: Any, name: str) -> bool:
    method: Callable[..., Any] | None = getattr(callback, name, None)
    return getattr(method, "__func__", method) is not getattr(keras.callbacks.Callback, name)
