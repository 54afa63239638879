"""Whom a run tells what happens."""

from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.training.outcome import Point


class Watch:
    """What `run` tells while it runs; every method may be overridden."""

    def began(self, store: Store, missing: list[Place]) -> None:
        """Hear that a run begins or goes on, and which trainings are to come."""

    def training(self, place: Place, density: float) -> None:
        """Hear that a training begins."""

    def resumed(self, place: Place, iteration: int) -> None:
        """Hear that a training goes on after an iteration, from its checkpoint."""

    def note(self, place: Place, message: str) -> None:
        """Hear a sentence that is worth a line."""

    def point(self, place: Place, point: Point) -> None:
        """Hear a measurement."""

    def finished(self, row: Row) -> None:
        """Hear that a training is finished and on disk."""
