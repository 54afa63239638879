"""All trainings of a comparison, taken from look to look, so that the lost can be left behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasinit._src.comparison import racing
from kerasinit._src.comparison.result import Choice, Point, Stop, Training
from kerasinit._src.comparison.subject import Subject, Tensors
from kerasinit._src.training.data import Order
from kerasinit._src.training.loop import Loop

IN_A_ROW = 2


@dataclass
class _Course:
    """Where one training stands."""

    subject: Subject
    trial: int
    loop: Loop
    state: Tensors
    kept: tuple[str, ...]
    order: Order
    points: list[Point] = field(default_factory=list)

    def go_on(self, measured: list[int]) -> None:
        """Train to the last of some steps, measuring after each; end if a loss breaks."""
        if self.points and self.training.broke:
            return
        self.loop.restore(self.state)
        if not self.points:
            self.points.append(Point(0, self.subject.measure(self.loop)))
        self.loop.restart_hidden(self.points[-1].step)
        for step in measured:
            if self.training.broke:
                break
            before = self.points[-1].step
            total = self.loop.advance(self.order.batches(before, step))
            self.points.append(
                Point(step, self.subject.measure(self.loop), total / (step - before))
            )
        self.state = {} if self.training.broke else self.loop.copy()

    @property
    def training(self) -> Training:
        return Training(self.trial, tuple(self.points))


def race(
    subject: Subject,
    chosen: Mapping[str, Any],
    orders: list[Order],
    measured: list[int],
    stopping: bool,
    say: Callable[[str], None],
) -> tuple[Choice, ...]:
    """Train every choice with every seed, and stop those that are clearly lost.

    Args:
        subject: The model and the examples.
        chosen: The choices by name.
        orders: The order of the batches, seed by seed.
        measured: The steps after which the loss is measured; the last is where trainings end.
        stopping: Whether choices are stopped.
        say: Told where it stands.
    """
    # What cannot be applied is found before anything is trained.
    running = {
        name: [
            _Course(subject, trial, *subject.begin(name, choice, trial), order)
            for trial, order in enumerate(orders)
        ]
        for name, choice in chosen.items()
    }
    courses, stops = dict(running), {}
    suspected: dict[str, int] = {}
    before, steps = 0, measured[-1]
    for look in [*racing.looks(measured), steps]:
        for some in running.values():
            for course in some:
                course.go_on([step for step in measured if before < step <= look])
        trainings = {name: [one.training for one in some] for name, some in running.items()}
        for name, some in trainings.items():
            if all(one.broke for one in some):
                step = max(one.steps for one in some)
                why = f"the loss of every seed was no longer finite by step {step}."
                stops[name] = Stop(step, "diverged", why)
        if stopping and look < steps:
            for name, stop in _lost(trainings, suspected, look, before, steps).items():
                stops.setdefault(name, stop)
        for name in [name for name in running if name in stops]:
            for course in running.pop(name):
                course.state = {}
            say(f"step {look}: {name} is stopped ({stops[name].kind}): {stops[name].why}")
        say(f"step {look} of {steps}: {len(running)} of {len(chosen)} choices go on")
        before = look
        if not running:
            break
    return tuple(
        Choice(name, tuple(one.training for one in some), stops.get(name), some[0].kept)
        for name, some in courses.items()
    )


def _lost(
    trainings: Mapping[str, list[Training]],
    suspected: dict[str, int],
    look: int,
    before: int,
    steps: int,
) -> dict[str, Stop]:
    """Return who is lost, and note how often in a row each was behind."""
    found = {}
    leader = racing.leader(trainings, look)
    for name, some in trainings.items():
        why = racing.behind(some, trainings[leader], look, before, steps)
        if why is None or name == leader:
            suspected[name] = 0
            continue
        suspected[name] = suspected.get(name, 0) + 1
        if suspected[name] == IN_A_ROW:
            why = why.replace("the leader", leader)
            found[name] = Stop(look, "lost", f"behind at {IN_A_ROW} looks in a row; {why}.")
    return found
