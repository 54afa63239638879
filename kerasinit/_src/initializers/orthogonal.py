"""Orthogonal initializers for matrices and for convolutions."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from kerasinit._src.initializers import sampling
from kerasinit._src.initializers.base import (
    RandomInitializer,
    Seed,
    checked_axes,
    checked_number,
    registered,
)
from kerasinit._src.initializers.nonlinearity import checked_nonlinearity, gain_for
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.theory.fans import axes_by_role


class _OrthogonalBase(RandomInitializer):
    """A gain, and the activation that it compensates for."""

    _arguments = ("gain", "seed", "nonlinearity", "negative_slope")

    def __init__(
        self,
        gain: float = 1.0,
        seed: Seed = None,
        *,
        nonlinearity: Any = None,
        negative_slope: float | None = None,
    ):
        super().__init__(seed)
        self.gain = checked_number(self, "gain", gain)
        self.nonlinearity = checked_nonlinearity(nonlinearity)
        self.negative_slope = negative_slope
        if negative_slope is not None:
            self.negative_slope = checked_number(self, "negative_slope", negative_slope)
        # The factor of Q. Computed here so that an activation without a gain is rejected at once.
        self.factor = self.gain * gain_for(self.nonlinearity, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        config = super().get_config()
        # Omitted if None, since earlier releases do not know these arguments.
        for name in ("nonlinearity", "negative_slope"):
            if config[name] is None:
                del config[name]
        return config


@registered
class Orthogonal(_OrthogonalBase):
    """Initializer that generates a random matrix with orthonormal columns or rows.

    An orthogonal matrix preserves the norm of every signal, not only the average norm, so the
    training time of a deep linear network does not grow with its depth. Often used for the
    recurrent kernels of RNNs. The kernels of an LSTM or GRU concatenate several matrices;
    `kerasinit.PerGate` makes each of them orthogonal. The kernel of a convolution becomes a
    matrix with orthonormal columns, which does not preserve the norm of an image;
    `ConvOrthogonal` does.

    Formula: ``w = gain g Q``, where ``g`` is the gain of the ``nonlinearity`` (`kerasinit.gain`;
    1 without one) and ``Q`` is uniform (Haar) among the matrices with ``Q^T Q = I`` (rows >=
    columns) or ``Q Q^T = I``. Without axes, a tensor of rank above 2 is reshaped to a matrix
    whose rows are all axes but the last, as in Keras.

    ``Q`` is a product of random reflections, computed by LAPACK; the values may differ in the
    last digits of float32 between its versions.

    Args:
        gain: Multiplicative factor. Defaults to 1.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.
        input_axes: Axes of the kernel that the layer sums over, the rows of the matrix;
            requires ``output_axes``. ``[0]`` for the query, key and value kernels of an
            attention layer, ``(dim, heads, head_dim)``, and ``[0, 1]`` for its output kernel,
            ``(heads, head_dim, dim)``. Keras does not pass them, and its
            ``MultiHeadAttention`` has one initializer for both layouts. Defaults to None.
        output_axes: Axes that remain in the output, the columns: here ``[1, 2]`` and ``[2]``.
            Axes in neither list are batch axes, such as heads or experts, with an orthogonal
            matrix for each index. Defaults to None.
        nonlinearity: The activation to compensate for, as in `VarianceScaling`; its gain is
            multiplied with ``gain``. Defaults to None.
        negative_slope: Negative slope of a leaky relu; given alone it means
            ``nonlinearity="leaky_relu"``. Defaults to None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the gain is not finite, the activation is unknown or has no gain, the
            seed is negative, only one of the two lists of axes is given or, when called, the
            rank is below 2 (without axes) or an axis is out of range.

    Example:
    >>> import numpy as np
    >>> q = Orthogonal(seed=1)((64, 32))
    >>> bool(np.abs(q.T @ q - np.eye(32)).max() < 1e-5)
    True
    >>> query = Orthogonal(seed=1, input_axes=[0], output_axes=[1, 2])((32, 4, 8))
    >>> q = query.reshape(32, 32)
    >>> bool(np.abs(q.T @ q - np.eye(32)).max() < 1e-5)
    True

    Reference:
        Saxe, McClelland and Ganguli, 2014, "Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks"; Stewart, 1980, "The efficient generation of
        random orthogonal matrices with an application to condition estimators"; Mezzadri,
        2007, "How to generate random matrices from the classical compact groups".
    """

    _arguments = (*_OrthogonalBase._arguments, "input_axes", "output_axes")

    def __init__(
        self,
        gain: float = 1.0,
        seed: Seed = None,
        input_axes: Iterable[int] | None = None,
        output_axes: Iterable[int] | None = None,
        *,
        nonlinearity: Any = None,
        negative_slope: float | None = None,
    ):
        super().__init__(gain, seed, nonlinearity=nonlinearity, negative_slope=negative_slope)
        self.input_axes, self.output_axes = checked_axes(self, input_axes, output_axes)

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if self.input_axes is not None and self.output_axes is not None:
            return self._draw_by_axes(stream, shape, dtype, self.input_axes, self.output_axes)
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs a shape of rank 2 or more; got shape {shape}, of rank "
                f"{len(shape)}. For a vector use another initializer, such as RandomNormal."
            )
        return sampling.orthogonal(stream, shape, dtype, self.factor)

    def _draw_by_axes(
        self,
        stream: Stream,
        shape: tuple[int, ...],
        dtype: np.dtype,
        input_axes: list[int],
        output_axes: list[int],
    ) -> np.ndarray:
        inputs, outputs, batch = axes_by_role(shape, input_axes, output_axes)
        count, *matrix = (
            math.prod(shape[axis] for axis in axes) for axes in (batch, inputs, outputs)
        )
        drawn = np.empty((count, *matrix), dtype)
        for index in range(count):
            # Without batch axes the single matrix equals the one drawn without axes.
            child = stream.child(index) if batch else stream
            drawn[index] = sampling.orthogonal(child, tuple(matrix), dtype, self.factor)
        order = [*batch, *inputs, *outputs]
        values = drawn.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
        return np.ascontiguousarray(values)


@registered
class DeltaOrthogonal(_OrthogonalBase):
    """Initializer for convolutions that rotate the channels of every pixel alike.

    Only the centre tap of the kernel is nonzero, and it is an orthogonal matrix. The layer
    therefore preserves the norm of every pixel, and so of every image; plain tanh networks of
    10,000 layers have been trained with it. For layers with stride 1, ``padding="same"``, one
    group and at least as many outputs as inputs.

    Formula: ``w[centre] = gain g Q``, 0 elsewhere, where ``g`` is the gain of the
    ``nonlinearity`` and ``Q``, of shape ``(inputs, outputs)``, is uniform (Haar) among the
    matrices with ``Q Q^T = I``. The centre is at ``(size - 1) // 2`` along each spatial axis,
    also if the size is even, which is where ``padding="same"`` aligns the kernel.

    Args:
        gain: Multiplicative factor. Defaults to 1.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.
        nonlinearity: The activation to compensate for, as in `VarianceScaling`; its gain is
            multiplied with ``gain``. Defaults to None.
        negative_slope: Negative slope of a leaky relu; given alone it means
            ``nonlinearity="leaky_relu"``. Defaults to None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the gain is not finite, the activation is unknown or has no gain, the
            seed is negative or, when called, the shape is not that of a convolution kernel,
            ``(*window, inputs, outputs)`` of rank 3 to 5, or has fewer outputs than inputs.

    Example:
    >>> import numpy as np
    >>> kernel = DeltaOrthogonal(seed=1)((3, 3, 16, 32))
    >>> np.argwhere(np.abs(kernel).max(axis=(2, 3)) > 0).tolist()
    [[1, 1]]
    >>> bool(np.abs(kernel[1, 1] @ kernel[1, 1].T - np.eye(16)).max() < 1e-5)
    True

    Reference:
        Xiao, Bahri, Sohl-Dickstein, Schoenholz and Pennington, 2018, "Dynamical isometry and
        a mean field theory of CNNs: how to train 10,000-layer vanilla convolutional neural
        networks".
    """

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        window, inputs, outputs = _checked_kernel(self, shape)
        values = np.zeros(shape, dtype)
        if values.size:
            centre = tuple((size - 1) // 2 for size in window)
            values[centre] = sampling.orthogonal(stream, (inputs, outputs), dtype, self.factor)
        return values


@registered
class ConvOrthogonal(_OrthogonalBase):
    """Initializer for convolutions that preserve the norm of every image.

    As a linear map of whole images, with circular padding, the convolution has orthonormal
    rows. Unlike with `DeltaOrthogonal`, all taps of the kernel are nonzero; in the paper, very
    deep networks train better with the latter. For layers with stride 1, one group and at least
    as many outputs as inputs. With zero padding (``padding="same"``) some of the norm is lost
    at the border, with ``"valid"`` more.

    Formula: ``w = gain g Q * A_1 * A_2 * ...``, where ``g`` is the gain of the ``nonlinearity``
    and ``Q``, of shape ``(inputs, outputs)``, is uniform among the matrices with ``Q Q^T = I``,
    ``*`` is the convolution of kernels, and each ``A`` is a kernel of two taps along one spatial
    axis, ``(P, I - P)``, for a random symmetric projection ``P``; there are ``size - 1`` of them
    for an axis of that size. ``P`` projects onto a uniformly random subspace that contains each
    direction with probability 1/2. Kernels need not be square.

    The values are computed by LAPACK and matrix products; they may differ in the last digits of
    float32 between versions of these.

    Args:
        gain: Multiplicative factor. Defaults to 1.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.
        nonlinearity: The activation to compensate for, as in `VarianceScaling`; its gain is
            multiplied with ``gain``. Defaults to None.
        negative_slope: Negative slope of a leaky relu; given alone it means
            ``nonlinearity="leaky_relu"``. Defaults to None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the gain is not finite, the activation is unknown or has no gain, the
            seed is negative or, when called, the shape is not that of a convolution kernel,
            ``(*window, inputs, outputs)`` of rank 3 to 5, or has fewer outputs than inputs.

    Example:
    >>> import numpy as np
    >>> kernel = ConvOrthogonal(seed=1)((3, 3, 16, 32))
    >>> image = np.random.default_rng(1).normal(size=(8, 8, 16))
    >>> at_frequencies = np.fft.fft2(kernel, (8, 8), axes=(0, 1))
    >>> output = np.einsum("xyi,xyio->xyo", np.fft.fft2(image, axes=(0, 1)), at_frequencies)
    >>> float(round(np.linalg.norm(output) / np.linalg.norm(np.fft.fft2(image, axes=(0, 1))), 4))
    1.0

    Reference:
        Xiao, Bahri, Sohl-Dickstein, Schoenholz and Pennington, 2018, "Dynamical isometry and
        a mean field theory of CNNs: how to train 10,000-layer vanilla convolutional neural
        networks", algorithm 1; Kautsky and Turcajová, 1994, "A matrix approach to discrete
        wavelets".
    """

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        window, inputs, outputs = _checked_kernel(self, shape)
        if 0 in shape:
            return np.zeros(shape, dtype)
        matrix = sampling.subspace(stream.child(0), outputs, inputs).T
        kernel = matrix.reshape(*[1] * len(window), inputs, outputs)
        # The axes alternate, as in the paper, where each step is one along every axis.
        axes = [a for turn in range(1, max(window)) for a, size in enumerate(window) if turn < size]
        for index, axis in enumerate(axes):
            kernel = _convolved(kernel, axis, sampling.subspace(stream.child(1 + index), outputs))
        # Rounded to float32 first, so that a seed gives the same weights in every dtype.
        return (self.factor * kernel).astype(np.float32).astype(dtype)


def _convolved(kernel: np.ndarray, axis: int, basis: np.ndarray) -> np.ndarray:
    """Return a kernel convolved along one axis with ``(P, I - P)``, ``P = basis basis^T``."""
    flat = kernel.reshape(-1, kernel.shape[-1])
    kept = (flat @ basis @ basis.T).reshape(kernel.shape)
    rest = kernel - kept
    padding = np.zeros_like(kernel.take([0], axis))
    return np.concatenate([kept, padding], axis) + np.concatenate([padding, rest], axis)


def _checked_kernel(owner: object, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """Return the window, inputs and outputs of a convolution that can preserve the norm."""
    if not 3 <= len(shape) <= 5:
        raise ValueError(
            f"{type(owner).__qualname__} needs the shape of a convolution kernel, (*window, "
            f"inputs, outputs), of rank 3 to 5; got shape {shape}, of rank {len(shape)}. For a "
            f"matrix use Orthogonal."
        )
    *window, inputs, outputs = shape
    if inputs > outputs:
        raise ValueError(
            f"{type(owner).__qualname__} preserves the norm of every input, which requires at "
            f"least as many outputs as inputs; got shape {shape}, with {inputs} inputs and "
            f"{outputs} outputs. Give the layer {inputs} filters or more, or use Orthogonal."
        )
    return tuple(window), inputs, outputs
