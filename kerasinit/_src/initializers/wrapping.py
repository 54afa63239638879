"""What initializers share that arrange the values of another one."""

from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.initializers.base import Initializer, RandomInitializer, Seed
from kerasinit._src.initializers.identifiers import parse
from kerasinit._src.initializers.sampling import Stream

_EXPECTED = (
    "an initializer of this package: an instance such as kerasinit.HeNormal(), a name such as "
    "'HeNormal' or 'RandomNormal:stddev=0.01', or a configuration"
)


class Wrapper(RandomInitializer):
    """Base class of the initializers that take another one and place its values.

    To make one of your own, write `_draw`, which calls `_draw_inner`, and a `get_config`
    if the constructor takes more than these two arguments.

    Args:
        initializer: Where the values come from: an initializer of this package or a
            registered class of your own that extends one, as an instance, as a name
            (``"HeNormal"``, ``"kerasinit>HeNormal"``, ``"RandomNormal:stddev=0.01"``) or
            as its serialized configuration. Without a seed of its own: the wrapper's
            counts.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If the initializer is something else, such as one of Keras' own.
        ValueError: If its name is unknown or it has a seed.

    Example:
    >>> class Doubled(Wrapper):
    ...     def _draw(self, stream, shape, dtype):
    ...         return 2 * self._draw_inner(stream, shape, dtype)
    >>> Doubled("Ones")((3,))
    array([2., 2., 2.], dtype=float32)
    """

    def __init__(self, initializer: Initializer | str | dict[str, Any], seed: Seed = None):
        super().__init__(seed)
        self.initializer = _made(self, initializer)
        if getattr(self.initializer, "seed", None) is not None:
            owner = type(self).__qualname__
            raise ValueError(
                f"{owner} draws with its own seed; got initializer={self.initializer!r}, which "
                f"has one too. Give the seed to {owner} instead."
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        inner = compat.serialized(self.initializer)
        # The registered name says it all and is for ever; the module may be renamed.
        del inner["module"]
        return {"initializer": inner, **super().get_config()}

    def _draw_inner(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return values of the wrapped initializer; from the stream, if it draws at all."""
        if isinstance(self.initializer, RandomInitializer):
            return self.initializer._draw(stream, shape, dtype)
        return self.initializer._values(shape, dtype)


def _made(owner: Wrapper, came: Any) -> Initializer:
    """Return the initializer that an argument stands for, or raise what is wrong with it."""
    if isinstance(came, Initializer):
        return came
    if isinstance(came, str):
        kind = _registered(came)
        return kind() if kind else parse(came)
    # Neither Keras takes apart what is inside the configuration of an initializer.
    if isinstance(came, dict) and isinstance(came.get("config"), dict):
        kind = _registered(came.get("registered_name") or came.get("class_name"))
        if kind:
            return kind.from_config(came["config"])
    raise TypeError(
        f"{type(owner).__qualname__} got initializer={came!r} of type "
        f"{type(came).__qualname__}; expected {_EXPECTED}."
    )


def _registered(name: Any) -> type[Initializer] | None:
    """Return the class of ours, or of a user's that extends ours, which a name stands for."""
    kind = keras.saving.get_registered_object(name)
    return kind if isinstance(kind, type) and issubclass(kind, Initializer) else None
