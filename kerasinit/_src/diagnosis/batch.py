"""The examples that a diagnosis looks at: checked, cut and cast as `fit` would cast them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src.compat import fit_loss

_FEWEST = 2  # of one example nobody can say whether others look alike


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples, their labels and weights, as tensors.

    Attributes:
        x: The inputs, in the structure that the model takes.
        y: The labels; None without any.
        weights: Sample weights; None without any.
    """

    x: Any
    y: Any = None
    weights: Any = None

    @property
    def size(self) -> int:
        """How many examples there are."""
        return int(tf.nest.flatten(self.x)[0].shape[0])

    @property
    def alike(self) -> str:
        """``"zero"`` if all examples are zero, ``"same"`` if they do not differ, else empty."""
        arrays = [one.numpy() for one in tf.nest.flatten(self.x)]
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
    """Return the first examples of arrays.

    Args:
        x: An array, or a list or dictionary of arrays, as the model takes it.
        y: The labels; None without any.
        sample_weight: A weight for each example; None for equal ones.
        class_weight: Weights by class; None for equal ones.
        examples: How many examples to take, at most.

    Raises:
        TypeError: If something is no array.
        ValueError: If there are fewer than two examples, not as many of all, or weights without
            labels.
    """
    if y is None and not (sample_weight is None and class_weight is None):
        raise ValueError("Sample and class weights weigh a loss, which needs labels: give y.")
    if sample_weight is not None and class_weight is not None:
        raise ValueError("Give sample_weight or class_weight, not both, as in fit.")
    if class_weight is not None and tf.nest.is_nested(y):
        raise ValueError("class_weight is for models with one output, as in fit.")
    things = {"x": x, "y": y, "sample_weight": sample_weight}
    given = {
        name: tf.nest.map_structure(_rows(name), thing)
        for name, thing in things.items()
        if thing is not None
    }
    counts = {name: sorted(set(map(len, _leaves(thing)))) for name, thing in given.items()}
    if not counts["x"]:
        raise ValueError(f"Expected arrays as x; got {x!r}.")
    lengths = sorted({count for found in counts.values() for count in found})
    if len(lengths) > 1:
        told = ", ".join(f"{name} {' and '.join(map(str, n))}" for name, n in counts.items())
        raise ValueError(f"Expected as many labels as examples; got {lengths}: {told}.")
    if counts["x"][0] < _FEWEST:
        raise ValueError(
            f"Expected at least {_FEWEST} examples, better 64: of {counts['x'][0]} nobody can say "
            f"whether examples stay apart. Give more of x."
        )
    # Cut before anything is converted: x may be a file that is larger than memory.
    cut = {
        name: tf.nest.map_structure(_first(name, examples), thing) for name, thing in given.items()
    }
    if class_weight is not None:
        cut["sample_weight"] = fit_loss.class_weights(cut["y"], class_weight)
    tensors = {
        name: tf.nest.map_structure(lambda one: None if one is None else _tensor(one), thing)
        for name, thing in cut.items()
    }
    return Batch(tensors["x"], tensors.get("y"), tensors.get("sample_weight"))


def _leaves(thing: Any) -> list[Any]:
    return [one for one in tf.nest.flatten(thing) if one is not None]


def _rows(name: str) -> Any:
    """Return a function that checks that something is an array of examples, without reading it."""

    def checked(one: Any) -> Any:
        if one is None:
            return None
        if isinstance(one, tf.data.Dataset | keras.utils.PyDataset):
            raise TypeError(
                f"Expected arrays as {name}; got a {type(one).__name__}. Take a batch of it: "
                f"x, y = next(iter(dataset))."
            )
        if isinstance(one, tf.RaggedTensor | tf.SparseTensor) or hasattr(one, "tocsr"):
            raise TypeError(
                f"Expected dense arrays as {name}; got a {type(one).__name__}. Make it dense, with "
                f"its to_tensor(), tf.sparse.to_dense or toarray()."
            )
        if not (tf.is_tensor(one) or hasattr(one, "__array__")):
            raise TypeError(
                f"Expected as {name} an array, or a list or dictionary of arrays; got a "
                f"{type(one).__name__} inside of it. Of lists of numbers make an array: "
                f"{name} = numpy.asarray({name})."
            )
        array = one if hasattr(one, "shape") and hasattr(one, "__getitem__") else np.asarray(one)
        if len(array.shape) < 1:
            raise ValueError(f"Expected arrays as {name}, examples first; got the number {one!r}.")
        return array

    return checked


def _first(name: str, count: int) -> Any:
    """Return a function that takes the first examples of an array, and checks what is in them."""

    def taken(one: Any) -> Any:
        if one is None:
            return None
        first = getattr(one, "iloc", one)[:count]  # by place, whatever the labels of its rows
        array = first if tf.is_tensor(first) else np.asarray(first)
        kind = tf.as_dtype(array.dtype) if array.dtype != object else None
        if kind is None or (name != "x" and kind == tf.string):
            raise TypeError(
                f"Expected numbers as {name}; got an array of {array.dtype}. Labels that are words "
                f"are to be numbered: numpy.unique({name}, return_inverse=True)[1]."
                if name != "x"
                else f"Expected numbers as x; got an array of Python objects of shape "
                f"{tuple(one.shape)}. Are its rows of different lengths?"
            )
        return array

    return taken


def _tensor(array: Any) -> Any:
    """Return a copy, which nobody changes while a model trains, in the precision of `fit`."""
    tensor = tf.convert_to_tensor(array if tf.is_tensor(array) else np.array(array))
    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor
