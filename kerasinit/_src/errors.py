"""Errors for wrong arguments, and warnings that point at the line of the caller."""

import difflib
import inspect
import math
import numbers
import random
import warnings
from collections.abc import Iterable, Mapping
from typing import Any


def unknown(
    what: str,
    given: object,
    choices: Iterable[str],
    hint: str = "",
    notes: Mapping[str, object] | None = None,
) -> ValueError:
    """Return an error for the caller to raise, which lists the choices and suggests one.

    ``notes`` are shown after each choice, such as shapes, and ``hint`` is a final sentence.
    """
    choices = sorted(choices)
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(str(given).lower(), folded, n=1, cutoff=0.5)
    guess = f" Did you mean {folded[near[0]]!r}?" if near else ""
    listed = [f"{choice} {notes[choice]}" for choice in choices] if notes else choices
    return ValueError(
        f"Unknown {what} {given!r}.{guess} Choices: {', '.join(listed)}."
        + (f" {hint}" if hint else "")
    )


_PACKAGE = __name__.partition(".")[0]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that points to the caller outside this package.

    Python shows a warning once per line, so a line inside this package would hide later ones.
    """
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


class ArgumentError(TypeError, ValueError):
    """An argument of the wrong type: a TypeError as usual, and a ValueError as in tfmot."""


def checked_positive(name: str, given: Any) -> float:
    """Validate a positive, finite number."""
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise TypeError(f"Expected {name} to be a positive number; got {given!r}.")
    if given <= 0 or not given < math.inf:  # the second also rejects NaN
        raise ValueError(f"Expected {name} to be a positive number; got {given!r}.")
    return float(given)


def checked_count(name: str, given: Any, minimum: int = 1) -> int:
    """Return an argument as an integer of at least a minimum.

    Raises:
        ArgumentError: If it is no integer.
        ValueError: If it is below the minimum.
    """
    message = f"Expected {name} to be an integer of at least {minimum}; got {given!r}."
    if isinstance(given, bool) or not isinstance(given, numbers.Integral):
        raise ArgumentError(message)
    if given < minimum:
        raise ValueError(message)
    return int(given)


def checked_seed(seed: Any) -> int:
    """Validate a seed; None becomes a random one."""
    if seed is None:
        # From Python's global state, which set_random_seed of Keras 3 and tf_keras sets.
        return random.getrandbits(64)
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"Expected seed to be a non-negative integer or None; got {seed!r}.")
    if seed < 0:
        raise ValueError(f"Expected seed to be a non-negative integer or None; got {seed!r}.")
    return int(seed)
