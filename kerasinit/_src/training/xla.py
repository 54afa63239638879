"""How a training loop is compiled, and which of its random numbers cannot be restored."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.errors import warn

# TensorFlow operations with a generator state that cannot be read.
_HIDDEN_DRAWS = frozenset(
    {
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "RandomGamma",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "TruncatedNormal",
    }
)
# Every convolution of both Kerases maps to one of these, whatever its layer is called: 1-D ones
# run as 2-D, transposed ones as the gradient of another by its input.
_CONVOLUTIONS = frozenset(
    {
        "Conv",
        "Conv2D",
        "Conv2DBackpropInput",
        "Conv2DBackpropInputV2",
        "Conv3D",
        "Conv3DBackpropInput",
        "Conv3DBackpropInputV2",
        "DepthwiseConv2dNative",
        "DepthwiseConv2dNativeBackpropInput",
    }
)


# Makes a function for arguments of a signature: ``make(signature, jit=...)``.
Make = Callable[..., Callable[..., Any]]


def draws_hidden_numbers(function: Any) -> bool:
    """Return whether a traced function draws from generators hidden in its graph."""
    return not _HIDDEN_DRAWS.isdisjoint(_operations(function))


def convolves(function: Any) -> bool:
    """Return whether a traced function has a convolution anywhere, in any layer."""
    return not _CONVOLUTIONS.isdisjoint(_operations(function))


def xla_pays(function: Any) -> bool:
    """Return whether XLA makes a training loop faster, from the traced forward pass.

    It does, several times over, except for convolutions on a CPU: XLA's gradients of convolutions
    take tens of times as long inside a loop as TensorFlow's. ``tests/benchmarks/lottery.py``
    measures both. The answer depends on the network and on whether TensorFlow sees a GPU,
    never on a measurement, so that the same command gives the same bits.
    """
    return bool(tf.config.get_visible_devices("GPU")) or not convolves(function)


def _operations(function: Any) -> set[str]:
    """Return the operations of a traced function and of all functions that it calls."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for part in graph.library.function for node in part.node_def)]
    return {node.op for node in nodes}


class Compiler:
    """Compiles functions once per signature, with XLA where possible.

    ``seed`` seeds tf_keras' random layers, which take their seed when they are traced.
    """

    def __init__(self, seed: int, *, xla: bool) -> None:
        self._seed = seed
        self.xla = xla
        """Whether XLA compiles; turns False if XLA fails at the first call."""
        self._compiled: dict[Any, Callable[..., Any]] = {}

    def compiled(self, make: Make, signature: Any) -> Callable[..., Any]:
        """Return a function for tensors of the signature's shapes, traced at its first use."""
        key = make, repr(signature)
        if key not in self._compiled:
            with compat.global_stream(self._seed, "layers"):
                made = make(signature, jit=self.xla)
            self._compiled[key] = self._or_without(made, make, signature) if self.xla else made
        return self._compiled[key]

    def _or_without(
        self, made: Callable[..., Any], make: Make, signature: Any
    ) -> Callable[..., Any]:
        """Return a function that runs with XLA, or with TensorFlow alone if XLA fails."""
        chosen = [made]

        def call(*arguments: tf.Tensor) -> Any:
            try:
                return chosen[-1](*arguments)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
                if len(chosen) > 1 or "XLA" not in str(error).upper():
                    raise
                warn(
                    f"XLA cannot compile this model, so it trains more slowly: "
                    f"{str(error).splitlines()[0]}"
                )
                self.xla = False
                # XLA fails while it compiles, before a step is taken, so the same arguments
                # can be used again.
                chosen.append(make(signature, jit=False))
                return chosen[-1](*arguments)

        return call


def take_steps(
    step: Callable[[Any, Any], tf.Tensor], x: Any, y: Any, signature: Any, *, jit: bool
) -> Callable[..., tf.Tensor]:
    """Return a function that takes ``count`` steps on batches of positions and sums their losses.

    ``step`` takes a step on inputs and labels and returns its loss; ``x`` and ``y`` are all the
    examples.
    """

    def steps(batches: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        def one(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = tf.nest.map_structure(lambda array: tf.gather(array, batches[i]), (x, y))
            return i + 1, total + step(*batch)

        return tf.while_loop(lambda i, _: i < count, one, (0, 0.0))[1]

    return tf.function(steps, autograph=False, jit_compile=jit).get_concrete_function(*signature)
