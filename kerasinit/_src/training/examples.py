"""The examples that initializers are compared on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src.training.classes import MIN_EXAMPLES
from kerasinit._src.training.data import Dataset, load, split_positions

_MAX_HELD_OUT = 5000


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and labels in memory, examples first: arrays, or lists or dictionaries of arrays.

    ``name`` is what reports call them.
    """

    x: Any
    y: Any
    name: str

    @property
    def size(self) -> int:
        """The number of examples."""
        return len(tf.nest.flatten(self.x)[0])

    @property
    def described(self) -> dict[str, Any]:
        """The arguments for a build function: ``input_shape`` and ``num_classes``, where known."""
        arguments: dict[str, Any] = {}
        if isinstance(self.x, np.ndarray):
            arguments["input_shape"] = self.x.shape[1:]
        y = self.y
        if isinstance(y, np.ndarray):
            if np.issubdtype(y.dtype, np.integer) and y.size == len(y):
                arguments["num_classes"] = int(y.max()) + 1
            elif y.ndim == 2 and y.shape[1] > 1:
                arguments["num_classes"] = y.shape[1]
        return arguments

    def split(self, seed: int, held_out: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions to train on and those held out: a sixth, at most 5,000, for None."""
        held_out = min(_MAX_HELD_OUT, self.size // 6) if held_out is None else held_out
        if held_out >= self.size:
            raise ValueError(
                f"{self.name} has {self.size} examples; validation={held_out} leaves none to train "
                f"on."
            )
        return split_positions(self.size, held_out, seed)

    def at(self, positions: np.ndarray) -> tuple[Any, Any]:
        """Return the inputs and labels at the given positions."""
        return tf.nest.map_structure(lambda one: one[positions], (self.x, self.y))


def examples_of(data: Any) -> Examples:
    """Return ``data`` as checked examples.

    It may be ``(x, y)``, a `kerasinit.lottery.Dataset`, whose training part is used, or its name.
    """
    if isinstance(data, str):
        data = load(data)
    if isinstance(data, Dataset):
        return Examples(data.x_train, data.y_train, data.name)
    if not isinstance(data, tuple) or len(data) != 2:
        raise TypeError(
            f"Expected data to be (x, y), arrays in memory, or a kerasinit.lottery.Dataset or the "
            f"name of one; got {type(data).__name__}."
        )
    x, y = (tf.nest.map_structure(_checked, part) for part in data)
    lengths = {len(one) for one in tf.nest.flatten((x, y))}
    if len(lengths) != 1:
        raise ValueError(
            f"x and y have {', '.join(map(str, sorted(lengths)))} examples; the numbers must "
            f"be equal."
        )
    if min(lengths) < MIN_EXAMPLES:
        raise ValueError(f"{min(lengths)} examples are too few; give {MIN_EXAMPLES} or more.")
    return Examples(x, y, "arrays")


def _checked(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if not array.ndim or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise ValueError(
            f"Expected arrays of numbers, examples first; got {array.dtype} of shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("The data have values that are not finite (NaN or infinity).")
    # Models compute in float32; float64 is only NumPy's default.
    return array.astype(np.float32) if array.dtype == np.float64 else array
