"""What every report is: plain data, and functions that render it.

A result is a data class that knows nothing of tables, figures and pages. What renders it imports
it and registers itself for its class with `text`, `table`, `figure` or `page`; the function that
makes the result imports what renders it.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasinit._src.errors import unknown
from kerasinit._src.files import atomic
from kerasinit._src.reports.html import element

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


class Report:
    """A result that can be printed, and written as JSON. A subclass is a data class."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary."""
        return dataclasses.asdict(self)  # pyright: ignore[reportArgumentType]

    def to_json(self) -> str:
        """Return everything as JSON; numbers that are not finite become null."""
        return json.dumps(as_json(self.to_dict()), indent=2, allow_nan=False)

    def __str__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        """Return the text as notebooks show it."""
        return element("pre", text(self))


class PageReport(Report):
    """A report that has a figure, and a page."""

    def plot(self) -> "Figure":
        """Return a matplotlib figure; save it with ``savefig``.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return figure(self)

    def to_html(self, note: str | None = None) -> str:
        """Return everything as one page of HTML that loads nothing.

        Args:
            note: A sentence below the title, such as where the examples come from.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return page(self, note)

    def save(self, path: str | Path, note: str | None = None) -> None:
        """Write the page of `to_html` to a new file.

        Raises:
            FileExistsError: If the file exists; nothing is overwritten.
            ImportError: If matplotlib is not installed.
        """
        atomic.write_new(Path(path), self.to_html(note).encode())


@functools.singledispatch
def text(report: Report) -> str:
    """Return a report as text for a terminal."""
    raise NotImplementedError(type(report))


@functools.singledispatch
def table(report: Report) -> "Table":
    """Return the table of a report, for rich."""
    raise NotImplementedError(type(report))


@functools.singledispatch
def figure(report: Report) -> "Figure":
    """Return the figure of a report."""
    raise NotImplementedError(type(report))


@functools.singledispatch
def page(report: Report, note: str | None = None) -> str:
    """Return the page of a report."""
    raise NotImplementedError(type(report))


def as_json(content: Any) -> Any:
    """Return content as JSON can hold it.

    A number that is not finite becomes null, what JSON has no type for becomes its text.

    Example:
    >>> as_json({"loss": float("nan"), "shape": (2, np.int64(3)), "rule": {1}})
    {'loss': None, 'shape': [2, 3], 'rule': '{1}'}
    """
    if isinstance(content, np.generic):
        content = content.item()
    if isinstance(content, Mapping):
        return {str(key): as_json(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [as_json(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content if isinstance(content, str | int | float | None) else str(content)


def row_named(rows: Iterable[Any], name: str, what: str = "variable") -> Any:
    """Return the row of a report that has this name.

    Args:
        rows: Rows with a ``name``; those on variables also have ``called``, the name that is made
            of the names given to layers.
        name: Either, or an end of the latter that only one row has.
        what: What a row is about, for the error.

    Raises:
        KeyError: If there is none, or there are several.
    """
    rows = list(rows)
    given = [row for row in rows if hasattr(row, "called")]
    found = (
        [row for row in rows if row.name == name]
        or [row for row in given if row.called == name]
        or [row for row in given if row.called.endswith(f"/{name}")]
    )
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(both_names(row) for row in found)
        raise KeyError(f"{name!r} is the name of several {what}s: {listed}.")
    choices = {row.name for row in rows} | {row.called for row in given}
    raise KeyError(str(unknown(what, name, choices)))


def both_names(row: Any) -> str:
    """Return the name that a person knows a variable by, and the structural one beside it."""
    return row.name if row.called == row.name else f"{row.called} ({row.name})"
