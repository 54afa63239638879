"""How many channels a group may be left with: multiples, a minimum, or all of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kerasinit._src.shrinking.channel_groups import Group
from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.reading import ModelChannels


@dataclass(frozen=True, eq=False)
class Widths:
    """The widths of the groups of a model.

    The width of a group is counted where its layers return it: a filter is one position there, a
    group of a grouped convolution several.

    Attributes:
        positions: For each channel how many positions it has on the narrowest of these axes.
        steps: For each channel by how many the number of channels may change, so that the width
            stays a multiple on all of these axes.
    """

    positions: np.ndarray
    steps: np.ndarray

    def positions_of(self, group: Group) -> int:
        """Return how many positions a channel of a group has."""
        return int(self.positions[group.channels[0]])

    def sizes_of(self, group: Group, min_width: int) -> np.ndarray:
        """Return the numbers of channels that a group may be left with, the smallest first.

        All channels are always among them: a layer narrower than the multiple is kept whole.
        """
        step = int(self.steps[group.channels].max())
        smallest = max(group.minimum, math.ceil(min_width / self.positions_of(group)))
        sizes = np.arange(step, group.size, step)
        return np.append(sizes[sizes >= smallest], group.size)


def widths_of(reading: ModelChannels, round_to: int) -> Widths:
    """Return the widths of a model's groups, which are to be multiples of ``round_to``."""
    channels = reading.channels
    positions = np.full(channels.number, np.iinfo("int64").max)
    steps = np.ones(channels.number, "int64")
    for labels in _axes(reading):
        counts = np.bincount(channels.of(labels), minlength=channels.number)
        there = counts > 0
        positions[there] = np.minimum(positions[there], counts[there])
        needed = round_to // np.gcd(round_to, counts[there])
        steps[there] = np.lcm(steps[there], needed)
    for labels in _outer_axes(reading):
        # Heads: their number times a rounded number of dimensions is rounded already.
        steps[channels.of(labels)] = 1
    positions[positions == np.iinfo("int64").max] = 1
    return Widths(positions, steps)


def _axes(reading: ModelChannels) -> Iterator[Labels]:
    """Yield the labels of every axis of every signal, those inside layers among them."""
    signals: dict[int, Signal] = {id(one): one for one in reading.signals}
    for step in reading.channels.steps:
        signals.update({id(one): one for one in (*step.sources, *step.targets)})
    labelled = {id(one): one for signal in signals.values() for one in signal.axes}
    yield from (labels for labels in labelled.values() if labels is not None and len(labels))


def _outer_axes(reading: ModelChannels) -> Iterator[Labels]:
    """Yield the labels of axes that make channels together with a later one of their variable."""
    for bound in reading.channels.bound.values():
        made = [
            labels
            for labels, role in zip(bound.axes, bound.roles, strict=True)
            if labels is not None and role == "out"
        ]
        yield from made[:-1]
