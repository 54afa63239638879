"""Applies the masks of a pruned model while it is saved, evaluated or read, and undoes that later.

An update also changes removed weights, which compete with their new values at the next mask update.
So saving, evaluating or reading the model between two steps sees the sparse network, but does not
affect its training.
"""

import functools
from collections.abc import Callable
from typing import Any

from kerasinit._src.pruning import attach
from kerasinit._src.pruning.session import Session
from kerasinit._src.pruning.writers import (
    AROUND_BATCHES,
    callbacks_of,
    is_keras_method,
    may_write_weights,
)

_SAVING = ("save", "save_weights")
_READING = (*_SAVING, "export", "get_weights")


class Views:
    """Overrides the methods of a pruned Keras 3 model that read its weights.

    Masks are applied once for a whole evaluation, so that batches cost nothing extra. If weights
    may be written in between, by a callback such as ``SwapEMAWeights`` or a custom ``evaluate``,
    they are applied and undone for each batch, so that the writer finds its own values again.
    """

    def __init__(self, model: Any, session: Callable[[], Session]) -> None:
        self._model, self._session = model, session
        self._is_masked = False

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Return the overriding methods by name."""
        model = self._model
        methods = {name: self._masked_method(name) for name in _READING}
        for name, between in AROUND_BATCHES.items():
            methods[name] = self._masked_batches(getattr(model, name), between)
        return methods | attach.compiled_overrides(model, self._masked_batch)

    def _masked_method(self, name: str) -> Callable[..., Any]:
        method = getattr(self._model, name)

        @functools.wraps(method)
        def masked(*args: Any, **kwargs: Any) -> Any:
            session = self._session()
            with session.pruner.masked():
                result = method(*args, **kwargs)
            if name in _SAVING:
                session.saved(args[0] if args else kwargs.get("filepath"))
            return result

        return masked

    def _masked_batches(
        self, method: Callable[..., Any], between: tuple[str, ...]
    ) -> Callable[..., Any]:
        @functools.wraps(method)
        def masked(*args: Any, **kwargs: Any) -> Any:
            callbacks = callbacks_of(method, args, kwargs)
            may_write = not is_keras_method(method) or may_write_weights(callbacks, between)
            if self._is_masked or may_write:
                return method(*args, **kwargs)
            self._is_masked = True
            try:
                with self._session().pruner.masked():
                    return method(*args, **kwargs)
            finally:
                self._is_masked = False

        return masked

    def _masked_batch(self, compiled: Callable[..., Any], *args: Any) -> Any:
        if self._is_masked:
            return compiled(*args)
        with self._session().pruner.masked():
            return compiled(*args)
