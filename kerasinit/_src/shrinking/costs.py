"""What a model costs: parameters, those that are not zero, and multiplications of one example.

A multiplication is counted where a weight meets a signal, in dense layers, convolutions and
recurrent layers, and where two signals are multiplied and summed, in attention: each is followed by
an addition, and both together are a MAC. Biases, normalizations and activations are not counted.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.network.parts import variables_of
from kerasinit._src.network.walk import walk
from kerasinit._src.shrinking.channels import Channels
from kerasinit._src.shrinking.reading import ModelChannels, read_channels


@dataclass(frozen=True)
class LayerCounts:
    """What one layer costs.

    Attributes:
        name: The layer's name.
        parameters: The number of its weights, trainable or not.
        nonzeros: The number of its weights that are not zero.
        macs: Multiplications for one example, each with an addition (multiply-accumulates).

    Example:
        See `count`.
    """

    name: str
    parameters: int
    nonzeros: int
    macs: int


@dataclass(frozen=True)
class Counts:
    """What a model costs.

    Attributes:
        layers: The layers with weights or multiplications, in the order of the model.

    Example:
        See `count`.
    """

    layers: tuple[LayerCounts, ...]

    @property
    def parameters(self) -> int:
        """The number of weights, trainable or not, as Keras counts them."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        """The number of weights that are not zero."""
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiplications for one example."""
        return sum(layer.macs for layer in self.layers)


def count(model: Any, x: Any = None) -> Counts:
    """Return the number of parameters and of multiplications (MACs) of a model.

    Zeros count as multiplications: a dense kernel multiplies by them like by any other number.

    Args:
        model: A built functional or sequential model of either Keras.
        x: A batch of examples, whose shape sets axes of unknown size. None (default): the shapes
            of the model's inputs, with 64 for unknown sizes.

    Returns:
        A `Counts`, of the model and of each layer.

    Raises:
        TypeError: If it is not a model.
        ValueError: If the model is not built, or is a subclassed one.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(8, 3)])
    >>> counts = count(model)
    >>> counts.parameters, counts.macs  # 3*3*3*8 + 8; 4*4 pixels * 3*3*3*8
    (224, 3456)
    >>> counts.layers[0].name, counts.layers[0].nonzeros  # the bias starts at zero
    ('conv2d', 216)
    """
    return counts_of(read_channels(model, x))


def counts_of(reading: ModelChannels) -> Counts:
    """Return what a model costs whose channels have been read."""
    macs: dict[int, float] = defaultdict(float)
    for one in reading.channels.multiplications:
        macs[id(one.layer)] += one.times * math.prod(map(len, one.axes))
    sizes: dict[str, list[int]] = {}
    owners: dict[int, str] = {}
    for path, layer in walk(reading.model):
        owners[id(layer)] = path
        sizes[path] = [0, 0, 0]
    for one in variables_of(reading.model):
        if not _is_weight(one.variable):
            continue
        path = next(
            (owners[id(layer)] for layer in one.layers if id(layer) in owners),
            one.name.rsplit("/", 1)[0],
        )
        values = compat.read(one.variable)
        row = sizes.setdefault(path, [0, 0, 0])
        row[0] += values.size
        row[1] += int(np.count_nonzero(values))
    names = {id(one.layer): owners.get(id(one.layer)) for one in reading.channels.multiplications}
    inside = _paths_inside(reading.model, owners)
    layers_by_id = {id(one.layer): one.layer for one in reading.channels.multiplications}
    for key, number in macs.items():
        path = names[key] or inside.get(key) or _name(layers_by_id[key])
        sizes.setdefault(path, [0, 0, 0])[2] += round(number)
    rows = [LayerCounts(path, *row) for path, row in sizes.items() if any(row)]
    return Counts(tuple(rows))


def _name(layer: Any) -> str:
    return str(getattr(layer, "name", type(layer).__name__))


def _is_weight(variable: Any) -> bool:
    return "seed_generator" not in compat.variable_path(variable)


def _paths_inside(model: Any, owners: dict[int, str]) -> dict[int, str]:
    """Return the paths of the layers inside layers, by ``id``."""
    found: dict[int, str] = {}
    for one in variables_of(model):
        path = next((owners[id(layer)] for layer in one.layers if id(layer) in owners), None)
        if path is not None:
            found.update({id(layer): path for layer in one.layers})
    return found


class Costs:
    """What a model costs when some of its channels are gone."""

    def __init__(self, reading: ModelChannels) -> None:
        self._channels: Channels = reading.channels
        self._products = [
            (one.times, [self._channels.of(labels) for labels in one.axes])
            for one in reading.channels.multiplications
        ]
        self._variables = [
            (tuple(one.variable.shape), one.variable, compat.read(one.variable).dtype.itemsize)
            for one in variables_of(reading.model)
            if _is_weight(one.variable)
        ]

    def macs(self, kept: np.ndarray) -> float:
        """Return the multiplications for one example, given which channels are kept."""
        return sum(
            times * math.prod(int(kept[axis].sum()) for axis in axes)
            for times, axes in self._products
        )

    def parameters(self, kept: np.ndarray) -> int:
        """Return the number of weights."""
        return sum(math.prod(self._shape(shape, one, kept)) for shape, one, _ in self._variables)

    def bytes(self, kept: np.ndarray) -> int:
        """Return the size of the weights in memory."""
        return sum(
            math.prod(self._shape(shape, one, kept)) * size for shape, one, size in self._variables
        )

    def _shape(self, shape: tuple[int, ...], variable: Any, kept: np.ndarray) -> list[int]:
        bound = self._channels.bound.get(id(variable))
        if bound is None:
            return list(shape)
        return [
            size if labels is None else int(kept[self._channels.of(labels)].sum())
            for size, labels in zip(shape, bound.axes, strict=True)
        ]
