"""The table of a run in a terminal."""

from rich import box
from rich.table import Table

from kerasinit._src.lottery.report.means import HOW, ONE_TRIAL, Summary, over_trials, summaries
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.reports import terminal

# More branches than this do not fit side by side into 80 columns with two columns each.
_MAX_BESIDE = 2


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
        caption="Early stop: the iteration of least validation loss; test accuracy is taken "
        f"there. {f'±: {HOW}.' if several else ONE_TRIAL}",
        box=box.HEAVY_HEAD if beside else box.SIMPLE_HEAD,
        collapse_padding=not beside,
        pad_edge=beside,
        show_edge=beside,
    )


def _cells(summary: Summary | None) -> tuple[str, str]:
    if summary is None:
        return "", ""
    return summary.accuracy.text(2), summary.stop.text(0)
