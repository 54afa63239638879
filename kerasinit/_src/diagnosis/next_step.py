"""A trial step of the optimizer: its effect on the loss and the outputs."""

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat.fit_loss import FitLoss
from kerasinit._src.diagnosis.batch import Batch
from kerasinit._src.diagnosis.graph_pass import GraphPass
from kerasinit._src.diagnosis.heads import Head
from kerasinit._src.diagnosis.next_update import NextUpdate
from kerasinit._src.diagnosis.probes import probing
from kerasinit._src.theory import limits


@dataclass(frozen=True)
class Step:
    """What the next step of the compiled optimizer would do.

    Attributes:
        optimizer: The optimizer's class.
        rate: Its learning rate.
        scheduled: Whether the learning rate follows a schedule.
        layer: The layer it updates most, relative to the limit for a kernel of its size.
        weights: How many weights that layer's kernel has.
        ratio: Norm of the update of that layer's kernel over the norm of the kernel.
        loss: The loss of the same examples after the step.
    """

    optimizer: str
    rate: float
    scheduled: bool
    layer: str
    weights: int
    ratio: float
    loss: float


class KernelUpdate(NamedTuple):
    """The path of a layer, the size of its kernel, and its `Measure.update_ratio`."""

    layer: str
    weights: int
    ratio: float


def try_step(
    model: Any,
    batch: Batch,
    loss: FitLoss | GraphPass,
    update: NextUpdate,
    kernel_updates: list[KernelUpdate],
    heads: tuple[Head, ...],
    outputs: Any,
) -> tuple[Step | None, tuple[Head, ...]]:
    """Apply the next step to a model and return its effect; the caller restores the weights.

    ``heads`` and ``outputs`` are those before the step. The heads are returned with the distance
    that the step moves each. The step is None for a model without an optimizer.
    """
    if not kernel_updates or not update.after:
        return None, heads
    for variable in model.trainable_variables:
        if id(variable) in update.after:
            compat.assign(variable, update.after[id(variable)])
    with probing(model, None):
        after = model(batch.x, training=False)
        if isinstance(loss, GraphPass):
            new_loss = loss.loss()
        else:
            new_loss = float(loss(batch.x, batch.y, after, batch.weights))
    pairs = zip(tf.nest.flatten(outputs), tf.nest.flatten(after), strict=True)
    distances = [
        _distance(old, new) for old, new in pairs if old.dtype.is_floating and old.shape.rank
    ]
    heads = tuple(
        dataclasses.replace(head, moved=distance)
        for head, distance in zip(heads, distances, strict=True)
    )
    largest = max(
        kernel_updates, key=lambda kernel: kernel.ratio / limits.shortness(max(1, kernel.weights))
    )
    return Step(*update.described(), *largest, new_loss), heads


def _distance(before: Any, after: Any) -> float:
    old, new = (
        tf.cast(values, tf.float32).numpy().astype(np.float64) for values in (before, after)
    )
    return float(np.sqrt(np.square(new - old).mean()))
