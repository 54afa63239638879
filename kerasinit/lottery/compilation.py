"""How a loop is compiled, and what of its randomness cannot be put back."""

import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# The operations of TensorFlow that keep a generator's state where nothing can read it.
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


def draws_hidden_numbers(function: Any) -> bool:
    """Return whether a traced function draws from generators hidden in its graph."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for part in graph.library.function for node in part.node_def)]
    return any(node.op in _HIDDEN_DRAWS for node in nodes)


def by_xla(
    make: Callable[..., Any], signature: tuple[Any, ...], refused: Callable[[], None]
) -> Callable[..., Any]:
    """Return a function that XLA compiles, or TensorFlow alone where XLA cannot.

    Args:
        make: Called with ``jit=True`` or ``False``, returns a ``tf.function``.
        signature: The ``tf.TensorSpec`` of each of its arguments.
        refused: Called if XLA cannot compile it.
    """
    chosen = [make(jit=True).get_concrete_function(*signature)]

    def call(*arguments: tf.Tensor) -> Any:
        try:
            return chosen[-1](*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            if len(chosen) > 1 or "XLA" not in str(error).upper():
                raise
            warnings.warn(
                f"XLA cannot compile this model, so it trains more slowly: "
                f"{str(error).splitlines()[0]}",
                stacklevel=2,
            )
            refused()
            # XLA refuses while it compiles, before a step is taken, so the same
            # arguments can be tried again.
            chosen.append(make(jit=False).get_concrete_function(*signature))
            return chosen[-1](*arguments)

    return call
