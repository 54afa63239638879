"""Arguments that several methods take, and whether an output can be scaled at all."""

import keras
import ml_dtypes  # numpy's own finfo does not know bfloat16
import numpy as np
import tensorflow as tf

from kerasinit._src.whole_models.from_batch.targets import Target


def varies(output: np.ndarray, target: Target, axis: int | None = None) -> np.ndarray:
    """Return whether outputs vary by more than the rounding of a constant.

    Args:
        output: What a target makes of a batch, in float64.
        target: The target, for the precision in which its layer computes.
        axis: Which axis counts the values of one unit; None for all together.

    Raises:
        ValueError: If an output is not finite.
    """
    if not np.isfinite(output).all():
        raise ValueError(
            f"{target.name!r} gives values that are not finite (NaN or infinity): look at the "
            f"weights in front of it."
        )
    dtype = getattr(target.layer, "compute_dtype", None) or keras.config.floatx()
    rounding = 8 * float(ml_dtypes.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps)
    largest = np.abs(output).max(axis, keepdims=True)
    # Relative to the largest value first: squares of small numbers may be nothing.
    relative = output / np.where(largest > 0, largest, 1)
    return relative.std(axis) > rounding
