"""What a step of a model does to channels: which are constant, and which are read.

Each step of `Channels.steps` takes `Signal`s and returns others. In the order of the data,
`constants` finds the channels whose value is a number, the same at every place of every example; in
the opposite order, `needs` finds those that can reach an output. What it must not be wrong about
are these two: a channel that is called constant or not needed is one.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasinit._src.shrinking.channels import Signal


class Facts:
    """What is known about the positions of each labelled axis of each signal."""

    def __init__(self) -> None:
        self._constant: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._needed: dict[tuple[int, int], np.ndarray] = defaultdict(lambda: np.zeros(0, bool))

    def constants(self, signal: Signal, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which positions are constant, and their values."""
        size = signal.shape[axis]
        none = np.zeros(size, bool), np.zeros(size)
        return self._constant.get((id(signal), axis), none)

    def set_constants(
        self, signal: Signal, axis: int, known: np.ndarray, values: np.ndarray
    ) -> None:
        """Record which positions are constant; NaN and infinite values are not."""
        known = known & np.isfinite(values)
        if known.any():
            self._constant[id(signal), axis] = known, np.where(known, values, 0.0)

    def needed(self, signal: Signal, axis: int) -> np.ndarray:
        """Return which positions are read by something that reaches an output."""
        return self._needed.get((id(signal), axis), np.zeros(signal.shape[axis], bool))

    def need(self, signal: Signal, axis: int, positions: np.ndarray) -> None:
        """Record that positions are read."""
        if signal.axes[axis] is not None:
            self._needed[id(signal), axis] = self.needed(signal, axis) | positions

    def need_all(self, signal: Signal, but: int | None = None) -> None:
        """Record that a signal is read whole, but for one axis."""
        for axis in signal.labelled:
            if axis == but:
                continue
            self.need(signal, axis, np.ones(signal.shape[axis], bool))

    def open(self, signal: Signal, axis: int) -> np.ndarray:
        """Return which positions are needed and not constant."""
        return self.needed(signal, axis) & ~self.constants(signal, axis)[0]

    def is_read(self, signal: Signal) -> bool:
        """Return whether anything of a signal is needed that is not constant."""
        return not signal.labelled or all(self.open(signal, a).any() for a in signal.labelled)


class Step:
    """A step: its signals, and why channels that it could let go are kept, if they are."""

    def __init__(self, layer: Any, sources: Sequence[Signal], targets: Sequence[Signal]) -> None:
        self.layer, self.sources, self.targets = layer, tuple(sources), tuple(targets)

    def constants(self, facts: Facts) -> None:
        """Record the constant channels of the targets, given those of the sources."""

    def needs(self, facts: Facts) -> None:
        """Record the needed channels of the sources, given those of the targets."""
        for source in self.sources:
            facts.need_all(source)

    def fold(self, facts: Facts, removed: Callable[[Signal, int], np.ndarray]) -> None:
        """Add the constants of removed channels to the next bias; see `kernel_steps`."""


class Whole(Step):
    """A step that is not known, or whose channels depend on one another: it needs everything."""


class Pointwise(Step):
    """A step that treats each channel alone, the same at every place.

    Args:
        layer: The layer.
        sources: Signals that are joined channel by channel, broadcast from the right.
        target: The result.
        axes: For each source, for each axis of the target, the axis of the source or None.
        evaluate: Called with arrays of the sources' number of axes, returns the target as an
            array; None: the only source unchanged.
        product: Whether a zero in one source makes the target zero.
        zero_only: Whether only zero stays constant, as where the borders are padded.
        whole: An axis of the sources on which ``evaluate`` wants the true size.
        mixed: Axes of the sources on which each position may change all others.
    """

    def __init__(
        self,
        layer: Any,
        sources: Sequence[Signal],
        target: Signal,
        axes: Sequence[Sequence[int | None]],
        evaluate: Callable[..., np.ndarray] | None = None,
        *,
        product: bool = False,
        zero_only: bool = False,
        whole: int | None = None,
        mixed: Sequence[int] = (),
    ) -> None:
        super().__init__(layer, sources, [target])
        self._whole, self._mixed = whole, tuple(mixed)
        self.axes, self._evaluate = axes, evaluate
        self._product, self._zero_only = product, zero_only

    def constants(self, facts: Facts) -> None:
        target = self.targets[0]
        for axis in target.labelled:
            size = target.shape[axis]
            known, zero = np.ones(size, bool), np.zeros(size, bool)
            filled = []
            for source, axes in zip(self.sources, self.axes, strict=True):
                given, values = self._given(facts, source, axes[axis], size)
                known &= given
                zero |= given & (values == 0)
                filled.append((source, axes[axis], values))
            if self._product:
                known |= zero
            if self._zero_only:
                known &= zero
            if not known.any():
                continue
            values = self._values(filled, axis, size)
            if values is not None:
                uniform, numbers = values
                facts.set_constants(target, axis, known & uniform, numbers)

    @staticmethod
    def _given(
        facts: Facts, source: Signal, axis: int | None, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        if axis is None or source.axes[axis] is None:
            return np.zeros(size, bool), np.zeros(size)
        known, values = facts.constants(source, axis)
        return known, values

    def _values(
        self, filled: list[tuple[Signal, int | None, np.ndarray]], axis: int, size: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return for each position whether the target is one number there, and the number."""
        if self._evaluate is None:
            return np.ones(size, bool), filled[0][2]
        arrays = []
        for source, own, values in filled:
            shape = [
                source.shape[a] if a in source.labelled or a == self._whole else 1
                for a in range(len(source.shape))
            ]
            array = np.zeros(shape)
            if own is not None and len(values) == source.shape[own]:
                array = array + values.reshape([-1 if a == own else 1 for a in range(len(shape))])
            arrays.append(array)
        result = np.asarray(self._evaluate(*arrays), dtype="float64")
        rows = np.moveaxis(result, axis, 0).reshape(result.shape[axis], -1)
        if len(rows) != size:
            return None
        return (rows == rows[:, :1]).all(1), rows[:, 0]

    def needs(self, facts: Facts) -> None:
        target = self.targets[0]
        if not facts.is_read(target):
            return
        for source, axes in zip(self.sources, self.axes, strict=True):
            for axis in source.labelled:
                mapped = [place for place, own in enumerate(axes) if own == axis]
                if axis not in self._mixed and mapped and target.axes[mapped[0]] is not None:
                    facts.need(source, axis, facts.open(target, mapped[0]))
                else:
                    facts.need(source, axis, np.ones(source.shape[axis], bool))


class Spread(Step):
    """A step in which a channel of the source makes several of the target, and no other does.

    Depthwise convolutions: position ``p`` of the target comes from ``origin[p]``.

    Args:
        layer: The layer.
        source: The input.
        target: The output.
        axis: The axis of the channels in both.
        origin: For each position of the target that of the source.
        totals: For each position of the target the sum of its weights.
        any_weight: Whether one of its weights is not zero.
        bias: Its bias.
        activation: A function of arrays, or None if it is not known.
        zero_only: Whether only zero stays constant.
    """

    def __init__(
        self,
        layer: Any,
        source: Signal,
        target: Signal,
        axis: int,
        origin: np.ndarray,
        *,
        totals: np.ndarray,
        any_weight: np.ndarray,
        bias: np.ndarray,
        activation: Callable[[np.ndarray], np.ndarray] | None,
        zero_only: bool,
    ) -> None:
        super().__init__(layer, [source], [target])
        self._axis, self._origin = axis, origin
        self._totals, self._any, self._bias = totals, any_weight, bias
        self._activation, self._zero_only = activation, zero_only

    def constants(self, facts: Facts) -> None:
        if self._activation is None:
            return
        source, target = self.sources[0], self.targets[0]
        known, values = facts.constants(source, self._axis)
        known, values = known[self._origin], values[self._origin]
        if self._zero_only:
            known = known & (values == 0)
        known = known | ~self._any
        if known.any():
            numbers = self._activation(np.where(known, values, 0) * self._totals + self._bias)
            facts.set_constants(target, self._axis, known, numbers)

    def needs(self, facts: Facts) -> None:
        source, target = self.sources[0], self.targets[0]
        read = facts.open(target, self._axis)
        if self._activation is None:  # which may read all of them
            read = np.full(len(read), facts.is_read(target))
        read = read & self._any
        needed = np.zeros(source.shape[self._axis], bool)
        np.logical_or.at(needed, self._origin, read)
        facts.need(source, self._axis, needed)
        for axis in source.labelled:
            if axis != self._axis:
                facts.need(source, axis, np.ones(source.shape[axis], bool))


class Rearranged(Step):
    """A step that only moves numbers: position ``p`` of a target axis is made of some of a source.

    Args:
        layer: The layer.
        sources: The inputs.
        targets: The outputs.
        moves: (source, its axis, target, its axis, matrix): whether a position of the target holds
            numbers of a position of the source.
        strangers: For (target, axis) the positions that also hold other numbers.
    """

    def __init__(
        self,
        layer: Any,
        sources: Sequence[Signal],
        targets: Sequence[Signal],
        moves: Sequence[tuple[Signal, int, Signal, int, Any]],
        strangers: dict[tuple[int, int], np.ndarray],
    ) -> None:
        super().__init__(layer, sources, targets)
        self._moves, self._strangers = moves, strangers

    def constants(self, facts: Facts) -> None:
        for target in self.targets:
            for axis in target.labelled:
                stranger = self._strangers.get((id(target), axis))
                size = target.shape[axis]
                known = np.ones(size, bool) if stranger is None else ~stranger
                low, high = np.full(size, np.inf), np.full(size, -np.inf)
                for source, own, other, where, matrix in self._moves:
                    if other is not target or where != axis:
                        continue
                    given, values = facts.constants(source, own)
                    known &= ~((matrix @ (~given).astype("int64")) > 0)
                    for positions, origins in ((matrix.row, matrix.col),):
                        np.minimum.at(low, positions, values[origins])
                        np.maximum.at(high, positions, values[origins])
                known &= low == high
                if known.any():
                    facts.set_constants(target, axis, known, np.where(known, low, 0.0))

    def needs(self, facts: Facts) -> None:
        moved: set[tuple[int, int]] = set()
        for source, own, target, axis, matrix in self._moves:
            moved.add((id(source), own))
            read = facts.open(target, axis) if target.labelled else np.ones(matrix.shape[0], bool)
            facts.need(source, own, (matrix.T @ read.astype("int64")) > 0)
        for source in self.sources:
            for axis in source.labelled:
                if (id(source), axis) not in moved:
                    facts.need(source, axis, np.ones(source.shape[axis], bool))


class Contracted(Step):
    """A sum over channels of products of two signals, such as query times key.

    Args:
        layer: The layer.
        sources: The two signals.
        target: The product.
        summed: The axis of each source that is summed over.
        kept: For each source, (its axis, the axis of the target) of the other labelled axes.
    """

    def __init__(
        self,
        layer: Any,
        sources: Sequence[Signal],
        target: Signal,
        summed: tuple[int, int],
        kept: Sequence[Sequence[tuple[int, int]]],
    ) -> None:
        super().__init__(layer, sources, [target])
        self._summed, self._kept = summed, kept

    def constants(self, facts: Facts) -> None:
        """Only what is zero on one side is zero in the target; nothing else is followed."""
        target = self.targets[0]
        for source, kept in zip(self.sources, self._kept, strict=True):
            for own, axis in kept:
                if target.axes[axis] is not None:
                    known, values = facts.constants(source, own)
                    before, _ = facts.constants(target, axis)
                    zero = before | (known & (values == 0))
                    facts.set_constants(target, axis, zero, np.zeros(len(zero)))

    def needs(self, facts: Facts) -> None:
        target = self.targets[0]
        if not facts.is_read(target):
            return
        one, other = self.sources
        live = np.ones(one.shape[self._summed[0]], bool)
        for source, axis in zip((one, other), self._summed, strict=True):
            if source.axes[axis] is not None:
                known, values = facts.constants(source, axis)
                live = live & ~(known & (values == 0))
        for source, axis, kept in zip((one, other), self._summed, self._kept, strict=True):
            by_axis = dict(kept)
            for own in source.labelled:
                if own == axis:
                    facts.need(source, own, live)
                elif own in by_axis and target.axes[by_axis[own]] is not None:
                    facts.need(source, own, facts.open(target, by_axis[own]))
                else:
                    facts.need(source, own, np.ones(source.shape[own], bool))


class Weighted(Step):
    """Values averaged with weights that sum to one, as by an attention: constants stay.

    Args:
        layer: The layer.
        value: What is averaged.
        others: What the weights are computed from.
        target: The average, with the channels of ``value`` on its axes.
        axes: (axis of the value, axis of the target).
        zero_only: Whether only zero stays constant, since masked places become zero.
    """

    def __init__(
        self,
        layer: Any,
        value: Signal,
        others: Sequence[Signal],
        target: Signal,
        axes: Sequence[tuple[int, int]],
        *,
        zero_only: bool = False,
    ) -> None:
        super().__init__(layer, [value, *others], [target])
        self._axes, self._zero_only = axes, zero_only

    def constants(self, facts: Facts) -> None:
        value, target = self.sources[0], self.targets[0]
        for own, axis in self._axes:
            if value.axes[own] is not None and target.axes[axis] is not None:
                known, values = facts.constants(value, own)
                if self._zero_only:
                    known = known & (values == 0)
                facts.set_constants(target, axis, known, values)

    def needs(self, facts: Facts) -> None:
        value, target = self.sources[0], self.targets[0]
        if not facts.is_read(target):
            return
        mapped = dict(self._axes)
        for own in value.labelled:
            axis = mapped.get(own)
            if axis is not None and target.axes[axis] is not None:
                facts.need(value, own, facts.open(target, axis))
            else:
                facts.need(value, own, np.ones(value.shape[own], bool))
        for other in self.sources[1:]:
            for own in other.labelled:
                # The weights have an axis of heads that the target has, too.
                axis = next(
                    (a for a in target.labelled if _same(other.axes[own], target.axes[a])), None
                )
                read = np.ones(other.shape[own], bool) if axis is None else facts.open(target, axis)
                facts.need(other, own, read)


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is not None and other is not None and np.array_equal(one, other)
