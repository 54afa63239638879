"""Checks that arrays are a classification with one class per example, and converts them.

A lottery supports no other task yet. Anything ambiguous is rejected rather than guessed, since
the results would answer another question than the one that was asked.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasinit._src.files.npz import Header

MIN_EXAMPLES = 10
_TASK = "A lottery trains classifiers, with one class for each example"
# More outputs than a layer can have; float32 cannot tell larger numbers apart either.
_MAX_CLASSES = 2**24
# In half precision, rows of probabilities add up to 1 only within this tolerance.
_SUM_TOLERANCE = 1e-2


def plain_array(value: Any, what: str) -> np.ndarray:
    """Return a value as one NumPy array; raise ValueError with a way to convert it."""
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        return value
    name = type(value).__name__
    if isinstance(value, np.ma.MaskedArray):
        if np.any(np.ma.getmaskarray(value)):
            raise ValueError(
                f"{what} is a masked array with masked values, whose mask would be lost. Fill or "
                f"remove the masked values."
            )
        return np.asarray(value)
    if isinstance(value, Mapping):
        keys = ", ".join(map(str, list(value)[:5]))
        raise ValueError(
            f"{what} is a {name} with {keys}; a lottery takes models with one input and one "
            f"array for it. Concatenate the parts, numpy.concatenate(parts, axis=-1), and split "
            f"them in the model, as in inputs[:, :8]."
        )
    if hasattr(value, "element_spec"):
        raise ValueError(
            f"{what} is a tf.data.Dataset; a lottery takes arrays in memory, since it orders "
            f"the examples itself. Convert it: x, y = map(numpy.stack, "
            f"zip(*dataset.unbatch().as_numpy_iterator()))."
        )
    if hasattr(value, "on_epoch_end"):
        raise ValueError(
            f"{what} is a {name}, which yields batches; a lottery takes arrays in memory. "
            f"Convert it: x, y = map(numpy.concatenate, zip(*(data[i] for i in range(len(data)))))."
        )
    if hasattr(value, "toarray"):
        raise ValueError(f"{what} is a {name}, which is sparse. Convert it: x.toarray().")
    if value is None or isinstance(value, str | bytes):
        raise ValueError(f"{what} is {value!r:.60}; expected an array in memory, examples first.")
    if not _has_length(value):
        raise ValueError(
            f"{what} is a {name}; expected an array in memory, examples first. Collect what it "
            f"yields: numpy.stack(list(...))."
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        shapes = ", ".join(str(np.shape(part)) for part in list(value)[:3])
        raise ValueError(
            f"{what} is a {name} of {len(value)} parts that do not fit into one array (their "
            f"shapes are {shapes}). A lottery takes models with one input and one array for it; "
            f"concatenate several inputs, numpy.concatenate(parts, axis=-1), and split them in the "
            f"model, or pad sequences to one length."
        ) from error


def _has_length(value: Any) -> bool:
    try:
        return len(value) >= 0 and not hasattr(value, "__next__")
    except TypeError:
        return np.isscalar(value)


def require_fit(headers: Mapping[str, Header], where: str) -> None:
    """Raise ValueError unless four arrays have the shapes and dtypes of a classification.

    ``headers`` has the shape and dtype of ``x_train``, ``y_train``, ``x_test`` and ``y_test``;
    messages begin with ``where``.
    """
    for part in ("train", "test"):
        (x, x_type), (y, y_type) = headers[f"x_{part}"], headers[f"y_{part}"]
        if len(x) < 2 or not math.prod(x):
            raise ValueError(
                f"{where}: x_{part} has shape {x}; expected examples first and at least one "
                f"feature, as in (60000, 28, 28)."
            )
        if not y or x[0] != y[0]:
            count = y[0] if y else "no"
            raise ValueError(
                f"{where}: x_{part} has {x[0]} examples and y_{part} {count} labels; the "
                f"numbers must be equal. (Inputs in several arrays are not supported: concatenate "
                f"them, and split them in the model.)"
            )
        _require_kind_of_inputs(x_type, f"{where}: x_{part}")
        _require_kind_of_labels(y, y_type, f"{where}: y_{part}")
    for what in ("x", "y"):
        train, test = (headers[f"{what}_{part}"][0][1:] for part in ("train", "test"))
        # Labels may have a trailing axis of length 1.
        if train != test and not (what == "y" and {train, test} == {(), (1,)}):
            raise ValueError(
                f"{where}: one example of {what}_train has shape {train}, one of {what}_test "
                f"{test}; they must be equal."
            )
    if headers["x_train"][0][0] < MIN_EXAMPLES:
        raise ValueError(
            f"{where}: {headers['x_train'][0][0]} training examples are too few; give "
            f"{MIN_EXAMPLES} or more."
        )


def inputs(x: np.ndarray, what: str) -> np.ndarray:
    """Return inputs as float32 (uint8 divided by 255); raise ValueError if they are invalid."""
    _require_kind_of_inputs(x.dtype, what)
    if x.dtype == np.uint8:
        return np.divide(x, np.float32(255), dtype=np.float32)
    if not np.isfinite(x).all():
        raise ValueError(f"{what} has values that are not finite (NaN or infinity).")
    if x.dtype.itemsize > 4:
        largest = np.abs(x).max(initial=0)
        if largest > np.finfo(np.float32).max:
            raise ValueError(
                f"{what} has values up to {largest:.3g}, outside the range of float32 (3.4e38), "
                f"in which a lottery trains. Scale it first."
            )
    return x.astype(np.float32, copy=False)


def _require_kind_of_inputs(dtype: np.dtype, what: str) -> None:
    if dtype == np.uint8 or dtype.kind == "f" or dtype.name == "bfloat16":
        return
    if dtype.kind in "iub":
        raise ValueError(
            f"{what} has dtype {dtype}; expected uint8 (pixels, divided by 255 here) or floating "
            f"point (used unchanged). For ids of words or categories use .astype('float32'); "
            f"keras.layers.Embedding converts them back to integers. Scale measurements, then "
            f"use .astype('float32')."
        )
    if dtype.kind in "OSU":
        raise ValueError(
            f"{what} has dtype {dtype}; expected one array of numbers. Convert text to "
            f"integers first, and concatenate several inputs into one array."
        )
    raise ValueError(f"{what} has dtype {dtype}; expected uint8 or floating point.")


def labels(y: np.ndarray, what: str) -> np.ndarray:
    """Return labels as int32 of shape ``(n,)``, or rows of class probabilities as float32."""
    _require_kind_of_labels(y.shape, y.dtype, what)
    if y.ndim == 2 and y.shape[1] > 1:
        return _shares(y, what)
    y = y.reshape(len(y))
    # As Python integers, which cannot overflow.
    smallest, largest = int(y.min(initial=0)), int(y.max(initial=0))
    if smallest < 0 or largest >= _MAX_CLASSES:
        raise ValueError(
            f"{what} has the label {smallest if smallest < 0 else largest}; expected class indices "
            f"from 0, below {_MAX_CLASSES}. To renumber the classes: "
            f"numpy.unique(labels, return_inverse=True)[1]."
        )
    return y.astype(np.int32)


def _require_kind_of_labels(shape: tuple[int, ...], dtype: np.dtype, what: str) -> None:
    rows = len(shape) == 2 and shape[1] > 1
    if len(shape) in (1, 2) and (dtype.kind in "iu" or (rows and dtype.kind in "fb")):
        return
    if rows and dtype.name == "bfloat16":
        return
    expected = (
        f"{what} has dtype {dtype} and shape {shape}; expected class indices from 0, integers "
        f"of shape (n,), or one row of class probabilities per example. {_TASK}"
    )
    if len(shape) > 2:
        raise ValueError(f"{expected}; a label for each position or step is not supported.")
    if dtype.kind == "f":
        raise ValueError(
            f"{expected}; regression is not supported. For classes use .astype('int64')."
        )
    if dtype.kind == "b":
        raise ValueError(f"{expected}. For two classes use .astype('int64').")
    if dtype.kind in "OSU":
        raise ValueError(f"{expected}. For names use numpy.unique(labels, return_inverse=True)[1].")
    raise ValueError(f"{expected}.")


def _shares(y: np.ndarray, what: str) -> np.ndarray:
    """Return rows of probabilities as float32 if each has one largest class."""
    exact = y.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ValueError(f"{what} has values that are not finite (NaN or infinity).")
    sums = exact.sum(axis=1)
    wrong = np.flatnonzero((exact < 0).any(axis=1) | (np.abs(sums - 1) > _SUM_TOLERANCE))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            f"{what} has rows that are not class probabilities: {wrong.size} of {len(y)} do not "
            f"add up to 1, the first is row {row}, with a sum of {sums[row]:g}. {_TASK}; several "
            f"labels for an example, and regression, are not supported."
        )
    best = np.partition(exact, -2, axis=1)[:, -2:]
    ties = np.flatnonzero(best[:, 0] == best[:, 1])
    if ties.size:
        raise ValueError(
            f"{what} has rows without a single largest class: {ties.size} of {len(y)}, the first "
            f"is row {int(ties[0])}. {_TASK}."
        )
    return y.astype(np.float32)
