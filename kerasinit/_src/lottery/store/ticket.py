"""A ticket: masks, and the values that the kept weights start from.

Its file is in the safetensors format, plain numbers behind a JSON header: nothing in it
is ever executed. Masks are packed, eight to a byte.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kerasinit._src.files import atomic
from kerasinit._src.files.tensors import (
    TICKET,
    is_floating,
    read_ticket,
    require_zeros,
    serialized,
)
from kerasinit._src.files.tensors import read_tensors as read_tensors
from kerasinit._src.mask_arrays import NAMING, Masks


@dataclass(frozen=True, eq=False, repr=False)
class Ticket:
    """A sparse network before it is trained: masks and initial (or rewound) weights.

    A winning ticket is one that reaches the accuracy of the dense network in as many iterations;
    `verdict` decides that for the tickets of a run.

    Args:
        masks: Which weights are kept: a `kerasinit.pruning.Masks`.
        weights: The values of all variables of the model, an array of the shape of each by its
            structural name; weights that the masks remove are zero.
        about: Where the ticket comes from, as text by key; saved in the file. Empty by default.

    Raises:
        ValueError: If a mask has no weights of its shape, or a weight that the mask
            removes is not zero.

    Example:
    >>> from kerasinit.pruning import Masks
    >>> ticket = Ticket(Masks({"dense/kernel": np.array([[True, False]])}),
    ...                 {"dense/kernel": np.array([[0.5, 0.0]], "float32")})
    >>> ticket
    <Ticket, 1 of 2 weights kept (50.00 %)>

    Reference:
        Frankle and Carbin, 2019, "The lottery ticket hypothesis",
        https://arxiv.org/abs/1803.03635.
    """

    masks: Masks
    weights: Mapping[str, np.ndarray]
    about: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, mask in self.masks.items():
            if name not in self.weights or self.weights[name].shape != mask.shape:
                raise ValueError(
                    f"The ticket has a mask for {name!r} of shape {mask.shape}, but no weights "
                    f"of that name and shape."
                )
            if np.any(self.weights[name][~mask]):
                raise ValueError(f"The ticket's mask removes weights of {name!r} that are not 0.")
            if not is_floating(self.weights[name]):
                raise ValueError(
                    f"The ticket has weights of dtype {self.weights[name].dtype} for {name!r}; "
                    f"masked weights must be floating point."
                )
        for name, value in self.weights.items():
            if is_floating(value) and not np.isfinite(value).all():
                raise ValueError(f"The ticket has values of {name!r} that are not finite.")

    def __repr__(self) -> str:
        masks = self.masks
        return f"<Ticket, {masks.kept} of {masks.size} weights kept ({100 * self.density:.2f} %)>"

    @property
    def density(self) -> float:
        """The fraction of prunable weights that are kept."""
        return self.masks.density

    def named_for(self, model: Any) -> "Ticket":
        """Return the ticket with the current names of a model's variables.

        This is the ticket itself, unless it was read from a file of the first format.

        Args:
            model: A built model of the ticket's architecture.
        """
        if self.masks.naming == NAMING:
            return self
        from kerasinit._src.network.old_names import old_names

        return self.renamed(old_names(model))

    def renamed(self, names: Mapping[str, str]) -> "Ticket":
        """Return the ticket with other names for some variables.

        Args:
            names: The new name of each variable to rename, by its present one.
        """
        masks = Masks({names.get(name, name): mask for name, mask in self.masks.items()})
        weights = {names.get(name, name): value for name, value in self.weights.items()}
        return Ticket(masks, weights, self.about)

    def apply(self, model: Any) -> Any:
        """Assign the ticket's weights to a newly built model; the removed ones are zero.

        Training would change the zeros. To train the sparse network, pass ``fit`` the callback
        ``kerasinit.pruning.HoldMasks(ticket.masks)``.

        Args:
            model: A built model of either Keras, of the ticket's architecture.

        Returns:
            The same model.

        Raises:
            ValueError: If the model has other weights; it is then left unchanged.
        """
        # Imported here, since reading a ticket needs no framework.
        from kerasinit._src.lottery.store import ticket_model

        ticket = self.named_for(model)
        ticket_model.assign(model, ticket.masks, ticket.weights)
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the ticket to a new file.

        Args:
            path: The file, by convention ``ticket.safetensors``.

        Raises:
            FileExistsError: If the file exists; nothing is overwritten.
        """
        tensors = {f"mask/{name}": np.packbits(mask) for name, mask in self.masks.items()}
        tensors |= {f"weight/{name}": value for name, value in self.weights.items()}
        metadata = {**self.about, "format": TICKET, "version": self.masks.naming}
        atomic.write_new(Path(path), serialized(tensors, metadata))


def load_ticket(path: str | os.PathLike[str]) -> Ticket:
    """Read a ticket from a file.

    Args:
        path: A file that `Ticket.save` or a lottery run wrote.

    Returns:
        The `Ticket`.

    Raises:
        ValueError: If the file is not a ticket, damaged, or of a later format; the message names
            the file, and the weight that is wrong.
        FileNotFoundError: If the file does not exist.

    Example:
    >>> from kerasinit import lottery
    >>> ticket = lottery.load_ticket("RUN/trial-0/level-01/ticket/ticket.safetensors")
    >>> ticket
    <Ticket, 40260 of 50200 weights kept (80.20 %)>
    >>> ticket.masks["dense/kernel"].shape
    (64, 300)
    """
    masks, weights, about = read_ticket(path)
    for name, mask in masks.items():
        require_zeros(path, name, weights[name], mask)
    return Ticket(masks, weights, about)
