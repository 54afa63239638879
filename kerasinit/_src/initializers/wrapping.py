"""Base class of initializers that arrange the values of another one."""

from typing import Any

import keras
import numpy as np

from kerasinit._src.initializers.base import Initializer, RandomInitializer, Seed
from kerasinit._src.initializers.identifiers import parse
from kerasinit._src.initializers.sampling import Stream

_EXPECTED = (
    "an initializer of this package: an instance such as kerasinit.HeNormal(), a name such as "
    "'HeNormal' or 'RandomNormal:stddev=0.01', or a configuration"
)


class Wrapper(RandomInitializer):
    """Base class of initializers that wrap another one and arrange its values.

    A custom subclass implements `_draw`, which calls `_draw_inner`, and `get_config` if its
    constructor takes more than these two arguments.

    Args:
        initializer: The wrapped initializer: one of this package or a registered custom
            subclass of one, as an instance, a name (``"HeNormal"``,
            ``"kerasinit>HeNormal"``, ``"RandomNormal:stddev=0.01"``) or a serialized
            configuration. It must not have a seed; the seed of the wrapper is used.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.

    Raises:
        TypeError: If the initializer is of another kind, such as a built-in one of Keras.
        ValueError: If its name is unknown or it has a seed.

    Example:
    >>> class Doubled(Wrapper):
    ...     def _draw(self, stream, shape, dtype):
    ...         return 2 * self._draw_inner(stream, shape, dtype)
    >>> Doubled("Ones")((3,))
    array([2., 2., 2.], dtype=float32)
    """

    _arguments = ("initializer", "seed")

    def __init__(self, initializer: Initializer | str | dict[str, Any], seed: Seed = None):
        super().__init__(seed)
        self.initializer = _resolved(self, initializer)
        if getattr(self.initializer, "seed", None) is not None:
            owner = type(self).__qualname__
            raise ValueError(
                f"{owner} uses its own seed; got initializer={self.initializer!r}, which has one "
                f"too. Pass the seed to {owner} instead."
            )

    def _draw_inner(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return values of the wrapped initializer, drawn from the stream if it is random."""
        if isinstance(self.initializer, RandomInitializer):
            return self.initializer._draw(stream, shape, dtype)
        return self.initializer._values(shape, dtype)


def _resolved(owner: Wrapper, given: Any) -> Initializer:
    if isinstance(given, Initializer):
        return given
    if isinstance(given, str):
        kind = _registered_class(given)
        return kind() if kind else parse(given)
    # Keras does not deserialize objects nested in the configuration of an initializer.
    if isinstance(given, dict) and isinstance(given.get("config"), dict):
        kind = _registered_class(given.get("registered_name") or given.get("class_name"))
        if kind:
            return kind.from_config(given["config"])
    raise TypeError(
        f"{type(owner).__qualname__} got initializer={given!r} of type "
        f"{type(given).__qualname__}; expected {_EXPECTED}."
    )


def _registered_class(name: Any) -> type[Initializer] | None:
    """Return the class registered under a name, if it is one of this package or extends one."""
    kind = keras.saving.get_registered_object(name)
    return kind if isinstance(kind, type) and issubclass(kind, Initializer) else None
