"""Which weights of which layers are pruned, in both Kerases.

The rule is tfmot's: kernels that multiply activations are pruned; biases, normalization, depthwise
kernels and lookup tables of preprocessing are not. Layers that tfmot refuses although the rule is
clear (EinsumDense, ConvLSTM, Bidirectional, TimeDistributed, nested models) are supported as well.
A layer without a rule is never skipped silently.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.network.catalogue import Row, exact_row
from kerasinit._src.network.parts import named_variables
from kerasinit._src.network.walk import inner_layers, walk
from kerasinit._src.troubleshooting import see


class NoRuleError(ValueError):
    """It is not known which weights of a layer may be pruned."""


@dataclass(frozen=True, eq=False)
class PrunableWeight:
    """A variable that pruning may mask.

    Attributes:
        name: Structural name such as ``"dense_1/kernel"``. It depends on the model alone, not on
            what the process created before, and is the same in both Kerases.
        layer: The layer of the model that owns the variable.
        variable: The Keras 3 or TensorFlow variable.

    Example:
        See `prunable_weights`.
    """

    name: str
    layer: Any
    variable: Any


def prunable_weights(
    model: Any, allow: Callable[[Any], bool] | None = None
) -> list[PrunableWeight]:
    """Return the weights of a model or layer that pruning acts on.

    Pruning, masks, tickets and reports refer to weights by these names.

    Args:
        model: A built model or layer of Keras 3 or tf_keras. A tf_keras model wrapped
            by tfmot gives the same names as before it was wrapped.
        allow: Called with each layer of the model; layers for which it returns False are left
            out. Also called with a model that has weights of its own without a rule. Default:
            all are allowed.

    Returns:
        One `PrunableWeight` per variable, in the order of the model, each variable once
        even if it is shared. Empty if there is nothing to prune.

    Raises:
        TypeError: If ``model`` is not a model or layer of either Keras.
        ValueError: If it is not built; if neither pruning nor a ``get_prunable_weights`` method
            knows which variables of a layer to prune, and ``allow`` does not leave it out; or if
            that method returns a variable that is not among the weights of its layer.

    Example:
    >>> import keras
    >>> layers = [keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2)]
    >>> [(w.name, tuple(w.variable.shape)) for w in prunable_weights(keras.Sequential(layers))]
    [('dense/kernel', (8, 4)), ('dense_1/kernel', (4, 2))]
    """
    compat.kerase_of(model)
    if not has_all_weights(model):
        kind = "model" if compat.is_model(model) else "layer"
        raise ValueError(
            f"The {kind} {model.name!r} has no weights yet, so there is nothing to prune. Build it "
            f"first: give it a keras.Input, call it on a batch, or call build(input_shape). "
            f"{see('unbuilt-model')}"
        )

    found: list[PrunableWeight] = []
    seen: set[int] = set()
    names = {id(variable): name for name, variable in named_variables(model).items()}

    def add(layer: Any, variables: list[Any]) -> None:
        for variable in variables:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            if id(variable) not in names:
                raise ValueError(
                    f"get_prunable_weights of {layer.name!r} returned {variable!r}, which is not "
                    f"among its weights. Create it with add_weight, or leave it out."
                )
            found.append(PrunableWeight(names[id(variable)], layer, variable))

    for layer, variables, error in prunable_by_layer(model, allow):
        if error is not None:
            raise error
        add(layer, variables)
    try:
        add(model, own_weights(model))
    except NoRuleError:
        # Only in this case is a policy asked about the model itself.
        if allow is None or allow(model):
            raise
    return found


def prunable_by_layer(
    model: Any, allow: Callable[[Any], bool] | None = None
) -> Iterator[tuple[Any, list[Any], NoRuleError | None]]:
    """Yield each allowed layer with its prunable variables.

    For a layer without a rule these are all its weights, and the error says so. Layers that are
    not allowed are not inspected.
    """
    for _, layer in walk(model):
        if allow is not None and not allow(layer):
            continue
        try:
            variables, error = layer_weights(layer), None
        except NoRuleError as caught:
            variables, error = layer.weights, caught
        yield layer, variables, error


def layer_weights(layer: Any) -> list[Any]:
    """Return the prunable variables of one built layer and the layers inside it."""
    row = exact_row(type(layer))
    if row.pruned is not None:
        return _by_name(layer, row)
    if row.inside:
        return [variable for _, inner in inner_layers(layer) for variable in _weights_of(inner)]
    if hasattr(layer, "get_prunable_weights"):
        return list(layer.get_prunable_weights())
    if _is_of_keras(type(layer)) and all(len(variable.shape) < 2 for variable in layer.weights):
        # Such as the scale of a residual branch in the models of keras.applications.
        return []
    if layer.weights:
        raise _no_rule(layer, f"has {len(layer.weights)} weights")
    return []


def _weights_of(thing: Any) -> list[Any]:
    if compat.is_model(thing):
        return [weight.variable for weight in prunable_weights(thing)]
    return layer_weights(thing)


def has_all_weights(thing: Any) -> bool:
    """Return whether every prunable weight of a model or layer exists.

    A model of built layers has them before its first call, unless a custom ``build`` is still to
    add some.
    """
    if thing.built:
        return True
    if not compat.is_model(thing) or compat.kerase_of(thing) == "tf_keras":
        return False
    return (
        bool(thing.weights)
        and not _builds_weights(type(thing))
        and not any(_awaits_weights(layer) for _, layer in walk(thing))
    )


def require_rules(thing: Any) -> None:
    """Raise NoRuleError if a layer that will have weights has no rule, built or not."""
    for _, layer in walk(thing):
        strange = _without_rule(layer)
        if strange is not None:
            raise _no_rule(strange, "is not built yet")


def has_rule(kind: type) -> bool:
    """Return whether the catalogue lists which weights of a class are pruned."""
    row = exact_row(kind)
    return row.pruned is not None or bool(row.inside)


def is_wrapper(layer: Any) -> bool:
    """Return whether the layers inside a layer decide what is pruned, by their own rules."""
    row = exact_row(type(layer))
    return row.pruned is None and bool(row.inside)


def _no_rule(layer: Any, state: str) -> NoRuleError:
    kind = type(layer)
    return NoRuleError(
        f"The layer {layer.name!r} of class {kind.__module__}.{kind.__qualname__} {state}, and it "
        "is not known which of its weights may be pruned. Give its class a method "
        "`get_prunable_weights(self)` that returns the list of variables to prune, [] for none; "
        "or exclude it with a pruning_policy whose `allow_pruning(layer)` returns False for it. "
        f"{see('no-pruning-rule')}"
    )


def _without_rule(layer: Any) -> Any:
    """Return the layer without a rule, this one or one inside it; None if there is none."""
    kind, row = type(layer), exact_row(type(layer))
    if (row.pruned is None and row.inside) or compat.is_model(layer):
        inner = (_without_rule(inside) for _, inside in inner_layers(layer))
        return next((one for one in inner if one is not None), None)
    known = hasattr(layer, "get_prunable_weights") or _is_of_keras(kind)
    return layer if not known and _may_have_weights(layer) else None


def _awaits_weights(layer: Any) -> bool:
    """Return whether prunable weights of a layer are still to be created."""
    if layer.built or exact_row(type(layer)).pruned == ():
        return False
    return has_rule(type(layer)) or (not _is_of_keras(type(layer)) and _may_have_weights(layer))


def _may_have_weights(layer: Any) -> bool:
    return (
        _builds_weights(type(layer))
        or bool(layer.weights)
        or any(True for _ in inner_layers(layer))
    )


def _builds_weights(kind: Any) -> bool:
    """Return whether the ``build`` of a class may create weights besides those of its layers."""
    plain = (keras.Sequential, *compat.layer_classes("Layer"))
    return all(kind.build is not one.build for one in plain)


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("keras", "tf_keras")


def _by_name(layer: Any, row: Row) -> list[Any]:
    found = []
    for name in row.pruned or ():
        depth = name.count("/") + 1
        variables = [
            variable
            for variable in layer.weights
            if compat.variable_path(variable).split("/")[-depth:] == name.split("/")
        ]
        if not variables and name in row.optional:
            continue
        if not variables:
            raise ValueError(
                f"The layer {layer.name!r} of class {type(layer).__name__} has no variable "
                f"{name!r}. Build the layer (call the model on a batch) before asking for it."
            )
        found.append(variables[0])
    return found


def own_weights(model: Any) -> list[Any]:
    """Return the prunable variables of a subclassed model that no layer owns.

    Raises NoRuleError if it has such variables without choosing among them.
    """
    if not compat.is_model(model):
        return []
    in_layers = {id(variable) for layer in model.layers for variable in layer.weights}
    own = [variable for variable in model.trainable_weights if id(variable) not in in_layers]
    if not own:
        return []
    if hasattr(model, "get_prunable_weights"):
        return list(model.get_prunable_weights())
    names = ", ".join(compat.variable_name(variable) for variable in own)
    raise NoRuleError(
        f"The model {model.name!r} of class {type(model).__name__} owns weights besides those of "
        f"its layers ({names}), and it is not known which of them may be pruned. Give the class a "
        "method `get_prunable_weights(self)` that returns the list of those to prune, [] for none. "
        f"{see('no-pruning-rule')}"
    )
