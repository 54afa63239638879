"""Channels through `EinsumDense`, and through products of two signals."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.kernel_steps import Dimension, KernelStep
from kerasinit._src.shrinking.rules.context import Context, UnknownChannelsError, array
from kerasinit._src.shrinking.rules.kernels import activation_of, folder
from kerasinit._src.shrinking.steps import Contracted


def letters(equation: str, *ranks: int) -> list[str]:
    """Return the letters of each operand and of the result, an ellipsis spelled out.

    ``ranks`` are the numbers of axes of the operands.
    """
    equation = equation.replace(" ", "")
    if "->" not in equation:
        raise UnknownChannelsError(f"the equation {equation!r} has no result")
    inputs, output = equation.split("->")
    operands = inputs.split(",")
    spare = [one for one in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if one not in equation]
    longest = max(
        (rank - len(one.replace("...", ""))
         for one, rank in zip(operands, ranks, strict=False) if "..." in one),
        default=0,
    )  # fmt: skip
    rest = "".join(spare[:longest])
    spelled = []
    for one, rank in zip(operands, ranks, strict=True):
        missing = rank - len(one.replace("...", ""))
        spelled.append(one.replace("...", rest[len(rest) - missing :] if missing else ""))
    spelled.append(output.replace("...", rest))
    if any(len(set(one)) != len(one) for one in spelled):
        raise UnknownChannelsError(f"the equation {equation!r} repeats a letter in an operand")
    return spelled


def einsum_dense(context: Context) -> list[Signal]:
    """``act(einsum(equation, x, kernel) + bias)``: each axis of the kernel by its letter."""
    context.require_plain()
    kernel, bias = context.variables("kernel", "bias")
    source, (shape,) = context.source, context.shapes
    weights = array(kernel)
    given, own, out = letters(context.layer.equation, len(source.shape), weights.ndim)
    if set(given) - set(own) - set(out):
        raise UnknownChannelsError(f"{context.name} sums over positions")
    labels: dict[str, Labels | None] = {}
    for letter, axis_labels in zip(given, source.axes, strict=True):
        labels[letter] = axis_labels
    for letter, size in zip(own, weights.shape, strict=True):
        if letter not in labels:
            labels[letter] = context.channels.new(size)
    target = Signal(shape, [labels[letter] for letter in out])
    context.bind(
        kernel, [labels[one] for one in own], ["out" if one in out else "in" for one in own]
    )
    wide = _bind_bias(context, bias, out, labels, shape)
    with_target = [letter for letter in own if letter in out]
    if any(size > 1 for letter, size in zip(out, wide.shape, strict=True) if letter not in own):
        raise UnknownChannelsError(f"{context.name} has a bias for each position")
    small = _over(wide, out, with_target)
    small = np.broadcast_to(small, [weights.shape[own.index(one)] for one in with_target])
    dimensions = [
        Dimension(
            given.index(one) if one in given else None, out.index(one) if one in out else None
        )
        for one in own
    ]
    axes = [out.index(one) for one in with_target]
    context.add(
        KernelStep(
            context.layer,
            source,
            target,
            dimensions,
            weights != 0,
            weights,
            small,
            activation_of(context, target, axes),
            zero_only=False,
            on_fold=_folder(context, bias, out, with_target),
        )
    )
    _count(context, given, own, labels)
    _edit_shape(context, out, labels)
    return [target]


def _bind_bias(
    context: Context, bias: Any, out: str, labels: dict[str, Labels | None], shape: tuple[int, ...]
) -> np.ndarray:
    """Bind the bias, and return it with one axis for each of the output."""
    if bias is None:
        return np.zeros((1,) * len(out))
    values = array(bias)
    last = out[len(out) - values.ndim :]
    context.bind(
        bias,
        [labels[one] if size > 1 or shape[out.index(one)] == 1 else None
         for one, size in zip(last, values.shape, strict=True)],
    )  # fmt: skip
    return values.reshape((1,) * (len(out) - values.ndim) + values.shape)


def _over(wide: np.ndarray, out: str, chosen: list[str]) -> np.ndarray:
    """Return an array over the axes of the output as one over some of its letters."""
    order = [out.index(one) for one in chosen]
    rest = [place for place in range(len(out)) if place not in order]
    return wide.transpose([*rest, *order]).reshape([wide.shape[place] for place in order])


def _folder(
    context: Context, bias: Any, out: str, chosen: list[str]
) -> Callable[[np.ndarray], None] | None:
    if len(chosen) == 1 and out[-1] == chosen[0] and (bias is None or bias.shape[-1] > 1):
        if bias is None or len(bias.shape) != 1:
            return None
        return folder(context, bias, np.zeros(0))
    if bias is None or context.often:
        return None
    shape = tuple(bias.shape)
    last = out[len(out) - len(shape) :]
    if any(size == 1 and one in chosen for one, size in zip(last, shape, strict=True)):
        return None
    if any(one not in last for one in chosen):
        return None

    def fold(amount: np.ndarray) -> None:
        order = [chosen.index(one) for one in last if one in chosen]
        context.channels.add_to(bias, amount.transpose(order).reshape(shape))

    return fold


def _count(context: Context, given: str, own: str, labels: dict[str, Labels | None]) -> None:
    sizes = dict(zip(given, context.source.shape, strict=True))
    positions = [labels[one] if labels[one] is not None else sizes[one]
                 for one in given[1:] if one not in own]  # fmt: skip
    kernel = [labels[one] if labels.get(one) is not None else sizes[one] for one in own]
    context.multiplies(1, *positions, *kernel)


def _edit_shape(context: Context, out: str, labels: dict[str, Labels | None]) -> None:
    def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
        old = config["output_shape"]
        sizes = [old] if isinstance(old, int) else list(old)
        last = out[len(out) - len(sizes) :]
        for place, letter in enumerate(last):
            known = labels[letter]
            if known is not None and sizes[place] is not None:
                sizes[place] = count(known)
        config["output_shape"] = sizes[0] if isinstance(old, int) else sizes

    context.edit(edit)


def product(context: Context, one: Signal, other: Signal, equation: tuple[str, str, str]) -> Signal:
    """Return the sum of products of two signals, given the letters of both and of the result."""
    first, second, out = equation
    summed = [letter for letter in first if letter in second and letter not in out]
    alone = [letter for letter in first + second
             if letter not in out and letter not in summed]  # fmt: skip
    by_letter = {**dict(zip(second, other.axes, strict=True))}
    for letter, labels in zip(first, one.axes, strict=True):
        if letter in second:
            # Coupled: removed on both sides or on neither.
            labels = context.channels.couple(
                labels,
                by_letter[letter],
                f"{context.name} multiplies it with a signal without channels",
            )
        by_letter[letter] = labels
    # One sum over channels is followed; more are kept.
    for letter in [*alone, *summed[1:]]:
        context.channels.pin(by_letter[letter], f"{context.name} sums over it")
    labelled = [letter for letter in summed if by_letter[letter] is not None]
    chosen = labelled[0] if labelled else (summed or [first[-1]])[0]
    for letter in labelled:
        if letter != chosen:
            context.channels.pin(by_letter[letter], f"{context.name} sums over it")
    target = Signal(context.shapes[0], [by_letter[letter] for letter in out])
    kept = [
        [(place, out.index(letter)) for place, letter in enumerate(own) if letter in out]
        for own in (first, second)
    ]
    axes = (first.index(chosen), second.index(chosen)) if summed else (-1, -1)
    context.add(Contracted(context.layer, [one, other], target, axes, kept))
    sizes = {
        **dict(zip(first, one.shape, strict=True)),
        **dict(zip(second, other.shape, strict=True)),
    }
    batch = first[0]
    context.multiplies(
        1,
        *[
            by_letter[letter] if by_letter[letter] is not None else sizes[letter]
            for letter in dict.fromkeys(first + second)
            if letter != batch
        ],
    )
    return target


def einsum(context: Context) -> list[Signal]:
    """``einsum(equation, a, b)``."""
    call = context.call
    assert call is not None
    config = call.layer.get_config() if hasattr(call.layer, "get_config") else {}
    equation = config.get("subscripts") or next(
        (one for one in call.arguments if isinstance(one, str)), None
    )
    if not isinstance(equation, str) or len(context.sources) != 2:
        raise UnknownChannelsError(f"{context.name} is not a product of two signals")
    one, other = context.sources
    first, second, out = letters(equation, len(one.shape), len(other.shape))
    return [product(context, one, other, (first, second, out))]


def matmul(context: Context) -> list[Signal]:
    """``a @ b``, over the last axis of ``a`` and the last but one of ``b``."""
    if len(context.sources) != 2 or _transposes(context):
        raise UnknownChannelsError(f"{context.name} is not a plain product of two signals")
    one, other = context.sources
    if min(len(one.shape), len(other.shape)) < 2 or len(one.shape) != len(other.shape):
        raise UnknownChannelsError(
            f"{context.name} multiplies signals of different numbers of axes"
        )
    if one.shape[:-2] != other.shape[:-2]:
        raise UnknownChannelsError(f"{context.name} broadcasts")
    stem = "abcdefghijklmnopqrstuvw"[: len(one.shape) - 2]
    return [product(context, one, other, (f"{stem}xy", f"{stem}yz", f"{stem}xz"))]


def _transposes(context: Context) -> bool:
    keywords = {} if context.call is None else context.call.keywords
    names = ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse")
    return any(keywords.get(name) for name in names)


def dot(context: Context) -> list[Signal]:
    """`Dot` of two signals over one axis of each."""
    layer = context.layer
    one, other = context.sources
    if layer.normalize:
        raise UnknownChannelsError(f"{context.name} normalizes")
    axes = [layer.axes] * 2 if isinstance(layer.axes, int) else list(layer.axes)
    places = [axis % len(s.shape) for axis, s in zip(axes, (one, other), strict=True)]
    alphabet = iter("bcdefghijklmnopqrstuvw")
    first = ["a"] + [next(alphabet) for _ in one.shape[1:]]
    second = ["a"] + [next(alphabet) for _ in other.shape[1:]]
    second[places[1]] = first[places[0]]
    out = [x for x in first if x != first[places[0]]] + [
        x for x in second[1:] if x != first[places[0]]
    ]
    if len(out) != len(context.shapes[0]):
        raise UnknownChannelsError(f"{context.name} returns one number")
    return [product(context, one, other, ("".join(first), "".join(second), "".join(out)))]
