"""How layers read their kernels; `network.catalogue` assigns a reading to each layer class."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reading:
    """How a layer reads one of its kernels.

    Attributes:
        fan_in: The number of inputs per output, averaged over the outputs.
        fan_out: The number of outputs per input, averaged over the inputs.
        input_axes: Axes that are summed over, including windows.
        output_axes: Axes that the result keeps.
        batch_axes: Axes of independent kernels.
        gates: The number of kernels side by side on the last axis.
        groups: The number of groups of a convolution.
        by_shape: Whether the layer is unknown and the shape was read as Keras does.
    """

    fan_in: float
    fan_out: float
    input_axes: tuple[int, ...]
    output_axes: tuple[int, ...]
    batch_axes: tuple[int, ...] = ()
    gates: int = 1
    groups: int = 1
    by_shape: bool = False


Reader = Callable[[Any, tuple[int, ...]], Reading]


def by_shape_alone(shape: tuple[int, ...]) -> Reading:
    """Return Keras' reading of a kernel of this shape, whatever its layer does."""
    window = math.prod(shape[:-2])
    last = len(shape) - 1
    return Reading(
        window * shape[-2], window * shape[-1], tuple(range(last)), (last,), by_shape=True
    )


def matrix(layer: Any, shape: tuple[int, ...]) -> Reading:
    """Read a matrix of inputs by outputs."""
    return Reading(shape[0], shape[1], (0,), (1,))


def gated(gates: int) -> Reader:
    """Return the reader of a kernel with several gates side by side on its last axis."""

    def read(layer: Any, shape: tuple[int, ...]) -> Reading:
        last = len(shape) - 1
        window = math.prod(shape[:-2])
        return Reading(
            window * shape[-2],
            window * shape[-1] // gates,
            tuple(range(last)),
            (last,),
            gates=gates,
        )

    return read


def embeddings(layer: Any, shape: tuple[int, ...]) -> Reading:
    """Read the rows of a look-up table."""
    # A look-up takes one row: one input feeds each output.
    return Reading(1, shape[1], (0,), (1,))


def convolution(layer: Any, shape: tuple[int, ...]) -> Reading:
    """Read the kernel of a plain convolution."""
    # The kernel's input axis counts the channels of one group. With strides, an input is covered
    # by fewer positions of the window, which reduces the gradient.
    window, last = math.prod(shape[:-2]), len(shape) - 1
    groups = getattr(layer, "groups", 1)
    fan_out = _ratio(window * shape[-1], groups * _area(layer))
    return Reading(window * shape[-2], fan_out, tuple(range(last)), (last,), groups=groups)


def transposed(layer: Any, shape: tuple[int, ...]) -> Reading:
    """Read the kernel of a transposed convolution."""
    # Inputs lie `strides` apart, so that many fewer of them reach an output.
    window, last = math.prod(shape[:-2]), len(shape) - 1
    inputs = (*range(last - 1), last)
    return Reading(
        _ratio(window * shape[-1], _area(layer)), window * shape[-2], inputs, (last - 1,)
    )


def depthwise(layer: Any, shape: tuple[int, ...]) -> Reading:
    """Read the kernel of a depthwise convolution."""
    # Each channel has its own kernels, which read that channel alone.
    window, last = math.prod(shape[:-2]), len(shape) - 1
    fan_out = _ratio(window * shape[-1], _area(layer))
    return Reading(window, fan_out, tuple(range(last - 1)), (last,), (last - 1,))


def pointwise(layer: Any, shape: tuple[int, ...]) -> Reading:
    """Read the kernel of a convolution whose window is 1."""
    last = len(shape) - 1
    return Reading(shape[-2], shape[-1], tuple(range(last)), (last,))


def local(layer: Any, shape: tuple[int, ...]) -> Reading:
    """Read the kernel of a locally connected layer."""
    # (positions, window * inputs, outputs), the default layout of tf_keras.
    if len(shape) != 3 or layer.implementation != 1:
        return by_shape_alone(shape)
    return Reading(shape[1], shape[2], (1,), (2,), (0,))


def einsum(layer: Any, shape: tuple[int, ...]) -> Reading:
    """Read the kernel of an EinsumDense, by its equation."""
    inputs, _, rest = layer.equation.replace(" ", "").partition(",")
    weights, _, outputs = rest.partition("->")
    axes = range(len(shape))
    batch = tuple(axis for axis in axes if weights[axis] in inputs and weights[axis] in outputs)
    kept = tuple(axis for axis in axes if weights[axis] in outputs and axis not in batch)
    summed = tuple(axis for axis in axes if axis not in batch and axis not in kept)
    return Reading(
        math.prod(shape[axis] for axis in summed),
        math.prod(shape[axis] for axis in kept),
        summed,
        kept,
        batch,
    )


def _area(layer: Any) -> int:
    strides = getattr(layer, "strides", 1)
    return math.prod(strides) if isinstance(strides, list | tuple) else int(strides)


def _ratio(over: int, under: int) -> float:
    return over // under if over % under == 0 else over / under


def recurrent(gates: int) -> dict[str, tuple[str, Reader]]:
    """Return the roles and readers of the kernels of a cell with this number of gates."""
    return {
        "kernel": ("kernel", gated(gates)),
        "recurrent_kernel": ("recurrent_kernel", gated(gates)),
    }
