"""Sampling: the only module that draws random values of tensors.

The values of a seed are permanent, since a paper, a test or a saved experiment may refer to
them. So the mapping from a seed to values is fixed here, and a test compares exact values:

* The elements of a tensor, in C order, are split into chunks of ``CHUNK``. Chunk ``i`` has its
  own generator, ``SFC64(SeedSequence(entropy, spawn_key=(kind, *path, i)))``, so chunks can be
  filled in any order, by any number of threads, with the same result.
* Only the raw bits of a generator are used, which NumPy guarantees not to change. They are
  processed by individual IEEE operations, which give the same results everywhere.
* Numbers are drawn in float32 and then cast. A seed gives the same weights in every dtype, up
  to rounding, and bfloat16 keeps its tails.
* NumPy draws them on the CPU, whatever the backend of Keras.

Normal numbers are drawn by inversion, 24 bits each: see `initializers.quantiles`.

Memory: the tensor itself, about 3 MB for each thread, and the block kept by
`initializers.memory`.
"""

import enum
import math
import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from kerasinit._src.initializers import memory
from kerasinit._src.initializers.quantiles import Workspace, quantiles

CHUNK = 2**18  # elements; must never change, see above
_CHUNKS_PER_THREAD = 3
_HUGE_PAGE = 2**21  # bytes

Shape = tuple[int, ...]
Fill = Callable[[np.random.SFC64, np.ndarray, "Workspace"], None]


class Kind(enum.IntEnum):
    """The source of a stream's entropy.

    It distinguishes, for instance, the integer seed 5 from a new ``SeedGenerator(5)``.
    """

    INTEGER = 0
    GENERATOR = 1
    FRESH = 2


@dataclass(frozen=True)
class Stream:
    """A stream of random numbers, identified by its seed and the path of its children."""

    entropy: int | tuple[int, ...]
    kind: Kind = Kind.INTEGER
    path: tuple[int, ...] = ()

    def child(self, index: int) -> "Stream":
        """Return a stream for one part of a tensor, independent of its siblings and parent."""
        return replace(self, path=(*self.path, index))

    def chunk(self, index: int) -> np.random.SFC64:
        """Return the bit generator of one chunk of a tensor, in its initial state."""
        key = (int(self.kind), *self.path, index)
        return np.random.SFC64(np.random.SeedSequence(self.entropy, spawn_key=key))


def fresh_stream() -> Stream:
    """Return a new stream, seeded from Python's global random state.

    ``set_random_seed`` of Keras 3 and tf_keras sets that state, and so makes the sequence of
    new streams reproducible.
    """
    return Stream(random.getrandbits(128), Kind.FRESH)


def normal(
    stream: Stream,
    shape: Shape,
    dtype: np.dtype,
    mean: float = 0.0,
    stddev: float = 1.0,
    threads: int | None = None,
) -> np.ndarray:
    """Draw from a normal distribution.

    ``threads``, by default one for each core, does not affect the values.
    """
    unbounded = (-math.inf, math.inf)
    return truncated_normal(stream, shape, dtype, mean, stddev, unbounded, threads)


def truncated_normal(
    stream: Stream,
    shape: Shape,
    dtype: np.dtype,
    mean: float = 0.0,
    stddev: float = 1.0,
    bounds: tuple[float, float] = (-2.0, 2.0),
    threads: int | None = None,
) -> np.ndarray:
    """Draw from a normal distribution truncated at bounds in standard deviations from the mean.

    ``mean`` and ``stddev`` are those before truncation. No value exceeds the bounds in float32;
    a shorter dtype rounds once more.
    """
    table = quantiles(*map(float, bounds))

    def fill(bits: np.random.SFC64, out: np.ndarray, workspace: Workspace) -> None:
        table.fill(bits, out, workspace)
        out *= np.float32(stddev)
        if mean:
            out += np.float32(mean)

    return _filled(stream, shape, dtype, fill, threads)


def uniform(
    stream: Stream,
    shape: Shape,
    dtype: np.dtype,
    minval: float = 0.0,
    maxval: float = 1.0,
    threads: int | None = None,
) -> np.ndarray:
    """Draw uniformly from ``[minval, maxval)``.

    ``maxval`` is excluded in float32, unless the bounds are equal there; a shorter dtype may
    round up to it.
    """
    low, high = np.float32(minval), np.float32(maxval)
    # Of 32 bits the first 24 are used, which float32 holds exactly.
    step, last = (high - low) * np.float32(2**-24), np.nextafter(high, low)

    def fill(bits: np.random.SFC64, out: np.ndarray, workspace: Workspace) -> None:
        drawn = bits.random_raw(-(-out.size // 2)).view(np.uint32)[: out.size]
        drawn >>= 8
        np.copyto(out, drawn)
        out *= step
        out += low
        # A value just below the upper bound may have been rounded up to it.
        np.minimum(out, last, out=out)

    return _filled(stream, shape, dtype, fill, threads)


def orthogonal(
    stream: Stream, shape: Shape, dtype: np.dtype, gain: float = 1.0, threads: int | None = None
) -> np.ndarray:
    """Draw a uniformly random matrix with orthonormal columns or rows, times a gain.

    All axes of the shape but the last, one or more, are the rows.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    if not rows or not columns:
        return np.zeros(shape, dtype)
    many, few = max(rows, columns), min(rows, columns)
    q = _orthonormal_columns(stream, many, few, np.dtype(np.float32), gain, threads)
    if rows <= columns:
        # The transpose of a square matrix is uniform too, and already in C order.
        q = q.T
    return np.ascontiguousarray(q, dtype=dtype).reshape(shape)


def subspace(stream: Stream, size: int, dimension: int | None = None) -> np.ndarray:
    """Draw an orthonormal basis ``b`` of a uniformly random subspace, as ``size`` rows.

    ``b @ b.T`` is a random symmetric projection. By default each direction of a random
    orthonormal basis is in the subspace with probability 1/2. The result is in float64, so that
    rounding errors do not accumulate in products of several.
    """
    if dimension is None:
        coins = stream.child(0).chunk(0).random_raw(-(-size // 64)).view(np.uint8)
        dimension = int(np.unpackbits(coins, count=size).sum())
        stream = stream.child(1)
    if not dimension:
        return np.zeros((size, 0))
    return _orthonormal_columns(stream, size, dimension, np.dtype(np.float64))


def _orthonormal_columns(
    stream: Stream,
    rows: int,
    columns: int,
    dtype: np.dtype,
    gain: float = 1.0,
    threads: int | None = None,
) -> np.ndarray:
    """Draw a uniform (Haar) matrix with orthonormal columns, in Fortran order.

    It is the product of one Householder reflection for each column, of vectors ``x_k`` of
    ``rows - k`` Gaussian numbers (Stewart, 1980). The QR decomposition of a Gaussian
    matrix meets vectors of this very distribution, so the product is the same as its Q,
    without the decomposition. Reflection k sends ``x_k`` to ``-sign(x_k[0]) |x_k| e_0``;
    column k times that sign makes up for the choice (Mezzadri, 2007).
    """
    # Row k of the draw is column k as LAPACK reads it, which takes from it what is below
    # the diagonal: (1, v) such that the reflection is I - factor (1, v)^T (1, v).
    drawn = normal(stream, (columns, rows), dtype, threads=threads)
    factors, signs = np.full(columns, 2, dtype), np.empty(columns, dtype)
    for k, row in enumerate(drawn):
        x = row[k:].astype(np.float64)
        first, length = float(x[0]), math.sqrt(x @ x)
        sign = math.copysign(1.0, first)
        signs[k] = -sign * gain
        if length:  # else any reflection will do, such as the one of (1, 0, ..., 0)
            row[k:] /= first + sign * length
            factors[k] = 1 + abs(first) / length
    [multiply] = scipy.linalg.get_lapack_funcs(("orgqr",), dtype=dtype)
    # LAPACK works on blocks of columns, of 32 as a rule, and needs room for one of them.
    q, _, _ = multiply(drawn.T, factors, lwork=64 * columns, overwrite_a=True)
    q *= signs
    return q


def _filled(
    stream: Stream, shape: Shape, dtype: np.dtype, fill: Fill, threads: int | None
) -> np.ndarray:
    """Return a new tensor whose chunks are filled by ``fill(bits, float32 array, workspace)``."""
    out = memory.empty(shape, dtype)
    flat = out.reshape(-1)
    number = -(-flat.size // CHUNK)
    if threads is None:
        # Each thread must have enough work to outweigh its memory and the time to start it.
        threads = min(os.cpu_count() or 1, number // _CHUNKS_PER_THREAD)
    threads = max(1, min(threads, number))

    # This thread touches all pages first (huge ones, where the system has them). Threads that
    # fault pages concurrently wait for each other, and on a virtual machine may get pages that
    # the host has to provide, whereas a single thread gets those back that it freed last.
    flat[:: _HUGE_PAGE // out.itemsize] = 0

    def fill_chunks(thread: int) -> None:
        workspace = Workspace()
        # Consecutive chunks, so that threads do not share pages.
        for index in range(number * thread // threads, number * (thread + 1) // threads):
            target = flat[index * CHUNK : (index + 1) * CHUNK]
            if dtype == np.float32:
                fill(stream.chunk(index), target, workspace)
            else:
                drawn = np.empty(target.size, np.float32)
                fill(stream.chunk(index), drawn, workspace)
                target[...] = drawn

    if threads == 1:
        fill_chunks(0)
    else:
        with ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(fill_chunks, thread) for thread in range(1, threads)]
            fill_chunks(0)
        for other in others:
            other.result()  # raises the error of the thread, if any
    return out


def choices(stream: Stream, count: int, rows: int, columns: int) -> np.ndarray:
    """Draw ``count`` of ``rows`` indices without replacement for each column, in random order.

    The result has shape ``(count, columns)``. These are the first ``count`` steps of a
    Fisher-Yates shuffle, for all columns at once. Each step uses 32 bits, so with ``n`` rows
    the probabilities differ by at most ``n / 2^32``.
    """
    drawn = stream.chunk(0).random_raw(-(-count * columns // 2)).view(np.uint32)
    drawn = drawn[: count * columns].reshape(count, columns)
    # The narrowest dtype, since this array has as many elements as the tensor.
    order = np.empty((rows, columns), np.min_scalar_type(max(rows - 1, 0)))
    order[...] = np.arange(rows)[:, None]
    every = np.arange(columns)
    for step in range(count):
        # NumPy 1 would multiply a 32-bit array by a 64-bit scalar in 32 bits.
        drawn_here = drawn[step].astype(np.uint64)
        other = (drawn_here * np.uint64(rows - step) >> np.uint64(32)).astype(np.intp) + step
        here = order[step].copy()
        order[step] = order[other, every]
        order[other, every] = here
    return order[:count].astype(np.intp)
