"""The result of initialization from a batch, layer by layer."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kerasinit._src.reports import base, figures, terminal
from kerasinit._src.whole_models.from_batch.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ScaledLayer:
    """The result for one layer.

    Attributes:
        name: Structural name of the layer, such as ``"multi_head_attention/query"``.
        layer: Its class.
        before: Variance of its output before scaling, with all layers in front of it done.
        variance: Variance of its output over the batch now. If units are scaled one by one, the
            one farthest from 1.
        mean: Mean of its output now. If units are scaled one by one, the one farthest from 0.
        scale: The product of all factors of its kernels. If units are scaled one by one, the
            geometric mean.
        iterations: How often they were scaled.
        calls: How often the layer was called in the pass; the first call is measured.
        lengths: If units are scaled one by one, the norm of each one's weights now: the ``g`` of
            weight normalization. Empty otherwise.
        note: Anything else, such as why it was kept.
    """

    name: str
    layer: str
    before: float | None = None
    variance: float | None = None
    mean: float | None = None
    scale: float | None = None
    iterations: int = 0
    calls: int = 0
    lengths: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ScalingReport(base.Plotted, base.Report):
    """The result of a method.

    Attributes:
        method: Its name.
        layers: One `ScaledLayer` for each layer with kernels, in the order of the data, followed
            by those that were kept.
        seed: The seed that reproduces the call; None if nothing is drawn.
    """

    method: str
    layers: tuple[ScaledLayer, ...]
    seed: int | None = None

    def __getitem__(self, name: str) -> ScaledLayer:
        """Return the result for the layer with this structural name."""
        return base.row_named(self.layers, name, "layer")


@base.text.register(ScalingReport)
def _text(report: ScalingReport) -> str:
    lines = []
    for row in report.layers:
        numbers = (row.before, row.variance, row.mean, row.scale)
        shown = ["" if number is None else f"{number:.4g}" for number in numbers]
        lines.append((row.name, row.layer, *shown, row.iterations, row.note))
    heads = ("layer", "class", "before", "variance", "mean", "scale", "times", "note")
    end = "" if report.seed is None else f", seed {report.seed}"
    table = terminal.table(heads, lines, len(heads))
    return terminal.as_text(140, table, f"{report.method}{end}")


@base.figure.register(ScalingReport)
def _figure(report: ScalingReport) -> "Figure":
    """Draw the variance of each layer's output before and after."""
    rows = [row for row in report.layers if row.variance is not None]
    plot = figures.new_figure(min(12, max(5, 1.6 + 0.3 * len(rows))), 3.8)
    axes = plot.subplots()
    axes.axhline(1, color=figures.FAINT, dashes=(4, 3), zorder=0)
    values = [1.0]
    for number, (what, label) in enumerate((("before", "before"), ("variance", "after"))):
        # A logarithmic axis has no zero.
        shown = {place: getattr(row, what) for place, row in enumerate(rows)}
        shown = {place: value for place, value in shown.items() if value and value > 0}
        style = figures.line_style(1 - number)
        axes.plot(list(shown), list(shown.values()), label=label, **style)
        values += shown.values()
    figures.use_log_scale(axes, min(values), max(values))
    axes.set_xlabel("layer")
    axes.set_ylabel("variance of the output")
    every = max(1, len(rows) // 20)
    names = [figures.literal(figures.shortened(row.name)) for row in rows[::every]]
    axes.set_xticks(range(0, len(rows), every), names, rotation=90)
    axes.set_title(figures.literal(report.method), fontsize=10)
    figures.style_axes(axes)
    axes.tick_params(axis="x", labelsize=7)
    axes.legend(frameon=False)
    return plot


def completed_rows(
    rows: Mapping[str, ScaledLayer], calls: Mapping[str, int], kept: Iterable[Target]
) -> tuple[ScaledLayer, ...]:
    """Return the rows in the order of the data with their calls, then those of kept layers."""
    done = []
    for name, number in calls.items():
        note = rows[name].note
        if number > 1:
            note += f"{'; ' if note else ''}first of {number} calls"
        done.append(dataclasses.replace(rows[name], calls=number, note=note))
    left = [ScaledLayer(t.name, type(t.layer).__name__, note="kept unchanged") for t in kept]
    return (*done, *left)
