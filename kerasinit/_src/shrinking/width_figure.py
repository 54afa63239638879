"""The widths of layers as a figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kerasinit._src.reports import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def width_figure(widths: Mapping[str, Mapping[str, int]]) -> "Figure":
    """Draw the widths of layers in one model or several, by the labels of the models."""
    names = list(dict.fromkeys(name for one in widths.values() for name in one))
    plot = figures.new_figure(6.4, 0.9 + max(0.26, 0.17 * len(widths)) * len(names))
    axes = plot.subplots()
    series = {label: [one.get(name) for name in names] for label, one in widths.items()}
    figures.draw_bars(axes, names, series, numbers=",")
    axes.set_xlabel("channels")
    if len(widths) > 1:
        plot.legend(loc="outside upper center", ncols=len(widths), frameon=False)
    return plot
