"""An initializer for kernels that concatenate the matrices of several gates."""

from typing import Any

import numpy as np

from kerasinit._src.initializers.base import Initializer, Seed, checked_whole, registered
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.initializers.wrapping import Wrapper


@registered
class PerGate(Wrapper):
    """Initializer that applies another one to each gate of a recurrent kernel separately.

    Keras stores the kernels of the four gates of an LSTM in one array, ``(inputs, 4 * units)``,
    and those of the three gates of a GRU in ``(inputs, 3 * units)``. The fans of that array are
    not those of a gate: Glorot's variance is 2.5 times too small for an LSTM with as many inputs
    as units. Likewise, the gates within an orthogonal matrix of that shape are not orthogonal.
    This class draws the block of each gate with the shape of the block.

    Formula: ``w[..., g * n : (g + 1) * n] = initializer((..., n))``, ``n = size of the last
    axis / gates``, each block drawn independently.

    A ``SimpleRNN`` has a single matrix and does not need this class; the last line of the example
    shows the IRNN of Le, Jaitly and Hinton (2015).

    Args:
        initializer: The initializer of a block: one of this package, or a registered custom
            subclass, without a seed; as an instance, a name or a configuration. Defaults to
            ``"Orthogonal"``.
        gates: Number of blocks along the last axis: 4 (default) in the kernel and the recurrent
            kernel of LSTM and ConvLSTM, 3 in those of GRU.
        seed: A non-negative integer, for the same values at every call; None (default), for new
            ones; or a ``keras.random.SeedGenerator``. See `kerasinit.RandomNormal`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``gates`` is below 1, the initializer is unknown or has a seed, the seed is
            negative or, when called, the last axis is not divisible by ``gates``, or the
            initializer does not support the shape of a block.

    Example:
    >>> import keras
    >>> import kerasinit
    >>> import numpy as np
    >>> layer = keras.layers.LSTM(
    ...     16,
    ...     kernel_initializer=PerGate("GlorotUniform"),
    ...     recurrent_initializer=PerGate("Orthogonal", seed=1),
    ... )
    >>> layer.build((None, 5, 16))
    >>> forget = layer.cell.recurrent_kernel.numpy()[:, 16:32]
    >>> bool(np.abs(forget.T @ forget - np.eye(16)).max() < 1e-5)
    True
    >>> irnn = keras.layers.SimpleRNN(16, "relu", recurrent_initializer=kerasinit.Identity())

    Reference:
        Saxe, McClelland and Ganguli, 2014, "Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks"; Le, Jaitly and Hinton, 2015, "A simple way
        to initialize recurrent networks of rectified linear units".
    """

    _arguments = ("initializer", "seed", "gates")

    def __init__(
        self,
        initializer: Initializer | str | dict[str, Any] = "Orthogonal",
        gates: int = 4,
        seed: Seed = None,
    ):
        super().__init__(initializer, seed)
        self.gates = checked_whole(self, "gates", gates, minimum=1)

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if not shape or shape[-1] % self.gates:
            raise ValueError(
                f"{type(self).__qualname__} divides the last axis into {self.gates} gates of "
                f"equal size; got shape {shape}. Use gates=4 for an LSTM, gates=3 for a GRU, and "
                f"no PerGate for a SimpleRNN."
            )
        values = np.empty(shape, dtype)
        size = shape[-1] // self.gates
        for gate in range(self.gates):
            block = values[..., gate * size : (gate + 1) * size]
            block[...] = self._draw_inner(stream.child(gate), block.shape, dtype)
        return values
