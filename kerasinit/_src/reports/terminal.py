"""Terminal output that prints paths and names verbatim.

Rich reads square brackets as markup and colons as emoji, wraps long lines, and expands tabs. All of
that may be part of a path, which must be printed unchanged to name the same file.
"""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text


def console(*, stderr: bool = False) -> Console:
    """Return a console that does not interpret markup."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def write(where: Console, line: str) -> None:
    """Write a line verbatim, whatever its length and content."""
    where.print(_Line(line), soft_wrap=True)


def show(where: Console, table: Table) -> None:
    """Write a table after its title, verbatim, which the table would wrap."""
    title, table.title = table.title, None
    if title:
        write(where, str(title))
    where.print(table, markup=False, emoji=False, highlight=False)
    table.title = title


def as_text(width: int, *content: object) -> str:
    """Return tables and lines of text, one below the other, as plain text of a max width."""
    printed = Console(
        width=width,
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
        # In a notebook rich would also show what is captured, as an empty output.
        force_jupyter=False,
    )
    with printed.capture() as capture:
        for part in content:
            printed.print(part)
    return capture.get().rstrip()


def indented(line: str) -> Padding:
    """Return text for `as_text`, indented by two columns."""
    return Padding(line, (0, 0, 0, 2))


def table(
    heads: Iterable[str | Text], lines: Iterable[Iterable[object]], words: int = 0, **options: Any
) -> Table:
    """Return a table of numbers, right-aligned and never wrapped, after some columns of words."""
    made = Table(**options)
    for number, head in enumerate(heads):
        if number < words:
            made.add_column(head, overflow="fold")
        else:
            made.add_column(head, justify="right", no_wrap=True)
    for line in lines:
        made.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in line))
    return made


def print_undecoded() -> None:
    """Let standard output and error write paths that are not valid text, byte for byte."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="surrogateescape")


class _Line:
    """Text that rich writes verbatim."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self._text)
        yield Segment.line()


def literal(text: object) -> Text:
    """Return text for a table that rich prints verbatim."""
    return Text(str(text))
