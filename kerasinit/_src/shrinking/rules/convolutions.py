"""Channels through convolutions: ordinary, grouped, depthwise, separable and transposed."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.rules.context import (
    Context,
    UnknownChannelsError,
    array,
    channel_axis,
    identity,
)
from kerasinit._src.shrinking.rules.kernels import activation_of, matrix
from kerasinit._src.shrinking.steps import Spread


def convolution(context: Context) -> list[Signal]:
    """A convolution, grouped or not."""
    kernel, bias, axis = _opened(context, "kernel", "bias")
    source, outputs = context.source, context.shapes[0][axis]
    inputs, groups = source.shape[axis], int(context.layer.groups)
    if groups == inputs and groups > 1:
        return _depthwise_by_groups(context, kernel, bias, axis)
    own, labels = source.axes[axis], context.channels.new(outputs)
    target = _image(context.shapes[0], axis, labels)
    weights = array(kernel)
    if groups > 1:
        _couple_groups(context, own, labels, groups)
        weights = _block_diagonal(weights, groups)
    _bind_kernel(context, kernel, own if groups == 1 else None, labels)
    context.bind(bias, [labels])
    matrix(context, source, target, axis, weights, bias, zero_only=is_padded(context.layer))
    summed = own if groups == 1 and own is not None else inputs // groups
    context.multiplies(_pixels(target, axis) * _taps(kernel), summed, labels)

    def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
        config["filters"] = count(labels)
        if groups > 1:
            config["groups"] = count(labels) * groups // outputs

    context.edit(edit)
    return [target]


def depthwise(context: Context) -> list[Signal]:
    """Each input channel makes ``depth_multiplier`` output channels."""
    kernel, other, bias, axis = _opened(context, "kernel", "depthwise_kernel", "bias")
    kernel = other if kernel is None else kernel
    target = _spread(context, context.shapes[0], axis, _flat(kernel), bias, with_activation=True)
    context.bind(kernel, [*[None] * (len(kernel.shape) - 2), context.source.axes[axis], None])
    context.bind(bias, [target.axes[axis]])
    return [target]


def separable(context: Context) -> list[Signal]:
    """A depthwise convolution without a bias, and a pointwise one."""
    depthwise_kernel, pointwise_kernel, bias, axis = _opened(
        context, "depthwise_kernel", "pointwise_kernel", "bias"
    )
    shape = list(context.shapes[0])
    first, second = _flat(depthwise_kernel), array(pointwise_kernel)
    shape[axis] = first.shape[-1]
    between = _spread(context, tuple(shape), axis, first, None, with_activation=False)
    middle, labels = between.axes[axis], context.channels.new(context.shapes[0][axis])
    target = _image(context.shapes[0], axis, labels)
    context.bind(
        depthwise_kernel,
        [*[None] * (len(depthwise_kernel.shape) - 2), context.source.axes[axis], None],
    )
    _bind_kernel(context, pointwise_kernel, middle, labels)
    context.bind(bias, [labels])
    matrix(context, between, target, axis, second, bias)
    summed = shape[axis] if middle is None else middle
    context.multiplies(_pixels(target, axis), summed, labels)
    context.edit(lambda config, count: config.update(filters=count(labels)))
    return [target]


def transposed(context: Context) -> list[Signal]:
    """A transposed convolution, whose kernel has the outputs before the inputs."""
    kernel, bias, axis = _opened(context, "kernel", "bias")
    if int(getattr(context.layer, "groups", 1) or 1) != 1:
        raise UnknownChannelsError(f"{context.name} has groups")
    source, labels = context.source, context.channels.new(context.shapes[0][axis])
    own, target = source.axes[axis], _image(context.shapes[0], axis, labels)
    taps = len(kernel.shape) - 2
    context.bind(kernel, [*[None] * taps, labels, own], ["out"] * (taps + 1) + ["in"])
    context.bind(bias, [labels])
    # Where taps overlap, the sum over an input that is constant is not.
    weights = array(kernel).swapaxes(-1, -2)
    matrix(context, source, target, axis, weights, bias, zero_only=True)
    summed = source.shape[axis] if own is None else own
    context.multiplies(_pixels(source, axis) * _taps(kernel), summed, labels)
    context.edit(lambda config, count: config.update(filters=count(labels)))
    return [target]


def is_padded(layer: Any) -> bool:
    """Return whether a convolution sees zeros beyond the border."""
    return layer.padding != "valid" and math.prod(layer.kernel_size) > 1


def _opened(context: Context, *names: str) -> list[Any]:
    """Return the variables and the axis of the channels of a convolution that can be followed."""
    context.require_plain()
    axis = channel_axis(context.layer, len(context.source.shape))
    context.pin_places(context.source, axis)
    return [*context.variables(*names), axis]


def _image(shape: tuple[int, ...], axis: int, labels: Labels | None) -> Signal:
    return Signal(shape, [labels if place == axis else None for place in range(len(shape))])


def _pixels(signal: Signal, axis: int) -> int:
    return math.prod(signal.shape[1:]) // signal.shape[axis]


def _taps(kernel: Any) -> int:
    return math.prod(tuple(kernel.shape)[:-2])


def _bind_kernel(context: Context, kernel: Any, own: Labels | None, labels: Labels) -> None:
    taps = len(kernel.shape) - 2
    context.bind(kernel, [*[None] * taps, own, labels], ["in"] * (taps + 1) + ["out"])


def _flat(kernel: Any) -> np.ndarray:
    """Return a depthwise kernel with one axis for all output channels."""
    values = array(kernel)
    return values.reshape(*values.shape[:-2], -1)


def _couple_groups(context: Context, own: Labels | None, labels: Labels, groups: int) -> None:
    """Make the inputs and outputs of each group one channel."""
    out = labels.reshape(groups, -1)
    for group in out:
        context.channels.couple_all(group)
    if own is None:
        context.channels.pin(labels, f"{context.name} has groups of channels that are kept")
        return
    for group, made in zip(own.reshape(groups, -1), out, strict=True):
        context.channels.couple_all(np.concatenate([group, made[:1]]))


def _block_diagonal(weights: np.ndarray, groups: int) -> np.ndarray:
    """Return the kernel of a grouped convolution as that of an ordinary one, mostly zero."""
    *space, inputs, outputs = weights.shape
    full = np.zeros((*space, inputs * groups, outputs))
    per = outputs // groups
    for group in range(groups):
        rows = slice(group * inputs, (group + 1) * inputs)
        columns = slice(group * per, (group + 1) * per)
        full[..., rows, columns] = weights[..., columns]
    return full


def _depthwise_by_groups(context: Context, kernel: Any, bias: Any, axis: int) -> list[Signal]:
    """``Conv(groups=channels)``: each output channel reads one input channel."""
    own, weights = context.source.axes[axis], array(kernel)[..., 0, :]
    target = _spread(context, context.shapes[0], axis, weights, bias, with_activation=True)
    labels = target.axes[axis]
    context.bind(kernel, [*[None] * (len(kernel.shape) - 1), labels])
    context.bind(bias, [labels])
    if own is not None and labels is not None:

        def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
            config["filters"], config["groups"] = count(labels), count(own)

        context.edit(edit)
    return [target]


def _spread(
    context: Context,
    shape: tuple[int, ...],
    axis: int,
    weights: np.ndarray,
    bias: Any,
    *,
    with_activation: bool,
) -> Signal:
    """Add the step of a depthwise kernel, whose last axis is that of the output channels."""
    source, own = context.source, context.source.axes[axis]
    size = shape[axis]
    origin = np.repeat(np.arange(source.shape[axis]), size // source.shape[axis])
    if own is None:
        labels = context.channels.new(size)
        context.channels.pin(labels, f"{context.name} filters signals whose channels are kept")
    else:
        labels = own[origin]
    target = _image(shape, axis, labels)
    taps = tuple(range(weights.ndim - 1))
    context.add(
        Spread(
            context.layer,
            source,
            target,
            axis,
            origin,
            totals=weights.sum(taps),
            any_weight=(weights != 0).any(taps),
            bias=np.zeros(size) if bias is None else array(bias),
            activation=activation_of(context, target, [axis]) if with_activation else identity,
            zero_only=is_padded(context.layer),
        )
    )
    times = _pixels(target, axis) * math.prod(weights.shape[:-1])
    context.multiplies(times, labels)
    return target
