"""Pruning schedules: tfmot's, as classes of this package.

Names, arguments, numbers and configurations are those of ``tfmot.sparsity.keras``, so that code
and files move between the two. Pruning a Keras 3 model with them imports neither tfmot nor
tf_keras.
"""

import abc
from typing import Any

from kerasinit._src.pruning.tfmot_bridge import loaded_class, tfmot
from kerasinit._src.troubleshooting import see


class PruningSchedule(abc.ABC):
    """Base class of pruning schedules, which decide at each step whether and how far to prune.

    Derive custom schedules from it. Any callable with the same argument and result serves as
    well, and tfmot's schedules are instances of this class. The protected methods that tfmot's
    class has for its subclasses are here, too.

    Example:
    >>> from kerasinit import pruning
    >>> class Linear(pruning.PruningSchedule):
    ...     def __call__(self, step):
    ...         fires = self._should_prune_in_step(step, 0, -1, frequency=100)
    ...         return fires, min(0.001 * float(step), 0.5)
    ...
    ...     def get_config(self):
    ...         return {"class_name": "Linear", "config": {}}
    >>> fires, sparsity = Linear()(300)
    >>> bool(fires), sparsity
    (True, 0.3)
    """

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        # A user's subclass inherits this method and has no counterpart in tfmot.
        theirs = loaded_class(cls.__name__) if cls.__module__ == __name__ else None
        return True if theirs in other.__mro__ else NotImplemented

    @abc.abstractmethod
    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Return ``(whether to update the masks, sparsity)`` at a training step.

        Args:
            step: An integer, or a scalar tensor within a graph. The first step is 1.

        Returns:
            A boolean and the fraction of weights to remove, in [0, 1); both may be scalar
            tensors.
        """

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Return ``{"class_name": ..., "config": arguments}``."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PruningSchedule":
        """Return a schedule from the ``"config"`` entry of `get_config`.

        Args:
            config: The constructor's arguments by name.
        """
        return cls(**config)

    def _should_prune_in_step(self, step: Any, begin_step: Any, end_step: Any, frequency: Any):
        """Return whether a step is ``begin_step + i * frequency`` and not after ``end_step``.

        A negative ``end_step`` is no end. Here and below the names are tfmot's, since custom
        schedules call these methods.
        """
        import tensorflow as tf

        begun = tf.math.greater_equal(step, begin_step)
        ended = tf.math.logical_and(
            tf.math.greater(step, end_step), tf.math.greater_equal(end_step, 0)
        )
        steps_since = tf.math.subtract(step, begin_step)
        is_due = tf.math.equal(tf.math.floormod(steps_since, frequency), 0)
        return begun & ~ended & is_due

    def _validate_step(
        self, begin_step: Any, end_step: Any, frequency: Any, allow_negative_1: bool
    ) -> None:
        """Raise ValueError if the steps contradict each other."""
        if begin_step < 0:
            raise ValueError(f"Expected begin_step to be at least 0; got {begin_step!r}.")
        if end_step == -1 and not allow_negative_1:
            raise ValueError(
                "Expected end_step to be the step at which the schedule ends; got -1, no end."
            )
        if end_step != -1 and (end_step < 0 or end_step < begin_step):
            raise ValueError(
                f"Expected end_step to be at least begin_step"
                f"{', or -1 for no end' if allow_negative_1 else ''}; got end_step={end_step!r} "
                f"and begin_step={begin_step!r}."
            )
        if frequency <= 0:
            raise ValueError(f"Expected frequency to be at least 1; got {frequency!r}.")

    def _validate_sparsity(self, sparsity: Any, variable_name: str) -> None:
        """Raise ValueError if a sparsity is not in [0, 1)."""
        if not 0 <= sparsity < 1:
            hint = ""
            if 1 < sparsity < 100:
                hint = f" If that is a percentage, {sparsity / 100:.6g} would be the fraction."
            raise ValueError(
                f"{variable_name}, the fraction to remove, must be in range [0,1); got "
                f"{sparsity!r}.{hint} {see('sparsity-range')}"
            )


class _Periodic(PruningSchedule):
    """A schedule that fires every ``frequency`` steps from ``begin_step`` to ``end_step``."""

    _arguments: tuple[str, ...]
    begin_step: int
    end_step: int
    frequency: int

    def get_config(self) -> dict[str, Any]:
        """Return ``{"class_name": ..., "config": arguments}``."""
        return {
            "class_name": type(self).__name__,
            "config": {name: getattr(self, name) for name in self._arguments},
        }

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._arguments)
        return f"{type(self).__name__}({shown})"

    def _fires(self, step: Any) -> Any:
        return self._should_prune_in_step(step, self.begin_step, self.end_step, self.frequency)


class ConstantSparsity(_Periodic):
    """The same sparsity at every update of the masks.

    For pruning in one shot, or for fine-tuning at a fixed sparsity.

    The masks are updated at the steps ``begin_step + i * frequency`` up to ``end_step``. Training
    begins with step 1: with ``begin_step=0`` the first update is at step ``frequency``.

    Args:
        target_sparsity: The fraction of weights to remove, in [0, 1).
        begin_step: The step of the first update, at least 0.
        end_step: The last step at which there may be an update; default -1, no end.
        frequency: Number of steps from one update to the next; default 100.

    Raises:
        ValueError: If a number is out of its range.

    Example:
    >>> from kerasinit import pruning
    >>> schedule = pruning.ConstantSparsity(0.5, begin_step=0, frequency=100)
    >>> [bool(schedule(step)[0]) for step in (1, 99, 100)]
    [False, False, True]

    Reference:
        [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878);
        ``tfmot.sparsity.keras.ConstantSparsity``.
    """

    _arguments = ("target_sparsity", "begin_step", "end_step", "frequency")

    def __init__(
        self, target_sparsity: float, begin_step: int, end_step: int = -1, frequency: int = 100
    ):
        self._validate_step(begin_step, end_step, frequency, True)
        self._validate_sparsity(target_sparsity, "target_sparsity")
        self.target_sparsity = target_sparsity
        self.begin_step = begin_step
        self.end_step = end_step
        self.frequency = frequency

    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Return ``(whether to update the masks, sparsity)`` at a training step, as tensors."""
        import tensorflow as tf

        return self._fires(step), tf.constant(self.target_sparsity, dtype=tf.float32)


class PolynomialDecay(_Periodic):
    """A sparsity that rises from one value to another, fast at first and then slowly.

    Also known as gradual magnitude pruning, or, with the default power, as the cubic schedule.

    Formula::

        progress = clip((step - begin_step) / (end_step - begin_step), 0, 1)
        sparsity = final_sparsity + (initial_sparsity - final_sparsity) * (1 - progress) ** power

    The masks are updated at the steps ``begin_step + i * frequency`` up to ``end_step``. The
    final sparsity is that of ``end_step`` itself: choose ``end_step - begin_step`` as a multiple
    of ``frequency``, so that the last update is there.

    Args:
        initial_sparsity: The fraction of weights to remove at ``begin_step``, in [0, 1).
        final_sparsity: The fraction of weights to remove at ``end_step``, in [0, 1).
        begin_step: The step of the first update, at least 0.
        end_step: The step at which the final sparsity is reached.
        power: The exponent; default 3.
        frequency: Number of steps from one update to the next; default 100.

    Raises:
        ValueError: If a number is out of its range.

    Example:
    >>> from kerasinit import pruning
    >>> schedule = pruning.PolynomialDecay(0.0, 0.8, begin_step=0, end_step=200)
    >>> [round(float(schedule(step)[1]), 3) for step in (0, 100, 200)]
    [0.0, 0.7, 0.8]

    Reference:
        [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878);
        ``tfmot.sparsity.keras.PolynomialDecay``.
    """

    _arguments = (
        "initial_sparsity",
        "final_sparsity",
        "power",
        "begin_step",
        "end_step",
        "frequency",
    )

    def __init__(
        self,
        initial_sparsity: float,
        final_sparsity: float,
        begin_step: int,
        end_step: int,
        power: float = 3,
        frequency: int = 100,
    ):
        self._validate_step(begin_step, end_step, frequency, False)
        self._validate_sparsity(initial_sparsity, "initial_sparsity")
        self._validate_sparsity(final_sparsity, "final_sparsity")
        self.initial_sparsity = initial_sparsity
        self.final_sparsity = final_sparsity
        self.power = power
        self.begin_step = begin_step
        self.end_step = end_step
        self.frequency = frequency

    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Return ``(whether to update the masks, sparsity)`` at a training step, as tensors."""
        import tensorflow as tf

        # The operations and types of tfmot, for the same bits.
        steps_since = tf.cast(step - self.begin_step, tf.float32)
        progress = tf.math.divide(steps_since, self.end_step - self.begin_step)
        progress = tf.math.minimum(1.0, tf.math.maximum(0.0, progress))
        rise = self.initial_sparsity - self.final_sparsity
        sparsity = tf.math.add(
            tf.math.multiply(rise, tf.math.pow(1 - progress, self.power)), self.final_sparsity
        )
        return self._fires(step), sparsity


_STANDARD = (ConstantSparsity, PolynomialDecay)


def is_standard(schedule: Any) -> bool:
    """Return whether this is a ConstantSparsity or PolynomialDecay, of tfmot or not.

    These validate their own sparsity and fire periodically. A subclass need not.
    """
    kind = type(schedule)
    return kind in _STANDARD or kind in [loaded_class(one.__name__) for one in _STANDARD]


def as_tfmots(schedule: Any) -> Any:
    """Return tfmot's equivalent of a ConstantSparsity or PolynomialDecay, anything else unchanged.

    A tf_keras model that tfmot prunes then contains what it does without this package.
    """
    if type(schedule) not in _STANDARD:
        return schedule
    theirs = getattr(tfmot(), type(schedule).__name__)
    return theirs.from_config(schedule.get_config()["config"])
