"""Exports of a run: a page, tables, plots, scalars for TensorBoard."""

import csv
import dataclasses
import importlib.util
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kerasinit._src.files import atomic
from kerasinit._src.lottery.report.plots import write_plot
from kerasinit._src.lottery.report.run_page import write_page
from kerasinit._src.lottery.store.stage import Row
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.training.outcome import Point
from kerasinit._src.troubleshooting import see


def rows(run: Run) -> list[dict[str, object]]:
    """Return the finished trainings of a run as plain dictionaries.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.

    Returns:
        One dictionary for each training, in order, with ``trial``, ``level`` (0 is the dense
        network), ``branch`` (``ticket`` or the control's name), ``density``, ``best_iteration``,
        ``best_validation_loss``, ``test_accuracy`` (at the best iteration) and
        ``final_test_accuracy``.

    Raises:
        ValueError: If the folder holds no run.

    Example:
    >>> from kerasinit import lottery
    >>> for row in lottery.rows("RUN")[:3]:
    ...     print(row["trial"], row["level"], row["branch"], round(row["density"], 2))
    0 0 ticket 1.0
    0 1 ticket 0.8
    0 1 reinit 0.8
    """
    return [dataclasses.asdict(row) for row in Store.of(run).rows()]


def write_csv(run: Run, path: str | Path) -> None:
    """Write a CSV file with one line per finished training and the columns of `rows`.

    Numbers are written with all digits, so that they are equal when read back.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A new file.

    Raises:
        FileExistsError: If the file exists; nothing is overwritten.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit.lottery import report
    >>> report.write_csv("RUN", "run.csv")
    >>> Path("run.csv").read_text().partition(",best")[0]
    'trial,level,branch,density'
    """
    _write(Path(path), [field.name for field in dataclasses.fields(Row)], rows(run))


def write_curves(run: Run, path: str | Path) -> None:
    """Write a CSV file with one line per measurement during the trainings of a run.

    The columns are ``trial``, ``level``, ``branch``, ``density``, ``iteration``,
    ``training_loss``, ``validation_loss`` and ``validation_accuracy``.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A new file.

    Raises:
        FileExistsError: If the file exists; nothing is overwritten.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit.lottery import report
    >>> report.write_curves("RUN", "curves.csv")
    >>> len(Path("curves.csv").read_text().splitlines())  # six trainings, each measured twice
    13
    """
    store = Store.of(run)
    lines = (
        {
            "trial": place.trial,
            "level": place.level,
            "branch": place.branch,
            "density": store.stage(place).row().density,
            **dataclasses.asdict(point),
        }
        for place in store.places()
        if store.has(place)
        for point in store.stage(place).curve()
    )
    names = ["trial", "level", "branch", "density"]
    _write(Path(path), [*names, *(field.name for field in dataclasses.fields(Point))], lines)


def write_tensorboard(run: Run, folder: str | Path) -> None:
    """Write the measurements as event files for ``tensorboard --logdir``.

    Each training is a run of TensorBoard, such as ``trial-0/level-03/reinit``, with
    ``training_loss``, ``validation_loss`` and ``validation_accuracy`` by iteration. So is each
    branch of a trial, such as ``trial-0/reinit``, with ``density``, ``test_accuracy``,
    ``final_test_accuracy`` and ``best_iteration`` by level.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        folder: A new folder.

    Raises:
        FileExistsError: If the folder exists; nothing is overwritten or added.
        ImportError: If tensorboard is not installed.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit.lottery import report
    >>> report.write_tensorboard("RUN", "logs")
    >>> sorted(folder.name for folder in Path("logs").iterdir())
    ['trial-0', 'trial-1']
    """
    store = Store.of(run)
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError(
            "Scalars for TensorBoard need tensorboard, which is not installed: "
            f"pip install 'kerasinit[tensorboard]'. {see('missing-extra')}"
        )
    import tensorflow as tf

    def write(name: str, steps: list[tuple[int, dict[str, float]]]) -> None:
        writer = tf.summary.create_file_writer(str(beside / name))
        with writer.as_default():
            for step, values in steps:
                for tag, value in values.items():
                    tf.summary.scalar(tag, value, step=step)
        writer.close()

    by_branch: dict[str, list[tuple[int, dict[str, float]]]] = {}
    with atomic.new_folder(Path(folder)) as beside:
        for place in store.places():
            if not store.has(place):
                continue
            stage = store.stage(place)
            curve = [dataclasses.asdict(point) for point in stage.curve()]
            write(
                f"trial-{place.trial}/level-{place.level:02d}/{place.branch}",
                [(point.pop("iteration"), point) for point in curve],
            )
            row = dataclasses.asdict(stage.row())
            tags = ("density", "test_accuracy", "final_test_accuracy", "best_iteration")
            by_branch.setdefault(f"trial-{place.trial}/{place.branch}", []).append(
                (place.level, {tag: row[tag] for tag in tags})
            )
        for name, steps in by_branch.items():
            write(name, steps)


def _write(path: Path, names: list[str], lines: Iterable[Mapping[str, object]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    atomic.write_new(path, text.getvalue().encode())


WRITERS: dict[str, Callable[[Store, Path], None]] = {
    "html": write_page,
    "csv": write_csv,
    "curves": write_curves,
    "png": write_plot,
    "svg": write_plot,
    "tensorboard": write_tensorboard,
}


def write_outputs(run: Run, wanted: dict[str, Path | None]) -> dict[str, Path]:
    """Write several exports of a run to new files.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        wanted: Paths by export: ``html``, ``csv``, ``curves``, ``png``, ``svg``, ``tensorboard``;
            those with ``None`` are skipped.

    Returns:
        The paths written, by export.

    Raises:
        FileExistsError: If one of the files exists, before any is written.
        ValueError: If a file name is invalid, before any is written.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit.lottery import report
    >>> written = report.write_outputs("RUN", {"csv": Path("run.csv"), "html": None})
    >>> [(name, path.name) for name, path in written.items()]
    [('csv', 'run.csv')]
    """
    store = Store.of(run)
    chosen = atomic.new_outputs(wanted)
    for name, path in chosen.items():
        WRITERS[name](store, path)
    return chosen
