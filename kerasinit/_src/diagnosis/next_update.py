"""How far the next step of the compiled optimizer would move each weight."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import optimizers


class NextUpdate:
    """The next step of a model's optimizer, taken on copies.

    A second optimizer of the same settings takes it: right for any optimizer, and the model's
    own stays as it is. Before training that is the first update; later the second one goes on
    from the state of the model's own, at its iteration. It is kept for the next time, since
    making variables takes longer than the step.

    Args:
        model: A model of either Keras.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._second: Any = None
        self._copies: list[Any] = []
        self._made_for: tuple[Any, ...] = ()
        self.graph_pass: Any = None
        """The `GraphPass` that gave the gradients, kept as well: to trace takes long."""
        self.after: dict[int, Any] = {}
        """What the step that `ratios` took last makes of the variables, by their ``id``."""

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
        """Return for each variable the length of its next update over its own length.

        Args:
            gradients: Gradients of the loss by the variables' ``id``.

        Returns:
            Ratios by the variables' ``id``; nothing for a model that is not compiled, or whose
            optimizer was made for other variables, and no entry for a variable that is zero.
        """
        self.after = {}
        optimizer = getattr(self._model, "optimizer", None)
        if optimizer is None or optimizers.is_legacy(optimizer):
            return {}
        variables = list(self._model.trainable_variables)
        moved = [one for one in variables if id(one) in gradients]
        if not compat.is_compiled(self._model) or not moved:
            return {}
        before = {id(one): compat.read(one) for one in variables}
        if not self._begin(optimizer, variables, before):
            return {}
        copies = {id(one): copy for one, copy in zip(variables, self._copies, strict=True)}
        self._second.apply_gradients(
            [(_scaled(optimizer, gradients[id(one)]), copies[id(one)]) for one in moved]
        )
        self.after = {id(one): compat.tensor(copies[id(one)]) for one in moved}
        ratios = {}
        for one in moved:
            old = np.asarray(before[id(one)], np.float64)
            length = np.linalg.norm(old)
            if length > 0:
                new = np.asarray(compat.read(copies[id(one)]), np.float64)
                ratios[id(one)] = float(np.linalg.norm(new - old) / length)
        return ratios

    def _begin(self, optimizer: Any, variables: list[Any], values: dict[int, Any]) -> bool:
        """Make copies and second optimizer what the model's are; return whether it can be."""
        wanted = (optimizer, optimizer.get_config(), [id(one) for one in variables])
        if wanted != self._made_for:
            self._make(*wanted[:2], [values[id(one)] for one in variables])
            self._made_for = wanted
        else:
            for one, copy in zip(variables, self._copies, strict=True):
                compat.assign(copy, values[id(one)])
        ours, theirs = list(self._second.variables), list(optimizer.variables)
        if len(theirs) <= self._bare and not int(np.asarray(optimizer.iterations)):
            self._made_for = ()  # its own has no state yet, and ours is about to have one
            return True
        if [tuple(one.shape) for one in ours] != [tuple(one.shape) for one in theirs]:
            return False  # layers were frozen or freed since the model was compiled
        for one, other in zip(ours, theirs, strict=True):
            compat.assign(one, compat.tensor(other))
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
    """Return a gradient as Keras 3 gives it to its optimizers, which undo the scale."""
    gradient = tf.convert_to_tensor(gradient)
    return optimizer.scale_loss(gradient) if hasattr(optimizer, "scale_loss") else gradient
