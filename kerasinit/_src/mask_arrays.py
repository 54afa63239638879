"""Pruning masks: a mapping from the names of weights to boolean arrays."""

from collections.abc import Iterator, Mapping

import numpy as np

NAMING = "2"
"""The current naming of variables, as a version of the ticket format."""


class Masks(Mapping[str, np.ndarray]):
    """The pruning masks of a model, by the structural names of its weights.

    Weights that are kept are ``True``. The arrays are read-only copies, so that a proof can rely
    on them. ``naming`` is ``"1"`` for a ticket of format 1, which named variables differently.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], naming: str = NAMING) -> None:
        if not arrays:
            raise ValueError("Masks need at least one weight; the mapping is empty.")
        self.naming = naming
        self._arrays: dict[str, np.ndarray] = {}
        for name, array in arrays.items():
            array = np.asarray(array)
            if array.dtype != np.bool_:
                raise TypeError(
                    f"The mask of {name!r} has dtype {array.dtype}; expected booleans, such as "
                    f"`weights != 0`."
                )
            if not array.size:
                raise ValueError(f"The mask of {name!r} has no elements (shape {array.shape}).")
            array = array.copy()
            array.setflags(write=False)
            self._arrays[name] = array

    @classmethod
    def dense(cls, shapes: Mapping[str, tuple[int, ...]]) -> "Masks":
        """Return masks that keep every weight."""
        return cls({name: np.ones(shape, bool) for name, shape in shapes.items()})

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Masks):
            return NotImplemented
        return list(self) == list(other) and all(
            np.array_equal(self[name], other[name]) for name in self
        )

    __hash__ = None

    def __repr__(self) -> str:
        return f"<Masks of {len(self)} weights, {self.kept} of {self.size} kept>"

    @property
    def size(self) -> int:
        """The number of weights, kept or not."""
        return sum(array.size for array in self.values())

    @property
    def kept(self) -> int:
        """The number of weights that are kept."""
        return sum(int(np.count_nonzero(array)) for array in self.values())

    @property
    def density(self) -> float:
        """The fraction of weights that are kept, between 0 and 1."""
        return self.kept / self.size

    def within(self, other: "Masks") -> bool:
        """Return whether ``other`` keeps every weight that these masks keep."""
        return list(self) == list(other) and not any(
            np.any(self[name] & ~other[name]) for name in self
        )

    def require_fit(self, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
        """Raise a ValueError unless the masks have these names and shapes.

        ``what`` is the owner of the weights in the message.
        """
        wrong = [f"no mask for {name!r} {shapes[name]}" for name in shapes if name not in self]
        wrong += [
            f"a mask for {name!r} {self[name].shape}, which does not exist there"
            for name in self
            if name not in shapes
        ]
        wrong += [
            f"{name!r} has shape {tuple(shapes[name])}, its mask {self[name].shape}"
            for name in shapes
            if name in self and tuple(shapes[name]) != self[name].shape
        ]
        if wrong:
            raise ValueError(f"The masks do not fit {what}: " + "; ".join(wrong) + ".")
