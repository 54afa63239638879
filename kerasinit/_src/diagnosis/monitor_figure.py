"""The measurements of a training as a figure."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kerasinit._src.diagnosis.measured import Measure
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.reports import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_LAYERS = 8
_PANELS: tuple[tuple[str, Callable[[Measure], float | None]], ...] = (
    ("mean square", lambda row: row.signal.square),
    ("|dL/dh|", lambda row: row.gradient),
    ("update / weight", lambda row: row.update_ratio),
)


def monitor_figure(history: Sequence[tuple[int, Diagnosis]]) -> "Figure":
    """Draw signal, gradient and relative update of layers with weights against the step.

    Of more than eight layers, eight are drawn, evenly spread from the first to the last.
    """
    plot = figures.new_figure(10.5, 3.9)
    panels = plot.subplots(1, len(_PANELS))
    by_step = [(step, {(r.layer, r.call): r for r in one.layers}) for step, one in history]
    names = [key for key, row in by_step[-1][1].items() if row.learns] if by_step else []
    for number, key in enumerate(figures.spread(names, _MAX_LAYERS)):
        style = figures.line_style(number, 4)
        style["linestyle"] = "-" if number < len(figures.COLORS) else "--"
        layer, call = key
        style["label"] = figures.literal(layer if call == 1 else f"{layer} call {call}")
        for axes, (_, measure) in zip(panels, _PANELS, strict=True):
            measured = [(step, measure(rows[key])) for step, rows in by_step if key in rows]
            # A logarithmic axis has no zero.
            shown = [(step, value) for step, value in measured if value and value > 0]
            axes.plot(
                [step for step, _ in shown],
                [value for _, value in shown],
                markevery=max(1, len(shown) // 8),
                linewidth=1.2,
                **style,
            )
    for axes, (label, _) in zip(panels, _PANELS, strict=True):
        values = [value for line in axes.lines for value in line.get_ydata()]
        if values:
            figures.use_log_scale(axes, min(values), max(values))
        axes.set_title(label, fontsize=10)
        axes.set_xlabel("step")
        figures.style_axes(axes)
    handles, labels = panels[0].get_legend_handles_labels()
    plot.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return plot
