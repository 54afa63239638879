"""Binds an initializer to the variable that it fills: seed, fans, axes and gates."""

from typing import Any

import keras
import numpy as np

from kerasinit._src.initializers.base import Initializer, RandomInitializer
from kerasinit._src.initializers.constant import Identity
from kerasinit._src.initializers.gates import PerGate
from kerasinit._src.initializers.structured_kernels import Dirac, ZerO
from kerasinit._src.network.parts import Part, Reading
from kerasinit._src.whole_models.first_values import own_initializer
from kerasinit._src.whole_models.given_values import GivenValues

OWN = "own"

# These fill each gate separately. Constants and values from a file fill a variable as a whole.
_ONE_PER_GATE = (RandomInitializer, Identity, Dirac, ZerO)


def bind(initializer: Any, part: Part, seed: int) -> Any:
    """Return an initializer bound to one variable, which makes the same values at every call.

    `OWN` stands for the one that the variable's layer was built with; None if that is unknown.
    """
    if initializer is OWN:
        initializer = own_initializer(part)
        if initializer is None:
            return None
        if _has_unit_forget_bias(part):
            return _UnitForgetBias(bind(initializer, part, seed))
    if not isinstance(initializer, Initializer):
        return _seeded(initializer, seed)
    config = initializer.get_config()
    if "seed" in config:
        config["seed"] = seed
    if part.reading is None or (part.reading.by_shape and part.role != "embeddings"):
        return type(initializer).from_config(config)
    config |= _axes_and_fans(config, part.reading)
    if (
        part.reading.gates == 1
        or not isinstance(initializer, _ONE_PER_GATE)
        or isinstance(initializer, PerGate)
        # Independent values with the fans of one gate are gate by gate already.
        or "fans" in config
    ):
        return type(initializer).from_config(config)
    if "seed" in config:
        config["seed"] = None
    return PerGate(type(initializer).from_config(config), part.reading.gates, seed)


def _axes_and_fans(config: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """Return the axes or fans to pass to an initializer that accepts them and was given none."""
    if config.get("input_axes", ()) is not None:
        return {}  # it takes none, or was given some
    if "fans" in config:
        own = config["fans"] is not None
        return {} if own else {"fans": [reading.fan_in, reading.fan_out]}
    first = tuple(range(len(reading.input_axes)))
    if reading.input_axes == first and not reading.batch_axes and len(reading.output_axes) == 1:
        return {}  # the default reading of a shape
    return {"input_axes": list(reading.input_axes), "output_axes": list(reading.output_axes)}


def _seeded(initializer: Any, seed: int) -> Any:
    """Return an initializer of another library, with the seed if it takes one."""
    if not hasattr(initializer, "get_config") or isinstance(initializer, GivenValues):
        return initializer
    config = initializer.get_config()
    if "seed" not in config:
        return initializer
    # The initializers of both Kerases take 31 bits.
    return type(initializer).from_config({**config, "seed": seed % 2**31})


def _has_unit_forget_bias(part: Part) -> bool:
    return part.role == "bias" and bool(getattr(part.layer, "unit_forget_bias", False))


class _UnitForgetBias:
    """An LSTM's bias initializer, with ones in the forget gate."""

    def __init__(self, initializer: Any):
        self.initializer = initializer

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        made = np.array(keras.ops.convert_to_numpy(self.initializer(shape, dtype=dtype)))
        units = shape[-1] // 4
        made[..., units : 2 * units] = 1
        return made

    def get_config(self) -> dict[str, Any]:
        """Return the initializer of all but the forget gate as plain JSON."""
        return {"initializer": keras.saving.serialize_keras_object(self.initializer)}

    def __repr__(self) -> str:
        return f"{self.initializer!r} with ones in the forget gate"


def make_values(initializer: Any, part: Part) -> np.ndarray:
    """Return an initializer's values for a variable.

    Raises TypeError or ValueError if it cannot make them, ValueError if they are not finite.
    """
    dtype = keras.utils.standardize_dtype(part.variable.dtype)
    try:
        made = np.asarray(keras.ops.convert_to_numpy(initializer(part.shape, dtype=dtype)))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{part.name}, of shape {part.shape}: {error}") from error
    if made.shape != part.shape:
        raise ValueError(
            f"{describe(initializer)} made values of shape {made.shape} for {part.name}, of shape "
            f"{part.shape}."
        )
    if not np.isfinite(made.astype(np.float64)).all():
        raise ValueError(f"{describe(initializer)} made non-finite values for {part.name}.")
    return made


def fill(initializer: Any, part: Part, seed: int) -> None:
    """Draw the values of a variable; they are kept if its initializer is unknown."""
    bound = bind(initializer, part, seed)
    if bound is not None:
        part.variable.assign(make_values(bound, part))


def serialize(initializer: Any) -> Any:
    """Return an initializer as JSON; None and `OWN` unchanged."""
    if initializer is None or initializer == OWN:
        return initializer
    return keras.saving.serialize_keras_object(initializer)


def describe(initializer: Any) -> str:
    """Return the text of an initializer, without the seed and fans of one variable."""
    if initializer is None:
        return "kept"
    if isinstance(initializer, _UnitForgetBias):
        return f"{describe(initializer.initializer)} with ones in the forget gate"
    if isinstance(initializer, GivenValues):
        return repr(initializer)
    if not hasattr(initializer, "get_config"):
        return getattr(initializer, "__name__", repr(initializer))
    if not isinstance(initializer, Initializer):
        return f"{type(initializer).__module__.split('.')[0]}.{type(initializer).__name__}"
    config = initializer.get_config()
    plain = {"seed": None, "fans": None}
    return repr(type(initializer).from_config(config | {k: plain[k] for k in plain if k in config}))
