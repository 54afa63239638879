"""The names of variables in the first format of tickets.

There the rules of pruning named each pruned weight, and the outermost layer every other variable,
with a number where it has several of one name.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from kerasinit._src import compat
from kerasinit._src.mask_arrays import NAMING, Masks
from kerasinit._src.network.parts import named_variables, state_of
from kerasinit._src.network.prunable import has_rule, is_wrapper, layer_weights, own_weights
from kerasinit._src.network.walk import inner_layers, walk


def old_names(model: Any) -> dict[str, str]:
    """Return the name of each variable of a model by its name in the first format."""
    now = {id(variable): name for name, variable in named_variables(model).items()}
    pruned = {
        **{id(variable): name for name, variable in _numbered(own_weights(model))},
        **{id(v): f"{path}/{name}" for path, layer in walk(model) for name, v in _pruned(layer)},
    }
    found: dict[str, str] = {}
    taken = set(pruned.values())
    for path, layer in [*walk(model), ("model", model)]:
        for variable in state_of(layer):
            current = now.pop(id(variable), None)
            if current is None:
                continue
            stem = name = f"{path}/{compat.variable_name(variable)}"
            number = 0
            while name in taken:
                number += 1
                name = f"{stem}_{number}"
            found[pruned.get(id(variable), name)] = current
            taken |= found.keys()
    return found


def named_for(masks: Masks, model: Any) -> Masks:
    """Return masks by the current names of a model's weights."""
    if masks.naming == NAMING:
        return masks
    names = old_names(model)
    return Masks({names.get(name, name): mask for name, mask in masks.items()})


def _pruned(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the prunable variables of a layer by their old names within the layer."""
    if is_wrapper(layer):
        for name, inner in inner_layers(layer):
            # SpectralNormalization is the only wrapper that the walk does not look through.
            start = f"{name}/" if name and name != "layer" else ""
            layers = walk(inner) if compat.is_model(inner) else [("", inner)]
            for path, one in layers:
                within = f"{start}{path}/" if path else start
                yield from ((within + more, variable) for more, variable in _pruned(one))
    elif has_rule(type(layer)):
        names = {id(v): name.partition("/")[2] for name, v in named_variables(layer).items()}
        yield from ((names[id(variable)], variable) for variable in layer_weights(layer))
    else:
        yield from _numbered(layer_weights(layer))


def _numbered(variables: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield variables by their names, numbered where several have one."""
    counts: dict[str, int] = {}
    for variable in variables:
        stem = compat.variable_name(variable)
        number = counts.get(stem, 0)
        counts[stem] = number + 1
        yield f"{stem}_{number}" if number else stem, variable
