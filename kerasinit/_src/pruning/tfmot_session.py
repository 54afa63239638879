"""Extends tfmot's pruning of tf_keras models.

Evaluation does not change the weights, and there is a warning if a network ends less sparse than
intended.
"""

import weakref
from typing import Any

from kerasinit._src.pruning import shortfalls
from kerasinit._src.pruning.shortfalls import Sparsity
from kerasinit._src.pruning.tfmot_bridge import tfmot, wrappers
from kerasinit._src.pruning.tfmot_views import TfmotViews

# Models for which a warning about missing sparsity was issued.
_SAID: weakref.WeakSet[Any] = weakref.WeakSet()


class TfmotSession:
    """One training run of a wrapped tf_keras model, with the methods of `session.Session`."""

    def __init__(self, model: Any) -> None:
        self._model, self.views = model, TfmotViews(model)
        self._tfmot = tfmot().UpdatePruningStep()
        self._tfmot.set_model(model)
        self._announced: int | None = None
        self._last: int | None = None
        self._reached: Sparsity | None = None

    def begin(self) -> None:
        """Let tfmot count the steps."""
        self._tfmot.on_train_begin()
        self.views.begin()

    def begin_epoch(self, epoch: int, batches: int | None, epochs: int, every: int) -> None:
        """Compute the number of steps at the first epoch; see `Session.begin_epoch`."""
        if self._last is None and batches is not None:
            self._announced = _step(self._model) + (epochs - epoch) * batches
        self._last = _step(self._model)

    def end_epoch(self) -> None:
        """Let tfmot mask the weights, and record the step and sparsity."""
        self._tfmot.on_epoch_end(None)
        self._last, self._reached = _step(self._model), _sparsity(self._model)

    def end(self) -> None:
        """Warn if training has ended with less sparsity than intended."""
        self._tfmot.on_train_end()
        self.views.end()
        messages: list[str | None] = []
        if self._announced is not None and self._last is not None:
            messages += [
                shortfalls.ended_early(schedule, self._last, self._announced)
                for schedule in _schedules(self._model)
            ]
        if self._reached is not None:
            messages.append(shortfalls.weights_restored(_sparsity(self._model), self._reached))
        if shortfalls.warn(messages):
            _SAID.add(self._model)
        else:
            _SAID.discard(self._model)


def warn_of_shortfalls(model: Any) -> None:
    """Warn, unless reported, if the schedules of a stripped model were not finished."""
    if model not in _SAID and _step(model) > 0:
        step = _step(model)
        shortfalls.warn(shortfalls.stripped_early(one, step) for one in _schedules(model))


def _step(model: Any) -> int:
    return max((int(layer.pruning_step.numpy()) for layer in wrappers(model)), default=0)


def _schedules(model: Any) -> list[Any]:
    # An m-by-n mask is chosen once, whatever the schedule.
    return [layer.pruning_schedule for layer in wrappers(model) if layer.sparsity_m_by_n is None]


def _sparsity(model: Any) -> Sparsity:
    masks = [mask.numpy() for layer in wrappers(model) for _, mask, _ in layer.pruning_vars]
    half = any(mask.dtype.itemsize < 4 for mask in masks)
    return Sparsity(
        {str(place): float((mask == 0).mean()) for place, mask in enumerate(masks)},
        {str(place): mask.size for place, mask in enumerate(masks)},
        0.02 if half else 1e-6,
    )
