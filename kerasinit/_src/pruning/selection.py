"""Which weights are the largest: tfmot's rule in TensorFlow, exact counts in NumPy.

Two questions look alike and are not. A pruning schedule asks for a *threshold* and
keeps every tie, because that is what tfmot means by a sparsity
(:func:`magnitude_mask`). A lottery ticket asks for an *exact count* with ties in a
fixed order, because its densities are part of the experiment (:func:`keep_largest`).
Neither sorts.
"""

import operator
from typing import Any

import numpy as np
import tensorflow as tf

# Numbers from which on passing over them takes longer than adding up the bins.
_LARGE = 1_000_000


def kth_largest(magnitudes: Any, k: Any, *, counting: bool | None = None) -> tf.Tensor:
    """Return the k-th largest of non-negative numbers, without sorting.

    The bit pattern of a non-negative float, read as an integer, grows with the float.
    So the answer can be found piece by piece, from the highest bits down, in one of two
    ways with the same exact result:

    * by counting how often each value of the highest bits occurs, and then each value of
      the next ones among the numbers that share the highest with the answer. Two or three
      passes, but XLA compiles the counting to something far too slow;
    * bit by bit: a bit is set when at least ``k`` of the numbers would still be as
      large. One pass per bit, 31 for float32, anywhere.

    Neither needs more memory than one integer tensor besides the numbers.

    Args:
        magnitudes: Floating point tensor of any shape with at least one element, no
            element negative. float16 and bfloat16 are searched through float32, which
            holds them exactly; float64 goes bit by bit in 63 passes.
        k: Integer scalar, may be a tensor; 1 asks for the maximum. Between 1 and the
            number of elements.
        counting: Whether to count. Default: when run eagerly; within a graph, which
            cannot know whether XLA will compile it, only when asked to.

    Returns:
        A scalar of the dtype of ``magnitudes``.

    Raises:
        TypeError: If ``magnitudes`` is not floating point.

    Example:
    >>> float(kth_largest([0.5, 3.0, 1.0, 1.0], k=3))
    1.0
    """
    magnitudes = tf.convert_to_tensor(magnitudes)
    threshold = _kth_largest_bits(_bits(magnitudes), k, counting)
    if threshold.dtype == tf.int64:
        return tf.bitcast(threshold, tf.float64)
    return tf.cast(tf.bitcast(threshold, tf.float32), magnitudes.dtype)


def num_kept(size: Any, sparsity: Any) -> tf.Tensor:
    """Return how many of ``size`` weights tfmot means to keep at a sparsity.

    In float32, halves rounded to even, and never none::

        k = max(round(size * (1 - sparsity)), 1)

    Args:
        size: Number of weights, at least 1.
        sparsity: Fraction to remove, in [0, 1); a number or a scalar tensor.

    Returns:
        An int32 scalar between 1 and ``size``.

    Example:
    >>> int(num_kept(10, 0.75)), int(num_kept(10, 0.99))
    (2, 1)
    """
    kept = tf.cast(size, tf.float32) * (1 - sparsity)
    # Above 2**24 weights float32 may round the size up, past the last weight.
    return tf.minimum(tf.cast(tf.maximum(tf.round(kept), 1.0), tf.int32), size)


def magnitude_mask(
    weights: Any, sparsity: Any, *, counting: bool | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return tfmot's mask of the weights that survive at a sparsity.

    With ``k`` from :func:`num_kept`, a weight survives if it is at least as large as the
    k-th largest::

        mask = |w| >= k-th largest |w|

    All ties survive, so more than ``k`` weights may.

    Args:
        weights: Floating point tensor of any shape.
        sparsity: Fraction to remove, in [0, 1); a number or a scalar tensor.
        counting: How to search, see :func:`kth_largest`.

    Returns:
        ``(mask, threshold)``: a boolean tensor shaped like ``weights``, and the k-th
        largest magnitude in their dtype.

    Raises:
        TypeError: If ``weights`` is not floating point.

    Example:
    >>> mask, threshold = magnitude_mask([0.1, -4.0, 2.0, 0.3], sparsity=0.5)
    >>> mask.numpy().tolist(), float(threshold)
    ([False, True, True, False], 2.0)

    Reference:
        [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878)
    """
    magnitudes = tf.abs(tf.convert_to_tensor(weights))
    bits = _bits(magnitudes)
    threshold = _kth_largest_bits(bits, num_kept(tf.size(magnitudes), sparsity), counting)
    # Compared as integers: the processor may take the tiniest floats for zero.
    mask = bits >= threshold
    value = tf.bitcast(threshold, tf.float64 if threshold.dtype == tf.int64 else tf.float32)
    return mask, tf.cast(value, magnitudes.dtype)


def keep_largest(scores: Any, count: int, among: Any = None) -> np.ndarray:
    """Choose exactly ``count`` positions with the largest scores.

    Ties go to the lowest flat index, so the choice depends on the scores alone.

    Args:
        scores: Array of any shape, finite numbers.
        count: How many positions to choose.
        among: Boolean array shaped like ``scores``; only positions where it is True
            can be chosen. Default: all.

    Returns:
        A boolean array shaped like ``scores`` with exactly ``count`` True.

    Raises:
        ValueError: If a score is not finite, if ``among`` has another shape or is not
            boolean, or if ``count`` is negative or more than there is to choose from.
        TypeError: If ``count`` is not an integer.

    Example:
    >>> keep_largest([3.0, 1.0, 3.0, 2.0], count=2).tolist()
    [True, False, True, False]
    >>> keep_largest([3.0, 1.0, 3.0, 2.0], 1, among=[False, True, False, True]).tolist()
    [False, False, False, True]
    """
    scores = np.asarray(scores)
    if scores.dtype.kind not in "biuf":
        # bfloat16 is no kind NumPy can order; float32 holds it exactly.
        scores = scores.astype(np.float32)
    if not np.all(np.isfinite(scores)):
        raise ValueError(
            f"Expected finite scores; got {np.count_nonzero(~np.isfinite(scores))} that are NaN or "
            f"infinite of {scores.size}. Weights that are not finite cannot be ranked: lower the "
            "learning rate, or go back to a checkpoint from before they appeared."
        )
    allowed = _allowed(among, scores.shape)
    count = operator.index(count)
    available = int(np.count_nonzero(allowed))
    if not 0 <= count <= available:
        raise ValueError(
            f"Expected a count between 0 and {available}, the number of positions to choose from; "
            f"got {count}."
        )

    chosen = np.zeros(scores.size, dtype=bool)
    if count:
        candidates = np.flatnonzero(allowed)
        values = scores.ravel()[candidates]
        smallest_kept = np.partition(values, available - count)[available - count]
        larger = values > smallest_kept
        missing = count - int(np.count_nonzero(larger))
        ties = np.flatnonzero(values == smallest_kept)[:missing]
        chosen[candidates[larger]] = True
        chosen[candidates[ties]] = True
    return chosen.reshape(scores.shape)


def _allowed(among: Any, shape: tuple[int, ...]) -> np.ndarray:
    if among is None:
        return np.ones(shape, dtype=bool)
    among = np.asarray(among)
    if among.dtype != np.bool_ or among.shape != shape:
        raise ValueError(
            f"Expected `among` to be a boolean array of the scores' shape {shape}; got "
            f"{among.dtype} of shape {among.shape}. Convert 0/1 masks with `.astype(bool)`."
        )
    return among


def _bits(magnitudes: tf.Tensor) -> tf.Tensor:
    """Return integers in the order of non-negative floats."""
    if not magnitudes.dtype.is_floating:
        raise TypeError(f"Expected floating point magnitudes; got {magnitudes.dtype.name}.")
    if magnitudes.dtype == tf.float64:
        return tf.bitcast(magnitudes, tf.int64)
    return tf.bitcast(tf.cast(magnitudes, tf.float32), tf.int32)


def _kth_largest_bits(bits: tf.Tensor, k: Any, counting: bool | None) -> tf.Tensor:
    """Return the largest integer that at least ``k`` of ``bits`` reach."""
    flat = tf.reshape(bits, [-1])
    # Counting in int32 is faster and enough for any tensor that tf.size can measure.
    k = tf.cast(k, tf.int32)
    if counting is None:
        counting = tf.executing_eagerly()
    if counting and bits.dtype == tf.int32:
        return _by_counting(flat, k)
    return _bit_by_bit(flat, k)


def _by_counting(flat: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    # Narrow digits take more passes and wide ones more bins, which are most of the work in a
    # small tensor. There are 31 bits: the sign is never set.
    size = flat.shape[0]
    small = size is None or size < _LARGE
    position, found = 31, tf.zeros([], tf.int32)
    for width in (11, 10, 10) if small else (15, 16):
        position -= width
        # What differs in a higher digit comes out above all bins, and is not counted.
        rest = tf.bitwise.bitwise_xor(flat, found) if position + width < 31 else flat
        rest = tf.bitwise.right_shift(rest, position) if position else rest
        digit, beyond = _bin_of_kth(rest, 1 << width, k)
        found = tf.bitwise.bitwise_or(found, tf.bitwise.left_shift(digit, position))
        k -= beyond
    return found


def _bin_of_kth(values: tf.Tensor, bins: int, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the k-th largest of the values below ``bins``, and how many are larger."""
    # Not tf.math.bincount, which passes over the values twice more to find their range.
    counts = tf.raw_ops.Bincount(arr=values, size=bins, weights=tf.zeros([0], tf.int32))
    reached = tf.cumsum(counts, reverse=True)
    found = tf.reduce_sum(tf.cast(reached >= k, tf.int32)) - 1
    return found, reached[found] - counts[found]


def _bit_by_bit(flat: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    one = tf.ones([], flat.dtype)
    highest = 62 if flat.dtype == tf.int64 else 30

    def set_next_bit(position: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        candidate = tf.bitwise.bitwise_or(found, tf.bitwise.left_shift(one, position))
        reached = tf.reduce_sum(tf.cast(flat >= candidate, tf.int32))
        return position - 1, tf.where(reached >= k, candidate, found)

    _, found = tf.while_loop(
        lambda position, _: position >= 0,
        set_next_bit,
        (tf.constant(highest, flat.dtype), tf.zeros([], flat.dtype)),
    )
    return found
