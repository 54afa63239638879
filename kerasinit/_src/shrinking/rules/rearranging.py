"""Channels through what only moves numbers: reshapes, concatenations, slices.

The layer or operation is run on numbers that say where each came from, so that no argument has to
be understood: position 7 of the output holds what was position 3 of the input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from scipy.sparse import coo_array

from kerasinit._src import compat
from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.rules.context import Context, UnknownChannelsError, as_array
from kerasinit._src.shrinking.steps import Rearranged

Run = Callable[[list[np.ndarray]], list[np.ndarray]]

# 32-bit integers would do, but layers turn their inputs into their own dtype.
_LARGEST = 2**24


@dataclass(frozen=True, eq=False)
class _Origin:
    """Where the positions of one axis of a target come from: numbers of positions, or 0."""

    axis: int
    rows: np.ndarray  # (positions, numbers in each)

    @property
    def first(self) -> np.ndarray:
        return self.rows[:, 0]


def rearranged(
    context: Context, run: Run, *, sized: bool = False, equal_parts: bool = False
) -> list[Signal]:
    """Follow numbers through a layer or operation that moves them.

    Args:
        context: The call.
        run: Runs it on arrays, one for each source.
        sized: Whether its arguments name positions, so that an axis with channels is kept unless
            it comes out as it went in.
        equal_parts: Whether it divides the axis of its channels into parts of one size.
    """
    targets = [Signal(shape, [None] * len(shape)) for shape in context.shapes]
    moves: list[tuple[Signal, int, Signal, int, Any]] = []
    strangers: dict[tuple[int, int], np.ndarray] = {}
    rounds = max((len(source.labelled) for source in context.sources), default=0)
    for number in range(rounds):
        labels, owners, grids = _numbered(context.sources, number)
        for target, grid in zip(targets, run(grids), strict=True):
            grid = grid.astype("int64")
            if grid.shape != target.shape:
                raise UnknownChannelsError(f"{context.name} returns an unexpected shape")
            if not grid.any():
                continue
            origin = _origin(context, grid, target)
            if target.axes[origin.axis] is not None:
                # Two axes with channels became one: the later is kept.
                context.channels.pin(labels[1:], f"{context.name} merges it with another axis")
                continue
            _place(context, origin, labels, owners, target, moves, strangers)
    if sized or equal_parts:
        _require_sizes(context, moves, targets, equal_parts)
    context.add(Rearranged(context.layer, context.sources, targets, moves, strangers))
    return targets


def _numbered(
    sources: Sequence[Signal], number: int
) -> tuple[Labels, list[tuple[Signal, int, int]], list[np.ndarray]]:
    """Number the positions of one labelled axis of each source, from 1."""
    labels: list[np.ndarray] = [np.zeros(1, "int64")]
    owners, grids, first = [], [], 1
    for source in sources:
        grid = np.zeros(source.shape, "int32")
        if number < len(source.labelled):
            axis = source.labelled[number]
            size = source.shape[axis]
            own = np.arange(first, first + size, dtype="int32")
            grid += own.reshape([-1 if place == axis else 1 for place in range(grid.ndim)])
            known = source.axes[axis]
            assert known is not None
            labels.append(known)
            owners.append((source, axis, first))
            first += size
        grids.append(grid)
    if first > _LARGEST:
        raise UnknownChannelsError("an axis of more than 16 million positions is not followed")
    return np.concatenate(labels), owners, grids


def _origin(context: Context, grid: np.ndarray, target: Signal) -> _Origin:
    """Return the axis of the target that carries the channels, which are coupled if need be."""
    rows = {
        axis: np.moveaxis(grid, axis, 0).reshape(grid.shape[axis], -1)
        for axis in range(1, grid.ndim)
        if grid.shape[axis] > 1 or grid.size == 1
    }
    pure = [axis for axis, one in rows.items() if (one == one[:, :1]).all()]
    pure.sort(key=lambda axis: len(np.unique(rows[axis][:, 0])))
    if pure:
        return _Origin(pure[-1], rows[pure[-1]][:, :1])
    if not rows:
        return _Origin(grid.ndim - 1, grid.reshape(grid.shape[-1], -1))
    for axis, one in rows.items():
        if _side_by_side(one, context.sources):
            return _Origin(axis, one)
    varying = [axis for axis, one in rows.items() if (one != one[:1]).any()]
    # A vector becomes an image: its last axis. A feature becomes (heads, numbers): the heads.
    is_vector = max(len(source.shape) for source in context.sources) == 2
    axis = varying[-1 if is_vector else 0]
    return _Origin(axis, rows[axis])


def _side_by_side(rows: np.ndarray, sources: Sequence[Signal]) -> bool:
    """Return whether each position holds the same position of all sources, as when stacked."""
    sizes = {source.shape[source.labelled[0]] for source in sources if source.labelled}
    if sizes != {len(rows)}:
        return False
    position = np.where(rows > 0, (rows - 1) % len(rows), np.arange(len(rows))[:, None])
    return bool((position == np.arange(len(rows))[:, None]).all())


def _place(
    context: Context,
    origin: _Origin,
    labels: Labels,
    owners: list[tuple[Signal, int, int]],
    target: Signal,
    moves: list[tuple[Signal, int, Signal, int, Any]],
    strangers: dict[tuple[int, int], np.ndarray],
) -> None:
    axis, rows = origin.axis, origin.rows
    made = np.where(rows[:, 0] > 0, labels[rows[:, 0]], -1)
    stranger = (rows == 0).any(1)
    for place in np.flatnonzero((rows != rows[:, :1]).any(1)):
        numbers = np.unique(rows[place])
        channels = labels[numbers[numbers > 0]]
        context.channels.couple_all(channels)
        made[place] = channels[0]
    unknown = made < 0
    if unknown.any():
        new = context.channels.new(int(unknown.sum()))
        made[unknown] = new
    if stranger.any():
        why = f"{context.name} joins it with a signal without channels"
        context.channels.pin(made[stranger], why)
        strangers[id(target), axis] = stranger
    target.axes[axis] = made
    for source, own, first in owners:
        size = source.shape[own]
        positions, columns = np.nonzero((rows >= first) & (rows < first + size))
        if not len(positions):
            continue
        origins = rows[positions, columns] - first
        pairs = np.unique(np.stack([positions, origins]), axis=1)
        matrix = coo_array(
            (np.ones(pairs.shape[1], "int64"), (pairs[0], pairs[1])), shape=(len(rows), size)
        )
        moves.append((source, own, target, axis, matrix))


def _require_sizes(
    context: Context,
    moves: list[tuple[Signal, int, Signal, int, Any]],
    targets: Sequence[Signal],
    equal_parts: bool,
) -> None:
    """Keep the channels whose positions an argument names, or make parts of one size alike."""
    for source in context.sources:
        for axis in source.labelled:
            mine = [one for one in moves if one[0] is source and one[1] == axis]
            if all(_is_identity(one[4]) for one in mine) and mine:
                continue
            if equal_parts and mine and len({one[4].shape[0] for one in mine}) == 1:
                first = mine[0][2].axes[mine[0][3]]
                for _, _, target, place, _ in mine[1:]:
                    context.channels.couple(first, target.axes[place])
                continue
            context.channels.pin(source.axes[axis], f"{context.name} chooses positions of it")


def _is_identity(matrix: Any) -> bool:
    size = matrix.shape[0]
    return (
        matrix.shape == (size, size)
        and len(matrix.row) == size
        and bool((np.sort(matrix.row) == np.arange(size)).all())
        and bool((matrix.row == matrix.col).all())
    )


def layer_run(context: Context) -> Run:
    """Return a layer as a function of arrays of whole numbers."""

    def run(grids: list[np.ndarray]) -> list[np.ndarray]:
        returned = context.layer(grids if len(grids) > 1 else grids[0])
        return [as_array(returned)]

    return run


def operation_run(context: Context) -> Run:
    """Return an operation in the graph as a function of arrays of whole numbers."""
    call = context.call
    assert call is not None

    def run(grids: list[np.ndarray]) -> list[np.ndarray]:
        values: dict[Any, Any] = {}
        for taken, grid in zip(call.taken, grids, strict=True):
            values[taken] = _tensor(call, grid)
        returned = call.run(values)
        if not isinstance(returned, list | tuple):
            returned = [returned]
        return [as_array(one) for one in returned]

    return run


def _tensor(call: Any, grid: np.ndarray) -> Any:
    if compat.kerase_of(call.model) == "tf_keras":
        import tensorflow as tf

        return tf.constant(grid)
    return keras.ops.convert_to_tensor(grid)


def layer_moves(context: Context) -> list[Signal]:
    """`Flatten`, `Permute`, `RepeatVector`, `Concatenate`."""
    context.variables()
    return rearranged(context, layer_run(context))


def reshape_layer(context: Context) -> list[Signal]:
    """`Reshape`, whose shape is adapted."""
    targets = layer_moves(context)
    _edit_sizes(context, targets[0], "target_shape", 1)
    return targets


def reshape_operation(context: Context) -> list[Signal]:
    """``reshape(x, shape)``, whose shape is adapted."""
    targets = rearranged(context, operation_run(context))
    for name in ("newshape", "shape"):
        _edit_sizes(context, targets[0], name, 0)
    return targets


def _edit_sizes(context: Context, target: Signal, name: str, first: int) -> None:
    def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
        if not isinstance(config.get(name), list | tuple):
            return
        sizes = list(config[name])
        for place in range(len(sizes)):
            labels = target.axes[place + first]
            if labels is not None and sizes[place] not in (-1, None):
                sizes[place] = count(labels)
        config[name] = sizes

    context.edit(edit)


def moving_operation(context: Context) -> list[Signal]:
    """An operation without sizes among its arguments, such as a transposition."""
    return rearranged(context, operation_run(context))


def choosing_operation(context: Context) -> list[Signal]:
    """An operation whose arguments name positions, such as a slice."""
    return rearranged(context, operation_run(context), sized=True)


def split_operation(context: Context) -> list[Signal]:
    """``split(x, n)``: parts of one size, or named positions."""
    call = context.call
    assert call is not None
    config = call.layer.get_config()
    parts = config.get("indices_or_sections", call.keywords.get("num_or_size_splits"))
    return rearranged(
        context, operation_run(context), sized=True, equal_parts=isinstance(parts, int)
    )
