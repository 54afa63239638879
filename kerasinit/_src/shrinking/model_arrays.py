"""A model as a function from a list of arrays to a list of arrays, as files of models have it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat import dtypes
from kerasinit._src.network.sample_batch import inputs_of, random_batch
from kerasinit._src.troubleshooting import see

_SEED = 0


@dataclass(frozen=True, eq=False)
class Inputs:
    """Examples for a model, flat: one array for each of its inputs, in the order of `keras.tree`.

    Attributes:
        structure: The structure in which the model takes them.
        names: The name of each, for signatures of files.
        shapes: The shape of each, without the axis of the examples; None where it is open.
        arrays: The arrays.
    """

    structure: Any
    names: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    arrays: tuple[np.ndarray, ...]

    @property
    def examples(self) -> int:
        """The number of examples."""
        return len(self.arrays[0])

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The name of the dtype of each array."""
        return tuple(dtypes.name_of(array.dtype) for array in self.arrays)

    @property
    def packed(self) -> Any:
        """The arrays in the structure that the model takes."""
        return self.pack(self.arrays)

    def pack(self, flat: Sequence[Any]) -> Any:
        """Return arrays or tensors in the structure that the model takes."""
        return keras.tree.pack_sequence_as(self.structure, list(flat))

    def first(self, count: int) -> "Inputs":
        """Return the first examples."""
        return self._chosen(slice(count))

    def batches(self, size: int | None) -> Iterator["Inputs"]:
        """Yield batches of a size, the last one filled up from the start; None for all at once."""
        size = size or self.examples
        for start in range(0, self.examples, size):
            yield self._chosen(np.arange(start, start + size) % self.examples)

    def _chosen(self, places: Any) -> "Inputs":
        return replace(self, arrays=tuple(array[places] for array in self.arrays))


def checked_model(model: Any) -> Any:
    """Return a model after checking that it is built and that its weights are finite.

    Raises:
        TypeError: If it is not a model of either Keras.
        ValueError: If it is not built, or if a weight is NaN or infinite.
    """
    if not compat.is_model(model):
        kind = f"the layer {model!r}" if compat.is_layer(model) else f"{model!r}"
        raise TypeError(f"Expected a model of Keras 3 or of tf_keras; got {kind}.")
    if not compat.is_built(model):
        raise ValueError(
            f"The model {model.name!r} is not built, so it has no weights yet. Call it once on a "
            f"batch, or begin it with keras.Input. {see('unbuilt-model')}"
        )
    for variable in model.weights:
        if dtypes.kind_of(compat.dtype_of(variable)) != "floating":
            continue
        values = compat.read(variable)
        bad = values.size - int(np.isfinite(values.astype(np.float32)).sum())
        if bad:
            raise ValueError(
                f"{bad} of the {values.size} weights in {compat.variable_path(variable)!r} of the "
                f"model {model.name!r} are NaN or infinite. Load weights from before it diverged."
            )
    return model


def model_inputs(model: Any, x: Any = None, *, examples: int = 1, what: str = "x") -> Inputs:
    """Return examples for a model: those given, checked to fit, or random ones.

    Args:
        model: A built model.
        x: An array, or a list or dictionary of arrays; None for random ones.
        examples: The number of random ones.
        what: The name of the argument, for errors.
    """
    wanted = inputs_of(model)
    if x is None:
        if wanted is None:
            raise ValueError(
                f"The inputs of the model {model.name!r} are unknown, since it is a subclass of "
                f"Model. Pass a batch of examples as {what}."
            )
        x, _ = random_batch(model, examples, _SEED)
    if wanted is None:
        wanted = x
    tensors = keras.tree.flatten(wanted)
    leaves = _leaves(model, x, wanted, tensors, what)
    arrays = tuple(
        _fitting(model, leaf, tensor, what) for leaf, tensor in zip(leaves, tensors, strict=True)
    )
    lengths = sorted({len(array) for array in arrays})
    if len(lengths) != 1 or not lengths[0]:
        raise ValueError(
            f"Expected {what} to have the same number of examples, at least one, for each input; "
            f"got {', '.join(map(str, lengths))}."
        )
    shapes = tuple(tuple(tensor.shape)[1:] for tensor in tensors)
    return Inputs(wanted, _names(tensors), shapes, arrays)


def outputs(model: Any, inputs: Inputs) -> list[np.ndarray]:
    """Return what a model computes in inference, flat."""
    found = model(inputs.packed, training=False)
    return [_as_numpy(tensor) for tensor in keras.tree.flatten(found)]


def _as_numpy(tensor: Any) -> np.ndarray:
    if keras.ops.is_tensor(tensor):
        return np.asarray(keras.ops.convert_to_numpy(tensor))
    return np.asarray(tensor)


def _leaves(model: Any, x: Any, wanted: Any, tensors: list[Any], what: str) -> list[Any]:
    """Return given arrays in the order of the model's inputs."""
    names = _names(tensors)
    if isinstance(x, Mapping):
        keys = tuple(sorted(wanted)) if isinstance(wanted, Mapping) else names
        if set(x) != set(keys):
            raise ValueError(
                f"The model {model.name!r} has the inputs {', '.join(map(repr, keys))}; {what} "
                f"has {', '.join(map(repr, sorted(map(str, x))))}."
            )
        return [x[key] for key in keys]
    leaves = list(x) if isinstance(x, list | tuple) else [x]
    if len(leaves) != len(tensors):
        raise ValueError(
            f"The model {model.name!r} has {len(tensors)} "
            f"input{'s' if len(tensors) > 1 else ''}; got {len(leaves)} as {what}. Pass "
            + (
                f"a list of {len(tensors)} arrays, or a dictionary with the keys "
                f"{', '.join(map(repr, names))}."
                if len(tensors) > 1
                else f"one array, such as numpy.asarray({what})."
            )
        )
    return leaves


def _fitting(model: Any, leaf: Any, tensor: Any, what: str) -> np.ndarray:
    """Return an array that fits an input, in its dtype."""
    if not (compat.is_array(leaf) or hasattr(leaf, "__array__")):
        raise TypeError(
            f"Expected {what} to be an array, or a list or dictionary of arrays; got a "
            f"{type(leaf).__name__}. Take a batch of a data set: x, y = next(iter(dataset))."
        )
    array = _as_numpy(leaf)
    shape = tuple(tensor.shape)
    fits = len(shape) == array.ndim and all(
        side in (None, given) for side, given in zip(shape[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"The model {model.name!r} takes batches of shape {_shown(shape)}; {what} has the "
            f"shape {array.shape}."
            + (f" One example is {what}[:1], not {what}[0]." if array.shape == shape[1:] else "")
        )
    dtype = dtypes.numpy_dtype(tensor.dtype)
    if array.dtype.kind not in "biuf" and dtypes.kind_of(array.dtype) is None:
        raise TypeError(f"Expected numbers as {what}; got an array of {array.dtype}.")
    array = np.ascontiguousarray(array.astype(dtype))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"Expected finite numbers as {what}; it contains NaN or infinity.")
    return array


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if side is None else str(side) for side in shape)})"


def _names(tensors: Sequence[Any]) -> tuple[str, ...]:
    """Return the names that the user gave the inputs, or numbered ones."""
    found = [str(getattr(one, "name", "")).partition(":")[0] for one in tensors]
    named = all(one.isidentifier() and not one.startswith("keras_tensor") for one in found)
    if named and len(set(found)) == len(found):
        return tuple(found)
    return tuple(f"input_{index}" for index in range(len(tensors)))
