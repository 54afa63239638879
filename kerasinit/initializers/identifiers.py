"""Initializers by what a user types: ``HeNormal``, ``RandomNormal:stddev=0.01``."""

import json

import keras

from kerasinit import initializers, suggest


def parse(text: str) -> keras.initializers.Initializer:
    """Return the initializer that a command line names.

    Args:
        text: A class of this package, then its arguments if any, as
            ``Name:argument=value,argument=value``. Values are JSON, or bare words.

    Returns:
        A new initializer.

    Raises:
        ValueError: If there is no such class or argument, or a value is not valid.

    Example:
    >>> parse("RandomNormal:stddev=0.01").get_config()["stddev"]
    0.01
    >>> parse("HeNormall")
    Traceback (most recent call last):
    ...
    ValueError: Unknown initializer 'HeNormall'. Did you mean 'HeNormal'? Choices: ...
    """
    name, _, rest = text.removeprefix("kerasinit>").partition(":")
    if name not in initializers.__all__:
        raise suggest.unknown("initializer", name, initializers.__all__)
    arguments = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"Expected argument=value after the colon in {text!r}; got {part!r}.")
        try:
            arguments[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            arguments[key.strip()] = value.strip()
    try:
        return getattr(initializers, name)(**arguments)
    except TypeError as error:
        raise ValueError(f"Cannot make the initializer {text!r}: {error}.") from error
