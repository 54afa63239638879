"""A footprint as text (tables of the models and the latencies, what gained) and as a figure."""

from typing import TYPE_CHECKING

from rich import box

from kerasinit._src.reports import base, figures, terminal
from kerasinit._src.shrinking.footprints import Footprint, FootprintRow, Latency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


@base.figure.register(Footprint)
def _figure(found: Footprint) -> "Figure":
    """Draw what each model costs as a fraction of the first, and the latencies."""
    sizes = _sizes(found)
    keys = list(
        dict.fromkeys((one.runtime, one.threads) for r in found.rows for one in r.latencies)
    )
    rows = len(found.rows)
    height = 1.2 + max(0.3, 0.19 * rows) * max(len(sizes), len(keys), 2)
    plot = figures.new_figure(10.5 if keys else 6, height)
    left, *others = plot.subplots(1, 2 if keys else 1, squeeze=False)[0]
    series = {
        row.name: [_fraction(line[place], line[0]) for line in sizes.values()]
        for place, row in enumerate(found.rows)
    }
    figures.draw_bars(left, list(sizes), series)
    for container, place in zip(left.containers, range(rows), strict=True):
        counts = [line[place] for line in sizes.values() if line[place] is not None]
        left.bar_label(container, [f"{count:,}" for count in counts], padding=2, fontsize=7)
    left.margins(x=0.15)
    left.set_xlabel(figures.literal(f"fraction of {found.rows[0].name}"))
    left.set_title("Size", fontsize=10)
    for axes in others:
        _draw_latencies(axes, found, keys)
    handles, labels = left.get_legend_handles_labels()
    plot.legend(handles, labels, loc="outside upper center", ncols=min(rows, 3), frameon=False)
    return plot


def _fraction(value: int | None, of: int | None) -> float | None:
    return value / of if value is not None and of else None


def _sizes(found: Footprint) -> dict[str, list[int | None]]:
    """Return the costs that the first model has, and those of the others beside it."""
    first, sizes = found.rows[0], {}
    for what in ("parameters", "nonzeros", "macs"):
        name = {"nonzeros": "non-zero", "macs": "MACs"}.get(what, what)
        sizes[name] = [getattr(row, what) for row in found.rows]
    for file in first.files:
        by_row = [{one.name: one for one in row.files} for row in found.rows]
        for what, name in (("bytes", file.name), ("gzipped", f"{file.name}, gzipped")):
            sizes[f"{name} (bytes)"] = [getattr(one.get(file.name), what, None) for one in by_row]
    return {name: line for name, line in sizes.items() if line[0]}


def _draw_latencies(axes: "Axes", found: Footprint, keys: list[tuple[str, int]]) -> None:
    """Draw the median and its interval of each model in each runtime."""
    height = 0.8 / len(found.rows)
    for number, row in enumerate(found.rows):
        there = {(one.runtime, one.threads): one for one in row.latencies}
        shown = [(place, there[key]) for place, key in enumerate(keys) if key in there]
        places = [place + (number + 0.5) * height - 0.4 for place, _ in shown]
        axes.errorbar(
            [1000 * one.seconds for _, one in shown],
            places,
            xerr=[
                [1000 * (one.seconds - one.low) for _, one in shown],
                [1000 * (one.high - one.seconds) for _, one in shown],
            ],
            # In the colours of the bars, of which the first model's are grey.
            **figures.line_style(number - 1 if number else 5, 4),
            linestyle="",
            capsize=2,
            linewidth=1,
            label=figures.literal(row.name),
        )
    ends = [
        1000 * end for row in found.rows for one in row.latencies for end in (one.low, one.high)
    ]
    figures.use_log_scale(axes, min(ends), max(ends), "x")
    threads = len({count for _, count in keys}) > 1
    names = [f"{name}, {count} thr." if threads else name for name, count in keys]
    axes.set_yticks(range(len(keys)), names)
    axes.set_ylim(len(keys) - 0.4, -0.6)
    examples = f"{found.batch} example{'s' if found.batch > 1 else ''}"
    axes.set_xlabel("median and its 95 % interval (ms)")
    axes.set_title(f"Latency of {examples}", fontsize=10)
    figures.style_axes(axes)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.legend(frameon=False, fontsize=8)
