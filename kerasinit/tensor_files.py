"""Reading safetensors files, and tickets, which are safetensors with words of their own.

safetensors is plain numbers behind a JSON header: nothing in it is ever executed. Who
writes tickets, and what they are for, is in `kerasinit.lottery.ticket`.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import safetensors

from kerasinit import suggest

TICKET = {"format": "kerasinit-ticket", "version": "1"}

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
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}.") from error


def read_tensors(path: _Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the words of a safetensors file.

    Raises:
        ValueError: If it is not one.
        FileNotFoundError: If there is no such file.
    """
    with opened(path) as (file, about):
        return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118


def read_ticket(
    path: _Path,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, str]]:
    """Return the masks, the weights and the words of a ticket's file.

    Raises:
        ValueError: If the file is no ticket, damaged, or of a later format.
        FileNotFoundError: If there is no such file.
    """
    with opened(path) as (file, about):
        masked = _masked(path, about)
        weights = {name: file.get_tensor(f"weight/{name}") for name in _weights(file)}
        masks = {name: _mask(path, file, name, weights.get(name)) for name in masked}
    return masks, weights, about


def read_ticket_weight(path: _Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return one weight of a ticket, and its mask; True everywhere if it has none.

    Raises:
        ValueError: If the file is no ticket, damaged, of a later format, or has no such
            weight.
        FileNotFoundError: If there is no such file.
    """
    with opened(path) as (file, about):
        masked = _masked(path, about)
        names = _weights(file)
        if name not in names:
            shapes = {n: tuple(file.get_slice(f"weight/{n}").get_shape()) for n in names}
            raise suggest.unknown(f"weight of the ticket {path}", name, names, notes=shapes)
        weight = file.get_tensor(f"weight/{name}")
        if name not in masked and f"mask/{name}" not in file.keys():  # noqa: SIM118
            return weight, np.ones(weight.shape, bool)
        mask = _mask(path, file, name, weight)
    if np.any(weight[~mask]):
        raise ValueError(f"{path} is damaged: it removes weights of {name!r} that are not 0.")
    return weight, mask


def _masked(path: _Path, about: dict[str, str]) -> list[str]:
    """Take what makes a ticket out of the words, and return the names that have masks."""
    if about.pop("format", None) != TICKET["format"]:
        raise ValueError(f"{path} is a safetensors file, but not a ticket of kerasinit.")
    version = about.pop("version", "?")
    if version != TICKET["version"]:
        raise ValueError(
            f"{path} has ticket format {version}; this kerasinit reads {TICKET['version']}. "
            f"A newer kerasinit will read it."
        )
    # The header of safetensors is sorted by type; the model's order is that of the weights'
    # names as they were written, which the masks must follow.
    return about.pop("order", "").split("\n")


def _weights(file: Any) -> list[str]:
    return [name.removeprefix("weight/") for name in file.keys() if name.startswith("weight/")]  # noqa: SIM118


def _mask(path: _Path, file: Any, name: str, weight: np.ndarray | None) -> np.ndarray:
    """Return a weight's mask, which is packed in the file, eight to a byte."""
    packed = file.get_tensor(f"mask/{name}") if f"mask/{name}" in file.keys() else None  # noqa: SIM118
    if packed is None or weight is None or packed.size != -(-weight.size // 8):
        raise ValueError(f"{path} is damaged: no mask of the right size for {name!r}.")
    return np.unpackbits(packed, count=weight.size).astype(bool).reshape(weight.shape)
