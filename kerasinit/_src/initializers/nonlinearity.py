"""The ``nonlinearity`` argument of initializers: the activation whose gain they compensate."""

from typing import Any

import keras


def gain_for(nonlinearity: Any, negative_slope: float | None, mode: str = "second_moment") -> float:
    """Return the gain for two arguments of an initializer, 1 if both are None.

    A ``negative_slope`` without a ``nonlinearity`` means a leaky relu.
    """
    if nonlinearity is None and negative_slope is None:
        return 1.0
    # Gains are imported when one is needed, not with each initializer.
    from kerasinit._src.theory.gains import gain

    return gain("leaky_relu" if nonlinearity is None else nonlinearity, mode, negative_slope)


def checked_nonlinearity(given: Any) -> Any:
    """Return an activation as a name or a registered function, which can be saved."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, dict):  # from a saved configuration
        return keras.saving.deserialize_keras_object(given)
    for name in dir(keras.activations):
        if getattr(keras.activations, name) is given:
            return name
    name = keras.saving.get_registered_name(given)
    if isinstance(name, str) and keras.saving.get_registered_object(name) is given:
        return given
    raise ValueError(
        f"nonlinearity={given!r} cannot be saved. Give the name of an activation of Keras, or "
        f"register the function: @keras.saving.register_keras_serializable()."
    )
