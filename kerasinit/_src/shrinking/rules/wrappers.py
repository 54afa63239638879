"""Channels through wrappers, custom layers, and operations over some axes."""

from typing import Any

from kerasinit._src.shrinking.channels import Signal
from kerasinit._src.shrinking.rules.context import Context, UnknownChannelsError, evaluated
from kerasinit._src.shrinking.rules.pointwise import along_axes, pointwise, reduce
from kerasinit._src.shrinking.steps import Pointwise


def time_distributed(context: Context) -> list[Signal]:
    """A layer that is called on each step: the steps are examples of it."""
    source, (shape,) = context.source, context.shapes
    if source.axes[1] is not None:
        raise UnknownChannelsError(f"{context.name} treats the channels as steps")
    inner = context.layer.layer
    steps = source.shape[0] * source.shape[1]
    merged = Signal((steps, *source.shape[2:]), [None, *source.axes[2:]])
    own: list[int | None] = [None, *range(2, len(source.shape))]
    context.add(Pointwise(context.layer, [source], merged, [own]))
    before = len(context.channels.multiplications)
    (made,) = context.follow(context.inside(inner, [merged], [(steps, *shape[2:])]))
    for one in context.channels.multiplications[before:]:
        one.times *= shape[1]
    target = Signal(shape, [None, None, *made.axes[1:]])
    own = [None, None, *range(1, len(made.shape))]
    context.add(Pointwise(context.layer, [made], target, [own]))
    return [target]


def custom(context: Context) -> list[Signal]:
    """A custom layer of which it was declared that each channel passes alone."""
    places = context.pin_places(context.source)
    labels = context.source.axes[-1]
    for variable in context.layer.weights:
        shape = tuple(variable.shape)
        has_channels = bool(shape) and labels is not None and shape[-1] == len(labels)
        role: Any = "out" if variable.trainable else "statistic"
        context.bind(variable, [None] * (len(shape) - 1) + [labels if has_channels else None]
                     if shape else [], role)  # fmt: skip
    return pointwise(context, evaluated(context.layer), whole=context.source.last, mixed=places)


def reduction(context: Context) -> list[Signal]:
    """A mean, sum, maximum or minimum over some axes."""
    call = context.call
    assert call is not None
    config = call.layer.get_config() if hasattr(call.layer, "get_config") else {}
    axis = config.get("axis", call.keywords.get("axis"))
    keeps = bool(config.get("keepdims", call.keywords.get("keepdims", False)))
    rank = len(context.source.shape)
    axes = range(rank) if axis is None else axis if isinstance(axis, list | tuple) else [axis]
    reduced = [int(one) % rank for one in axes]
    return reduce(context, reduced, keepdims=keeps, keeps_constants="sum" not in call.operation)


def softmax_operation(context: Context) -> list[Signal]:
    """A softmax over one or more axes."""
    call = context.call
    assert call is not None
    config = call.layer.get_config() if hasattr(call.layer, "get_config") else {}
    axis = call.keywords.get("axis", config.get("axis", -1))
    axis = -1 if axis is None else axis
    return along_axes(context, list(axis) if isinstance(axis, list | tuple) else [axis])
