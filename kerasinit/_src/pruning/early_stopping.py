"""Early stopping that waits for the pruning schedule, in both Kerases."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.compat.callbacks import Callback
from kerasinit._src.pruning import outlook, pruned_models
from kerasinit._src.pruning.tfmot_bridge import wrappers

# The attributes of Keras' callback that users read after training.
_RESULTS = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")


class EarlyStopping(keras.callbacks.EarlyStopping, Callback):
    """Stops training early, but not before the pruning schedule has ended.

    Keras' callback of this name compares epochs of different sparsity. The best one is often an
    early one, before most weights were removed; stopping there, or restoring its weights, leaves
    a network less sparse than intended. This callback starts counting, and recording the best
    weights, with the epoch in which the schedule reaches its final sparsity.

    Args:
        monitor: The name of the metric or loss to watch. Default: ``"val_loss"``. This and the
            other arguments are those of Keras' ``EarlyStopping``.
        min_delta: The smallest change that counts as an improvement. Default: 0.
        patience: Epochs without an improvement after which training stops. Default: 0.
        verbose: 1 to print a message when the callback acts. Default: 0.
        mode: ``"min"``, ``"max"`` or ``"auto"`` (default).
        baseline: A value that has to be improved on. Default: None.
        restore_best_weights: Whether to restore the weights of the best epoch at the end.
            Default: False.
        start_from_epoch: Epochs to wait, even if the schedule ends earlier. Default: 0.

    Raises:
        ValueError: When training begins with a model that is not pruned.

    Example:
    >>> import numpy as np
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> schedule = pruning.PolynomialDecay(0.0, 0.5, begin_step=0, end_step=3, frequency=1)
    >>> model = pruning.prune_low_magnitude(model, schedule)
    >>> model.compile(keras.optimizers.SGD(0.0), "mse")
    >>> callbacks = [pruning.UpdatePruningStep(), pruning.EarlyStopping("loss", mode="max")]
    >>> x, y = np.ones((4, 8)), np.ones((4, 4))
    >>> history = model.fit(x, y, epochs=9, verbose=0, callbacks=callbacks)
    >>> 3 < len(history.history["loss"]) < 9
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self._arguments = {
            "monitor": monitor,
            "min_delta": min_delta,
            "patience": patience,
            "verbose": verbose,
            "mode": mode,
            "baseline": baseline,
            "restore_best_weights": restore_best_weights,
            "start_from_epoch": start_from_epoch,
        }
        super().__init__(**self._arguments)
        self._tf_keras: Any = None
        self._first_step: int | None = None
        self._final_update: int | None = None

    def set_model(self, model: Any) -> None:
        """Store the model being trained; called by Keras."""
        super().set_model(model)
        self._tf_keras = None
        if compat.kerase_of(model) == "tf_keras":
            self._tf_keras = compat.library_of(model).callbacks.EarlyStopping(**self._arguments)
            self._tf_keras.set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Start waiting for the end of the schedule."""
        self._first_step = self._final_update = None
        list(self._rules())  # raises if there are none
        super().on_train_begin(logs)
        self._forward("on_train_begin", logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Record the step at which training begins."""
        if self._first_step is None:
            self._first_step = self._step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Act like Keras' callback once the schedule has ended."""
        if self._final_update is None:
            self._final_update = self._last_final_update(epoch)
        if self._step() < self._final_update:
            return
        if self._tf_keras is None:
            super().on_epoch_end(epoch, logs)
        self._forward("on_epoch_end", epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Restore the best weights if requested."""
        if self._tf_keras is None:
            super().on_train_end(logs)
        self._forward("on_train_end", logs)

    def _forward(self, method: str, *args: Any) -> None:
        if self._tf_keras is not None:
            getattr(self._tf_keras, method)(*args)
            for name in _RESULTS:
                setattr(self, name, getattr(self._tf_keras, name, None))

    def _rules(self) -> Iterator[Any]:
        if self._tf_keras is None:
            yield from pruned_models.pruner_of(self.model).by_rule()
            return
        found = wrappers(self.model)
        if not found:
            raise ValueError(
                f"The model {self.model.name!r} is not pruned: none of its layers is wrapped. Use "
                "the model that `prune_low_magnitude(model)` returned."
            )
        for layer in found:
            once = SimpleNamespace(once=layer.sparsity_m_by_n is not None)
            yield SimpleNamespace(schedule=layer.pruning_schedule, pattern=once)

    def _step(self) -> int:
        if self._tf_keras is None:
            return pruned_models.pruner_of(self.model).counter.position[0]
        return max(int(layer.pruning_step.numpy()) for layer in wrappers(self.model))

    def _last_final_update(self, epoch: int) -> int:
        now = self._step()
        # An upper bound on the steps per epoch if several calls of `fit` made up the first one.
        length = now - (self._first_step or 0)
        ahead = max(0, (self.params or {}).get("epochs", epoch + 1) - epoch - 1) * length
        return max(outlook.final_update(rule, now, now + ahead) for rule in self._rules())
