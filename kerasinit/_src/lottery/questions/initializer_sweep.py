"""What the initializer changes: one run for each, all else being equal."""

import contextlib
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from kerasinit._src.initializers import identifiers
from kerasinit._src.lottery.experiment import Experiment, require_experiment
from kerasinit._src.lottery.loop import run
from kerasinit._src.lottery.progress import Watch
from kerasinit._src.lottery.questions.question_plots import ticket_figure
from kerasinit._src.lottery.report.means import accuracy_text, means_over_trials, over_trials
from kerasinit._src.lottery.store.stage import Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.lottery.trial import Setup
from kerasinit._src.reports import terminal
from kerasinit._src.training import models
from kerasinit._src.training.data import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Sweep:
    """The result of `sweep`.

    Attributes:
        rows: The rows of each run, by initializer, in the given order.
        folder: The folder of the runs.

    Example:
        See `sweep`.
    """

    rows: dict[str, tuple[Row, ...]]
    folder: Path

    def means(self) -> list[dict[str, Any]]:
        """Return a line for each initializer, level and branch: means over the trials.

        ``test_accuracy`` is a fraction, taken at the early stop (``best_iteration``);
        ``deviation`` is its standard deviation between trials, None for one trial.
        """
        return [
            {"initializer": initializer, **mean}
            for initializer, rows in self.rows.items()
            for mean in means_over_trials(rows)
        ]

    def table(self) -> Table:
        """Return a table of tickets: a line for each level, two columns for each initializer."""
        means = [line for line in self.means() if line["branch"] == "ticket"]
        trials = max(line["trials"] for line in means)
        spread = " ± sd" if trials > 1 else ""
        heads: list[str | Text] = ["level", "weights\nleft (%)"]
        for initializer in self.rows:
            head = terminal.literal(f"{initializer}: test\naccuracy (%){spread}")
            heads += [head, "\nearly stop"]
        rows = []
        for level in sorted({line["level"] for line in means}):
            at = {line["initializer"]: line for line in means if line["level"] == level}
            # Exact counts make all runs equally dense.
            cells = [str(level), f"{100 * next(iter(at.values()))['density']:.2f}"]
            for line in map(at.get, self.rows):
                there = line is not None
                cells += (
                    [accuracy_text(line), f"{line['best_iteration']:.0f}"] if there else ["", ""]
                )
            rows.append(cells)
        shown = terminal.table(
            heads,
            rows,
            title=f"Tickets by initializer, {over_trials(trials)}",
            caption="Early stop: the iteration of lowest validation loss; test accuracy is taken "
            "there. Controls are in the report of each run.",
        )
        # A head may have many words: the initializer's.
        for column in shown.columns:
            column.no_wrap = False
        return shown

    def plot(self) -> "Figure":
        """Return a matplotlib figure: tickets against density, a line per initializer.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return ticket_figure(self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "question": "sweep",
            "means": self.means(),
            "rows": {name: [asdict(row) for row in rows] for name, rows in self.rows.items()},
        }


def sweep(
    initializers: Iterable[str],
    experiment: Experiment | None = None,
    *,
    out: str | Path | None = None,
    build: models.Build | None = None,
    data: Dataset | None = None,
    watching: Callable[[str], AbstractContextManager[Watch]] | None = None,
) -> Sweep:
    """Run a lottery for each of several initializers, with the same data, order and seed.

    Every run is an ordinary one, in a folder inside ``out`` named after its initializer:
    finished trainings in it are reused, and `kerasinit lottery report` reads it.

    Args:
        initializers: Values of `Experiment.initializer`, such as ``"HeNormal"`` or
            ``"RandomNormal:stddev=0.01"``; at least one, without duplicates.
        experiment: The runs except for their initializer, which must be None;
            ``Experiment()`` by default.
        out: The folder for the runs, by default one named after the experiment.
        build: A function that returns a compiled model, in place of
            ``experiment.model``; it must take ``initializer`` by name. Default: None.
        data: Examples, in place of ``experiment.dataset``. Default: None.
        watching: Called with the initializer before its run, returns a context manager
            whose value receives the run's events. Default: None.

    Returns:
        A `Sweep`: the results of each run.

    Raises:
        ValueError: Before any training, if an argument does not fit.
        DivergedError: If the loss of a training is not finite.

    Example:
    >>> from kerasinit import lottery
    >>> from kerasinit.lottery import questions
    >>> short = lottery.Experiment(
    ...     iterations=20, levels=1, trials=1, controls=(), evaluate_every=10, xla=False
    ... )
    >>> found = questions.sweep(["HeNormal", "GlorotNormal"], short)
    >>> [(name, len(rows)) for name, rows in found.rows.items()]
    [('HeNormal', 2), ('GlorotNormal', 2)]

    Reference:
        Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635; its appendices try
        other initializations.
    """
    experiment = require_experiment(experiment or Experiment())
    folders = folder_names(initializers)
    if experiment.initializer is not None:
        raise ValueError(
            f"--initializer {experiment.initializer} contradicts --initializers. Omit the former."
        )
    setup = Setup.of(experiment, build, data)
    for initializer in folders:
        # A mistake in the last one must be found before hours of training the first.
        models.make(setup.build, setup.data, initializer, experiment.seed, "weights", 0)
    digest = setup.experiment.digest
    folder = Path(out) if out is not None else Path(f"sweep-{setup.data.name}-{digest}")
    rows: dict[str, tuple[Row, ...]] = {}
    for initializer, name in folders.items():
        with watching(initializer) if watching else contextlib.nullcontext() as watch:
            store: Store = run(
                replace(experiment, initializer=initializer),
                out=folder / name,
                build=build,
                data=data,
                watch=watch,
            )
        rows[initializer] = tuple(store.rows())
    return Sweep(rows, folder)


def folder_names(initializers: Iterable[str]) -> dict[str, str]:
    """Return the folder name of each initializer; raise ValueError if one is invalid."""
    names: dict[str, str] = {}
    for initializer in initializers:
        identifiers.parse(initializer)
        name = re.sub(r"[^\w.=+-]", "-", initializer)
        if name in names.values():
            raise ValueError(
                f"The initializer {initializer!r}, or its folder name {name!r}, is duplicated."
            )
        names[initializer] = name
    if not names:
        raise ValueError("--initializers must name at least one, as in HeNormal,Orthogonal.")
    return names
