"""Initializers whose values stand in an order: most are zero, or they are orthogonal."""

import math
from typing import Any

import numpy as np

from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    Initializer,
    RandomInitializer,
    Seed,
    checked_number,
    checked_whole,
    registered,
)
from kerasinit._src.initializers.constant import held
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.initializers.taps import centre_tap, checked_kernel


@registered
class Dirac(Initializer):
    """A convolution that passes on as many channels as it can, times a gain.

    For deep networks without residual connections, whose signal then reaches the end at
    the start of training. `Identity` for unequal numbers of channels and for groups:
    surplus inputs are not looked at, surplus outputs are zero. With ``strides=1`` and
    ``padding="same"`` the channels are passed on exactly, whatever the size of the window.

    Formula: at the centre tap ``w[i, g * n + i] = gain`` for every group ``g`` and every
    ``i`` below ``inputs`` and ``n = outputs / groups``, else 0. The centre of ``k`` taps is
    ``(k - 1) // 2``, counted from 0. The kernel of a grouped convolution has the shape
    ``(*window, inputs per group, outputs)``.

    Args:
        groups: The layer's ``groups``; 1 by default. With as many outputs as inputs in
            each of them the layer passes its whole input on.
        gain: Factor; 1 by default.

    Raises:
        TypeError: If ``groups`` is not a whole number or the gain not a number.
        ValueError: If ``groups`` is below 1 or the gain not finite or, at a call, the
            shape is not of rank 2 to 5, a matrix is to have groups, the outputs cannot be
            shared out to the groups, or the dtype cannot hold the gain.

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

    def __init__(self, groups: int = 1, gain: float = 1.0):
        self.groups = checked_whole(self, "groups", groups, minimum=1)
        self.gain = checked_number(self, "gain", gain)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"groups": self.groups, "gain": self.gain}

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        checked_kernel(self, shape, range(2, 6))
        inputs, outputs = shape[-2:]
        if len(shape) == 2 and self.groups > 1:
            raise ValueError(
                f"{self!r} makes kernels of grouped convolutions, of rank 3 to 5; got the matrix "
                f"{shape}. A dense layer has no groups: leave them out."
            )
        if outputs % self.groups:
            raise ValueError(
                f"{self!r} needs a number of outputs that is a multiple of groups={self.groups}, "
                f"which is that of the layer; got the shape {shape}, with {outputs} outputs."
            )
        values = np.zeros(shape, dtype)
        per_group = outputs // self.groups
        kept = np.arange(min(inputs, per_group))
        groups = centre_tap(values).reshape(inputs, self.groups, per_group)
        groups[kept, :, kept] = held(self, self.gain, dtype)
        return values


@registered
class ZerO(Initializer):
    """Zeros and ones, up to a factor, and no random numbers.

    For residual networks, which in the paper train from it as well as from random values,
    and vary less from run to run. A layer passes its input on; one that has more outputs
    than inputs mixes it by a Hadamard transform, where a partial identity would leave the
    surplus units at zero.

    Formula: with ``n`` inputs and ``p`` outputs, ``w[i, j] = 1`` where ``i == j``, else 0,
    if ``p <= n``. If ``p > n``, ``w[i, j] = c H[i, j]``, where ``H`` is Sylvester's
    Hadamard matrix of ``2^m`` rows, ``m = ceil(log2(p))`` and ``c = 2^(-(m - 1) / 2)``. If
    ``p`` is a power of 2 that is ``w w^T = 2 I``. In a convolution all this is at the
    centre tap ``(k - 1) // 2`` of ``k``, and zero elsewhere. (The factor is the paper's;
    the authors' own program has ``c = 2^(-m / 2)``.)

    Raises:
        ValueError: If, at a call, the shape is not of rank 2 to 5 or the dtype not a
            floating one.

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

    The whole has up to twice as many rows as the block has columns, which for a layer
    of 50,000 outputs is 16 GB; so each sign is taken from where it stands: it is
    negative where row and column number share an odd number of bits.
    """
    order = (columns - 1).bit_length()
    scale = np.float32(2 ** (-(order - 1) / 2))
    numbers = np.arange(columns, dtype=np.uint32)
    odd = np.bitwise_count(numbers[:rows, np.newaxis] & numbers) & 1
    return np.where(odd, -scale, scale)


@registered
class ConvolutionAware(RandomInitializer):
    """Filters that are orthogonal in the Fourier domain, with He's variance.

    A convolution multiplies Fourier transforms, so filters that share no direction there
    look at different things in each input channel. For relu networks of convolutions.

    Formula: for each output channel, the filters ``f_1 ... f_n`` of its ``n`` input channels
    have ``sum_u F f_a(u) conj(F f_b(u)) = 0`` for ``a != b``, where ``F`` is the discrete
    Fourier transform of the window; uniform (Haar) among all such filters of one length.
    A window of ``d`` taps has room for ``d`` orthogonal filters: if ``n > d``, every ``d``
    input channels have a set of their own. A window of one tap has no other room than a
    sign. Noise is added to break what symmetry is left, and all is scaled to
    ``Var(w) = 2 / fan_in``.

    By Parseval's theorem the filters of a set are orthogonal in the Fourier domain if and
    only if they are in space, and a uniform set of real filters is uniform in both; so
    they are drawn in space, and nothing is lost on the way back.

    Args:
        eps_std: Standard deviation of the noise as a fraction of the filters', at least 0;
            0.05 by default. With 0 the filters are exactly orthogonal.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``eps_std`` is negative or not finite, the seed negative or, at a
            call, the shape not that of a convolution, ``(*window, inputs, outputs)`` of
            rank 3 to 5.

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

    def __init__(self, eps_std: float = 0.05, seed: Seed = None):
        super().__init__(seed)
        self.eps_std = checked_number(self, "eps_std", eps_std, minimum=0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"eps_std": self.eps_std, **super().get_config()}

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
    """Return ``count`` times ``vectors`` vectors, orthonormal in runs of ``length``.

    Each run is the Q of a Gaussian matrix, with the signs settled as in
    `kerasinit.initializers.sampling.orthogonal`; here for many small matrices at once.
    """
    size = min(vectors, length)
    runs = -(-vectors // size)
    gaussian = sampling.normal(stream, (count, runs, length, size), np.dtype(np.float32))
    q, r = np.linalg.qr(gaussian.astype(np.float64))
    q *= np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[..., np.newaxis, :]
    return q.swapaxes(-2, -1).reshape(count, runs * size, length)[:, :vectors]
