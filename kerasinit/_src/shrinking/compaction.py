"""Takes dead units and channels out of a model, without a change of what it computes."""

from typing import Any

import keras
import numpy as np

from kerasinit._src import compat, errors
from kerasinit._src.compat.restore import restored
from kerasinit._src.network.sample_batch import random_batch
from kerasinit._src.network.trace import raised
from kerasinit._src.shrinking.channels import Signal
from kerasinit._src.shrinking.liveness import Liveness, liveness
from kerasinit._src.shrinking.optimizer_state import copy_state
from kerasinit._src.shrinking.reading import OUTPUT, ModelChannels, read_channels
from kerasinit._src.shrinking.rebuilding import rebuilt
from kerasinit._src.shrinking.rules.context import as_array


def compact(model: Any, *, optimizer: bool = False) -> Any:
    """Return a smaller model with the same outputs: without its dead units and channels.

    Pruning leaves zeros, which cost as much as any other numbers. This removes every unit, filter,
    channel and attention head whose value cannot reach an output, or is a constant that can be
    added to the next bias, until no more are dead. The remaining weights keep their values and
    their order.

    Where a constant cannot be added to a bias, as at borders padded with zeros, or where the
    statistics of a normalization include dead channels, these are kept, and a warning names them.

    Args:
        model: A built functional or sequential model of either Keras. It is not changed.
        optimizer: Whether the optimizer's state is kept, such as the moments of Adam. By default
            (False) the optimizer is reset.

    Returns:
        A new model of the same Keras, of Keras' own layers, with the same names, trainable flags
        and dtype policies, compiled like the model. It has the same inputs and outputs.

    Raises:
        TypeError: If it is not a model.
        ValueError: If the model is not built, is a subclassed one (the message says what to do), or
            has weights that are NaN or infinite.

    Example:
    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    >>> kernel, bias = model.layers[0].get_weights()
    >>> kernel[:, ::2] = 0
    >>> model.layers[0].set_weights([kernel, bias])
    >>> small = compact(model)
    >>> small.layers[0].units
    4
    >>> x = np.ones((3, 4), "float32")
    >>> np.allclose(model(x), small(x))
    True
    """
    reading = read_channels(model)
    live = liveness(reading)
    _warn_of_kept(reading, live)
    small = without(reading, live.removable, live)
    if optimizer:
        copy_state(reading, small, ~live.removable)
    _verify(model, small)
    return small


def without(reading: ModelChannels, removed: np.ndarray, live: Liveness | None = None) -> Any:
    """Return a model without some channels, whose constants are folded into biases."""
    channels, model = reading.channels, reading.model

    def removed_on(signal: Signal, axis: int) -> np.ndarray:
        labels = signal.axes[axis]
        return (
            np.zeros(signal.shape[axis], bool) if labels is None else removed[channels.of(labels)]
        )

    if live is not None:
        for step in channels.steps:
            step.fold(live.facts, removed_on)
    small = rebuilt(reading, ~removed)
    _compile_like(small, model)
    return small


def _warn_of_kept(reading: ModelChannels, live: Liveness) -> None:
    """Name dead channels that are kept."""
    channels, facts = reading.channels, live.facts
    reasons = channels.reasons()
    kept: dict[str, set[int]] = {}
    for step in channels.steps:
        for target in step.targets:
            for axis in target.labelled:
                known, _ = facts.constants(target, axis)
                labels = target.axes[axis]
                assert labels is not None
                own = channels.of(labels)
                for channel in np.unique(own[known & ~live.removable[own]]):
                    reason = reasons.get(int(channel), "")
                    if reason != OUTPUT:
                        why = reason or "a constant that cannot be added to a bias"
                        name = getattr(step.layer, "name", "?")
                        kept.setdefault(f"{name} ({why})", set()).add(int(channel))
    if kept:
        listed = "; ".join(f"{len(numbers)} of {name}" for name, numbers in kept.items())
        errors.warn(f"compact keeps constant channels: {listed}.")


def _compile_like(small: Any, model: Any) -> None:
    """Compile a model like another, with the same losses and new optimizer and metrics."""
    if not compat.is_compiled(model):
        return
    library = compat.library_of(model)
    try:
        config = dict(model.get_compile_config())
        # Losses have no state, and not all of them write all of their arguments.
        config.pop("loss", None)
        arguments = library.saving.deserialize_keras_object(config)
        small.compile(**{**arguments, "loss": model.loss})
    except Exception as error:  # of any optimizer or metric
        errors.warn(
            f"compact does not compile the model like {model.name!r}, since Keras cannot repeat "
            f"that ({raised(error)}). Compile it before training it."
        )


def _verify(model: Any, small: Any) -> None:
    """Raise an error unless both models compute the same on random data."""
    try:
        x, _ = random_batch(model, 2, 0)
    except ValueError as error:
        errors.warn(f"compact did not compare its result with {model.name!r} on data: {error}")
        return
    outputs = []
    for one in (model, small):
        with restored(one):
            outputs.append([as_array(each) for each in keras.tree.flatten(one(x, training=False))])
    for before, after in zip(*outputs, strict=True):
        largest = np.abs(before).max(initial=0.0)
        difference = np.abs(before - after).max(initial=0.0)
        if np.isfinite(largest) and not difference <= tolerance_of(model) * max(largest, 1e-30):
            raise RuntimeError(
                f"The compact form of {model.name!r} differs from it by {difference:.3g} on random "
                f"data, whose largest output is {largest:.3g}. This is an error of kerasinit: "
                f"report it with the model. {model.name!r} is unchanged."
            )


def tolerance_of(model: Any) -> float:
    """Return how far rounding may take the outputs apart, relative to the largest."""
    half = any(
        getattr(layer, "compute_dtype", "float32") in ("float16", "bfloat16")
        for layer in model.layers
    )
    return 0.1 if half else 1e-3
