"""What a run reports while it trains, and how a terminal or a log shows it."""

import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.reports import terminal
from kerasinit._src.training.outcome import Point


class Watch:
    """What `run` reports while it runs; every method may be overridden."""

    def began(self, store: Store, missing: list[Place]) -> None:
        """Called when a run begins or goes on, with the trainings that are to come."""

    def training(self, place: Place, density: float) -> None:
        """Called when a training begins."""

    def resumed(self, place: Place, iteration: int) -> None:
        """Called when a training goes on after an iteration, from its checkpoint."""

    def note(self, place: Place, message: str) -> None:
        """Called with a sentence that is worth a line."""

    def point(self, place: Place, point: Point) -> None:
        """Called after a measurement."""

    def finished(self, row: Row) -> None:
        """Called when a training is finished and on disk."""


class ConsoleWatch(Watch):
    """Shows bars while a run trains, and a line for each training that is finished.

    One bar is for the whole run, with its speed and the time that is left; one for each
    training that is going on, with its accuracy on the validation examples.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[says]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._whole = self._bars.add_task("", total=None, says="", visible=False)
        self._trainings: dict[Place, TaskID] = {}
        self.missing = 0
        """How many trainings there were to make when the run began."""
        self._iterations = self._finished = self._all = self._steps = 0
        self._since = time.monotonic()

    def __enter__(self) -> "ConsoleWatch":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def began(self, store: Store, missing: list[Place]) -> None:
        """Say where the run is kept and how much there is to do."""
        experiment, everything = store.experiment, len(store.places())
        self.missing = len(missing)
        terminal.write(self._console, f"Run: {store.folder}")
        if not missing:
            self._console.print(f"All {everything} trainings are there; nothing to train.")
            return
        self._iterations, self._all = experiment.iterations, everything
        self._finished = everything - len(missing)
        there = f", {self._finished} are there already" if self._finished else ""
        self._console.print(
            f"{len(missing)} trainings of {experiment.iterations} iterations{there}."
        )
        compiled = "XLA compiles" if experiment.xla else "XLA does not compile"
        decided = f", {store.about['xla']}" if "xla" in store.about else ""
        self._console.print(f"{compiled} the training loop{decided}.")
        self._since = time.monotonic()
        self._bars.update(self._whole, total=len(missing) * experiment.iterations, visible=True)
        self._show()

    def training(self, place: Place, density: float) -> None:
        """Begin a training's bar."""
        self._trainings[place] = self._bars.add_task(
            f"{place} ({100 * density:.1f} %)", total=self._iterations, says=""
        )

    def resumed(self, place: Place, iteration: int) -> None:
        """Move the bars to where the training goes on, and say so."""
        terminal.write(self._console, f"{place} goes on after iteration {iteration}.")
        # These were taken by another process; they say nothing of the speed of this one.
        self._move(place, iteration)

    def note(self, place: Place, message: str) -> None:
        """Write a sentence that stays."""
        terminal.write(self._console, f"{place}: {message}")

    def point(self, place: Place, point: Point) -> None:
        """Move the bars."""
        self._steps += self._move(
            place,
            point.iteration,
            f"validation {100 * point.validation_accuracy:.1f} %",
        )
        self._show()

    def finished(self, row: Row) -> None:
        """Take the training's bar away, and write a line that stays."""
        self._finished += 1
        place = Place(row.trial, row.level, row.branch)
        if place in self._trainings:
            self._bars.remove_task(self._trainings.pop(place))
        self._show()
        what = "dense" if row.level == 0 else row.branch
        terminal.write(
            self._console,
            f"trial {row.trial}  level {row.level:2d}  {100 * row.density:6.2f} %  {what:8s} "
            f"test accuracy {100 * row.test_accuracy:.2f} % at iteration {row.best_iteration}",
        )

    def _move(self, place: Place, iteration: int, says: str = "") -> int:
        """Move a training's bar and the whole run's; return by how much."""
        bar = self._trainings[place]
        before = next(task.completed for task in self._bars.tasks if task.id == bar)
        moved = int(iteration - before)
        self._bars.update(bar, completed=iteration, says=says)
        self._bars.advance(self._whole, moved)
        return moved

    def _show(self) -> None:
        says = ""
        whole = next(task for task in self._bars.tasks if task.id == self._whole)
        if self._steps and whole.remaining is not None:
            # Rich's own estimate would count what was taken over from an earlier process.
            speed = self._steps / max(time.monotonic() - self._since, 1e-9)
            left = timedelta(seconds=round(whole.remaining / speed))
            says = f"{speed:.0f} it/s, {left} left"
        self._bars.update(
            self._whole, description=f"{self._finished} of {self._all} trainings", says=says
        )
