"""Channels through attention: whole heads, and the numbers that each head compares or averages."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import coo_array

from kerasinit._src.network.tensor_calls import Taken
from kerasinit._src.network.walk import inner_layers
from kerasinit._src.shrinking.channels import Labels, Signal
from kerasinit._src.shrinking.rules.context import Context, UnknownChannelsError, array
from kerasinit._src.shrinking.rules.einsum import einsum_dense
from kerasinit._src.shrinking.rules.kernels import sizes
from kerasinit._src.shrinking.rules.pointwise import unknown
from kerasinit._src.shrinking.steps import Contracted, Pointwise, Rearranged, Weighted


def multi_head(context: Context) -> list[Signal]:
    """`MultiHeadAttention` and `GroupQueryAttention`."""
    layer = context.layer
    if getattr(layer, "_use_gate", getattr(layer, "use_gate", False)):
        raise UnknownChannelsError(f"{context.name} has a gate")
    dense = {one.name: one for _, one in inner_layers(layer)}
    names = ("query", "key", "value", "attention_output")
    if not set(names) <= set(dense) or any(
        dense[name].weights and type(dense[name]).__name__ != "EinsumDense" for name in names
    ):
        raise UnknownChannelsError(f"{context.name} has layers other than those of Keras")
    query, value, key, others = _arguments(context)
    for other in others:
        context.pin(other, f"{context.name} takes it as a mask")
    grouped = type(layer).__name__ in ("GroupQueryAttention", "GroupedQueryAttention")
    projected = {}
    for name, source in (("query", query), ("key", key), ("value", value)):
        context.pin_places(source)
        projected[name] = _projected(context, dense[name], source)
    q, k, v = (projected[name] for name in ("query", "key", "value"))
    heads, repeats = _couple_heads(context, q, k, v, grouped)
    scores, attended = _attend(context, q, k, v, heads, repeats)
    output = context.inside(dense["attention_output"], [attended], context.shapes[:1])
    (target,) = einsum_dense(output)
    _edit(context, q, k, v, target, grouped)
    return [target, *(_returned_scores(context, scores, shape) for shape in context.shapes[1:])]


def _returned_scores(context: Context, scores: Signal, shape: tuple[int, ...]) -> Signal:
    """Return the scores of each head after their softmax."""
    target = Signal(shape, [None, scores.axes[1], *[None] * (len(shape) - 2)])
    own: list[int | None] = [None, 1, *[None] * (len(shape) - 2)]
    context.add(Pointwise(context.layer, [scores], target, [own], unknown))
    return target


def _arguments(context: Context) -> tuple[Signal, Signal, Signal, list[Signal]]:
    """Return query, value and key, and the other signals of the call."""
    call = context.call
    if call is None:
        raise UnknownChannelsError(f"{context.name} is inside a wrapper")
    names = dict(zip(("query", "value", "key"), call.arguments, strict=False))
    names.update(
        {key: one for key, one in call.keywords.items() if key in ("query", "value", "key")}
    )
    by_tensor = dict(zip(call.taken, context.sources, strict=True))
    found = {key: by_tensor[one.tensor] for key, one in names.items() if isinstance(one, Taken)}
    if "query" not in found or "value" not in found:
        raise UnknownChannelsError(f"{context.name} is called in an unexpected way")
    found.setdefault("key", found["value"])
    used = {id(one) for one in found.values()}
    others = [one for one in context.sources if id(one) not in used]
    return found["query"], found["value"], found["key"], others


def _projected(context: Context, layer: Any, source: Signal) -> Signal:
    kernel = next(one for one in layer.weights if len(one.shape) >= 2)
    shape = (*source.shape[:-1], *tuple(kernel.shape)[-2:])
    (signal,) = einsum_dense(context.inside(layer, [source], [shape]))
    return signal


def _couple_heads(
    context: Context, q: Signal, k: Signal, v: Signal, grouped: bool
) -> tuple[Labels, int]:
    """Make the heads of query, key and value one; return them by query, and how many share one."""
    channels = context.channels
    for labels in (k.axes[-1], v.axes[-1]):
        if labels is not None and len(labels) > 1:
            # Keras 3.15 adds a bias of (heads, 1) along the wrong axis if there are as many steps.
            channels.minimums.append((labels, 2))
    channels.couple(k.axes[-2], v.axes[-2])
    channels.couple(q.axes[-1], k.axes[-1])
    repeats = q.shape[-2] // k.shape[-2]
    shared = v.axes[-2]
    assert shared is not None
    heads = np.repeat(shared, repeats)
    channels.couple(q.axes[-2], heads)
    if grouped:
        channels.couple(k.axes[-1], v.axes[-1])  # one argument for both
    return heads, repeats


def _attend(
    context: Context, q: Signal, k: Signal, v: Signal, heads: Labels, repeats: int
) -> tuple[Signal, Signal]:
    """Return the scores, and what the heads return, with the heads of the query."""
    if repeats > 1:
        k, v = (_repeated(context, one, heads, repeats) for one in (k, v))
    scores = Signal((q.shape[0], len(heads), 1, 1), [None, heads, None, None])
    rank = len(q.shape)
    context.add(
        Contracted(
            context.layer, [q, k], scores, (rank - 1, len(k.shape) - 1),
            [[(rank - 2, 1)], [(len(k.shape) - 2, 1)]],
        )
    )  # fmt: skip
    target = Signal((*q.shape[:-1], v.shape[-1]), [*[None] * (rank - 2), heads, v.axes[-1]])
    last = len(v.shape) - 1
    context.add(
        Weighted(context.layer, v, [scores], target, [(last - 1, rank - 2), (last, rank - 1)])
    )
    queries, keys = math.prod(q.shape[1:-2]), math.prod(k.shape[1:-2])
    numbers, values = q.axes[-1], v.axes[-1]
    context.multiplies(queries * keys, heads, numbers)
    context.multiplies(queries * keys, heads, values)
    return scores, target


def _repeated(context: Context, signal: Signal, heads: Labels, repeats: int) -> Signal:
    shape = list(signal.shape)
    shape[-2] = len(heads)
    target = Signal(tuple(shape), [*signal.axes[:-2], heads, signal.axes[-1]])
    size, last = signal.shape[-2], len(shape) - 1
    rows = np.arange(len(heads))
    repeated = coo_array(
        (np.ones(len(rows), "int64"), (rows, rows // repeats)), shape=(len(heads), size)
    )
    numbers = np.arange(shape[-1])
    same = coo_array((np.ones(shape[-1], "int64"), (numbers, numbers)), shape=(shape[-1],) * 2)
    moves = [(signal, last - 1, target, last - 1, repeated), (signal, last, target, last, same)]
    context.add(Rearranged(context.layer, [signal], [target], moves, {}))
    return target


def _edit(context: Context, q: Signal, k: Signal, v: Signal, target: Signal, grouped: bool) -> None:
    dense = {one.name: one for _, one in inner_layers(context.layer)}
    numbers = q.axes[-1]
    assert numbers is not None
    before = len(numbers)
    # The scores are divided by the root of the numbers that are compared.
    for variable in dense["query"].weights:
        context.channels.rescale(variable, numbers, lambda after: math.sqrt(after / before))

    def edit(config: dict[str, Any], count: Callable[[Labels], int]) -> None:
        if grouped:
            config["num_query_heads"] = count(q.axes[-2])  # type: ignore[arg-type]
            config["num_key_value_heads"] = count(k.axes[-2])  # type: ignore[arg-type]
            config["head_dim"] = count(numbers)
            return
        config["num_heads"] = count(q.axes[-2])  # type: ignore[arg-type]
        config["key_dim"] = count(numbers)
        config["value_dim"] = count(v.axes[-1])  # type: ignore[arg-type]
        if target.axes[-1] is not None and len(target.shape) == 3:
            config["output_shape"] = [count(target.axes[-1])]

    context.edit(edit)
    if grouped and target.axes[-1] is not None:
        # Its output has as many numbers as its query.
        query, _, _, _ = _arguments(context)
        context.channels.couple(
            query.axes[-1], target.axes[-1], f"{context.name} returns as many numbers as its query"
        )


def weightless(context: Context) -> list[Signal]:
    """`Attention` of signals: query times key, and a mean of values."""
    layer = context.layer
    (_scale, *_) = context.variables("scale", "concat_score_weight")
    if getattr(layer, "score_mode", "dot") != "dot":
        raise UnknownChannelsError(f"{context.name} scores by {layer.score_mode!r}")
    for variable in layer.weights:
        context.bind(variable, [None] * array(variable).ndim)
    shape, *scores_shape = context.shapes
    if scores_shape or context.keyword("mask") is not None:
        raise UnknownChannelsError(f"{context.name} returns its scores, or takes masks")
    query, value, *rest = context.sources
    key = rest[0] if rest else value
    context.channels.couple(
        query.axes[-1], key.axes[-1], f"{context.name} compares it with a signal without channels"
    )
    for one in (query, key, value):
        context.pin_places(one)
    scores = Signal((query.shape[0], query.shape[1], key.shape[1]), [None, None, None])
    context.add(Contracted(layer, [query, key], scores, (2, 2), [[], []]))
    target = Signal(shape, [None, None, value.axes[-1]])
    context.add(Weighted(layer, value, [scores], target, [(2, 2)], zero_only=True))
    for compared in (query, value):
        context.multiplies(query.shape[1], key.shape[1], sizes(compared)[-1])
    return [target]
