"""The matplotlib plots of a run."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasinit._src import errors
from kerasinit._src.files import atomic
from kerasinit._src.lottery.report.mask_plots import mask_figure
from kerasinit._src.lottery.report.means import Summary, summaries
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.reports.figures import (
    COLORS,
    FAINT,
    draw_band,
    line_style,
    new_figure,
    rendered,
    spread,
    style_axes,
    use_log_scale,
)
from kerasinit._src.training.outcome import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCURACY = "test accuracy at the early stop (%)"
STOP = "early stop (iteration with the lowest validation loss)"
_MAX_TICKS = 7
MAX_CURVES = len(COLORS)


def plot(run: Run, path: str | Path) -> None:
    """Write the `figure` of a run to a file.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A ``.png``, ``.svg`` or ``.pdf`` file; an existing one is replaced, since it shows
            less of the same run.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit import lottery
    >>> lottery.plot("RUN", "run.png")
    >>> Path("run.png").exists()
    True
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure(run).savefig(beside, dpi=120)
    beside.replace(path)


def write_plot(run: Run, path: str | Path, what: str = "accuracy") -> None:
    """Write a figure of a run to a new file, reproducibly byte for byte.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A new ``.png`` or ``.svg`` file.
        what: ``"accuracy"`` for `figure` (default), ``"curves"`` for `curve_figure`, ``"masks"``
            for `mask_figure`.

    Raises:
        FileExistsError: If the file exists; nothing is overwritten.
        ImportError: If matplotlib is not installed.
        ValueError: If the name has another suffix, or there is no such figure.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit.lottery import report
    >>> report.write_plot("RUN", "run.svg")
    >>> Path("run.svg").exists()
    True
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"Expected a path that ends in .png or .svg; got {path}.")
    if what not in _FIGURES:
        raise errors.unknown("figure", what, _FIGURES)
    atomic.write_new(path, rendered(_FIGURES[what](run), path.suffix[1:]))


def figure(run: Run) -> "Figure":
    """Plot accuracy and early stop against density, one line per branch.

    Lines are means over the trials, bands their confidence intervals (Student's t) for two or
    more trials. The dense network is a horizontal line.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.

    Returns:
        A matplotlib figure with two axes.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
    >>> from kerasinit import lottery
    >>> len(lottery.figure("RUN").axes)
    2
    """
    store = Store.of(run)
    plot = new_figure(10, 4.4)
    found = summaries(store.rows())
    for axes, measure, title in zip(
        plot.subplots(1, 2), ("accuracy", "stop"), (ACCURACY, STOP), strict=True
    ):
        draw_densities(axes, found, measure, store.experiment.branches)
        axes.set_title(title, fontsize=10)
        axes.legend(frameon=False)
    return plot


def curve_figure(run: Run) -> "Figure":
    """Plot the validation loss and accuracy of a run's tickets while they are trained.

    Lines are means over the trials, for at most six levels including the first and the last.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.

    Returns:
        A matplotlib figure with two axes.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:
    >>> from kerasinit.lottery import report
    >>> [axes.get_title() for axes in report.curve_figure("RUN").axes]
    ['validation loss', 'validation accuracy (%)']
    """
    store = Store.of(run)
    plot = new_figure(10, 4.8)
    curves = branch_curves(store, store.rows(), "ticket")
    panels = plot.subplots(1, 2)
    titles = {
        "validation_loss": "validation loss",
        "validation_accuracy": "validation accuracy (%)",
    }
    for axes, (measure, title) in zip(panels, titles.items(), strict=True):
        draw_curves(axes, curves, measure, store.experiment.iterations // 10)
        axes.set_title(title, fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    where = {"loc": "outside lower center", "ncols": MAX_CURVES, "title": "weights left"}
    plot.legend(handles, labels, frameon=False, **where)
    return plot


def branch_curves(
    store: Store, rows: Iterable[Row], branch: str
) -> dict[str, list[tuple[Point, ...]]]:
    """Return the curves of a branch, those of its trials by the fraction of weights left."""
    rows = [row for row in rows if row.branch == branch]
    levels = spread(sorted({row.level for row in rows}), MAX_CURVES)
    curves: dict[str, list[tuple[Point, ...]]] = {}
    for row in rows:
        if row.level in levels:
            curve = store.stage(Place(row.trial, row.level, branch)).curve()
            curves.setdefault(f"{100 * row.density:.3g} %", []).append(curve)
    return curves


def draw_densities(
    axes: "Axes",
    found: dict[tuple[int, str], Summary],
    measure: str,
    branches: Iterable[str],
) -> None:
    """Draw one measure against density, the densest on the left."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    for number, branch in enumerate(branches):
        # The line of tickets starts at the dense network.
        line = [summary for (_, name), summary in found.items() if name == branch]
        means = [getattr(summary, measure) for summary in line]
        densities = [100 * summary.density for summary in line]
        style = line_style(number)
        axes.plot(densities, [mean.value for mean in means], label=branch, **style)
        margins = [math.nan if mean.margin is None else mean.margin for mean in means]
        if not all(math.isnan(margin) for margin in margins):
            low = [mean.value - margin for mean, margin in zip(means, margins, strict=True)]
            high = [mean.value + margin for mean, margin in zip(means, margins, strict=True)]
            draw_band(axes, densities, low, high, style["color"])
    if (0, "ticket") in found:
        dense = getattr(found[0, "ticket"], measure).value
        axes.axhline(dense, color=FAINT, dashes=(4, 3), label="dense", zorder=0)
    _limit(axes, [getattr(summary, measure).values for summary in found.values()], measure)
    ticks = sorted({100 * summary.density for summary in found.values()}, reverse=True)
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(FixedLocator(spread(ticks, _MAX_TICKS)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("weights left (%)")
    style_axes(axes)


def draw_curves(
    axes: "Axes", curves: dict[str, list[tuple[Point, ...]]], measure: str, begin: int
) -> None:
    """Draw one measure against the iteration, the mean over the trials of each label.

    The y axis fits all values from the iteration ``begin`` on.
    """
    loss = measure == "validation_loss"
    values: list[float] = []
    for number, (label, trials) in enumerate(curves.items()):
        by_trial = [{p.iteration: getattr(p, measure) for p in curve} for curve in trials]
        iterations = sorted(set.intersection(*(set(curve) for curve in by_trial)))
        means = [
            statistics.mean(curve[i] for curve in by_trial) * (1 if loss else 100)
            for i in iterations
        ]
        style = {**line_style(number), "markersize": 4, "markevery": max(1, len(means) // 8)}
        axes.plot(iterations, means, label=label, linewidth=1.2, **style)
        values += [mean for i, mean in zip(iterations, means, strict=True) if i >= begin]
    if loss and any(np.size(line.get_ydata()) for line in axes.lines):
        axes.set_yscale("log")
        use_log_scale(axes, *axes.get_ylim())
    elif values:
        _limit(axes, [values], "accuracy")
    axes.set_xlabel("iteration")
    style_axes(axes)


def _limit(axes: "Axes", values: Sequence[Sequence[float]], measure: str) -> None:
    """Fit the y axis to the lines, at the cost of wide bands."""
    everything = [value for line in values for value in line]
    if not everything:
        return
    low, high = min(everything), max(everything)
    # Equal values still need a range with sensible ticks.
    room = 0.25 * (high - low) or 0.05 * high or 1
    low, high = low - room, high + room
    axes.set_ylim(max(low, 0), min(high, 100.2) if measure == "accuracy" else high)


_FIGURES: dict[str, Callable[[Run], "Figure"]] = {
    "accuracy": figure,
    "curves": curve_figure,
    "masks": mask_figure,
}
