"""Steps through weights: kernels of any layer, and recurrent layers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src.shrinking.channels import Signal
from kerasinit._src.shrinking.steps import Facts, Step

Activation = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Dimension:
    """An axis of a kernel that belongs to an axis of the input, of the output, or of both."""

    source: int | None = None
    target: int | None = None


class KernelStep(Step):
    """A product with a kernel: Dense, EinsumDense, convolutions, embeddings.

    Args:
        layer: The layer that owns the kernel.
        source: The input; None for an embedding, whose table alone makes the output.
        target: The output.
        dimensions: The axes of ``links``.
        links: Whether any weight between these positions is not zero.
        totals: The sum of the weights between these positions.
        bias: Its bias, for the dimensions with a target, in their order.
        activation: A function of arrays; None if what it does to channels is not known.
        zero_only: Whether only zeros can be removed from the input, since the borders are padded.
        on_fold: Called with what to add to the bias, for the dimensions with a target.
    """

    def __init__(
        self,
        layer: Any,
        source: Signal | None,
        target: Signal,
        dimensions: Sequence[Dimension],
        links: np.ndarray,
        totals: np.ndarray,
        bias: np.ndarray,
        activation: Activation | None,
        *,
        zero_only: bool,
        on_fold: Callable[[np.ndarray], None] | None,
    ) -> None:
        super().__init__(layer, [] if source is None else [source], [target])
        self._dimensions, self._links, self._totals = tuple(dimensions), links, totals
        self._bias, self._activation = bias, activation
        self._zero_only, self._on_fold = zero_only, on_fold

    def _shaped(self, values: np.ndarray, place: int) -> np.ndarray:
        """Return values along one dimension, so that they broadcast against the links."""
        return values.reshape([-1 if d == place else 1 for d in range(self._links.ndim)])

    def _given(self, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
        """Return where the input is a constant that can be added to the bias, and the constant."""
        known, numbers = np.zeros((1,) * self._links.ndim, bool), np.zeros((1,) * self._links.ndim)
        for place, one in enumerate(self._dimensions):
            if one.source is None or self.sources[0].axes[one.source] is None:
                continue
            mask, values = facts.constants(self.sources[0], one.source)
            if self._zero_only or self._on_fold is None:
                mask = mask & (values == 0)
            mask, values = self._shaped(mask, place), self._shaped(values, place)
            numbers = np.where(known, numbers, np.where(mask, values, 0.0))
            known = known | mask
        return known, numbers

    def _over(self, *, targets: bool) -> tuple[int, ...]:
        """The dimensions with a target, or those without."""
        return tuple(
            place
            for place, one in enumerate(self._dimensions)
            if (one.target is not None) == targets
        )

    def constants(self, facts: Facts) -> None:
        if self._activation is None:
            return
        known, numbers = self._given(facts)
        unknown = self._links & ~known
        summed, kept = self._over(targets=False), self._over(targets=True)
        amount = np.where(known, numbers * self._totals, 0.0).sum(summed) + self._bias
        unknown = np.asarray(unknown.any(summed))
        target = self.targets[0]
        for place, dimension in enumerate(kept):
            axis = self._dimensions[dimension].target
            assert axis is not None
            if target.axes[axis] is None:
                continue
            size = target.shape[axis]
            rows = np.moveaxis(amount, place, 0).reshape(size, -1)
            varying = np.moveaxis(unknown, place, 0).reshape(size, -1).any(1)
            constant = ~varying & (rows == rows[:, :1]).all(1)
            if constant.any():
                facts.set_constants(target, axis, constant, self._activation(rows[:, 0]))

    def needs(self, facts: Facts) -> None:
        if not self.sources:
            return
        source, target = self.sources[0], self.targets[0]
        live = self._links & ~self._given(facts)[0]
        if self._activation is None:  # which may read all of them
            live = live & facts.is_read(target)
        else:
            for place, one in enumerate(self._dimensions):
                if one.target is not None:
                    live = live & self._shaped(facts.open(target, one.target), place)
        by_kernel = {one.source: place for place, one in enumerate(self._dimensions)}
        for axis in source.labelled:
            if axis in by_kernel:
                others = tuple(d for d in range(live.ndim) if d != by_kernel[axis])
                facts.need(source, axis, np.asarray(live.any(others)))
            elif axis < len(target.axes) and target.axes[axis] is not None:
                facts.need(source, axis, facts.needed(target, axis))  # such as heads, before Dense
            else:
                facts.need(source, axis, np.ones(source.shape[axis], bool))

    def fold(self, facts: Facts, removed: Callable[[Signal, int], np.ndarray]) -> None:
        if not self.sources:
            return
        known, numbers = self._given(facts)
        out = np.zeros((1,) * self._links.ndim, bool)
        for place, one in enumerate(self._dimensions):
            if one.source is not None and self.sources[0].axes[one.source] is not None:
                out = out | self._shaped(removed(self.sources[0], one.source), place)
        amount = np.where(out & known, numbers * self._totals, 0.0).sum(self._over(targets=False))
        if amount.any():
            assert self._on_fold is not None
            self._on_fold(amount)


@dataclass(frozen=True, eq=False)
class Gates:
    """The weights of a recurrent cell, as an array over (inputs or units, gates, units).

    Attributes:
        kernel: What multiplies the input.
        recurrent: What multiplies the state.
        bias: The sum of all biases, over (gates, units).
        candidate: The gate whose zero keeps the state at zero: for an LSTM that of the cell.
    """

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    candidate: int


class RecurrentStep(Step):
    """A recurrent layer: its units read the input and one another.

    Args:
        layer: The layer.
        source: The sequence.
        states: Initial states given by another layer.
        targets: The output, and the states if they are returned.
        axes: The axis of the channels of the source and of each target.
        gates: The weights.
        keeps_zero: Whether the activations map zero to zero.
        on_fold: Called with what to add to the bias, over (gates, units); None without a bias.
    """

    def __init__(
        self,
        layer: Any,
        source: Signal,
        states: Sequence[Signal],
        targets: Sequence[Signal],
        gates: Gates,
        *,
        keeps_zero: bool,
        on_fold: Callable[[np.ndarray], None] | None,
    ) -> None:
        super().__init__(layer, [source, *states], targets)
        self._gates, self._on_fold = gates, on_fold
        # From a state that is given, units need not start at zero.
        self._keeps_zero = keeps_zero and not states
        self._in_links = (gates.kernel != 0).any(1)
        self._unit_links = (gates.recurrent != 0).any(1)
        self._idle = np.zeros(self._in_links.shape[1], bool)

    def _given(self, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
        source = self.sources[0]
        known, values = facts.constants(source, source.last)
        if self._on_fold is None:
            known = known & (values == 0)
        return known, values

    def constants(self, facts: Facts) -> None:
        """Find the units that stay at zero: their candidate has no bias and no live input."""
        if not self._keeps_zero:
            return
        gates, source = self._gates, self.sources[0]
        known, values = facts.constants(source, source.last)
        silent = known & (values == 0)
        from_inputs = gates.kernel[:, gates.candidate] != 0
        from_units = gates.recurrent[:, gates.candidate] != 0
        idle = (gates.bias[gates.candidate] == 0) & ~from_inputs[~silent].any(0)
        while True:
            fewer = idle & ~from_units[~idle].any(0)
            if (fewer == idle).all():
                break
            idle = fewer
        self._idle = idle
        for target in self.targets:
            facts.set_constants(target, target.last, idle, np.zeros(len(idle)))

    def needs(self, facts: Facts) -> None:
        needed = np.zeros(len(self._idle), bool)
        for target in self.targets:
            needed |= facts.open(target, target.last)
        while True:
            more = needed | ((self._unit_links & needed).any(1) & ~self._idle)
            if (more == needed).all():
                break
            needed = more
        for target in self.targets:  # the axis of the units is one for all
            facts.need(target, target.last, needed)
        source = self.sources[0]
        axis = source.last
        facts.need_all(source, but=axis)  # such as steps of time
        facts.need(source, axis, (self._in_links & needed).any(1) & ~self._given(facts)[0])
        for state in self.sources[1:]:
            facts.need(state, state.last, needed)

    def fold(self, facts: Facts, removed: Callable[[Signal, int], np.ndarray]) -> None:
        source = self.sources[0]
        axis = source.last
        if source.axes[axis] is None or self._on_fold is None:
            return
        known, values = self._given(facts)
        out = removed(source, axis) & known
        amount = (self._gates.kernel * np.where(out, values, 0.0)[:, None, None]).sum(0)
        if amount.any():
            self._on_fold(amount)
