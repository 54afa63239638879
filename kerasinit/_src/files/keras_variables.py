"""Reading of variables from saved models, without building the model.

No code in a file is executed: nothing is unpickled, and no layer or function is created. Links
out of the file and implausibly large datasets are rejected.
"""

import contextlib
import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from kerasinit._src import errors
from kerasinit._src.files import json_files, keras_names, tensors

_Path = str | os.PathLike[str]

# The errors of the readers of zip, HDF5, safetensors and checkpoints for damaged files.
_DAMAGED = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    tf.errors.OpError,
    zipfile.BadZipFile,
    zlib.error,
)
# A large dataset with a larger compression ratio is rejected as a bomb: Keras does not compress.
_LARGE = 2**28
_MAX_EXPANSION = 100

_WEIGHTS = "model.weights.h5"
# HDF5 has no bfloat16: Keras stores it as two opaque bytes.
_BFLOAT16 = np.dtype("V2")
# Groups that contain no variables of the model.
_OTHER_GROUPS = ("keras_api", "metrics", "optimizer", "optimizer_weights", "save_counter")
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


@dataclass(frozen=True)
class _Stored:
    """A variable in an open file."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    other_names: frozenset[str] = frozenset()


def variables_in(path: _Path) -> dict[str, tuple[int, ...]]:
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


def read_variable(path: _Path, name: str) -> np.ndarray:
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
                f"one of them."
            )
        if not matches:
            raise errors.unknown(f"variable of {path}", name, shapes, notes=shapes)
        return stored[matches[0]].read()


def read_archive(path: _Path) -> tuple[dict[str, np.ndarray], Any]:
    """Return the arrays in a ``.keras`` file, those of the optimizer included, and its config.

    Errors of h5py and zipfile are not converted.
    """
    with zipfile.ZipFile(path) as archive:
        config, content = _config(path, archive), io.BytesIO(_member(path, archive, _WEIGHTS))
    with h5py.File(content, "r") as file:
        arrays = {
            name: _read_dataset(path, name, dataset)
            for name, dataset in _datasets(path, file)
            if dataset.dtype.kind in "biuf" or dataset.dtype == _BFLOAT16
        }
    return arrays, config


@contextlib.contextmanager
def _opened(path: _Path) -> Iterator[dict[str, _Stored]]:
    """Yield the variables of a file by name, which can be read within the block."""
    try:
        if os.path.isdir(path):
            yield _saved_model(path)
            return
        with open(path, "rb") as file:
            start = file.read(4)
        if start == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(_member(path, archive, _WEIGHTS))
                with h5py.File(content, "r") as file:
                    yield _hdf5(path, file, _config(path, archive))
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


def _safetensors(file: Any) -> dict[str, _Stored]:
    stored = {}
    for name in file.keys():  # noqa: SIM118

        def read(name: str = name) -> np.ndarray:
            return _numbers(name, file.get_tensor(name))

        shape = tuple(file.get_slice(name).get_shape())
        stored[name] = _Stored(shape, read, frozenset(_ends(name)))
    return stored


def _member(path: _Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of one member of a ``.keras`` file."""
    if name not in archive.namelist():
        raise ValueError(f"{path} is a zip file, but not a Keras model: it has no {name}.")
    info = archive.getinfo(name)
    _reject_bomb(f"{name} in {path}", info.file_size, info.compress_size)
    return archive.read(name)


def _config(path: _Path, archive: zipfile.ZipFile) -> Any:
    content = _member(path, archive, "config.json")
    return json_files.parse(content, f"{path}: config.json", _LARGE, json_files.MAX_MODEL_DEPTH)


def _hdf5(path: _Path, file: h5py.File, config: Any) -> dict[str, _Stored]:
    """Return the variables of an HDF5 file; ``config`` is that of a ``.keras`` file, or None."""
    datasets = {
        name: dataset
        for name, dataset in _datasets(path, file)
        if name.split("/", 1)[0] not in _OTHER_GROUPS
    }
    others: Mapping[str, tuple[str, ...]] = {}
    layers: frozenset[str] = frozenset()
    # An unexpected configuration provides no names.
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        if config is not None:
            groups = Counter(name.rsplit("/", 1)[0] for name in datasets)
            others, layers = keras_names.in_weights_file(config, groups), keras_names.paths(config)
        elif (described := file.attrs.get("model_config")) is not None:
            config = json_files.parse(described, str(path), _LARGE, json_files.MAX_MODEL_DEPTH)
            others, layers = keras_names.in_h5_file(config, datasets), keras_names.paths(config)
    structural = {word for words in others.values() for word in words}

    def names(name: str) -> Iterator[str]:
        yield from others.get(name, ())
        for end in _ends(name):
            # `dense_1/kernel` may be the end of a name in the file, since the layer had the name
            # dense_1, and also the structural name of another layer. It is then rejected, as
            # ambiguous or as unknown.
            if end.rpartition("/")[0] not in layers or end in structural:
                yield end

    return {
        name: _Stored(
            dataset.shape,
            lambda dataset=dataset, name=name: _read_dataset(path, name, dataset),
            frozenset(names(name)),
        )
        for name, dataset in datasets.items()
    }


def _datasets(
    path: _Path, group: h5py.Group, prefix: str = "", seen: tuple[h5py.Group, ...] = ()
) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield every dataset with its name; raise if one is not stored in this file."""
    for key in group:
        name = f"{prefix}{key}"
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"{path} has an external or soft link at {name!r} ({type(link).__name__}). Keras "
                f"does not write such links; it is not followed."
            )
        item = group[key]
        if isinstance(item, h5py.Group):
            if item in seen:
                raise ValueError(f"{path} is damaged: the group {name!r} contains itself.")
            yield from _datasets(path, item, f"{name}/", (*seen, item))
        elif isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise ValueError(
                    f"{path} stores the values of {name!r} in another file. Keras does not write "
                    f"such files; it is not read."
                )
            if item.shape is not None:
                yield name, item


def _read_dataset(path: _Path, name: str, dataset: h5py.Dataset) -> np.ndarray:
    declared = dataset.size * dataset.dtype.itemsize
    _reject_bomb(f"{name} in {path}", declared, dataset.id.get_storage_size())
    if dataset.dtype.kind == "O":
        return _numbers(name, np.empty(0, object))
    values = dataset[()]
    if values.dtype == _BFLOAT16:
        values = np.asarray(values).view(tf.bfloat16.as_numpy_dtype)
    return _numbers(name, np.asarray(values))


def _saved_model(path: _Path) -> dict[str, _Stored]:
    prefix = os.path.join(path, "variables", "variables")
    if not os.path.isfile(f"{prefix}.index"):
        raise ValueError(
            f"{path} is a folder, but not a SavedModel: it has no variables/variables.index."
        )
    reader = tf.train.load_checkpoint(prefix)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    keys = {
        key.removesuffix(_VALUE): key
        for key in sorted(shapes)
        if key != _GRAPH
        and "/.OPTIMIZER_SLOT/" not in key
        # Keras 3 stores every variable twice when it exports a model.
        and key.split("/", 1)[0] not in (*_OTHER_GROUPS, "_all_variables")
        and dtypes[key] != tf.string
    }
    graph = reader.get_tensor(_GRAPH) if _GRAPH in shapes else b""
    full_names: dict[str, str] = {}
    # An unexpected graph provides no names.
    with contextlib.suppress(IndexError, KeyError, UnicodeDecodeError):
        full_names = _names_in_object_graph(graph)
    counts = Counter(full_names.get(key) for key in keys.values())
    stored = {}
    for short, key in keys.items():
        full = full_names.get(key)
        name = full if full and counts[full] == 1 else short

        def read(name: str = name, key: str = key) -> np.ndarray:
            return _numbers(name, np.asarray(reader.get_tensor(key)))

        stored[name] = _Stored(tuple(shapes[key]), read, frozenset({short, key, *_ends(name)}))
    return stored


def _names_in_object_graph(graph: bytes) -> dict[str, str]:
    """Return the full names of variables by their keys in a checkpoint.

    They are in a protocol buffer (``TrackableObjectGraph``): repeated nodes (field 1) with
    repeated attributes (field 2), each with the full name (field 2) and the key (field 3).
    """
    names = {}
    for number, node in _fields(graph):
        if number != 1:
            continue
        for number, attribute in _fields(node):
            if number == 2:
                texts = dict(_fields(attribute))
                if 2 in texts and 3 in texts:
                    names[texts[3].decode()] = texts[2].decode()
    return names


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers and contents of the length-delimited fields of a protocol buffer."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        tag = varint()
        if tag & 7 == 2:
            length = varint()
            yield tag >> 3, message[position : position + length]
            position += length
        elif tag & 7 == 0:
            varint()
        else:
            position += {1: 8, 5: 4}[tag & 7]


def _ends(name: str) -> Iterator[str]:
    """Yield a name and its suffixes from each ``/`` on, with and without ``:0``."""
    for whole in (name, name.removesuffix(":0")):
        parts = whole.split("/")
        for start in range(len(parts)):
            yield "/".join(parts[start:])


def _numbers(name: str, values: np.ndarray) -> np.ndarray:
    """Return real numbers in the native byte order."""
    known = values.dtype.kind in "fiub" or values.dtype == tf.bfloat16.as_numpy_dtype
    if not known:
        raise ValueError(f"{name!r} has dtype {values.dtype}; expected real numbers.")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _reject_bomb(what: str, declared: int, stored: int) -> None:
    if declared >= _LARGE and declared > _MAX_EXPANSION * stored:
        raise ValueError(
            f"{what} declares {declared} bytes, but has {stored} on disk. Data of {_LARGE} bytes "
            f"or more, compressed more than {_MAX_EXPANSION} times, are not read."
        )
