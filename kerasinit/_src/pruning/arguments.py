"""Checks the arguments of `prune_low_magnitude`."""

import difflib
from typing import Any

from kerasinit._src import compat
from kerasinit._src.errors import ArgumentError
from kerasinit._src.pruning import outlook
from kerasinit._src.pruning.schedules import ConstantSparsity
from kerasinit._src.pruning.tfmot_bridge import loaded_class

_ARGUMENTS = (
    "pruning_schedule",
    "block_size",
    "block_pooling_type",
    "pruning_policy",
    "sparsity_m_by_n",
    "initial_step",
    "input_shape",
)


def kerase_of_all(to_prune: Any) -> compat.Kerase:
    """Return the one Keras that a model or layer, or a list of these, belongs to."""
    things = to_prune if isinstance(to_prune, list | tuple) else [to_prune]
    try:
        kerases: set[compat.Kerase] = {compat.kerase_of(thing) for thing in things}
    except TypeError as error:
        raise ArgumentError(str(error)) from None
    if len(kerases) > 1:
        raise ValueError(
            "The list mixes layers of Keras 3 and of tf_keras. Import all of them from one of the "
            "two; a model cannot contain both."
        )
    if not kerases:
        raise ValueError("Expected a model, a layer, or a list of layers; got an empty list.")
    return kerases.pop()


def require_known(kwargs: dict[str, Any]) -> None:
    """Raise TypeError if there is any keyword argument left."""
    for name in kwargs:
        near = difflib.get_close_matches(name, _ARGUMENTS, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TypeError(
            f"prune_low_magnitude got an unknown argument {name!r}; it takes "
            f"{', '.join(_ARGUMENTS)}.{hint}"
        )


def checked_step(step: Any) -> int | None:
    """Return ``initial_step`` if it is None or a non-negative integer."""
    if step is not None and (isinstance(step, bool) or not isinstance(step, int) or step < 0):
        raise ValueError(
            f"Expected initial_step to be the number of training steps taken so far, a "
            f"non-negative integer; got {step!r}."
        )
    return step


def build(layer: Any, input_shape: Any) -> None:
    """Build a single layer for inputs of a shape, given without the batch dimension."""
    sizes = input_shape if isinstance(input_shape, list | tuple) else [input_shape]
    if any(size is not None and type(size) is not int for size in sizes):
        raise ValueError(
            "Expected input_shape to be the shape of one input without the batch dimension, such "
            f"as (8,) or (32, 32, 3); got {input_shape!r}."
        )
    if isinstance(layer, list | tuple) or compat.is_model(layer):
        raise ValueError(
            f"input_shape={input_shape!r} is for a single layer. Give a model a keras.Input, or "
            "call its build((None, ...))."
        )
    if layer.built:
        return
    # A Sequential reads its input shape from its first layer.
    layer.input_shape = (None, *sizes)
    layer.build((None, *sizes))


def checked_schedule(schedule: Any) -> Any:
    """Return the given schedule, checked, or the default one."""
    if schedule is None:
        return ConstantSparsity(0.5, 0)
    if isinstance(schedule, type) or not callable(schedule):
        raise TypeError(
            "Expected pruning_schedule to be a PruningSchedule object such as "
            f"ConstantSparsity(0.5, begin_step=0); got {schedule!r}."
        )
    outlook.check_schedule(schedule)
    return schedule


def allowance(policy: Any, model: Any) -> Any:
    """Return a policy's `allow_pruning` after checking that it supports the model."""
    if policy is None:
        return None
    for method in ("allow_pruning", "ensure_model_supports_pruning"):
        if not callable(getattr(policy, method, None)):
            raise TypeError(
                f"Expected pruning_policy to be an object with the methods allow_pruning(layer) "
                f"and ensure_model_supports_pruning(model); {policy!r} has no {method}."
            )
    theirs = loaded_class("PruneForLatencyOnXNNPack")
    if theirs is not None and isinstance(policy, theirs):
        raise ValueError(
            "tfmot's PruneForLatencyOnXNNPack supports tf_keras layers only. Use "
            "kerasinit.pruning.PruneForLatencyOnXNNPack, which supports both Kerases."
        )
    policy.ensure_model_supports_pruning(model)
    return policy.allow_pruning
