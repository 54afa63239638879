"""Which weights live: a mapping from a weight's name to a boolean array."""

from collections.abc import Iterator, Mapping

import numpy as np

NAMING = "2"
"""How variables are named now: the version of the format of tickets that names them so."""


class Masks(Mapping[str, np.ndarray]):
    """The masks of a model, by the structural names of its weights.

    ``True`` is a weight that lives. The arrays are copies and read-only: a mask
    that something else could change would prove nothing.

    Args:
        arrays: Boolean arrays by name, such as ``{"dense/kernel": ...}``.
        naming: How the weights are named: ``"1"`` for the masks of a ticket of the first format.

    Raises:
        TypeError: If an array is not boolean.
        ValueError: If there is none, or one has no elements.

    Example:
    >>> masks = Masks({"dense/kernel": np.array([[True, False], [True, True]])})
    >>> masks.density
    0.75
    >>> masks.kept, masks.size
    (3, 4)
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
                    f"The mask of {name!r} has dtype {array.dtype}; masks are boolean "
                    f"(compare first, as in `weights != 0`)."
                )
            if not array.size:
                raise ValueError(f"The mask of {name!r} has no elements (shape {array.shape}).")
            array = array.copy()
            array.setflags(write=False)
            self._arrays[name] = array

    @classmethod
    def dense(cls, shapes: Mapping[str, tuple[int, ...]]) -> "Masks":
        """Return masks in which every weight lives."""
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
        return f"<Masks of {len(self)} weights, {self.kept} of {self.size} live>"

    @property
    def size(self) -> int:
        """The number of weights under the masks."""
        return sum(array.size for array in self.values())

    @property
    def kept(self) -> int:
        """The number of weights that live."""
        return sum(int(np.count_nonzero(array)) for array in self.values())

    @property
    def density(self) -> float:
        """The fraction of weights that live, between 0 and 1."""
        return self.kept / self.size

    def within(self, other: "Masks") -> bool:
        """Return whether every weight that lives here lives in ``other`` too."""
        return list(self) == list(other) and not any(
            np.any(self[name] & ~other[name]) for name in self
        )

    def require_fit(self, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
        """Raise unless the masks are for exactly these weights.

        Args:
            shapes: The shape of each weight, by name.
            what: What the weights belong to, for the message.

        Raises:
            ValueError: If a name or a shape differs; the message lists which.
        """
        wrong = [f"no mask for {name!r} {shapes[name]}" for name in shapes if name not in self]
        wrong += [
            f"a mask for {name!r} {self[name].shape}, which it does not have"
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
