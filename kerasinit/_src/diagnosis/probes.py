"""Intercepts the calls of all layers of a model: their inputs, outputs and output gradients."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import calls
from kerasinit._src.compat.quantization import quantization_of
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.walk import located_layers

# Takes a layer's path, the layer, its input tensors and its output, and returns a callback for the
# gradient of the loss with respect to the output, or to the logits where the loss is computed from
# these instead.
OnCall = Callable[[str, Any, list[Any], Any], Callable[[Any], None]]


def layers_inside(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield path and layer of every layer whose signal can be measured, inner before outer ones.

    Nested models are entered, not yielded; recurrent layers and wrappers are yielded as a whole.
    """
    # Layers inside a loop return one step at a time.
    for place in located_layers(model, closed=lambda layer: row_of(layer).loops):
        if not (compat.is_model(place.layer) or row_of(place.layer).signal == "enters"):
            yield place.path, place.layer


def quantized_layers(model: Any) -> list[tuple[str, str]]:
    """Return paths and modes of the quantized layers, whose ``call`` is not used."""
    modes = ((path, quantization_of(layer)) for path, layer in layers_inside(model))
    return [(path, mode) for path, mode in modes if mode is not None]


def require_unquantized(model: Any, quantized: list[tuple[str, str]], owners: list[Any]) -> None:
    """Raise if all of the layers that own weights are quantized, or any is to float8."""
    all_quantized = all(quantization_of(layer) is not None for layer in owners)
    # Keras' float8 layers have gradients in graph mode only.
    if quantized and (all_quantized or any(mode == "float8" for _, mode in quantized)):
        paths = ", ".join(path for path, _ in quantized)
        raise ValueError(
            f"The layers of {model.name!r} cannot be measured: {paths} "
            f"{'is' if len(quantized) == 1 else 'are'} quantized ({quantized[0][1]}). Diagnose the "
            f"model before model.quantize(...)."
        )


@contextlib.contextmanager
def probing(
    model: Any, on_call: OnCall | None, made_by: dict[int, tuple[str, Any]] | None = None
) -> Iterator[None]:
    """Call ``on_call``, if any, for every call of every layer within the block.

    Batch normalization uses batch statistics within the block, as in training: its moving
    statistics mean nothing before training. The caller restores them. ``made_by`` receives the
    path and the layer of each output, by the tensor's ``id``; for a layer that only rearranges
    values, those of the layer before it.
    """
    kept: list[Any] = []  # tensors, so that no other gets their ids
    paths = {id(layer): (path, layer) for path, layer in layers_inside(model)}

    def around(
        layer: Any, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        row = row_of(layer)
        if row.by_batch:
            outputs = calls.by_batch_statistics(layer, call, args, kwargs)
        else:
            outputs = call(*args, **kwargs)
        if on_call is None:
            return outputs
        path, _ = paths[id(layer)]
        given = [tensor for tensor in tf.nest.flatten((args, kwargs)) if _is_signal(tensor)]
        flat = tf.nest.flatten(outputs)
        # Of several outputs (states, attention scores) the first is the layer's signal.
        for place, output in enumerate(flat):
            if _is_signal(output):
                flat[place] = _probed(output, on_call(path, layer, given, output))
                if made_by is not None:
                    before = made_by.get(id(given[0])) if given else None
                    if before is None or row.signal != "passes":
                        before = path, layer
                    made_by[id(flat[place])] = before
                    kept.append(flat[place])
                break
        return tf.nest.pack_sequence_as(outputs, flat)

    with calls.intercepted([layer for _, layer in paths.values()], around):
        yield


def _is_signal(thing: Any) -> bool:
    return tf.is_tensor(thing) and thing.dtype.is_floating and thing.shape.rank >= 1


def _probed(signal: Any, on_gradient: Callable[[Any], None]) -> Any:
    """Return the same signal, whose gradient is passed to ``on_gradient``."""

    @tf.custom_gradient
    def same(value: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            on_gradient(upstream)
            return upstream

        return tf.identity(value), gradient

    probed = same(signal)
    # Keras attaches masks to tensors, and the logits from which its crossentropies are computed
    # instead of the tensor itself.
    for name, value in vars(signal).items():
        setattr(probed, name, value)
    if tf.is_symbolic_tensor(signal):
        probed._kerasinit_signal = signal
    if hasattr(signal, "_keras_logits"):
        probed._keras_logits = same(signal._keras_logits)
    return probed


def unprobed(tensor: Any) -> Any:
    """Return the layer's own tensor behind one that `probing` returned in a graph."""
    while hasattr(tensor, "_kerasinit_signal"):
        tensor = tensor._kerasinit_signal
    return tensor
