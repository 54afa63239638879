"""A diagnosis to be read in a terminal."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from kerasinit._src.diagnosis.advice import FROM_VALUES

if TYPE_CHECKING:
    from kerasinit._src.diagnosis.measured import Measure
    from kerasinit._src.diagnosis.report import Diagnosis

_WIDTH = 80
_BETWEEN = 2  # columns


def text(diagnosis: "Diagnosis") -> str:
    """Return the table of the layers and the findings, 80 columns wide.

    Args:
        diagnosis: What is to be shown.
    """
    told = {}
    for finding in diagnosis.findings:
        for path in (finding.layer, *finding.others):
            told[path] = "!"
    titles = {row.layer: row.title for row in diagnosis.layers}
    heads = ("mean\nsquare", "dead\n(%)", "flat\n(%)", "cosine", "rank", "|dL/dh|", "|dL/dw|", "")
    rows = [_cells(row, told.get(row.layer, "")) for row in diagnosis.layers]
    # Paths are shortened where there is no room for them, and numbers never.
    widths = [
        max(len(part) for part in (*head.split("\n"), *(cells[place] for _, cells in rows)))
        for place, head in enumerate(heads)
    ]
    room = _WIDTH - sum(widths) - _BETWEEN * len(widths)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("layer", no_wrap=True)
    for head, width in zip(heads, widths, strict=True):
        table.add_column(head, justify="right", no_wrap=True, min_width=width)
    for path, cells in rows:
        table.add_row(_shortened(path, room), *cells)
    console = Console(width=_WIDTH, color_system=None, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
        measured = diagnosis.measured
        console.print(f"{measured.examples} examples; gradients of {measured.objective}.")
        if measured.unseen:
            console.print(f"Not looked at, as they are quantized: {', '.join(measured.unseen)}.")
        if measured.note:
            console.print(measured.caveat)
        if diagnosis.ok:
            seeds = len(diagnosis.seeds)
            more = f", nor drawn anew under {seeds} seed{'s' * (seeds > 1)}" if seeds else ""
            console.print(f"Nothing found that would keep it from training{more}.")
        for finding in diagnosis.findings:
            more = f" and {len(finding.others)} more" if finding.others else ""
            shown = finding.shown(len(diagnosis.seeds))
            sure = ", ".join(one for one in (f"{finding.confidence:.0%}", shown) if one)
            layer = titles.get(finding.layer, finding.layer)
            console.print(f"\n{finding.kind} at {layer}{more} ({sure})")
            for line in (finding.evidence, finding.meaning, f"-> {finding.advice}"):
                console.print(Padding(line, (0, 0, 0, 2)))
        if any(finding.kind in FROM_VALUES for finding in diagnosis.findings):
            console.print("\nNew first values for the whole model, by what each layer asks for:")
            call = "kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)"
            console.print(Padding(f"-> {call}", (0, 0, 0, 2)))
    return capture.get().rstrip()


def _cells(row: "Measure", mark: str) -> tuple[str, tuple[str, ...]]:
    """Return the path of a call of a layer, and its numbers as they are written."""
    signal = row.signal
    return f"{row.title}{f' call {row.call}' if row.call > 1 else ''}", (
        _short(signal.square),
        f"{100 * signal.dead:.0f}",
        "" if signal.saturated is None else f"{100 * signal.saturated:.0f}",
        "" if signal.correlation is None else f"{signal.correlation:.4f}",
        f"{signal.rank:.1f}",
        _short(row.gradient),
        _short(row.weight_gradient),
        mark,
    )


def _shortened(path: str, room: int) -> str:
    """Return the end of a path that is too long: it tells the layers of a block apart.

    Example:
    >>> _shortened("sequential/sequential/dense_1", 16)
    '…uential/dense_1'
    """
    return path if len(path) <= room else f"…{path[1 - room :]}"


def _short(number: float | None) -> str:
    return "" if number is None else f"{number:.1e}"
