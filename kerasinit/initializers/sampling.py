"""The only place that draws numbers.

The values of a seed are for ever: a paper, a test or a saved experiment may name
one. So the way from a seed to values is fixed here and held by a test of exact
values:

* A tensor is its elements in C order, cut into chunks of ``CHUNK``. Chunk ``i`` has
  its own generator, ``SFC64(SeedSequence(entropy, spawn_key=(kind, i)))``, so chunks
  can be filled in any order, by any number of threads, with the same result.
* Numbers are drawn in float32 and then cast. A seed means the same weights in every
  dtype, up to rounding, and bfloat16 keeps its tails.
* NumPy draws them, on the CPU, whatever Keras' backend is.

Memory: the tensor itself, plus one chunk for each thread.
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

CHUNK = 2**17  # elements; never to be changed, see above
_PARALLEL_FROM = 4 * CHUNK  # below this, starting threads costs more than it saves
_TRUNCATION = np.float32(2)  # standard deviations

Shape = tuple[int, ...]
Fill = Callable[[np.random.Generator, np.ndarray], None]


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

    def chunk(self, index: int) -> np.random.Generator:
        """Return the generator of one chunk of a tensor, at its start."""
        key = (int(self.kind), *self.path, index)
        return np.random.Generator(
            np.random.SFC64(np.random.SeedSequence(self.entropy, spawn_key=key))
        )


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

    def fill(generator: np.random.Generator, out: np.ndarray) -> None:
        generator.standard_normal(dtype=np.float32, out=out)
        _scale(out, mean, stddev)

    return _filled(stream, shape, dtype, fill, threads)


def truncated_normal(
    stream: Stream,
    shape: Shape,
    dtype: np.dtype,
    mean: float = 0.0,
    stddev: float = 1.0,
    threads: int | None = None,
) -> np.ndarray:
    """Draw from the normal distribution cut off at two standard deviations.

    By rejection: what falls outside is drawn again. ``mean`` and ``stddev`` are those
    of the normal distribution before the cut; the result's own standard deviation is
    0.8796 times as large. For the arguments see `normal`.
    """

    def fill(generator: np.random.Generator, out: np.ndarray) -> None:
        generator.standard_normal(dtype=np.float32, out=out)
        outside = np.flatnonzero(np.abs(out) > _TRUNCATION)
        while outside.size:
            again = generator.standard_normal(outside.size, dtype=np.float32)
            out[outside] = again
            outside = outside[np.abs(again) > _TRUNCATION]
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
    width, last = high - low, np.nextafter(high, low)

    def fill(generator: np.random.Generator, out: np.ndarray) -> None:
        generator.random(dtype=np.float32, out=out)
        out *= width
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
        dimension = int(stream.child(0).chunk(0).binomial(size, 0.5))
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
    multiply = scipy.linalg.get_lapack_funcs("orgqr", dtype=dtype)
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
    """Return a new tensor, each chunk filled by ``fill(generator, float32 array)``."""
    out = np.empty(shape, dtype)
    flat = out.reshape(-1)

    def one(index: int) -> None:
        target = flat[index * CHUNK : (index + 1) * CHUNK]
        if dtype == np.float32:
            fill(stream.chunk(index), target)
        else:
            drawn = np.empty(target.size, np.float32)
            fill(stream.chunk(index), drawn)
            target[...] = drawn

    chunks = range(-(-flat.size // CHUNK))
    if threads is None:
        threads = (os.cpu_count() or 1) if flat.size >= _PARALLEL_FROM else 1
    if threads == 1 or len(chunks) < 2:
        for index in chunks:
            one(index)
    else:
        with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
            # list() so that an error in a thread comes out here.
            list(pool.map(one, chunks))
    return out
