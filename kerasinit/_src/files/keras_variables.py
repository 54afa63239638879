"""Reading of variables from saved models, without building the model.

No code in a file is executed: nothing is unpickled, and no layer or function is created. Links
out of the file and implausibly large datasets are rejected.
"""

import contextlib
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from kerasinit._src import errors
from kerasinit._src.files import keras_archives, keras_names, tensors
from kerasinit._src.files.stored import OTHER_GROUPS, Path, Stored, name_ends, numbers
from kerasinit._src.troubleshooting import see

# The errors of the readers of zip, HDF5 and safetensors for damaged files.
_DAMAGED = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)


def variables_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the variables in a saved model.

    Use it to find the name of a variable for `kerasinit.FromModel`.

    Args:
        path: A ``.keras``, ``.h5`` or ``.weights.h5`` file or the folder of a SavedModel,
            written by Keras 3 or tf_keras; or a ``.safetensors`` file.

    Returns:
        Shapes by name, as in the file. A SavedModel numbers its variables; their names are
        then those in the program that saved it. Variables of the optimizer and of metrics are
        omitted.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file has another format, is damaged, refers to another file, or
            declares implausibly large data.

    Example:
    >>> import tempfile
    >>> import keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.keras")
    ...     variables_in(f"{folder}/model.keras")
    {'layers/dense/vars/0': (3, 2), 'layers/dense/vars/1': (2,)}
    """
    with _opened(path) as stored:
        return {name: stored[name].shape for name in stored}


def read_variable(path: Path, name: str) -> np.ndarray:
    """Return the values of one variable in a saved model.

    ``name`` is one listed by `variables_in`, the end of one (from a ``/`` on, with or without
    its ``:0``), or one of `keras_names`: the structural name, such as ``dense_1/kernel``, or the
    name by the layer, such as ``head/kernel``. It must be unambiguous.
    """
    with _opened(path) as stored:
        if name in stored:
            return stored[name].read()
        matches = [full for full, variable in stored.items() if name in variable.other_names]
        shapes = {full: variable.shape for full, variable in stored.items()}
        if len(matches) > 1:
            listed = ", ".join(f"{full} {shapes[full]}" for full in sorted(matches))
            raise ValueError(
                f"{name!r} matches several variables in {path}: {listed}. Give the full name of "
                f"one of them. {see('saved-variable')}"
            )
        if not matches:
            raise errors.unknown(
                f"variable of {path}", name, shapes, see("saved-variable"), notes=shapes
            )
        return stored[matches[0]].read()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[dict[str, Stored]]:
    """Yield the variables of a file by name, which can be read within the block."""
    try:
        if os.path.isdir(path):
            # Everything else is read without TensorFlow.
            from kerasinit._src.files import saved_models

            yield saved_models.variables(path)
            return
        with open(path, "rb") as file:
            start = file.read(4)
        if start == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                content = keras_archives.read_weights(path, archive)
                with h5py.File(content, "r") as file:
                    yield _hdf5(path, file, keras_archives.read_config(path, archive))
        elif h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                yield _hdf5(path, file, None)
        else:
            with tensors.opened(path) as (file, _):
                yield _safetensors(file)
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise ValueError(f"{path} cannot be read and may be damaged: {error}") from error


def _safetensors(file: Any) -> dict[str, Stored]:
    stored = {}
    for name in file.keys():  # noqa: SIM118

        def read(name: str = name) -> np.ndarray:
            return numbers(name, file.get_tensor(name))

        shape = tuple(file.get_slice(name).get_shape())
        stored[name] = Stored(shape, read, frozenset(name_ends(name)))
    return stored


def _hdf5(path: Path, file: h5py.File, config: Any) -> dict[str, Stored]:
    """Return the variables of an HDF5 file; ``config`` is that of a ``.keras`` file, or None."""
    datasets = {
        name: dataset
        for name, dataset in keras_archives.datasets(path, file)
        if name.split("/", 1)[0] not in OTHER_GROUPS
    }
    others: Mapping[str, tuple[str, ...]] = {}
    layers: frozenset[str] = frozenset()
    # An unexpected configuration provides no names.
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        if config is not None:
            groups = Counter(name.rsplit("/", 1)[0] for name in datasets)
            others, layers = keras_names.in_weights_file(config, groups), keras_names.paths(config)
        elif (described := file.attrs.get("model_config")) is not None:
            config = keras_archives.parse_config(described, str(path))
            others, layers = keras_names.in_h5_file(config, datasets), keras_names.paths(config)
    structural = {word for words in others.values() for word in words}

    def names(name: str) -> Iterator[str]:
        yield from others.get(name, ())
        for end in name_ends(name):
            # `dense_1/kernel` may be the end of a name in the file, since the layer had the name
            # dense_1, and also the structural name of another layer. It is then rejected, as
            # ambiguous or as unknown.
            if end.rpartition("/")[0] not in layers or end in structural:
                yield end

    return {
        name: Stored(
            dataset.shape,
            lambda dataset=dataset, name=name: keras_archives.read_dataset(path, name, dataset),
            frozenset(names(name)),
        )
        for name, dataset in datasets.items()
    }
