"""What a run came to: a table, pictures, a page, and its numbers for other programs."""

from kerasinit._src.lottery.report.exports import (
    rows,
    write_csv,
    write_curves,
    write_outputs,
    write_tensorboard,
)
from kerasinit._src.lottery.report.means import table
from kerasinit._src.lottery.report.plots import figure, plot, write_plot
from kerasinit._src.lottery.report.run_page import page, write_page

__all__ = [
    "figure",
    "page",
    "plot",
    "rows",
    "table",
    "write_csv",
    "write_curves",
    "write_outputs",
    "write_page",
    "write_plot",
    "write_tensorboard",
]
