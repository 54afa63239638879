"""The picture of a diagnosis, by matplotlib."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kerasinit._src.diagnosis.report import Diagnosis


def figure(diagnosis: "Diagnosis") -> "Figure":
    """Draw signal and gradient over depth, and mark the layers of the findings.

    Args:
        diagnosis: What is to be drawn.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "A plot needs matplotlib: pip install 'kerasinit[examples]', or print the report."
        ) from error
    drawn = Figure(figsize=(7, 5), layout="constrained")
    above, below = drawn.subplots(2, 1, sharex=True)
    rows = diagnosis.layers
    told = {path for one in diagnosis.findings for path in (one.layer, *one.others)}
    squares = {place: row.signal.square for place, row in enumerate(rows)}
    gradients = {place: row.gradient for place, row in enumerate(rows)}
    lines = ((above, squares, "mean square"), (below, gradients, "|dL/dh|"))
    for axes, numbers, label in lines:
        # On a logarithmic axis there is no place for zero.
        shown = {place: number for place, number in numbers.items() if number and number > 0}
        axes.plot(list(shown), list(shown.values()), color="#0072b2", marker="o", markersize=3)
        marked = [place for place in shown if rows[place].layer in told]
        axes.plot(
            marked,
            [shown[place] for place in marked],
            color="#d55e00",
            marker="s",
            linestyle="",
            label="in a finding",
        )
        axes.set_yscale("log")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    if told:
        above.legend()
    every = max(1, len(rows) // 20)
    below.set_xticks(
        range(0, len(rows), every), [row.layer for row in rows[::every]], rotation=90, fontsize=7
    )
    return drawn
