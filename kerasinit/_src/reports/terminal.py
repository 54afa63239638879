"""Writing to a terminal what people named: paths, models, layers, as they are.

Rich reads square brackets as markup and colons as emoji, breaks long lines, and makes spaces of
tabs. All of that may be part of a path; a path that is printed otherwise names another file, or
none.
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
    """Return a console that reads no markup in what it writes."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def write(where: Console, line: str) -> None:
    r"""Write a line as it is, however long it is and whatever is in it.

    Example:
    >>> import io
    >>> narrow = Console(file=io.StringIO(), width=10)
    >>> write(narrow, "Run: a[/b]/:cat:/with\ta tab")
    >>> narrow.file.getvalue()
    'Run: a[/b]/:cat:/with\ta tab\n'
    """
    where.print(_Line(line), soft_wrap=True)


def show(where: Console, table: Table) -> None:
    """Write a table, its title first: as it is, where the table would break it into lines."""
    title, table.title = table.title, None
    if title:
        write(where, str(title))
    where.print(table, markup=False, emoji=False, highlight=False)
    table.title = title


def as_text(width: int, *content: object) -> str:
    """Return tables and lines of text, one below the other, as text without colours.

    Args:
        width: Columns to fit into.
        *content: What rich prints, and text, which is printed as it is.
    """
    printed = Console(width=width, color_system=None, highlight=False, markup=False, emoji=False)
    with printed.capture() as capture:
        for part in content:
            printed.print(part)
    return capture.get().rstrip()


def indented(line: str) -> Padding:
    """Return text for `as_text` that is set two columns to the right."""
    return Padding(line, (0, 0, 0, 2))


def table(
    heads: Iterable[str | Text], lines: Iterable[Iterable[object]], words: int = 0, **options: Any
) -> Table:
    """Return a table of numbers, which are set from the right and never broken into lines.

    Args:
        heads: The columns' heads.
        lines: The cells, line by line.
        words: How many columns from the left hold words, which may be broken.
        **options: Of ``rich.table.Table``, such as ``title``.
    """
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
    """Let standard output and error take paths whose bytes are no text, and give them back."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="surrogateescape")


class _Line:
    """Text that rich hands through as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self._text)
        yield Segment.line()


def literal(text: object) -> Text:
    """Return text for a part of a table that rich is to print as it is."""
    return Text(str(text))
