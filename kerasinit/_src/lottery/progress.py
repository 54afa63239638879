"""Events of a run while it trains, and how a terminal or a log shows them."""

import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.reports import terminal
from kerasinit._src.training.outcome import Point


class Watch:
    """Receives the events of `run`; every method may be overridden.

    To log a run, or to show its progress.

    Example:
    >>> from kerasinit import lottery
    >>> class Log(lottery.Watch):
    ...     def finished(self, row):
    ...         print(f"level {row.level}, {row.branch}: density {row.density:.2f}")
    >>> short = lottery.Experiment(
    ...     iterations=5, levels=1, trials=1, controls=(), evaluate_every=5, xla=False
    ... )
    >>> store = lottery.run(short, out="watched", watch=Log())
    level 0, ticket: density 1.00
    level 1, ticket: density 0.80
    """

    def began(self, store: Store, missing: list[Place]) -> None:
        """Called when a run begins or resumes, with the trainings that are missing.

        Args:
            store: The run.
            missing: The trainings that are not finished.
        """

    def training(self, place: Place, density: float) -> None:
        """Called when a training begins.

        Args:
            place: The trial, level and branch of the training.
            density: The fraction of weights that its mask keeps.
        """

    def resumed(self, place: Place, iteration: int) -> None:
        """Called when a training resumes after an iteration, from its checkpoint.

        Args:
            place: The trial, level and branch of the training.
            iteration: The last iteration before the checkpoint.
        """

    def note(self, place: Place, message: str) -> None:
        """Called with a message about a training.

        Args:
            place: The trial, level and branch of the training.
            message: A sentence.
        """

    def point(self, place: Place, point: Point) -> None:
        """Called after a measurement.

        Args:
            place: The trial, level and branch of the training.
            point: The iteration, the losses, and the accuracy on the validation examples.
        """

    def finished(self, row: Row) -> None:
        """Called when a training is finished and on disk.

        Args:
            row: Its result.
        """


class ConsoleWatch(Watch):
    """Shows progress bars while a run trains, and a line for each finished training.

    One bar is for the whole run, with its speed and the remaining time; the others are for the
    trainings in progress, with their accuracy on the validation examples.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[status]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._whole = self._bars.add_task("", total=None, status="", visible=False)
        self._trainings: dict[Place, TaskID] = {}
        self.missing = 0
        """The number of trainings that were missing when the run began."""
        self._iterations = self._finished = self._all = self._steps = 0
        self._since = time.monotonic()

    def __enter__(self) -> "ConsoleWatch":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def began(self, store: Store, missing: list[Place]) -> None:
        """Print the run's folder and the number of missing trainings."""
        experiment, total = store.experiment, len(store.places())
        self.missing = len(missing)
        terminal.write(self._console, f"Run: {store.folder}")
        if not missing:
            self._console.print(f"All {total} trainings are finished; nothing to train.")
            return
        self._iterations, self._all = experiment.iterations, total
        self._finished = total - len(missing)
        done = f", {self._finished} are finished already" if self._finished else ""
        self._console.print(
            f"{len(missing)} trainings of {experiment.iterations} iterations{done}."
        )
        compiled = "XLA compiles" if experiment.xla else "XLA does not compile"
        chosen = f", {store.about['xla']}" if "xla" in store.about else ""
        self._console.print(f"{compiled} the training loop{chosen}.")
        self._since = time.monotonic()
        self._bars.update(self._whole, total=len(missing) * experiment.iterations, visible=True)
        self._show()

    def training(self, place: Place, density: float) -> None:
        """Add a training's bar."""
        self._trainings[place] = self._bars.add_task(
            f"{place} ({100 * density:.1f} %)", total=self._iterations, status=""
        )

    def resumed(self, place: Place, iteration: int) -> None:
        """Advance the bars to where the training resumes, and print it."""
        terminal.write(self._console, f"{place} resumes after iteration {iteration}.")
        # Another process took these steps; they do not count for the speed of this one.
        self._move(place, iteration)

    def note(self, place: Place, message: str) -> None:
        """Print a message."""
        terminal.write(self._console, f"{place}: {message}")

    def point(self, place: Place, point: Point) -> None:
        """Advance the bars."""
        status = f"validation {100 * point.validation_accuracy:.1f} %"
        self._steps += self._move(place, point.iteration, status)
        self._show()

    def finished(self, row: Row) -> None:
        """Remove the training's bar and print its result."""
        self._finished += 1
        place = Place(row.trial, row.level, row.branch)
        if place in self._trainings:
            self._bars.remove_task(self._trainings.pop(place))
        self._show()
        network = "dense" if row.level == 0 else row.branch
        terminal.write(
            self._console,
            f"trial {row.trial}  level {row.level:2d}  {100 * row.density:6.2f} %  {network:8s} "
            f"test accuracy {100 * row.test_accuracy:.2f} % at iteration {row.best_iteration}",
        )

    def _move(self, place: Place, iteration: int, status: str = "") -> int:
        """Advance a training's bar and the whole run's; return by how much."""
        bar = self._trainings[place]
        before = next(task.completed for task in self._bars.tasks if task.id == bar)
        moved = int(iteration - before)
        self._bars.update(bar, completed=iteration, status=status)
        self._bars.advance(self._whole, moved)
        return moved

    def _show(self) -> None:
        status = ""
        whole = next(task for task in self._bars.tasks if task.id == self._whole)
        if self._steps and whole.remaining is not None:
            # Rich's estimate would count steps that were taken by an earlier process.
            speed = self._steps / max(time.monotonic() - self._since, 1e-9)
            left = timedelta(seconds=round(whole.remaining / speed))
            status = f"{speed:.0f} it/s, {left} left"
        self._bars.update(
            self._whole, description=f"{self._finished} of {self._all} trainings", status=status
        )
