"""Reading safetensors files, and tickets, which are safetensors with words of their own.

safetensors is plain numbers behind a JSON header: nothing in it is ever executed. Who
writes tickets, and what they are for, is in `lottery.store.ticket`.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from kerasinit._src import errors
from kerasinit._src.files import atomic
from kerasinit._src.mask_arrays import NAMING, Masks

TICKET = "kerasinit-ticket"
# Of the names of variables: those of the first are in `network.old_names`.
VERSIONS = ("1", NAMING)

_Path = str | os.PathLike[str]


@contextlib.contextmanager
def opened(path: _Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """Give an open safetensors file, and the words in its header.

    Raises:
        ValueError: If it is not one, or turns out damaged while it is open.
        FileNotFoundError: If there is no such file.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            yield file, dict(file.metadata() or {})
    except FileNotFoundError:
        raise
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a safetensors file: {error}.") from error


def read_tensors(path: _Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the words of a safetensors file.

    Raises:
        ValueError: If it is not one.
        FileNotFoundError: If there is no such file.
    """
    with opened(path) as (file, about):
        return {name: _tensor(path, file, name) for name in file.keys()}, about  # noqa: SIM118


def read_ticket(
    path: _Path,
) -> tuple[Masks, dict[str, np.ndarray], dict[str, str]]:
    """Return the masks, the weights and the words of a ticket's file.

    Raises:
        ValueError: If the file is no ticket, damaged, or of a later format.
        FileNotFoundError: If there is no such file.
    """
    with opened(path) as (file, about):
        masked, version = _masked(path, about, file)
        weights = {name: _weight(path, file, name, name in masked) for name in _weights(file)}
        masks = {name: _mask(path, file, name, weights.get(name)) for name in masked}
    return Masks(masks, version), weights, about


def read_ticket_weight(path: _Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one weight of a ticket, and its mask; True everywhere if it has none.

    Raises:
        ValueError: If the file is no ticket, damaged, of a later format, or has no such
            weight.
        FileNotFoundError: If there is no such file.
    """
    with opened(path) as (file, about):
        masked, _ = _masked(path, about, file)
        names = _weights(file)
        if name not in names:
            shapes = {n: tuple(file.get_slice(f"weight/{n}").get_shape()) for n in names}
            raise errors.unknown(f"weight of the ticket {path}", name, names, notes=shapes)
        weight = _weight(path, file, name, name in masked)
        if name not in masked:
            return weight, np.ones(weight.shape, bool)
        mask = _mask(path, file, name, weight)
    require_zeros(path, name, weight, mask)
    return weight, mask


def _masked(path: _Path, about: dict[str, str], file: Any) -> tuple[list[str], str]:
    """Take what makes a ticket out of the words; return the names with masks, and its version."""
    if about.pop("format", None) != TICKET:
        raise ValueError(f"{path} is a safetensors file, but not a ticket of kerasinit.")
    version = about.pop("version", "?")
    if version not in VERSIONS:
        raise ValueError(
            f"{path} has ticket format {version}; this kerasinit reads {', '.join(VERSIONS)}. "
            f"A newer kerasinit will read it."
        )
    # The header of safetensors is sorted by type; the model's order is that of the weights'
    # names as they were written, which the masks must follow.
    order = about.pop("order", "").split("\n")
    kinds = {kind: set(_named(file, f"{kind}/")) for kind in ("mask", "weight")}
    others = sorted(set(file.keys()) - {f"{k}/{n}" for k, names in kinds.items() for n in names})
    if others:
        raise ValueError(f"{path} is damaged: {others[0]!r} is neither a mask nor a weight.")
    if len(set(order)) < len(order) or kinds["mask"] - set(order):
        listed = ", ".join(map(repr, order[:5]))
        raise ValueError(
            f"{path} is damaged: it names the weights {listed}, and has masks for "
            f"{', '.join(map(repr, sorted(kinds['mask'])[:5])) or 'none'}."
        )
    return order, version


def _weights(file: Any) -> list[str]:
    return _named(file, "weight/")


def _named(file: Any, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118


def _tensor(path: _Path, file: Any, name: str) -> np.ndarray:
    try:
        return file.get_tensor(name)
    # NumPy knows not every type that such a file may have.
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {name!r} is of a type that cannot be read ({error}).") from error


def _weight(path: _Path, file: Any, name: str, masked: bool) -> np.ndarray:
    """Return a weight, if it can be one: numbers, and where a mask may remove them, floats."""
    value = _tensor(path, file, f"weight/{name}")
    floating = value.dtype.kind == "f" or value.dtype.name == "bfloat16"
    if masked and not floating:
        raise ValueError(
            f"{path} is damaged: {name!r} has a mask and dtype {value.dtype}; expected floating "
            f"point."
        )
    if not (floating or value.dtype.kind in "iub"):
        raise ValueError(f"{path} is damaged: {name!r} has dtype {value.dtype}; expected numbers.")
    if floating and not np.isfinite(value).all():
        count = int(np.count_nonzero(~np.isfinite(value)))
        raise ValueError(
            f"{path} is damaged: {count} of {value.size} values of {name!r} are not finite."
        )
    return value


def require_zeros(path: _Path, name: str, weight: np.ndarray, mask: np.ndarray) -> None:
    """Raise unless a weight is zero where its mask removes it."""
    if np.any(weight[~mask]):
        raise ValueError(f"{path} is damaged: it removes weights of {name!r} that are not 0.")


def _mask(path: _Path, file: Any, name: str, weight: np.ndarray | None) -> np.ndarray:
    """Return a weight's mask, which is packed in the file, eight to a byte."""
    there = f"mask/{name}" in file.keys()  # noqa: SIM118
    packed = _tensor(path, file, f"mask/{name}") if there else None
    if packed is None or weight is None or packed.shape != (-(-weight.size // 8),):
        raise ValueError(f"{path} is damaged: no mask of the right size for {name!r}.")
    if packed.dtype != np.uint8:
        raise ValueError(
            f"{path} is damaged: the mask of {name!r} has dtype {packed.dtype}; expected uint8, "
            f"eight places to a byte."
        )
    return np.unpackbits(packed, count=weight.size).astype(bool).reshape(weight.shape)


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], about: Mapping[str, str] | None = None
) -> None:
    """Write arrays to a new safetensors file."""
    atomic.write_new(path, serialized(tensors, about or {}))


def serialized(tensors: Mapping[str, np.ndarray], about: Mapping[str, str]) -> bytes:
    """Return the content of a safetensors file; the words must not contain ``order``."""
    # safetensors writes memory as it lies, so an array must lie in C order.
    contiguous = {name: np.array(value, order="C") for name, value in tensors.items()}
    order = "\n".join(name.removeprefix("mask/") for name in tensors if name.startswith("mask/"))
    return safetensors.numpy.save(
        contiguous, metadata={**about, **({"order": order} if order else {})}
    )
