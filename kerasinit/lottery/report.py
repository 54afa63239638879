"""What a run came to: a table, rows for programs, a picture."""

import dataclasses
import statistics
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from kerasinit.lottery.store import Row, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rows(folder: str | Path) -> list[dict[str, object]]:
    """Return the finished trainings of a run as plain dictionaries.

    Args:
        folder: The folder of the run.

    Returns:
        One dictionary for each training, in order, with ``trial``, ``level``,
        ``branch`` (``ticket`` or the control's name; level 0 is the dense network),
        ``density``, ``best_iteration``, ``best_validation_loss``,
        ``test_accuracy`` (at the best iteration) and ``final_test_accuracy``.

    Raises:
        ValueError: If the folder holds no run.
    """
    return [dataclasses.asdict(row) for row in Store.read(Path(folder)).rows()]


def table(store: Store) -> Table:
    """Return a table with a line for each level, means over the trials."""
    found = store.rows()
    trials = store.experiment.trials
    spread = " ± sd" if trials > 1 else ""
    shown = Table(
        title=f"{store.experiment.model} on {store.experiment.dataset}, "
        + (f"mean of {trials} trials" if trials > 1 else "one trial"),
        caption="Early stop: the iteration of least validation loss; test accuracy is taken there.",
    )
    shown.add_column("level", justify="right")
    shown.add_column("weights\nleft (%)", justify="right")
    for branch in store.experiment.branches:
        shown.add_column(f"{branch}: test\naccuracy (%){spread}", justify="right", no_wrap=True)
        shown.add_column("\nearly stop", justify="right")
    groups: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in found:
        groups[row.level, row.branch].append(row)
    for level in sorted({row.level for row in found}):
        cells = [str(level), f"{100 * groups[level, 'ticket'][0].density:.2f}"]
        for branch in store.experiment.branches:
            cells += _cells(groups.get((level, branch), []))
        shown.add_row(*cells)
    return shown


def _cells(group: list[Row]) -> tuple[str, str]:
    if not group:
        return "", ""
    accuracies = [100 * row.test_accuracy for row in group]
    accuracy = f"{statistics.mean(accuracies):.2f}"
    if len(group) > 1:
        accuracy += f" ± {statistics.stdev(accuracies):.2f}"
    return accuracy, f"{statistics.mean(row.best_iteration for row in group):.0f}"


def plot(store: Store, path: str | Path) -> None:
    """Write the picture of a run to a file.

    Args:
        store: The run.
        path: A ``.png``, ``.svg`` or ``.pdf`` file; a picture of an earlier call is
            replaced, as it shows less of the same run.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure(store).savefig(beside, dpi=120)
    beside.replace(path)


def figure(store: Store) -> "Figure":
    """Draw accuracy and early stop against density, a line for each branch.

    Lines are means over the trials, bands reach from the least to the greatest.

    Args:
        store: The run.

    Returns:
        A matplotlib figure with two axes.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
    except ImportError as error:
        raise ImportError(
            "A picture needs matplotlib, which is not installed: pip install 'kerasinit[examples]'."
        ) from error
    found = store.rows()
    drawn = Figure(figsize=(10, 4.2), layout="constrained")
    accuracy, stop = drawn.subplots(1, 2)
    dense = [row for row in found if row.level == 0]
    for color, branch in enumerate(store.experiment.branches):
        groups: dict[float, list[Row]] = defaultdict(list)
        for row in found:
            # The dense network is where the line of tickets begins.
            if row.branch == branch and (row.level or branch == "ticket"):
                groups[100 * row.density].append(row)
        densities = sorted(groups, reverse=True)
        for axes, values in (
            (accuracy, [[100 * r.test_accuracy for r in groups[d]] for d in densities]),
            (stop, [[r.best_iteration for r in groups[d]] for d in densities]),
        ):
            line = {"color": f"C{color}", "label": branch, "marker": "o", "markersize": 4}
            axes.plot(densities, [statistics.mean(v) for v in values], **line)
            axes.fill_between(
                densities,
                [min(v) for v in values],
                [max(v) for v in values],
                color=f"C{color}",
                alpha=0.15,
                linewidth=0,
            )
    if dense:
        for axes, value in (
            (accuracy, statistics.mean(100 * row.test_accuracy for row in dense)),
            (stop, statistics.mean(row.best_iteration for row in dense)),
        ):
            axes.axhline(value, color="0.6", dashes=(4, 3), label="dense", zorder=0)
    ticks = sorted({100 * row.density for row in found}, reverse=True)
    for axes, title in (
        (accuracy, "test accuracy at the early stop (%)"),
        (stop, "early stop (iteration of least validation loss)"),
    ):
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelrotation=45)
        axes.set_xlabel("weights left (%)")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    return drawn
