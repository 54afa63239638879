"""Masks that keep removed weights at zero while a model trains."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.moments import leaves_zeros


class HeldMasks:
    """Masks by which a model's gradients and weights are multiplied.

    ``prunable`` has the masked weights by name, ``moments`` the optimizer's variables by name, and
    ``weights`` the weight of each moment, where known.
    """

    def __init__(
        self,
        model: Any,
        prunable: Mapping[str, Any],
        moments: Mapping[str, Any],
        weights: Mapping[str, Any],
    ) -> None:
        self._model, self._prunable = model, prunable
        self._masks = {
            id(variable): tf.Variable(
                tf.ones(variable.shape, compat.tensor(variable).dtype), trainable=False, name="mask"
            )
            for variable in prunable.values()
        }
        self._moments = [
            (moments[name], self._masks[id(weight)])
            for name, weight in weights.items()
            if id(weight) in self._masks
        ]
        self._held = [(variable, self._masks[id(variable)]) for variable in prunable.values()]
        if optimizers.averages_weights(model):
            # Averages are taken within a step, before the masks are applied.
            self._held += self._moments
        self._leaves_zeros = leaves_zeros(model, moments, weights)

    def set(self, masks: Masks) -> None:
        """Assign the masks, and multiply the weights by them."""
        for name, variable in self._prunable.items():
            self._masks[id(variable)].assign(masks[name])
        self.hold()

    def hold(self) -> None:
        """Multiply the weights by the masks."""
        for variable, mask in self._held:
            # An optimizer may divide by a statistic of the gradients, which is 0 for a removed
            # weight: NaN must become zero as well.
            held = tf.math.multiply_no_nan(compat.tensor(variable), mask)
            compat.assign(variable, held)

    def mask(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """Return gradients that are zero where the masks remove weights."""
        masked = []
        for variable, gradient in zip(variables, gradients, strict=True):
            mask = self._masks.get(id(variable))
            if mask is not None and gradient is not None:
                gradient = tf.convert_to_tensor(gradient) * tf.cast(mask, gradient.dtype)
            masked.append(gradient)
        return masked

    def zeros_persist(self) -> bool:
        """Return whether removed weights stay zero if only their gradients are masked.

        Then `hold` is not needed after every step, where it costs a tenth of an optimizer's time,
        or some hundredths of a step for many weights.
        """
        return self._leaves_zeros and all(_is_masked(*moment) for moment in self._moments)

    def require_zeros(self) -> None:
        """Raise RuntimeError unless all removed weights are zero."""
        for name, variable in self._prunable.items():
            if not _is_masked(variable, self._masks[id(variable)]):
                raise RuntimeError(
                    f"Removed weights of {name!r} were changed during a step, not by the "
                    f"optimizer ({type(self._model.optimizer).__name__}). If a layer assigns to "
                    f"its kernel, train with --xla, which multiplies by the masks in every step."
                )


def _is_masked(variable: Any, mask: tf.Variable) -> bool:
    value = compat.tensor(variable)
    # NaN everywhere means that the training diverged, which is reported elsewhere.
    moved = tf.math.is_finite(value) & tf.not_equal(value, tf.zeros((), value.dtype))
    return not bool(tf.reduce_any(moved & tf.equal(mask, tf.zeros((), mask.dtype))))
