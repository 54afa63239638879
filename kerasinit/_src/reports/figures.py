"""Matplotlib figures of all reports, and their SVG form in pages."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from kerasinit._src.reports.html import Markup, element, joined
from kerasinit._src.troubleshooting import see

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_T = TypeVar("_T")
# Distinguishable with the common kinds of colour blindness: those of Okabe and Ito, darkened where
# too pale on white. The markers distinguish them without colour.
COLORS = ("#0072b2", "#d55e00", "#008060", "#b8578f", "#8f6f00", "#52606d")
MARKERS = ("o", "s", "^", "D", "v", "P")
FAINT = "#7b8794"


def rendered(drawn: "Figure", kind: str, *, transparent: bool = False) -> bytes:
    """Return a figure as the bytes of a ``png`` or ``svg`` file, without a date."""
    import matplotlib

    buffer = io.BytesIO()
    # Text stays text, for search and screen readers; ids are reproducible.
    with matplotlib.rc_context({"svg.hashsalt": "kerasinit", "svg.fonttype": "none"}):
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        drawn.savefig(buffer, format=kind, dpi=120, metadata=metadata, transparent=transparent)
    return buffer.getvalue()


def literal(text: str) -> str:
    """Escape text that matplotlib would read as mathematics."""
    return text.replace("$", r"\$")


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Figures need matplotlib, which is not installed: pip install 'kerasinit[examples]'. "
            f"{see('missing-extra')}"
        ) from error
    from kerasinit._src.reports.shown_figure import ShownFigure

    return ShownFigure(figsize=(width, height), layout="constrained")


def line_style(number: int, size: float = 5) -> dict[str, Any]:
    """Return colour, marker and marker size of a line."""
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": size,
    }


def style_axes(axes: "Axes") -> None:
    """Draw a faint grid and no frame at the top and on the right."""
    axes.grid(color=FAINT, alpha=0.3, linewidth=0.6)
    axes.tick_params(which="both", color=FAINT, labelsize=9)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(FAINT)


def spread(items: Sequence[_T], count: int) -> list[_T]:
    """Return at most ``count`` of some levels, layers or ticks, evenly, with both ends."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def draw_band(axes: "Axes", x: Any, low: Any, high: Any, color: str) -> None:
    """Fill between two lines, transparently."""
    # Borders distinguish overlapping bands.
    axes.fill_between(x, low, high, facecolor=(color, 0.13), edgecolor=(color, 0.6), linewidth=0.7)


def bar_style(number: int) -> dict[str, Any]:
    """Return the fill of bars: pale for the first, which others are compared with, then solid.

    Colour, lightness and hatching distinguish them.
    """
    if not number:
        return {"facecolor": (FAINT, 0.35), "edgecolor": FAINT, "linewidth": 0.8}
    color = COLORS[(number - 1) % len(COLORS)]
    hatch = ("", "////", "....", "xxxx")[(number - 1) % 4]
    return {"facecolor": (color, 0.35) if hatch else color, "edgecolor": color, "hatch": hatch}


def draw_bars(
    axes: "Axes",
    names: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    numbers: str = "",
) -> None:
    """Draw horizontal bars, for each name one from each series, the first at the top.

    Values that are None have no bar. The format ``numbers``, if any, is for the value at the end
    of each bar.
    """
    height = 0.8 / len(series)
    for place, (label, values) in enumerate(series.items()):
        there = [(number, value) for number, value in enumerate(values) if value is not None]
        middles = [number + (place + 0.5) * height - 0.4 for number, _ in there]
        lengths = [value for _, value in there]
        style = bar_style(place if len(series) > 1 else 1)
        bars = axes.barh(middles, lengths, height, label=literal(label), **style)
        if numbers:
            axes.bar_label(bars, [f"{value:{numbers}}" for value in lengths], padding=2, fontsize=7)
    axes.set_yticks(range(len(names)), [literal(shortened(name)) for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    style_axes(axes)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_axisbelow(True)


MAX_NAME = 36


def shortened(name: str) -> str:
    """Return a name without its middle if it is too long for a label.

    Example:
    >>> shortened("conv2d + conv2d_1 + conv2d_2 + conv2d_3 + conv2d_4")
    'conv2d + conv2d_1 … conv2d_3 + conv2d_4'
    """
    half = MAX_NAME // 2
    return name if len(name) <= MAX_NAME + 3 else f"{name[:half]}…{name[-half - 2 :]}"


def use_log_scale(axes: "Axes", low: float, high: float, which: str = "y") -> None:
    """Use a logarithmic axis, y or x, with few, plain tick labels, for values from low to high."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set(**{f"{which}scale": "log"})
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 8 * low else MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axis.set_minor_locator(NullLocator())


# Small enough for the text in a plot to be legible on a phone.
INCHES = (4.7, 3.4)


def inline(figure: "Figure", name: str, title: str, description: str) -> Markup:
    """Return a figure as inline SVG, its colours replaced by those of the page's style sheet.

    ``name`` must be unique within the page; the description is for screen readers.
    """
    svg = rendered(figure, "svg", transparent=True).decode()
    svg = svg[svg.index("<svg") :]
    for part in ("metadata", "style"):
        svg = re.sub(rf"<{part}.*?</{part}>", "", svg, flags=re.DOTALL)
    # Figures in one page must not share ids.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for number, color in enumerate(COLORS):
        svg = svg.replace(color, f"var(--c{number})")
    svg = svg.replace(FAINT, "var(--faint)")
    opening, rest = svg.split(">", 1)
    opening = re.sub(r' (?:width|height)="[^"]*"', "", opening)
    label = joined(
        element("title", title, id=f"{name}-title"), element("desc", description, id=f"{name}-desc")
    )
    return element(
        "figure",
        element("strong", title),
        Markup(
            f'{opening} role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc">'
            f"{label}{rest}"
        ),
    )
