"""Selects the largest weights by tfmot's rule, in TensorFlow.

A pruning schedule needs a *threshold* and keeps all ties, which is tfmot's definition of sparsity
(:func:`magnitude_mask`). A lottery ticket needs an *exact count* with ties in a fixed order, since
its densities are part of the experiment (`mask_arrays.keep_largest`). Neither sorts.
"""

from typing import Any

import tensorflow as tf

from kerasinit._src.mask_arrays import keep_largest as keep_largest

# The number of elements above which passes over them cost more than adding up the bins.
_LARGE = 1_000_000


def kth_largest(magnitudes: Any, k: Any, *, by_histogram: bool | None = None) -> tf.Tensor:
    """Return the k-th largest of non-negative numbers, as a scalar of their dtype, without sorting.

    The bit pattern of a non-negative float, read as an integer, increases with the float. So the
    result can be found from the highest bits down, in one of two ways with the same exact result:

    * by a histogram of the highest bits, and then of the next bits among the numbers that share the
      highest ones with the result. Two or three passes, but very slow when compiled by XLA;
    * bit by bit: a bit is set if at least ``k`` numbers would still be as large. One pass per bit,
      31 for float32; always available.

    Both need the memory of one integer tensor. float16 and bfloat16 are converted to float32, which
    represents them exactly; float64 goes bit by bit in 63 passes.

    Args:
        magnitudes: Floating point tensor with at least one element and no negative ones.
        k: Integer scalar or tensor, at least 1, which stands for the maximum.
        by_histogram: Default: only when run eagerly, since a graph cannot know whether XLA will
            compile it.
    """
    magnitudes = tf.convert_to_tensor(magnitudes)
    threshold = _kth_largest_bits(_bits(magnitudes), k, by_histogram)
    if threshold.dtype == tf.int64:
        return tf.bitcast(threshold, tf.float64)
    return tf.cast(tf.bitcast(threshold, tf.float32), magnitudes.dtype)


def num_kept(size: Any, sparsity: Any) -> tf.Tensor:
    """Return how many of ``size`` weights tfmot keeps at a sparsity, as an int32 scalar.

    In float32, with halves rounded to even, and at least 1::

        k = max(round(size * (1 - sparsity)), 1)

    Example:
    >>> int(num_kept(10, 0.75)), int(num_kept(10, 0.99))
    (2, 1)
    """
    kept = tf.cast(size, tf.float32) * (1 - sparsity)
    # Above 2**24 weights float32 may round up to more than the size.
    return tf.minimum(tf.cast(tf.maximum(tf.round(kept), 1.0), tf.int32), size)


def magnitude_mask(
    weights: Any, sparsity: Any, *, by_histogram: bool | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return tfmot's boolean mask at a sparsity in [0, 1), and the threshold.

    With ``k`` from :func:`num_kept`::

        mask = |w| >= k-th largest |w|

    All ties are kept, so more than ``k`` weights may be.

    Reference:
        [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878)
    """
    magnitudes = tf.abs(tf.convert_to_tensor(weights))
    bits = _bits(magnitudes)
    threshold = _kth_largest_bits(bits, num_kept(tf.size(magnitudes), sparsity), by_histogram)
    # Compared as integers, since the processor may flush subnormal floats to zero.
    mask = bits >= threshold
    value = tf.bitcast(threshold, tf.float64 if threshold.dtype == tf.int64 else tf.float32)
    return mask, tf.cast(value, magnitudes.dtype)


def _bits(magnitudes: tf.Tensor) -> tf.Tensor:
    """Return integers that have the same order as these non-negative floats."""
    if not magnitudes.dtype.is_floating:
        raise TypeError(f"Expected floating point magnitudes; got {magnitudes.dtype.name}.")
    if magnitudes.dtype == tf.float64:
        return tf.bitcast(magnitudes, tf.int64)
    return tf.bitcast(tf.cast(magnitudes, tf.float32), tf.int32)


def _kth_largest_bits(bits: tf.Tensor, k: Any, by_histogram: bool | None) -> tf.Tensor:
    """Return the k-th largest of ``bits``, the largest integer that ``k`` of them reach."""
    flat = tf.reshape(bits, [-1])
    # int32 is faster, and sufficient for any tensor that tf.size supports.
    k = tf.cast(k, tf.int32)
    if by_histogram is None:
        by_histogram = tf.executing_eagerly()
    if by_histogram and bits.dtype == tf.int32:
        return _kth_by_histogram(flat, k)
    return _kth_bit_by_bit(flat, k)


def _kth_by_histogram(flat: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    # Narrow digits need more passes, wide ones more bins, which dominate in a small tensor. There
    # are 31 bits, since the sign is never set.
    size = flat.shape[0]
    small = size is None or size < _LARGE
    position, found = 31, tf.zeros([], tf.int32)
    for width in (11, 10, 10) if small else (15, 16):
        position -= width
        # Numbers that differ in a higher digit fall above all bins, and are not counted.
        rest = tf.bitwise.bitwise_xor(flat, found) if position + width < 31 else flat
        rest = tf.bitwise.right_shift(rest, position) if position else rest
        digit, beyond = _bin_of_kth(rest, 1 << width, k)
        found = tf.bitwise.bitwise_or(found, tf.bitwise.left_shift(digit, position))
        k -= beyond
    return found


def _bin_of_kth(values: tf.Tensor, bins: int, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the k-th largest of the values below ``bins``, and how many are larger."""
    # Not tf.math.bincount, which needs two more passes to find the range.
    counts = tf.raw_ops.Bincount(arr=values, size=bins, weights=tf.zeros([0], tf.int32))
    reached = tf.cumsum(counts, reverse=True)
    found = tf.reduce_sum(tf.cast(reached >= k, tf.int32)) - 1
    return found, reached[found] - counts[found]


def _kth_bit_by_bit(flat: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
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
