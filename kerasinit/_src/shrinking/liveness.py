"""Which channels of a model can be removed without changing its outputs."""

from dataclasses import dataclass

import numpy as np

from kerasinit._src.shrinking.channels import Signal
from kerasinit._src.shrinking.reading import ModelChannels
from kerasinit._src.shrinking.steps import Facts


@dataclass(frozen=True, eq=False)
class Liveness:
    """What was found about a model.

    Attributes:
        facts: Which positions are constant, and which are needed.
        removable: For each channel whether it can be removed.
    """

    facts: Facts
    removable: np.ndarray


def liveness(reading: ModelChannels) -> Liveness:
    """Find the channels that are constant or cannot reach an output.

    A channel whose value is the same everywhere is added to the next bias and can be removed; one
    that is multiplied by zeros, or by weights of removed channels, is not needed.
    """
    channels, facts = reading.channels, Facts()
    for step in channels.steps:
        step.constants(facts)
    for signal in reading.outputs:
        facts.need_all(signal)
    for step in reversed(channels.steps):
        step.needs(facts)
    removable = np.ones(channels.number, bool)
    for signal in _signals(reading):
        for axis in signal.labelled:
            labels = signal.axes[axis]
            assert labels is not None
            removable[channels.of(labels)[facts.needed(signal, axis)]] = False
    for channel in channels.reasons():
        removable[channel] = False
    return Liveness(facts, _with_one_of_each(reading, removable))


def _signals(reading: ModelChannels) -> list[Signal]:
    """Return all signals, those between the steps of one layer among them."""
    found = {id(one): one for one in reading.signals}
    for step in reading.channels.steps:
        found.update({id(one): one for one in (*step.sources, *step.targets)})
    return list(found.values())


def _with_one_of_each(reading: ModelChannels, removable: np.ndarray) -> np.ndarray:
    """Keep the first channels of each axis that would lose all: no layer has no units."""
    channels, removable = reading.channels, removable.copy()
    axes = {
        id(labels): channels.of(labels)
        for labels in (
            *(labels for signal in _signals(reading) for labels in signal.axes),
            *(labels for bound in channels.bound.values() for labels in bound.axes),
        )
        if labels is not None and len(labels)
    }
    for own in axes.values():
        if removable[own].all():
            removable[own[0]] = False
    for labels, least in channels.minimums:
        own = np.unique(channels.of(labels))
        spare = own[removable[own]]
        removable[spare[: max(least - (len(own) - len(spare)), 0)]] = False
    return removable
