"""What a run came to: a table, pictures, a page, and its numbers for other programs."""

from kerasinit.lottery.report.outputs import write_outputs
from kerasinit.lottery.report.page import page, write_page
from kerasinit.lottery.report.plots import figure, plot, write_plot
from kerasinit.lottery.report.rows import rows, write_csv, write_curves
from kerasinit.lottery.report.scalars import write_tensorboard
from kerasinit.lottery.report.table import table

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
