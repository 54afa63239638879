"""Errors for a word that is not one of the choices: they name the nearest one."""

import difflib
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


def named(rows: Iterable[Any], name: str) -> Any:
    """Return the row of a report on the variable of this name.

    Args:
        rows: Rows with a ``name``, structural, and ``called``, by the names given to layers.
        name: Either; of the latter an end of it that only one row has.

    Raises:
        KeyError: If there is none, or there are several.
    """
    rows = list(rows)
    found = [row for row in rows if row.name == name]
    found = found or [row for row in rows if row.called == name]
    found = found or [row for row in rows if row.called.endswith(f"/{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(both_names(row) for row in found)
        raise KeyError(f"{name!r} is the name of several variables: {listed}.")
    choices = {row.name for row in rows} | {row.called for row in rows}
    raise KeyError(str(unknown("variable", name, choices)))


def both_names(row: Any) -> str:
    """Return the name that a person knows a variable by, and the structural one beside it."""
    return row.name if row.called == row.name else f"{row.called} ({row.name})"
