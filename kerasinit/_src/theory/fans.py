"""How many inputs feed an output of a kernel, and how many outputs an input feeds: from its shape.

`fan_in` sets the variance of what a layer computes, `fan_out` that of the gradient
that it sends back (Glorot and Bengio, 2010).
"""

import math
from collections.abc import Iterable, Sequence

Fans = tuple[float, float]


def shape_fans(
    kernel: Sequence[int],
    input_axes: Iterable[int] | None = None,
    output_axes: Iterable[int] | None = None,
    batch_axes: Iterable[int] | None = None,
    groups: int = 1,
) -> Fans:
    """Return ``(fan_in, fan_out)`` of a kernel's shape; see `kerasinit.compute_fans`."""
    if isinstance(kernel, str) or not isinstance(kernel, Iterable):
        raise TypeError(f"Expected a layer, a model or the shape of a kernel; got {kernel!r}.")
    shape = tuple(int(size) for size in kernel)
    if (input_axes is None) != (output_axes is None):
        raise ValueError(
            f"input_axes and output_axes belong together: give both or neither; got "
            f"input_axes={input_axes!r}, output_axes={output_axes!r}."
        )
    seen: dict[int, str] = {}
    inputs = _positions(shape, "input_axes", input_axes, seen)
    outputs = _positions(shape, "output_axes", output_axes, seen)
    batch = _positions(shape, "batch_axes", batch_axes, seen)
    if input_axes is not None:
        fan_in = math.prod(shape[axis] for axis in inputs)
        fan_out = math.prod(shape[axis] for axis in outputs)
        return fan_in, _divided(fan_out, groups)

    shape = tuple(size for axis, size in enumerate(shape) if axis not in batch)
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return window * shape[-2], window * _divided(shape[-1], groups)


def _divided(outputs: int, groups: int) -> int:
    if groups < 1 or outputs % groups:
        raise ValueError(
            f"groups divides the outputs of a kernel into equal parts; got groups={groups} for "
            f"{outputs} outputs."
        )
    return outputs // groups


def axes_by_role(
    shape: Sequence[int], input_axes: Iterable[int], output_axes: Iterable[int]
) -> tuple[list[int], list[int], list[int]]:
    """Return which axes are inputs, which are outputs, and which of the rest number kernels.

    Args:
        shape: The kernel's shape.
        input_axes: Axes that are summed over; negative ones count from the end.
        output_axes: Axes that the result keeps.

    Returns:
        Three lists of positions from the front: inputs and outputs in the order given,
        and the batch axes, those that are in neither.

    Raises:
        ValueError: If an axis is out of range, or one is named twice.

    Example:
    >>> axes_by_role((4, 512, 8, 64), [1], [-2, -1])
    ([1], [2, 3], [0])
    """
    seen: dict[int, str] = {}
    inputs = _positions(shape, "input_axes", input_axes, seen)
    outputs = _positions(shape, "output_axes", output_axes, seen)
    return inputs, outputs, [axis for axis in range(len(shape)) if axis not in seen]


def _positions(
    shape: Sequence[int], name: str, axes: Iterable[int] | None, seen: dict[int, str]
) -> list[int]:
    """Return axes as positions from the front; ``seen`` says which are taken, by what."""
    positions = []
    for axis in axes or ():
        if not -len(shape) <= axis < len(shape):
            raise ValueError(
                f"{name} names axis {axis}, but the shape {shape} has only the axes 0 to "
                f"{len(shape) - 1}."
                if shape
                else f"{name} names axis {axis}, but a scalar has no axes."
            )
        position = axis % len(shape)
        if position in seen:
            raise ValueError(
                f"Axis {position} of the shape {shape} is named twice, in {seen[position]} and "
                f"in {name}; every axis has one role."
            )
        seen[position] = name
        positions.append(position)
    return positions
