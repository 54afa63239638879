"""Kernels that ignore the mean of their inputs."""

import math

import numpy as np

from kerasinit._src.initializers.base import registered
from kerasinit._src.initializers.nonlinearity import gain_for
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.initializers.variance_scaling import LecunNormal


@registered
class CentredNormal(LecunNormal):
    """Normal initializer whose values sum to zero over the inputs of each unit.

    For layers that follow sigmoids. The outputs of a sigmoid have a mean of 1/2, far larger
    than the differences between examples. Kernels of any scale propagate that mean, and after
    a few layers all examples look alike. Weights that sum to zero for each unit cancel it: what
    remains of a sigmoid is ``tanh(x / 2) / 2``, and a network of sigmoids starts as one of tanh,
    for which the large gain of the sigmoid is safe.

    The constraint holds for the initial values only, not during training.

    Formula: ``v ~ N(0, g^2 / fan_in)``, ``w_ik = (v_ik - mean_i v_ik) sqrt(n / (n - 1))`` for
    each unit k of n inputs, so that ``Var(w) = g^2 / fan_in``; ``g = 1 / sqrt(Var[f(z)])`` for
    the ``nonlinearity`` f from which the inputs come (`kerasinit.gain`, mode ``"centred"``).

    Args:
        input_axes: The axes over which the values sum to zero. By default (None) all axes but
            the last.
        seed, output_axes, gain, nonlinearity, negative_slope, fans: See `VarianceScaling`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of its range, as in `VarianceScaling`, or, when called,
            a unit has a single input.

    Example:
    >>> import numpy as np
    >>> kernel = CentredNormal(seed=1, nonlinearity="sigmoid")((300, 200))
    >>> round(float(kernel.std()) * 300**0.5, 1), bool(np.abs(kernel.sum(0)).max() < 1e-4)
    (4.8, True)

    Reference:
        LeCun, Bottou, Orr and Müller, 1998, "Efficient backprop", section 4.4; Glorot and
        Bengio, 2010, "Understanding the difficulty of training deep feedforward neural
        networks", section 3.1; Huang, Liu, Lang, Yu and Li, 2017, "Centered weight
        normalization in accelerating training of deep neural networks".
    """

    _distribution = "untruncated_normal"

    def _scale_of_nonlinearity(self) -> float:
        return gain_for(self.nonlinearity, self.negative_slope, "centred") ** 2

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        axes = self.input_axes
        axes = tuple(range(len(shape) - 1)) if axes is None else tuple(axes)
        inputs = math.prod(shape[axis] for axis in axes)
        if not axes or inputs == 1:
            raise ValueError(
                f"{type(self).__qualname__} needs two inputs or more for each unit, so that the "
                f"weights can sum to zero; got shape {shape}. Use LecunNormal instead."
            )
        # Centred in float32, then rounded to the dtype.
        values = super()._draw(stream, shape, np.dtype(np.float32))
        if values.size:
            values -= values.mean(axes, keepdims=True, dtype=np.float64).astype(np.float32)
            values *= np.float32(math.sqrt(inputs / (inputs - 1)))
        return values.astype(dtype, copy=False)
