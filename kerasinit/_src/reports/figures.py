"""Matplotlib figures of all reports, and their SVG form in pages."""

import io
import re
from typing import TYPE_CHECKING, Any

from kerasinit._src.reports.html import Markup, element, joined
from kerasinit._src.troubleshooting import see

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"Figures need matplotlib, which is not installed: pip install 'kerasinit[examples]'. "
            f"{see('missing-extra')}"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


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


def draw_band(axes: "Axes", x: Any, low: Any, high: Any, color: str) -> None:
    """Fill between two lines, transparently."""
    # Borders distinguish overlapping bands.
    axes.fill_between(x, low, high, facecolor=(color, 0.13), edgecolor=(color, 0.6), linewidth=0.7)


def use_log_scale(axes: "Axes", low: float, high: float) -> None:
    """Use a logarithmic y axis with few, plain tick labels, suited to values from low to high."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set_yscale("log")
    ticks = LogLocator(subs=(1, 2, 5)) if high > 8 * low else MaxNLocator(6)
    axes.yaxis.set_major_locator(ticks)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())


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
