"""A run as it is seen in a terminal, or in the log of a machine without one."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasinit.lottery.loop import Watch
from kerasinit.lottery.store import Place, Row, Store
from kerasinit.lottery.trainer import Point


class ConsoleWatch(Watch):
    """Shows a bar while a run trains, and a line for each training that is finished.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, speed="")
        self._at = self._since = 0.0

    def __enter__(self) -> "ConsoleWatch":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def began(self, store: Store, missing: list[Place]) -> None:
        """Say where the run is kept and how much there is to do."""
        experiment, everything = store.experiment, len(store.places())
        self._console.print(f"Run: {store.folder}", soft_wrap=True, highlight=False)
        if not missing:
            self._console.print(f"All {everything} trainings are there; nothing to train.")
            return
        there = (
            f", {everything - len(missing)} are there already" if len(missing) < everything else ""
        )
        self._console.print(
            f"{len(missing)} trainings of {experiment.iterations} iterations{there}."
        )
        self._bar.update(self._task, total=len(missing) * experiment.iterations)

    def training(self, place: Place, density: float) -> None:
        """Name the training in the bar."""
        self._since = time.monotonic()
        self._at = self._bar.tasks[0].completed
        self._bar.update(self._task, description=f"{place} ({100 * density:.1f} %)")

    def point(self, place: Place, point: Point) -> None:
        """Move the bar."""
        speed = point.iteration / max(time.monotonic() - self._since, 1e-9)
        self._bar.update(
            self._task,
            completed=self._at + point.iteration,
            speed=f"validation {100 * point.validation_accuracy:.1f} %, {speed:.0f} it/s",
        )

    def finished(self, row: Row) -> None:
        """Write a line that stays."""
        what = "dense" if row.level == 0 else row.branch
        self._console.print(
            f"trial {row.trial}  level {row.level:2d}  {100 * row.density:6.2f} %  {what:8s} "
            f"test accuracy {100 * row.test_accuracy:.2f} % at iteration {row.best_iteration}",
            highlight=False,
            soft_wrap=True,
        )
