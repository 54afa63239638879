"""Files of comma-separated values that a page uploads: read within limits, and kept in memory."""

import csv
import hashlib
import io
import math
import re
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

from kerasinit._src.troubleshooting import see

MAX_BYTES = 1_000_000
ROWS = (20, 5000)
FEATURES = (2, 64)
CLASSES = (2, 10)
MAX_CELL = 200
"""The longest text in a cell."""
MAX_TABLES = 8
_DELIMITERS = "\t;,"
_FIRST = 50_000


@dataclass(frozen=True)
class Table:
    """Examples from a file.

    Args:
        name: The name of the file.
        digest: The SHA-256 digest of its content.
        columns: The names of the features.
        x: The features, a row for each example.
        labels: The class of each example, as a position in ``classes``.
        classes: The names of the classes, sorted.
    """

    name: str
    digest: str
    columns: tuple[str, ...]
    x: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for a worker."""
        return {
            "name": self.name,
            "digest": self.digest,
            "columns": list(self.columns),
            "x": [list(row) for row in self.x],
            "labels": list(self.labels),
            "classes": list(self.classes),
        }

    def summary(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        return {
            "name": self.name,
            "digest": self.digest,
            "rows": len(self.x),
            "columns": list(self.columns),
            "classes": list(self.classes),
        }


class Uploads:
    """The files of a server; the oldest is dropped when there are more than eight."""

    def __init__(self) -> None:
        self._tables: OrderedDict[str, Table] = OrderedDict()

    def add(self, table: Table) -> None:
        """Keep a table as the latest."""
        self._tables[table.digest] = table
        self._tables.move_to_end(table.digest)
        while len(self._tables) > MAX_TABLES:
            self._tables.popitem(last=False)

    def get(self, digest: object) -> Table | None:
        """Return the table of a digest, if it is still here."""
        return self._tables.get(digest) if isinstance(digest, str) else None


def parse(content: bytes, name: str) -> Table:
    """Return the table in a file: columns of numbers, and the class in the last one.

    Columns are separated by commas, semicolons or tabs. A first row with text in place of a number
    has the names of the columns.

    Raises:
        ValueError: If the content is anything else, or beyond the limits.
    """
    name = "".join(c for c in name if c.isprintable())[:MAX_CELL] or "file"
    if len(content) > MAX_BYTES:
        raise too_large(name)
    try:
        return _parse(content, name)
    except ValueError as error:
        raise ValueError(f"{error} {see('csv-refused')}") from None


def _parse(content: bytes, name: str) -> Table:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not UTF-8 text (byte {error.start} is {content[error.start]:#04x}). Save "
            f"it as CSV with the encoding UTF-8."
        ) from None
    rows = _read_rows(text, name)
    features = len(rows[0][1]) - 1
    first = rows[0][1][:-1]
    # A row with some numbers is one of examples, so that what is wrong in it is reported.
    has_header = any(first) and all(_number(cell.replace(",", ".")) is None for cell in first)
    header = rows.pop(0)[1] if has_header else []
    columns = [(header or [""] * features)[i] or f"column {i + 1}" for i in range(features)]
    _check_count(f"rows of examples in {name}", len(rows), ROWS)
    x = tuple(_features(row, line, columns, name) for line, row in rows)
    labels, classes = _classes([(line, row[-1]) for line, row in rows], name)
    digest = hashlib.sha256(content).hexdigest()
    return Table(name, digest, tuple(columns), x, labels, classes)


def too_large(name: str) -> ValueError:
    """Return the error for a file above the limit, for the caller to raise."""
    return ValueError(
        f"{name} has more than {MAX_BYTES // 1000:,} kB, the limit of an upload. Keep fewer rows "
        f"or columns. {see('csv-refused')}"
    )


def _read_rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, and their lines, all of one length."""
    if "\0" in text:
        raise ValueError(f"{name} contains zero bytes, so it is no CSV file. Export it as CSV.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if any(row):
                _check_row(row, rows, reader.line_num, name)
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise ValueError(
            f"{name} is no valid CSV: {error} (line {reader.line_num}). Quote cells with "
            f"separators in them, and close every quote."
        ) from None
    if not rows:
        raise ValueError(
            f"{name} is empty. Expected columns of numbers and the class in the last one."
        )
    return rows


def _check_row(row: list[str], rows: list[tuple[int, list[str]]], line: int, name: str) -> None:
    """Raise an error for too many rows, a row that is too long, or of another length."""
    if len(rows) > ROWS[1]:  # one of them may be the header
        raise ValueError(
            f"{name} has more than {ROWS[1]:,} rows, the limit of an upload. Keep fewer of them."
        )
    longest = max(row, key=len)
    if len(longest) > MAX_CELL:
        raise ValueError(
            f"Line {line} of {name} has a cell of {len(longest)} characters, {longest[:20]!r}...; "
            f"expected at most {MAX_CELL}."
        )
    if not rows:
        _check_count(f"columns before the last in {name}", len(row) - 1, FEATURES)
    elif len(row) != len(rows[0][1]):
        raise ValueError(
            f"Line {line} of {name} has {len(row)} cells; expected {len(rows[0][1])}, as in line "
            f"{rows[0][0]}. Complete the row, or remove it."
        )


def _delimiter(text: str) -> str:
    """Return the separator that the first two lines have the same number of, outside quotes.

    Tabs and semicolons come first, since numbers may be written with commas.
    """
    unquoted = re.sub('"[^"]*"', "", text[:_FIRST])
    lines = [line for line in unquoted.splitlines() if line.strip()][:2]
    counts = {one: {line.count(one) for line in lines} for one in _DELIMITERS}
    found = (one for one, count in counts.items() if len(count) == 1 and min(count) >= FEATURES[0])
    return next(found, ",")


def _check_count(what: str, count: int, limits: tuple[int, int]) -> None:
    if not limits[0] <= count <= limits[1]:
        raise ValueError(f"Expected from {limits[0]} to {limits[1]:,} {what}; got {count:,}.")


def _number(cell: str) -> float | None:
    """Return the number in a cell; None for text, and for what Python alone reads as a number."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _features(row: list[str], line: int, columns: list[str], name: str) -> tuple[float, ...]:
    numbers = [_number(cell) for cell in row[:-1]]
    for number, cell, column in zip(numbers, row, columns, strict=False):
        if number is None or not math.isfinite(number):
            raise ValueError(
                f"Line {line} of {name} has {cell!r} in {column!r}; expected a finite number, "
                f"with a decimal point. Fill it in, remove the row, or encode text as numbers; "
                f"only the last column, the class, may have names."
            )
    return tuple(number for number in numbers if number is not None)


def _classes(cells: list[tuple[int, str]], name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the class of each row as a position, and the names of the classes."""
    values = [_label(cell) for _, cell in cells]
    for (line, cell), value in zip(cells, values, strict=True):
        if value == "":
            raise ValueError(f"Line {line} of {name} has no class; expected one in the last cell.")
        if isinstance(value, float):
            raise ValueError(
                f"Line {line} of {name} has the class {cell}; expected a whole number or a name in "
                f"the last column. Put the column of the class last."
            )
    counts = Counter(map(str, values))
    if not CLASSES[0] <= len(counts) <= CLASSES[1]:
        raise ValueError(
            f"The last column of {name} has {len(counts):,} different values, such as "
            f"{', '.join(sorted(counts)[:3])}; expected from {CLASSES[0]} to {CLASSES[1]} classes. "
            f"Put the column of the class last."
        )
    # Numbers in their order, before names.
    ordered = sorted({*values}, key=lambda value: (isinstance(value, str), value))
    places = {value: place for place, value in enumerate(ordered)}
    return tuple(places[value] for value in values), tuple(map(str, ordered))


def _label(cell: str) -> int | str | float:
    """Return a class as a whole number or a name; as a float if it is neither."""
    number = _number(cell)
    if number is None:
        return cell
    # Above, not every whole number is a float.
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
