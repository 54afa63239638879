"""The plots of a run, by matplotlib."""

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasinit._src.files import atomic
from kerasinit._src.lottery.report.means import Summary, spread, summaries
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.reports.figures import (
    FAINT,
    draw_band,
    dress,
    line_style,
    new_figure,
    rendered,
    scale_by_logarithm,
)
from kerasinit._src.training.outcome import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCURACY = "test accuracy at the early stop (%)"
STOP = "early stop (iteration of least validation loss)"
_MOST_TICKS = 7


def plot(run: Run, path: str | Path) -> None:
    """Write the picture of a run to a file.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A ``.png``, ``.svg`` or ``.pdf`` file; a picture of an earlier call is
            replaced, as it shows less of the same run.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure(run).savefig(beside, dpi=120)
    beside.replace(path)


def write_plot(run: Run, path: str | Path) -> None:
    """Write the picture of a run to a new file, the same bytes each time.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A ``.png`` or ``.svg`` file that is not there yet.

    Raises:
        FileExistsError: If there is such a file; nothing is overwritten.
        ImportError: If matplotlib is not installed.
        ValueError: If the name ends otherwise.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"A picture is named .png or .svg; got {path}.")
    atomic.write_new(path, rendered(figure(run), path.suffix[1:]))


def figure(run: Run) -> "Figure":
    """Draw accuracy and early stop against density, a line for each branch.

    Lines are means over the trials, bands their confidence intervals (Student's t), where
    there are two trials or more. The dense network is drawn across as a reference.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.

    Returns:
        A matplotlib figure with two axes.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    store = Store.of(run)
    drawn = new_figure(10, 4.4)
    found = summaries(store.rows())
    for axes, measure, title in zip(
        drawn.subplots(1, 2), ("accuracy", "stop"), (ACCURACY, STOP), strict=True
    ):
        draw_densities(axes, found, measure, store.experiment.branches)
        axes.set_title(title, fontsize=10)
        axes.legend(frameon=False)
    return drawn


def draw_densities(
    axes: "Axes",
    found: dict[tuple[int, str], Summary],
    measure: str,
    branches: Iterable[str],
) -> None:
    """Draw one measure against density, densest on the left."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    for number, branch in enumerate(branches):
        # The dense network is where the line of tickets begins.
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
    axes.xaxis.set_major_locator(FixedLocator(spread(ticks, _MOST_TICKS)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("weights left (%)")
    dress(axes)


def draw_curves(
    axes: "Axes", curves: dict[str, list[tuple[Point, ...]]], measure: str, begin: int
) -> None:
    """Draw one measure against the iteration, a line for each label, means over the trials.

    Args:
        axes: Where to draw.
        curves: For each label, the curves of its trials.
        measure: ``"validation_loss"`` or ``"validation_accuracy"``.
        begin: The iteration from which on the vertical axis has room for all values.
    """
    loss = measure == "validation_loss"
    seen: list[float] = []
    for number, (label, trials) in enumerate(curves.items()):
        by_trial = [{p.iteration: getattr(p, measure) for p in curve} for curve in trials]
        iterations = sorted(set.intersection(*(set(curve) for curve in by_trial)))
        means = [
            statistics.mean(curve[i] for curve in by_trial) * (1 if loss else 100)
            for i in iterations
        ]
        style = {**line_style(number), "markersize": 4, "markevery": max(1, len(means) // 8)}
        axes.plot(iterations, means, label=label, linewidth=1.2, **style)
        seen += [m for i, m in zip(iterations, means, strict=True) if i >= begin]
    if loss and any(np.size(line.get_ydata()) for line in axes.lines):
        axes.set_yscale("log")
        scale_by_logarithm(axes, *axes.get_ylim())
    elif seen:
        _limit(axes, [seen], "accuracy")
    axes.set_xlabel("iteration")
    dress(axes)


def _limit(axes: "Axes", values: Sequence[Sequence[float]], measure: str) -> None:
    """Leave room for what was measured; a wide band is cut off rather than the lines squeezed."""
    everything = [value for some in values for value in some]
    if not everything:
        return
    low, high = min(everything), max(everything)
    # Values that are all the same still need a frame with sensible numbers on it.
    room = 0.25 * (high - low) or 0.05 * high or 1
    low, high = low - room, high + room
    axes.set_ylim(max(low, 0), min(high, 100.2) if measure == "accuracy" else high)
