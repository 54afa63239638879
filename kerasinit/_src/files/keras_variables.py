"""The variables in a saved model's file, read without making the model.

Nothing in a file is executed: no object is unpickled, no layer made, no function of it
called. What points out of the file, or claims to be far more than the file has room
for, is refused.
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

# What the readers of zip, HDF5, safetensors and checkpoints raise of a damaged file.
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
# What claims this many bytes, and a hundred times what it takes on the disk, is a bomb:
# Keras writes its numbers as they are.
_LARGE = 2**28
_MOST_EXPANSION = 100

_WEIGHTS = "model.weights.h5"
# HDF5 knows no bfloat16: Keras keeps it as two opaque bytes.
_BFLOAT16 = np.dtype("V2")
# What Keras keeps beside a model's own variables.
_NOT_THE_MODELS = ("keras_api", "metrics", "optimizer", "optimizer_weights", "save_counter")
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


@dataclass(frozen=True)
class _Stored:
    """A variable in an open file: its shape, how to read it, and what else it is called."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    others: frozenset[str] = frozenset()


def variables_in(path: _Path) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the variables in a saved model's file.

    To find the name that `kerasinit.FromModel` wants.

    Args:
        path: What Keras 3 or tf_keras saved: a ``.keras``, ``.h5`` or ``.weights.h5`` file
            or the folder of a SavedModel; or a ``.safetensors`` file.

    Returns:
        Shapes by name, as the names stand in the file. A SavedModel numbers its
        variables; there the names are those that the variables had in the program. The
        variables of the optimizer and of metrics are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of these, is damaged, points to another file, or claims
            far more data than it has.

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
    """Return the values of one variable in a saved model's file.

    Args:
        path: See `variables_in`.
        name: A name that `variables_in` lists, the end of one (from a ``/`` on, with or
            without its ``:0``), or a name of another kind that the file settles: the
            structural name, such as ``dense_1/kernel``, and the layer's own, such as
            ``head/kernel``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is none of these kinds, or damaged, or not only one
            variable answers to the name.
    """
    with _opened(path) as stored:
        if name in stored:
            return stored[name].read()
        meant = [full for full, one in stored.items() if name in one.others]
        shapes = {full: stored[full].shape for full in stored}
        if len(meant) > 1:
            listed = ", ".join(f"{full} {shapes[full]}" for full in sorted(meant))
            raise ValueError(
                f"{name!r} may be one of several variables in {path}: {listed}. Give the whole "
                f"name of the one that is meant."
            )
        if not meant:
            raise errors.unknown(f"variable of {path}", name, shapes, notes=shapes)
        return stored[meant[0]].read()


def read_archive(path: _Path) -> tuple[dict[str, np.ndarray], Any]:
    """Return all arrays of numbers in a ``.keras`` file, optimizer included, and its configuration.

    Raises:
        ValueError: If it claims more than it has; HDF5 and zip have errors of their own.
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
    """Give the variables of a file by name, to be read while it is open."""
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
        raise ValueError(f"{path} cannot be read, perhaps it is damaged: {error}") from error


def _safetensors(file: Any) -> dict[str, _Stored]:
    found = {}
    for name in file.keys():  # noqa: SIM118

        def read(name: str = name) -> np.ndarray:
            return _numbers(name, file.get_tensor(name))

        shape = tuple(file.get_slice(name).get_shape())
        found[name] = _Stored(shape, read, frozenset(_ends(name)))
    return found


def _member(path: _Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of one member of a ``.keras`` file."""
    if name not in archive.namelist():
        raise ValueError(f"{path} is a zip file, but no model that Keras saved: no {name} in it.")
    info = archive.getinfo(name)
    _refuse_bomb(f"{name} in {path}", info.file_size, info.compress_size)
    return archive.read(name)


def _config(path: _Path, archive: zipfile.ZipFile) -> Any:
    content = _member(path, archive, "config.json")
    return json_files.parse(content, f"{path}: config.json", _LARGE, json_files.OF_A_MODEL)


def _hdf5(path: _Path, file: h5py.File, config: Any) -> dict[str, _Stored]:
    """Return the variables of an HDF5 file; ``config`` is that of a ``.keras`` file."""
    datasets = {
        name: dataset
        for name, dataset in _datasets(path, file)
        if name.split("/", 1)[0] not in _NOT_THE_MODELS
    }
    others: Mapping[str, tuple[str, ...]] = {}
    layers: frozenset[str] = frozenset()
    # A configuration that is not as Keras writes it gives no names.
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        if config is not None:
            groups = Counter(name.rsplit("/", 1)[0] for name in datasets)
            others, layers = keras_names.in_weights_file(config, groups), keras_names.paths(config)
        elif (described := file.attrs.get("model_config")) is not None:
            config = json_files.parse(described, str(path), _LARGE, json_files.OF_A_MODEL)
            others, layers = keras_names.in_h5_file(config, datasets), keras_names.paths(config)
    structural = {word for words in others.values() for word in words}

    def names(name: str) -> Iterator[str]:
        yield from others.get(name, ())
        for end in _ends(name):
            # `dense_1/kernel` may be the end of a name in the file, for the layer was called
            # dense_1 in its program, and the structural name of another layer. If so it is
            # refused: as one of several, or else as none.
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
    """Yield every dataset by its name, or raise if one is not all in this file."""
    for key in group:
        name = f"{prefix}{key}"
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"{path} has a link to elsewhere at {name!r} ({type(link).__name__}). Keras "
                f"writes none; it is not followed."
            )
        thing = group[key]
        if isinstance(thing, h5py.Group):
            if thing in seen:
                raise ValueError(f"{path} is damaged: the group {name!r} is within itself.")
            yield from _datasets(path, thing, f"{name}/", (*seen, thing))
        elif isinstance(thing, h5py.Dataset):
            if thing.is_virtual or thing.external:
                raise ValueError(
                    f"{path} keeps the numbers of {name!r} in another file. Keras writes no "
                    f"such file; it is not read."
                )
            if thing.shape is not None:
                yield name, thing


def _read_dataset(path: _Path, name: str, dataset: h5py.Dataset) -> np.ndarray:
    claimed = dataset.size * dataset.dtype.itemsize
    _refuse_bomb(f"{name} in {path}", claimed, dataset.id.get_storage_size())
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
            f"{path} is a folder, but no SavedModel: there is no variables/variables.index in it."
        )
    reader = tf.train.load_checkpoint(prefix)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    keys = {
        key.removesuffix(_VALUE): key
        for key in sorted(shapes)
        if key != _GRAPH
        and "/.OPTIMIZER_SLOT/" not in key
        # Keras 3 keeps every variable twice when it exports a model.
        and key.split("/", 1)[0] not in (*_NOT_THE_MODELS, "_all_variables")
        and dtypes[key] != tf.string
    }
    graph = reader.get_tensor(_GRAPH) if _GRAPH in shapes else b""
    words: dict[str, str] = {}
    # A graph that is not as TensorFlow writes it gives no names.
    with contextlib.suppress(IndexError, KeyError, UnicodeDecodeError):
        words = _names_in_object_graph(graph)
    counts = Counter(words.get(key) for key in keys.values())
    found = {}
    for short, key in keys.items():
        word = words.get(key)
        name = word if word and counts[word] == 1 else short

        def read(name: str = name, key: str = key) -> np.ndarray:
            return _numbers(name, np.asarray(reader.get_tensor(key)))

        others = {short, key, *_ends(name)}
        found[name] = _Stored(tuple(shapes[key]), read, frozenset(others))
    return found


def _names_in_object_graph(graph: bytes) -> dict[str, str]:
    """Return what the program called the variables, by their keys in a checkpoint.

    They are in a protocol buffer (``TrackableObjectGraph``): repeated nodes (field 1) with
    repeated attributes (field 2), each with the full name (field 2) and the key (field 3).
    """
    found = {}
    for number, node in _fields(graph):
        if number != 1:
            continue
        for number, attribute in _fields(node):
            if number == 2:
                texts = dict(_fields(attribute))
                if 2 in texts and 3 in texts:
                    found[texts[3].decode()] = texts[2].decode()
    return found


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers and contents of the fields of a protocol buffer that have a length."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 2:
            length = varint()
            yield tag >> 3, message[at : at + length]
            at += length
        elif tag & 7 == 0:
            varint()
        else:
            at += {1: 8, 5: 4}[tag & 7]


def _ends(name: str) -> Iterator[str]:
    """Yield a name and its ends, from each ``/`` on, with and without a ``:0``."""
    for whole in (name, name.removesuffix(":0")):
        parts = whole.split("/")
        for start in range(len(parts)):
            yield "/".join(parts[start:])


def _numbers(name: str, values: np.ndarray) -> np.ndarray:
    """Return values of a native dtype, or raise if they are no real numbers."""
    known = values.dtype.kind in "fiub" or values.dtype == tf.bfloat16.as_numpy_dtype
    if not known:
        raise ValueError(f"{name!r} holds no real numbers, but {values.dtype}.")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _refuse_bomb(what: str, claimed: int, stored: int) -> None:
    if claimed >= _LARGE and claimed > _MOST_EXPANSION * stored:
        raise ValueError(
            f"{what} claims to be {claimed} bytes, but takes {stored} on the disk. What claims "
            f"{_LARGE} bytes or more, and {_MOST_EXPANSION} times what it takes, is not read."
        )
