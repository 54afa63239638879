"""The files that a report can be written to, checked before the first is written."""

from collections.abc import Callable
from pathlib import Path

from kerasinit._src.files.atomic import new_outputs
from kerasinit._src.lottery.report.exports import write_csv, write_curves
from kerasinit._src.lottery.report.plots import write_plot
from kerasinit._src.lottery.report.run_page import write_page
from kerasinit._src.lottery.report.scalars import write_tensorboard
from kerasinit._src.lottery.store.store import Run, Store

WRITERS: dict[str, Callable[[Store, Path], None]] = {
    "html": write_page,
    "csv": write_csv,
    "curves": write_curves,
    "png": write_plot,
    "svg": write_plot,
    "tensorboard": write_tensorboard,
}


def write_outputs(run: Run, wanted: dict[str, Path | None]) -> dict[str, Path]:
    """Write what is wanted of a run to new files.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        wanted: For each of `WRITERS`, by name, where to write it; ``None`` is left out.

    Returns:
        What was written, and where.

    Raises:
        FileExistsError: If one of the files is there, before any is written.
        ValueError: If a file cannot have its name, before any is written.
    """
    store = Store.of(run)
    chosen = new_outputs(wanted)
    for name, path in chosen.items():
        WRITERS[name](store, path)
    return chosen
