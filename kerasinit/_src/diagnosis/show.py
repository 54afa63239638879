"""A diagnosis as text, as a figure and as a page."""

from typing import TYPE_CHECKING

from rich import box

from kerasinit._src.diagnosis.advice import FROM_VALUES
from kerasinit._src.diagnosis.findings import Finding
from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.reports import base, figures, terminal
from kerasinit._src.reports.html import Markup, document, element, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 80
_GAP = 2  # columns
_TEXT_HEADS = ("mean\nsquare", "dead\n(%)", "sat.\n(%)", "cosine", "rank", "|dL/dh|", "|dL/dw|", "")
_PAGE_HEADS = (
    *("layer", "mean", "variance", "min", "max", "dead", "saturated", "cosine", "rank"),
    *("|dL/dh|", "|dL/dw|", "update / weight"),
)


@base.text.register(Diagnosis)
def _text(diagnosis: Diagnosis) -> str:
    """Return the table of the layers and the findings, 80 columns wide."""
    rows = [_cells(row, _with_findings(diagnosis)) for row in diagnosis.layers]
    # Long paths are shortened, numbers never.
    widths = [
        max(len(part) for part in (*head.split("\n"), *(row[place] for row in rows)))
        for place, head in enumerate(_TEXT_HEADS, 1)
    ]
    room = _WIDTH - sum(widths) - _GAP * len(widths)
    table = terminal.table(
        ("layer", *_TEXT_HEADS),
        [(_shortened(path, room), *numbers) for path, *numbers in rows],
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.columns[0].justify = "left"
    for column, width in zip(table.columns[1:], widths, strict=True):
        column.min_width = width
    lines: list[object] = [table, *_notes(diagnosis)]
    if diagnosis.ok:
        seeds = len(diagnosis.seeds)
        more = f", nor when redrawn with {seeds} seed{'s' * (seeds > 1)}" if seeds else ""
        lines.append(f"Nothing found that would keep it from training{more}.")
    titles = {row.layer: row.title for row in diagnosis.layers}
    for finding in diagnosis.findings:
        more = f" and {len(finding.others)} more" if finding.others else ""
        shown = finding.shown(len(diagnosis.seeds))
        confidence = f"{finding.confidence:.0%}{f', {shown}' if shown else ''}"
        layer = titles.get(finding.layer, finding.layer)
        lines.append(f"\n{finding.kind} at {layer}{more} ({confidence})")
        lines += map(terminal.indented, (finding.evidence, finding.meaning, f"-> {finding.advice}"))
    if any(finding.kind in FROM_VALUES for finding in diagnosis.findings):
        lines.append("\nTo reinitialize the whole model with what suits each layer:")
        call = "kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)"
        lines.append(terminal.indented(f"-> {call}"))
    return terminal.as_text(_WIDTH, *lines)


def _notes(diagnosis: Diagnosis) -> list[str]:
    measured = diagnosis.measured
    notes = [f"{measured.examples} examples; gradients of {measured.objective}."]
    if measured.unseen:
        notes.append(f"Not measured, since quantized: {', '.join(measured.unseen)}.")
    return [*notes, measured.caveat] if measured.note else notes


def _cells(row: Measure, marked: set[str]) -> tuple[str, ...]:
    """Return the path of a call of a layer and its formatted numbers."""
    signal = row.signal
    return (
        _name(row),
        _short(signal.square, ".1e"),
        f"{100 * signal.dead:.0f}",
        "" if signal.saturated is None else f"{100 * signal.saturated:.0f}",
        _short(signal.correlation, ".4f"),
        f"{signal.rank:.1f}",
        _short(row.gradient, ".1e"),
        _short(row.weight_gradient, ".1e"),
        "!" if row.layer in marked else "",
    )


def _with_findings(diagnosis: Diagnosis) -> set[str]:
    return {path for one in diagnosis.findings for path in (one.layer, *one.others)}


def _name(row: Measure) -> str:
    return row.title if row.call == 1 else f"{row.title} call {row.call}"


def _shortened(path: str, room: int) -> str:
    """Return the end of a path that is too long, which distinguishes the layers of a block.

    Example:
    >>> _shortened("sequential/sequential/dense_1", 16)
    '…uential/dense_1'
    """
    return path if len(path) <= room else f"…{path[1 - room :]}"


def _short(number: float | None, form: str) -> str:
    return "" if number is None else f"{number:{form}}"


@base.figure.register(Diagnosis)
def _figure(diagnosis: Diagnosis) -> "Figure":
    """Plot signal and gradient over depth, with the layers of the findings marked."""
    plot = figures.new_figure(7, 5)
    above, below = plot.subplots(2, 1, sharex=True)
    rows, marked = diagnosis.layers, _with_findings(diagnosis)
    squares = [row.signal.square for row in rows]
    gradients = [row.gradient for row in rows]
    for axes, numbers, label in ((above, squares, "mean square"), (below, gradients, "|dL/dh|")):
        # A logarithmic axis has no zero.
        shown = {place: number for place, number in enumerate(numbers) if number and number > 0}
        axes.plot(list(shown), list(shown.values()), **figures.line_style(0, 3))
        found = {place: shown[place] for place in shown if rows[place].layer in marked}
        style = figures.line_style(1)
        axes.plot(list(found), list(found.values()), linestyle="", label="in a finding", **style)
        if shown:
            figures.use_log_scale(axes, min(shown.values()), max(shown.values()))
        axes.set_ylabel(label)
        figures.style_axes(axes)
    if marked:
        above.legend(frameon=False)
    every = max(1, len(rows) // 20)
    names = [figures.literal(row.layer) for row in rows[::every]]
    below.set_xticks(range(0, len(rows), every), names, rotation=90, fontsize=7)
    return plot


@base.page.register(Diagnosis)
def _page(diagnosis: Diagnosis, note: str | None = None) -> str:
    """Return a page with the findings, the figure and every layer."""
    kinds = ", ".join(finding.kind for finding in diagnosis.findings)
    description = "Mean square of the signal and norm of its gradient, layer by layer"
    return document(
        f"Will it train? {kinds or 'Nothing was found against it'}",
        *([] if note is None else [element("p", note)]),
        *(_finding(finding, len(diagnosis.seeds)) for finding in diagnosis.findings),
        element("h2", "Signal and gradient"),
        figures.inline(
            base.figure(diagnosis), "depth", "Signal and gradient over depth", description
        ),
        element("h2", "Layers"),
        *(element("p", line) for line in _notes(diagnosis)),
        grid(_PAGE_HEADS, [_line(row) for row in diagnosis.layers], "Measurements of each layer"),
    )


def _line(row: Measure) -> list[object]:
    signal = row.signal
    numbers = (
        *(signal.mean, signal.variance, signal.least, signal.most, signal.dead),
        *(signal.saturated, signal.correlation, signal.rank),
        *(row.gradient, row.weight_gradient, row.update_ratio),
    )
    return [_name(row), *(_short(number, ".3g") for number in numbers)]


def _finding(finding: Finding, seeds: int) -> Markup:
    shown = finding.shown(seeds)
    confidence = f"confidence {finding.confidence:.0%}{f'; {shown}' if shown else ''}"
    others = f" Also at {', '.join(finding.others)}." if finding.others else ""
    return element(
        "section",
        element("h2", f"{finding.kind} at {finding.layer}"),
        element("p", f"{finding.evidence} ({confidence}).{others}"),
        element("p", finding.meaning),
        element("pre", element("code", finding.advice)),
    )
