"""The variables of a model: their names, their roles, and how a layer reads its kernels.

Each variable has one name, which masks, tickets, rules and reports use: the path of the layer that
owns it (see `network.walk`), and the last part of the variable's own name.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from kerasinit._src import compat
from kerasinit._src.compat.quantization import (
    UNQUANTIZED_VARIABLES,
    quantization_of,
    unpacked_shape,
)
from kerasinit._src.network.catalogue import ROLE_BY_NAME, row_of
from kerasinit._src.network.readings import Reading, by_shape_alone
from kerasinit._src.network.variable_uses import use_of
from kerasinit._src.network.walk import LocatedLayer, NamesOnPath, located_layers
from kerasinit._src.troubleshooting import see

# Kernels multiply signals; scale, offset and statistic belong to normalizations; "other" has no
# rule, such as a class token, a gate or the factors of LoRA, which must start at zero together.
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
class ModelVariable:
    """A variable of a model, its names and its layers.

    Attributes:
        name: Structural name, such as ``"dense_1/kernel"`` or
            ``"multi_head_attention/query/kernel"``: the same for every build of the same
            code, in either Keras.
        layers: The layers that it is in, from the outermost to its owner; the model itself where
            no layer owns it.
        names: All accepted names: the structural one; the one with the layer names that the user
            set, such as ``"tower/encoder/kernel"``; and those of its suffixes that start with
            such a name, ``"encoder/kernel"``.
    """

    name: str
    variable: Any
    layers: tuple[Any, ...]
    names: tuple[str, ...]

    @property
    def layer(self) -> Any:
        """The layer that owns the variable."""
        return self.layers[-1]

    @property
    def called(self) -> str:
        """Its name with the layer names that the user set; the structural one without any."""
        return self.names[min(1, len(self.names) - 1)]

    @property
    def shape(self) -> tuple[int, ...]:
        """The variable's shape."""
        return tuple(self.variable.shape)


@dataclass(frozen=True, eq=False)
class Part(ModelVariable):
    """A weight of a model: its role, one of `ROLES`, and for a kernel how the layer reads it."""

    role: str
    reading: Reading | None


@dataclass(frozen=True, eq=False)
class Kernel(Part):
    """A weight whose role is one of `KERNELS`."""

    reading: Reading


def parts(model: Any) -> list[Part]:
    """Return the weights of a built model or layer, each once, in the order of the model.

    Layers inside layers are entered: cells, wrapped layers, the dense layers of an attention, the
    layers in the attributes of a custom layer.
    """
    compat.kerase_of(model)
    if not (compat.is_built(model) if compat.is_model(model) else model.built):
        raise ValueError(
            f"{model.name!r} has no weights yet. Build it first: give a model a keras.Input or "
            f"call it on a batch; call a layer's build(input_shape). {see('unbuilt-model')}"
        )
    order = {id(variable): place for place, variable in enumerate(model.weights)}
    found = [_part(one) for one in variables_of(model) if id(one.variable) in order]
    return sorted(found, key=lambda part: order[id(part.variable)])


def named_variables(model: Any) -> dict[str, Any]:
    """Return every variable of a model or layer by its structural name, in the model's order.

    These are the weights and the states of random layers, without the variables of metrics and of
    the optimizer. Variables that no layer owns come last, as ``model/...``.
    """
    return {one.name: one.variable for one in variables_of(model)}


def variables_of(model: Any) -> Iterator[ModelVariable]:
    """Yield the `named_variables` of a model or layer with their layers, built or not."""
    # A layer may hold others for reference, whose weights are not the model's.
    left = {id(variable): variable for variable in state_of(model)}
    taken: set[str] = set()

    def located(place: LocatedLayer, variables: Iterable[Any]) -> Iterator[ModelVariable]:
        for variable in variables:
            if left.pop(id(variable), None) is None:
                continue
            # Keras 3 numbers unnamed variables by what the process created before.
            own = re.sub(r"^variable_\d+$", "variable", compat.variable_name(variable))
            stem = name = f"{place.path}/{own}"
            number = 0
            while name in taken:
                number += 1
                name = f"{stem}_{number}"
            taken.add(name)
            yield ModelVariable(name, variable, place.layers, _names(name, place.called))

    for place in located_layers(model):
        yield from located(place, (*place.layer.weights, *state_of(place.layer)))
    yield from located(LocatedLayer("model", (("model", False),), (model,)), [*left.values()])


def _part(one: ModelVariable) -> Part:
    role, reading = _described(one.layers, one.variable)
    if reading is None:
        return Part(one.name, one.variable, one.layers, one.names, role, None)
    return Kernel(one.name, one.variable, one.layers, one.names, role, reading)


def state_of(thing: Any) -> list[Any]:
    """Return the variables of a model or layer, without those of metrics."""
    # Keras 3 counts a model's metrics among its variables, tf_keras among its weights, together
    # with the vocabulary of a lookup layer. Neither is state of the network.
    variables = thing.variables if compat.kerase_of(thing) == "keras" else thing.weights
    metrics = {
        id(variable)
        for metric in getattr(thing, "metrics", None) or ()
        for variable in metric.variables
    }
    return [
        variable
        for variable in variables
        if id(variable) not in metrics and hasattr(variable, "numpy")
    ]


def _names(name: str, called: NamesOnPath) -> tuple[str, ...]:
    """Return all accepted names of a variable; see `ModelVariable`."""
    steps = [step for step, _ in called] + [name.rsplit("/", 1)[-1]]
    given = [place for place, (_, by_user) in enumerate(called) if by_user]
    starts = [0, *given] if given else []
    return tuple(dict.fromkeys([name, *("/".join(steps[start:]) for start in starts)]))


def is_of_lora(part: Part) -> bool:
    """Return whether a variable is a factor of LoRA: their product is added to a kernel."""
    return compat.variable_name(part.variable).startswith(_LORA)


_LORA = "lora_"


def _described(layers: tuple[Any, ...], variable: Any) -> tuple[str, Reading | None]:
    """Return the role of a variable and, for a kernel, how its layer reads it."""
    layer, name, shape = layers[-1], compat.variable_name(variable), tuple(variable.shape)
    if name.startswith(_LORA):
        return "other", None
    if quantization_of(layer) is not None:
        if name not in UNQUANTIZED_VARIABLES:
            return "other", None  # scales and histories that the quantization made
        shape = unpacked_shape(layer, name, shape)
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
    """Return the role of a variable of an unknown layer and, for a kernel, its reading."""
    if "kernel" in name:
        return "kernel", by_shape_alone(shape)
    use = use_of(layer, variable)
    if use == "kernel":
        return "kernel", by_shape_alone(shape)
    # Positions are added, without a look-up that shows them; a single row is a token.
    is_table = "embedding" in name or (
        "embedding" in type(layer).__name__.lower() and math.prod(shape[:-1]) > 1
    )
    if use == "embeddings" or is_table:
        return "embeddings", dataclasses.replace(by_shape_alone(shape), fan_in=1, fan_out=shape[-1])
    return "other", None
