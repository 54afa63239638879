"""The patterns in which weights may be removed: single, in blocks, or m of every n.

A pattern says, from the weights and the mask so far, what the next mask is. What all
of them hold to, and where they leave tfmot, is in :func:`next_mask`.
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
    weights: tf.Tensor, mask: tf.Tensor, sparsity: Any, *, counting: bool | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the mask at a sparsity, given the mask so far; nothing comes back to life unasked.

    The rule is tfmot's :func:`~kerasinit.pruning.selection.magnitude_mask` on the
    weights as they are: a removed weight that a gradient has just moved competes with
    the others and may take the place of a smaller one. In two cases the mask stays as
    it is instead:

    * More weights are asked for than the mask has left. tfmot would bring removed ones
      back to make up the number.
    * There are fewer non-zero weights than asked for, so that the threshold is 0. tfmot
      would keep everything, also what was removed. A weight that is zero but was never
      removed, as in a kernel that starts at zero, stays alive and can be trained.

    Args:
        weights: Tensor of floats.
        mask: Boolean tensor of the same shape, True where weights are kept so far.
        sparsity: Fraction to remove.
        counting: How to search, see :func:`~kerasinit.pruning.selection.kth_largest`.

    Returns:
        ``(mask, threshold)``.
    """
    ranked, threshold = magnitude_mask(weights, sparsity, counting=counting)
    # The number asked for, not that of `ranked`: ties alone must not stop an update.
    asked = num_kept(tf.size(weights), sparsity)
    # The search is over and its memory free before the numbers to add up are made.
    with tf.control_dependencies([threshold]):
        revives = asked > tf.reduce_sum(tf.cast(mask, tf.int32))
    return tf.where(tf.logical_or(revives, threshold <= 0), mask, ranked), threshold


@dataclass(frozen=True)
class SingleWeights:
    """Every weight is removed or kept by itself."""

    once = False
    unit = "weights"

    def check(self, name: str, shape: Any) -> None:
        """Accept every shape."""

    def misfit(self, name: str, shape: Any) -> str | None:
        """Return None, for every shape fits."""

    def units(self, shape: Any) -> int:
        """Return how many weights there are."""
        return math.prod(shape)

    def most_alive(self, shape: Any, density: float) -> int:
        """Return how many weights are kept at a density."""
        return round(density * math.prod(shape))

    def alive(self, weights: tf.Tensor) -> tf.Tensor:
        """Return where weights are not zero."""
        return weights != 0

    def update(
        self, weights: tf.Tensor, mask: tf.Tensor, sparsity: Any, counting: bool | None = None
    ) -> Any:
        """Return the next ``(mask, threshold)``."""
        return next_mask(weights, mask, sparsity, counting=counting)


@dataclass(frozen=True)
class Blocks:
    """Weights of a matrix are removed in blocks, by the mean or maximum of their magnitudes.

    Blocks at the lower and right edge may be cut off; their mean is over what is there.

    Attributes:
        size: ``(height, width)`` of a block.
        pooling: ``"AVG"`` or ``"MAX"``.
    """

    size: tuple[int, int]
    pooling: str
    once = False
    unit = "blocks"

    def check(self, name: str, shape: Any) -> None:
        """Raise ValueError unless a weight is a matrix."""
        if len(shape) != 2:
            raise ValueError(
                f"Blocks of {self.size} can only be pruned from 2-D weights; {name!r} has shape "
                f"{tuple(shape)}. Leave block_size at (1, 1), or leave the layer out by a "
                "pruning_policy."
            )

    def misfit(self, name: str, shape: Any) -> str | None:
        """Say so if a matrix is too small for a single whole block."""
        fitting = tuple(min(size, side) for size, side in zip(self.size, shape, strict=True))
        if fitting == self.size:
            return None
        return (
            f"Blocks of {self.size} do not fit into {name!r} of shape {tuple(shape)}, so smaller "
            f"pieces are removed. block_size={fitting} would fit."
        )

    def units(self, shape: Any) -> int:
        """Return how many blocks there are, cut off ones included."""
        return math.prod(-(-side // size) for side, size in zip(shape, self.size, strict=True))

    def most_alive(self, shape: Any, density: float) -> int:
        """Return how many blocks are kept at a density, at most: the smallest, cut off ones first.

        Example:
        >>> Blocks((4, 4), "AVG").most_alive((5, 4), 0.2)
        1
        """
        heights, widths = (
            np.minimum(size, side - np.arange(0, side, size))
            for side, size in zip(shape, self.size, strict=True)
        )
        sizes = np.sort(np.outer(heights, widths), axis=None)
        return int(np.count_nonzero(np.cumsum(sizes) <= round(density * math.prod(shape))))

    def alive(self, weights: tf.Tensor) -> tf.Tensor:
        """Return where the blocks are that are not zero throughout."""
        return self._expand(self._pool(weights, "MAX") > 0, weights.shape)

    def update(
        self, weights: tf.Tensor, mask: tf.Tensor, sparsity: Any, counting: bool | None = None
    ) -> Any:
        """Return the next ``(mask, threshold)``."""
        height, width = self.size
        pooled = self._pool(weights, self.pooling)
        before = mask[::height, ::width]
        kept, threshold = next_mask(pooled, before, sparsity, counting=counting)
        return self._expand(kept, weights.shape), threshold

    def _pool(self, weights: tf.Tensor, pooling: str) -> tf.Tensor:
        # One direction after the other: the order of additions decides the last bit.
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
class MByN:
    """Of every ``n`` consecutive weights along the input channels, the ``m`` smallest go.

    The mask is made once, at the first step, and the schedule's sparsity plays no part.
    Ties go to the earlier channel; a last group shorter than ``n`` counts as filled up
    with zeros.

    Attributes:
        m: Number of zeros in a group.
        n: Size of a group.
    """

    m: int
    n: int
    once = True

    def check(self, name: str, shape: Any) -> None:
        """Raise ValueError unless the weight has an axis of input channels."""
        if len(shape) not in (2, 4):
            raise ValueError(
                f"sparsity_m_by_n={self.m, self.n} needs weights of rank 2 or 4; {name!r} has "
                f"shape {tuple(shape)}. Leave the layer out by a pruning_policy."
            )

    def misfit(self, name: str, shape: Any) -> str | None:
        """Say so if there are fewer input channels than a group has."""
        inputs = shape[-2]
        if inputs >= self.n:
            return None
        smaller = min(self.m, inputs - 1), inputs
        return (
            f"{name!r} has {inputs} input channel{'s' * (inputs > 1)}, less than the {self.n} of "
            f"sparsity_m_by_n={self.m, self.n}, and counts as filled up with zeros. Leave the "
            f"layer out by a pruning_policy"
            + (f", or use sparsity_m_by_n={smaller}, which would fit." if inputs > 1 else ".")
        )

    def alive(self, weights: tf.Tensor) -> tf.Tensor:
        """Return where weights are not zero."""
        return weights != 0

    def update(
        self, weights: tf.Tensor, mask: tf.Tensor, sparsity: Any, counting: bool | None = None
    ) -> Any:
        """Return ``(mask, threshold)``; there is no threshold, so it is 0."""
        del sparsity, counting
        # Kernels end with (inputs, outputs); groups run along the inputs.
        swap = [*range(len(weights.shape) - 2), len(weights.shape) - 1, len(weights.shape) - 2]
        magnitudes = tf.transpose(tf.abs(weights), swap)
        inputs = compat.known_shape(magnitudes)[-1]
        filled = tf.pad(magnitudes, [[0, 0]] * (len(swap) - 1) + [[0, -inputs % self.n]])
        groups = tf.reshape(filled, [-1, self.n])
        order = tf.argsort(groups, direction="DESCENDING", stable=True)
        # Sorting the order gives each weight its rank within the group.
        kept = tf.reshape(tf.argsort(order, stable=True) < self.n - self.m, tf.shape(filled))
        # The types of TensorFlow know no ellipsis.
        kept = tf.transpose(kept[..., :inputs], swap)  # pyright: ignore[reportArgumentType]
        return tf.logical_and(kept, mask), tf.zeros([], weights.dtype)


Pattern = SingleWeights | Blocks | MByN


def make_pattern(block_size: Any, block_pooling_type: Any, sparsity_m_by_n: Any) -> Pattern:
    """Return the pattern that tfmot's three arguments describe.

    Args:
        block_size: ``(height, width)``, two positive integers; ``(1, 1)`` for none.
        block_pooling_type: ``"AVG"`` or ``"MAX"``.
        sparsity_m_by_n: ``None``, or ``(m, n)`` with ``0 < m < n``.

    Raises:
        ValueError: If an argument is none of these, or if both blocks and m-by-n are
            asked for.

    Example:
    >>> make_pattern((4, 4), "AVG", None)
    Blocks(size=(4, 4), pooling='AVG')
    """
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
