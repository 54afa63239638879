"""Which positions of which axes are one channel, and which channels are kept whole.

Every axis of a signal or of a variable that carries channels has one *label* per position. Coupling
two labels makes them one channel: it is removed everywhere or nowhere. After `settle`, the
positions of an axis are numbered by *channels*; two positions with the same number go together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Labels = np.ndarray
Role = Literal["out", "in", "statistic"]


@dataclass(eq=False)
class Signal:
    """A tensor between two layers: its shape for one batch, and the labels of each axis.

    ``axes`` holds None for an axis without channels, such as that of the examples or of pixels.
    """

    shape: tuple[int, ...]
    axes: list[Labels | None]

    @property
    def last(self) -> int:
        """The number of its last axis."""
        return len(self.shape) - 1

    @property
    def labelled(self) -> list[int]:
        """The axes that carry channels."""
        return [axis for axis, labels in enumerate(self.axes) if labels is not None]


@dataclass(eq=False)
class Bound:
    """A variable of a model: the labels of each of its axes, and what each does with channels.

    Attributes:
        variable: The variable.
        axes: For each axis its labels, or None.
        roles: For each axis whether it makes the channels (``"out"``), reads them (``"in"``) or
            keeps statistics of them.
    """

    variable: Any
    axes: list[Labels | None]
    roles: list[Role]


Edit = Callable[[dict[str, Any], Callable[[Labels], int]], None]


@dataclass(eq=False)
class Multiplications:
    """How often weights meet signals in a call: ``times`` the sizes of some axes."""

    layer: Any
    times: float
    axes: tuple[Labels, ...]


@dataclass(eq=False)
class Channels:
    """The labels of a model, and what is known about them.

    Attributes:
        through_statistics: Whether channels may be removed although statistics include them.
        bound: For each variable, by its ``id``, its `Bound`.
        steps: What the layers do to channels, in the order of the data; see `steps`.
        edits: For each configuration, by its key, the functions that adapt it to the channels
            that are left.
        multiplications: What `costs` counts.
        inexact: Labels whose cut changes what is computed, with the layer that says so.
        rescaled: Variables to multiply by a function of how many of some labels are left.
        folded: For each bias, by its ``id``, what is added to it.
        new_biases: For each layer without a bias, by its ``id``: the layer, the bias that it gets,
            and its labels.
        whole: The layers that are left whole, with the reason.
        minimums: Labels of which a layer needs more than one position.
    """

    through_statistics: bool = False
    bound: dict[int, Bound] = field(default_factory=dict)
    steps: list[Any] = field(default_factory=list)
    edits: dict[Any, list[Edit]] = field(default_factory=dict)
    multiplications: list[Multiplications] = field(default_factory=list)
    inexact: list[tuple[Labels, str]] = field(default_factory=list)
    rescaled: list[tuple[Any, Labels, Callable[[int], float]]] = field(default_factory=list)
    folded: dict[int, np.ndarray] = field(default_factory=dict)
    new_biases: dict[int, tuple[Any, np.ndarray, Labels]] = field(default_factory=dict)
    whole: list[tuple[str, str]] = field(default_factory=list)
    minimums: list[tuple[Labels, int]] = field(default_factory=list)
    _size: int = 0
    _pairs: list[tuple[Labels, Labels]] = field(default_factory=list)
    _pinned: list[tuple[Labels, str]] = field(default_factory=list)
    _channels: np.ndarray | None = None

    def new(self, size: int) -> Labels:
        """Return new labels, each a channel of its own."""
        first, self._size = self._size, self._size + size
        return np.arange(first, self._size)

    def couple(self, one: Labels | None, other: Labels | None, why: str = "") -> Labels | None:
        """Make two axes the same channels, position by position, and return their labels.

        An axis without labels pins the other.
        """
        if one is None or other is None:
            known = other if one is None else one
            self.pin(known, why)
            return known
        if len(one) != len(other):
            raise ValueError(f"Axes of {len(one)} and {len(other)} channels cannot be the same.")
        self._pairs.append((one, other))
        return one

    def couple_all(self, labels: Labels) -> None:
        """Make all labels one channel."""
        if len(labels) > 1:
            self._pairs.append((labels[1:], np.full(len(labels) - 1, labels[0])))

    def pin(self, labels: Labels | None, reason: str, *, first: bool = False) -> None:
        """Keep these channels whatever happens, for a reason that comes before others or not."""
        if labels is not None and len(labels):
            self._pinned.insert(0 if first else len(self._pinned), (labels.ravel(), reason))

    def bind(
        self, variable: Any, axes: Sequence[Labels | None], roles: str | Sequence[Role] = "out"
    ) -> None:
        """Give labels to the axes of a variable; a variable that has some is coupled."""
        axes = list(axes)
        listed: list[Role] = [roles] * len(axes) if isinstance(roles, str) else list(roles)  # type: ignore[list-item]
        if id(variable) not in self.bound:
            self.bound[id(variable)] = Bound(variable, axes, listed)
            return
        bound = self.bound[id(variable)]
        for place, (old, new) in enumerate(zip(bound.axes, axes, strict=True)):
            if old is not None or new is not None:
                bound.axes[place] = self.couple(old, new, "shared with a signal without channels")

    def rescale(self, variable: Any, labels: Labels, factor: Callable[[int], float]) -> None:
        """Multiply a variable by a function of how many of the labels are left."""
        self.rescaled.append((variable, labels, factor))

    def add_to(self, bias: Any, amount: np.ndarray) -> None:
        """Add to a bias."""
        self.folded[id(bias)] = self.folded.get(id(bias), 0.0) + amount

    def add_bias(self, layer: Any, key: Any, amount: np.ndarray, labels: Labels) -> None:
        """Give a bias to a layer that has none."""
        self.new_biases[id(layer)] = (layer, amount, labels)
        self.edits.setdefault(key, []).append(lambda config, count: config.update(use_bias=True))

    @property
    def _records(self) -> tuple[list[Any], ...]:
        """The lists that a rule appends to."""
        return (
            self.steps,
            self.multiplications,
            self.inexact,
            self.rescaled,
            self.minimums,
            self._pairs,
            self._pinned,
        )

    def mark(self) -> tuple[Any, ...]:
        """Return where the records stand, for `back_to`."""
        edits = {key: len(changes) for key, changes in self.edits.items()}
        axes = {key: list(bound.axes) for key, bound in self.bound.items()}
        return tuple(map(len, self._records)), edits, axes

    def back_to(self, mark: tuple[Any, ...]) -> None:
        """Forget what was recorded since a `mark`: a rule found that it cannot follow a layer."""
        lengths, edits, axes = mark
        for one, length in zip(self._records, lengths, strict=True):
            del one[length:]
        for key in list(self.edits):
            del self.edits[key][edits.get(key, 0) :]
        for key in list(self.bound):
            if key not in axes:
                del self.bound[key]
            else:
                self.bound[key].axes = axes[key]

    def settle(self) -> None:
        """Number the channels; no labels are made or coupled afterwards."""
        if not self._pairs:
            self._channels = np.arange(self._size)
            return
        one = np.concatenate([pair[0] for pair in self._pairs])
        other = np.concatenate([pair[1] for pair in self._pairs])
        links = coo_array((np.ones(len(one), bool), (one, other)), shape=(self._size, self._size))
        _, self._channels = connected_components(links, directed=False)

    @property
    def number(self) -> int:
        """How many channels there are."""
        assert self._channels is not None
        return int(self._channels.max(initial=-1)) + 1

    def of(self, labels: Labels) -> np.ndarray:
        """Return the channel of each label."""
        assert self._channels is not None
        return self._channels[labels]

    def minimum_of(self) -> dict[int, int]:
        """Return how many channels of an axis are kept at least, by channel, where more than 1."""
        return {
            int(channel): least
            for labels, least in self.minimums
            for channel in np.unique(self.of(labels))
        }

    def reasons(self) -> dict[int, str]:
        """Return why channels are kept, by channel; the first reason given for each."""
        found: dict[int, str] = {}
        for labels, reason in self._pinned:
            for channel in np.unique(self.of(labels)):
                found.setdefault(int(channel), reason)
        return found
