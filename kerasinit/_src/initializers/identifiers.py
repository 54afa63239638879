"""Initializers by name and arguments: ``HeNormal``, ``RandomNormal:stddev=0.01``."""

import json
from collections.abc import Iterable
from typing import Any

from kerasinit._src import errors
from kerasinit._src.initializers.base import Initializer
from kerasinit._src.troubleshooting import see

CLASSES: dict[str, type[Initializer]] = {}
"""Classes by name; filled by `kerasinit.initializers`."""


def parse(text: str) -> Initializer:
    """Return a new initializer from ``Name:argument=value,argument=value``; see `split`.

    Raises:
        ValueError: If there is no such class or argument, or a value is invalid.
    """
    name, arguments = split(text.removeprefix("kerasinit>"))
    if name not in CLASSES:
        raise errors.unknown("initializer", name, CLASSES, see("unknown-initializer"))
    try:
        return CLASSES[name](**arguments)
    except TypeError as error:
        raise ValueError(f"Cannot create the initializer {text!r}: {error}.") from error


def split(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments in ``Name:argument=value,argument=value``.

    Values are JSON, or bare words.

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
    """Rejoin initializers that were split at the commas between their arguments.

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
