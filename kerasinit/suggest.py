"""Errors for a word that is not one of the choices: they name the nearest one."""

import difflib
from collections.abc import Iterable


def unknown(what: str, came: object, choices: Iterable[str], hint: str = "") -> ValueError:
    """Return the error for an unknown choice, to be raised by the caller.

    Args:
        what: What was to be chosen, such as ``"data set"``.
        came: What came.
        choices: The valid ones.
        hint: A sentence on what else is possible.

    Example:
    >>> print(unknown("mode", "fan_inn", ["fan_out", "fan_in"]))
    Unknown mode 'fan_inn'. Did you mean 'fan_in'? Choices: fan_in, fan_out.
    """
    choices = sorted(choices)
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(str(came).lower(), folded, n=1, cutoff=0.5)
    guess = f" Did you mean {folded[near[0]]!r}?" if near else ""
    return ValueError(
        f"Unknown {what} {came!r}.{guess} Choices: {', '.join(choices)}."
        + (f" {hint}" if hint else "")
    )
