"""Initializers by what a user types: ``HeNormal``, ``RandomNormal:stddev=0.01``."""

import json
from collections.abc import Iterable
from typing import Any

from kerasinit._src import errors
from kerasinit._src.initializers.base import Initializer

CLASSES: dict[str, type[Initializer]] = {}
"""The classes that have a name here; `kerasinit.initializers` enters its own."""


def parse(text: str) -> Initializer:
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
    name, arguments = split(text.removeprefix("kerasinit>"))
    if name not in CLASSES:
        raise errors.unknown("initializer", name, CLASSES)
    try:
        return CLASSES[name](**arguments)
    except TypeError as error:
        raise ValueError(f"Cannot make the initializer {text!r}: {error}.") from error


def split(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments in ``Name:argument=value,argument=value``.

    Raises:
        ValueError: If something after the colon is no assignment.

    Example:
    >>> split("sgd:learning_rate=0.1,nesterov=true")
    ('sgd', {'learning_rate': 0.1, 'nesterov': True})
    """
    name, _, rest = text.partition(":")
    arguments = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"Expected argument=value after the colon in {text!r}; got {part!r}.")
        try:
            arguments[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            arguments[key.strip()] = value.strip()
    return name, arguments


def whole_names(words: Iterable[str]) -> list[str]:
    """Put initializers together again that were split at the commas of their arguments.

    Args:
        words: What stood between commas.

    Example:
    >>> whole_names("HeNormal,VarianceScaling:scale=2,mode=fan_in,Orthogonal".split(","))
    ['HeNormal', 'VarianceScaling:scale=2,mode=fan_in', 'Orthogonal']
    """
    names: list[str] = []
    for word in words:
        if names and "=" in word and ":" not in word:
            names[-1] += f",{word}"
        else:
            names.append(word)
    return names
