"""Identical units of a layer: they compute the same and may learn the same."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src.initializers import ICNR
from kerasinit._src.network.parts import Part


@dataclass(frozen=True)
class Twins:
    """The identical units of a kernel.

    Attributes:
        units: The number of units of the kernel.
        alike: How many of them have the weights and bias of another one.
        zero: How many of these are all zeros.
        together: How many of these also have the same gradient, and will stay identical.

    Example:
        See `kerasinit.diagnose`.
    """

    units: int
    alike: int
    zero: int
    together: int


def twins(
    part: Part, value: np.ndarray, gradient: np.ndarray | None, bias: np.ndarray | None
) -> Twins | None:
    """Count identical units of a kernel, with their bias, if there is one.

    None where equal columns are not identical units: kernels with one input, depthwise and grouped
    ones, whose units see different inputs, and those of `kerasinit.ICNR`, equal on purpose.
    """
    reading = part.reading
    if reading is None or reading.batch_axes or reading.groups > 1 or reading.fan_in < 2:
        return None
    if isinstance(getattr(part.layer, "kernel_initializer", None), ICNR):
        return None
    columns = _columns(value, reading)
    if bias is not None and bias.size == columns.shape[0] * reading.gates:
        columns = np.concatenate([columns, bias.reshape(reading.gates, -1).T], axis=1)
    keys = [row.tobytes() for row in columns + 0.0]  # no negative zeros
    counts = Counter(keys)
    gradients = [b""] * len(keys)
    if gradient is not None:
        gradients = [row.tobytes() for row in _columns(gradient, reading) + 0.0]
    both = Counter(zip(keys, gradients, strict=True))
    alike = [place for place, key in enumerate(keys) if counts[key] > 1]
    return Twins(
        len(keys),
        len(alike),
        sum(not columns[place].any() for place in alike),
        sum(both[keys[place], gradients[place]] > 1 for place in alike),
    )


def _columns(value: np.ndarray, reading: Any) -> np.ndarray:
    """Return a kernel with one row for each unit, the gates of a unit side by side."""
    moved = np.moveaxis(value, reading.output_axes, range(-len(reading.output_axes), 0))
    units = int(np.prod([value.shape[axis] for axis in reading.output_axes])) // reading.gates
    return moved.reshape(-1, reading.gates, units).transpose(2, 0, 1).reshape(units, -1)
