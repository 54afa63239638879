"""The figures of the questions' answers, from plain numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kerasinit._src.lottery.report.means import summaries
from kerasinit._src.lottery.report.plots import ACCURACY, STOP, draw_densities
from kerasinit._src.lottery.store.stage import Row
from kerasinit._src.reports import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def line_figure(lines: Mapping[str, Sequence[Sequence[float]]], margin: float) -> "Figure":
    """Draw the error between two networks: for each label a mean over lines, and their range.

    ``margin`` is the rise over the ends that still counts as stable.
    """
    plot = figures.new_figure(6.4, 4.2)
    axes = plot.subplots()
    for number, (label, errors) in enumerate(lines.items()):
        points = [100 * sum(at) / len(at) for at in zip(*errors, strict=True)]
        places = [place / (len(points) - 1) for place in range(len(points))]
        style = figures.line_style(number)
        axes.plot(places, points, label=label, **style)
        if len(errors) > 1:
            low = [100 * min(at) for at in zip(*errors, strict=True)]
            high = [100 * max(at) for at in zip(*errors, strict=True)]
            figures.draw_band(axes, places, low, high, style["color"])
        limit = (points[0] + points[-1]) / 2 + 100 * margin
        axes.axhline(limit, color=style["color"], dashes=(2, 3), linewidth=0.9, zorder=0)
    axes.set_xlabel("position on the line between the two networks")
    axes.set_ylabel("test error (%)")
    axes.set_title(f"Dotted: {100 * margin:g} points above the ends", fontsize=10)
    figures.style_axes(axes)
    axes.legend(frameon=False, fontsize=8)
    return plot


def distance_figure(
    flights: Iterable[tuple[int, int | None, Sequence[tuple[int, float | None]]]], epsilon: float
) -> "Figure":
    """Draw how far masks are from those before: for each trial its early bird and its distances."""
    plot = figures.new_figure(6.4, 4.2)
    axes = plot.subplots()
    for number, (trial, bird, distances) in enumerate(flights):
        shown = [(iteration, distance) for iteration, distance in distances if distance is not None]
        style = figures.line_style(number, 4)
        axes.plot(
            [iteration for iteration, _ in shown],
            [distance for _, distance in shown],
            label=f"trial {trial}",
            **style,
        )
        if bird is not None:
            axes.plot(
                bird,
                dict(shown)[bird],
                color=style["color"],
                marker="*",
                markersize=14,
                linestyle="",
                label=f"early bird, iteration {bird}",
            )
    axes.axhline(epsilon, color=figures.FAINT, dashes=(4, 3), label=f"limit {epsilon:g}", zorder=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("iteration")
    axes.set_ylabel("largest distance from a mask of the window")
    figures.style_axes(axes)
    axes.legend(frameon=False, fontsize=8)
    return plot


def ticket_figure(rows: Mapping[str, Iterable[Row]]) -> "Figure":
    """Draw accuracy and early stop of tickets against density, a line for each label."""
    found: dict[tuple[int, str], Any] = {}
    for label, group in rows.items():
        tickets = summaries(row for row in group if row.branch == "ticket")
        found |= {(level, label): summary for (level, _), summary in tickets.items()}
    return _density_figure(found, list(rows))


def transfer_figure(rows: Sequence[Row], title: str) -> "Figure":
    """Draw accuracy and early stop of every branch against density."""
    branches = list(dict.fromkeys(row.branch for row in rows))
    plot = _density_figure(summaries(rows), branches)
    plot.suptitle(figures.literal(title), fontsize=11)
    return plot


def _density_figure(found: dict[tuple[int, str], Any], branches: Sequence[str]) -> "Figure":
    plot = figures.new_figure(10, 4.4)
    panels = plot.subplots(1, 2)
    for axes, measure, title in zip(panels, ("accuracy", "stop"), (ACCURACY, STOP), strict=True):
        draw_densities(axes, found, measure, branches)
        axes.set_title(title, fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    return plot
