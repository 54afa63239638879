"""Initializers that read their values from a file: a saved model or a lottery ticket.

Their configuration contains a digest of the values, so that a saved model that refers to a file
identifies the values, and later changes of the file are detected.
"""

import abc
import contextlib
import hashlib
import os
import re

import numpy as np

from kerasinit._src.compat import dtypes
from kerasinit._src.files.keras_variables import read_variable
from kerasinit._src.files.tensors import read_ticket_weight
from kerasinit._src.initializers import arrays
from kerasinit._src.initializers.base import Initializer, registered
from kerasinit._src.initializers.loading import is_loading

_Path = str | os.PathLike[str]


class SourceChangedError(ValueError):
    """The values in a file differ from those that an initializer was created for."""


class _FromFile(Initializer):
    """A file, the name of a variable in it, and a digest of its values."""

    _arguments = ("path", "variable", "digest")

    def __init__(self, path: _Path, variable: str, digest: str | None = None):
        self.path = os.fspath(path) if isinstance(path, os.PathLike) else path
        if not isinstance(self.path, str):
            raise TypeError(f"{type(self).__qualname__} got path={path!r}; expected a file's path.")
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

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        try:
            values, *_ = self._verified()
        except (FileNotFoundError, SourceChangedError):
            if not is_loading():
                raise
            # Placeholders: Keras builds the layers first, and then reads their weights.
            return np.full(shape, np.nan if dtypes.kind_of(dtype) == "floating" else 0, dtype)
        if values.shape != shape:
            raise ValueError(
                f"{type(self).__qualname__} was called with shape {shape}, but {self.variable!r} "
                f"in {self.path} has shape {values.shape}."
            )
        return self._cast(values, dtype)

    @abc.abstractmethod
    def _arrays(self) -> tuple[np.ndarray, ...]:
        """Read the values from the file, and further arrays that the digest covers."""

    def _read(self) -> tuple[np.ndarray, ...]:
        try:
            return self._arrays()
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{type(self).__qualname__} reads its values from {self.path}, which does not "
                f"exist (working directory {os.getcwd()}). Restore the file, or use a model that "
                f"has the values: keras.models.load_model loads its weights without this file, "
                f"and kerasinit.portable(model) creates a copy that can be built without it."
            ) from error

    def _verified(self) -> tuple[np.ndarray, ...]:
        arrays = self._read()
        found = _digest(*arrays)
        if found != self.digest:
            raise SourceChangedError(
                f"{self.path} has changed: the values of {self.variable!r} have the digest "
                f"{found}, but {type(self).__qualname__} was created for {self.digest}. Restore "
                f"the old file, or create a new initializer, without a digest, for the new file."
            )
        return arrays

    def _cast(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return the values in another dtype of the same kind that can hold them."""
        if dtypes.kind_of(values.dtype) == dtypes.kind_of(dtype):
            with contextlib.suppress(ValueError):
                return arrays.cast(self, values, dtype)
        raise ValueError(
            f"{self.variable!r} in {self.path} has values of dtype {values.dtype.name!r} that a "
            f"tensor of dtype {dtype.name!r} cannot hold."
        )


@registered
class FromModel(_FromFile):
    """Initializer that reads a variable from a saved model.

    For transfer learning: a layer starts with the weights of a trained model, without loading
    that model. The file is read directly, and no code in it is executed.

    Formula: ``w = values of the variable``, rounded to the dtype of the tensor.

    Args:
        path: A ``.keras``, ``.h5`` or ``.weights.h5`` file or the folder of a SavedModel,
            written by Keras 3 or tf_keras; or a ``.safetensors`` file. It is saved unchanged;
            a relative path is resolved from the working directory.
        variable: The name of the variable in the file, as listed by `kerasinit.variables_in`,
            or an unambiguous shorter one: the end of the name (``dense/kernel``), the
            structural name (``dense_1/kernel``, the kernel of the second ``Dense``) if the
            file contains the classes of the layers, or the name within a layer that was named
            explicitly (``head/kernel``).
        digest: SHA-256 of the values, with their dtype and shape, as ``"sha256:..."``; verified
            at every call. By default (None) it is computed from the file at once. With a digest,
            the constructor does not need the file, so that a saved configuration can be read
            without it. Calls do, except within ``load_model``, which has the weights.

    Raises:
        TypeError: If an argument has the wrong type.
        FileNotFoundError: If the file does not exist; with a digest, when called.
        ValueError: If the file has another format, is damaged, or refers to another file; if
            the name does not match exactly one variable; and when called, if the values have
            changed, have another shape, or do not fit the dtype.

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
    """Initializer that reads a variable of a winning ticket: its initial values, pruned.

    Pruned weights are zero, but remain so in training only with the callback
    ``kerasinit.pruning.HoldMasks({"dense/kernel": initializer.mask()})``. To apply a whole
    ticket to a model, see ``kerasinit.lottery.load_ticket``.

    Formula: ``w = mask * w_0``, with the initial values ``w_0`` of the ticket.

    Args:
        path: The file of a ticket, such as
            ``RUN/trial-0/level-05/ticket/ticket.safetensors``. It is saved unchanged; a
            relative path is resolved from the working directory.
        variable: The structural name of the variable, such as ``dense_1/kernel``. One that is
            not pruned, such as a bias, has its initial values.
        digest: SHA-256 of the values and the mask, as ``"sha256:..."``. By default it is
            computed from the file immediately, as in `FromModel`.

    Raises:
        TypeError: If an argument has the wrong type.
        FileNotFoundError: If the file does not exist; with a digest, when called.
        ValueError: If the file is not a ticket, is damaged, or has no such variable; and when
            called, if the ticket has changed, or the variable has another shape or does not
            fit the dtype.

    Example:
    >>> import tempfile
    >>> import numpy as np
    >>> from kerasinit import lottery, pruning
    >>> masks = pruning.Masks({"dense/kernel": np.array([[True, False], [False, True]])})
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
        """Return a boolean array that is True where the weights are kept.

        Raises:
            FileNotFoundError: If the file does not exist.
            ValueError: If the ticket has changed.
        """
        return self._verified()[1]

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return read_ticket_weight(self.path, self.variable)


def _digest(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of the dtypes, shapes and bytes of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        # Little-endian on every machine, as in files.
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{array.dtype.name}{array.shape}".encode())
        digest.update(plain.tobytes())
    return f"sha256:{digest.hexdigest()}"
