"""How many inputs feed an output of a kernel, and how many outputs an input feeds.

`fan_in` sets the variance of what a layer computes, `fan_out` that of the gradient
that it sends back (Glorot and Bengio, 2010). Both are counted here, and only here.
"""

import math
from collections.abc import Iterable, Sequence


def compute_fans(
    shape: Sequence[int],
    input_axes: Iterable[int] | None = None,
    output_axes: Iterable[int] | None = None,
    batch_axes: Iterable[int] | None = None,
) -> tuple[int, int]:
    """Return ``(fan_in, fan_out)`` of a kernel of the given shape.

    Without axes the shape is read as Keras does: ``()`` has fans of 1, ``(n,)`` of
    ``n``, ``(fan_in, fan_out)`` is a matrix, and anything longer is a convolution,
    ``(*window, inputs, outputs)``, whose fans are multiplied by the size of the
    window. A shape alone cannot tell a convolution from the kernel of an attention
    head; a layer that knows better says which axes are which.

    Formula: with axes, ``fan_in = prod(shape[a] for a in input_axes)`` and
    ``fan_out = prod(shape[a] for a in output_axes)``.

    Args:
        shape: The kernel's shape.
        input_axes: Axes that are summed over; negative ones count from the end.
            Given together with ``output_axes`` or not at all.
        output_axes: Axes that the result keeps.
        batch_axes: Axes that number kernels which do not meet, such as experts. They
            count in neither fan; without the other axes they are left out and the
            rest is read as above.

    Returns:
        Two integers; 0 where an axis is empty.

    Raises:
        ValueError: If only one of ``input_axes`` and ``output_axes`` is given, an
            axis is out of range, or one is named twice.

    Example:
    >>> compute_fans((3, 3, 64, 128))
    (576, 1152)
    >>> compute_fans((512, 8, 64), input_axes=[0], output_axes=[1, 2])
    (512, 512)
    >>> compute_fans((4, 512, 256), batch_axes=[0])
    (512, 256)

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep
        feedforward neural networks", section 4.2.
    """
    shape = tuple(int(size) for size in shape)
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
        return math.prod(shape[a] for a in inputs), math.prod(shape[a] for a in outputs)

    shape = tuple(size for axis, size in enumerate(shape) if axis not in batch)
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


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
    shape: tuple[int, ...], name: str, axes: Iterable[int] | None, seen: dict[int, str]
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
