"""A comparison as a table, as text, as a figure and as a page."""

import math
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from kerasinit._src.comparison.result import Band, Choice, Comparison
from kerasinit._src.reports import base, figures, terminal
from kerasinit._src.reports.html import Markup, document, element, grid, joined

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("-", "--", ":", "-.")
# Losses above this many times the largest at step 0 would squeeze all others together.
_MAX = 3.0
_BEST = (
    "A choice is the best if it is shown to be better than every other: by two-sided exact "
    "signed-rank tests of the lowest losses, paired by seed, each at a level of 0.05. A seed that "
    "diverged ranks as worst; a stopped choice counts with its lowest loss until then. Only the "
    "seeds are sampled: the result holds for this network, data set and learning rate."
)
_LOST = (
    "A choice is lost if at two checks in a row, an eighth of the steps apart, (1) it needs more "
    "than four times the leader's steps: the lowest loss of any of its seeds is above what every "
    "seed of the leader had after a quarter of the steps; and (2) it would still end above what "
    "every seed of the leader has now, if its loss continued to fall in a straight line. With "
    "fewer than three seeds no choice is called lost."
)
_DIVERGED = (
    "A training diverged if its loss was not finite, or if the mean loss of its last batches "
    "exceeds the loss at step 0 by more than the absolute value of that loss."
)


@base.table.register(Comparison)
def _table(comparison: Comparison) -> Table:
    """Return a table with one line per choice."""
    setting, target, best = comparison.setting, comparison.target, comparison.best
    heads = ["initializer", "best loss:\nmedian (range)", f"steps to\n{_goal(target)}"]
    heads += ["reached\nit", "diverged", "steps\ntrained"]
    table = terminal.table(
        heads,
        [
            (terminal.literal(f"{one.name}{' *' if one is best else ''}"), *_cells(one, target))
            for one in comparison.choices
        ],
        words=1,
        title=terminal.literal(
            f"{setting.model} on {setting.data}: {setting.steps} steps of {setting.batch_size}, "
            f"{setting.seeds} {'seeds' if setting.seeds > 1 else 'seed'}"
        ),
        caption=_caption(comparison),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.columns[0].min_width = 12
    return table


@base.text.register(Comparison)
def _text(comparison: Comparison) -> str:
    return terminal.as_text(80, base.table(comparison), *comparison.said())


def _goal(target: float | None) -> str:
    return "target" if target is None else f"{target:.4g}"


def _caption(comparison: Comparison) -> str:
    several = comparison.setting.seeds > 1
    caption = f"Loss of {comparison.setting.held_out} held-out examples" + (
        ", median and range of the seeds' lowest losses." if several else "."
    )
    if any(choice.stop for choice in comparison.choices):
        caption += " !: stopped early."
    target, leader = comparison.target, comparison.leader
    if comparison.wanted is None and target is not None and leader is not None:
        caption += (
            f" {target:.4g} is the {'median ' if several else ''}loss of {leader.name} after half "
            f"of the steps."
        )
    return caption


def _cells(choice: Choice, target: float | None) -> tuple[str, ...]:
    """Return the cells after the name of a choice."""
    steps = None if target is None else choice.steps_to(target)
    seeds = len(choice.trainings)
    return (
        _spread(choice.best),
        "-" if steps is None else f"{steps:g}",
        "-" if target is None else f"{choice.reached(target)}/{seeds}",
        f"{round(choice.diverged * seeds)}/{seeds}",
        f"{choice.steps}{'' if choice.stop is None else '!'}",
    )


def _spread(band: Band) -> str:
    """Format a median and its range.

    Example:
    >>> _spread(Band(10, 0.25, 0.2, float("inf")))
    '0.25 (0.2 to inf)'
    """
    median, low, high = (f"{loss:.3g}" for loss in (band.median, band.least, band.most))
    return median if low == high else f"{median} ({low} to {high})"


@base.figure.register(Comparison)
def _figure(comparison: Comparison) -> "Figure":
    """Plot the learning curves, titled by model and data."""
    plot = figures.new_figure(8, 5)
    axes = plot.subplots()
    _draw(axes, comparison)
    title = figures.literal(f"{comparison.setting.model} on {comparison.setting.data}")
    axes.set_title(title, fontsize=10)
    return plot


def _draw(axes: "Axes", comparison: Comparison) -> None:
    """Draw held-out loss over steps: median and range of the seeds of each choice.

    The line of a stopped choice ends with a cross. The target is a horizontal line.
    """
    losses = []
    for number, choice in enumerate(comparison.choices):
        style = figures.line_style(number, 4)
        bands = choice.bands()
        steps = [band.step for band in bands]
        medians = [_drawable(band.median) for band in bands]
        axes.plot(
            steps,
            medians,
            **style,
            linestyle=_LINES[number // len(figures.COLORS) % len(_LINES)],
            markevery=max(1, len(steps) // 8),
            linewidth=1.3,
            label=figures.literal(choice.name) + _note(choice, comparison),
        )
        figures.draw_band(
            axes,
            steps,
            [_drawable(band.least) for band in bands],
            [_drawable(band.most) for band in bands],
            style["color"],
        )
        if choice.stop is not None:
            last = [(x, y) for x, y in zip(steps, medians, strict=True) if not math.isnan(y)][-1:]
            for place in last:
                axes.plot(*place, color=style["color"], marker="x", markersize=9, markeredgewidth=2)
        losses += [
            loss for band in bands for loss in (band.least, band.most) if math.isfinite(loss)
        ]
    if comparison.target is not None:
        axes.axhline(
            comparison.target, color=figures.FAINT, dashes=(4, 3), label="target", zorder=0
        )
    starts = [choice.start.most for choice in comparison.choices]
    top = _MAX * max((loss for loss in starts if math.isfinite(loss)), default=math.inf)
    if losses and min(losses) > 0:
        low, high = min(losses), min(max(losses), top)
        figures.use_log_scale(axes, low, high)
        axes.set_ylim(low / 1.2, high * 1.2)
    axes.set_xlim(0, comparison.setting.steps)
    axes.set_xlabel("step")
    axes.set_ylabel("held-out loss")
    figures.style_axes(axes)
    axes.legend(frameon=False, fontsize=8)


def _note(choice: Choice, comparison: Comparison) -> str:
    if choice.stop is not None:
        return f" ({choice.stop.kind})"
    return " (best)" if choice is comparison.best else ""


def _drawable(loss: float) -> float:
    return loss if math.isfinite(loss) else math.nan


@base.page.register(Comparison)
def _page(comparison: Comparison, note: str | None = None) -> str:
    """Return a page with verdict, curves, table and every training."""
    setting = comparison.setting
    return document(
        f"Initializers of {setting.model} on {setting.data}",
        *([] if note is None else [element("p", note)]),
        *(element("p", line) for line in comparison.said()),
        _curves(comparison),
        _choices(comparison),
        element("h2", "How to read it"),
        element(
            "p",
            f"Every choice had {setting.steps} steps of {setting.batch_size} examples with each of "
            f"{setting.seeds} seeds (derived from {setting.seed}), and the same batches as the "
            f"others with the same seed. The loss of {setting.held_out} held-out examples was "
            f"measured every {setting.evaluate_every} steps.",
        ),
        *(element("p", text) for text in (_BEST, _LOST, _DIVERGED)),
        _trainings(comparison),
    )


def _curves(comparison: Comparison) -> Markup:
    plot = figures.new_figure(6.4, 4.2)
    _draw(plot.subplots(), comparison)
    description = "; ".join(
        f"{choice.name}: {_spread(choice.start)} at step 0, lowest {_spread(choice.best)}"
        for choice in comparison.choices
    )
    bands = "Lines are medians over the seeds, bands their ranges, from min to max."
    several = comparison.setting.seeds > 1
    return joined(
        element("h2", "Learning curves"),
        figures.inline(plot, "curves", "Loss of the held-out examples", description),
        element("p", bands if several else "A single seed has no bands.", class_="note"),
    )


def _choices(comparison: Comparison) -> Markup:
    target, best = comparison.target, comparison.best
    heads = ["initializer", "loss at step 0:\nmedian (range)", "best loss:\nmedian (range)"]
    heads += [f"steps to\n{_goal(target)}", "reached it\n(seeds)", "diverged\n(seeds)"]
    heads += ["steps\ntrained", "behind the\nleader (seeds)", "p"]
    rivals = {one.name: one for one in comparison.verdict.rivals}
    lines = []
    for choice in comparison.choices:
        rival = rivals.get(choice.name)
        behind = f"{rival.ahead}/{len(choice.trainings)}" if rival else ""
        name = element("strong", choice.name) if choice is best else choice.name
        p = f"{rival.p:.2g}" if rival else ""
        lines.append([name, _spread(choice.start), *_cells(choice, target), behind, p])
    return joined(element("h2", "Choices"), grid(heads, lines, _caption(comparison)))


def _trainings(comparison: Comparison) -> Markup:
    target = comparison.target
    lines = []
    for choice in comparison.choices:
        for one in choice.trainings:
            steps = None if target is None else one.steps_to(target)
            first, last = one.points[0], one.points[-1]
            losses = (first.loss, one.best_by(one.steps), last.loss, last.training_loss)
            shown = ("" if loss is None else f"{loss:.4g}" for loss in losses)
            diverged = "yes" if one.diverged else ""
            reached = "" if steps is None else steps
            lines.append([choice.name, one.trial, *shown, reached, diverged, one.steps])
    heads = ["initializer", "seed", "loss at\nstep 0", "lowest\nloss", "last\nloss"]
    heads += ["last\nbatches", "steps to\ntarget", "diverged", "steps\ntrained"]
    return joined(
        element("h2", "Every training"),
        grid(heads, lines, "The trainings behind the medians"),
    )
