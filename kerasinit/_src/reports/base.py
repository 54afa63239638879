"""The base of all reports: plain data, and functions that render it.

A result is a data class that knows nothing of tables, figures and pages. The module that renders
it imports it and registers functions for its class with `text`, `table`, `figure` or `page`; the
function that returns the result imports that module.
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
    """A result that can be printed and written as JSON; subclasses are data classes."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary."""
        return dataclasses.asdict(self)  # pyright: ignore[reportArgumentType]

    def to_json(self) -> str:
        """Return everything as JSON; non-finite numbers become null."""
        return json.dumps(as_json(self.to_dict()), indent=2, allow_nan=False)

    def __str__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        """Return the text as HTML, for notebooks."""
        return element("pre", text(self))


class Plotted:
    """A result that has a figure."""

    def plot(self) -> "Figure":
        """Return a matplotlib figure; save it with ``savefig``.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return figure(self)


class PageReport(Plotted, Report):
    """A report that also has a figure and a page."""

    def to_html(self, note: str | None = None) -> str:
        """Return everything as a self-contained HTML page.

        Args:
            note: A sentence below the title, such as the source of the examples; None (default)
                for none.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return page(self, note)

    def save(self, path: str | Path, note: str | None = None) -> None:
        """Write the page of `to_html` to a new file.

        Args:
            path: The file to write.
            note: A sentence below the title, as for `to_html`; None (default) for none.

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
    """Return a report as a rich table."""
    raise NotImplementedError(type(report))


@functools.singledispatch
def figure(report: Plotted) -> "Figure":
    """Return the figure of a result."""
    raise NotImplementedError(type(report))


@functools.singledispatch
def page(report: Report, note: str | None = None) -> str:
    """Return the page of a report."""
    raise NotImplementedError(type(report))


def as_json(content: Any) -> Any:
    """Convert content to JSON types: non-finite numbers to null, other objects to strings.

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
    """Return the row with a given ``name``.

    Rows of variables are also found by ``called``, the name made of Keras' layer names, or by a
    unique ending of it. ``what`` names the kind of row in the KeyError.
    """
    rows = list(rows)
    variables = [row for row in rows if hasattr(row, "called")]
    matches = (
        [row for row in rows if row.name == name]
        or [row for row in variables if row.called == name]
        or [row for row in variables if row.called.endswith(f"/{name}")]
    )
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = ", ".join(both_names(row) for row in matches)
        raise KeyError(f"{name!r} is the name of several {what}s: {listed}.")
    choices = {row.name for row in rows} | {row.called for row in variables}
    raise KeyError(str(unknown(what, name, choices)))


def both_names(row: Any) -> str:
    """Return a variable's name in Keras, followed by its structural name if that differs."""
    return row.name if row.called == row.name else f"{row.called} ({row.name})"
