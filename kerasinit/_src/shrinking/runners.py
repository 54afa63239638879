"""The runtimes that run a model or its files, each as a function of a flat list of arrays.

A runtime is prepared once for some examples; `Prepared.run` is what is timed, without the
conversion of inputs and outputs, and `Prepared.outputs` returns the results.
"""

import contextlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.shrinking.model_arrays import Inputs


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model or file that is ready to run on fixed examples.

    Attributes:
        run: Runs it once.
        outputs: Returns the outputs of the last run, flat.
    """

    run: Callable[[], Any]
    outputs: Callable[[], list[np.ndarray]]


class RefusedError(RuntimeError):
    """A runtime does not run a file."""


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def keras_threads() -> int:
    """Return the number of threads of an operation of Keras' backend, set when it starts."""
    if (tf := compat.imported_tensorflow()) is not None:
        return tf.config.threading.get_intra_op_parallelism_threads() or available_threads()
    return available_threads()


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    with contextlib.suppress(AttributeError):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def litert_runner(content: bytes, inputs: Inputs, threads: int = 1) -> Prepared:
    """Prepare a LiteRT file with its default delegate, XNNPACK.

    Raises:
        RefusedError: If the runtime does not accept the file.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=content, num_threads=threads)
        entries, ends = _signature(interpreter)
        for name, array in zip(inputs.names, inputs.arrays, strict=True):
            if tuple(entries[name]["shape"]) != array.shape:
                interpreter.resize_tensor_input(entries[name]["index"], array.shape)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise RefusedError(f"LiteRT does not run the file: {_first_line(error)}") from error
    for name, array in zip(inputs.names, inputs.arrays, strict=True):
        interpreter.set_tensor(entries[name]["index"], array)
    order = sorted(ends, key=lambda name: int(name.rpartition("_")[2]))
    return Prepared(
        interpreter.invoke, lambda: [interpreter.get_tensor(ends[name]["index"]) for name in order]
    )


def _signature(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inputs and outputs by name. A runner that lived on would lock the interpreter."""
    runner = interpreter.get_signature_runner("serving_default")
    return runner.get_input_details(), runner.get_output_details()


def fixed_batch(content: bytes) -> int | None:
    """Return the number of examples that a LiteRT file is made for; None if it is open."""
    from ai_edge_litert.interpreter import Interpreter

    first = Interpreter(model_content=content).get_input_details()[0]
    size = int(first["shape_signature"][0])
    return None if size < 0 else size


def onnx_runner(content: bytes | str | Path, inputs: Inputs, threads: int = 1) -> Prepared:
    """Prepare an ONNX file on the processor."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    source = str(content) if isinstance(content, Path) else content
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    feeds = {
        entry.name: array for entry, array in zip(session.get_inputs(), inputs.arrays, strict=True)
    }
    results: list[Any] = []

    def run() -> None:
        results[:] = session.run(None, feeds)

    return Prepared(run, lambda: [np.asarray(one) for one in results])


def saved_model_runner(folder: Path, inputs: Inputs) -> Prepared:
    """Prepare a SavedModel of Keras 3 in TensorFlow."""
    return _served(folder, inputs.packed)


def flat_saved_model_runner(folder: Path, inputs: Inputs) -> Prepared:
    """Prepare a SavedModel of tf_keras, which takes several inputs as a list."""
    flat = list(inputs.arrays)
    return _served(folder, flat if len(flat) > 1 else flat[0])


def _served(folder: Path, x: Any) -> Prepared:
    import tensorflow as tf

    loaded: Any = tf.saved_model.load(str(folder))
    # The function alone would let go of the variables.
    return _called(lambda given: loaded.serve(given), keras.tree.map_structure(tf.constant, x))


def keras_call(model: Any, inputs: Inputs) -> Prepared:
    """Prepare the compiled call of a model, without the loop over batches of ``predict``."""
    if compat.kerase_of(model) == "keras" and keras.backend.backend() != "tensorflow":
        return _called(model.predict_on_batch, inputs.packed)
    import tensorflow as tf

    function = tf.function(lambda x: model(x, training=False))
    return _called(function, keras.tree.map_structure(tf.constant, inputs.packed))


def keras_predict(model: Any, inputs: Inputs) -> Prepared:
    """Prepare ``predict`` on the examples as one batch."""
    return _called(lambda x: model.predict(x, batch_size=inputs.examples, verbose=0), inputs.packed)


def _called(function: Callable[[Any], Any], x: Any) -> Prepared:
    results: list[Any] = []

    def run() -> None:
        # As arrays, which waits for an accelerator.
        results[:] = map(np.asarray, keras.tree.flatten(function(x)))

    return Prepared(run, lambda: list(results))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
