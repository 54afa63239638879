"""The patterns in which weights are removed: individually, in blocks, or m of every n.

A pattern computes the next mask from the weights and the current mask. :func:`next_mask` describes
the rules shared by all patterns, and where they differ from tfmot.
"""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.pruning.selection import magnitude_mask, num_kept

_POOLING_TYPES = ("AVG", "MAX")


def next_mask(
    weights: tf.Tensor, mask: tf.Tensor, sparsity: Any, *, by_histogram: bool | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return ``(mask, threshold)`` at a sparsity, given the current boolean mask.

    The rule is tfmot's :func:`~pruning.selection.magnitude_mask` on the unmasked weights:
    a removed weight that the last update changed competes with the others and may replace a smaller
    one. In two cases the mask stays unchanged instead:

    * The sparsity keeps more weights than the mask does. tfmot would restore removed weights to
      reach that number.
    * There are fewer nonzero weights than the sparsity keeps, so that the threshold is 0. tfmot
      would keep everything, including removed weights. A weight that is zero but was never
      removed, as in a kernel initialized to zero, can still be trained.
    """
    ranked, threshold = magnitude_mask(weights, sparsity, by_histogram=by_histogram)
    # Not the number kept in `ranked`: ties alone must not prevent an update.
    requested = num_kept(tf.size(weights), sparsity)
    # Frees the memory of the search before the sum below allocates its own.
    with tf.control_dependencies([threshold]):
        revives = requested > tf.reduce_sum(tf.cast(mask, tf.int32))
    return tf.where(tf.logical_or(revives, threshold <= 0), mask, ranked), threshold


@dataclass(frozen=True)
class SingleWeights:
    """Weights are removed individually; other patterns derive from this one."""

    once = False
    plural = "weights"

    def check(self, name: str, shape: Any) -> None:
        """Raise ValueError if weights of a shape cannot be pruned in this pattern."""

    def shape_warning(self, name: str, shape: Any) -> str | None:
        """Return a message if the pattern applies to weights of a shape only in part."""

    def count(self, shape: Any) -> int:
        """Return the number of weights or blocks, including partial ones."""
        return math.prod(shape)

    def max_kept(self, shape: Any, density: float) -> int:
        """Return the max number of weights or blocks kept at a density."""
        return round(density * math.prod(shape))

    def nonzero(self, weights: tf.Tensor) -> tf.Tensor:
        """Return where weights are not zero."""
        return weights != 0

    def update(
        self, weights: tf.Tensor, mask: tf.Tensor, sparsity: Any, by_histogram: bool | None = None
    ) -> Any:
        """Return the next ``(mask, threshold)``."""
        return next_mask(weights, mask, sparsity, by_histogram=by_histogram)


@dataclass(frozen=True)
class Blocks(SingleWeights):
    """Weights of a matrix are removed in blocks, ranked by mean or maximum magnitude.

    Blocks at the lower and right edge may be partial; their mean is over the existing weights.

    Reference:
        [Narang, Undersander and Diamos, 2017](https://arxiv.org/abs/1711.02782), "Block-sparse
        recurrent neural networks".
    """

    size: tuple[int, int]
    pooling: str
    once = False
    plural = "blocks"

    def check(self, name: str, shape: Any) -> None:
        """Raise ValueError unless a weight is a matrix."""
        if len(shape) != 2:
            raise ValueError(
                f"Blocks of {self.size} can only be pruned from 2-D weights; {name!r} has shape "
                f"{tuple(shape)}. Leave block_size at (1, 1), or exclude the layer by a "
                "pruning_policy."
            )

    def shape_warning(self, name: str, shape: Any) -> str | None:
        """Return a message if a matrix is smaller than a block."""
        fitting = tuple(min(size, side) for size, side in zip(self.size, shape, strict=True))
        if fitting == self.size:
            return None
        return (
            f"Blocks of {self.size} do not fit into {name!r} of shape {tuple(shape)}, so smaller "
            f"pieces are removed. block_size={fitting} would fit."
        )

    def count(self, shape: Any) -> int:
        """Return the number of blocks, including partial ones."""
        return math.prod(-(-side // size) for side, size in zip(shape, self.size, strict=True))

    def max_kept(self, shape: Any, density: float) -> int:
        """Return the max number of blocks kept at a density, counting partial ones first.

        Example:
        >>> Blocks((4, 4), "AVG").max_kept((5, 4), 0.2)
        1
        """
        heights, widths = (
            np.minimum(size, side - np.arange(0, side, size))
            for side, size in zip(shape, self.size, strict=True)
        )
        sizes = np.sort(np.outer(heights, widths), axis=None)
        return int(np.count_nonzero(np.cumsum(sizes) <= round(density * math.prod(shape))))

    def nonzero(self, weights: tf.Tensor) -> tf.Tensor:
        """Return where blocks have a nonzero weight."""
        return self._expand(self._pool(weights, "MAX") > 0, weights.shape)

    def update(
        self, weights: tf.Tensor, mask: tf.Tensor, sparsity: Any, by_histogram: bool | None = None
    ) -> Any:
        """Return the next ``(mask, threshold)``."""
        height, width = self.size
        pooled = self._pool(weights, self.pooling)
        before = mask[::height, ::width]
        kept, threshold = next_mask(pooled, before, sparsity, by_histogram=by_histogram)
        return self._expand(kept, weights.shape), threshold

    def _pool(self, weights: tf.Tensor, pooling: str) -> tf.Tensor:
        # One axis at a time as in tfmot: the order of additions affects the last bit.
        pooled = tf.abs(weights)
        for size in self.size:
            pooled = tf.nn.pool(
                pooled[tf.newaxis], [size], pooling, strides=[size], padding="SAME"
            )[0]
            pooled = tf.transpose(pooled)
        return pooled

    def _expand(self, blocks: tf.Tensor, shape: Any) -> tf.Tensor:
        height, width = self.size
        return tf.repeat(tf.repeat(blocks, height, 0), width, 1)[: shape[0], : shape[1]]


@dataclass(frozen=True)
class MByN(SingleWeights):
    """Of every ``n`` consecutive weights along the input channels, the ``m`` smallest are removed.

    The mask is computed once, at the first step, and does not depend on the schedule's sparsity.
    Of equal weights the earlier channel is kept; the last group is padded with zeros.

    Reference:
        [Mishra et al., 2021](https://arxiv.org/abs/2104.08378), "Accelerating sparse deep neural
        networks".
    """

    m: int
    n: int
    once = True

    def check(self, name: str, shape: Any) -> None:
        """Raise ValueError unless the weight has an axis of input channels."""
        if len(shape) not in (2, 4):
            raise ValueError(
                f"sparsity_m_by_n={self.m, self.n} needs weights of rank 2 or 4; {name!r} has "
                f"shape {tuple(shape)}. Exclude the layer by a pruning_policy."
            )

    def shape_warning(self, name: str, shape: Any) -> str | None:
        """Return a message if there are fewer input channels than weights in a group."""
        inputs = shape[-2]
        if inputs >= self.n:
            return None
        smaller = min(self.m, inputs - 1), inputs
        return (
            f"{name!r} has {inputs} input channel{'s' * (inputs > 1)}, fewer than the {self.n} of "
            f"sparsity_m_by_n={self.m, self.n}, and is padded with zeros. Exclude the layer by a "
            f"pruning_policy"
            + (f", or use sparsity_m_by_n={smaller}, which would fit." if inputs > 1 else ".")
        )

    def update(
        self, weights: tf.Tensor, mask: tf.Tensor, sparsity: Any, by_histogram: bool | None = None
    ) -> Any:
        """Return ``(mask, threshold)``; the threshold is always 0."""
        del sparsity, by_histogram
        # The last axes of a kernel are (inputs, outputs); groups run along the inputs.
        swap = [*range(len(weights.shape) - 2), len(weights.shape) - 1, len(weights.shape) - 2]
        magnitudes = tf.transpose(tf.abs(weights), swap)
        inputs = compat.known_shape(magnitudes)[-1]
        filled = tf.pad(magnitudes, [[0, 0]] * (len(swap) - 1) + [[0, -inputs % self.n]])
        groups = tf.reshape(filled, [-1, self.n])
        order = tf.argsort(groups, direction="DESCENDING", stable=True)
        # Sorting the order gives each weight its rank within the group.
        kept = tf.reshape(tf.argsort(order, stable=True) < self.n - self.m, tf.shape(filled))
        # TensorFlow's type stubs do not accept an ellipsis.
        kept = tf.transpose(kept[..., :inputs], swap)  # pyright: ignore[reportArgumentType]
        return tf.logical_and(kept, mask), tf.zeros([], weights.dtype)


Pattern = SingleWeights | Blocks | MByN


def make_pattern(block_size: Any, block_pooling_type: Any, sparsity_m_by_n: Any) -> Pattern:
    """Return the pattern for tfmot's three arguments, or raise ValueError if one is invalid."""
    if block_pooling_type not in _POOLING_TYPES:
        near = difflib.get_close_matches(str(block_pooling_type).upper(), _POOLING_TYPES, 1, 0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"Expected block_pooling_type to be one of {', '.join(map(repr, _POOLING_TYPES))}; got "
            f"{block_pooling_type!r}.{hint}"
        )
    size = _two_positive_integers(block_size, "block_size", "(4, 4)")
    if sparsity_m_by_n is None:
        return SingleWeights() if size == (1, 1) else Blocks(size, block_pooling_type)
    m, n = _two_positive_integers(sparsity_m_by_n, "sparsity_m_by_n", "(2, 4)")
    if m >= n:
        raise ValueError(
            f"Expected sparsity_m_by_n=(m, n) with m < n, m zeros in every n weights; got {m, n}."
        )
    if size != (1, 1):
        raise ValueError(
            f"Give either block_size={size} or sparsity_m_by_n={m, n}: a weight cannot follow both."
        )
    return MByN(m, n)


def _two_positive_integers(value: Any, name: str, example: str) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, Iterable) else ()
    if len(pair) != 2 or any(type(item) is not int or item < 1 for item in pair):
        raise ValueError(
            f"Expected {name} to be two positive integers such as {example}; got {value!r}."
        )
    return pair
