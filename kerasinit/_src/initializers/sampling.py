"""The only place that draws numbers.

The values of a seed are for ever: a paper, a test or a saved experiment may name
one. So the way from a seed to values is fixed here and held by a test of exact
values:

* A tensor is its elements in C order, cut into chunks of ``CHUNK``. Chunk ``i`` has
  its own generator, ``SFC64(SeedSequence(entropy, spawn_key=(kind, *path, i)))``, so
  chunks can be filled in any order, by any number of threads, with the same result.
* Of a generator only the raw bits are used, which NumPy promises never to change. What
  becomes of them is IEEE arithmetic, one operation after another, the same everywhere.
* Numbers are drawn in float32 and then cast. A seed means the same weights in every
  dtype, up to rounding, and bfloat16 keeps its tails.
* NumPy draws them, on the CPU, whatever Keras' backend is.

Normal numbers come by inversion, 24 bits each: see `kerasinit.initializers.quantiles`.

Memory: the tensor itself, plus about 3 MB for each thread, and what
`kerasinit.initializers.memory` keeps.
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

CHUNK = 2**18  # elements; never to be changed, see above
_CHUNKS_PER_THREAD = 3
_HUGE_PAGE = 2**21  # bytes

Shape = tuple[int, ...]
Fill = Callable[[np.random.SFC64, np.ndarray, "Workspace"], None]


class Kind(enum.IntEnum):
    """Where a stream's entropy comes from; keeps the sources apart.

    Without it, the integer seed 5 and a fresh ``SeedGenerator(5)`` would be one stream.
    """

    INTEGER = 0
    GENERATOR = 1
    FRESH = 2


@dataclass(frozen=True)
class Stream:
    """A stream of random numbers, named by what it starts from.

    Attributes:
        entropy: The seed: a non-negative integer, or several.
        kind: What the entropy is.
        path: Which child of a stream this is, see `child`.
    """

    entropy: int | tuple[int, ...]
    kind: Kind = Kind.INTEGER
    path: tuple[int, ...] = ()

    def child(self, index: int) -> "Stream":
        """Return a stream of its own for one part of a tensor that has several.

        The numbers of a child are independent of its siblings' and of the parent's.
        """
        return replace(self, path=(*self.path, index))

    def chunk(self, index: int) -> np.random.SFC64:
        """Return the source of bits of one chunk of a tensor, at its start."""
        key = (int(self.kind), *self.path, index)
        return np.random.SFC64(np.random.SeedSequence(self.entropy, spawn_key=key))


def fresh_stream() -> Stream:
    """Return a stream that was never used, drawn from Python's global random state.

    That state is what ``set_random_seed`` of both Kerases sets, so a program that
    calls it gets the same "fresh" streams in the same order each time.
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
    """Draw from the normal distribution.

    Args:
        stream: Where the numbers come from.
        shape: Shape of the result.
        dtype: Floating dtype of the result.
        mean: Mean.
        stddev: Standard deviation.
        threads: How many threads fill the tensor; by default one for each core. It
            changes the time and nothing else.
    """
    table = quantiles(-math.inf, math.inf)

    def fill(bits: np.random.SFC64, out: np.ndarray, workspace: Workspace) -> None:
        table.fill(bits, out, workspace)
        _scale(out, mean, stddev)

    return _filled(stream, shape, dtype, fill, threads)


def truncated_normal(
    stream: Stream,
    shape: Shape,
    dtype: np.dtype,
    mean: float = 0.0,
    stddev: float = 1.0,
    bounds: tuple[float, float] = (-2.0, 2.0),
    threads: int | None = None,
) -> np.ndarray:
    """Draw from the normal distribution cut off at two bounds.

    Args:
        stream: Where the numbers come from.
        shape: Shape of the result.
        dtype: Floating dtype of the result.
        mean: Mean of the normal distribution before the cut.
        stddev: Its standard deviation; with the default bounds, that of the result is
            0.8796 times as large.
        bounds: Where to cut, in standard deviations from the mean. No value is beyond
            them, rounded to float32; a shorter dtype rounds once more.
        threads: See `normal`.

    Raises:
        ValueError: See `kerasinit.initializers.quantiles.require_mass`.
    """
    table = quantiles(*map(float, bounds))

    def fill(bits: np.random.SFC64, out: np.ndarray, workspace: Workspace) -> None:
        table.fill(bits, out, workspace)
        _scale(out, mean, stddev)

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

    ``maxval`` itself never comes in float32; a shorter dtype may round up to it. If the
    two bounds are one number in float32, that number is the result. For the other
    arguments see `normal`.
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
        # A value just below the end may have been rounded up to it.
        np.minimum(out, last, out=out)

    return _filled(stream, shape, dtype, fill, threads)


def orthogonal(
    stream: Stream, shape: Shape, dtype: np.dtype, gain: float = 1.0, threads: int | None = None
) -> np.ndarray:
    """Draw a matrix with orthonormal columns or rows, uniformly among all of them.

    Args:
        stream: Where the numbers come from.
        shape: Shape of the result, rank 2 or more: all axes but the last are the rows.
        dtype: Floating dtype of the result. The product of reflections is in float32.
        gain: Factor.
        threads: See `normal`.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    if not rows or not columns:
        return np.zeros(shape, dtype)
    many, few = max(rows, columns), min(rows, columns)
    q = _orthonormal_columns(stream, many, few, np.dtype(np.float32), gain, threads)
    if rows <= columns:
        # The transpose of a square matrix is just as uniform, and in C order already.
        q = q.T
    return np.ascontiguousarray(q, dtype=dtype).reshape(shape)


def subspace(stream: Stream, size: int, dimension: int | None = None) -> np.ndarray:
    """Draw an orthonormal basis of a subspace, uniformly among all of its dimension.

    With the basis as the columns of ``b``, ``b @ b.T`` is a random symmetric projection.

    Args:
        stream: Where the numbers come from.
        size: Dimension of the whole space.
        dimension: That of the subspace, at most ``size``. By default each direction of a
            random orthonormal basis is in it with probability 1/2.

    Returns:
        An array of shape ``(size, dimension)``, computed in float64 and left in it, so that
        products of several do not add up the rounding of each.
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


def _scale(out: np.ndarray, mean: float, stddev: float) -> None:
    out *= np.float32(stddev)
    if mean:
        out += np.float32(mean)


def _filled(
    stream: Stream, shape: Shape, dtype: np.dtype, fill: Fill, threads: int | None
) -> np.ndarray:
    """Return a new tensor, each chunk filled by ``fill(bits, float32 array, workspace)``."""
    out = memory.empty(shape, dtype)
    flat = out.reshape(-1)
    number = -(-flat.size // CHUNK)
    if threads is None:
        # A thread takes the memory of three chunks, and starting it some of the time that it
        # saves: each has more than that to do.
        threads = min(os.cpu_count() or 1, number // _CHUNKS_PER_THREAD)
    threads = max(1, min(threads, number))

    # Where the system gives memory in huge pages, this thread asks for all of them, one after
    # the other. Threads that ask at once wait for each other, and may be given pages that a
    # virtual machine has to fetch from its host, where this one gets back what it had last.
    flat[:: _HUGE_PAGE // out.itemsize] = 0

    def some(thread: int) -> None:
        workspace = Workspace()
        # Neighbours, so that no two threads work in one page of memory.
        for index in range(number * thread // threads, number * (thread + 1) // threads):
            target = flat[index * CHUNK : (index + 1) * CHUNK]
            if dtype == np.float32:
                fill(stream.chunk(index), target, workspace)
            else:
                drawn = np.empty(target.size, np.float32)
                fill(stream.chunk(index), drawn, workspace)
                target[...] = drawn

    if threads == 1:
        some(0)
    else:
        with ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(some, thread) for thread in range(1, threads)]
            some(0)
        for other in others:
            other.result()  # an error in a thread comes out here
    return out


def choices(stream: Stream, count: int, rows: int, columns: int) -> np.ndarray:
    """Draw, for each column of a matrix, some of its rows, each set of rows as likely.

    By the first ``count`` steps of Fisher's and Yates' shuffle, all columns at once. A
    number of 32 bits chooses among what is left; with ``n`` rows no choice is likelier
    than another by more than ``n / 2^32``.

    Args:
        stream: Where the numbers come from.
        count: How many rows, at most ``rows``.
        rows: How many there are, less than ``2^32``.
        columns: How many columns.

    Returns:
        Indices of shape ``(count, columns)``, in an integer dtype; none twice in a column.
        Which stands first in a column is drawn, too.
    """
    drawn = stream.chunk(0).random_raw(-(-count * columns // 2)).view(np.uint32)
    drawn = drawn[: count * columns].reshape(count, columns)
    # The narrowest dtype: this is the largest array here, and one of the tensor's shape.
    order = np.empty((rows, columns), np.min_scalar_type(max(rows - 1, 0)))
    order[...] = np.arange(rows)[:, None]
    every = np.arange(columns)
    for step in range(count):
        other = (drawn[step] * np.uint64(rows - step) >> np.uint64(32)).astype(np.intp) + step
        here = order[step].copy()
        order[step] = order[other, every]
        order[other, every] = here
    return order[:count].astype(np.intp)
