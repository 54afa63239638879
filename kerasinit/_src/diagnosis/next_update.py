"""The relative size of the next update of each variable by the compiled optimizer."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import optimizers


class NextUpdate:
    """The next step of a model's optimizer, taken on copies of the variables.

    A second optimizer with the same configuration and state takes the step, which works for any
    optimizer and leaves the model's own unchanged. The copies are kept between calls, since
    creating variables takes longer than the step.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._second: Any = None
        self._copies: list[Any] = []
        self._made_for: tuple[Any, ...] = ()
        self.graph_pass: Any = None
        """The `GraphPass` of the gradients, also kept, since tracing takes long."""
        self.after: dict[int, Any] = {}
        """The values of the variables after the last step of `ratios`, by their ``id``."""

    def described(self) -> tuple[str, float, bool]:
        """Return the optimizer's class, its learning rate, and whether that follows a schedule."""
        optimizer = self._model.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        schedules = compat.library_of(self._model).optimizers.schedules
        given = inner.get_config().get("learning_rate")
        scheduled = isinstance(given, dict | schedules.LearningRateSchedule)
        rate = getattr(inner, "learning_rate", 0.0)
        if callable(rate) and not hasattr(rate, "numpy"):
            rate = rate(inner.iterations)
        return type(inner).__name__, float(np.asarray(rate)), scheduled

    def ratios(self, gradients: dict[int, Any]) -> dict[int, float]:
        """Return the norm of each variable's next update over the variable's own norm.

        Gradients and ratios go by the ``id`` of variables. There are no ratios for a model that is
        not compiled or whose optimizer was built for other variables, and none for variables of
        zeros.
        """
        self.after = {}
        optimizer = getattr(self._model, "optimizer", None)
        if optimizer is None or optimizers.is_legacy(optimizer):
            return {}
        variables = list(self._model.trainable_variables)
        updated = [id(variable) for variable in variables if id(variable) in gradients]
        if not compat.is_compiled(self._model) or not updated:
            return {}
        before = {id(variable): compat.read(variable) for variable in variables}
        if not self._synchronize(optimizer, before):
            return {}
        copies = dict(zip(before, self._copies, strict=True))
        self._second.apply_gradients(
            [(_scaled(optimizer, gradients[key]), copies[key]) for key in updated]
        )
        self.after = {key: compat.tensor(copies[key]) for key in updated}
        ratios = {}
        for key in updated:
            old = np.asarray(before[key], np.float64)
            norm = np.linalg.norm(old)
            if norm > 0:
                new = np.asarray(compat.read(copies[key]), np.float64)
                ratios[key] = float(np.linalg.norm(new - old) / norm)
        return ratios

    def _synchronize(self, optimizer: Any, values: dict[int, Any]) -> bool:
        """Bring the copies and the second optimizer up to date; return whether that is possible."""
        wanted = (optimizer, optimizer.get_config(), list(values))
        if wanted != self._made_for:
            self._make(*wanted[:2], list(values.values()))
            self._made_for = wanted
        else:
            for copy, value in zip(self._copies, values.values(), strict=True):
                compat.assign(copy, value)
        ours, theirs = list(self._second.variables), list(optimizer.variables)
        if len(theirs) <= self._bare and not int(np.asarray(optimizer.iterations)):
            self._made_for = ()  # the model's has no state yet; the step will give ours some
            return True
        if [tuple(slot.shape) for slot in ours] != [tuple(slot.shape) for slot in theirs]:
            return False  # layers were frozen or unfrozen since the model was compiled
        for own, other in zip(ours, theirs, strict=True):
            compat.assign(own, compat.tensor(other))
        return True

    def _make(self, optimizer: Any, config: dict[str, Any], values: list[Any]) -> None:
        self._second = type(optimizer).from_config(config)
        self._bare = len(self._second.variables)
        if compat.kerase_of(self._model) == "keras":
            self._copies = [keras.Variable(value, dtype=value.dtype) for value in values]
        else:
            self._copies = [tf.Variable(value) for value in values]
        self._second.build(self._copies)


def _scaled(optimizer: Any, gradient: Any) -> Any:
    """Scale a gradient as Keras 3 does for its optimizers, which undo the scale."""
    gradient = tf.convert_to_tensor(gradient)
    return optimizer.scale_loss(gradient) if hasattr(optimizer, "scale_loss") else gradient
