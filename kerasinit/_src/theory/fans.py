"""Fan-in and fan-out of a kernel, computed from its shape.

`fan_in` determines the variance of the outputs of a layer, `fan_out` that of the gradient with
respect to its inputs (Glorot and Bengio, 2010).
"""

import math
from collections.abc import Iterable, Sequence

from kerasinit._src.troubleshooting import see

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
            f"input_axes and output_axes must be given together or not at all; got "
            f"input_axes={input_axes!r}, output_axes={output_axes!r}. {see('fans-of-a-kernel')}"
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
            f"Expected groups to divide the number of outputs; got groups={groups} for {outputs} "
            f"outputs. {see('fans-of-a-kernel')}"
        )
    return outputs // groups


def axes_by_role(
    shape: Sequence[int], input_axes: Iterable[int], output_axes: Iterable[int]
) -> tuple[list[int], list[int], list[int]]:
    """Return the non-negative input axes, output axes and batch axes (those in neither list)."""
    seen: dict[int, str] = {}
    inputs = _positions(shape, "input_axes", input_axes, seen)
    outputs = _positions(shape, "output_axes", output_axes, seen)
    return inputs, outputs, [axis for axis in range(len(shape)) if axis not in seen]


def _positions(
    shape: Sequence[int], name: str, axes: Iterable[int] | None, seen: dict[int, str]
) -> list[int]:
    """Return non-negative axes; ``seen`` maps the axes used so far to their argument."""
    positions = []
    for axis in axes or ():
        if not -len(shape) <= axis < len(shape):
            there = f"the shape {shape} has only the axes 0 to {len(shape) - 1}"
            there = there if shape else "a scalar has no axes"
            raise ValueError(f"{name} names axis {axis}, but {there}. {see('fans-of-a-kernel')}")
        position = axis % len(shape)
        if position in seen:
            raise ValueError(
                f"Axis {position} of the shape {shape} is named twice, in {seen[position]} and "
                f"in {name}; every axis has one role. {see('fans-of-a-kernel')}"
            )
        seen[position] = name
        positions.append(position)
    return positions
