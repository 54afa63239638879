"""Which kernels are scaled together, and which output shows their scale."""

import fnmatch
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasinit._src import compat, errors
from kerasinit._src.compat.quantization import quantization_of
from kerasinit._src.network import readings
from kerasinit._src.network.catalogue import reader_of, row_of
from kerasinit._src.network.model import Network, is_multiplied
from kerasinit._src.network.parts import Kernel, Part, is_of_lora


@dataclass(frozen=True, eq=False)
class Target:
    """Kernels that scale one output.

    Attributes:
        name: Structural name of the layer that owns them, such as ``"dense_1"``.
        layer: The layer whose calls are measured: the owner, the recurrent layer around a
            cell, or the `TimeDistributed` around the owner.
        owner: The layer that owns the kernels.
        kernels: The kernels that are scaled, in the order of the data.
        recurrent_kernels: The recurrent kernels of the same layer, which are not scaled.
        bias: The bias, None without one.
        problem: Why it cannot be measured, empty if it can.
    """

    name: str
    layer: Any
    owner: Any
    kernels: tuple[Kernel, ...]
    recurrent_kernels: tuple[Kernel, ...]
    bias: Part | None
    problem: str = ""

    @property
    def recurrent(self) -> bool:
        """Whether the kernel is one of a recurrent cell's inputs."""
        return row_of(self.layer).inside == "cell"

    @property
    def known(self) -> bool:
        """Whether it is a layer of Keras, whose output before the activation is linear."""
        return not any(part.reading.by_shape for part in self.kernels)

    @property
    def variables(self) -> list[Any]:
        """The variables that may get new values."""
        found = [*self.kernels, *self.recurrent_kernels, *((self.bias,) if self.bias else ())]
        return [part.variable for part in found]

    @property
    def keep_hint(self) -> str:
        """How to exclude it, for error messages."""
        return f"To leave the layer unchanged: keep=[{self.name!r}]."


def targets(network: Network, keep: Iterable[str] = ()) -> tuple[list[Target], list[Target]]:
    """Return the targets of a model: those to scale, and those to keep.

    ``keep`` holds structural names of layers, with ``*`` and ``?``. Raises ValueError if one
    matches no target, a layer to scale cannot be measured, or there is none.
    """
    keep = keep if isinstance(keep, str) else list(keep)
    if isinstance(keep, str) or not all(isinstance(name, str) for name in keep):
        raise TypeError(f"keep is a list of names such as ['dense_2', 'head/*']; got {keep!r}.")
    found = all_targets(network)
    names = [target.name for target in found]
    for pattern in keep:
        if not fnmatch.filter(names, pattern):
            raise errors.unknown("layer to keep", pattern, names)
    kept = [t for t in found if any(fnmatch.fnmatchcase(t.name, pattern) for pattern in keep)]
    scaled = [target for target in found if target not in kept]
    problems = [f"{target.name} ({target.problem})" for target in scaled if target.problem]
    if problems:
        quoted = ", ".join(repr(target.name) for target in scaled if target.problem)
        raise ValueError(
            f"Cannot measure the effect of these layers' kernels: {'; '.join(problems)}. To leave "
            f"them unchanged: keep=[{quoted}]."
        )
    if not scaled:
        raise ValueError(f"The model {network.model.name!r} has no kernel to scale.")
    return scaled, kept


def all_targets(network: Network) -> list[Target]:
    """Return every target of a model, including those that cannot be measured."""
    owned: dict[int, list[Part]] = {}
    for part in network.parts:
        owned.setdefault(id(part.layer), []).append(part)
    made = [
        _target(network.model, own)
        for own in owned.values()
        if any(is_multiplied(part) for part in own)
    ]
    measured: dict[int, int] = {}
    for target in made:
        measured[id(target.layer)] = measured.get(id(target.layer), 0) + 1
    shared = "several layers in one TimeDistributed or RNN, whose outputs are not seen"
    return [
        replace(target, problem=target.problem or shared)
        if measured[id(target.layer)] > 1
        else target
        for target in made
    ]


def _target(model: Any, own: list[Part]) -> Target:
    first = own[0]
    # A cell may stand inside a Bidirectional, whose two layers are called one by one.
    around = [layer for layer in first.layers if row_of(layer).inside in ("cell", "layer")]
    layer = around[0] if around else first.layer
    kernels = [part for part in own if is_multiplied(part)]
    scaled = [part for part in kernels if part.role == "kernel"]
    problem = ""
    mode = quantization_of(first.layer)
    if mode is not None:
        problem = f"quantized to {mode}: scale it before model.quantize"
    elif any(is_of_lora(part) for part in own):
        problem = "frozen under LoRA: scale it before enable_lora"
    elif first.layer is model:
        problem = "a variable of the model itself, which no layer owns"
    elif row_of(layer).inside == "cell":
        if row_of(first.layer).signal != "steps":
            problem = "a cell with unknown use of its inputs"
        elif getattr(layer, "dtype_policy", None) is None:
            problem = "a layer without a dtype"
    elif not scaled:
        problem = "only a recurrent kernel"
    biases = [part for part in own if part.role == "bias"]
    return Target(
        kernels[0].name.rsplit("/", 1)[0],
        layer,
        first.layer,
        tuple(scaled),
        tuple(part for part in kernels if part.role != "kernel"),
        biases[0] if len(biases) == 1 else None,
        problem,
    )


@dataclass(frozen=True)
class Columns:
    """The axes of a layer's units in its output, its last kernel and its bias.

    A unit is one column of the kernel and one channel of the output. Values per unit form a
    vector, in the order of the kernel.

    Attributes:
        output_axes: The axes of units in the output, in the order of the kernel.
        kernel_axes: The axes of units in the kernel.
        sizes: Their sizes in the kernel.
        bias_order: The order of these axes in the bias; None if the bias does not have one
            value for each unit.
    """

    output_axes: tuple[int, ...]
    kernel_axes: tuple[int, ...]
    sizes: tuple[int, ...]
    bias_order: tuple[int, ...] | None

    def by_unit(self, output: np.ndarray) -> np.ndarray:
        """Return an output as a matrix with a column for each unit."""
        last = tuple(range(-len(self.output_axes), 0))
        moved = np.moveaxis(output, self.output_axes, last)
        return moved.reshape(-1, math.prod(self.sizes))

    def scaled(self, kernel: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Return a kernel with each unit's column multiplied by a factor."""
        shape = [1] * kernel.ndim
        for axis, size in zip(self.kernel_axes, self.sizes, strict=True):
            shape[axis] = size
        return kernel * factors.reshape(shape)

    def norms(self, kernel: np.ndarray) -> np.ndarray:
        """Return the norm of each unit's column of a kernel."""
        others = tuple(a for a in range(kernel.ndim) if a not in self.kernel_axes)
        return np.sqrt((kernel.astype(np.float64) ** 2).sum(others)).reshape(-1)

    def as_bias(self, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return one value for each unit in the shape of the bias."""
        return values.reshape(self.sizes).transpose(self.bias_order).reshape(shape)


def columns(target: Target, rank: int) -> Columns:
    """Return the axes of the units of a target whose output has ``rank`` axes."""
    kernel, owner = target.kernels[-1], target.owner
    reader = reader_of(owner, compat.variable_name(kernel.variable))
    if reader is readings.einsum:
        return _einsum_columns(kernel, owner, target.bias, rank)
    if reader is readings.local:
        raise ValueError(
            f"{target.name!r} has separate weights for each position, so units have no single "
            f"scale. {target.keep_hint}"
        )
    axes = tuple(sorted((*kernel.reading.batch_axes, *kernel.reading.output_axes)))
    sizes = tuple(kernel.shape[axis] for axis in axes)
    first = getattr(owner, "data_format", None) == "channels_first" and not target.recurrent
    place = -rank + 1 + (1 if target.layer is not owner else 0) if first else -1
    order = tuple(range(len(axes))) if target.bias else None
    if target.bias and math.prod(target.bias.shape) != math.prod(sizes):
        order = None
    # A depthwise convolution lays its units, (channel, multiplier), out on one axis.
    return Columns((place,), axes, sizes, order)


def _einsum_columns(kernel: Part, owner: Any, bias: Part | None, rank: int) -> Columns:
    _, _, rest = owner.equation.replace(" ", "").partition(",")
    weights, _, output = rest.partition("->")
    front, dots, back = output.partition("...")
    places = {letter: place for place, letter in enumerate(front)}
    back_start = rank - len(back) if dots else len(front)
    places |= {letter: back_start + place for place, letter in enumerate(back)}
    axes = tuple(axis for axis, letter in enumerate(weights) if letter in places)
    letters = [weights[axis] for axis in axes]
    order = None
    if bias is not None and sorted(owner.bias_axes) == sorted(letters):
        in_output = sorted(letters, key=places.__getitem__)
        order = tuple(letters.index(letter) for letter in in_output)
    return Columns(
        tuple(places[letter] for letter in letters),
        axes,
        tuple(kernel.shape[axis] for axis in axes),
        order,
    )
