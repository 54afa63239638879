"""Channels through normalizations whose statistics include them."""

from collections.abc import Sequence

from kerasinit._src.shrinking.channels import Signal
from kerasinit._src.shrinking.rules.context import Context, UnknownChannelsError, evaluated
from kerasinit._src.shrinking.rules.pointwise import pointwise, unknown


def layer_normalization(context: Context) -> list[Signal]:
    """`LayerNormalization` and `RMSNormalization`."""
    gamma, scale, beta = context.variables("gamma", "scale", "beta")
    axis = context.layer.axis
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    rank = len(context.source.shape)
    axes = [one % rank for one in axes]
    labels = [context.source.axes[one] for one in axes]
    for variable in (gamma, scale, beta):
        if variable is not None:
            if len(variable.shape) != len(axes):
                raise UnknownChannelsError(
                    f"{context.name} has a variable of another shape than its axes"
                )
            context.bind(variable, labels)
    return _with_statistics(context, axes)


def unit_normalization(context: Context) -> list[Signal]:
    """`UnitNormalization`."""
    context.variables()
    axis = context.layer.axis
    rank = len(context.source.shape)
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    return _with_statistics(context, [one % rank for one in axes])


def group_normalization(context: Context) -> list[Signal]:
    """Statistics over the pixels and channels of each group; of each channel, if groups are one."""
    gamma, beta = context.variables("gamma", "beta")
    layer, source = context.layer, context.source
    axis = layer.axis % len(source.shape)
    labels = source.axes[axis]
    places = context.pin_places(source, axis)
    for variable in (gamma, beta):
        context.bind(variable, [labels])
    groups, size = int(layer.groups), source.shape[axis]
    if groups in (-1, size):
        if groups > 0 and labels is not None:
            context.edit(lambda config, count: config.update(groups=count(labels)))
        return pointwise(context, evaluated(layer), whole=axis, mixed=places)
    targets = _with_statistics(context, [axis], places)
    if labels is not None and context.channels.through_statistics:
        # As many from each group: position by position.
        rows = labels.reshape(groups, -1)
        for row in rows[1:]:
            context.channels.couple(rows[0], row)
    return targets


def _with_statistics(context: Context, axes: list[int], others: Sequence[int] = ()) -> list[Signal]:
    """Return the result of a normalization over some axes, and over others that are kept."""
    source = context.source
    for axis in axes:
        labels = source.axes[axis]
        if labels is None:
            continue
        if context.channels.through_statistics:
            context.channels.inexact.append((labels, context.name))
        else:
            context.channels.pin(labels, f"the statistics of {context.name} include it")
    return pointwise(context, unknown, mixed=[*axes, *others])
