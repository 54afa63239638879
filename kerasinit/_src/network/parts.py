"""What each variable of a model is for, and how a layer reads its kernels.

A shape does not say which of its axes a layer sums over, which only number kernels that
never meet, and how many gates lie side by side. The layer does. It is asked here, and
only here; `network.fans` counts, rules and diagnosis build on it.
"""

import dataclasses
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kerasinit._src import compat
from kerasinit._src.compat.quantization import OF_THE_LAYER, quantization_of, unpacked
from kerasinit._src.network.catalogue import ROLE_BY_NAME, row_of
from kerasinit._src.network.readings import Reading, by_shape_alone
from kerasinit._src.network.variable_uses import use_of
from kerasinit._src.network.walk import Called, given_name, walk, walk_called

# What a variable does: kernels multiply signals; a scale, an offset and statistics belong
# to normalizations; "other" is what has no rule, such as a class token, a gate or the factors
# of LoRA, which must start at zero together.
ROLES = (
    "bias",
    "embeddings",
    "kernel",
    "offset",
    "other",
    "recurrent_kernel",
    "scale",
    "statistic",
)
KERNELS = ("embeddings", "kernel", "recurrent_kernel")


@dataclass(frozen=True, eq=False)
class Part:
    """A variable of a model and its place.

    Attributes:
        name: Structural name, such as ``"dense_1/kernel"`` or
            ``"multi_head_attention/query/kernel"``: the same for every build of the same
            code, in either Keras.
        variable: The variable.
        layers: The layers that it is in, from the outermost to the one that owns it; the
            model itself where no layer owns it.
        role: One of `ROLES`.
        reading: How the layer reads it; None for what is not a `Kernel`.
        names: What it answers to: the structural name; the one by the names that were given
            to layers, such as ``"tower/encoder/kernel"``; and the ends of that which begin
            with a name that was given, ``"encoder/kernel"``.
    """

    name: str
    variable: Any
    layers: tuple[Any, ...]
    role: str
    reading: Reading | None
    names: tuple[str, ...]

    @property
    def layer(self) -> Any:
        """The layer that owns the variable."""
        return self.layers[-1]

    @property
    def called(self) -> str:
        """Its name by the names that were given to layers; the structural one without any."""
        return self.names[min(1, len(self.names) - 1)]

    @property
    def shape(self) -> tuple[int, ...]:
        """The variable's shape."""
        return tuple(self.variable.shape)


@dataclass(frozen=True, eq=False)
class Kernel(Part):
    """A variable whose role is one of `KERNELS`: its layer reads it in one way or another."""

    reading: Reading


def parts(model: Any) -> list[Part]:
    """Return the weights of a model or layer, each once, in the order of the model.

    Layers inside layers are entered: cells, wrapped layers, the dense layers of an
    attention, the layers that a layer of your own holds in its attributes.

    Args:
        model: A built model or layer of either Keras.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is not built.

    Example:
    >>> import keras
    >>> layer = keras.layers.Bidirectional(keras.layers.GRU(3))
    >>> layer.build((None, 5, 2))
    >>> [part.name for part in parts(layer)][:2]
    ['bidirectional/forward/kernel', 'bidirectional/forward/recurrent_kernel']
    """
    compat.kerase_of(model)
    if not (compat.is_built(model) if compat.is_model(model) else model.built):
        raise ValueError(
            f"{model.name!r} has no weights yet. Build it first: give a model a keras.Input or "
            f"call it on a batch; call a layer's build(input_shape)."
        )
    found: list[Part] = []
    # tf_keras counts a model's metrics among its weights. They are no part of the network.
    metrics = getattr(model, "metrics", None) or []
    order = {id(variable): place for place, variable in enumerate(model.weights)}
    seen = {id(variable) for metric in metrics for variable in metric.variables}
    entered: set[int] = set()
    taken: set[str] = set()

    def note(path: str, called: Called, layers: tuple[Any, ...], variable: Any) -> None:
        # A layer may hold others for reference, whose weights are not the model's.
        if id(variable) in seen or id(variable) not in order:
            return
        seen.add(id(variable))
        # Keras 3 numbers variables without a name by what the process made before.
        own = re.sub(r"^variable_\d+$", "variable", compat.variable_name(variable))
        stem = name = f"{path}/{own}"
        number = 0
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        role, reading = _described(layers, variable)
        names = _names(name, called)
        found.append(
            Part(name, variable, layers, role, None, names)
            if reading is None
            else Kernel(name, variable, layers, role, reading, names)
        )

    def enter(path: str, called: Called, layers: tuple[Any, ...]) -> None:
        layer = layers[-1]
        if id(layer) in entered:
            return
        entered.add(id(layer))
        # Inner layers first: a variable belongs to the innermost layer that has it.
        for name, more, inner in _inner_called(layer):
            enter(f"{path}/{name}" if name else path, (*called, *more), (*layers, inner))
        for variable in layer.weights:
            note(path, called, layers, variable)

    for path, called, layer in walk_called(model):
        enter(path, called, (layer,))
    for variable in model.weights:
        note("model", (("model", False),), (model,), variable)
    return sorted(found, key=lambda part: order[id(part.variable)])


def _names(name: str, called: Called) -> tuple[str, ...]:
    """Return what a variable answers to; see `Part`."""
    steps = [step for step, _ in called] + [name.rsplit("/", 1)[-1]]
    given = [place for place, (_, by_a_person) in enumerate(called) if by_a_person]
    starts = [0, *given] if given else []
    return tuple(dict.fromkeys([name, *("/".join(steps[start:]) for start in starts)]))


def _inner_called(layer: Any) -> Iterator[tuple[str, Called, Any]]:
    """Yield the layers directly inside a layer with their names, and those that were given."""
    if compat.is_model(layer):
        yield from walk_called(layer)
        return
    named_by_keras = row_of(layer).inside in ("cell", "cells", "dense layers", "directions")
    for name, inner in inner_layers(layer):
        given = None if named_by_keras else given_name(inner)
        called = given or name
        yield name, ((called, given is not None),) if called else (), inner


def is_of_lora(part: Part) -> bool:
    """Return whether a variable is a factor of LoRA: their product is added to a kernel."""
    return compat.variable_name(part.variable).startswith(_LORA)


_LORA = "lora_"


def inner_layers(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers directly inside a layer, by names that survive rebuilding.

    The name is empty for a layer that is only wrapped, such as the cell of an LSTM.
    """
    inside = row_of(layer).inside
    if compat.is_model(layer):
        yield from walk(layer)
    elif inside == "directions":
        yield "forward", layer.forward_layer
        yield "backward", layer.backward_layer
    elif inside == "cells":
        yield from numbered(layer.cells)
    elif inside == "cell":
        yield "", layer.cell
    elif inside == "layer":
        yield "", layer.layer
    elif inside == "dense layers":
        # Their dense layers have fixed names of their own: query, key, value, ...
        yield from ((inner.name, inner) for _, inner in _held(layer))
    else:
        yield from _held(layer)


def _held(layer: Any) -> list[tuple[str, Any]]:
    """Return the layers that an object holds in its attributes, by the attributes' names."""
    named: dict[int, tuple[str, Any]] = {}
    # What Keras notes down for itself holds the same layers again, under worse names.
    attributes = sorted(vars(layer).items(), key=lambda item: item[0] in _BOOKKEEPING)
    for attribute, value in attributes:
        attribute = attribute.lstrip("_")
        for suffix, inner in _elements(value):
            if compat.is_layer(inner) and inner is not layer:
                named.setdefault(id(inner), (f"{attribute}{suffix}", inner))
    return list(named.values())


_BOOKKEEPING = (
    "_layers",
    "_self_tracked_trackables",
    "_self_unconditional_dependency_names",
    "_self_unconditional_checkpoint_dependencies",
)


def _elements(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple):
        yield from ((f"_{number}", element) for number, element in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"_{key}", element) for key, element in value.items())
    else:
        yield "", value


def numbered(layers: Any) -> Iterator[tuple[str, Any]]:
    """Yield layers by their class in snake case, numbered where several are of one."""
    counts: dict[str, int] = {}
    for layer in layers:
        stem = compat.snake_case(type(layer).__name__)
        number = counts.get(stem, 0)
        counts[stem] = number + 1
        yield (f"{stem}_{number}" if number else stem), layer


def _described(layers: tuple[Any, ...], variable: Any) -> tuple[str, Reading | None]:
    """Return the role of a variable and, for a kernel, how its layer reads it."""
    layer, name, shape = layers[-1], compat.variable_name(variable), tuple(variable.shape)
    if name.startswith(_LORA):
        return "other", None
    if quantization_of(layer) is not None:
        if name not in OF_THE_LAYER:
            return "other", None  # scales and histories that the quantization made
        shape = unpacked(layer, name, shape)
    kernels = row_of(layer).kernels
    if len(layers) > 1 and row_of(layers[-2]).inside == "cell":
        kernels = kernels or row_of(layers[-2]).kernels
    if name in kernels:
        role, reader = kernels[name]
        return role, reader(layer, shape)
    role = ROLE_BY_NAME.get(name)
    if role is None and layer.trainable and not variable.trainable:
        role = "statistic"
    if role is None and len(shape) >= 2:
        return _of_a_custom_layer(layer, name, variable, shape)
    return role or "other", None


def _of_a_custom_layer(
    layer: Any, name: str, variable: Any, shape: tuple[int, ...]
) -> tuple[str, Reading | None]:
    """Return the role of a variable of an unknown layer, and how that reads it."""
    if "kernel" in name:
        return "kernel", by_shape_alone(shape)
    use = use_of(layer, variable)
    if use == "kernel":
        return "kernel", by_shape_alone(shape)
    # Positions are added, and have no look-up to be known by; one row is a token.
    is_table = "embedding" in name or (
        "embedding" in type(layer).__name__.lower() and math.prod(shape[:-1]) > 1
    )
    if use == "embeddings" or is_table:
        return "embeddings", dataclasses.replace(by_shape_alone(shape), fan_in=1, fan_out=shape[-1])
    return "other", None
