"""Plots within a page: SVG that takes the page's colours and shares no names."""

import re
from typing import TYPE_CHECKING

from kerasinit.lottery.report import plots
from kerasinit.markup import Markup, element, joined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    svg = plots.rendered(figure, "svg", transparent=True).decode()
    svg = svg[svg.index("<svg") :]
    for part in ("metadata", "style"):
        svg = re.sub(rf"<{part}.*?</{part}>", "", svg, flags=re.DOTALL)
    # Several figures in one page must not share the names of their parts.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for number, color in enumerate(plots.COLORS):
        svg = svg.replace(color, f"var(--c{number})")
    svg = svg.replace(plots.FAINT, "var(--faint)")
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
