"""Every call of a functional or sequential model, with the exact tensors that it takes and returns.

`network.graph` answers which node feeds which. Here the arguments keep their places, so that the
calls can be repeated one by one, on any input.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.graph import model_in
from kerasinit._src.network.keras_config import Plan, leaves, matched, plan_of, references


@dataclass(frozen=True)
class Output:
    """A tensor of a model: one of those that a call returns."""

    call: int
    number: int


@dataclass(frozen=True)
class Taken:
    """A tensor among the arguments of a call."""

    tensor: Output


@dataclass(frozen=True, eq=False)
class TensorCall:
    """A call of a layer or an operation.

    Attributes:
        name: The name of the layer or operation in the configuration of ``model``.
        model: The innermost model that contains it.
        layer: What is called: a layer, or an operation of Keras 3; None for the input of a
            sequential model, which need not have a layer.
        arguments: Its positional arguments, with a `Taken` in place of each tensor.
        keywords: Its keyword arguments, in the same form.
        place: Its position among the calls; its tensors are known by it.
        enters: Whether it is an input of the outermost model.
    """

    name: str
    model: Any
    layer: Any
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    place: int
    enters: bool = False

    @property
    def is_operation(self) -> bool:
        """Whether it is an operation of Keras 3 or a function of TensorFlow, not a layer."""
        return not compat.is_layer(self.layer) or type(self.layer).__name__ in _OP_LAYERS

    @property
    def operation(self) -> str:
        """The operation's name without underscores, spelled alike for both: ``"expanddims"``."""
        config = self.layer.get_config() if type(self.layer).__name__ == "TFOpLambda" else {}
        name = config.get("function") or type(self.layer).__name__
        if type(self.layer).__name__ == "SlicingOpLambda":
            name = "getitem"
        return str(name).rsplit(".", 1)[-1].lower().replace("_", "")

    @property
    def taken(self) -> list[Output]:
        """The tensors among its arguments, in order."""
        return list(_taken((self.arguments, self.keywords)))

    def run(self, values: Mapping[Any, Any]) -> Any:
        """Call the layer on other values for its tensors, and return what it returns."""
        filled = _filled((list(self.arguments), dict(self.keywords)), values)
        return self.layer(*filled[0], **filled[1])


_OP_LAYERS = ("TFOpLambda", "SlicingOpLambda")


@dataclass(frozen=True, eq=False)
class TensorCalls:
    """The calls of a model in topological order.

    Attributes:
        calls: The calls.
        inputs: The calls that are inputs of the model, in the order of ``model.inputs``.
        outputs: The tensors that the model returns.
        entries: For each nested model the inputs of each of its calls, as (name of the input
            layer, model, tensor).
    """

    calls: tuple[TensorCall, ...]
    inputs: tuple[int, ...]
    outputs: tuple[Output, ...]
    entries: tuple[tuple[str, Any, Output], ...]


def tensor_calls(model: Any) -> TensorCalls | None:
    """Return the calls of a model; None if it has no graph, as a subclassed model.

    Functional and sequential models inside it are expanded at each of their calls; one that cannot
    be read is a single call. Raises ValueError if Keras cannot serialize the configuration.
    """
    builder = _Builder()
    outputs = builder.enter(model, None)
    if outputs is None:
        return None
    return TensorCalls(
        tuple(builder.calls), tuple(builder.inputs), tuple(outputs), tuple(builder.entries)
    )


class _Builder:
    def __init__(self) -> None:
        self.calls: list[TensorCall] = []
        self.inputs: list[int] = []
        self.entries: list[tuple[str, Any, Output]] = []
        self._plans: dict[int, Plan | None] = {}

    def enter(self, model: Any, given: Any) -> list[Output] | None:
        """Append the calls of a model on the given `Taken`; None: on new inputs."""
        if isinstance(model, compat.library_of(model).Sequential):
            return self._enter_chain(model, given)
        if id(model) not in self._plans:
            self._plans[id(model)] = plan_of(model)
        plan = self._plans[id(model)]
        if plan is None:
            return None
        sources: dict[str, Output] = {}
        if given is not None:
            numbered = list(leaves(_plain(given)))
            found = matched(plan.inputs, _numbered(given, numbered))
            if found is None:
                return None
            sources = {name: numbered[place].tensor for name, place in found.items()}
        returned: dict[Any, list[Output]] = {}

        def source(reference: Any) -> Output:
            return returned[plan.calls_by_reference[reference.call]][reference.output]

        for call in plan.order:
            name = call[0]
            if name in sources:
                self.entries.append((name, model, sources[name]))
                returned[call] = [sources[name]]
                continue
            entry, layer = plan.entries[name], plan.layers.get(name)
            if layer is None:
                layer = compat.library_of(model).saving.deserialize_keras_object(entry)
            arguments, keywords = _arguments(plan.data[call], plan.entries, source)
            returned[call] = self._append(name, model, layer, arguments, keywords)
        if given is None:
            names = list(leaves(plan.inputs))
            by_name = {one.name: one.place for one in self.calls if one.model is model}
            self.inputs = [by_name[name] for name in names]
        return [source(reference) for reference in plan.outputs]

    def _append(
        self, name: str, model: Any, layer: Any, arguments: Any, keywords: Any
    ) -> list[Output]:
        inner = layer if compat.is_layer(layer) and compat.is_model(layer) else None
        if (
            inner is not None
            and model_in(layer) is inner
            and arguments
            and not keywords.get("mask")
        ):
            before = len(self.calls), len(self.entries)
            try:
                found = self.enter(inner, arguments[0])
            except ValueError:  # treated like a layer without a graph
                found = None
            if found is not None:
                return found
            del self.calls[before[0] :], self.entries[before[1] :]
        place = len(self.calls)
        enters = row_of(layer).signal == "enters"
        self.calls.append(TensorCall(name, model, layer, arguments, keywords, place, enters))
        return _Outputs(place)

    def _enter_chain(self, model: Any, given: Any) -> list[Output] | None:
        if given is None:
            place = len(self.calls)
            self.calls.append(TensorCall(f"{model.name}_input", model, None, (), {}, place, True))
            self.inputs = [place]
            tensor = Output(place, 0)
        else:
            taken = list(leaves(_plain(given)))
            if len(taken) != 1:
                return None
            tensor = taken[0].tensor
            self.entries.append(("", model, tensor))
        for layer in map(compat.unwrapped, model.layers):
            if row_of(layer).signal == "enters":
                continue
            tensor = self._append(layer.name, model, layer, (Taken(tensor),), {})[0]
        return [tensor]


class _Outputs(list[Output]):
    """The outputs of a call, however many: their number is not known before it runs."""

    def __init__(self, place: int) -> None:
        super().__init__([Output(place, 0)])
        self._place = place

    def __getitem__(self, number: Any) -> Any:
        return Output(self._place, number)


def _arguments(
    data: Any, names: Any, source: Callable[[Any], Output]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(data, dict):  # Keras 3
        arguments = tuple(_value(one, names, source) for one in data.get("args", ()))
        keywords = {key: _value(one, names, source) for key, one in data["kwargs"].items()}
        return arguments, keywords
    if not data:
        return (), {}
    return _tf_keras_arguments(data, names, source)


def _tf_keras_arguments(
    data: Any, names: Any, source: Callable[[Any], Output]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call of tf_keras, whose keywords are with its first tensor."""
    first = data
    while isinstance(first, list | tuple | dict) and not _is_reference(first, names):
        first = next(iter(first.values() if isinstance(first, dict) else first))
    keywords = {
        key: _value(one, names, source) for key, one in (first[3] if len(first) > 3 else {}).items()
    }
    structure = _value(data, names, source)
    if isinstance(structure, list) and len(structure) == 1 and not _is_reference(data, names):
        structure = structure[0]
    return (structure,), keywords


def _is_reference(data: Any, names: Any) -> bool:
    return (
        isinstance(data, list | tuple)
        and len(data) >= 3
        and isinstance(data[0], str)
        and (data[0] in names or data[0] == "_CONSTANT_VALUE")
        and isinstance(data[1], int)
    )


def _value(data: Any, names: Any, source: Callable[[Any], Output]) -> Any:
    """Return an argument, with a `Taken` in place of each tensor."""
    if isinstance(data, dict) and data.get("class_name") == "__keras_tensor__":
        return Taken(source(next(references(data, names))))
    if _is_reference(data, names):
        if data[0] == "_CONSTANT_VALUE":
            return data[2]
        return Taken(source(next(references(list(data[:3]), names))))
    if isinstance(data, dict):
        if set(data) == {"start", "stop", "step"}:
            return slice(data["start"], data["stop"], data["step"])
        if "class_name" in data and "config" in data:
            return keras.saving.deserialize_keras_object(data)
        return {key: _value(one, names, source) for key, one in data.items()}
    if isinstance(data, list | tuple):
        return [_value(one, names, source) for one in data]
    return data


def _plain(structure: Any) -> Any:
    return list(structure) if isinstance(structure, tuple) else structure


def _numbered(structure: Any, taken: list[Taken]) -> Any:
    """Return a structure with the position of each `Taken` in a list."""
    if isinstance(structure, Taken):
        return next(place for place, one in enumerate(taken) if one is structure)
    if isinstance(structure, dict):
        return {key: _numbered(one, taken) for key, one in structure.items()}
    if isinstance(structure, list | tuple):
        return [_numbered(one, taken) for one in structure]
    return structure


def _taken(structure: Any) -> Iterator[Output]:
    if isinstance(structure, Taken):
        yield structure.tensor
    elif isinstance(structure, Mapping):
        for one in structure.values():
            yield from _taken(one)
    elif isinstance(structure, list | tuple):
        for one in structure:
            yield from _taken(one)


def _filled(structure: Any, values: Mapping[Any, Any]) -> Any:
    if isinstance(structure, Taken):
        return values[structure.tensor]
    if isinstance(structure, dict):
        return {key: _filled(one, values) for key, one in structure.items()}
    if isinstance(structure, list):
        return [_filled(one, values) for one in structure]
    if isinstance(structure, tuple):
        return tuple(_filled(one, values) for one in structure)
    return structure


def outputs_in(returned: Any) -> Sequence[Any]:
    """Return the tensors that a call returned, flat, in Keras' order."""
    return list(leaves(_listed(returned)))


def _listed(structure: Any) -> Any:
    if isinstance(structure, dict):
        return {key: _listed(structure[key]) for key in sorted(structure)}
    if isinstance(structure, list | tuple):
        return [_listed(one) for one in structure]
    return structure
