"""Figures of all reports, by matplotlib, and how they stand in a page as SVG."""

import io
import re
from typing import TYPE_CHECKING, Any

from kerasinit._src.reports.html import Markup, element, joined

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart in the common kinds of colour blindness, after Okabe and Ito, darkened where
# they were too pale on white; the markers tell them apart without any colour.
COLORS = ("#0072b2", "#d55e00", "#008060", "#b8578f", "#8f6f00", "#52606d")
MARKERS = ("o", "s", "^", "D", "v", "P")
FAINT = "#7b8794"


def rendered(drawn: "Figure", kind: str, *, transparent: bool = False) -> bytes:
    """Return a figure as the bytes of a ``png`` or ``svg`` file, without a date."""
    import matplotlib

    buffer = io.BytesIO()
    # Text stays text, to be read, searched and spoken; names of parts do not change.
    with matplotlib.rc_context({"svg.hashsalt": "kerasinit", "svg.fonttype": "none"}):
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        drawn.savefig(buffer, format=kind, dpi=120, metadata=metadata, transparent=transparent)
    return buffer.getvalue()


def literal(text: str) -> str:
    r"""Return text that matplotlib draws as it is, where it would read mathematics in dollars.

    Example:
    >>> literal("$HOME/data")
    '\\$HOME/data'
    """
    return text.replace("$", r"\$")


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "A picture needs matplotlib, which is not installed: pip install 'kerasinit[examples]'."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def line_style(number: int, size: float = 5) -> dict[str, Any]:
    """Return the colour of a line and its marker, with the marker's size."""
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": size,
    }


def dress(axes: "Axes") -> None:
    axes.grid(color=FAINT, alpha=0.3, linewidth=0.6)
    axes.tick_params(which="both", color=FAINT, labelsize=9)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(FAINT)


def draw_band(axes: "Axes", x: Any, low: Any, high: Any, color: str) -> None:
    """Fill between two lines, so faintly that bands are seen through each other."""
    # Where bands lie over each other, their borders show whose they are.
    axes.fill_between(x, low, high, facecolor=(color, 0.13), edgecolor=(color, 0.6), linewidth=0.7)


def scale_by_logarithm(axes: "Axes", low: float, high: float) -> None:
    """Give a vertical axis a logarithmic scale from low to high, with few and plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set_yscale("log")
    ticks = LogLocator(subs=(1, 2, 5)) if high > 8 * low else MaxNLocator(6)
    axes.yaxis.set_major_locator(ticks)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())


# Small enough for the words in a plot to be read on a telephone.
INCHES = (4.7, 3.4)


def inline(figure: "Figure", name: str, title: str, said: str) -> Markup:
    """Return a figure as SVG within a page.

    Args:
        figure: The plot, its colours from `plots`, which the page's style sheet sets anew.
        name: A word that no other figure of the page has.
        title: What the plot shows.
        said: What can be seen in it, for those who hear it.
    """
    svg = rendered(figure, "svg", transparent=True).decode()
    svg = svg[svg.index("<svg") :]
    for part in ("metadata", "style"):
        svg = re.sub(rf"<{part}.*?</{part}>", "", svg, flags=re.DOTALL)
    # Several figures in one page must not share the names of their parts.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for number, color in enumerate(COLORS):
        svg = svg.replace(color, f"var(--c{number})")
    svg = svg.replace(FAINT, "var(--faint)")
    opening, rest = svg.split(">", 1)
    opening = re.sub(r' (?:width|height)="[^"]*"', "", opening)
    label = joined(
        element("title", title, id=f"{name}-title"), element("desc", said, id=f"{name}-desc")
    )
    return element(
        "figure",
        element("strong", title),
        Markup(
            f'{opening} role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc">'
            f"{label}{rest}"
        ),
    )
