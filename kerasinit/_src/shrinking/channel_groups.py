"""The groups of channels of a model that can be removed one by one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.network.parts import variables_of
from kerasinit._src.shrinking.channels import Role
from kerasinit._src.shrinking.reading import ModelChannels, read_channels
from kerasinit._src.shrinking.width_figure import width_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Slice:
    """Where the channels of a group are: positions on one axis of a variable.

    Attributes:
        name: The structural name of the variable, such as ``"conv2d/kernel"``.
        variable: The variable.
        axis: The index of the axis.
        role: ``"out"`` if the weights produce the channels, such as the columns of a kernel, a
            bias or a scale; ``"in"`` if they read them; ``"statistic"`` for the moving statistics
            of a batch normalization.
        positions: The positions of each channel on the axis, an integer array of shape
            ``(channels, positions)``.

    Example:
        See `groups`.
    """

    name: str
    variable: Any
    axis: int
    role: Role
    positions: np.ndarray

    def values(self) -> np.ndarray:
        """Return the weights as an array of shape ``(channels, weights of each)``."""
        moved = np.moveaxis(compat.read(self.variable), self.axis, 0)
        return moved[self.positions].reshape(len(self.positions), -1)


@dataclass(frozen=True, eq=False)
class Group:
    """Channels, units or heads of the same variables, each of which can be removed alone.

    Attributes:
        name: The names of the layers that produce them, such as ``"conv2d + conv2d_2"``.
        channels: Their numbers in the model, an integer array of shape ``(size,)``.
        slices: The variables and axes that they are on.
        reason: Why all of them are kept; empty if they can be removed.
        minimum: The min number of channels to keep.

    Example:
        See `groups`.
    """

    name: str
    channels: np.ndarray
    slices: tuple[Slice, ...]
    reason: str = ""
    minimum: int = 1

    @property
    def size(self) -> int:
        """The number of channels."""
        return len(self.channels)

    def __len__(self) -> int:
        return self.size

    def zero(self, channels: Iterable[int]) -> None:
        """Set all weights of some channels to zero, those that produce and those that read them.

        Args:
            channels: Numbers from 0 to ``size - 1``. Moving statistics are not changed.

        Raises:
            ValueError: If a number is not whole, or there is no such channel.
        """
        given = np.asarray(list(channels))
        is_whole = not given.size or given.dtype.kind in "iu"
        if not is_whole or (given.size and not (given.min() >= 0 and given.max() < self.size)):
            raise ValueError(
                f"The group {self.name!r} has the channels 0 to {self.size - 1}; got "
                f"{given.tolist()}. For a mask, pass numpy.flatnonzero(mask)."
            )
        chosen = given.astype("int64")
        for one in self.slices:
            if one.role == "statistic":
                continue
            values = compat.read(one.variable).copy()
            np.moveaxis(values, one.axis, 0)[one.positions[chosen].ravel()] = 0
            compat.assign(one.variable, values)


class Groups(Sequence[Group]):
    """The groups of a model, a sequence of `Group` that is printed as a table.

    `groups` returns it.

    Args:
        groups: The groups, in the order of the data.
        reading: The channels of the model that they were found in.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    >>> found = groups(model)
    >>> len(found), len(found.free), found.whole
    (2, 1, ())
    """

    def __init__(self, groups: Sequence[Group], reading: ModelChannels) -> None:
        self._groups, self.reading = tuple(groups), reading

    def __getitem__(self, number: Any) -> Any:
        return self._groups[number]

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups)

    @cached_property
    def free(self) -> tuple[Group, ...]:
        """The groups whose channels can be removed."""
        return tuple(group for group in self._groups if not group.reason)

    @property
    def whole(self) -> tuple[tuple[str, str], ...]:
        """The layers that keep all channels, since these are not known, with the reason."""
        return tuple(dict.fromkeys(self.reading.channels.whole))

    @property
    def widths(self) -> dict[str, int]:
        """The number of channels that each kernel makes, by its name such as ``"conv2d/kernel"``.

        Layers that the user named have these names.
        """
        names = {id(one.variable): one.called for one in variables_of(self.reading.model)}
        found: dict[str, int] = {}
        for one in (one for group in self._groups for one in group.slices):
            if one.role == "out" and len(one.variable.shape) > 1:
                name = names[id(one.variable)]
                found[name] = found.get(name, 0) + one.positions.size
        return found

    def plot(self, after: "Groups | None" = None) -> "Figure":
        """Return a matplotlib figure of the channels that each kernel makes.

        Args:
            after: The groups of a smaller model, such as ``groups(compact(model))``, whose channels
                are drawn beside these; None (default) for these alone.

        Raises:
            TypeError: If ``after`` is not the groups of a model.
            ImportError: If matplotlib is not installed.
        """
        if not isinstance(after, Groups | None):
            raise TypeError(
                f"Expected as after the groups of a model, shrinking.groups(small); got {after!r}."
            )
        widths = {"channels": self.widths}
        if after is not None:
            widths = {"before": self.widths, "after": after.widths}
        return width_figure(widths)

    def __str__(self) -> str:
        lines = [f"{'size':>6}  group"]
        for group in self._groups:
            kept = f"  kept: {group.reason}" if group.reason else ""
            lines.append(f"{group.size:6}  {group.name}{kept}")
        lines += [f"{'whole':>6}  {name}: {reason}" for name, reason in self.whole]
        return "\n".join(lines)

    __repr__ = __str__


def groups(model: Any) -> Groups:
    """Return the channels of a model by groups, each with everything that depends on it.

    Removing a channel also removes whatever is tied to it: the same filter of another convolution
    whose output is added, the batch normalization after them, and the weights that read their
    sum. A group holds channels of the same variables, which can be removed one by one. Also known
    as a dependency graph of channels.

    Args:
        model: A built functional or sequential model of either Keras. It is not changed.

    Returns:
        The `Groups`, in the order of the data; those that have to be kept state the reason.

    Raises:
        TypeError: If it is not a model.
        ValueError: If the model is not built, is a subclassed one, or has weights that are NaN.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    >>> found = groups(model)
    >>> [(group.size, group.reason) for group in found]
    [(8, ''), (2, 'output of the model')]
    >>> [(one.name, one.axis, one.role) for one in found.free[0].slices]
    [('dense/kernel', 1, 'out'), ('dense/bias', 0, 'out'), ('dense_1/kernel', 0, 'in')]

    Reference:
        [Fang et al., 2023](https://arxiv.org/abs/2301.12900), "DepGraph: towards any structural
        pruning".
    """
    return groups_of(read_channels(model))


def groups_of(reading: ModelChannels) -> Groups:
    """Return the groups of a model whose channels have been read."""
    channels = reading.channels
    names = {id(one.variable): one for one in variables_of(reading.model)}
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    axes: list[tuple[Any, int, Role, np.ndarray]] = []
    for bound in channels.bound.values():
        for axis, labels in enumerate(bound.axes):
            if labels is None:
                continue
            own = channels.of(labels)
            number = len(axes)
            axes.append((bound.variable, axis, bound.roles[axis], own))
            for channel, count in zip(*np.unique(own, return_counts=True), strict=True):
                places[int(channel)].append((number, int(count)))
    reasons, minimums = channels.reasons(), channels.minimum_of()
    members: dict[Any, list[int]] = defaultdict(list)
    for channel in sorted(places, key=lambda one: (places[one][0][0], one)):
        members[tuple(places[channel]), reasons.get(channel, "")].append(channel)
    found = []
    for (signature, reason), chosen in members.items():
        numbers = np.array(chosen)
        slices = tuple(
            Slice(
                names[id(axes[number][0])].name,
                axes[number][0],
                axes[number][1],
                axes[number][2],
                _positions(axes[number][3], numbers),
            )
            for number, _ in signature
        )
        makers = [
            names[id(one.variable)].layer.name
            for one in slices
            if one.role == "out" and len(one.variable.shape) > 1
        ] or [names[id(one.variable)].layer.name for one in slices]
        found.append(
            Group(
                " + ".join(dict.fromkeys(makers)),
                numbers,
                slices,
                reason,
                minimums.get(chosen[0], 1),
            )
        )
    return Groups(found, reading)


def _positions(own: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Return for each channel its positions on an axis, in order."""
    order = np.argsort(own, kind="stable")
    first = np.searchsorted(own[order], channels, "left")
    after = np.searchsorted(own[order], channels, "right")
    return np.stack([order[a:b] for a, b in zip(first, after, strict=True)])
