"""The network of one side, as a compiled Keras model."""

import inspect
from typing import Any

import keras
import numpy as np

from kerasinit._src.comparison import choices
from kerasinit._src.initializers import identifiers
from kerasinit._src.playground.settings import METHODS, Settings, SideSettings

METHOD_EXAMPLES = 64
"""How many training examples the methods see that set first values from data."""
BEFORE_METHOD = "GlorotUniform"
"""The initializer that a network is built with before such a method is applied."""
_NORMALIZATIONS = {
    "batch": keras.layers.BatchNormalization,
    "layer": keras.layers.LayerNormalization,
}
_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def layer_seed(seed: int, layer: int, redrawn: int = 0) -> int:
    """Return the seed of the kernel and bias of a layer, which are numbered from 1.

    ``redrawn`` is the number of the round after which weights are drawn again. Both sides have the
    same seeds, so that what differs is what the settings say.
    """
    return 1_000 * seed + 100 * redrawn + layer


def build(
    settings: Settings, side: SideSettings, x: np.ndarray, classes: int, redrawn: int = 0
) -> keras.Model:
    """Return the network of a side, built, with its first weights, and compiled.

    Args:
        settings: The settings that both sides share.
        side: The settings of the side.
        x: The training inputs, of which methods such as LSUV use the first.
        classes: The number of classes.
        redrawn: The number of the round after which its weights are drawn again; 0 for the
            first weights.

    Raises:
        ValueError: If an initializer does not support the shape of a kernel.
    """
    inputs = outputs = keras.Input((x.shape[1],), name="inputs")
    for number in range(1, settings.depth + 1):
        before = outputs
        outputs = _dense(settings, side, settings.width, number, redrawn)(outputs)
        if settings.normalization != "none":
            normalization = _NORMALIZATIONS[settings.normalization]
            outputs = normalization(name=f"normalization_{number}")(outputs)
        outputs = keras.layers.Activation(side.activation, name=f"activation_{number}")(outputs)
        if settings.residual and number > 1:
            outputs = keras.layers.Add(name=f"add_{number}")([before, outputs])
    outputs = _dense(settings, side, classes, settings.depth + 1, redrawn)(outputs)
    model = keras.Model(inputs, outputs)
    model.compile(
        _OPTIMIZERS[settings.optimizer](settings.learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    if side.initializer in METHODS:
        seed = layer_seed(settings.seed, 0, redrawn)
        choices.apply(side.initializer, side.initializer, model, x[:METHOD_EXAMPLES], seed)
    return model


def _dense(
    settings: Settings, side: SideSettings, units: int, number: int, redrawn: int
) -> keras.layers.Layer:
    seed = layer_seed(settings.seed, number, redrawn)
    kernel = BEFORE_METHOD if side.initializer in METHODS else side.initializer
    return keras.layers.Dense(
        units,
        kernel_initializer=seeded(kernel, seed),  # pyright: ignore[reportArgumentType]
        bias_initializer=seeded(side.bias, seed),  # pyright: ignore[reportArgumentType]
        name="outputs" if number > settings.depth else f"hidden_{number}",
    )


def seeded(text: str, seed: int) -> Any:
    """Return the initializer of a text with a seed, if it takes one and the text has none."""
    name, arguments = identifiers.split(text.removeprefix("kerasinit>"))
    if takes_seed(name) and arguments.get("seed") is None:
        arguments["seed"] = seed
    try:
        return identifiers.CLASSES[name](**arguments)
    except TypeError as error:
        raise ValueError(f"Cannot create the initializer {text!r}: {error}.") from error


def takes_seed(name: str) -> bool:
    """Return whether an initializer draws numbers: whether it takes a seed."""
    return "seed" in inspect.signature(identifiers.CLASSES[name]).parameters
