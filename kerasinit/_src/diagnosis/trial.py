"""The next step of the optimizer, taken for a try: what it does to loss and outputs."""

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
        scheduled: Whether that comes from a schedule.
        layer: The layer that it moves most, by what chance leaves to a kernel of its size.
        weights: How many numbers that layer's kernel has.
        ratio: Length of the update of that layer's kernel over that of the kernel.
        loss: The loss of the same examples after it.
    """

    optimizer: str
    rate: float
    scheduled: bool
    layer: str
    weights: int
    ratio: float
    loss: float


class Moved(NamedTuple):
    """How far a layer's kernel is moved: path, number of weights, and `Measure.update_ratio`."""

    layer: str
    weights: int
    ratio: float


def trial(
    model: Any,
    batch: Batch,
    loss: FitLoss | GraphPass,
    update: NextUpdate,
    moved: list[Moved],
    heads: tuple[Head, ...],
    outputs: Any,
) -> tuple[Step | None, tuple[Head, ...]]:
    """Give a model the weights that the next step makes, and return what comes of them.

    Args:
        model: The model; the caller puts its weights back.
        batch: The examples.
        loss: Their loss, or the pass that computes it in a graph.
        update: The step, taken on copies.
        moved: The kernels that it moves.
        heads: The outputs before it.
        outputs: What the model returned before it.

    Returns:
        The step, and the heads with how far it moves each; None for a model without optimizer.
    """
    if not moved or not update.after:
        return None, heads
    for variable in model.trainable_variables:
        if id(variable) in update.after:
            compat.assign(variable, update.after[id(variable)])
    with probing(model, None):
        after = model(batch.x, training=False)
        if isinstance(loss, GraphPass):
            scalar = loss.loss()
        else:
            scalar = float(loss(batch.x, batch.y, after, batch.weights))
    pairs = zip(tf.nest.flatten(outputs), tf.nest.flatten(after), strict=True)
    steps = [_distance(*pair) for pair in pairs if pair[0].dtype.is_floating and pair[0].shape.rank]
    heads = tuple(
        dataclasses.replace(head, moved=distance)
        for head, distance in zip(heads, steps, strict=True)
    )
    most = max(moved, key=lambda one: one.ratio / limits.shortness(max(1, one.weights)))
    optimizer, rate, scheduled = update.described()
    return Step(optimizer, rate, scheduled, *most, scalar), heads


def _distance(before: Any, after: Any) -> float:
    old, new = (tf.cast(one, tf.float32).numpy().astype(np.float64) for one in (before, after))
    return float(np.sqrt(np.square(new - old).mean()))
