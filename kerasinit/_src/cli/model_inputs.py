"""What commands pass to a loaded model: examples from a file, and a loss by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat, errors
from kerasinit._src.compat.fit_loss import has_own_compute_loss
from kerasinit._src.files import npz
from kerasinit._src.initializers import identifiers
from kerasinit._src.keras_naming import snake_case
from kerasinit._src.network import sample_batch
from kerasinit._src.training import models


def has_loss(model: Any) -> bool:
    """Return whether a model has anything to minimize."""
    if not compat.is_compiled(model):
        return False
    return model.loss is not None or has_own_compute_loss(model) or bool(model.losses)


def loss_named(model: Any, text: str) -> Any:
    """Return the loss named by ``"mse"`` or ``"huber:delta=2.0"``."""
    library = compat.library_of(model).losses
    name, arguments = identifiers.split(text)
    words = {"True": True, "False": False}
    arguments = {key: words.get(str(value), value) for key, value in arguments.items()}
    classes = {
        snake_case(key): key
        for key, value in vars(library).items()
        if isinstance(value, type) and issubclass(value, library.Loss) and key != "Loss"
    }
    try:
        if not arguments:
            return library.get(name)
        return getattr(library, classes.get(name, name))(**arguments)
    except (AttributeError, TypeError, ValueError) as error:
        functions = {k for k, value in vars(library).items() if callable(value) and k.islower()}
        known = {*classes, *functions, *_SHORT} - {"get", "serialize", "deserialize"}
        if name not in known:
            raise errors.unknown("loss", name, known) from error
        raise ValueError(f"Cannot make the loss {text!r}: {error}") from error


# Names of losses in Keras 3 that are not names of functions in its `losses`.
_SHORT = ("bce", "kld", "mae", "mape", "mse", "msle")


def read_batch(path: Path, model: Any, label: Path) -> tuple[Any, Any]:
    """Return inputs and labels from a file, the inputs reshaped for the model."""
    return _read(path, model, label, *_array_names(path, model))


def read_test_batch(path: Path, model: Any, label: Path) -> tuple[Any, Any] | None:
    """Return the test examples of a file: ``x_test`` and ``y_test``, or ``a_test`` for ``a``.

    None if there are no such arrays.
    """
    there = npz.names_in(path)
    inputs, outputs = (
        [f"{name.removesuffix('_train')}_test" for name in names]
        for names in _array_names(path, model)
    )
    if not outputs or not {*inputs, *outputs} <= {*there}:
        return None
    return _read(path, model, label, inputs, outputs)


def _array_names(path: Path, model: Any) -> tuple[list[str], list[str]]:
    """Return the names of the arrays for a model's inputs and outputs; there may be no outputs."""
    there = npz.names_in(path)
    end = "_train" if "x" not in there or "x_train" in there else ""
    inputs = _names(f"x{end}", sample_batch.inputs_of(model), there)
    outputs = _names(f"y{end}", getattr(model, "output_names", None), there)
    for found, what, tensors in (
        (inputs, "x", sample_batch.inputs_of(model)),
        (outputs, "y", getattr(model, "output_names", None)),
    ):
        single = f"{what}{end}"
        if found is None and (what == "x" or single in there):
            wanted = _named(tensors)
            several = f"{', '.join(wanted)}, or {what}_0, {what}_1, ..."
            raise ValueError(
                f"{path}: expected {several if len(wanted) > 1 else f'{what}_train or {what}'}; it "
                f"has {', '.join(sorted(there))}."
            )
    return inputs or [], outputs or []


def _read(
    path: Path, model: Any, label: Path, inputs: list[str], outputs: list[str]
) -> tuple[Any, Any]:
    """Return arrays of a file as inputs and labels; None for no labels."""
    names = [*inputs, *outputs]

    def check(headers: Mapping[str, npz.Header]) -> None:
        for name, (shape, dtype) in headers.items():
            if not np.issubdtype(dtype, np.number) or not shape:
                raise ValueError(
                    f"{path}: {name} has dtype {dtype} and shape {shape}; expected numbers, "
                    f"examples first."
                )
        if len({shape[0] for shape, _ in headers.values()}) > 1:
            raise ValueError(f"{path}: {' and '.join(names)} must have as many examples.")

    arrays = npz.read(path, names, check)
    # Cast as Keras does, but not scaled: raw pixels may be a finding.
    x = [arrays[name] for name in inputs]
    x = [array.astype(np.float32) if array.dtype == np.uint8 else array for array in x]
    y = [arrays[name] for name in outputs]
    structure = sample_batch.inputs_of(model)
    if len(x) == 1:
        x = models.fit_shape(model, x[0], str(label))
    elif structure is not None:
        x = tf.nest.pack_sequence_as(structure, x)
    return x, (y[0] if len(y) == 1 else y or None)


def _names(single: str, tensors: Any, there: Any) -> list[str] | None:
    """Return the arrays of a file that are a model's inputs or outputs; None if there are none."""
    flat = tf.nest.flatten(tensors) if tensors is not None else []
    wanted = _named(tensors)
    if wanted and all(name in there for name in wanted):
        return wanted
    numbered = [f"{single[0]}_{number}" for number in range(len(flat))]
    if flat and all(name in there for name in numbered):
        return numbered
    return [single] if single in there and len(flat) <= 1 else None


def _named(tensors: Any) -> list[str]:
    if tensors is None:
        return []
    if isinstance(tensors, Mapping):
        return sorted(tensors)
    names = [getattr(tensor, "name", tensor) for tensor in tf.nest.flatten(tensors)]
    return [str(name).split("/")[0].split(":")[0] for name in names]
