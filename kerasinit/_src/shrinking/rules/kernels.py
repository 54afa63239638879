"""Channels through kernels: Dense, EinsumDense, Embedding and convolutions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.kernel_steps import Dimension, KernelStep
from kerasinit._src.shrinking.rules.activations import elementwise
from kerasinit._src.shrinking.rules.context import Context, NotKnown, array, channel_axis
from kerasinit._src.shrinking.steps import Spread


def activation_of(context: Context, target: Signal, axes: Sequence[int]) -> Any:
    """Return the layer's activation as a function of arrays, or pin its output and return None."""
    activation = elementwise(getattr(context.layer, "activation", None))
    if activation is None:
        name = getattr(context.layer.activation, "__name__", repr(context.layer.activation))
        context.pin(target, f"the activation {name!r} of {context.name} may mix channels", axes)
    return activation


def folder(context: Context, bias: Any, labels: Labels) -> Callable[[np.ndarray], None] | None:
    """Return what takes over a constant of the input: the bias, which is made if there is none."""
    if context.often:
        return None
    if bias is not None:
        return lambda amount: context.channels.add_to(bias, amount)
    return lambda amount: context.channels.add_bias(context.layer, context.key, amount, labels)


def dense(context: Context) -> list[Signal]:
    """``y = act(x @ kernel + bias)`` over the last axis."""
    context.require_plain()
    kernel, bias = context.variables("kernel", "bias")
    source, (shape,) = context.source, context.shapes
    last, own = len(source.shape) - 1, source.axes[-1]
    labels = context.channels.new(shape[-1])
    target = Signal(shape, [*source.axes[:-1], labels])
    context.bind(kernel, [own, labels], ["in", "out"])
    context.bind(bias, [labels])
    weights = array(kernel)
    context.add(
        KernelStep(
            context.layer,
            source,
            target,
            [Dimension(source=last), Dimension(target=last)],
            weights != 0,
            weights,
            np.zeros(shape[-1]) if bias is None else array(bias),
            activation_of(context, target, [last]),
            zero_only=False,
            on_fold=folder(context, bias, labels),
        )
    )
    context.multiplies(1, *_sizes(source), labels)
    context.edit(lambda config, count: config.update(units=count(labels)))
    return [target]


def _sizes(signal: Signal) -> list[Labels | int]:
    """Return the axes of a signal as labels or sizes, without that of the examples."""
    return [
        size if labels is None else labels
        for size, labels in zip(signal.shape[1:], signal.axes[1:], strict=True)
    ]


def embedding(context: Context) -> list[Signal]:
    """A row of the table for each number."""
    context.require_plain()
    (table,) = context.variables("embeddings")
    (shape,) = context.shapes
    labels = context.channels.new(shape[-1])
    target = Signal(shape, [*[None] * (len(shape) - 1), labels])
    context.bind(table, [None, labels])
    rows = array(table)
    context.add(
        KernelStep(
            context.layer,
            None,
            target,
            [Dimension(target=len(shape) - 1)],
            (rows != rows[:1]).any(0),
            np.zeros(shape[-1]),
            rows[0],
            lambda values: values,
            zero_only=False,
            on_fold=None,
        )
    )
    context.edit(lambda config, count: config.update(output_dim=count(labels)))
    return [target]


def convolution(context: Context) -> list[Signal]:
    """A convolution, grouped or not."""
    context.require_plain()
    kernel, bias = context.variables("kernel", "bias")
    source, layer = context.source, context.layer
    axis = channel_axis(layer, len(source.shape))
    inputs, outputs = source.shape[axis], context.shapes[0][axis]
    groups = int(layer.groups)
    own = source.axes[axis]
    _require_pixels(context, axis)
    if groups == inputs and groups > 1:
        return _depthwise_by_groups(context, kernel, bias, axis)
    labels = context.channels.new(outputs)
    target = _image(context, axis, labels)
    weights = array(kernel)
    if groups > 1:
        _couple_groups(context, own, labels, groups)
        weights = _block_diagonal(weights, groups)
    context.bind(kernel, [*[None] * (weights.ndim - 2), own if groups == 1 else None, labels],
                 ["in"] * (weights.ndim - 1) + ["out"])  # fmt: skip
    context.bind(bias, [labels])
    context.add(_convolution_step(context, target, axis, weights, bias, labels))
    pixels = math.prod(context.shapes[0][1:]) // outputs
    taps = math.prod(weights.shape[:-2])
    context.multiplies(
        pixels * taps, inputs // groups if groups > 1 or own is None else own, labels
    )

    def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
        config["filters"] = count(labels)
        if groups > 1:
            config["groups"] = count(labels) * groups // outputs

    context.edit(edit)
    return [target]


def _image(context: Context, axis: int, labels: Labels | None) -> Signal:
    shape = context.shapes[0]
    return Signal(shape, [labels if place == axis else None for place in range(len(shape))])


def _require_pixels(context: Context, axis: int) -> None:
    others = [one for one in context.source.labelled if one != axis]
    if others:
        raise NotKnown(f"{context.name} moves over axes that carry channels")


def _convolution_step(
    context: Context, target: Signal, axis: int, weights: np.ndarray, bias: Any, labels: Labels
) -> KernelStep:
    space = tuple(range(weights.ndim - 2))
    return KernelStep(
        context.layer,
        context.source,
        target,
        [Dimension(source=axis), Dimension(target=axis)],
        (weights != 0).any(space),
        weights.sum(space),
        np.zeros(weights.shape[-1]) if bias is None else array(bias),
        activation_of(context, target, [axis]),
        zero_only=is_padded(context.layer),
        on_fold=folder(context, bias, labels),
    )


def is_padded(layer: Any) -> bool:
    """Return whether a convolution sees zeros beyond the border."""
    return layer.padding != "valid" and math.prod(layer.kernel_size) > 1


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
    weights = array(kernel)[..., 0, :]
    groups = context.source.shape[axis]
    origin = np.repeat(np.arange(groups), weights.shape[-1] // groups)
    target = _spread(context, axis, weights, bias, origin, is_padded(context.layer))
    labels = target.axes[axis]
    context.bind(kernel, [*[None] * (weights.ndim - 1), None, labels])
    context.bind(bias, [labels])
    if labels is not None:
        own = context.source.axes[axis]
        assert own is not None

        def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
            config["filters"], config["groups"] = count(labels), count(own)

        context.edit(edit)
    return [target]


def depthwise(context: Context) -> list[Signal]:
    """Each input channel makes ``depth_multiplier`` output channels."""
    context.require_plain()
    kernel, other, bias = context.variables("kernel", "depthwise_kernel", "bias")
    kernel = other if kernel is None else kernel
    axis = channel_axis(context.layer, len(context.source.shape))
    _require_pixels(context, axis)
    weights = array(kernel)
    weights = weights.reshape(*weights.shape[:-2], -1)
    inputs = context.source.shape[axis]
    origin = np.repeat(np.arange(inputs), weights.shape[-1] // inputs)
    target = _spread(context, axis, weights, bias, origin, is_padded(context.layer))
    context.bind(kernel, [*[None] * (weights.ndim - 1), context.source.axes[axis], None])
    context.bind(bias, [target.axes[axis]])
    return [target]


def _spread(
    context: Context, axis: int, weights: np.ndarray, bias: Any, origin: np.ndarray, padded: bool
) -> Signal:
    own = context.source.axes[axis]
    target = _image(context, axis, None if own is None else own[origin])
    space = tuple(range(weights.ndim - 1))
    context.add(
        Spread(
            context.layer,
            context.source,
            target,
            axis,
            origin,
            totals=weights.sum(space),
            any_weight=(weights != 0).any(space),
            bias=np.zeros(len(origin)) if bias is None else array(bias),
            activation=activation_of(context, target, [axis] if own is not None else []),
            zero_only=padded,
        )
    )
    pixels = math.prod(target.shape[1:]) // target.shape[axis]
    taps = math.prod(weights.shape[:-1])
    labels = target.axes[axis]
    context.multiplies(pixels * taps, len(origin) if labels is None else labels)
    return target


def separable(context: Context) -> list[Signal]:
    """A depthwise convolution without a bias, and a pointwise one."""
    context.require_plain()
    depthwise_kernel, pointwise_kernel, bias = context.variables(
        "depthwise_kernel", "pointwise_kernel", "bias"
    )
    layer = context.layer
    axis = channel_axis(layer, len(context.source.shape))
    _require_pixels(context, axis)
    shape, inputs = list(context.shapes[0]), context.source.shape[axis]
    first = array(depthwise_kernel)
    first = first.reshape(*first.shape[:-2], -1)
    origin = np.repeat(np.arange(inputs), first.shape[-1] // inputs)
    shape[axis] = len(origin)
    own = context.source.axes[axis]
    between = Signal(tuple(shape), [None] * len(shape))
    between.axes[axis] = None if own is None else own[origin]
    space = tuple(range(first.ndim - 1))
    context.add(
        Spread(
            layer,
            context.source,
            between,
            axis,
            origin,
            totals=first.sum(space),
            any_weight=(first != 0).any(space),
            bias=np.zeros(len(origin)),
            activation=lambda values: values,
            zero_only=is_padded(layer),
        )
    )
    middle = between.axes[axis]
    pixels = math.prod(shape[1:]) // len(origin)
    context.multiplies(
        pixels * math.prod(first.shape[:-1]), len(origin) if middle is None else middle
    )
    labels = context.channels.new(context.shapes[0][axis])
    target = _image(context, axis, labels)
    second = array(pointwise_kernel)
    flat = second.reshape(second.shape[-2:])
    context.bind(depthwise_kernel, [*[None] * (first.ndim - 1), own, None])
    context.bind(
        pointwise_kernel,
        [*[None] * (second.ndim - 2), middle, labels],
        ["in"] * (second.ndim - 1) + ["out"],
    )
    context.bind(bias, [labels])
    context.add(
        KernelStep(
            layer,
            between,
            target,
            [Dimension(source=axis), Dimension(target=axis)],
            flat != 0,
            flat,
            np.zeros(flat.shape[-1]) if bias is None else array(bias),
            activation_of(context, target, [axis]),
            zero_only=False,
            on_fold=folder(context, bias, labels),
        )
    )
    context.multiplies(pixels, len(origin) if middle is None else middle, labels)
    context.edit(lambda config, count: config.update(filters=count(labels)))
    return [target]


def transposed(context: Context) -> list[Signal]:
    """A transposed convolution, whose kernel has the outputs before the inputs."""
    context.require_plain()
    kernel, bias = context.variables("kernel", "bias")
    layer, source = context.layer, context.source
    axis = channel_axis(layer, len(source.shape))
    _require_pixels(context, axis)
    if int(getattr(layer, "groups", 1) or 1) != 1:
        raise NotKnown(f"{context.name} has groups")
    labels = context.channels.new(context.shapes[0][axis])
    target = _image(context, axis, labels)
    weights = array(kernel)
    own = source.axes[axis]
    context.bind(kernel, [*[None] * (weights.ndim - 2), labels, own],
                 ["out"] * (weights.ndim - 1) + ["in"])  # fmt: skip
    context.bind(bias, [labels])
    weights = weights.swapaxes(-1, -2)
    space = tuple(range(weights.ndim - 2))
    context.add(
        KernelStep(
            layer,
            source,
            target,
            [Dimension(source=axis), Dimension(target=axis)],
            (weights != 0).any(space),
            weights.sum(space),
            np.zeros(weights.shape[-1]) if bias is None else array(bias),
            activation_of(context, target, [axis]),
            # Where taps overlap, the sum of an input that is constant is not.
            zero_only=True,
            on_fold=folder(context, bias, labels),
        )
    )
    pixels = math.prod(source.shape[1:]) // source.shape[axis]
    taps = math.prod(weights.shape[:-2])
    context.multiplies(pixels * taps, source.shape[axis] if own is None else own, labels)
    context.edit(lambda config, count: config.update(filters=count(labels)))
    return [target]
