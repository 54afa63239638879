"""The files that a model is written to: `.keras`, SavedModel, LiteRT and ONNX.

Each function writes to a path that does not exist yet, or returns the bytes; whether the files
compute what the model does is checked by the callers.
"""

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import keras

from kerasinit._src import compat
from kerasinit._src.compat.calls import replaced
from kerasinit._src.compat.restore import restored
from kerasinit._src.shrinking.model_arrays import Inputs
from kerasinit._src.troubleshooting import see

Format = Literal["keras", "litert", "onnx", "saved_model"]
Quantize = Literal["dynamic", "float16", "int8"]
FORMATS: tuple[Format, ...] = ("keras", "litert", "onnx", "saved_model")
QUANTIZE: tuple[Quantize, ...] = ("dynamic", "float16", "int8")

_ENDPOINT = "serve"


def write_keras(model: Any, path: Path) -> None:
    """Save a model as `.keras`, without its optimizer, which takes more room than the weights."""
    attributes = {"keras": ("compiled",), "tf_keras": ("_is_compiled",)}[compat.kerase_of(model)]
    with contextlib.ExitStack() as stack:
        for attribute, value in (("optimizer", None), *((name, False) for name in attributes)):
            stack.enter_context(replaced(model, attribute, value))
        model.save(path)


def write_saved_model(model: Any, folder: Path) -> None:
    """Write a SavedModel with Keras' own ``export``."""
    # tf_keras prints where it wrote, and has no argument to prevent it.
    with restored(model), contextlib.redirect_stdout(io.StringIO()):
        model.export(str(folder))


def write_onnx(model: Any, path: Path) -> None:
    """Write an ONNX file with Keras' own ``export``.

    Raises:
        ImportError: If the packages of the extra ``onnx`` are not installed.
        ValueError: If Keras cannot export the model.
    """
    with restored(model), warnings.catch_warnings():
        # Keras gives NumPy 2 the old name back that tf2onnx uses.
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        try:
            model.export(str(path), format="onnx", verbose=False)
        except ImportError as error:
            raise ImportError(
                f"ONNX files need the extra `onnx`: pip install 'kerasinit[onnx]' ({error}). "
                f"{see('missing-extra')}"
            ) from error
        except Exception as error:  # tf2onnx raises any
            raise ValueError(
                f"Keras cannot export the model {model.name!r} to ONNX: {_first_line(error)}"
            ) from error


@contextlib.contextmanager
def litert_source(model: Any, inputs: Inputs, batch_size: int | None = None) -> Iterator[Path]:
    """Yield a folder that `litert_bytes` converts; one serves any quantization.

    Args:
        model: A built model of either Keras on TensorFlow.
        inputs: Examples, for the names, shapes and dtypes of the inputs.
        batch_size: A fixed number of examples; None leaves it open.
    """
    with tempfile.TemporaryDirectory() as folder:
        with restored(model):
            _write_for_converter(model, inputs, Path(folder), batch_size)
        yield Path(folder)


def litert_bytes(
    source: Path,
    *,
    quantize: Quantize | None = None,
    sparse: bool = False,
    representative: Inputs | None = None,
    batch_size: int | None = None,
) -> bytes:
    """Return a LiteRT file, converted by TensorFlow.

    Inputs and outputs keep their dtype whatever the weights are quantized to.

    Args:
        source: The folder of `litert_source`.
        quantize: What to quantize to.
        sparse: Whether to store tensors with many zeros in a sparse format.
        representative: Examples to calibrate ``"int8"`` with.
        batch_size: The fixed number of examples of the source, if it has one.

    Raises:
        ValueError: If TensorFlow cannot convert the model.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(source), signature_keys=["serving_default"]
    )
    optimize = tf.lite.Optimize
    converter.optimizations = [optimize.DEFAULT] * (quantize is not None)
    converter.optimizations += [optimize.EXPERIMENTAL_SPARSITY] * sparse
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8" and representative is not None:
        _require_no_loops(litert_bytes(source, batch_size=batch_size))
        converter.representative_dataset = _batches(representative, batch_size or 1)
    try:
        with warnings.catch_warnings():
            # TensorFlow announces the end of its interpreter, which its own calibration uses.
            warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
            return converter.convert()
    except Exception as error:  # the converter raises several kinds, such as ConverterError
        hint = "" if batch_size else " Recurrent layers need a fixed size: pass batch_size=1."
        raise ValueError(
            f"TensorFlow cannot convert the model to LiteRT: {_first_line(error)}{hint}"
        ) from error


def _write_for_converter(model: Any, inputs: Inputs, folder: Path, batch_size: int | None) -> None:
    """Write a SavedModel whose function takes the inputs and returns the outputs one by one."""
    import tensorflow as tf

    def serve(*flat: Any) -> Any:
        found = keras.tree.flatten(model(inputs.pack(flat), training=False))
        return {f"output_{index}": tensor for index, tensor in enumerate(found)}

    signature = [
        tf.TensorSpec((batch_size, *shape), dtype, name)
        for shape, dtype, name in zip(inputs.shapes, inputs.dtypes, inputs.names, strict=True)
    ]
    archive = compat.library_of(model).export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(_ENDPOINT, serve, signature)
    with contextlib.redirect_stdout(io.StringIO()):
        archive.write_out(str(folder))


def _require_no_loops(content: bytes) -> None:
    """Raise ValueError if TensorFlow's calibration would end the process, as it does at a loop."""
    import tensorflow as tf

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        tf.lite.experimental.Analyzer.analyze(model_content=content)
    if re.search(r"^ *Op#\d+ WHILE\(", printed.getvalue(), re.MULTILINE):
        raise ValueError(
            "TensorFlow cannot calibrate int8 for a model with a loop, such as a recurrent layer "
            "has unless it is built with unroll=True. quantize='dynamic' needs no calibration."
        )


def _batches(representative: Inputs, size: int) -> Callable[[], Iterator[dict[str, Any]]]:
    def batches() -> Iterator[dict[str, Any]]:
        for batch in representative.batches(size):
            yield dict(zip(batch.names, batch.arrays, strict=True))

    return batches


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
