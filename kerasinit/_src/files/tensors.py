"""Reading and writing of safetensors files, and reading of lottery tickets.

safetensors files contain plain numbers behind a JSON header; nothing in them is executed. Tickets
are safetensors files with additional metadata, written by `lottery.store.ticket`.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 (registers bfloat16, which safetensors looks up by name)
import numpy as np
import safetensors
import safetensors.numpy

from kerasinit._src import errors
from kerasinit._src.files import atomic
from kerasinit._src.mask_arrays import NAMING, Masks
from kerasinit._src.troubleshooting import see

TICKET = "kerasinit-ticket"
# The versions differ in the names of variables; `network.old_names` has those of version 1.
VERSIONS = ("1", NAMING)

_Path = str | os.PathLike[str]


@contextlib.contextmanager
def opened(path: _Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield an open safetensors file and its metadata; a damaged file raises a ValueError."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            yield file, dict(file.metadata() or {})
    except FileNotFoundError:
        raise
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a safetensors file: {error}.") from error


def read_tensors(path: _Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file."""
    with opened(path) as (file, metadata):
        return {name: _tensor(path, file, name) for name in file.keys()}, metadata  # noqa: SIM118


def read_ticket(path: _Path) -> tuple[Masks, dict[str, np.ndarray], dict[str, str]]:
    """Return the masks, the weights and the custom metadata of a ticket."""
    with opened(path) as (file, metadata):
        masked, version = _read_header(path, metadata, file)
        names = _names(file, "weight/")
        weights = {name: _weight(path, file, name, name in masked) for name in names}
        masks = {name: _mask(path, file, name, weights.get(name)) for name in masked}
    return Masks(masks, version), weights, metadata


def read_ticket_weight(path: _Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one weight of a ticket, and its mask; True everywhere if it has none."""
    with opened(path) as (file, metadata):
        masked, _ = _read_header(path, metadata, file)
        names = _names(file, "weight/")
        if name not in names:
            shapes = {n: tuple(file.get_slice(f"weight/{n}").get_shape()) for n in names}
            raise errors.unknown(
                f"weight of the ticket {path}", name, names, see("saved-variable"), notes=shapes
            )
        weight = _weight(path, file, name, name in masked)
        if name not in masked:
            return weight, np.ones(weight.shape, bool)
        mask = _mask(path, file, name, weight)
    require_zeros(path, name, weight, mask)
    return weight, mask


def _read_header(path: _Path, metadata: dict[str, str], file: Any) -> tuple[list[str], str]:
    """Remove the metadata of a ticket; return the names of its masks, in order, and its version."""
    if metadata.pop("format", None) != TICKET:
        raise ValueError(f"{path} is a safetensors file, but not a ticket of kerasinit.")
    version = metadata.pop("version", "?")
    if version not in VERSIONS:
        raise ValueError(
            f"{path} has ticket format {version}; this version of kerasinit reads "
            f"{', '.join(VERSIONS)}. Install a newer version."
        )
    # safetensors sorts arrays by dtype, so the order of the masks is stored separately.
    order = metadata.pop("order", "").split("\n")
    kinds = {kind: set(_names(file, f"{kind}/")) for kind in ("mask", "weight")}
    others = sorted(set(file.keys()) - {f"{k}/{n}" for k, names in kinds.items() for n in names})
    if others:
        raise ValueError(f"{path} is damaged: {others[0]!r} is neither a mask nor a weight.")
    if len(set(order)) < len(order) or kinds["mask"] - set(order):
        listed = ", ".join(map(repr, order[:5]))
        raise ValueError(
            f"{path} is damaged: it lists the weights {listed}, but has masks for "
            f"{', '.join(map(repr, sorted(kinds['mask'])[:5])) or 'none'}."
        )
    return order, version


def _names(file: Any, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118


def _tensor(path: _Path, file: Any, name: str) -> np.ndarray:
    try:
        return file.get_tensor(name)
    # safetensors has dtypes that NumPy does not support.
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {name!r} has an unsupported dtype ({error}).") from error


def _weight(path: _Path, file: Any, name: str, masked: bool) -> np.ndarray:
    """Return a weight: finite numbers, and floating-point if it has a mask."""
    value = _tensor(path, file, f"weight/{name}")
    floating = is_floating(value)
    if masked and not floating:
        raise ValueError(
            f"{path} is damaged: {name!r} has a mask and dtype {value.dtype}; expected a "
            f"floating-point dtype."
        )
    if not (floating or value.dtype.kind in "iub"):
        raise ValueError(f"{path} is damaged: {name!r} has dtype {value.dtype}; expected numbers.")
    if floating and not np.isfinite(value).all():
        count = int(np.count_nonzero(~np.isfinite(value)))
        raise ValueError(
            f"{path} is damaged: {count} of {value.size} values of {name!r} are not finite."
        )
    return value


def is_floating(value: np.ndarray) -> bool:
    """Return whether an array has a floating-point dtype that tickets may have."""
    return value.dtype.kind == "f" or value.dtype.name == "bfloat16"


def require_zeros(path: _Path, name: str, weight: np.ndarray, mask: np.ndarray) -> None:
    """Raise unless a weight is zero where its mask removes it."""
    if np.any(weight[~mask]):
        raise ValueError(f"{path} is damaged: it removes weights of {name!r} that are not 0.")


def _mask(path: _Path, file: Any, name: str, weight: np.ndarray | None) -> np.ndarray:
    """Return the mask of a weight, which is stored as one bit per element."""
    exists = f"mask/{name}" in file.keys()  # noqa: SIM118
    packed = _tensor(path, file, f"mask/{name}") if exists else None
    if packed is None or weight is None or packed.shape != (-(-weight.size // 8),):
        raise ValueError(f"{path} is damaged: no mask of the right size for {name!r}.")
    if packed.dtype != np.uint8:
        raise ValueError(
            f"{path} is damaged: the mask of {name!r} has dtype {packed.dtype}; expected uint8."
        )
    return np.unpackbits(packed, count=weight.size).astype(bool).reshape(weight.shape)


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays to a new safetensors file."""
    atomic.write_new(path, serialized(tensors, metadata or {}))


def serialized(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Return the content of a safetensors file; the metadata must not contain ``order``."""
    # safetensors writes the memory of an array without regard to its strides.
    contiguous = {name: np.array(value, order="C") for name, value in tensors.items()}
    order = "\n".join(name.removeprefix("mask/") for name in tensors if name.startswith("mask/"))
    return safetensors.numpy.save(
        contiguous, metadata={**metadata, **({"order": order} if order else {})}
    )
