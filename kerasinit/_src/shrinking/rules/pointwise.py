"""Channels through what treats each of them alone: activations, normalizations by channel, pools.

Also what joins signals channel by channel: sums and products.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.network.tensor_calls import Taken
from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.rules.activations import elementwise
from kerasinit._src.shrinking.rules.context import (
    Context,
    UnknownChannelsError,
    array,
    as_array,
    channel_axis,
    evaluated,
)
from kerasinit._src.shrinking.steps import Pointwise


def joined(context: Context, shape: tuple[int, ...]) -> tuple[Signal, list[list[int | None]]]:
    """Return the result of an operation on signals that are broadcast from the right.

    Also returns for each source the axis that each axis of the result comes from.
    """
    why = f"{context.name} joins it with a signal without channels"
    maps = []
    for source in context.sources:
        shift = len(shape) - len(source.shape)
        maps.append([place - shift if place >= shift else None for place in range(len(shape))])
    axes: list[Labels | None] = []
    for place, size in enumerate(shape):
        found = []
        for number, source in enumerate(context.sources):
            own = maps[number][place]
            if own is None:
                continue
            if source.shape[own] == size:
                found.append(source.axes[own])
            else:
                context.channels.pin(source.axes[own], f"{context.name} repeats it")
                maps[number][place] = None
        labels = found[0] if found else None
        for other in found[1:]:
            labels = context.channels.couple(labels, other, why)
        axes.append(labels)
    return Signal(shape, axes), maps


def pointwise(
    context: Context,
    evaluate: Callable[..., np.ndarray] | None,
    *,
    product: bool = False,
    whole: int | None = None,
    mixed: Sequence[int] = (),
) -> list[Signal]:
    """A function of each number alone, or of numbers at the same place.

    Args:
        context: The call.
        evaluate: The function, of arrays; None: the only source unchanged.
        product: Whether a zero in one source makes the result zero.
        whole: An axis on which ``evaluate`` wants the true size.
        mixed: Axes on which each position may change all others; their channels are kept.
    """
    target, maps = joined(context, context.shapes[0])
    context.add(
        Pointwise(
            context.layer,
            context.sources,
            target,
            maps,
            evaluate,
            product=product,
            whole=whole,
            mixed=mixed,
        )
    )
    return [target]


def layer_alone(context: Context) -> list[Signal]:
    """A layer without weights that is a function of each number."""
    context.variables()
    return pointwise(context, evaluated(context.layer))


def random(context: Context) -> list[Signal]:
    """Dropout and noise: the identity, unless they are told to be random at inference, too."""
    if context.keyword("training"):
        raise UnknownChannelsError(f"{context.name} is called with training=True")
    return pointwise(context, None)


def activation(context: Context) -> list[Signal]:
    """An `Activation` layer."""
    function = elementwise(context.layer.activation)
    if function is None:
        return _unknown_function(context, context.layer.activation)
    return pointwise(context, _flat(function))


def _unknown_function(context: Context, function: Any) -> list[Signal]:
    if getattr(function, "__name__", "") in ("softmax", "log_softmax"):
        return along_axes(context, [len(context.shapes[0]) - 1])
    name = getattr(function, "__name__", repr(function))
    raise UnknownChannelsError(f"the function {name!r} of {context.name} may mix channels")


def _flat(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: function(values.ravel()).reshape(values.shape)


def along_axes(context: Context, axes: Sequence[int], why: str = "") -> list[Signal]:
    """A function over some axes, whose channels are kept; the others pass, but no constant."""
    source = context.source
    mixed = [axis % len(source.shape) for axis in axes]
    for axis in mixed:
        context.channels.pin(source.axes[axis], why or f"{context.name} computes with all of it")
    return pointwise(context, unknown, mixed=mixed)


def unknown(values: np.ndarray) -> np.ndarray:
    """Return no number: what a function of the values is not followed."""
    return np.full(values.shape, np.nan)


def softmax(context: Context) -> list[Signal]:
    """A softmax over one or more axes."""
    axis = getattr(context.layer, "axis", -1)
    return along_axes(context, list(axis) if isinstance(axis, list | tuple) else [axis])


def prelu(context: Context) -> list[Signal]:
    """A slope for each channel, or for each number of an image."""
    (alpha,) = context.variables("alpha")
    source = context.source
    shared = [size == 1 for size in alpha.shape]
    context.bind(
        alpha,
        [None if one else labels for one, labels in zip(shared, source.axes[1:], strict=True)],
    )
    slopes = array(alpha)
    slopes = slopes.reshape((1, *slopes.shape))

    def evaluate(values: np.ndarray) -> np.ndarray:
        full = np.where(values >= 0, values, slopes * values)
        for place, size in enumerate(values.shape):
            if size == 1 and full.shape[place] > 1:
                low, high = full.min(place, keepdims=True), full.max(place, keepdims=True)
                full = np.where(low == high, low, np.nan)
        return full

    return pointwise(context, evaluate)


def batch_normalization(context: Context) -> list[Signal]:
    """Statistics of batches, for each channel alone."""
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    gamma, beta, mean, variance = context.variables(*names)
    if context.keyword("training"):
        raise UnknownChannelsError(f"{context.name} is called with training=True")
    axis = context.layer.axis
    axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    if not isinstance(axis, int):
        raise UnknownChannelsError(f"{context.name} normalizes over several axes")
    axis = axis % len(context.source.shape)
    labels = context.source.axes[axis]
    for variable in (gamma, beta):
        context.bind(variable, [labels])
    for variable in (mean, variance):
        context.bind(variable, [labels], "statistic")
    return pointwise(context, evaluated(context.layer), whole=axis)


def layer_scale(context: Context) -> list[Signal]:
    """ConvNeXt's factor for each channel."""
    (gamma,) = context.layer.weights
    labels = context.source.axes[-1]
    context.bind(gamma, [labels])
    if labels is not None:
        context.edit(lambda config, count: config.update(projection_dim=count(labels)))
    return pointwise(context, evaluated(context.layer), whole=context.source.last)


def scaled_sum(context: Context) -> list[Signal]:
    """InceptionResNet's sum of a signal and a scaled one."""
    context.variables()
    return pointwise(context, evaluated(context.layer))


def rescaling(context: Context) -> list[Signal]:
    """A factor and an offset; lists of them belong to the channels of the input."""
    numbers = (context.layer.scale, context.layer.offset)
    if any(np.ndim(compat.read(n) if compat.is_variable(n) else n) > 0 for n in numbers):
        return along_axes(context, [-1], f"{context.name} has a factor for each channel")
    return pointwise(context, evaluated(context.layer))


def moving(context: Context) -> list[Signal]:
    """Pools, crops and upsampling: they change pixels, not channels."""
    return _moving(context, zero_only=False)


def padded(context: Context) -> list[Signal]:
    """Padding with zeros."""
    return _moving(context, zero_only=True)


def _moving(context: Context, *, zero_only: bool) -> list[Signal]:
    context.variables()
    source, shape = context.source, context.shapes[0]
    axis = channel_axis(context.layer, len(source.shape))
    context.pin_places(source, axis)
    axes: list[Labels | None] = [None] * len(shape)
    axes[axis] = source.axes[axis]
    target = Signal(shape, axes)
    own: list[int | None] = [place if place == axis else None for place in range(len(shape))]
    context.add(Pointwise(context.layer, [source], target, [own], zero_only=zero_only))
    return [target]


def global_pool(context: Context) -> list[Signal]:
    """The mean or maximum over all pixels."""
    context.variables()
    rank = len(context.source.shape)
    axis = channel_axis(context.layer, rank)
    reduced = [place for place in range(1, rank) if place != axis]
    return reduce(context, reduced, keepdims=len(context.shapes[0]) == rank)


def reduce(
    context: Context, reduced: Sequence[int], *, keepdims: bool, keeps_constants: bool = True
) -> list[Signal]:
    """A mean, maximum or the like over some axes; channels on these are kept."""
    source, shape = context.source, context.shapes[0]
    context.pin(
        source, f"{context.name} computes with all of it",
        [one for one in source.labelled if one in reduced],
    )  # fmt: skip
    places = [place for place in range(len(source.shape)) if keepdims or place not in reduced]
    if len(places) != len(shape):
        raise UnknownChannelsError(f"{context.name} returns an unexpected number of axes")
    own: list[int | None] = [None if place in reduced else place for place in places]
    target = Signal(shape, [None if one is None else source.axes[one] for one in own])
    zero_only = not keeps_constants
    context.add(Pointwise(context.layer, [source], target, [own], zero_only=zero_only))
    return [target]


def operation_values(context: Context) -> Callable[..., np.ndarray]:
    """Return an operation in the graph as a function of arrays, with its other arguments."""
    call = context.call
    assert call is not None
    constants = [
        one for one in _leaves((list(call.arguments), dict(call.keywords))) if _size(one) > 1
    ]
    if constants:
        raise UnknownChannelsError(f"{context.name} has an array among its arguments")

    def evaluate(*arrays: np.ndarray) -> np.ndarray:
        values = dict(zip(call.taken, map(_tensor(call), arrays), strict=True))
        return as_array(call.run(values))

    return evaluate


def _leaves(structure: Any) -> list[Any]:
    if isinstance(structure, Taken):
        return []
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, list | tuple):
        return [leaf for one in structure for leaf in _leaves(one)]
    return [structure]


def _size(thing: Any) -> int:
    return int(np.prod(thing.shape)) if compat.is_array(thing) else 1


def _tensor(call: Any) -> Callable[[np.ndarray], Any]:
    import keras

    def convert(values: np.ndarray) -> Any:
        values = values.astype("float32")
        if compat.kerase_of(call.model) == "tf_keras":
            import tensorflow as tf

            return tf.constant(values)
        return keras.ops.convert_to_tensor(values)

    return convert


def operation(context: Context) -> list[Signal]:
    """An operation on each number, or on numbers at the same place."""
    return pointwise(context, operation_values(context))


def product_operation(context: Context) -> list[Signal]:
    """A product of signals, or of a signal and a number."""
    return pointwise(context, operation_values(context), product=len(context.sources) > 1)


def product_layer(context: Context) -> list[Signal]:
    """`Multiply`."""
    return pointwise(context, evaluated(context.layer), product=True)
