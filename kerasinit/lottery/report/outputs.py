"""The files that a report can be written to, checked before the first is written."""

from collections.abc import Callable, Mapping
from pathlib import Path

from kerasinit.lottery.report.page import write_page
from kerasinit.lottery.report.plots import write_plot
from kerasinit.lottery.report.rows import write_csv, write_curves
from kerasinit.lottery.report.scalars import write_tensorboard
from kerasinit.lottery.store import Run, Store

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


def new_outputs(wanted: Mapping[str, Path | None]) -> dict[str, Path]:
    """Return the outputs that are wanted, if each can be written to a new file.

    Args:
        wanted: Where to write each, by the name of its option; ``None`` is left out.

    Raises:
        FileExistsError: If one of the files is there.
        ValueError: If a file cannot have its name.
    """
    chosen = {name: path for name, path in wanted.items() if path is not None}
    for name, path in chosen.items():
        if path.exists():
            raise FileExistsError(
                f"--{name}: {path} is there already; nothing is overwritten. Name another, or "
                f"remove it first."
            )
        if not path.absolute().parent.is_dir():
            raise ValueError(f"--{name}: there is no folder {path.parent} to write {path.name} to.")
        if name in ("png", "svg") and path.suffix != f".{name}":
            raise ValueError(f"--{name} needs a name that ends in .{name}; got {path}.")
    if len({path.absolute() for path in chosen.values()}) < len(chosen):
        raise ValueError(f"Two outputs have one name: {', '.join(map(str, chosen.values()))}.")
    return chosen
