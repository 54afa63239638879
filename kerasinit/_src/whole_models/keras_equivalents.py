"""Which of Keras' initializers stands for one of ours where kerasinit is not installed.

Where Keras has the same distribution, that one; else its default, which is reported. The table
`_WAYS` below names every class of ours.
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
    """A place in a model's configuration where one of our initializers stands.

    Attributes:
        layer: The layer's name.
        made: The initializer.
        library: The model's Keras.
        dtype: The name of the layer's dtype policy; empty if the configuration has none.
    """

    layer: str
    made: Initializer
    library: Any
    dtype: str

    def new(self, name: str, config: dict[str, Any]) -> Any:
        """Return an initializer of Keras, with the seed that Keras can take for ours."""
        if "seed" in config:
            config = {**config, "seed": self._seed()}
        return getattr(self.library.initializers, name)(**config)

    def _seed(self) -> int | None:
        # A SeedGenerator may be shared, so that no two layers draw the same from it. A file
        # would give each its own, all alike; with None each draws afresh, as from the first.
        seed = self.made.seed if isinstance(self.made, RandomInitializer) else None
        return seed % 2**31 if isinstance(seed, int) else None


def equivalent(slot: Slot) -> Any:
    """Return Keras' initializer of the same distribution, or None if there is none.

    Raises:
        TypeError: If the class is not in the table.
    """
    way = _WAYS.get(type(slot.made))
    if way is None:
        raise TypeError(
            f"The layer {slot.layer!r} has the initializer {slot.made!r}, of which portable does "
            f"not know what it is among Keras' own. {ADVICE}"
        )
    return way(slot)


def substitute(slot: Slot) -> Any:
    """Return what stands where Keras has no equal: its default for kernels, zeros for biases."""
    biases = (initializers.Chrono, initializers.ForgetBias)
    return slot.new("Zeros", {}) if isinstance(slot.made, biases) else slot.new("GlorotUniform", {})


def _namesake(slot: Slot) -> Any:
    """Return Keras' initializer of the same name, which takes the same arguments."""
    return slot.new(type(slot.made).__qualname__, slot.made.get_config())


def _constant(slot: Slot) -> Any:
    made: Any = slot.made
    # Keras' own would broadcast an array, each Keras in its way.
    return None if isinstance(made.value, np.ndarray) else _namesake(slot)


def _stft(slot: Slot) -> Any:
    return _namesake(slot) if slot.library is keras else None  # tf_keras has none


def _identity(slot: Slot) -> Any:
    made: Any = slot.made
    # That of Keras 3.15 has no get_config, so that a file forgets the gain.
    return _namesake(slot) if slot.library is not keras or made.gain == 1 else None


def _orthogonal(slot: Slot) -> Any:
    # That of Keras cannot be called for bfloat16, nor on every backend for float16.
    if slot.dtype in ("bfloat16", "float16"):
        return None
    made: Any = slot.made
    # Keras' has one factor, ours one that belongs to an activation besides.
    plain = {**made.get_config(), "gain": made.factor}
    plain = {n: v for n, v in plain.items() if n not in ("nonlinearity", "negative_slope")}
    return _by_default(slot, type(made).from_config(plain))


def _by_default(slot: Slot, made: Any = None) -> Any:
    """Return Keras' initializer of the same name, if ours has no argument that it lacks."""
    made = made or slot.made
    config, default = made.get_config(), type(made)().get_config()
    known = inspect.signature(getattr(keras.initializers, type(made).__qualname__)).parameters
    if any(config[name] != default[name] for name in config if name not in known):
        return None
    return slot.new(type(made).__qualname__, {n: config[n] for n in config if n in known})


def _alexnet(slot: Slot) -> Any:
    return slot.new("RandomNormal", {"mean": 0.0, "stddev": 0.01, "seed": None})


def _prior(slot: Slot) -> Any:
    return slot.new("Constant", {"value": float(slot.made((1,), "float64")[0])})


def _scaled(slot: Slot) -> Any:
    """Return Keras' `VarianceScaling`, or a named kin of it, of the same variance."""
    made: Any = slot.made
    config = made.get_config()
    parameters = inspect.signature(type(made)).parameters
    given = {name for name in config if config[name] != parameters[name].default}
    axes = {name: config[name] for name in _AXES} if given & _AXES else {}
    if axes and slot.library is not keras:
        return None  # tf_keras' own know no axes
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


def _none(slot: Slot) -> None:
    """Return None: Keras has no such distribution."""


# A class that is missing here is refused, not guessed at.
_WAYS: dict[type, Callable[[Slot], Any]] = {
    initializers.AlexNet: _alexnet,
    initializers.Bilinear: _none,
    initializers.CentredNormal: _none,
    initializers.Chrono: _none,
    initializers.Constant: _constant,
    initializers.ConvOrthogonal: _none,
    initializers.ConvolutionAware: _none,
    initializers.DeltaOrthogonal: _none,
    initializers.Dirac: _none,
    initializers.ForgetBias: _none,
    initializers.FromModel: _none,
    initializers.GlorotNormal: _scaled,
    initializers.GlorotUniform: _scaled,
    initializers.HeNormal: _scaled,
    initializers.HeUniform: _scaled,
    initializers.ICNR: _none,
    initializers.Identity: _identity,
    initializers.LecunNormal: _scaled,
    initializers.LecunUniform: _scaled,
    initializers.Ones: _namesake,
    initializers.Orthogonal: _orthogonal,
    initializers.PerGate: _none,
    initializers.PriorProbability: _prior,
    initializers.RandomNormal: _namesake,
    initializers.RandomUniform: _namesake,
    initializers.STFT: _stft,
    initializers.Siren: _none,
    initializers.Sparse: _none,
    initializers.TruncatedNormal: _by_default,
    initializers.VarianceScaling: _scaled,
    initializers.WinningTicket: _none,
    initializers.ZerO: _none,
    initializers.Zeros: _namesake,
}
