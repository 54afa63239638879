"""The table of a run in a terminal."""

from rich import box
from rich.table import Table

from kerasinit._src.lottery.report.means import HOW, ONE_TRIAL, Summary, summaries
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.reports import terminal

# More branches than this do not fit side by side into 80 columns with two columns each.
_MOST_BESIDE = 2


def table(run: Run) -> Table:
    """Return a table with a line for each level: ticket and controls, means over the trials.

    With more than one control, the early stop stands below the accuracy, so that
    four controls fit into 80 columns.

    Args:
        run: The run, finished or not: its folder, or what `kerasinit.lottery.run` returned.
    """
    store = Store.of(run)
    found = summaries(store.rows())
    experiment = store.experiment
    beside = len(experiment.branches) <= _MOST_BESIDE
    shown = Table(
        title=terminal.literal(
            f"{experiment.model} on {experiment.dataset}, "
            + (f"mean of {experiment.trials} trials" if experiment.trials > 1 else "one trial")
        ),
        caption="Early stop: the iteration of least validation loss; test accuracy is taken "
        f"there. {f'±: {HOW}.' if experiment.trials > 1 else ONE_TRIAL}",
        box=box.HEAVY_HEAD if beside else box.SIMPLE_HEAD,
        collapse_padding=not beside,
        pad_edge=beside,
        show_edge=beside,
    )
    shown.add_column("level" if beside else "", justify="right")
    shown.add_column("weights\nleft (%)" if beside else "left\n(%)", justify="right", no_wrap=True)
    for branch in experiment.branches:
        if beside:
            shown.add_column(f"{branch}: test\naccuracy (%)", justify="right", no_wrap=True)
            shown.add_column("\nearly stop", justify="right", no_wrap=True)
        else:
            name = branch.replace("-", "-\n")
            shown.add_column(f"{name}:\naccuracy,\nearly stop", justify="right", no_wrap=True)
    for level in sorted({level for level, _ in found}):
        line = {branch: found.get((level, branch)) for branch in experiment.branches}
        density = next(summary.density for summary in line.values() if summary)
        cells = [str(level), f"{100 * density:.2f}"]
        for summary in line.values():
            cells += _cells(summary) if beside else ["\n".join(_cells(summary))]
        shown.add_row(*cells)
    return shown


def _cells(summary: Summary | None) -> tuple[str, str]:
    if summary is None:
        return "", ""
    return summary.accuracy.text(2), summary.stop.text(0)
