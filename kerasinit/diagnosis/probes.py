"""Looking into a model while it runs, whatever kind of model it is.

A functional model can be cut open by its graph, a subclassed one cannot. What every layer of
either Keras has is a ``call``; for one pass each instance gets another one, which shows what
went in and what came out, and lets the gradient tell its size on the way back.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
import tf_keras

from kerasinit import kerases
from kerasinit.kernels import inner_layers

# What comes out of their inner layers is made in loops, step by step.
_LOOPS = ("RNN", "Bidirectional", "TimeDistributed")
_NORMALIZING_BY_BATCH = tuple(library.layers.BatchNormalization for library in (keras, tf_keras))
_CLOSED = tuple(getattr(library.layers, name) for library in (keras, tf_keras) for name in _LOOPS)

# Takes a layer's path, the layer, the tensors that went in and the one that came out, and
# returns what to do with the gradient of the loss with respect to it.
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
    seen: set[int] = set()

    def enter(path: str, layer: Any) -> Iterator[tuple[str, Any]]:
        if id(layer) in seen or isinstance(layer, _INPUTS):
            return
        seen.add(id(layer))
        if not isinstance(layer, _CLOSED):
            for name, inner in inner_layers(layer):
                yield from enter(f"{path}/{name}" if name else path, inner)
        if not kerases.is_model(layer):
            yield path, layer

    for path, layer in kerases.walk(model):
        yield from enter(path, layer)


_INPUTS = (keras.layers.InputLayer, tf_keras.layers.InputLayer)


@contextlib.contextmanager
def probing(model: Any, look: Look) -> Iterator[None]:
    """Show every call of every layer within the block, and put the layers back after it.

    Batch normalization normalizes by the batch within the block, as it does in training:
    its moving statistics say nothing before training. They are the caller's to put back.

    Args:
        model: A model of either Keras, run eagerly within the block.
        look: What to show the calls.
    """
    changed: list[tuple[Any, Any]] = []
    try:
        for path, layer in layers_inside(model):
            changed.append((layer, vars(layer).get("call")))
            # Past Keras' own __setattr__, which keeps books on what a layer holds.
            vars(layer)["call"] = _probe(path, layer, layer.call, look)
        yield
    finally:
        for layer, before in changed:
            if before is None:
                vars(layer).pop("call", None)
            else:
                vars(layer)["call"] = before


def _probe(path: str, layer: Any, call: Callable[..., Any], look: Look) -> Callable[..., Any]:
    by_batch = isinstance(layer, _NORMALIZING_BY_BATCH)

    def probed(*args: Any, **kwargs: Any) -> Any:
        if by_batch:
            kwargs["training"] = True
            args = args[:1]
        outputs = call(*args, **kwargs)
        given = [one for one in tf.nest.flatten((args, kwargs)) if _is_signal(one)]
        flat = tf.nest.flatten(outputs)
        # Of several outputs (states, attention scores) the first is the layer's signal.
        for place, one in enumerate(flat):
            if _is_signal(one):
                flat[place] = _listening(one, look(path, layer, given, one))
                break
        return tf.nest.pack_sequence_as(outputs, flat)

    return probed


def _is_signal(thing: Any) -> bool:
    return tf.is_tensor(thing) and thing.dtype.is_floating and thing.shape.rank >= 1


def _listening(signal: Any, heard: Callable[[Any], None]) -> Any:
    """Return the same signal, of which ``heard`` is told the gradient."""

    @tf.custom_gradient
    def same(value: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            heard(upstream)
            return upstream

        return tf.identity(value), gradient

    listening = same(signal)
    if hasattr(signal, "_keras_mask"):  # a Masking layer of Keras 3 notes it down in its call
        listening._keras_mask = signal._keras_mask
    return listening
