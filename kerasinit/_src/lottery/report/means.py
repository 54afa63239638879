"""Means over the trials of a run, with confidence intervals, for the table, plots and page."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from kerasinit._src.lottery.store.stage import Row
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.reports import terminal

# More branches do not fit into 80 characters with two columns each.
_MAX_BESIDE = 2
CONFIDENCE = 0.95
HOW = (
    f"{CONFIDENCE:.0%} confidence interval of the mean, from Student's t distribution over the "
    f"trials at each density".replace("%", " %")
)
ONE_TRIAL = "A single trial has no confidence intervals; see --trials."


@dataclass(frozen=True)
class Mean:
    """The mean of some values, by trials, and half the width of its confidence interval, if any."""

    value: float
    margin: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Return the mean with the margin of Student's t distribution, None for a single trial.

        The margin is ``t * s / sqrt(n)`` with the quantile ``t`` of ``n - 1`` degrees of
        freedom: 12.7 for two trials, 4.3 for three, 2.8 for five.
        """
        margin = None
        if len(values) > 1:
            from scipy import special  # slow to import

            quantile = float(special.stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
            margin = quantile * statistics.stdev(values) / math.sqrt(len(values))
        return cls(statistics.mean(values), margin, tuple(values))

    def text(self, digits: int) -> str:
        """Return the mean and its margin, rounded."""
        margin = "" if self.margin is None else f" ± {self.margin:.{digits}f}"
        return f"{self.value:.{digits}f}{margin}"


@dataclass(frozen=True)
class Summary:
    """The means of one level of one branch over its finished trials.

    ``accuracy`` is the test accuracy at the early stop, in percent; ``stop`` is in iterations.
    """

    level: int
    branch: str
    density: float
    accuracy: Mean
    stop: Mean


def summaries(rows: Iterable[Row]) -> dict[tuple[int, str], Summary]:
    """Return the means over trials by level and branch, in order of levels."""
    return {
        (level, branch): Summary(
            level,
            branch,
            statistics.mean(row.density for row in group),
            Mean.of([100 * row.test_accuracy for row in group]),
            Mean.of([row.best_iteration for row in group]),
        )
        for (level, branch), group in sorted(_groups(rows).items(), key=lambda item: item[0][0])
    }


def _groups(rows: Iterable[Row]) -> dict[tuple[int, str], list[Row]]:
    groups: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.level, row.branch].append(row)
    return groups


def means_over_trials(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the mean over trials of each level and branch, in the order of the rows.

    ``deviation`` is the standard deviation of ``test_accuracy``, None for one trial.
    """
    means = []
    for (level, branch), group in _groups(rows).items():
        accuracies = [row.test_accuracy for row in group]
        means.append(
            {
                "level": level,
                "branch": branch,
                "density": statistics.mean(row.density for row in group),
                "trials": len(group),
                "test_accuracy": statistics.mean(accuracies),
                "deviation": statistics.stdev(accuracies) if len(group) > 1 else None,
                "best_iteration": statistics.mean(row.best_iteration for row in group),
            }
        )
    return means


def accuracy_text(mean: dict[str, Any]) -> str:
    """Format the accuracy of one of `means_over_trials` in percent, with its deviation."""
    deviation = mean["deviation"]
    end = "" if deviation is None else f" ± {100 * deviation:.2f}"
    return f"{100 * mean['test_accuracy']:.2f}{end}"


def over_trials(trials: int) -> str:
    """Return the number of trials in words."""
    return f"mean of {trials} trials" if trials > 1 else "one trial"


def table(run: Run) -> Table:
    """Return a table with one line per level: means over the trials for ticket and controls.

    With more than one control, the early stop is below the accuracy, so that four controls fit
    into 80 columns.

    Args:
        run: The run, finished or not: its folder, or what `kerasinit.lottery.run` returned.

    Returns:
        A table of rich; print it with ``rich.print``.

    Raises:
        ValueError: If the folder holds no run.

    Example:
    >>> from kerasinit import lottery
    >>> [str(column.header).split(":")[0] for column in lottery.table("RUN").columns][2::2]
    ['ticket', 'reinit']
    """
    store = Store.of(run)
    found = summaries(store.rows())
    experiment = store.experiment
    branches = experiment.branches
    beside = len(branches) <= _MAX_BESIDE
    heads = ["level", "weights\nleft (%)"] if beside else ["", "left\n(%)"]
    for branch in branches:
        name = branch.replace("-", "-\n")
        heads += (
            [f"{branch}: test\naccuracy (%)", "\nearly stop"]
            if beside
            else [f"{name}:\naccuracy,\nearly stop"]
        )
    lines = []
    for level in sorted({level for level, _ in found}):
        of_level = [found.get((level, branch)) for branch in branches]
        density = next(summary.density for summary in of_level if summary)
        pairs = map(_cells, of_level)
        cells = [cell for pair in pairs for cell in (pair if beside else ["\n".join(pair)])]
        lines.append([level, f"{100 * density:.2f}", *cells])
    several = experiment.trials > 1
    return terminal.table(
        heads,
        lines,
        title=terminal.literal(
            f"{experiment.model} on {experiment.dataset}, {over_trials(experiment.trials)}"
        ),
        caption="Early stop: the iteration with the lowest validation loss, where the test "
        f"accuracy is taken. {f'±: {HOW}.' if several else ONE_TRIAL}",
        box=box.HEAVY_HEAD if beside else box.SIMPLE_HEAD,
        collapse_padding=not beside,
        pad_edge=beside,
        show_edge=beside,
    )


def _cells(summary: Summary | None) -> tuple[str, str]:
    if summary is None:
        return "", ""
    return summary.accuracy.text(2), summary.stop.text(0)
