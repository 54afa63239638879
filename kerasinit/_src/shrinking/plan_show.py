"""A plan of structured pruning as text and as a figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box

from kerasinit._src.reports import base, figures, terminal
from kerasinit._src.shrinking.removal_plan import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNITS: Mapping[str, str] = {"macs": "MACs", "bytes": "bytes of weights"}


@base.text.register(Plan)
def _text(plan: Plan) -> str:
    heads = ("group", "kept whole because", "width", "left", "removed")
    lines = [
        (
            one.name,
            one.reason,
            one.width[0],
            one.width[1],
            f"{len(one.removed) / one.size:.0%}" if one.removed else "",
        )
        for one in plan.groups
    ]
    costs = [
        (
            _UNITS.get(one.name, one.name),
            *(f"{n * 1000:.3g} ms" if one.name == "latency" else f"{n:,.0f}"
              for n in (one.dense, one.left)),
            f"{one.ratio:.3f}",
            "" if one.target is None else f"{one.target:g}",
        )
        for one in plan.costs
    ]  # fmt: skip
    return terminal.as_text(
        100,
        terminal.table(heads, lines, 2, box=box.SIMPLE_HEAD, pad_edge=False),
        terminal.table(
            ("cost", "dense", "left", "fraction left", "target"), costs, 1,
            box=box.SIMPLE_HEAD, pad_edge=False,
        ),
        *([f"Inexact: statistics of {', '.join(plan.inexact)} include removed channels."]
          if plan.inexact else []),
    )  # fmt: skip


@base.figure.register(Plan)
def _figure(plan: Plan) -> "Figure":
    """Draw the width of each group before and after, and what is left of each cost."""
    rows = max(len(plan.groups), 2 * len(plan.costs), 3)
    plot = figures.new_figure(9.6, 1.1 + 0.34 * rows)
    left, right = plot.subplots(1, 2, width_ratios=(3, 2))
    widths = [one.width for one in plan.groups]
    series = {"before": [one for one, _ in widths], "after": [one for _, one in widths]}
    figures.draw_bars(left, [one.name for one in plan.groups], series, numbers=",")
    left.set_xlabel("width")
    names = [_UNITS.get(one.name, one.name) for one in plan.costs]
    ratios = [one.ratio for one in plan.costs]
    figures.draw_bars(right, names, {"before": [1.0] * len(names), "after": ratios}, numbers=".3g")
    targets = [(one.target, place) for place, one in enumerate(plan.costs) if one.target]
    if targets:
        right.vlines(
            [target for target, _ in targets],
            [place - 0.45 for _, place in targets],
            [place + 0.45 for _, place in targets],
            color=figures.COLORS[1],
            linewidth=2,
            label="target",
        )
    right.set_xlabel("fraction of the dense model's")
    right.set_xlim(0, 1.12)
    handles, labels = right.get_legend_handles_labels()
    plot.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return plot
