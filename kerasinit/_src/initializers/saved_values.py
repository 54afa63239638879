"""Initializers whose values stand in a file: a saved model, a lottery ticket.

Both keep a digest of the values in their configuration. So a saved model that names a file
says which values it means, and a file that was changed since is noticed.
"""

import abc
import hashlib
import os
import re
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src.files.keras_variables import read_variable
from kerasinit._src.files.tensors import read_ticket_weight
from kerasinit._src.initializers.base import Initializer, registered
from kerasinit._src.initializers.loading import is_loading

_Path = str | os.PathLike[str]


class SourceChangedError(ValueError):
    """A file has other values than those that an initializer was made for."""


class _FromFile(Initializer):
    """What both share: a file, a name in it, and a digest of what is found there."""

    def __init__(self, path: _Path, variable: str, digest: str | None = None):
        self.path = self._checked_path(path)
        if not isinstance(variable, str):
            raise TypeError(
                f"{type(self).__qualname__} got variable={variable!r}; expected a variable's "
                f"name, such as 'dense/kernel'."
            )
        self.variable = variable
        if digest is not None and not (
            isinstance(digest, str) and re.fullmatch("sha256:[0-9a-f]{64}", digest)
        ):
            raise ValueError(
                f"{type(self).__qualname__} got digest={digest!r}; expected 'sha256:' and 64 "
                f"hexadecimal digits, or None to have it computed."
            )
        self.digest = _digest(*self._read()) if digest is None else digest

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"path": self.path, "variable": self.variable, "digest": self.digest}

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        try:
            values, *_ = self._verified()
        except (FileNotFoundError, SourceChangedError):
            if not is_loading():
                raise
            # Keras makes the layers first, and then reads their weights: these stand for them.
            return np.full(shape, np.nan if tf.as_dtype(dtype).is_floating else 0, dtype)
        if values.shape != shape:
            raise ValueError(
                f"{type(self).__qualname__} was asked for a tensor of shape {shape}, but "
                f"{self.variable!r} in {self.path} has shape {values.shape}."
            )
        return self._cast(values, dtype)

    @abc.abstractmethod
    def _arrays(self) -> tuple[np.ndarray, ...]:
        """Read the values, and what else the digest is of, from the file."""

    def _read(self) -> tuple[np.ndarray, ...]:
        try:
            return self._arrays()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{type(self).__qualname__} takes its values from {self.path}, which is not there "
                f"(seen from {os.getcwd()}). Put the file back; or take the values of a model that "
                f"has them: keras.models.load_model reads its weights without this file, and "
                f"kerasinit.portable(model) makes a copy that can be built without it."
            ) from error

    def _verified(self) -> tuple[np.ndarray, ...]:
        arrays = self._read()
        found = _digest(*arrays)
        if found != self.digest:
            raise SourceChangedError(
                f"{self.path} has changed: the values of {self.variable!r} have the digest "
                f"{found}, but {type(self).__qualname__} was made for {self.digest}. Put the old "
                f"file back, or make a new initializer, without a digest, for the new file."
            )
        return arrays

    def _cast(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return the values in a dtype of the same kind that can hold them."""
        kinds = [tf.as_dtype(one) for one in (values.dtype, dtype)]
        same = len({(kind.is_floating, kind.is_integer, kind.is_bool) for kind in kinds}) == 1
        if same:
            with np.errstate(over="ignore"):
                cast = values.astype(dtype)
            same = (
                np.array_equal(np.isfinite(cast), np.isfinite(values))
                if kinds[0].is_floating
                else np.array_equal(cast, values)
            )
        if not same:
            raise ValueError(
                f"{self.variable!r} in {self.path} has values of dtype {values.dtype.name!r} that "
                f"a tensor of dtype {dtype.name!r} cannot hold."
            )
        return cast

    def _checked_path(self, path: Any) -> str:
        path = os.fspath(path) if isinstance(path, os.PathLike) else path
        if not isinstance(path, str):
            raise TypeError(f"{type(self).__qualname__} got path={path!r}; expected a file's path.")
        return path


@registered
class FromModel(_FromFile):
    """The values of one variable of a saved model.

    For transfer learning: a layer that starts where another model ended, without making
    that model. The file is read directly, and nothing in it is executed.

    Formula: ``w = values of the variable``, rounded to the dtype of the tensor.

    Args:
        path: What Keras 3 or tf_keras saved: a ``.keras``, ``.h5`` or ``.weights.h5`` file
            or the folder of a SavedModel; or a ``.safetensors`` file. It is kept as it is
            given: a relative path is looked up from where the program runs.
        variable: The variable's name in the file, as `kerasinit.variables_in` lists it, or
            a shorter one to which no other variable answers: the end of the name
            (``dense/kernel``), the structural name (``dense_1/kernel``, the kernel of the
            second ``Dense``) if the file says which classes the layers are, or the name by
            the layer (``head/kernel``) if a person gave the layer that name.
        digest: SHA-256 of the values, with their dtype and shape, as ``"sha256:..."``. By
            default it is taken from the file at once. Every call compares it with the
            file. Given a digest, the initializer is made without the file, so that a
            saved configuration can be read without it; a call still needs it, except
            while ``load_model`` reads a saved model, which has the weights.

    Raises:
        TypeError: If an argument is of a wrong type.
        FileNotFoundError: If there is no such file; with a digest, at a call.
        ValueError: If the file is none of these, damaged, or refers to another; if not
            exactly one variable answers to the name; and at a call, if the values have
            changed, have another shape, or the dtype cannot hold them.

    Example:
    >>> import tempfile
    >>> import keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.keras")
    ...     made = FromModel(f"{folder}/model.keras", "dense/kernel")
    ...     bool((made((3, 2)) == model.layers[0].kernel.numpy()).all())
    True

    Reference:
        Yosinski, Clune, Bengio and Lipson, 2014, "How transferable are features in deep
        neural networks?".
    """

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return (read_variable(self.path, self.variable),)


@registered
class WinningTicket(_FromFile):
    """The first values of one weight of a lottery ticket; what its mask removes is zero.

    For a layer that starts as the ticket does. The zeros stay only if something holds
    them while the model trains: give ``fit`` the callback
    ``kerasinit.pruning.HoldMasks({"dense/kernel": made.mask()})``. To put a whole ticket
    on a whole model, see ``kerasinit.lottery.load_ticket``.

    Formula: ``w = mask * w_0``, with the ``w_0`` from which the ticket was trained.

    Args:
        path: A ticket's file, such as ``RUN/trial-0/level-05/ticket/ticket.safetensors``.
            It is kept as it is given: a relative path is looked up from where the program
            runs.
        variable: The weight's structural name, such as ``dense_1/kernel``. A weight that
            is not pruned, such as a bias, starts with its first values.
        digest: SHA-256 of the values and the mask, as ``"sha256:..."``; see `FromModel`.

    Raises:
        TypeError: If an argument is of a wrong type.
        FileNotFoundError: If there is no such file; with a digest, at a call.
        ValueError: If the file is no ticket, damaged, or has no weight of that name; and
            at a call, if the ticket has changed, the weight has another shape, or the
            dtype cannot hold it.

    Example:
    >>> import tempfile
    >>> import numpy as np
    >>> from kerasinit import lottery
    >>> from kerasinit._src.mask_arrays import Masks
    >>> masks = Masks({"dense/kernel": np.array([[True, False], [False, True]])})
    >>> weights = {"dense/kernel": np.array([[0.5, 0.0], [0.0, -0.25]], "float32")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lottery.Ticket(masks, weights).save(f"{folder}/ticket.safetensors")
    ...     made = WinningTicket(f"{folder}/ticket.safetensors", "dense/kernel")
    ...     made((2, 2))
    array([[ 0.5 ,  0.  ],
           [ 0.  , -0.25]], dtype=float32)

    Reference:
        Frankle and Carbin, 2019, "The lottery ticket hypothesis: finding sparse, trainable
        neural networks".
    """

    def mask(self) -> np.ndarray:
        """Return which values live, as a boolean array; all of them if none was pruned.

        Raises:
            FileNotFoundError: If the file is not there.
            ValueError: If it has changed.
        """
        return self._verified()[1]

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return read_ticket_weight(self.path, self.variable)


def _digest(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of arrays: of dtype, shape and, in C order, the bytes."""
    digest = hashlib.sha256()
    for array in arrays:
        # Little-endian on every machine, as files have it.
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{array.dtype.name}{array.shape}".encode())
        digest.update(plain.tobytes())
    return f"sha256:{digest.hexdigest()}"
