"""Structured initializers: scaled identities, Hadamard matrices, orthogonal filters."""

import math

import numpy as np

from kerasinit._src.initializers import arrays, sampling
from kerasinit._src.initializers.base import (
    Initializer,
    RandomInitializer,
    Seed,
    checked_number,
    checked_whole,
    registered,
)
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.initializers.taps import centre_tap, checked_kernel


@registered
class Dirac(Initializer):
    """Dirac initializer: a convolution that copies as many channels as it can, times a gain.

    For deep networks without residual connections, whose signal then reaches the output at the
    start of training. Generalizes `Identity` to unequal numbers of channels and to groups:
    surplus inputs are ignored, surplus outputs are zero. With ``strides=1`` and
    ``padding="same"`` the channels are copied exactly, whatever the kernel size. Also known as
    ``dirac_`` in PyTorch.

    Formula: at the centre tap ``w[i, g * n + i] = gain`` for every group ``g`` and every
    ``i`` below ``inputs`` and ``n = outputs / groups``, else 0. The centre of ``k`` taps is
    ``(k - 1) // 2``, counted from 0. The kernel of a grouped convolution has the shape
    ``(*window, inputs per group, outputs)``.

    Args:
        groups: The ``groups`` of the layer. Defaults to 1. With as many outputs as inputs in
            each group, the layer returns its whole input.
        gain: Multiplicative factor. Defaults to 1.

    Raises:
        TypeError: If ``groups`` is not an integer or the gain is not a number.
        ValueError: If ``groups`` is below 1 or the gain is not finite or, when called, the
            rank is not 2 to 5, a matrix is given with groups, the number of outputs is not a
            multiple of ``groups``, or the dtype cannot hold the gain.

    Example:
    >>> Dirac()((3, 2))
    array([[1., 0.],
           [0., 1.],
           [0., 0.]], dtype=float32)
    >>> import keras, numpy as np
    >>> layer = keras.layers.Conv2D(4, 3, padding="same", groups=2, kernel_initializer=Dirac(2))
    >>> images = np.arange(36.0, dtype="float32").reshape(1, 3, 3, 4)
    >>> bool((layer(images) == images).numpy().all())
    True

    Reference:
        Zagoruyko and Komodakis, 2017, "DiracNets: training very deep neural networks
        without skip-connections".
    """

    _arguments = ("groups", "gain")

    def __init__(self, groups: int = 1, gain: float = 1.0):
        self.groups = checked_whole(self, "groups", groups, minimum=1)
        self.gain = checked_number(self, "gain", gain)

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        checked_kernel(self, shape, range(2, 6))
        inputs, outputs = shape[-2:]
        if len(shape) == 2 and self.groups > 1:
            raise ValueError(
                f"{self!r} needs the shape of a grouped convolution, of rank 3 to 5; got {shape}, "
                f"the shape of a matrix. A dense layer has no groups: omit the argument."
            )
        if outputs % self.groups:
            raise ValueError(
                f"{self!r} needs a number of outputs that is a multiple of groups={self.groups}, "
                f"the groups of the layer; got shape {shape}, with {outputs} outputs."
            )
        values = np.zeros(shape, dtype)
        per_group = outputs // self.groups
        kept = np.arange(min(inputs, per_group))
        groups = centre_tap(values).reshape(inputs, self.groups, per_group)
        groups[kept, :, kept] = arrays.cast(self, self.gain, dtype)
        return values


@registered
class ZerO(Initializer):
    """ZerO initializer: deterministic zeros and ones, up to a factor.

    For residual networks, which in the paper train as well as from random values, with less
    variation between runs. A layer returns its input. If it has more outputs than inputs, it
    applies a Hadamard transform, since a partial identity would leave the surplus units at
    zero.

    Formula: with ``n`` inputs and ``p`` outputs, ``w[i, j] = 1`` where ``i == j``, else 0,
    if ``p <= n``. If ``p > n``, ``w[i, j] = c H[i, j]``, where ``H`` is Sylvester's
    Hadamard matrix of ``2^m`` rows, ``m = ceil(log2(p))`` and ``c = 2^(-(m - 1) / 2)``. If
    ``p`` is a power of 2, ``w w^T = 2 I``. A convolution has this matrix at the centre tap
    ``(k - 1) // 2`` of ``k``, and zeros elsewhere. (The factor is that of the paper; the code
    of the authors has ``c = 2^(-m / 2)``.)

    Raises:
        ValueError: If, when called, the rank is not 2 to 5 or the dtype is not
            floating-point.

    Example:
    >>> ZerO()((2, 2))
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    >>> ZerO()((2, 8))
    array([[ 0.5,  0.5,  0.5,  0.5,  0.5,  0.5,  0.5,  0.5],
           [ 0.5, -0.5,  0.5, -0.5,  0.5, -0.5,  0.5, -0.5]], dtype=float32)

    Reference:
        Zhao, Schäfer and Anandkumar, 2021, "ZerO initialization: initializing neural
        networks with only zeros and ones", algorithms 1 and 2.
    """

    _floating_only = True

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        checked_kernel(self, shape, range(2, 6))
        inputs, outputs = shape[-2:]
        values = np.zeros(shape, np.float32)
        if outputs <= inputs:
            np.fill_diagonal(centre_tap(values), 1)
        else:
            centre_tap(values)[...] = _hadamard_block(inputs, outputs)
        return values.astype(dtype, copy=False)


def _hadamard_block(rows: int, columns: int) -> np.ndarray:
    """Return the first rows and columns of ZerO's scaled Hadamard matrix.

    The whole matrix has up to twice as many rows as the block has columns, 16 GB for a layer of
    50,000 outputs. It is the Kronecker product of two small ones, and a part of the first is
    enough for the block.
    """
    order = (columns - 1).bit_length()
    outer, inner = _hadamard(order - order // 2), _hadamard(order // 2)
    needed = outer[: -(-rows // len(inner)), : -(-columns // len(inner))]
    scale = np.float32(2 ** (-(order - 1) / 2))
    return np.kron(needed * scale, inner)[:rows, :columns]


def _hadamard(order: int) -> np.ndarray:
    """Return the Hadamard matrix of ``2^order`` rows, by Sylvester's construction."""
    matrix = np.ones((1, 1), np.float32)
    for _ in range(order):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


@registered
class ConvolutionAware(RandomInitializer):
    """Initializer with filters that are orthogonal in the Fourier domain, and He's variance.

    A convolution multiplies Fourier transforms, so filters that are orthogonal there respond to
    different features of each input channel. For convolutional relu networks.

    Formula: for each output channel, the filters ``f_1 ... f_n`` of its ``n`` input channels
    have ``sum_u F f_a(u) conj(F f_b(u)) = 0`` for ``a != b``, where ``F`` is the discrete
    Fourier transform of the window; uniform (Haar) among all such filters of one length.
    With ``d`` taps there are at most ``d`` orthogonal filters: if ``n > d``, every ``d`` input
    channels have a set of their own. With one tap only the sign is random. Noise is added to
    break the remaining symmetry, and the result is scaled to ``Var(w) = 2 / fan_in``.

    By Parseval's theorem the filters of a set are orthogonal in the Fourier domain if and only
    if they are in the spatial domain, and a uniform set of real filters is uniform in both. So
    they are drawn in the spatial domain, without rounding by an inverse transform.

    Args:
        eps_std: Standard deviation of the noise relative to that of the filters, at least 0.
            Defaults to 0.05. With 0 the filters are exactly orthogonal.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``eps_std`` is negative or not finite, the seed is negative or, when
            called, the shape is not that of a convolution kernel, ``(*window, inputs,
            outputs)`` of rank 3 to 5.

    Example:
    >>> import numpy as np
    >>> kernel = ConvolutionAware(eps_std=0, seed=1)((3, 3, 9, 4))
    >>> transforms = np.fft.fft2(kernel[..., 0], axes=(0, 1)).reshape(9, 9)
    >>> products = transforms.T @ transforms.conj()
    >>> bool(np.abs(products - np.diag(np.diag(products))).max() < 1e-5)
    True
    >>> float(round(kernel.var() * 81, 1))
    2.0

    Reference:
        Aghajanyan, 2017, "Convolution aware initialization".
    """

    _arguments = ("eps_std", "seed")

    def __init__(self, eps_std: float = 0.05, seed: Seed = None):
        super().__init__(seed)
        self.eps_std = checked_number(self, "eps_std", eps_std, minimum=0)

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        checked_kernel(self, shape, range(3, 6))
        *window, inputs, outputs = shape
        if not inputs or not outputs:
            return np.zeros(shape, dtype)
        taps = math.prod(window)
        filters = _orthonormal_sets(stream.child(0), outputs, inputs, taps)
        if self.eps_std:
            noise = sampling.normal(stream.child(1), filters.shape, np.dtype(np.float32))
            # A filter of length 1 has taps of variance 1 / taps.
            filters += noise * (self.eps_std / math.sqrt(taps))
        filters *= math.sqrt(2 / inputs / (1 + self.eps_std**2))
        kernel = filters.transpose(2, 1, 0).reshape(shape)
        return np.ascontiguousarray(kernel, np.float32).astype(dtype, copy=False)


def _orthonormal_sets(stream: Stream, count: int, vectors: int, length: int) -> np.ndarray:
    """Return ``(count, vectors, length)`` vectors, orthonormal in sets of up to ``length``.

    Each set is the Q of a Gaussian matrix, with signs as in
    `initializers.sampling.orthogonal`, for many small matrices at once.
    """
    size = min(vectors, length)
    sets = -(-vectors // size)
    gaussian = sampling.normal(stream, (count, sets, length, size), np.dtype(np.float32))
    q, r = np.linalg.qr(gaussian.astype(np.float64))
    q *= np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[..., np.newaxis, :]
    return q.swapaxes(-2, -1).reshape(count, sets * size, length)[:, :vectors]
