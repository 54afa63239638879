"""The examples that initializers are compared on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import streams
from kerasinit._src.training.data import Dataset, load

_FEWEST = 10
_MOST_HELD_OUT = 5000


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and labels in memory, examples first.

    Attributes:
        x: An array, or a list or dictionary of arrays.
        y: The same, as the loss takes them.
        name: What the report calls them.
    """

    x: Any
    y: Any
    name: str

    @property
    def size(self) -> int:
        """How many examples there are."""
        return len(tf.nest.flatten(self.x)[0])

    @property
    def described(self) -> dict[str, Any]:
        """What a build function may ask for: ``input_shape`` and ``num_classes``, where known."""
        found: dict[str, Any] = {}
        if isinstance(self.x, np.ndarray):
            found["input_shape"] = self.x.shape[1:]
        y = self.y
        if isinstance(y, np.ndarray):
            if np.issubdtype(y.dtype, np.integer) and y.size == len(y):
                found["num_classes"] = int(y.max()) + 1
            elif y.ndim == 2 and y.shape[1] > 1:
                found["num_classes"] = y.shape[1]
        return found

    def split(self, seed: int, held_out: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions to train on and those to measure on, the same for all.

        Args:
            seed: The comparison's seed.
            held_out: How many to measure on; None for a sixth, at most 5,000.

        Raises:
            ValueError: If that leaves nothing to train on.
        """
        size = min(_MOST_HELD_OUT, self.size // 6) if held_out is None else held_out
        if size >= self.size:
            raise ValueError(
                f"{self.name} has {self.size} examples; validation={size} leaves none to train on."
            )
        order = streams.generator(seed, "split", 0).permutation(self.size)
        return np.sort(order[size:]), np.sort(order[:size])

    def at(self, positions: np.ndarray) -> tuple[Any, Any]:
        """Return the inputs and labels at some positions."""
        return tf.nest.map_structure(lambda one: one[positions], (self.x, self.y))


def examples_of(data: Any) -> Examples:
    """Return data as examples, checked.

    Args:
        data: ``(x, y)``, a `kerasinit.lottery.Dataset`, of which the training part is taken,
            or what `kerasinit.lottery.load` takes.

    Raises:
        TypeError: If it is something else.
        ValueError: If lengths differ, there are too few examples, or values are not finite.
    """
    if isinstance(data, str):
        data = load(data)
    if isinstance(data, Dataset):
        return Examples(data.x_train, data.y_train, data.name)
    if not isinstance(data, tuple) or len(data) != 2:
        raise TypeError(
            f"Expected as data (x, y), arrays in memory, or a kerasinit.lottery.Dataset or the "
            f"name of one; got {type(data).__name__}."
        )
    x, y = (tf.nest.map_structure(_checked, part) for part in data)
    lengths = {len(one) for one in tf.nest.flatten((x, y))}
    if len(lengths) != 1:
        raise ValueError(
            f"x and y have {', '.join(map(str, sorted(lengths)))} examples; they must be as many."
        )
    if min(lengths) < _FEWEST:
        raise ValueError(f"{min(lengths)} examples are too few; give {_FEWEST} or more.")
    return Examples(x, y, "arrays")


def _checked(given: Any) -> np.ndarray:
    array = np.asarray(given)
    if not array.ndim or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise ValueError(
            f"Expected arrays of numbers, examples first; got {array.dtype} of shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("The data have values that are not finite (NaN or infinity).")
    # Models compute in float32; an array of NumPy's own float64 is meant as that.
    return array.astype(np.float32) if array.dtype == np.float64 else array
