"""A training of a tf_keras model, which tfmot prunes, and what is done here besides.

Evaluation leaves the weights alone, and what the training has not done for its schedule, of which
tfmot is silent, is reported.
"""

import weakref
from typing import Any

from kerasinit._src.pruning import hindsight
from kerasinit._src.pruning.hindsight import Sparsity
from kerasinit._src.pruning.tfmot_bridge import tfmot, wrappers
from kerasinit._src.pruning.tfmot_views import Views

# Models of which it was said that they are less sparse than they were to be.
_SAID: weakref.WeakSet[Any] = weakref.WeakSet()


class TfmotTraining:
    """One training of a tf_keras model, with the methods of `session.Training`.

    Args:
        model: A model with tfmot's wrapper layers.

    Attributes:
        views: The methods by which others look at the model.
    """

    def __init__(self, model: Any) -> None:
        self._model, self.views = model, Views(model)
        self._tfmot = tfmot().UpdatePruningStep()
        self._tfmot.set_model(model)
        self._announced: int | None = None
        self._last: int | None = None
        self._reached: Sparsity | None = None

    def begin(self) -> None:
        """Let tfmot number the steps."""
        self._tfmot.on_train_begin()
        self.views.begin()

    def begin_epoch(self, epoch: int, batches: int | None, epochs: int, every: int) -> None:
        """See at the first epoch how many steps there will be.

        Args:
            epoch: The epoch that begins.
            batches: Training steps in an epoch, None if unknown.
            epochs: The epoch at which the training will end.
            every: Always 1: optimizers of tf_keras update the weights at every step.
        """
        if self._last is None and batches is not None:
            self._announced = _step(self._model) + (epochs - epoch) * batches
        self._last = _step(self._model)

    def end_epoch(self) -> None:
        """Let tfmot mask the weights, and remember how far the training has come."""
        self._tfmot.on_epoch_end(None)
        self._last, self._reached = _step(self._model), _sparsity(self._model)

    def end(self) -> None:
        """Report what is missing, now that the training is over."""
        self._tfmot.on_train_end()
        self.views.end()
        messages: list[str | None] = []
        if self._announced is not None and self._last is not None:
            messages += [
                hindsight.ended_early(schedule, self._last, self._announced)
                for schedule in _schedules(self._model)
            ]
        if self._reached is not None:
            messages.append(hindsight.weights_put_back(_sparsity(self._model), self._reached))
        if hindsight.say(messages):
            _SAID.add(self._model)
        else:
            _SAID.discard(self._model)


def say_what_is_missing(model: Any) -> None:
    """Say of a model that is stripped what its schedules had still to do, unless it was said."""
    if model not in _SAID and _step(model) > 0:
        step = _step(model)
        hindsight.say(hindsight.short_of_the_end(one, step) for one in _schedules(model))


def _step(model: Any) -> int:
    return max((int(layer.pruning_step.numpy()) for layer in wrappers(model)), default=0)


def _schedules(model: Any) -> list[Any]:
    # Two out of four are chosen once, whatever the schedule.
    return [layer.pruning_schedule for layer in wrappers(model) if layer.sparsity_m_by_n is None]


def _sparsity(model: Any) -> Sparsity:
    masks = [mask.numpy() for layer in wrappers(model) for _, mask, _ in layer.pruning_vars]
    half = any(mask.dtype.itemsize < 4 for mask in masks)
    return Sparsity(
        {str(place): float((mask == 0).mean()) for place, mask in enumerate(masks)},
        {str(place): mask.size for place, mask in enumerate(masks)},
        0.02 if half else 1e-6,
    )
