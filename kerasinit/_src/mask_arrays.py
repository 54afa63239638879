"""Pruning masks: a mapping from the names of weights to boolean arrays, and how to choose one."""

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerasinit._src.troubleshooting import see

NAMING = "2"
"""The current naming of variables, as a version of the ticket format."""


class Masks(Mapping[str, np.ndarray]):
    """The pruning masks of a model, by the structural names of its weights.

    A mapping that is compared by value. The arrays are read-only copies, so that a proof can rely
    on them.

    Args:
        arrays: A boolean array of the shape of each weight, True where it is kept, by structural
            name such as ``"dense/kernel"``.
        naming: The version of the names; ``"1"`` for a ticket of format 1, which named variables
            differently. Defaults to ``"2"``.

    Raises:
        TypeError: If an array is not boolean.
        ValueError: If there is no array, or one is empty.

    Example:
    >>> masks = Masks({"dense/kernel": np.array([[True, False], [True, True]])})
    >>> masks
    <Masks of 1 weights, 3 of 4 kept>
    >>> masks.density, masks.within(Masks.dense({"dense/kernel": (2, 2)}))
    (0.75, True)
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
        """Return masks that keep every weight.

        Args:
            shapes: The shape of each weight by its structural name.
        """
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
        """Return whether other masks keep every weight that these masks keep.

        Args:
            other: Masks of the same weights; masks of different ones are not comparable, and the
                result is False.
        """
        return list(self) == list(other) and not any(
            np.any(self[name] & ~other[name]) for name in self
        )

    def require_fit(self, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
        """Raise a ValueError unless the masks have these names and shapes.

        Args:
            shapes: The shape of each weight by its structural name.
            what: The owner of the weights, for the message.

        Raises:
            ValueError: If a mask is missing, has another shape, or has no weight.
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
            raise ValueError(
                f"The masks do not fit {what}: {'; '.join(wrong)}. {see('masks-do-not-fit')}"
            )


def keep_largest(scores: Any, count: int, among: Any = None) -> np.ndarray:
    """Choose exactly ``count`` positions with the largest scores.

    For custom pruning: the mask of the weights to keep, given their magnitudes or other scores.
    Ties go to the lowest flat index, so the choice depends on the scores alone.

    Args:
        scores: Array of any shape, finite numbers.
        count: How many positions to choose.
        among: Boolean array of the shape of ``scores``; only positions where it is True
            can be chosen. Default: all.

    Returns:
        A boolean array of the shape of ``scores``, with exactly ``count`` True.

    Raises:
        ValueError: If a score is not finite, if ``among`` has another shape or is not
            boolean, or if ``count`` is negative or exceeds the available positions.
        TypeError: If ``count`` is not an integer.

    Example:
    >>> keep_largest([3.0, 1.0, 3.0, 2.0], count=2).tolist()
    [True, False, True, False]
    >>> keep_largest([3.0, 1.0, 3.0, 2.0], 1, among=[False, True, False, True]).tolist()
    [False, False, False, True]
    """
    scores = np.asarray(scores)
    if scores.dtype.kind not in "biuf":
        # NumPy cannot order bfloat16; float32 represents it exactly.
        scores = scores.astype(np.float32)
    if not np.all(np.isfinite(scores)):
        raise ValueError(
            f"Expected finite scores; got {np.count_nonzero(~np.isfinite(scores))} that are NaN or "
            f"infinite of {scores.size}. Weights that are not finite cannot be ranked: lower the "
            "learning rate, or go back to a checkpoint from before they appeared."
        )
    allowed = _allowed(among, scores.shape)
    count = operator.index(count)
    available = int(np.count_nonzero(allowed))
    if not 0 <= count <= available:
        raise ValueError(
            f"Expected a count between 0 and {available}, the number of positions to choose from; "
            f"got {count}."
        )

    chosen = np.zeros(scores.size, dtype=bool)
    if count:
        candidates = np.flatnonzero(allowed)
        values = scores.ravel()[candidates]
        smallest_kept = np.partition(values, available - count)[available - count]
        larger = values > smallest_kept
        missing = count - int(np.count_nonzero(larger))
        ties = np.flatnonzero(values == smallest_kept)[:missing]
        chosen[candidates[larger]] = True
        chosen[candidates[ties]] = True
    return chosen.reshape(scores.shape)


def _allowed(among: Any, shape: tuple[int, ...]) -> np.ndarray:
    if among is None:
        return np.ones(shape, dtype=bool)
    among = np.asarray(among)
    if among.dtype != np.bool_ or among.shape != shape:
        raise ValueError(
            f"Expected `among` to be a boolean array of the scores' shape {shape}; got "
            f"{among.dtype} of shape {among.shape}. Convert 0/1 masks with `.astype(bool)`."
        )
    return among
