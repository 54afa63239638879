"""Channels through recurrent layers: their units, gate by gate."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array

from kerasinit._src import compat
from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.kernel_steps import Gates, RecurrentStep
from kerasinit._src.shrinking.rules.activations import elementwise
from kerasinit._src.shrinking.rules.context import Context, UnknownChannelsError, array
from kerasinit._src.shrinking.steps import Pointwise, Rearranged

# How many gates a cell has, and which one must be zero for the state to stay at zero.
_GATES = {"LSTMCell": (4, 2), "GRUCell": (3, 2), "SimpleRNNCell": (1, 0)}


def recurrent(context: Context) -> list[Signal]:
    """`LSTM`, `GRU`, `SimpleRNN`, and `RNN` with one of their cells."""
    layer = context.layer
    cell = getattr(layer, "cell", layer)
    is_wrapped = type(layer).__name__ == "RNN"
    labels = _units(context, cell)
    targets = [_with_units(shape, labels) for shape in context.shapes]
    states = list(context.sources[1:])
    for state in states:
        context.channels.couple(
            state.axes[-1], labels, f"{context.name} starts from a state without channels"
        )
    context.pin_places(context.source)
    _add_step(context, cell, labels, states, targets)

    def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
        inner = config["cell"]["config"] if is_wrapped else config
        inner["units"] = count(labels)

    context.edit(edit)
    return targets


def _units(context: Context, cell: Any) -> Labels:
    if _kind(cell) not in _GATES:
        raise UnknownChannelsError(f"{context.name} has a cell {type(cell).__name__}")
    return context.channels.new(int(cell.units))


def _kind(cell: Any) -> str:
    kind = type(cell).__name__
    return kind if kind.endswith("Cell") else f"{kind}Cell"


def _with_units(shape: tuple[int, ...], labels: Labels) -> Signal:
    return Signal(shape, [*[None] * (len(shape) - 1), labels])


def _add_step(
    context: Context,
    cell: Any,
    labels: Labels,
    states: Sequence[Signal],
    targets: Sequence[Signal],
) -> None:
    if context.layer.stateful:
        raise UnknownChannelsError(f"{context.name} keeps its state between batches (stateful)")
    number, candidate = _GATES[_kind(cell)]
    kernel, recurrent_kernel, bias = _cell_variables(context, cell)
    units, own = len(labels), context.source.axes[-1]
    gates = np.tile(labels, number)
    context.bind(kernel, [own, gates], ["in", "out"])
    context.bind(recurrent_kernel, [labels, gates], ["in", "out"])
    offsets = (
        np.zeros((1, number * units)) if bias is None else array(bias).reshape(-1, number * units)
    )
    if bias is not None:
        context.bind(bias, [*[None] * (len(bias.shape) - 1), gates])
    activation = elementwise(cell.activation)
    recurrent_activation = getattr(cell, "recurrent_activation", None)
    if activation is None or elementwise(recurrent_activation) is None:
        raise UnknownChannelsError(f"{context.name} has an activation that may mix its units")

    def fold(amount: np.ndarray) -> None:
        assert bias is not None
        full = np.zeros(tuple(bias.shape))
        full.reshape(-1, number * units)[0] = amount.ravel()
        context.channels.add_to(bias, full)

    sequence = context.source
    context.add(
        RecurrentStep(
            context.layer,
            sequence,
            states,
            targets,
            Gates(
                array(kernel).reshape(-1, number, units),
                array(recurrent_kernel).reshape(-1, number, units),
                np.abs(offsets).sum(0).reshape(number, units),
                candidate,
            ),
            keeps_zero=not activation(np.zeros(1)).any(),
            on_fold=None if bias is None or context.often else fold,
        )
    )
    length = sequence.shape[1] if len(sequence.shape) == 3 else 1
    context.multiplies(length * number, sequence.shape[-1] if own is None else own, labels)
    context.multiplies(length * number, labels, labels)


def _cell_variables(context: Context, cell: Any) -> list[Any]:
    names = ("kernel", "recurrent_kernel", "bias")
    found: dict[str, Any] = {}
    for variable in cell.weights:
        name = compat.variable_name(variable)
        if name not in names:
            raise UnknownChannelsError(
                f"{context.name} has a variable {name!r} whose units are not known"
            )
        found[name] = variable
    if len(cell.weights) != len(context.layer.weights):
        raise UnknownChannelsError(f"{context.name} has variables beside those of its cell")
    return [found.get(name) for name in names]


def bidirectional(context: Context) -> list[Signal]:
    """Two recurrent layers whose outputs are joined."""
    layer = context.layer
    if len(context.sources) > 1:
        raise UnknownChannelsError(f"{context.name} starts from given states")
    context.pin_places(context.source)
    made = []
    for inner in (layer.forward_layer, layer.backward_layer):
        cell = getattr(inner, "cell", inner)
        labels = _units(context, cell)
        shapes = _inner_shapes(context, len(labels))
        targets = [_with_units(shape, labels) for shape in shapes]
        _add_step(context.inside(inner, context.sources, shapes), cell, labels, (), targets)
        made.append((inner, labels, targets))
    (_, forward, first), (backward_layer, backward, second) = made
    # Keras takes the directions to have as many units as each other.
    context.channels.couple(forward, backward)
    outputs = _merged(context, first[0], second[0])

    def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
        if config.get("backward_layer") is None:
            other = copy.deepcopy(config["layer"])
            other["config"]["go_backwards"] = bool(backward_layer.go_backwards)
            config["backward_layer"] = other
        for name, labels in (("layer", forward), ("backward_layer", backward)):
            inner = config[name]["config"]
            inner = inner["cell"]["config"] if config[name]["class_name"] == "RNN" else inner
            inner["units"] = count(labels)

    context.edit(edit)
    return [*outputs, *first[1:], *second[1:]]


def _inner_shapes(context: Context, units: int) -> list[tuple[int, ...]]:
    layer, length = context.layer, context.source.shape
    own = layer.forward_layer
    out = (length[0], length[1], units) if own.return_sequences else (length[0], units)
    states = 0
    if own.return_state:
        states = (len(context.shapes) - (2 if layer.merge_mode is None else 1)) // 2
    return [out, *[(length[0], units)] * states]


def _merged(context: Context, one: Signal, other: Signal) -> list[Signal]:
    mode, layer = context.layer.merge_mode, context.layer
    if mode is None:
        return [one, other]
    last = len(one.shape) - 1
    if mode == "concat":
        labels = np.concatenate([one.axes[-1], other.axes[-1]])  # type: ignore[list-item]
        target = _with_units(context.shapes[0], labels)
        moves, first = [], 0
        for source in (one, other):
            size = source.shape[-1]
            matrix = coo_array(
                (np.ones(size, "int64"), (np.arange(first, first + size), np.arange(size))),
                shape=(len(labels), size),
            )
            moves.append((source, last, target, last, matrix))
            first += size
        context.add(Rearranged(layer, [one, other], [target], moves, {}))
        return [target]
    labels = context.channels.couple(one.axes[-1], other.axes[-1])
    assert labels is not None
    target = _with_units(context.shapes[0], labels)
    own = [list(range(len(one.shape)))] * 2
    combine = {
        "sum": lambda a, b: a + b, "ave": lambda a, b: (a + b) / 2, "mul": lambda a, b: a * b
    }[mode]  # fmt: skip
    context.add(Pointwise(layer, [one, other], target, own, combine, product=mode == "mul"))
    return [target]
