"""A pruned model as others see it: with its masks applied, and as it was when they have looked.

An optimizer's update moves removed weights too, and until the next step they keep that value: an
update of the masks lets them compete with it. So whoever saves a model between two steps,
evaluates it or asks for its weights sees the sparse network, and afterwards what the masks have
changed is put back. Nobody changes a training by looking at it.
"""

import functools
from collections.abc import Callable
from typing import Any

from kerasinit._src.pruning import attach
from kerasinit._src.pruning.session import Training
from kerasinit._src.pruning.writers import (
    AROUND_BATCHES,
    callbacks_of,
    is_kerass_own,
    may_write_weights,
)

_SAVING = ("save", "save_weights")
_WAYS_OUT = (*_SAVING, "export", "get_weights")


class Views:
    """The methods by which others look at a pruned Keras 3 model.

    A whole evaluation is one look, so that its batches cost nothing more. Where somebody may
    write weights in between, a callback such as ``SwapEMAWeights`` or a custom ``evaluate``,
    each batch is one: it sees whatever was written with the masks applied, and they find it
    again as they wrote it.

    Args:
        model: A Keras 3 model.
        training: Returns what is known of its trainings.
    """

    def __init__(self, model: Any, training: Callable[[], Training]) -> None:
        self._model, self._training = model, training
        self._looking = False

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Return what is to stand in front of the model's own methods, by name."""
        model = self._model
        methods = {name: self._one_look(name) for name in _WAYS_OUT}
        for name, between in AROUND_BATCHES.items():
            methods[name] = self._all_batches(getattr(model, name), between)
        return methods | attach.compiled_within(model, self._one_batch)

    def _one_look(self, name: str) -> Callable[..., Any]:
        method = getattr(self._model, name)

        @functools.wraps(method)
        def look(*args: Any, **kwargs: Any) -> Any:
            training = self._training()
            with training.pruner.masked():
                result = method(*args, **kwargs)
            if name in _SAVING:
                training.saved(args[0] if args else kwargs.get("filepath"))
            return result

        return look

    def _all_batches(
        self, method: Callable[..., Any], between: tuple[str, ...]
    ) -> Callable[..., Any]:
        @functools.wraps(method)
        def look(*args: Any, **kwargs: Any) -> Any:
            callbacks = callbacks_of(method, args, kwargs)
            written = not is_kerass_own(method) or may_write_weights(callbacks, between)
            if self._looking or written:
                return method(*args, **kwargs)
            self._looking = True
            try:
                with self._training().pruner.masked():
                    return method(*args, **kwargs)
            finally:
                self._looking = False

        return look

    def _one_batch(self, compiled: Callable[..., Any], *args: Any) -> Any:
        if self._looking:
            return compiled(*args)
        with self._training().pruner.masked():
            return compiled(*args)
