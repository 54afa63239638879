"""The examples of a diagnosis: checked, truncated, and cast as in `fit`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src.compat import fit_loss
from kerasinit._src.troubleshooting import see

_FEWEST = 2  # the similarity between examples needs two


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs in the structure that the model takes, labels and sample weights, as tensors."""

    x: Any
    y: Any = None
    weights: Any = None

    @property
    def size(self) -> int:
        """The number of examples."""
        return int(tf.nest.flatten(self.x)[0].shape[0])

    @property
    def alike(self) -> str:
        """``"zero"`` if all examples are zero, ``"same"`` if they are identical, else empty."""
        arrays = [tensor.numpy() for tensor in tf.nest.flatten(self.x)]
        if not all((array == array[:1]).all() for array in arrays):
            return ""
        return "zero" if not any(array.astype(bool).any() for array in arrays) else "same"


def batch_of(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    *,
    examples: int,
) -> Batch:
    """Return the first examples, with their labels and weights."""
    if y is None and not (sample_weight is None and class_weight is None):
        raise ValueError("Sample and class weights apply to a loss, which needs labels: pass y.")
    if sample_weight is not None and class_weight is not None:
        raise ValueError("Pass sample_weight or class_weight, not both, as in fit.")
    if class_weight is not None and tf.nest.is_nested(y):
        raise ValueError("class_weight is for models with one output, as in fit.")
    given = {"x": x, "y": y, "sample_weight": sample_weight}
    arrays = {
        name: _map_arrays(partial(_checked, name), value)
        for name, value in given.items()
        if value is not None
    }
    counts = {
        name: sorted({len(array) for array in tf.nest.flatten(value) if array is not None})
        for name, value in arrays.items()
    }
    if not counts["x"]:
        raise ValueError(f"Expected arrays as x; got {x!r}.")
    lengths = sorted({length for lengths in counts.values() for length in lengths})
    if len(lengths) > 1:
        listed = ", ".join(f"{name} {' and '.join(map(str, n))}" for name, n in counts.items())
        raise ValueError(
            f"Expected as many labels as examples; got {lengths}: {listed}. {see('label-count')}"
        )
    if counts["x"][0] < _FEWEST:
        raise ValueError(
            f"Expected at least {_FEWEST} examples, better 64; got {counts['x'][0]}. Pass more of "
            f"x: whether examples can be told apart is measured between pairs."
        )
    # Truncated before any conversion: x may be a file larger than memory.
    first = {
        name: _map_arrays(partial(_first, name, examples), value) for name, value in arrays.items()
    }
    if class_weight is not None:
        first["sample_weight"] = fit_loss.class_weights(first["y"], class_weight)
    tensors = {name: _map_arrays(_tensor, value) for name, value in first.items()}
    return Batch(tensors["x"], tensors.get("y"), tensors.get("sample_weight"))


def _map_arrays(function: Callable[[Any], Any], structure: Any) -> Any:
    """Apply a function to each leaf that is not None."""
    return tf.nest.map_structure(lambda leaf: None if leaf is None else function(leaf), structure)


def _checked(name: str, leaf: Any) -> Any:
    """Return a leaf as an array of examples, without reading it."""
    if isinstance(leaf, tf.data.Dataset | keras.utils.PyDataset):
        raise TypeError(
            f"Expected arrays as {name}; got a {type(leaf).__name__}. Take a batch of it: "
            f"x, y = next(iter(dataset)). {see('arrays-expected')}"
        )
    if isinstance(leaf, tf.RaggedTensor | tf.SparseTensor) or hasattr(leaf, "tocsr"):
        raise TypeError(
            f"Expected dense arrays as {name}; got a {type(leaf).__name__}. Convert it with "
            f"its to_tensor(), tf.sparse.to_dense or toarray(). {see('arrays-expected')}"
        )
    if not (tf.is_tensor(leaf) or hasattr(leaf, "__array__")):
        raise TypeError(
            f"Expected {name} to be an array, or a list or dictionary of arrays; it contains a "
            f"{type(leaf).__name__}. Convert lists of numbers: {name} = numpy.asarray({name}). "
            f"{see('arrays-expected')}"
        )
    array = leaf if hasattr(leaf, "shape") and hasattr(leaf, "__getitem__") else np.asarray(leaf)
    if len(array.shape) < 1:
        raise ValueError(f"Expected arrays as {name}, examples first; got the number {leaf!r}.")
    return array


def _first(name: str, count: int, array: Any) -> Any:
    """Return the first examples of an array, checked to be numbers (or words, as inputs)."""
    first = getattr(array, "iloc", array)[:count]  # by position, whatever the index of a Series
    first = first if tf.is_tensor(first) else np.asarray(first)
    dtype = None if first.dtype == object else tf.as_dtype(first.dtype)
    if name == "x" and dtype is None:
        raise TypeError(
            f"Expected numbers as x; got an array of Python objects of shape "
            f"{tuple(array.shape)}. Do its rows have different lengths? {see('arrays-expected')}"
        )
    if name != "x" and dtype in (None, tf.string):
        raise TypeError(
            f"Expected numbers as {name}; got an array of {first.dtype}. Convert words to "
            f"indices: numpy.unique({name}, return_inverse=True)[1]. {see('arrays-expected')}"
        )
    return first


def _tensor(array: Any) -> Any:
    """Copy an array, so that it stays constant during training, in the precision of `fit`."""
    tensor = tf.convert_to_tensor(array if tf.is_tensor(array) else np.array(array))
    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor
