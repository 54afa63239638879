"""All trainings of a comparison, advanced from check to check, so that lost ones can be stopped."""

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
class _Run:
    """The progress of one training."""

    subject: Subject
    trial: int
    loop: Loop
    state: Tensors
    kept: tuple[str, ...]
    order: Order
    points: list[Point] = field(default_factory=list)

    def advance(self, measured: list[int]) -> None:
        """Train to the last of some steps, measuring after each; stop at a non-finite loss."""
        if self.points and self.training.broke:
            return
        self.loop.restore(self.state)
        if not self.points:
            self.points.append(Point(0, self.subject.measure(self.loop)))
        self.loop.reseed_hidden_generators(self.points[-1].step)
        for step in measured:
            if self.training.broke:
                break
            before = self.points[-1].step
            total = self.loop.advance(self.order.batches(before, step))
            self.points.append(
                Point(step, self.subject.measure(self.loop), total / (step - before))
            )
        self.state = {} if self.training.broke else self.loop.state_on_device()

    @property
    def training(self) -> Training:
        return Training(self.trial, tuple(self.points))


def race(
    subject: Subject,
    choices: Mapping[str, Any],
    orders: list[Order],
    measured: list[int],
    stopping: bool,
    log: Callable[[str], None],
) -> tuple[Choice, ...]:
    """Train every choice with every seed, and stop those that are clearly lost.

    ``orders`` has the batches of each seed, ``measured`` the steps after which the loss is
    measured, up to the last one. ``log`` is called with a sentence after each check.
    """
    # Choices that cannot be applied are found before any training.
    running = {
        name: [
            _Run(subject, trial, *subject.start(name, choice, trial), order)
            for trial, order in enumerate(orders)
        ]
        for name, choice in choices.items()
    }
    all_runs, stops = dict(running), {}
    times_behind: dict[str, int] = {}
    before, steps = 0, measured[-1]
    for check in [*racing.checks(measured), steps]:
        for runs in running.values():
            for run in runs:
                run.advance([step for step in measured if before < step <= check])
        trainings = {name: [run.training for run in runs] for name, runs in running.items()}
        for name, of_seeds in trainings.items():
            if all(training.broke for training in of_seeds):
                step = max(training.steps for training in of_seeds)
                why = f"the loss of every seed was no longer finite by step {step}."
                stops[name] = Stop(step, "diverged", why)
        if stopping and check < steps:
            for name, stop in _lost(trainings, times_behind, check, before, steps).items():
                stops.setdefault(name, stop)
        for name in [name for name in running if name in stops]:
            for run in running.pop(name):
                run.state = {}
            log(f"step {check}: {name} is stopped ({stops[name].kind}): {stops[name].why}")
        log(f"step {check} of {steps}: {len(running)} of {len(choices)} choices continue")
        before = check
        if not running:
            break
    return tuple(
        Choice(name, tuple(run.training for run in runs), stops.get(name), runs[0].kept)
        for name, runs in all_runs.items()
    )


def _lost(
    trainings: Mapping[str, list[Training]],
    times_behind: dict[str, int],
    check: int,
    before: int,
    steps: int,
) -> dict[str, Stop]:
    """Return the lost choices, and update how many times in a row each was behind."""
    lost = {}
    leader = racing.leader(trainings, check)
    for name, of_seeds in trainings.items():
        why = racing.behind(of_seeds, trainings[leader], check, before, steps)
        if why is None or name == leader:
            times_behind[name] = 0
            continue
        times_behind[name] = times_behind.get(name, 0) + 1
        if times_behind[name] == IN_A_ROW:
            why = why.replace("the leader", leader)
            lost[name] = Stop(check, "lost", f"behind at {IN_A_ROW} checks in a row; {why}.")
    return lost
