"""Which of Keras' initializers one of ours is, or that none is.

A layer of Keras' own initializers can be made where kerasinit is not installed. Where Keras
has the distribution of ours, that is what it gets; else a constant, with the values. The
table `_WAYS` below names every class of ours.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from kerasinit._src import initializers
from kerasinit._src.compat import Kerase
from kerasinit._src.initializers.base import Initializer, RandomInitializer
from kerasinit._src.initializers.saved_values import SourceChangedError
from kerasinit._src.theory.fans import shape_fans

KERASES = {"keras": keras, "tf_keras": tf_keras}
ADVICE = (
    "Give the layer one of Keras' own initializers, or save only the weights "
    "(`save_weights`), which name no initializer."
)


@dataclass(frozen=True)
class Call:
    """What a layer asked an initializer for.

    Attributes:
        shape: Shape of the tensor.
        dtype: Its dtype.
        axes: The input and the output axes, if the layer told them, as Keras 3's
            ``EinsumDense`` does; else two None.
        variable: Which of the model's variables got the values as they are, in the order of
            `network.walk.named_variables`; None if none did.
    """

    shape: tuple[int, ...]
    dtype: str
    axes: tuple[Any, Any]
    variable: int | None


@dataclass(frozen=True)
class Slot:
    """A place in a model where one of our initializers stands, and the layer's name."""

    layer: str
    made: Initializer
    kerase: Kerase

    @property
    def keras_initializers(self) -> Any:
        """The module with the initializers of the model's Keras."""
        return KERASES[self.kerase].initializers

    def new(self, name: str, config: dict[str, Any]) -> Any:
        """Return an initializer of Keras, with the seed that Keras can take for ours."""
        if "seed" in config:
            config = {**config, "seed": self._seed()}
        return getattr(self.keras_initializers, name)(**config)

    def _seed(self) -> int | None:
        # A SeedGenerator may be shared, so that no two layers draw the same from it. A file
        # would give each its own, all alike; with None each draws afresh, as from the first.
        seed = self.made.seed if isinstance(self.made, RandomInitializer) else None
        if not isinstance(seed, int):
            return None
        return seed if seed < 2**31 else seed % 2**31


def distribution(slot: Slot, calls: Sequence[Call] = ()) -> Any:
    """Return Keras' initializer of the same distribution, or None if there is none.

    Args:
        slot: The place of ours.
        calls: What is asked of it. Without, the answer is None also if it depends on that.

    Raises:
        TypeError: If the class is not in the table.
    """
    way = _WAYS.get(type(slot.made))
    if way is None:
        raise TypeError(
            f"The layer {slot.layer!r} has the initializer {slot.made!r}, of which portable does "
            f"not know what it is among Keras' own. {ADVICE}"
        )
    return way(slot, calls)


def constant(slot: Slot, calls: Sequence[Call], weights: Sequence[np.ndarray]) -> Any:
    """Return Keras' `Constant` with the values of the one tensor that ours is asked for.

    Args:
        slot: The place of ours.
        calls: What is asked of it.
        weights: The values of the model's variables, in the order of
            `network.walk.named_variables`, for what has no integer seed, or no
            file any more, from which its values could be had again.

    Raises:
        ValueError: If it is asked for several tensors.
    """
    if not calls:
        return slot.keras_initializers.Zeros()  # the layer has no use for it
    made = slot.made
    wrong = f"The layer {slot.layer!r} asks {made!r}, for which Keras has no equal, for"
    if len({call.shape for call in calls}) > 1:
        shapes = ", ".join(str(call.shape) for call in calls)
        raise ValueError(f"{wrong} several tensors, of the shapes {shapes}. {ADVICE}")
    values, gone = None, "it has no integer seed from which its values could be had again."
    if not isinstance(made, RandomInitializer) or isinstance(made.seed, int):
        try:
            values = _with_axes(made, calls[0])(calls[0].shape, calls[0].dtype)
        except (FileNotFoundError, SourceChangedError) as error:
            gone = str(error)
    if values is None:
        place, *others = {call.variable for call in calls}
        if others or place is None:
            raise ValueError(
                f"{wrong} what does not become one variable as it is; and {gone} {ADVICE}"
            )
        values = weights[place]
    if values.dtype == tf.bfloat16.as_numpy_dtype:
        values = values.astype("float32")
    # tf_keras' .h5 files take lists and no arrays; Keras 3 would round a list to float32.
    array = slot.kerase == "keras" and values.ndim > 0
    return slot.keras_initializers.Constant(values if array else values.tolist())


def _namesake(slot: Slot, calls: Sequence[Call]) -> Any:
    """Return Keras' initializer of the same name, which takes the same arguments."""
    return slot.new(type(slot.made).__qualname__, slot.made.get_config())


def _constant(slot: Slot, calls: Sequence[Call]) -> Any:
    made: Any = slot.made
    # Keras' own broadcast an array each in its way: they get the whole variable's values.
    return None if isinstance(made.value, np.ndarray) else _namesake(slot, calls)


def _stft(slot: Slot, calls: Sequence[Call]) -> Any:
    return _namesake(slot, calls) if slot.kerase == "keras" else None  # tf_keras has none


def _identity(slot: Slot, calls: Sequence[Call]) -> Any:
    made: Any = slot.made
    # That of Keras 3.15 has no get_config, so that a file forgets the gain.
    return _namesake(slot, calls) if slot.kerase == "tf_keras" or made.gain == 1 else None


def _orthogonal(slot: Slot, calls: Sequence[Call]) -> Any:
    # That of Keras cannot be called for bfloat16, nor on every backend for float16.
    if calls and all(call.dtype in ("float32", "float64") for call in calls):
        made: Any = slot.made
        # Keras' has one factor, ours one that belongs to an activation besides.
        plain = {**made.get_config(), "gain": made.factor}
        plain = {n: v for n, v in plain.items() if n not in ("nonlinearity", "negative_slope")}
        return _by_default(replace(slot, made=type(made).from_config(plain)), calls)
    return None


def _by_default(slot: Slot, calls: Sequence[Call]) -> Any:
    """Return Keras' initializer of the same name, if ours has no argument that it lacks."""
    made: Any = slot.made
    config, default = made.get_config(), type(made)().get_config()
    known = inspect.signature(getattr(keras.initializers, type(made).__qualname__)).parameters
    if any(config[name] != default[name] for name in config if name not in known):
        return None
    return slot.new(type(made).__qualname__, {n: config[n] for n in config if n in known})


def _alexnet(slot: Slot, calls: Sequence[Call]) -> Any:
    made: Any = slot.made
    return slot.new("RandomNormal", {"mean": 0.0, "stddev": 0.01, "seed": made.seed})


def _prior(slot: Slot, calls: Sequence[Call]) -> Any:
    return slot.new("Constant", {"value": float(slot.made((1,), "float64")[0])})


def _scaled(slot: Slot, calls: Sequence[Call]) -> Any:
    """Return Keras' `VarianceScaling`, or a named kin of it, of the same variance."""
    made: Any = slot.made
    config = made.get_config()
    parameters = inspect.signature(type(made)).parameters
    given = {name for name in config if config[name] != parameters[name].default}
    axes = {name: config[name] for name in _AXES} if given & _AXES else {}
    if slot.kerase == "keras" or not axes:
        if type(made) is not initializers.VarianceScaling and given <= {"seed"} | _AXES:
            return slot.new(type(made).__qualname__, {"seed": made.seed, **axes})
        if given <= _OF_THE_SCALE | _AXES and made.mode in ("fan_avg", "fan_in", "fan_out"):
            plain = type(made).from_config({**config, **dict.fromkeys(_AXES)})
            # All fans of this shape are 1, so that its variance is the scale.
            return _variance_scaling(slot, plain.variance((1, 1)), made.mode, axes)
    # What distinguishes the fans from those that Keras will see is put into the scale.
    scales = [
        _with_axes(made, call).variance(call.shape) * max(1, shape_fans(call.shape, *call.axes)[0])
        for call in calls
    ]
    if not scales or max(scales) > (1 + 1e-9) * min(scales):
        return None
    return _variance_scaling(slot, scales[0], "fan_in", {})


_AXES = {"input_axes", "output_axes"}
_OF_THE_SCALE = {
    "distribution",
    "gain",
    "mode",
    "negative_slope",
    "nonlinearity",
    "scale",
    "seed",
}


def _variance_scaling(slot: Slot, scale: float, mode: str, axes: dict[str, Any]) -> Any:
    made: Any = slot.made
    config = {"scale": scale, "mode": mode, "distribution": made.distribution, "seed": made.seed}
    return slot.new("VarianceScaling", {**config, **axes})


def _none(slot: Slot, calls: Sequence[Call]) -> None:
    """Return None: Keras has no such distribution."""


# A class that is missing here is refused, not guessed at.
_WAYS: dict[type, Callable[[Slot, Sequence[Call]], Any]] = {
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


def _with_axes(made: Any, call: Call) -> Any:
    """Return the initializer as a layer uses it that tells it its axes."""
    if call.axes == (None, None) or getattr(made, "input_axes", call.axes) is not None:
        return made
    inputs, outputs = call.axes
    return type(made).from_config(
        {**made.get_config(), "input_axes": inputs, "output_axes": outputs}
    )
