"""Initializers that keep lengths and angles: as matrices, and as whole convolutions."""

import math
from collections.abc import Iterable
from typing import Any

import keras
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


class _Gained(RandomInitializer):
    """What these classes share: a factor, and the activation that it compensates for."""

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
        # What Q is multiplied by. Now rather than at the first call, so that what has no gain is
        # refused here.
        self.factor = self.gain * gain_for(self.nonlinearity, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        config = {"gain": self.gain, **super().get_config()}
        # Only where they are given: earlier releases, which read the rest, do not know them.
        if self.nonlinearity is not None:
            config["nonlinearity"] = keras.saving.serialize_keras_object(self.nonlinearity)
        if self.negative_slope is not None:
            config["negative_slope"] = self.negative_slope
        return config


@registered
class Orthogonal(_Gained):
    """A random matrix with orthonormal columns, or rows where there are fewer of them.

    It keeps the length of every signal, not only the average length, so a deep linear
    network learns in a time that does not grow with its depth; much used for the
    recurrent kernels of RNNs. In the kernel of an LSTM or GRU several matrices stand side
    by side: `kerasinit.PerGate` makes each of them orthogonal. The kernel of a convolution
    is made a matrix with orthonormal columns, which does not keep the length of an image;
    `ConvOrthogonal` does.

    Formula: ``w = gain g Q``, where ``g`` is the gain of the ``nonlinearity`` (`kerasinit.gain`;
    1 without one) and ``Q`` is uniform (Haar) among the matrices with ``Q^T Q = I`` (rows >=
    columns) or ``Q Q^T = I``. Without axes, a tensor of rank above 2 is taken as the matrix
    whose rows are all axes but the last, as in Keras.

    ``Q`` is a product of random reflections, multiplied by LAPACK: from one version of it to
    the next the values may differ in the last digits of float32.

    Args:
        gain: Factor; 1 by default.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.
        input_axes: Axes of the kernel that the layer sums over, the rows of the matrix;
            with ``output_axes``, or not at all. ``[0]`` for the query, key and value
            kernels of an attention layer, ``(dim, heads, head_dim)``, and ``[0, 1]`` for its
            output kernel, ``(heads, head_dim, dim)``. A layer of Keras does not tell; its
            ``MultiHeadAttention`` has one initializer for both layouts.
        output_axes: Axes that the result keeps, the columns: here ``[1, 2]`` and ``[2]``.
            Axes that are in neither list number kernels that do not meet, such as heads or
            experts: each of these is an orthogonal matrix of its own.
        nonlinearity: The activation whose gain is to be compensated for, as in
            `VarianceScaling`; none by default. Its gain and ``gain`` are multiplied.
        negative_slope: Slope of the activation for negative inputs, where it is a leaky relu;
            given alone it stands for ``nonlinearity="leaky_relu"``.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the gain is not finite, the activation unknown or without a gain, the seed
            negative, only one of the two lists of axes given or, at a call, the shape of a rank
            below 2 (without axes) or without an axis that is named.

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

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {
            **super().get_config(),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if self.input_axes is not None and self.output_axes is not None:
            return self._draw_by_axes(stream, shape, dtype, self.input_axes, self.output_axes)
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal makes matrices, of rank 2 or more; got the shape {shape}, of rank "
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
            # Without batch axes there is one matrix: that which is drawn without axes.
            own = stream.child(index) if batch else stream
            drawn[index] = sampling.orthogonal(own, tuple(matrix), dtype, self.factor)
        order = [*batch, *inputs, *outputs]
        values = drawn.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
        return np.ascontiguousarray(values)


@registered
class DeltaOrthogonal(_Gained):
    """A convolution that starts as one random rotation of the channels at every pixel.

    Only the centre of the window is not zero, and it is an orthogonal matrix. So the layer
    keeps the length of every pixel, and thereby of every image; networks of 10,000 plain
    layers with tanh were trained from it. For layers with stride 1, ``padding="same"`` and
    one group that do not have fewer outputs than inputs.

    Formula: ``w[centre] = gain g Q``, 0 elsewhere, where ``g`` is the gain of the
    ``nonlinearity`` and ``Q``, of shape ``(inputs, outputs)``, is uniform (Haar) among the
    matrices with ``Q Q^T = I``. The centre is at ``(size - 1) // 2`` along each axis of the
    window, also where the size is even: there TensorFlow's padding ``"same"`` puts the pixel
    itself.

    Args:
        gain: Factor; 1 by default.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.
        nonlinearity: The activation whose gain is to be compensated for, as in
            `VarianceScaling`; none by default. Its gain and ``gain`` are multiplied.
        negative_slope: Slope of the activation for negative inputs, where it is a leaky relu;
            given alone it stands for ``nonlinearity="leaky_relu"``.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the gain is not finite, the activation unknown or without a gain, the seed
            negative or, at a call, the shape not that of a kernel of a convolution,
            ``(*window, inputs, outputs)`` of rank 3 to 5, or with fewer outputs than inputs.

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
class ConvOrthogonal(_Gained):
    """A convolution that keeps the length of every image and mixes all of its window.

    What `Orthogonal` is to a matrix: as a map of whole images (taken round the border) the
    convolution has orthonormal rows. Unlike `DeltaOrthogonal` it looks at neighbours from
    the start; in the paper, very deep networks do better with the latter. For layers with
    stride 1 and one group that do not have fewer outputs than inputs. With zeros around the
    image (``padding="same"``) a part of the length is lost at the border, with ``"valid"``
    more.

    Formula: ``w = gain g Q * A_1 * A_2 * ...``, where ``g`` is the gain of the ``nonlinearity``
    and ``Q``, of shape ``(inputs, outputs)``, is uniform among the matrices with ``Q Q^T = I``,
    ``*`` is the convolution of windows of matrices, and each ``A`` is a window of two matrices
    along one axis, ``(P, I - P)``, for a random symmetric projection ``P``; there are
    ``size - 1`` of them for an axis of the window of that size. ``P`` is the projection on a
    uniformly random subspace that has each direction with probability 1/2. Windows need not be
    square.

    The values come out of LAPACK and matrix products: from one version of these to the
    next they may differ in the last digits of float32.

    Args:
        gain: Factor; 1 by default.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.
        nonlinearity: The activation whose gain is to be compensated for, as in
            `VarianceScaling`; none by default. Its gain and ``gain`` are multiplied.
        negative_slope: Slope of the activation for negative inputs, where it is a leaky relu;
            given alone it stands for ``nonlinearity="leaky_relu"``.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If the gain is not finite, the activation unknown or without a gain, the seed
            negative or, at a call, the shape not that of a kernel of a convolution,
            ``(*window, inputs, outputs)`` of rank 3 to 5, or with fewer outputs than inputs.

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
        # The axes take turns, as in the paper, where one step is one for each of them.
        axes = [a for turn in range(1, max(window)) for a, size in enumerate(window) if turn < size]
        for index, axis in enumerate(axes):
            kernel = _convolved(kernel, axis, sampling.subspace(stream.child(1 + index), outputs))
        # Rounded to float32 first, so that a seed means the same weights in every dtype.
        return (self.factor * kernel).astype(np.float32).astype(dtype)


def _convolved(kernel: np.ndarray, axis: int, basis: np.ndarray) -> np.ndarray:
    """Return a kernel convolved along one axis with ``(P, I - P)``, ``P = basis basis^T``."""
    flat = kernel.reshape(-1, kernel.shape[-1])
    kept = (flat @ basis @ basis.T).reshape(kernel.shape)
    rest = kernel - kept
    nothing = np.zeros_like(kernel.take([0], axis))
    return np.concatenate([kept, nothing], axis) + np.concatenate([nothing, rest], axis)


def _checked_kernel(owner: object, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """Return the window, inputs and outputs of a convolution that can keep every length."""
    if not 3 <= len(shape) <= 5:
        raise ValueError(
            f"{type(owner).__qualname__} makes kernels of convolutions, (*window, inputs, "
            f"outputs), of rank 3 to 5; got the shape {shape}, of rank {len(shape)}. For a "
            f"matrix use Orthogonal."
        )
    *window, inputs, outputs = shape
    if inputs > outputs:
        raise ValueError(
            f"{type(owner).__qualname__} keeps the length of every input, which takes at least "
            f"as many outputs as inputs; got the shape {shape}, with {inputs} inputs and "
            f"{outputs} outputs. Give the layer {inputs} filters or more, or use Orthogonal."
        )
    return tuple(window), inputs, outputs
