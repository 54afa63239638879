"""The signals inside a model while it runs, whatever kind of model it is.

For one pass the calls of its layers are intercepted: each shows what went in and what came out,
and the gradient on its way back.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import calls
from kerasinit._src.compat.quantization import quantization_of
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.walk import located_layers

# Takes a layer's path, the layer, the tensors that went in and the one that came out, and
# returns what to do with the gradient of the loss with respect to it, or to the logits that the
# loss is computed from in its place.
Look = Callable[[str, Any, list[Any], Any], Callable[[Any], None]]


def layers_inside(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield every layer that has a signal of its own to show, inner ones before outer ones.

    Models inside the model are entered, not yielded; of recurrent layers and wrappers only
    the whole is yielded.

    Args:
        model: A model of either Keras.

    Yields:
        ``(path, layer)``, each layer once, with a path that survives rebuilding.
    """
    # What comes out of layers inside a loop is made step by step.
    for place in located_layers(model, closed=lambda layer: row_of(layer).loops):
        if not (compat.is_model(place.layer) or row_of(place.layer).signal == "enters"):
            yield place.path, place.layer


def quantized_layers(model: Any) -> list[tuple[str, str]]:
    """Return paths and modes of the layers that are quantized, which are not called by ``call``."""
    found = []
    for path, layer in layers_inside(model):
        mode = quantization_of(layer)
        if mode is not None:
            found.append((path, mode))
    return found


def require_unquantized(model: Any, found: list[tuple[str, str]], owners: list[Any]) -> None:
    """Raise if quantized layers leave nothing to look at.

    Args:
        model: The model.
        found: What `quantized_layers` returned.
        owners: The layers that own weights.
    """
    looked_at = any(quantization_of(layer) is None for layer in owners)
    # What Keras writes for float8 has gradients in a graph alone.
    if found and (not looked_at or any(mode == "float8" for _, mode in found)):
        told = ", ".join(path for path, _ in found)
        raise ValueError(
            f"The layers of {model.name!r} cannot be looked at: {told} "
            f"{'is' if len(found) == 1 else 'are'} quantized ({found[0][1]}). Look at the model "
            f"before model.quantize(...)."
        )


@contextlib.contextmanager
def probing(
    model: Any, look: Look | None, made_by: dict[int, tuple[str, Any]] | None = None
) -> Iterator[None]:
    """Show every call of every layer within the block, and put the layers back after it.

    Batch normalization normalizes by the batch within the block, as it does in training:
    its moving statistics say nothing before training. They are the caller's to put back.

    Args:
        model: A model of either Keras, run eagerly within the block.
        look: What to show the calls; None to show them to nobody.
        made_by: Gets the path and the layer of each tensor that comes out of one, by its ``id``;
            of a layer that only moves numbers about, those of the layer before it.
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
        if look is None:
            return outputs
        path, _ = paths[id(layer)]
        given = [one for one in tf.nest.flatten((args, kwargs)) if _is_signal(one)]
        flat = tf.nest.flatten(outputs)
        # Of several outputs (states, attention scores) the first is the layer's signal.
        for place, one in enumerate(flat):
            if _is_signal(one):
                flat[place] = _listening(one, look(path, layer, given, one))
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


def _listening(signal: Any, heard: Callable[[Any], None]) -> Any:
    """Return the same signal, whose gradient is passed to ``heard``."""

    @tf.custom_gradient
    def same(value: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            heard(upstream)
            return upstream

        return tf.identity(value), gradient

    listening = same(signal)
    # What Keras hangs on a tensor is a part of what it means: masks, and the logits from which
    # its crossentropies are computed in the place of the tensor itself.
    for name, value in vars(signal).items():
        setattr(listening, name, value)
    if tf.is_symbolic_tensor(signal):
        listening._kerasinit_signal = signal
    if hasattr(signal, "_keras_logits"):
        listening._keras_logits = same(signal._keras_logits)
    return listening


def unprobed(tensor: Any) -> Any:
    """Return the tensor that a layer returned in a graph, of the one that `probing` made of it."""
    while hasattr(tensor, "_kerasinit_signal"):
        tensor = tensor._kerasinit_signal
    return tensor
