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


def compiled(make: Callable[..., Any], signature: tuple[Any, ...], *, jit: bool) -> Any:
    """Return a compiled function: by XLA if asked for, without it where XLA cannot."""
    if not jit:
        return make(jit=False).get_concrete_function(*signature)
    chosen = [make(jit=True).get_concrete_function(*signature)]

    def call(*arguments: tf.Tensor) -> Any:
        try:
            return chosen[0](*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            if len(chosen) > 1 or "XLA" not in str(error).upper():
                raise
            # XLA refuses while it compiles, before a step is taken, so the same
            # arguments can be tried again.
            warnings.warn(
                f"XLA cannot compile this model, so it trains more slowly: "
                f"{str(error).splitlines()[0]}",
                stacklevel=2,
            )
            chosen.insert(0, make(jit=False).get_concrete_function(*signature))
            return chosen[0](*arguments)

    return call
