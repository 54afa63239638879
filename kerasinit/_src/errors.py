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
    came: object,
    choices: Iterable[str],
    hint: str = "",
    notes: Mapping[str, object] | None = None,
) -> ValueError:
    """Return the error for an unknown choice, to be raised by the caller.

    Args:
        what: What was to be chosen, such as ``"data set"``.
        came: What came.
        choices: The valid ones.
        hint: A sentence on what else is possible.
        notes: What to say of each choice, such as its shape.

    Example:
    >>> print(unknown("mode", "fan_inn", ["fan_out", "fan_in"]))
    Unknown mode 'fan_inn'. Did you mean 'fan_in'? Choices: fan_in, fan_out.
    >>> shapes = {"kernel": (4, 3), "bias": (3,)}
    >>> print(unknown("weight", "kernle", shapes, notes=shapes))
    Unknown weight 'kernle'. Did you mean 'kernel'? Choices: bias (3,), kernel (4, 3).
    """
    choices = sorted(choices)
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(str(came).lower(), folded, n=1, cutoff=0.5)
    guess = f" Did you mean {folded[near[0]]!r}?" if near else ""
    listed = [f"{choice} {notes[choice]}" for choice in choices] if notes else choices
    return ValueError(
        f"Unknown {what} {came!r}.{guess} Choices: {', '.join(listed)}."
        + (f" {hint}" if hint else "")
    )


_PACKAGE = __name__.partition(".")[0]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside this package that led here, however deep the calls are.

    Python prints the line that a warning points at, and shows a warning once for each line: a
    line of this package would mean nothing to the reader, and would hide later warnings.
    """
    level, frame = 1, inspect.currentframe()
    while frame is not None and _is_inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] == _PACKAGE


class ArgumentError(TypeError, ValueError):
    """An argument of the wrong type.

    It is a ``TypeError``, as Python has it, and a ``ValueError``, as tfmot raises it.
    """


def checked_positive(name: str, given: Any) -> float:
    """Return an argument as a positive number.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is not positive and finite.
    """
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise TypeError(f"Expected as {name} a positive number; got {given!r}.")
    if given <= 0 or not given < math.inf:  # the second is for NaN, too
        raise ValueError(f"Expected as {name} a positive number; got {given!r}.")
    return float(given)


def checked_count(name: str, given: Any, minimum: int = 1) -> int:
    """Return an argument as an integer of at least a minimum.

    Raises:
        ArgumentError: If it is no integer.
        ValueError: If it is below the minimum.
    """
    message = f"Expected as {name} an integer of at least {minimum}; got {given!r}."
    if isinstance(given, bool) or not isinstance(given, numbers.Integral):
        raise ArgumentError(message)
    if given < minimum:
        raise ValueError(message)
    return int(given)


def checked_seed(seed: Any) -> int:
    """Return a seed as an integer, drawn if it is None.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is negative.
    """
    if seed is None:
        # From Python's state, which set_random_seed of both Kerases sets.
        return random.getrandbits(64)
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"Expected as seed a non-negative integer or None; got {seed!r}.")
    if seed < 0:
        raise ValueError(f"Expected as seed a non-negative integer or None; got {seed!r}.")
    return int(seed)
