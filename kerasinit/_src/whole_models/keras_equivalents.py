"""The Keras initializers that replace ours where kerasinit is not installed.

Keras' initializer of the same distribution if there is one; else its default, which is reported.
The table `_CONVERTERS` below names every class of ours.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasinit._src import initializers
from kerasinit._src.initializers.base import Initializer, RandomInitializer

ADVICE = (
    "Give the layer one of Keras' own initializers, or save only the weights "
    "(`save_weights`), which name no initializer."
)
_AXES = {"input_axes", "output_axes"}
_OF_THE_SCALE = {"distribution", "gain", "mode", "negative_slope", "nonlinearity", "scale", "seed"}


@dataclass(frozen=True)
class Slot:
    """An occurrence of one of our initializers in a model's configuration.

    Attributes:
        layer: The layer's name.
        initializer: The initializer.
        library: The model's Keras.
        dtype: The name of the layer's dtype policy; empty if the configuration has none.
    """

    layer: str
    initializer: Initializer
    library: Any
    dtype: str

    def new(self, name: str, config: dict[str, Any]) -> Any:
        """Return an initializer of Keras, with our seed as far as Keras accepts it."""
        if "seed" in config:
            config = {**config, "seed": self._seed()}
        return getattr(self.library.initializers, name)(**config)

    def _seed(self) -> int | None:
        # A SeedGenerator may be shared to keep layers from drawing the same values. In a file each
        # layer would get an equal copy of it; with None each draws different values.
        seed = self.initializer.seed if isinstance(self.initializer, RandomInitializer) else None
        return seed % 2**31 if isinstance(seed, int) else None


def equivalent(slot: Slot) -> Any:
    """Return Keras' initializer of the same distribution, or None if there is none."""
    convert = _CONVERTERS.get(type(slot.initializer))
    if convert is None:
        raise TypeError(
            f"The layer {slot.layer!r} has the initializer {slot.initializer!r}, whose equivalent "
            f"in Keras portable does not know. {ADVICE}"
        )
    return convert(slot)


def substitute(slot: Slot) -> Any:
    """Return the replacement without an equivalent: Keras' default, or zeros for biases."""
    biases = (initializers.Chrono, initializers.ForgetBias)
    return (
        slot.new("Zeros", {})
        if isinstance(slot.initializer, biases)
        else slot.new("GlorotUniform", {})
    )


def _namesake(slot: Slot) -> Any:
    """Return Keras' initializer of the same name, which takes the same arguments."""
    return slot.new(type(slot.initializer).__qualname__, slot.initializer.get_config())


def _constant(slot: Slot) -> Any:
    made: Any = slot.initializer
    # Keras' own broadcasts an array, each Keras differently.
    return None if isinstance(made.value, np.ndarray) else _namesake(slot)


def _stft(slot: Slot) -> Any:
    return _namesake(slot) if slot.library is keras else None  # tf_keras has none


def _identity(slot: Slot) -> Any:
    made: Any = slot.initializer
    # That of Keras 3.15 has no get_config, so a file loses the gain.
    return _namesake(slot) if slot.library is not keras or made.gain == 1 else None


def _orthogonal(slot: Slot) -> Any:
    # That of Keras cannot be called for bfloat16, nor on every backend for float16.
    if slot.dtype in ("bfloat16", "float16"):
        return None
    made: Any = slot.initializer
    # Keras' has one factor, ours another one for the activation.
    plain = {**made.get_config(), "gain": made.factor}
    plain = {n: v for n, v in plain.items() if n not in ("nonlinearity", "negative_slope")}
    return _by_default(slot, type(made).from_config(plain))


def _by_default(slot: Slot, made: Any = None) -> Any:
    """Return Keras' initializer of the same name, if ours uses no argument that it lacks."""
    made = made or slot.initializer
    config, default = made.get_config(), type(made)().get_config()
    known = inspect.signature(getattr(keras.initializers, type(made).__qualname__)).parameters
    if any(config[name] != default[name] for name in config if name not in known):
        return None
    return slot.new(type(made).__qualname__, {n: config[n] for n in config if n in known})


def _alexnet(slot: Slot) -> Any:
    return slot.new("RandomNormal", {"mean": 0.0, "stddev": 0.01, "seed": None})


def _prior(slot: Slot) -> Any:
    return slot.new("Constant", {"value": float(slot.initializer((1,), "float64")[0])})


def _scaled(slot: Slot) -> Any:
    """Return Keras' `VarianceScaling`, or a named variant, of the same variance."""
    made: Any = slot.initializer
    config = made.get_config()
    parameters = inspect.signature(type(made)).parameters
    given = {name for name in config if config[name] != parameters[name].default}
    axes = {name: config[name] for name in _AXES} if given & _AXES else {}
    if axes and not _takes_axes(slot.library):
        return None
    if type(made) is not initializers.VarianceScaling and given <= {"seed"} | _AXES:
        return slot.new(type(made).__qualname__, {"seed": made.seed, **axes})
    if given <= _OF_THE_SCALE | _AXES and made.mode in ("fan_avg", "fan_in", "fan_out"):
        plain = type(made).from_config({**config, **dict.fromkeys(_AXES)})
        scaling = {
            # All fans of this shape are 1, so that its variance is the scale.
            "scale": plain.variance((1, 1)),
            "mode": made.mode,
            "distribution": made.distribution,
            "seed": made.seed,
        }
        return slot.new("VarianceScaling", scaling | axes)
    return None


def _takes_axes(library: Any) -> bool:
    """Return whether a Keras' own initializers take axes: Keras 3.15 and later, not tf_keras."""
    return inspect.signature(library.initializers.VarianceScaling).parameters.keys() >= _AXES


def _none(slot: Slot) -> None:
    """Return None: Keras lacks this distribution."""


# A class missing here is refused.
_CONVERTERS_BY_NAMES: dict[str, Callable[[Slot], Any]] = {
    "GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform": _scaled,
    "VarianceScaling": _scaled,
    "Ones RandomNormal RandomUniform Zeros": _namesake,
    "AlexNet": _alexnet,
    "Constant": _constant,
    "Identity": _identity,
    "Orthogonal": _orthogonal,
    "PriorProbability": _prior,
    "STFT": _stft,
    "TruncatedNormal": _by_default,
    "Bilinear CentredNormal Chrono ConvOrthogonal ConvolutionAware DeltaOrthogonal Dirac": _none,
    "ForgetBias FromModel ICNR PerGate Siren Sparse WinningTicket ZerO": _none,
}
_CONVERTERS: dict[type, Callable[[Slot], Any]] = {
    getattr(initializers, name): convert
    for names, convert in _CONVERTERS_BY_NAMES.items()
    for name in names.split()
}
