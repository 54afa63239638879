"""Counts the weights of models, writes their files, and times them in the installed runtimes."""

import gzip
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.errors import checked_count, checked_positive
from kerasinit._src.shrinking import footprints_show, formats, runners  # noqa: F401 (registers)
from kerasinit._src.shrinking.costs import count
from kerasinit._src.shrinking.footprints import FileSize, Footprint, FootprintRow, Latency
from kerasinit._src.shrinking.model_arrays import Inputs, checked_model, model_inputs
from kerasinit._src.shrinking.runtimes import MIN_SPARSITY, RUNTIMES, Runtime, choose
from kerasinit._src.shrinking.timing import median_interval, ratio_interval, timed_in_turn

_Key = tuple[int, str, int]
# The fewest whose smallest and largest enclose the median with 95 %.
_LOADS = 6


def footprint(
    *models: Any,
    x: Any = None,
    names: Sequence[str] | None = None,
    runtimes: str | Iterable[str] | None = None,
    threads: Iterable[int] | None = None,
    latency: bool = True,
    seconds: float = 10.0,
    representative_data: Any = None,
) -> Footprint:
    """Measure what models cost: weights, multiplications, bytes on disk, and time.

    A pruned model has fewer weights, but only some runtimes, for some patterns of zeros, are
    faster for it. This runs the models in every runtime that is installed and reports which of
    them gain, against the first model given:

    * ``keras-call``, the compiled call of the model, and ``keras-predict``, its ``predict``;
    * ``litert-float``, ``litert-float16``, ``litert-dynamic`` (int8 weights) and ``litert-int8``
      (int8 weights and signals, with ``representative_data``): files for LiteRT, run with its
      XNNPACK kernels; with ``-sparse`` added, converted with ``EXPERIMENTAL_SPARSITY``;
    * ``onnx``, ONNX Runtime.

    The models run in turn within one process, each once per round after an untimed run. Depending
    on where a file is placed in memory, it is up to a quarter faster or slower until it is loaded
    again, so all files are loaded six times. The latency is the median of the loads' median times,
    a ratio that of their median ratios within a round; the 95 % intervals, from the smallest to the
    largest load, assume nothing about the distribution of the times.

    Args:
        *models: Built models of either Keras, and, last, a batch of examples unless ``x`` is given:
            an array, or a list or dictionary of arrays. All models take the same inputs.
        x: The batch; its size is the batch size of the latencies. Default: one random example.
        names: A name for each model. Default: their own names, numbered where they are equal.
        runtimes: The names of runtimes, or ``"keras"``, ``"litert"`` or ``"onnx"`` for all of a
            kind. A sparse one brings the plain one along. Default: all that are installed, the
            sparse ones if a weight has 30 % zeros; the others are listed in the result.
        threads: The numbers of threads for LiteRT and ONNX Runtime. Default: one, and as many as
            there are processors. Keras runs with the threads it was started with.
        latency: Whether to measure times (default), besides weights and files.
        seconds: How long to measure, besides conversion and warm-up; 10 by default. There are at
            least 12 rounds.
        representative_data: A few hundred examples, of the shapes of the batch, for the
            calibration of int8. Default: none, and int8 is not measured.

    Returns:
        A `Footprint`: one row for each model, printed as tables.

    Raises:
        TypeError: If something is not a model.
        ValueError: If a model is not built, has weights that are NaN, or does not take ``x``; or
            for an unknown runtime.
        ImportError: If a runtime that is requested by name is not installed.

    Example:
    >>> import keras
    >>> dense = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")])
    >>> found = footprint(dense, latency=False)
    >>> found[0].parameters, found[0].nonzeros
    (36, 32)
    >>> found[0].file("keras").bytes > 0, found.gains
    (True, ())

    Reference:
        Georges, Buytaert and Eeckhout, 2007, "Statistically rigorous Java performance evaluation";
        Hahn and Meeker, 1991, "Statistical intervals", section 5.2 (interval of a median).
    """
    given, x = _split(models, x)
    names = _names(given, names)
    inputs = [model_inputs(checked_model(model), x) for model in given]
    seconds = checked_positive("seconds", seconds)
    chosen, missing = choose(
        given,
        runtimes,
        calibrated=representative_data is not None,
        latency=latency,
        zeros=any(map(_has_zeros, given)),
    )
    numbers = _thread_numbers(threads)
    representative = [
        None if representative_data is None else _representative(model, representative_data)
        for model in given
    ]
    rows = [_files(*one, chosen) for one in zip(given, inputs, representative, strict=True)]
    latencies: dict[_Key, Latency] = {}
    if latency:
        latencies = _latencies(_timed_loads(given, inputs, rows, chosen, numbers, seconds))
    return Footprint(
        tuple(
            FootprintRow(
                name,
                *_counted(model, one_input, files),
                tuple(files.sizes),
                tuple(one for key, one in latencies.items() if key[0] == index),
                files.not_measured,
            )
            for index, (name, model, one_input, files) in enumerate(
                zip(names, given, inputs, rows, strict=True)
            )
        ),
        inputs[0].examples,
        missing,
    )


def _counted(model: Any, inputs: Inputs, files: "_Files") -> tuple[int, int, int | None]:
    """Return the parameters, those that are not zero, and the MACs of a model."""
    try:
        found = count(model, inputs.packed)
    except ValueError as error:  # a subclassed model, which shows no graph to count in
        files.not_measured["macs"] = str(error)
        values = [compat.read(one) for one in model.weights]
        parameters = sum(one.size for one in values)
        return parameters, sum(int(np.count_nonzero(one)) for one in values), None
    return found.parameters, found.nonzeros, found.macs


def _has_zeros(model: Any) -> bool:
    """Return whether a kernel of a model has zeros enough for a sparse format."""
    kernels = [one for one in map(compat.read, model.weights) if one.ndim > 1 and one.size]
    return any(np.mean(one == 0) >= MIN_SPARSITY for one in kernels)


def _split(models: Sequence[Any], x: Any) -> tuple[list[Any], Any]:
    """Separate a batch of examples that was given after the models."""
    found = list(models)
    if found and not compat.is_layer(found[-1]):
        if x is not None:
            raise TypeError("Pass the examples last or as x, not both.")
        x = found.pop()
    if not found:
        raise TypeError("Pass at least one model, such as footprint(model, x[:1]).")
    return found, x


def _names(models: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    if names is None:
        given = [getattr(model, "name", "") for model in models]
        return [
            name if name not in given[:index] else f"{name} ({given[: index + 1].count(name)})"
            for index, name in enumerate(given)
        ]
    if isinstance(names, str) or len(names) != len(models) or len(set(names)) != len(names):
        raise ValueError(f"Expected {len(models)} different names; got {names!r}.")
    return [str(name) for name in names]


def _thread_numbers(threads: Iterable[int] | None) -> tuple[int, ...]:
    if threads is None:
        return tuple(sorted({1, runners.available_threads()}))
    given = (threads,) if isinstance(threads, int) else tuple(threads)
    if not given:
        raise ValueError("Expected threads to have at least one number.")
    return tuple(sorted({checked_count("threads", one) for one in given}))


def _representative(model: Any, given: Any) -> Inputs:
    return model_inputs(model, given, what="representative_data")


@dataclass(frozen=True, eq=False)
class _Files:
    """The files of one model: sizes, contents by runtime, and why there is none."""

    sizes: list[FileSize]
    contents: dict[str, bytes]
    not_measured: dict[str, str]


def _files(
    model: Any, inputs: Inputs, representative: Inputs | None, chosen: Sequence[Runtime]
) -> _Files:
    """Write the files of a model that the runtimes need, one in each format."""
    found = _Files([], {}, {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        formats.write_keras(model, path)
        found.sizes.append(size_of("keras", path.read_bytes()))
        for name, convert in _conversions(model, inputs, representative, chosen, Path(folder)):
            try:
                found.contents[name] = content = convert()
            except ValueError as error:
                found.not_measured[name] = str(error)
            else:
                found.sizes.append(size_of(name, content))
    return found


def size_of(name: str, *contents: bytes) -> FileSize:
    """Return the size of a file, or the sum of several."""
    return FileSize(
        name,
        sum(map(len, contents)),
        sum(len(gzip.compress(content, 9, mtime=0)) for content in contents),
    )


def _conversions(
    model: Any,
    inputs: Inputs,
    representative: Inputs | None,
    chosen: Sequence[Runtime],
    folder: Path,
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield what makes each file, while its source exists."""
    size = inputs.examples
    lite = [one for one in chosen if one.family == "litert"]
    if lite:
        with formats.litert_source(model, inputs, size) as source:
            for one in lite:
                yield (
                    one.name,
                    lambda one=one: formats.litert_bytes(
                        source,
                        quantize=one.quantize,
                        sparse=one.sparse,
                        representative=representative,
                        batch_size=size,
                    ),
                )
    if any(one.family == "onnx" for one in chosen):

        def onnx() -> bytes:
            formats.write_onnx(model, folder / "model.onnx")
            return (folder / "model.onnx").read_bytes()

        yield "onnx", onnx


def _timed_loads(
    models: Sequence[Any],
    inputs: Sequence[Inputs],
    files: Sequence[_Files],
    chosen: Sequence[Runtime],
    numbers: Sequence[int],
    seconds: float,
) -> dict[_Key, list[list[float]]]:
    """Return the times of each load of each model, in each runtime with each number of threads."""
    times: dict[_Key, list[list[float]]] = {}
    # Keras' functions are compiled once.
    compiled: dict[_Key, Callable[[], Any]] = {}
    for _ in range(_LOADS):
        prepared = _prepared(models, inputs, files, chosen, numbers, compiled)
        for key, values in timed_in_turn(prepared, seconds / _LOADS, min_rounds=2).items():
            times.setdefault(key, []).append(values)
    return times


def _prepared(
    models: Sequence[Any],
    inputs: Sequence[Inputs],
    files: Sequence[_Files],
    chosen: Sequence[Runtime],
    numbers: Sequence[int],
    compiled: dict[_Key, Callable[[], Any]],
) -> dict[_Key, Callable[[], Any]]:
    """Return what runs each model in each runtime with each number of threads."""
    found: dict[_Key, Callable[[], Any]] = {}
    for runtime in chosen:
        for index, (model, given) in enumerate(zip(models, inputs, strict=True)):
            if runtime.family == "keras":
                prepare = {
                    "keras-call": runners.keras_call,
                    "keras-predict": runners.keras_predict,
                }[runtime.name]
                key = index, runtime.name, runners.keras_threads()
                if key not in compiled:
                    compiled[key] = prepare(model, given).run
                found[key] = compiled[key]
                continue
            content = files[index].contents.get(runtime.name)
            prepare = {"litert": runners.litert_runner, "onnx": runners.onnx_runner}[runtime.family]
            for threads in numbers if content is not None else ():
                try:
                    found[index, runtime.name, threads] = prepare(content, given, threads).run
                except runners.RefusedError as error:
                    files[index].not_measured[runtime.name] = str(error)
    return found


def _latencies(times: dict[_Key, list[list[float]]]) -> dict[_Key, Latency]:
    found = {}
    for key, loads in times.items():
        _, name, threads = key
        plain = RUNTIMES[name].plain or name
        alike = [other for other in times if other[1:] == (plain, threads)]
        reference = times[min(alike, default=key)]
        own = median_interval(median_interval(load).median for load in loads)
        ratio = median_interval(
            ratio_interval(load, other).median for load, other in zip(loads, reference, strict=True)
        )
        found[key] = Latency(
            name,
            threads,
            own.median,
            own.low,
            own.high,
            sum(map(len, loads)),
            reference is loads,
            ratio.median,
            ratio.low,
            ratio.high,
        )
    return found
