"""What a run came to: a table, pictures, a page, and its numbers for other programs."""

from typing import TYPE_CHECKING

from kerasinit._src import lazy

if TYPE_CHECKING:
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

__getattr__, __dir__ = lazy.exports(
    __name__,
    {
        "lottery.report.exports": (
            "rows",
            "write_csv",
            "write_curves",
            "write_outputs",
            "write_tensorboard",
        ),
        "lottery.report.means": ("table",),
        "lottery.report.plots": ("figure", "plot", "write_plot"),
        "lottery.report.run_page": ("page", "write_page"),
    },
)
