"""The number of training steps that lie behind a pruned model."""

from typing import Any

import tensorflow as tf


class Counter:
    """Counts training steps, in the graph of a step or from outside of it.

    The graph has to count wherever a schedule looks at the number in the same call, or a
    call takes several steps. Where neither is so, it is cheaper to count calls in Python, and to
    write their number before a graph reads it: the smallest operation of a graph costs a
    hundredth of the step of a small network, and to read a variable from Python more.

    Args:
        start: Steps that lie behind.
    """

    def __init__(self, start: int) -> None:
        self._step = beside(tf.constant(start, tf.int64))
        # Training steps since the weights were last updated, with gradient accumulation.
        self._waiting = beside(tf.constant(0, tf.int64))
        # What was read, and the steps that Python alone has counted since.
        self._read, self._unwritten = (start, 0), 0

    @property
    def step(self) -> tf.Variable:
        """The number of steps; with gradient accumulation, of updates of the weights."""
        # Within a graph, whoever runs it has written the number before.
        if not tf.inside_function():
            self.write()
        return self._step

    @property
    def position(self) -> tuple[int, int]:
        """The number of steps, and of calls that wait for the next update of the weights."""
        if not self._unwritten:
            self._read = int(self._step.numpy()), int(self._waiting.numpy())
        step, waiting = self._read
        return step + self._unwritten, waiting

    def go_to(self, step: int, waiting: int) -> None:
        """Go on from an earlier `position`."""
        self.step.assign(step)
        self._waiting.assign(waiting)

    def count(self, every: int) -> Any:
        """Count one call, of which ``every`` make a step; return whether a step begins."""
        moves: Any = True
        if every > 1:
            moves = tf.equal(self._waiting, 0)
            self._waiting.assign(tf.math.floormod(self._waiting + 1, every))
        self.step.assign_add(tf.cast(moves, tf.int64))
        return moves

    def write(self) -> None:
        """Write the steps that were counted outside; before a graph that reads them runs."""
        if self._unwritten:
            step, waiting = self._read
            self._read = step + self._unwritten, waiting
            self._step.assign_add(self._unwritten)
            self._unwritten = 0

    def count_outside(self) -> None:
        """Count one step that a graph took without counting it.

        No other graph may have counted since `position` was asked for last.
        """
        self._unwritten += 1


def beside(value: tf.Tensor) -> tf.Variable:
    """Make a variable that stands beside a model; replicas of it agree."""
    return tf.Variable(
        value, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
    )
