"""An initializer for kernels in which the matrices of several gates stand side by side."""

from typing import Any

import numpy as np

from kerasinit._src.initializers.base import Initializer, Seed, checked_whole, registered
from kerasinit._src.initializers.sampling import Stream
from kerasinit._src.initializers.wrapping import Wrapper


@registered
class PerGate(Wrapper):
    """Another initializer for each gate of a recurrent kernel on its own.

    Keras keeps the kernels of an LSTM's four gates in one array, ``(inputs, 4 * units)``,
    those of a GRU's three in ``(inputs, 3 * units)``. Taken as one matrix it has fans that no
    gate has: Glorot's variance is 2.5 times too small for an LSTM with as many inputs as
    units. And an orthogonal matrix of that shape has no orthogonal gate in it. This class
    draws each gate's block at the block's own shape.

    Formula: ``w[..., g * n : (g + 1) * n] = initializer((..., n))``, ``n = size of the last
    axis / gates``, each block drawn independently.

    A plain RNN has one matrix and needs no blocks; the last line of the example is the network
    of relus that starts as the identity, of Le, Jaitly and Hinton (2015).

    Args:
        initializer: What makes a block: an initializer of this package without a seed of its
            own, as an instance, a name or a serialized configuration; see
            `kerasinit.initializers.wrapping.Wrapper`. ``"Orthogonal"`` by default.
        gates: How many blocks the last axis has: 4 (default) in the kernel and the recurrent
            kernel of LSTM and ConvLSTM, 3 in those of GRU.
        seed: A non-negative integer, None or a ``keras.random.SeedGenerator``; see
            `kerasinit.initializers.base.RandomInitializer`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``gates`` is below 1, the initializer unknown or with a seed of its
            own, the seed negative or, at a call, the last axis does not divide into that many
            gates, or a block does not suit the initializer.

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

    def __init__(
        self,
        initializer: Initializer | str | dict[str, Any] = "Orthogonal",
        gates: int = 4,
        seed: Seed = None,
    ):
        super().__init__(initializer, seed)
        self.gates = checked_whole(self, "gates", gates, minimum=1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {**super().get_config(), "gates": self.gates}

    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if not shape or shape[-1] % self.gates:
            raise ValueError(
                f"{type(self).__qualname__} makes {self.gates} gates of one size, side by side "
                f"along the last axis; got the shape {shape}. An LSTM's kernels have gates=4, a "
                f"GRU's gates=3; a SimpleRNN's need no PerGate."
            )
        values = np.empty(shape, dtype)
        size = shape[-1] // self.gates
        for gate in range(self.gates):
            block = values[..., gate * size : (gate + 1) * size]
            block[...] = self._draw_inner(stream.child(gate), block.shape, dtype)
        return values
