"""The variables of a model: their names, what they are for, and how a layer reads its kernels.

Each variable has one name, which masks, tickets, rules and reports use: the path of the layer that
owns it (see `network.walk`), and the last part of the variable's own name.

A shape does not say which of its axes a layer sums over, which only number kernels that
never meet, and how many gates lie side by side. The layer does, and each `Part` has its answer.
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
from kerasinit._src.network.walk import Called, Place, places

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
class ModelVariable:
    """A variable of a model and its place.

    Attributes:
        name: Structural name, such as ``"dense_1/kernel"`` or
            ``"multi_head_attention/query/kernel"``: the same for every build of the same
            code, in either Keras.
        variable: The variable.
        layers: The layers that it is in, from the outermost to the one that owns it; the
            model itself where no layer owns it.
        names: What it answers to: the structural name; the one by the names that were given
            to layers, such as ``"tower/encoder/kernel"``; and the ends of that which begin
            with a name that was given, ``"encoder/kernel"``.
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
        """Its name by the names that were given to layers; the structural one without any."""
        return self.names[min(1, len(self.names) - 1)]

    @property
    def shape(self) -> tuple[int, ...]:
        """The variable's shape."""
        return tuple(self.variable.shape)


@dataclass(frozen=True, eq=False)
class Part(ModelVariable):
    """A weight of a model, and what it is for.

    Attributes:
        role: One of `ROLES`.
        reading: How the layer reads it; None for what is not a `Kernel`.
    """

    role: str
    reading: Reading | None


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
    order = {id(variable): place for place, variable in enumerate(model.weights)}
    found = [_part(one) for one in variables_of(model) if id(one.variable) in order]
    return sorted(found, key=lambda part: order[id(part.variable)])


def named_variables(model: Any) -> dict[str, Any]:
    """Return every variable of a model or layer by its structural name, in the model's order.

    These are the weights under the names of their `parts`, and the states of random layers; not
    the variables of metrics and of the optimizer. Variables that no layer of ``model.layers``
    owns, such as those that a subclassed model made itself, come last, as ``model/...``.

    Example:
    >>> import keras
    >>> layers = [keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dropout(0.5)]
    >>> list(named_variables(keras.Sequential(layers)))
    ['dense/kernel', 'dense/bias', 'dropout/seed_generator_state']
    """
    return {one.name: one.variable for one in variables_of(model)}


def variables_of(model: Any) -> Iterator[ModelVariable]:
    """Yield the `named_variables` of a model or layer with their places, built or not."""
    # A layer may hold others for reference, whose weights are not the model's.
    left = {id(variable): variable for variable in state_of(model)}
    taken: set[str] = set()

    def located(place: Place, variables: Iterable[Any]) -> Iterator[ModelVariable]:
        for variable in variables:
            if left.pop(id(variable), None) is None:
                continue
            # Keras 3 numbers variables without a name by what the process made before.
            own = re.sub(r"^variable_\d+$", "variable", compat.variable_name(variable))
            stem = name = f"{place.path}/{own}"
            number = 0
            while name in taken:
                number += 1
                name = f"{stem}_{number}"
            taken.add(name)
            yield ModelVariable(name, variable, place.layers, _names(name, place.called))

    for place in places(model):
        yield from located(place, (*place.layer.weights, *state_of(place.layer)))
    yield from located(Place("model", (("model", False),), (model,)), [*left.values()])


def _part(one: ModelVariable) -> Part:
    role, reading = _described(one.layers, one.variable)
    if reading is None:
        return Part(one.name, one.variable, one.layers, one.names, role, None)
    return Kernel(one.name, one.variable, one.layers, one.names, role, reading)


def state_of(thing: Any) -> list[Any]:
    """Return the variables of a model or layer, without those of metrics."""
    # Keras 3 counts a model's metrics among its variables, tf_keras among its weights.
    # They hold no state of the network. Nor do the words of a lookup layer, which tf_keras
    # puts there too, though they are no variable.
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


def _names(name: str, called: Called) -> tuple[str, ...]:
    """Return what a variable answers to; see `Part`."""
    steps = [step for step, _ in called] + [name.rsplit("/", 1)[-1]]
    given = [place for place, (_, by_a_person) in enumerate(called) if by_a_person]
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
