"""A plan of structured pruning: which channels are removed, and which costs remain."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kerasinit._src import errors
from kerasinit._src.compat.restore import restored
from kerasinit._src.network.sample_batch import random_batch
from kerasinit._src.reports import base
from kerasinit._src.shrinking.channel_groups import Group, Groups, groups_of
from kerasinit._src.shrinking.compaction import tolerance_of, without
from kerasinit._src.shrinking.reading import read_channels
from kerasinit._src.shrinking.rules.context import as_array


@dataclass(frozen=True)
class PlannedGroup:
    """The channels that are removed from one group.

    Attributes:
        name: The name of the group, with a number if several groups of the plan have it.
        layers: The names of the layers that produce its channels, as in `Group`.
        size: The number of its channels.
        removed: The channels that are removed, numbers from 0 to ``size - 1``.
        positions: The number of positions of a layer's output that a channel takes; 1 for a
            filter.
        reason: Why no channel is removed; empty if channels may be removed.
        slices: The variables and axes that its channels are on, such as ``"conv2d/kernel:3"``.

    Example:
        See `structured`.
    """

    name: str
    layers: str
    size: int
    removed: tuple[int, ...]
    positions: int
    reason: str
    slices: tuple[str, ...]

    @property
    def width(self) -> tuple[int, int]:
        """The width of the layer's output before and after."""
        return self.size * self.positions, (self.size - len(self.removed)) * self.positions


@dataclass(frozen=True)
class PlannedCost:
    """One cost of a model, before and after.

    Attributes:
        name: ``"macs"``, ``"parameters"``, ``"bytes"`` or ``"latency"``.
        dense: The cost of the whole model; a latency is in seconds.
        left: The cost that remains.
        target: The max fraction to remain; None if there is no target for it.

    Example:
        See `structured`.
    """

    name: str
    dense: float
    left: float
    target: float | None = None

    @property
    def ratio(self) -> float:
        """The fraction that remains."""
        return self.left / self.dense if self.dense else 1.0


@dataclass(frozen=True, eq=False)
class Plan(base.Plotted, base.Report):
    """Which channels of a model are removed, and what remains; printed as a table.

    Attributes:
        groups: One `PlannedGroup` for each group of the model, in the order of the data.
        costs: One `PlannedCost` for MACs, parameters and bytes, and for the latency if it has a
            target.
        inexact: The normalizations whose statistics include removed channels, so that a model
            without them does not compute what the masked one computes; only with
            ``through_statistics=True``.
        through_statistics: Whether such channels could be removed.
        settings: The arguments of `structured`, with which `StructuredPruning` plans again.

    Example:
        See `structured`.
    """

    groups: tuple[PlannedGroup, ...]
    costs: tuple[PlannedCost, ...]
    inexact: tuple[str, ...]
    through_statistics: bool
    settings: Any = field(repr=False)

    @property
    def widths(self) -> dict[str, tuple[int, int]]:
        """The width of each group before and after, by its name."""
        return {one.name: one.width for one in self.groups}

    @property
    def removed(self) -> dict[str, tuple[int, ...]]:
        """The channels that are removed, by the name of the group; only groups that lose any."""
        return {one.name: one.removed for one in self.groups if one.removed}

    def cost(self, name: str) -> PlannedCost:
        """Return one of the costs.

        Args:
            name: ``"macs"``, ``"parameters"``, ``"bytes"`` or ``"latency"``.

        Raises:
            ValueError: If the plan has no such cost.
        """
        found = {one.name: one for one in self.costs}
        if name not in found:
            raise errors.unknown("cost", name, found)
        return found[name]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the settings as a dictionary."""
        return {
            "groups": [dataclasses.asdict(one) for one in self.groups],
            "costs": [dataclasses.asdict(one) for one in self.costs],
            "inexact": self.inexact,
        }

    def apply(self, model: Any) -> None:
        """Set all weights of the removed channels to zero: one-shot pruning.

        These are the weights that produce a channel and those that read it. Afterwards
        `kerasinit.shrinking.compact` removes the channels. Use `StructuredPruning` to train in
        between: otherwise the optimizer would change the zeros.

        Args:
            model: The model that was planned for, or another of the same structure, such as a
                clone. It is changed.

        Raises:
            ValueError: If the groups of the model differ from those of the plan.
        """
        for group, planned in self._matched(self._groups(model)):
            group.zero(planned.removed)

    def cut(self, model: Any, x: Any = None) -> Any:
        """Return a model without the removed channels, also where that changes its outputs.

        `kerasinit.shrinking.compact` keeps zero channels that the statistics of a normalization
        include. This removes them, too; the normalization then has other statistics, and a
        warning reports how far the outputs are from those of the model with these channels at
        zero. Fine-tune the result, and compare its accuracy with the model's::

            small = plan.cut(model, x)
            small.fit(...)
            print(model.evaluate(...), small.evaluate(...))

        Args:
            model: The model that was planned for, or another of the same structure. It is not
                changed. After `StructuredPruning` use that callback's ``plan``.
            x: Examples on which outputs are compared; None (default) for random numbers.

        Returns:
            A new model of the same Keras.

        Raises:
            ValueError: If the groups of the model differ from those of the plan.
        """
        groups = self._groups(model)
        removed = np.zeros(groups.reading.channels.number, bool)
        matched = self._matched(groups)
        for group, planned in matched:
            removed[group.channels[list(planned.removed)]] = True
        small = without(groups.reading, removed)
        self._compare(model, small, x, matched)
        return small

    def _groups(self, model: Any) -> Groups:
        return groups_of(read_channels(model, through_statistics=self.through_statistics))

    def require_fit(self, groups: Sequence[Group]) -> None:
        """Raise a ValueError unless these are the groups of the plan.

        Args:
            groups: The groups of a model.

        Raises:
            ValueError: If they differ from those of the plan.
        """
        found = [(one.size, slices_of(one)) for one in groups]
        planned = [(one.size, one.slices) for one in self.groups]
        for place, (theirs, ours) in enumerate(zip(found, planned, strict=False)):
            if theirs != ours:
                raise ValueError(
                    f"The plan is for another model: its group {self.groups[place].name!r} has "
                    f"{ours[0]} channels on {', '.join(ours[1])}; the model has {theirs[0]} on "
                    f"{', '.join(theirs[1])} instead."
                )
        if len(found) != len(planned):
            raise ValueError(
                f"The plan is for another model: it has {len(planned)} groups of channels, the "
                f"model {len(found)}."
            )

    def _matched(self, groups: Sequence[Group]) -> list[tuple[Group, PlannedGroup]]:
        self.require_fit(groups)
        return list(zip(groups, self.groups, strict=True))

    def _compare(
        self, model: Any, small: Any, x: Any, matched: Sequence[tuple[Group, PlannedGroup]]
    ) -> None:
        """Compare a cut model with the masked one: warn if it is inexact, else require equality."""
        if x is None:
            x, _ = random_batch(model, 2, 0)
        with restored(model):
            for group, planned in matched:
                group.zero(planned.removed)
            before = _outputs(model, x)
        with restored(small):
            after = _outputs(small, x)
        largest = max(np.abs(one).max(initial=0.0) for one in before)
        difference = max(
            np.abs(one - other).max(initial=0.0) for one, other in zip(before, after, strict=True)
        )
        if self.inexact:
            errors.warn(
                f"The cut of {model.name!r} is inexact: statistics of {', '.join(self.inexact)} "
                f"include removed channels. Its outputs differ by up to {difference:.3g} from "
                f"those of the model with these channels at zero, whose largest is {largest:.3g}. "
                f"Fine-tune it, and compare its accuracy."
            )
        elif np.isfinite(largest) and not difference <= tolerance_of(model) * max(largest, 1e-30):
            raise RuntimeError(
                f"The cut of {model.name!r} differs by {difference:.3g} from the model with the "
                f"removed channels at zero, whose largest output is {largest:.3g}. This is an "
                f"error of kerasinit, please report it with the model. {model.name!r} is unchanged."
            )


def _outputs(model: Any, x: Any) -> list[np.ndarray]:
    return [as_array(one) for one in keras.tree.flatten(model(x, training=False))]


def slices_of(group: Group) -> tuple[str, ...]:
    """Return the variables and axes that a group's channels are on."""
    return tuple(f"{one.name}:{one.axis}" for one in group.slices)


def unique_names(groups: Sequence[Group]) -> list[str]:
    """Return the names of groups, numbered where several have the same."""
    counts: dict[str, int] = {}
    found = []
    for group in groups:
        counts[group.name] = counts.get(group.name, 0) + 1
        number = counts[group.name]
        found.append(group.name if number == 1 else f"{group.name} ({number})")
    return found
