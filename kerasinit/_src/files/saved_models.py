"""Reading of the variables of a SavedModel, which only TensorFlow can read."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from kerasinit._src.files.stored import OTHER_GROUPS, Path, Stored, name_ends, numbers

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def variables(path: Path) -> dict[str, Stored]:
    """Return the variables of a SavedModel by name.

    Raises:
        ValueError: If the folder holds no SavedModel.
        OSError: If TensorFlow cannot read it; the values raise it as well.
    """
    prefix = os.path.join(path, "variables", "variables")
    if not os.path.isfile(f"{prefix}.index"):
        raise ValueError(
            f"{path} is a folder, but not a SavedModel: it has no variables/variables.index."
        )
    with _reading():
        reader = tf.train.load_checkpoint(prefix)
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        graph = reader.get_tensor(_GRAPH) if _GRAPH in shapes else b""
    keys = {
        key.removesuffix(_VALUE): key
        for key in sorted(shapes)
        if key != _GRAPH
        and "/.OPTIMIZER_SLOT/" not in key
        # Keras 3 stores every variable twice when it exports a model.
        and key.split("/", 1)[0] not in (*OTHER_GROUPS, "_all_variables")
        and dtypes[key] != tf.string
    }
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
            with _reading():
                return numbers(name, np.asarray(reader.get_tensor(key)))

        stored[name] = Stored(tuple(shapes[key]), read, frozenset({short, key, *name_ends(name)}))
    return stored


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Raise the errors of TensorFlow as an OSError, which callers know without TensorFlow."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(str(error)) from error


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
