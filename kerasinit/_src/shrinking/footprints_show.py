"""A footprint as text: a table of the models, a table of the latencies, and what gained."""

from rich import box

from kerasinit._src.reports import base, terminal
from kerasinit._src.shrinking.footprints import Footprint, FootprintRow, Latency

_WIDTH = 100
_TABLE = {"box": box.SIMPLE_HEAD, "pad_edge": False, "collapse_padding": True}
_SHOWN = {"gains": "gains", "loses": "loses", "no difference shown": ""}


@base.text.register(Footprint)
def _text(found: Footprint) -> str:
    parts: list[object] = [_models(found), _files(found)]
    if any(row.latencies for row in found.rows):
        parts += [_latencies(found), *_gains(found)]
    for row in found.rows:
        parts += [f"{row.name}, {name}: {why}" for name, why in row.not_measured.items()]
    parts += [f"Not measured: {name}: {why}" for name, why in found.missing.items()]
    return terminal.as_text(_WIDTH, *parts)


def _models(found: Footprint) -> object:
    first = found.rows[0]
    lines = [
        (
            terminal.literal(row.name),
            *_with_ratio(row.parameters, first.parameters),
            *_with_ratio(row.nonzeros, first.nonzeros),
            *_with_ratio(row.macs, first.macs),
        )
        for row in found.rows
    ]
    heads = ("model", "parameters", "", "non-zero", "", "MACs", "")
    return terminal.table(heads, lines, 1, **_TABLE)


def _files(found: Footprint) -> object:
    sizes = {one.name: one for one in found.rows[0].files}
    lines = [
        (
            one.name,
            terminal.literal(row.name),
            *_with_ratio(one.bytes, getattr(sizes.get(one.name), "bytes", None)),
            *_with_ratio(one.gzipped, getattr(sizes.get(one.name), "gzipped", None)),
        )
        for name in dict.fromkeys(one.name for row in found.rows for one in row.files)
        for row in found.rows
        for one in row.files
        if one.name == name
    ]
    return terminal.table(("file", "model", "bytes", "", "gzipped", ""), lines, 2, **_TABLE)


def _latencies(found: Footprint) -> object:
    pairs = [(row, one) for row in found.rows for one in row.latencies]
    order = dict.fromkeys((one.runtime, one.threads) for _, one in pairs)
    lines = [
        _latency(row, one)
        for key in order
        for row, one in pairs
        if (one.runtime, one.threads) == key
    ]
    heads = ("runtime", "model", "threads", "ms", "95 %", "ratio", "95 %", "")
    examples = f"{found.batch} example{'s' if found.batch > 1 else ''}"
    runs = sorted({one.runs for _, one in pairs})
    title = f"Latency of {examples}: median of {runs[0]} interleaved runs"
    table = terminal.table(heads, lines, 2, title=title, **_TABLE)
    table.columns[0].no_wrap = True
    return table


def _latency(row: FootprintRow, one: Latency) -> tuple[object, ...]:
    return (
        one.runtime,
        terminal.literal(row.name),
        one.threads,
        f"{1000 * one.seconds:.3f}",
        f"{1000 * one.low:.3f}-{1000 * one.high:.3f}",
        "" if one.reference else f"{one.ratio:.2f}",
        "" if one.reference else f"{one.ratio_low:.2f}-{one.ratio_high:.2f}",
        "reference" if one.reference else _SHOWN[one.verdict],
    )


def _gains(found: Footprint) -> list[str]:
    """Return for each model with a ratio in which runtimes it gains, on the fewest threads."""
    lines = []
    for row in found.rows:
        first = {one.runtime: one for one in reversed(row.latencies)}
        compared = sorted(
            (one for one in first.values() if not one.reference), key=lambda one: one.ratio
        )
        parts = []
        for verdict, words in (
            ("gains", "gains in"),
            ("loses", "loses in"),
            ("no difference shown", "no difference shown in"),
        ):
            names = [
                f"{one.runtime} ({one.ratio:.2f})" for one in compared if one.verdict == verdict
            ]
            parts += [f"{words} {', '.join(names)}"] * bool(names)
        lines += [f"{row.name}: {'; '.join(parts)}."] * bool(parts)
    return lines


def _with_ratio(value: int | None, reference: int | None) -> tuple[str, str]:
    if value is None:
        return "-", ""
    ratio = f"{value / reference:.3f}" if reference else ""
    return f"{value:,}", ratio
