"""The pruning of Keras 3 models: masks beside the model, no wrapper layers.

A pruned model is the same object with the same layers and variables. Its training step
starts with three more operations, in the same graph, so that they also run inside
``steps_per_execution`` and XLA::

    step <- step + 1
    if the schedule fires at this step:  mask <- pattern(weights as they are now)
    weights <- weights * mask

Evaluation and prediction begin with the last of them, for the optimizer's last update
has moved removed weights as well.

The step number, the masks and the thresholds are TensorFlow variables that the model
does not know of: they are in no ``model.weights``, no summary and no saved file.
"""

import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit import kerases
from kerasinit.pruning.blocks import Pattern
from kerasinit.pruning.registry import PrunableWeight

# What a pruned model carries on its instance, in front of its class's methods.
_HOOKS = (
    "fit",
    "train_step",
    "make_train_function",
    "make_test_function",
    "make_predict_function",
)

_PRUNERS: weakref.WeakKeyDictionary[Any, "Pruner"] = weakref.WeakKeyDictionary()


class Pruner:
    """The masks of one Keras 3 model and the rule by which they change.

    It holds the variables but not the model, so that it lives exactly as long.

    Attributes:
        schedule: When the masks change and how sparse they are then.
        step: Number of training steps so far; -1 before the first training.
        weights: Name of each pruned weight to its TensorFlow variable.
        masks: The same names to variables of 0 and 1, in the dtype of the weights.
        thresholds: The same names to the magnitude at the last update below which
            weights were removed.
        begun: Whether :class:`~kerasinit.pruning.UpdatePruningStep` has begun a
            training that has not ended.
    """

    def __init__(self, weights: list[PrunableWeight], schedule: Any, pattern: Pattern) -> None:
        self.schedule = schedule
        self._pattern = pattern
        self.begun = False
        self._fitting = False
        self._counted_ahead = False
        self.step = _beside(tf.constant(-1, tf.int64))
        self.weights = {weight.name: kerases.tensor(weight.variable) for weight in weights}
        for name, variable in self.weights.items():
            pattern.check(name, variable.shape)
        self.masks = {name: _beside(tf.ones_like(w)) for name, w in self.weights.items()}
        self.thresholds = {name: _beside(tf.zeros([], w.dtype)) for name, w in self.weights.items()}

    def keep_zeros(self) -> None:
        """Take weights that are exactly zero for removed, save in weights all zero."""
        for name, weight in self.weights.items():
            alive = self._pattern.alive(tf.convert_to_tensor(weight))
            if bool(tf.reduce_any(alive)):
                self.masks[name].assign(tf.cast(alive, weight.dtype))

    def keep_masks_of(self, earlier: "Pruner") -> None:
        """Go on from the masks of an earlier pruning of the same model."""
        for name in self.masks.keys() & earlier.masks.keys():
            self.masks[name].assign(earlier.masks[name])

    def begin_step(self) -> None:
        """Count one training step, update the masks if it is time, and apply them."""
        step = self.step.assign_add(1)
        fires = tf.equal(step, 1) if self._pattern.once else self.schedule(step)[0]
        tf.cond(tf.convert_to_tensor(fires), lambda: self._update_masks(step), lambda: tf.no_op())
        self.apply_masks()

    def apply_masks(self) -> None:
        """Set the removed weights to zero."""
        for name, weight in self.weights.items():
            weight.assign(weight * self.masks[name])

    def _update_masks(self, step: tf.Tensor) -> tf.Operation:
        assigned = []
        for name, weight in self.weights.items():
            # Asked for here, inside the branch and for each weight, as tfmot does:
            # TensorFlow simplifies arithmetic within a branch, and where a count lies
            # halfway between two numbers, the last bit of the sparsity decides.
            sparsity = self.schedule(step)[1]
            mask, threshold = self._pattern.update(
                tf.convert_to_tensor(weight), self.masks[name] != 0, sparsity
            )
            assigned.append(self.masks[name].assign(tf.cast(mask, weight.dtype)))
            assigned.append(self.thresholds[name].assign(threshold))
        return tf.group(*assigned)

    def begin_training(self) -> None:
        """Number the steps from 0, unless an earlier training has begun to."""
        if int(self.step.numpy()) == -1:
            self.step.assign(0)
        self.begun = True

    def end_training(self) -> None:
        """Apply the masks one last time, and expect a callback again in the next training."""
        self.apply_masks()
        self.begun = False

    def count_ahead(self) -> None:
        """Begin a step from outside the training step, for loops that users write.

        `fit` counts in its graph. A loop around ``train_on_batch`` does so too, and may
        call this as well; :meth:`run` takes the number back then.
        """
        if not self._fitting:
            self.begin_step()
            self._counted_ahead = True

    def run(self, train_function: Callable[[Any], Any], iterator: Any) -> Any:
        """Run a compiled training step, if a callback has begun this training."""
        if not self.begun:
            raise ValueError(
                "This model is pruned, and its masks are only kept up to date by the callback "
                "UpdatePruningStep, which is missing in this training. Use "
                "fit(..., callbacks=[kerasinit.pruning.UpdatePruningStep()]), or "
                "strip_pruning(model) first if it is to be trained without pruning."
            )
        if self._counted_ahead:
            # Updating the masks again from weights just masked gives the same masks.
            self.step.assign_sub(1)
            self._counted_ahead = False
        return train_function(iterator)

    def fit(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a model's own ``fit``, in which a training must begin anew."""
        self.begun, self._fitting, self._counted_ahead = False, True, False
        try:
            return original(*args, **kwargs)
        finally:
            self.begun, self._fitting = False, False


def attach(model: Any, weights: list[PrunableWeight], schedule: Any, pattern: Pattern) -> None:
    """Make a Keras 3 model prune itself while it trains.

    A weight that is exactly zero before any training (``optimizer.iterations`` is 0, or
    there is no optimizer) is alive: Identity and delta-orthogonal kernels begin with
    many. After training it can only be one that was removed, by an earlier pruning
    whose masks are not in the saved file, and stays so.

    Args:
        model: A built Keras 3 model.
        weights: What to prune in it.
        schedule: Called with the step, returns ``(whether to update, sparsity)``.
        pattern: Which weights may be removed together.

    Raises:
        ValueError: If Keras does not run on TensorFlow, if the model is replicated over
            several devices, or if the pattern does not fit.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"Pruning runs in TensorFlow, and Keras runs on the {backend!r} backend here. Set "
            "KERAS_BACKEND=tensorflow before importing keras."
        )
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas > 1:
        raise ValueError(
            f"The model {model.name!r} is replicated over {replicas} devices, and masks are kept "
            "for a single one. Build the model outside the scope of the distribution strategy."
        )
    with model.distribute_strategy.scope():
        pruner = Pruner(weights, schedule, pattern)
    earlier = _PRUNERS.get(model)
    if earlier is not None:
        pruner.keep_masks_of(earlier)
    elif _was_trained(model):
        pruner.keep_zeros()
    _PRUNERS[model] = pruner
    if earlier is None:
        _hook(model)
    # Keras makes its training function at the next training when there is none.
    model.train_function = None


def detach(model: Any) -> None:
    """Apply the masks of a pruned Keras 3 model and make it an ordinary one again."""
    pruner = _PRUNERS.pop(model, None)
    if pruner is None:
        return
    pruner.apply_masks()
    for weight in pruner.weights.values():
        # Turns -0.0 into 0.0, which files compress better.
        weight.assign(weight + 0.0)
    for name in _HOOKS:
        delattr(model, name)
    model.train_function = None


def is_pruned(model: Any) -> bool:
    """Return whether a Keras 3 model is pruned while it trains."""
    return model in _PRUNERS


def pruner_of(model: Any) -> Pruner:
    """Return the pruner of a Keras 3 model.

    Raises:
        ValueError: If the model is not pruned.
    """
    if model not in _PRUNERS:
        raise ValueError(
            f"The model {model.name!r} is not pruned, or was stripped since. Call "
            f"`prune_low_magnitude(model)` on this very model first."
        )
    return _PRUNERS[model]


def _hook(model: Any) -> None:
    own = {name: getattr(model, name) for name in _HOOKS}

    def fit(*args: Any, **kwargs: Any) -> Any:
        return pruner_of(model).fit(own["fit"], *args, **kwargs)

    def train_step(*args: Any, **kwargs: Any) -> Any:
        pruner_of(model).begin_step()
        return own["train_step"](*args, **kwargs)

    def make_train_function(force: bool = False) -> Any:
        if model.train_function is None or force:
            own["make_train_function"](force=True)
            compiled = model.train_function
            model.train_function = lambda iterator: pruner_of(model).run(compiled, iterator)
        return model.train_function

    # Keras calls these at the beginning of every evaluation and prediction.
    def make_test_function(force: bool = False) -> Any:
        pruner_of(model).apply_masks()
        return own["make_test_function"](force=force)

    def make_predict_function(force: bool = False) -> Any:
        pruner_of(model).apply_masks()
        return own["make_predict_function"](force=force)

    hooks = (fit, train_step, make_train_function, make_test_function, make_predict_function)
    for hook in hooks:
        setattr(model, hook.__name__, hook)


def _was_trained(model: Any) -> bool:
    optimizer = getattr(model, "optimizer", None)
    return optimizer is not None and int(np.asarray(optimizer.iterations)) > 0


def _beside(value: tf.Tensor) -> tf.Variable:
    """Make a variable that stands beside a model; replicas of it agree."""
    return tf.Variable(
        value, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
    )
