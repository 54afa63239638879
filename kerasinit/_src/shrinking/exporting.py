"""Writes a model to a file for other runtimes, and checks what the file computes."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.errors import checked_count, unknown
from kerasinit._src.files import atomic
from kerasinit._src.shrinking import formats, runners
from kerasinit._src.shrinking.exported import Export
from kerasinit._src.shrinking.formats import FORMATS, QUANTIZE, Format, Quantize
from kerasinit._src.shrinking.measuring import size_of
from kerasinit._src.shrinking.model_arrays import Inputs, checked_model, model_inputs, outputs
from kerasinit._src.troubleshooting import see

_SUFFIXES: dict[str, Format] = {
    "": "saved_model",
    ".keras": "keras",
    ".onnx": "onnx",
    ".tflite": "litert",
}
_PACKAGES = {"litert": "ai-edge-litert", "onnx": "onnxruntime"}
_RANDOM = 16
_CHECKED = 64
_LIMIT = 1e-2
"""Files that are not quantized may differ from the model by this fraction of its largest output."""


def export(
    model: Any,
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,
    quantize: Quantize | None = None,
    representative_data: Any = None,
    sparse: bool = False,
    check_data: Any = None,
    batch_size: int | None = None,
    overwrite: bool = False,
) -> Export:
    """Write a model to a file for inference, and check the file against the model.

    A conversion may change what a model computes, by quantization or by a bug of the converter,
    so the file is run on examples and compared with the model before it is given its final name.
    The model is not changed.

    Args:
        model: A built model of either Keras.
        path: The file to write, or the folder of a SavedModel.
        format: ``"keras"``, without the optimizer; ``"saved_model"``; ``"litert"``; or
            ``"onnx"``, for which the extra ``onnx`` must be installed. Default: by the suffix of
            the path: ``.keras``, ``.tflite``, ``.onnx``, and none for a SavedModel.
        quantize: For LiteRT: ``"float16"`` weights; ``"dynamic"`` for int8 weights whose signals
            are quantized while it runs; ``"int8"`` for int8 weights and signals (operations that
            have no int8 form stay float). Inputs and outputs keep their dtype. Default: None.
        representative_data: A few hundred typical inputs, examples first, for the ranges of
            signals that ``"int8"`` needs: an array, or a list or dictionary of arrays. Default:
            None.
        sparse: For LiteRT: whether to store weights with many zeros in a sparse format
            (TensorFlow's ``EXPERIMENTAL_SPARSITY``). Default: False. Dense layers pruned in blocks
            of (4, 1) or (16, 1) then also run faster, as `footprint` shows.
        check_data: Inputs to check the file on, of which the first 64 are used. Default: the
            representative data, or else 16 random examples.
        batch_size: For LiteRT: a fixed number of examples, which recurrent layers need.
            Default: any number.
        overwrite: Whether an existing file may be replaced. Default: False.

    Returns:
        An `Export`: size, gzipped size, and the largest difference from the model. If what runs
        the file is not installed, it says so, and that the file was not checked.

    Raises:
        TypeError: If ``model`` is not a model.
        ValueError: If the model is not built or has weights that are NaN; if the options do not
            suit the format; if data do not fit the model; or if the file cannot be converted, is
            refused by its runtime, or computes something else. Nothing is written then.
        FileExistsError: If the path exists, unless ``overwrite`` is set.
        ImportError: If packages of the extra ``onnx`` are not installed.

    Example:
    >>> import keras, tempfile
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = export(model, f"{folder}/model.keras")
    >>> written.format, written.difference
    ('keras', 0.0)

    Reference:
        Jacob et al., 2018, "Quantization and training of neural networks for efficient
        integer-arithmetic-only inference".
    """
    checked_model(model)
    path = Path(path)
    chosen = _checked_options(model, path, format, quantize, sparse, batch_size)
    if quantize == "int8" and representative_data is None:
        raise ValueError(
            "quantize='int8' needs representative_data, a few hundred typical inputs, to find "
            "the ranges of the signals. quantize='dynamic' needs none."
        )
    _require_place(path, chosen, overwrite)
    representative = None
    if representative_data is not None:
        representative = model_inputs(model, representative_data, what="representative_data")
    if check_data is None and representative is not None:
        inputs = representative.first(_CHECKED)
    else:
        inputs = model_inputs(model, check_data, examples=_RANDOM, what="check_data")
        inputs = inputs.first(_CHECKED)
    reference = outputs(model, inputs)
    if not all(np.isfinite(one).all() for one in reference if one.dtype.kind == "f"):
        raise ValueError(
            f"The model {model.name!r} computes NaN or infinity on the examples, so no file can "
            f"be checked against it."
        )
    check = _Check(model, inputs, reference, quantize)
    with atomic.reporting_full_disk(path.parent):
        contents: list[bytes]
        if chosen == "saved_model":
            contents = _write_folder(model, path, check)
        else:
            contents = [
                _content(model, chosen, inputs, quantize, sparse, representative, batch_size)
            ]
            check(chosen, contents[0])
            atomic.replace(path, contents[0])
    size = size_of(chosen, *contents)
    return Export(
        str(path), chosen, quantize, bool(sparse), size.bytes, size.gzipped, *check.result
    )


def _checked_options(
    model: Any,
    path: Path,
    format: str | None,
    quantize: str | None,
    sparse: bool,
    batch_size: int | None,
) -> Format:
    """Return the format, after checking that the options suit it and the model."""
    if format is None and path.suffix not in _SUFFIXES:
        raise unknown(
            "suffix",
            path.suffix,
            filter(None, _SUFFIXES),
            "A path without a suffix becomes a SavedModel; or pass format.",
        )
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    chosen: Format = _SUFFIXES[path.suffix] if format is None else format  # type: ignore
    if path.suffix and _SUFFIXES.get(path.suffix, chosen) != chosen:
        raise ValueError(f"The suffix of {path} does not suit format={format!r}.")
    if quantize is not None and quantize not in QUANTIZE:
        raise unknown("quantize", quantize, QUANTIZE)
    if batch_size is not None:
        checked_count("batch_size", batch_size)
    for name, given in (("quantize", quantize), ("sparse", sparse), ("batch_size", batch_size)):
        if given and chosen != "litert":
            raise ValueError(
                f"{name} is for LiteRT files (.tflite); {path} becomes a file of the format "
                f"{chosen!r}. Leave it out."
            )
    kerase = compat.kerase_of(model)
    if chosen == "onnx" and kerase == "tf_keras":
        raise ValueError(
            "tf_keras does not export ONNX files. Export a SavedModel and convert it: "
            "python -m tf2onnx.convert --saved-model FOLDER --output FILE.onnx."
        )
    backend = keras.backend.backend()
    if chosen != "keras" and kerase == "keras" and backend != "tensorflow":
        raise ValueError(
            f"The format {chosen!r} is made with Keras' TensorFlow backend; this is {backend}. "
            f"Export a .keras file and load it with KERAS_BACKEND=tensorflow. "
            f"{see('tensorflow-backend')}"
        )
    return chosen


def _require_place(path: Path, chosen: Format, overwrite: bool) -> None:
    """Raise an error unless a file or folder may be written."""
    if not path.absolute().parent.is_dir():
        raise ValueError(f"The folder {path.parent} of {path.name} does not exist.")
    if not (path.exists() or path.is_symlink()):
        return
    if not overwrite:
        raise FileExistsError(
            f"{path} already exists and is not overwritten. Choose another name, or pass "
            f"overwrite=True."
        )
    replaceable = path.is_file() if chosen != "saved_model" else (path / "saved_model.pb").is_file()
    if not replaceable:
        kind = "a SavedModel" if chosen == "saved_model" else "a file"
        raise FileExistsError(f"{path} is not {kind} and is not overwritten.")


def _content(
    model: Any,
    chosen: Format,
    inputs: Inputs,
    quantize: Quantize | None,
    sparse: bool,
    representative: Inputs | None,
    batch_size: int | None,
) -> bytes:
    """Return the content of a file in a format."""
    if chosen == "litert":
        with formats.litert_source(model, inputs, batch_size) as source:
            return formats.litert_bytes(
                source,
                quantize=quantize,
                sparse=sparse,
                representative=representative,
                batch_size=batch_size,
            )
    write = formats.write_keras if chosen == "keras" else formats.write_onnx
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, f"model.{chosen}")
        write(model, written)
        return written.read_bytes()


def _write_folder(model: Any, path: Path, check: "_Check") -> list[bytes]:
    """Write a SavedModel, check it, and put it in the place of an earlier one."""
    new = path.with_name(f".{path.name}.new") if path.exists() else path
    with atomic.new_folder(new) as folder:
        formats.write_saved_model(model, folder)
        check("saved_model", folder)
        files = sorted(one for one in folder.rglob("*") if one.is_file())
        contents = [file.read_bytes() for file in files]
    if new != path:
        old = path.with_name(f".{path.name}.old.partial")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        new.rename(path)
        shutil.rmtree(old)
    return contents


class _Check:
    """Compares what a file computes with the model; ``result`` is the end of an `Export`."""

    def __init__(
        self, model: Any, inputs: Inputs, reference: list[np.ndarray], quantize: str | None
    ) -> None:
        self._model, self._inputs = model, inputs
        self._reference, self._quantize = reference, quantize
        self.result: tuple[int, float | None, float | None, str, str] = (0, None, None, "", "")

    def __call__(self, chosen: Format, content: Any) -> None:
        """Run a file and keep how much it differs.

        Raises:
            ValueError: If it does not run, or computes something else.
        """
        package = _PACKAGES.get(chosen)
        if package and not runners.is_installed(package.replace("-", "_")):
            self._not_checked(f"{package} is not installed: pip install 'kerasinit[{chosen}]'.")
            return
        kerase = compat.kerase_of(self._model)
        if chosen == "keras":
            try:
                found = _loaded_outputs(self._model, content, self._inputs)
            except Exception as error:  # a loader may raise anything
                lines = str(error).strip().splitlines() or [type(error).__name__]
                self._not_checked(f"it cannot be loaded without further arguments: {lines[0]}")
                return
        else:
            found = self._run(chosen, content, kerase)
        difference, relative = self._difference(found)
        name = package or (kerase if chosen == "keras" else "tensorflow")
        runtime = f"{name} {metadata.version(name)}"
        self.result = (self._inputs.examples, difference, relative, runtime, "")

    def _not_checked(self, why: str) -> None:
        self.result = (0, None, None, "", why)

    def _run(self, chosen: Format, content: Any, kerase: str) -> list[np.ndarray]:
        """Return what a file computes, without the examples that fill up the last batch."""
        size = None
        if chosen == "litert":
            run, size = runners.litert_runner, runners.fixed_batch(content)
        elif chosen == "onnx":
            run = runners.onnx_runner
        elif kerase == "keras":
            run = runners.saved_model_runner
        else:
            run = runners.flat_saved_model_runner
        found = _run(run, content, self._inputs.batches(size))
        return [one[: self._inputs.examples] for one in found]

    def _difference(self, found: Sequence[np.ndarray]) -> tuple[float, float]:
        if [one.shape for one in found] != [one.shape for one in self._reference]:
            raise ValueError(
                f"The file returns outputs of the shapes {[one.shape for one in found]}, the model "
                f"{[one.shape for one in self._reference]}. Nothing was written."
            )
        pairs = [
            (one.astype(np.float64), other.astype(np.float64))
            for one, other in zip(found, self._reference, strict=True)
        ]
        difference = max((float(np.abs(one - two).max()) for one, two in pairs), default=0.0)
        largest = max((float(np.abs(two).max()) for _, two in pairs), default=0.0)
        relative = difference / largest if largest else (np.inf if difference else 0.0)
        if not np.isfinite(difference):
            raise ValueError(
                "The file computes NaN or infinity where the model does not. Nothing was written."
            )
        if self._quantize is None and relative > _LIMIT:
            raise ValueError(
                f"The file does not compute what the model does: its outputs differ by "
                f"{difference:.2g}, {relative:.2g} of the largest. Nothing was written."
            )
        return difference, relative


def _loaded_outputs(model: Any, content: bytes, inputs: Inputs) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        loaded = compat.library_of(model).models.load_model(path, compile=False)
    return outputs(loaded, inputs)


def _run(
    prepare: Callable[[Any, Inputs], runners.Prepared], content: Any, batches: Iterable[Inputs]
) -> list[np.ndarray]:
    """Return what a file computes."""
    found = []
    try:
        for batch in batches:
            prepared = prepare(content, batch)
            prepared.run()
            found.append([np.array(one) for one in prepared.outputs()])
    except runners.RefusedError as error:
        raise ValueError(f"{error} Nothing was written.") from error
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]
