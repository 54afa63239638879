"""Reads the calls of a functional model from its Keras configuration.

The configuration lists each layer's calls, and each call's tensors: in Keras 3 a dictionary with a
``keras_history``, in tf_keras a list of a name and two numbers.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kerasinit._src import compat

PASS_BRANCHES = (
    "pass the branches: branches=[[layer, layer, ...], ...], for each branch its layers "
    "(or their names) with weights, in the order of the data"
)

Shape = tuple[int | None, ...] | None
Call = tuple[str, int]  # a layer's name and the number of one of its calls


@dataclass(frozen=True)
class Reference:
    """A tensor in a configuration: an output of a call."""

    name: str
    number: int
    output: int
    shape: Shape = None

    @property
    def call(self) -> Call:
        """The call that it comes from, as the configuration numbers it."""
        return self.name, self.number


@dataclass(frozen=True)
class Plan:
    """The content of a functional model's configuration.

    Attributes:
        entries: The layers' configurations, by name.
        layers: The layers; operations of Keras 3 are not among them.
        data: Each call's arguments.
        order: The calls, in topological order.
        calls_by_reference: The call that a name and a number refer to.
        inputs: The names of the input layers, in the structure of the inputs.
        outputs: The model's outputs, in the order of Keras.
    """

    entries: dict[str, Any]
    layers: dict[str, Any]
    data: dict[Call, Any]
    order: list[Call]
    calls_by_reference: dict[Call, Call]
    inputs: Any
    outputs: list[Reference]


def plan_of(model: Any) -> Plan | None:
    """Return the configuration of a functional model, parsed; None for any other model.

    Raises ValueError if Keras cannot serialize the configuration.
    """
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        return None
    try:
        config = model.get_config()
    except Exception:  # any get_config in it may fail in its own way
        config = {}
    if "input_layers" not in config:
        # A custom class around a functional model has its own configuration.
        name, model = model.name, compat.library_of(model).Model(inputs, outputs)
        try:
            config = model.get_config()
        except Exception as error:
            raise ValueError(
                f"Cannot read the graph of the model {name!r}, since Keras cannot write its "
                f"configuration ({type(error).__name__}: {error}). Give the layer that fails a "
                f"get_config, or {PASS_BRANCHES}."
            ) from error

    entries = {entry["name"]: entry for entry in config["layers"]}
    # An input has a call without arguments.
    data = {
        (name, number): arguments
        for name, entry in entries.items()
        for number, arguments in enumerate(entry["inbound_nodes"] or [()])
    }
    layers = {layer.name: compat.unwrapped(layer) for layer in model.layers}
    returned = [
        _counted_from_zero(reference, layers.get(reference.name))
        for reference in references(_sorted_keys(config["output_layers"]), entries)
    ]
    needed = {call: list(references(arguments, entries)) for call, arguments in data.items()}
    # The first call of a nested functional model is its own; the Kerases differ in whether they
    # count from it. Every call that is kept is referred to, so the order identifies it.
    used: dict[str, set[int]] = {}
    for reference in (*returned, *(one for found in needed.values() for one in found)):
        used.setdefault(reference.name, set()).add(reference.number)
    renumbered = {
        (name, number): (name, place)
        for name, numbers in used.items()
        for place, number in enumerate(sorted(numbers))
    }
    return Plan(
        entries,
        layers,
        data,
        list(
            _sorted(
                {call: [renumbered[one.call] for one in found] for call, found in needed.items()}
            )
        ),
        renumbered,
        mapped(config["input_layers"], entries, lambda reference: reference.name),
        returned,
    )


def _counted_from_zero(reference: Reference, layer: Any) -> Reference:
    """Return an output of a model with its call numbered as in the calls of the other layers.

    Among the outputs, Keras 3 counts a nested functional model's own call, but not elsewhere.
    """
    is_nested = layer is not None and compat.is_model(layer)
    if not is_nested or isinstance(layer, compat.library_of(layer).Sequential):
        return reference
    if compat.kerase_of(layer) == "tf_keras" or reference.number == 0:
        return reference
    return dataclasses.replace(reference, number=reference.number - 1)


def references(data: Any, names: Any) -> Iterator[Reference]:
    """Yield the tensors anywhere in a piece of configuration."""
    if isinstance(data, dict):
        if (reference := _reference(data, names)) is not None:
            yield reference
        elif not str(data.get("class_name")).startswith("__"):
            for value in data.values():
                yield from references(value, names)
    elif isinstance(data, list | tuple):
        reference = _reference(data, names)
        if reference is not None:
            yield reference
        for value in data if reference is None else data[3:]:
            yield from references(value, names)


def _reference(data: Any, names: Any) -> Reference | None:
    """Return the tensor that a piece of configuration encodes, if it does."""
    if isinstance(data, dict) and data.get("class_name") == "__keras_tensor__":  # Keras 3
        name, number, output = data["config"]["keras_history"]
        shape = data["config"].get("shape")
        return Reference(name, number, output, None if shape is None else tuple(shape))
    # tf_keras writes [name, call, output] or [name, call, output, keywords], and so do both
    # Kerases for the model's inputs and outputs.
    if (
        isinstance(data, list | tuple)
        and len(data) >= 3
        and isinstance(data[0], str)
        and data[0] in names
        and isinstance(data[1], int)
        and isinstance(data[2], int)
    ):
        return Reference(*data[:3])
    return None


def mapped(data: Any, names: Any, change: Callable[[Reference], Any]) -> Any:
    """Return a structure with each tensor replaced by ``change(reference)``."""
    if (reference := _reference(data, names)) is not None:
        return change(reference)
    if isinstance(data, dict):
        return {key: mapped(value, names, change) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [mapped(value, names, change) for value in data]
    return None


def _sorted_keys(data: Any) -> Any:
    """Return a structure whose dictionaries are in Keras' order of inputs and outputs."""
    if isinstance(data, dict):
        return {key: _sorted_keys(data[key]) for key in sorted(data)}
    return data


def leaves(structure: Any) -> Iterator[Any]:
    """Yield the values in a structure of lists and dictionaries that are not None."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, list):
        for one in structure:
            yield from leaves(one)
    elif structure is not None:
        yield structure


def matched(names: Any, given: Any) -> dict[str, int] | None:
    """Return for each input layer's name the node that its tensor comes from.

    ``names`` are in the structure of a model's inputs, ``given`` nodes in the structure of a call.
    None if they cannot be matched.
    """
    if isinstance(given, dict):
        # By the keys of the model's own dictionary, or by the names of its input layers.
        keys = names if isinstance(names, dict) else {name: name for name in leaves(names)}
        pairs = [(keys.get(key), place) for key, place in given.items()]
    else:
        wanted, places = list(leaves(names)), list(leaves(given))
        if len(wanted) != len(places):
            return None
        pairs = list(zip(wanted, places, strict=True))
    if not all(isinstance(name, str) and isinstance(place, int) for name, place in pairs):
        return None
    return dict(pairs)


def first_argument(data: Any) -> Any:
    """Return the first argument of a call, without masks."""
    if not isinstance(data, dict) or "args" not in data:  # tf_keras
        return data
    return data["args"][0] if data["args"] else data["kwargs"].get("inputs")


def value_argument(data: Any) -> Any:
    """Return the value argument of a call of an attention."""
    if isinstance(data, dict):
        return data["args"][1] if len(data["args"]) > 1 else data["kwargs"].get("value")
    return data[0][3].get("value") if data and len(data[0]) > 3 else None


def _sorted(inputs: dict[Call, list[Call]]) -> Iterator[Call]:
    """Yield each key after its inputs. Not recursive: a model may be thousands deep."""
    done: set[Call] = set()
    for first in inputs:
        stack = [(first, iter(inputs[first]))]
        while stack:
            key, rest = stack[-1]
            missing = next((other for other in rest if other not in done), None)
            if missing is not None:
                stack.append((missing, iter(inputs[missing])))
                continue
            stack.pop()
            if key not in done:
                done.add(key)
                yield key


def output_shape(layer: Any, output: int) -> Shape:
    """Return the shape of an output of a tf_keras layer, None if unknown."""
    try:
        shape = layer.output_shape
    except (AttributeError, RuntimeError):  # several calls, of different shapes
        return None
    if isinstance(shape, list):
        shape = shape[output] if output < len(shape) else None
    known = isinstance(shape, tuple) and all(s is None or isinstance(s, int) for s in shape)
    return shape if known else None
