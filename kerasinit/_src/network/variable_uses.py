"""How a layer of an unknown class uses a variable: as a kernel, as embeddings or otherwise.

A matrix of a custom layer may be a kernel, a class token, a table of positions or a gate, which its
shape does not show. So the layer's call is traced into a graph of TensorFlow, without computing
anything.
"""

import contextlib
import inspect
import weakref
from collections.abc import Iterator
from typing import Any

import keras

from kerasinit._src import compat

# Operations that sum over an axis of products: with inputs, they make a variable a kernel.
_CONTRACTIONS = {
    "BatchMatMul",
    "BatchMatMulV2",
    "BatchMatMulV3",
    "Conv",
    "Conv2D",
    "Conv2DBackpropInput",
    "Conv3D",
    "Conv3DBackpropInputV2",
    "DepthwiseConv2dNative",
    "Einsum",
    "MatMul",
    "SparseMatMul",
    "SparseTensorDenseMatMul",
    "XlaDot",
    "XlaDotV2",
    "XlaEinsum",
}
_LOOK_UPS = {"Gather", "GatherNd", "GatherV2", "ResourceGather", "ResourceGatherNd"}
_SIZES = {"Rank", "Shape", "ShapeN", "Size"}  # independent of the values of their inputs
_FUNCTIONS = {"If", "PartitionedCall", "StatefulPartitionedCall", "StatelessIf"}
_FUNCTIONS |= {"StatelessWhile", "While"}

_seen: weakref.WeakKeyDictionary[Any, list[tuple[Any, str | None]]] = weakref.WeakKeyDictionary()


def use_of(layer: Any, variable: Any) -> str | None:
    """Return how a layer's call uses one of its variables.

    ``"kernel"`` if inputs are multiplied with it and summed up; ``"embeddings"`` if inputs select
    its rows; ``"other"`` for anything else; None if the call cannot be traced.
    """
    if compat.kerase_of(layer) == "keras" and keras.backend.backend() != "tensorflow":
        return None
    found = _seen.get(layer, [])
    if not any(one is variable for one, _ in found):
        found = _seen[layer] = _uses(layer)
    return next((use for one, use in found if one is variable), None)


def _uses(layer: Any) -> list[tuple[Any, str | None]]:
    variables = [one for one in layer.weights if hasattr(one, "numpy")]
    traced = _traced(layer)
    if traced is None:
        return [(variable, None) for variable in variables]
    captured = traced.captured_inputs
    places = {
        id(outside): inside.name
        for outside, inside in zip(
            captured, traced.inputs[len(traced.inputs) - len(captured) :], strict=True
        )
    }
    inputs = {one.name for one in traced.inputs} - set(places.values())
    names = [
        places.get(id(getattr(compat.tensor(variable), "handle", None))) for variable in variables
    ]
    uses = _read(traced.graph, inputs, {name for name in names if name})
    return [
        (variable, "other" if name is None else uses[name])
        for variable, name in zip(variables, names, strict=True)
    ]


def _read(graph: Any, inputs: set[str], variables: set[str]) -> dict[str, str | None]:
    """Return the use of each variable in a graph of TensorFlow, by the tensors' names."""
    uses: dict[str, str | None] = dict.fromkeys(variables, "other")
    varying = set(inputs)  # tensors that depend on the inputs
    holding = {name: {name} for name in variables}  # tensors that are variables, rearranged
    for operation in graph.get_operations():
        given = [one.name for one in operation.inputs]
        made = [one.name for one in operation.outputs]
        held = {name for one in given for name in holding.get(one, ())}
        varies = any(one in varying for one in given)
        kind = operation.type
        if kind in _FUNCTIONS:
            uses.update({name: None for name in held if uses[name] == "other"})
        if not varies or kind in _SIZES:
            if kind not in _CONTRACTIONS and kind not in _SIZES:
                holding.update({one: held for one in made if held})
            continue
        varying.update(made)
        still = {name for one in given if one not in varying for name in holding.get(one, ())}
        if kind in _CONTRACTIONS:
            uses.update(dict.fromkeys(still, "kernel"))
        elif kind in _LOOK_UPS and given[0] not in varying:
            rows = {name for name in still if uses[name] != "kernel"}
            uses.update(dict.fromkeys(rows, "embeddings"))
    return uses


def _traced(layer: Any) -> Any:
    """Return a layer's call as a concrete function; None if it cannot be traced."""
    import tensorflow as tf

    @tf.function
    def call(**arguments: Any) -> Any:
        return layer(**arguments)

    for unknown in (None, 2):
        for dtype in (getattr(layer, "compute_dtype", None) or "float32", "int32"):
            try:
                given = _arguments(layer, unknown, dtype)
                with _without_effects(layer):
                    return call.get_concrete_function(**given)
            except Exception:  # a custom call may raise anything
                continue
    return None


def _arguments(layer: Any, unknown: int | None, dtype: str) -> dict[str, Any]:
    """Return placeholders for a layer's arguments, by the shapes that it was built with."""
    built = layer.get_build_config() or {}
    shapes = built.get("shapes_dict")
    if shapes is None:
        shape = built.get("input_shape") or getattr(layer, "input_shape", None)
        if shape is None:
            raise ValueError(f"Keras does not know the shape of the inputs of {layer.name!r}.")
        shapes = {next(iter(inspect.signature(layer.call).parameters)): shape}
    return {
        name.removesuffix("_shape"): _placeholders(shape, unknown, dtype)
        for name, shape in shapes.items()
    }


def _placeholders(shape: Any, unknown: int | None, dtype: str) -> Any:
    import tensorflow as tf

    if isinstance(shape, dict):
        return {key: _placeholders(one, unknown, dtype) for key, one in shape.items()}
    sizes = list(shape)
    if any(isinstance(one, list | tuple | tf.TensorShape) for one in sizes):
        return [_placeholders(one, unknown, dtype) for one in sizes]
    return tf.TensorSpec([unknown if size is None else size for size in sizes], dtype)


@contextlib.contextmanager
def _without_effects(layer: Any) -> Iterator[None]:
    """Discard the side effects of a call, such as penalties and the state of seeds."""
    if compat.kerase_of(layer) == "keras":
        with keras.StatelessScope(collect_losses=True, initialize_variables=False):
            yield
    else:
        yield
