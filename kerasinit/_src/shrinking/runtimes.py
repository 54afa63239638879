"""The runtimes that a model can be measured in, and which of them can be used here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.errors import unknown
from kerasinit._src.shrinking import runners
from kerasinit._src.shrinking.formats import Quantize
from kerasinit._src.troubleshooting import see


@dataclass(frozen=True)
class Runtime:
    """A way to run a model.

    Attributes:
        name: Its name.
        family: What has to be installed for it: ``"keras"``, ``"litert"`` or ``"onnx"``.
        quantize: How its file is quantized.
        sparse: Whether its file has a sparse format.
        plain: The name of the runtime that it is compared with.
    """

    name: str
    family: str
    quantize: Quantize | None = None
    sparse: bool = False
    plain: str = ""


RUNTIMES = {
    one.name: one
    for one in (
        Runtime("keras-call", "keras"),
        Runtime("keras-predict", "keras"),
        Runtime("litert-float", "litert"),
        Runtime("litert-float-sparse", "litert", None, True, "litert-float"),
        Runtime("litert-float16", "litert", "float16"),
        Runtime("litert-dynamic", "litert", "dynamic"),
        Runtime("litert-dynamic-sparse", "litert", "dynamic", True, "litert-dynamic"),
        Runtime("litert-int8", "litert", "int8"),
        Runtime("litert-int8-sparse", "litert", "int8", True, "litert-int8"),
        Runtime("onnx", "onnx"),
    )
}
MIN_SPARSITY = 0.3
"""The fraction of zeros from which TensorFlow's converter stores a tensor in a sparse format."""

_TOO_FEW_ZEROS = (
    f"no weight of any model has {MIN_SPARSITY:.0%} zeros, so no file would become sparse."
)
_FAMILIES = ("keras", "litert", "onnx")


def choose(
    models: Sequence[Any],
    given: str | Iterable[str] | None,
    calibrated: bool,
    latency: bool,
    zeros: bool,
) -> tuple[list[Runtime], dict[str, str]]:
    """Return the runtimes to measure models in, and why others of those wanted cannot be.

    Args:
        models: The models.
        given: Names of runtimes or families; None for all.
        calibrated: Whether there are examples to calibrate int8 with.
        latency: Whether they are to run; otherwise only their files are written.
        zeros: Whether a model has zeros enough for a sparse format.

    Raises:
        ValueError: If a name is unknown, or a runtime that is named cannot be measured.
        ImportError: If one that is named is not installed.
    """
    lacking = _lacking(models, calibrated, latency)
    if given is None:
        names: Iterable[str] = _FAMILIES if latency else ("litert-float",)
        wanted = [one for one in RUNTIMES.values() if {one.name, one.family} & {*names}]
        if not zeros and any(one.sparse for one in wanted):
            wanted = [one for one in wanted if not one.sparse]
            lacking["litert-...-sparse"] = _TOO_FEW_ZEROS
        return [one for one in wanted if not _why_not(one, lacking)], {
            name: why
            for name, why in lacking.items()
            if why is _TOO_FEW_ZEROS or any(name in (one.name, one.family) for one in wanted)
        }
    chosen: dict[str, None] = {}
    missing: dict[str, str] = {}
    for name in (given,) if isinstance(given, str) else given:
        if name not in RUNTIMES and name not in _FAMILIES:
            raise unknown("runtime", name, (*RUNTIMES, *_FAMILIES))
        for one in RUNTIMES.values():
            if name not in (one.name, one.family):
                continue
            why = _why_not(one, lacking)
            if why and (name == one.name or one.family in lacking):
                if "not installed" in why:
                    raise ImportError(f"{name} cannot be measured: {why} {see('missing-extra')}")
                raise ValueError(f"{name} cannot be measured: {why}")
            if why:
                missing[one.plain or one.name] = why
            else:
                chosen |= {one.plain or one.name: None, one.name: None}
    return [one for one in RUNTIMES.values() if one.name in chosen], missing


def _why_not(runtime: Runtime, lacking: dict[str, str]) -> str:
    return lacking.get(runtime.family) or lacking.get(runtime.plain or runtime.name, "")


def _lacking(models: Sequence[Any], calibrated: bool, latency: bool) -> dict[str, str]:
    """Return why a family of runtimes, or one of it with its sparse form, cannot be measured."""
    found: dict[str, str] = {}
    backend = keras.backend.backend()
    kerases = {compat.kerase_of(one) for one in models}
    if backend != "tensorflow" and "keras" in kerases:
        found["litert"] = f"TensorFlow's converter does not take models on {backend}."
    elif latency and not runners.is_installed("ai_edge_litert"):
        found["litert"] = "ai-edge-litert is not installed: pip install 'kerasinit[litert]'."
    elif not calibrated:
        found["litert-int8"] = "pass representative_data to calibrate it with."
    absent = [one for one in ("onnxruntime", "tf2onnx") if not runners.is_installed(one)]
    if "tf_keras" in kerases:
        found["onnx"] = "tf_keras does not export ONNX files."
    elif backend != "tensorflow":
        found["onnx"] = f"measured with Keras on TensorFlow only; this is {backend}."
    elif absent:
        found["onnx"] = f"{' and '.join(absent)} not installed: pip install 'kerasinit[onnx]'."
    return found
