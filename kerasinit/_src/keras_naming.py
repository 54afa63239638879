"""The names that Keras gives to what its user does not name."""

import re


def snake_case(name: str) -> str:
    """Return the layer name that Keras derives from a class name.

    Example:
    >>> snake_case("EinsumDense"), snake_case("Conv2D"), snake_case("LSTM")
    ('einsum_dense', 'conv2d', 'lstm')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
