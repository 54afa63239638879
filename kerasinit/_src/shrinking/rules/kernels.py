"""Channels through kernels: what all layers with kernels share, Dense and Embedding."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.kernel_steps import Dimension, KernelStep
from kerasinit._src.shrinking.rules.activations import elementwise
from kerasinit._src.shrinking.rules.context import Context, UnknownChannelsError, array


def activation_of(context: Context, target: Signal, axes: Sequence[int]) -> Any:
    """Return the layer's activation as a function of arrays, or pin its output and return None."""
    activation = elementwise(getattr(context.layer, "activation", None))
    if activation is None:
        name = getattr(context.layer.activation, "__name__", repr(context.layer.activation))
        context.pin(target, f"the activation {name!r} of {context.name} may mix channels", axes)
    return activation


def folder(context: Context, bias: Any, labels: Labels) -> Callable[[np.ndarray], None] | None:
    """Return the bias, to which constants of the input are added; it is created if missing."""
    if context.often:
        return None
    if bias is not None:
        return lambda amount: context.channels.add_to(bias, amount)
    return lambda amount: context.channels.add_bias(context.layer, context.key, amount, labels)


def matrix(
    context: Context,
    source: Signal,
    target: Signal,
    axis: int,
    weights: np.ndarray,
    bias: Any,
    *,
    zero_only: bool = False,
) -> None:
    """Add the step of a kernel whose last two axes are inputs and outputs, on the same axis.

    Args:
        context: The call.
        source: The input.
        target: The output, whose channels have labels.
        axis: The axis of the channels.
        weights: The kernel; the axes before the last two are taps.
        bias: The bias, or None.
        zero_only: Whether only zeros can be removed from the input.
    """
    taps = tuple(range(weights.ndim - 2))
    labels = target.axes[axis]
    assert labels is not None
    context.add(
        KernelStep(
            context.layer,
            source,
            target,
            [Dimension(source=axis), Dimension(target=axis)],
            (weights != 0).any(taps),
            weights.sum(taps),
            np.zeros(len(labels)) if bias is None else array(bias),
            activation_of(context, target, [axis]),
            zero_only=zero_only,
            on_fold=folder(context, bias, labels),
        )
    )


def dense(context: Context) -> list[Signal]:
    """``y = act(x @ kernel + bias)`` over the last axis."""
    context.require_plain()
    kernel, bias = context.variables("kernel", "bias")
    source, (shape,) = context.source, context.shapes
    labels = context.channels.new(shape[-1])
    target = Signal(shape, [*source.axes[:-1], labels])
    context.bind(kernel, [source.axes[-1], labels], ["in", "out"])
    context.bind(bias, [labels])
    matrix(context, source, target, len(shape) - 1, array(kernel), bias)
    context.multiplies(1, *sizes(source), labels)
    context.edit(lambda config, count: config.update(units=count(labels)))
    return [target]


def sizes(signal: Signal) -> list[Labels | int]:
    """Return the axes of a signal as labels or sizes, without that of the examples."""
    return [
        size if labels is None else labels
        for size, labels in zip(signal.shape[1:], signal.axes[1:], strict=True)
    ]


def embedding(context: Context) -> list[Signal]:
    """A row of the table for each number."""
    context.require_plain()
    (table,) = context.variables("embeddings")
    if context.source.labelled:
        raise UnknownChannelsError(f"{context.name} looks up what other layers compute")
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
