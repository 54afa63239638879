"""The finished trainings of a run, for other programs."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from kerasinit._src.files import atomic
from kerasinit._src.lottery.store.stage import Row
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.training.outcome import Point


def rows(run: Run) -> list[dict[str, object]]:
    """Return the finished trainings of a run as plain dictionaries.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.

    Returns:
        One dictionary for each training, in order, with ``trial``, ``level``,
        ``branch`` (``ticket`` or the control's name; level 0 is the dense network),
        ``density``, ``best_iteration``, ``best_validation_loss``,
        ``test_accuracy`` (at the best iteration) and ``final_test_accuracy``.

    Raises:
        ValueError: If the folder holds no run.
    """
    store = Store.of(run)
    return [dataclasses.asdict(row) for row in store.rows()]


def write_csv(run: Run, path: str | Path) -> None:
    """Write a line for each finished training, with the columns of `rows`.

    Numbers have all their digits: what is read back is equal.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A new file.

    Raises:
        FileExistsError: If there is such a file; nothing is overwritten.
    """
    store = Store.of(run)
    names = [field.name for field in dataclasses.fields(Row)]
    _write(Path(path), names, (dataclasses.asdict(row) for row in store.rows()))


def write_curves(run: Run, path: str | Path) -> None:
    """Write a line for each measurement that was made while the run trained.

    The columns are ``trial``, ``level``, ``branch``, ``density`` and those of the
    measurement: ``iteration``, ``training_loss``, ``validation_loss``,
    ``validation_accuracy``.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        path: A new file.

    Raises:
        FileExistsError: If there is such a file; nothing is overwritten.
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


def _write(path: Path, names: list[str], lines: Iterable[Mapping[str, object]]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(lines)
    atomic.write_new(path, text.getvalue().encode())
