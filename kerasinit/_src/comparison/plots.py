"""The picture of a comparison, by matplotlib."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kerasinit._src.comparison.result import Choice, Comparison

_LINES = ("-", "--", ":", "-.")
# Losses above this many times the largest at step 0 would squeeze all others together.
_MOST = 3.0


def figure(comparison: "Comparison") -> "Figure":
    """Draw held-out loss over steps: for each choice the median and the range of its seeds.

    A cross ends the line of a choice that was stopped. The target is drawn across.

    Args:
        comparison: What is to be drawn.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from kerasinit._src.reports import figures

    drawn = figures.new_figure(8, 5)
    axes = drawn.subplots()
    draw(axes, comparison)
    title = figures.literal(f"{comparison.setting.model} on {comparison.setting.data}")
    axes.set_title(title, fontsize=10)
    return drawn


def draw(axes: "Axes", comparison: "Comparison") -> None:
    """Draw the curves.

    Args:
        axes: Where to draw.
        comparison: What is to be drawn.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    from kerasinit._src.reports import figures

    seen = []
    for number, choice in enumerate(comparison.choices):
        color = figures.COLORS[number % len(figures.COLORS)]
        marker = figures.MARKERS[number % len(figures.MARKERS)]
        bands = choice.bands()
        steps = [band.step for band in bands]
        medians = [_drawable(band.median) for band in bands]
        axes.plot(
            steps,
            medians,
            color=color,
            linestyle=_LINES[number // len(figures.COLORS) % len(_LINES)],
            marker=marker,
            markersize=4,
            markevery=max(1, len(steps) // 8),
            linewidth=1.3,
            label=figures.literal(choice.name) + _note(choice, comparison),
        )
        axes.fill_between(
            steps,
            [_drawable(band.least) for band in bands],
            [_drawable(band.most) for band in bands],
            facecolor=(color, 0.13),
            edgecolor=(color, 0.6),
            linewidth=0.7,
        )
        if choice.stop is not None:
            last = [(x, y) for x, y in zip(steps, medians, strict=True) if not math.isnan(y)][-1:]
            for place in last:
                axes.plot(*place, color=color, marker="x", markersize=9, markeredgewidth=2)
        seen += [loss for band in bands for loss in (band.least, band.most) if math.isfinite(loss)]
    if comparison.target is not None:
        axes.axhline(
            comparison.target, color=figures.FAINT, dashes=(4, 3), label="target", zorder=0
        )
    starts = [choice.start.most for choice in comparison.choices]
    top = _MOST * max((loss for loss in starts if math.isfinite(loss)), default=math.inf)
    if seen and min(seen) > 0:
        axes.set_yscale("log")
        low, high = min(seen), min(max(seen), top)
        axes.set_ylim(low / 1.2, high * 1.2)
        axes.yaxis.set_major_locator(
            LogLocator(subs=(1, 2, 5)) if high > 8 * low else MaxNLocator(6)
        )
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(0, comparison.setting.steps)
    axes.set_xlabel("step")
    axes.set_ylabel("held-out loss")
    axes.grid(color=figures.FAINT, alpha=0.3, linewidth=0.6)
    axes.tick_params(which="both", color=figures.FAINT, labelsize=9)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(figures.FAINT)
    axes.legend(frameon=False, fontsize=8)


def _note(choice: "Choice", comparison: "Comparison") -> str:
    if choice.stop is not None:
        return f" ({choice.stop.kind})"
    return " (best)" if choice is comparison.best else ""


def _drawable(loss: float) -> float:
    return loss if math.isfinite(loss) else math.nan
