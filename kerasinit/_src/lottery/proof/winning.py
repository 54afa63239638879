"""The verdict: whether tickets win at each density, as far as the trials can show."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kerasinit._src.lottery.store.stage import Row
from kerasinit._src.lottery.store.store import Run, Store
from kerasinit._src.reports import terminal
from kerasinit._src.theory.permutation import ALPHA, FEWEST, Differences

Judgement = Literal["WINNING", "NOT WINNING", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Condition:
    """One condition for a winning ticket, tested over the trials.

    Attributes:
        name: What is compared, as in ``"accuracy against dense"``.
        unit: ``"fraction"`` (accuracies) or ``"iterations"``.
        trials: The number of pairs.
        difference: Ticket minus the other, mean over the trials.
        low: Lower one-sided 95 % confidence bound; None if there are too few trials.
        high: Upper bound; None if there are too few trials. Both are a 90 % interval.
        threshold: The value on one side of which the difference must lie.
        p_met: The p-value of the test that the condition is met.
        p_refuted: The p-value of the test of the contrary.
        state: ``"met"``, ``"refuted"`` or ``"open"``.
        trials_needed: The number of trials that would settle an open condition, with a power of
            0.8; None if it is settled, or if no number would.

    Example:
        See `verdict`.
    """

    name: str
    unit: str
    trials: int
    difference: float
    low: float | None
    high: float | None
    threshold: float
    p_met: float
    p_refuted: float
    state: Literal["met", "refuted", "open"]
    trials_needed: int | None


@dataclass(frozen=True)
class Verdict:
    """The verdict on the tickets of one density.

    Attributes:
        level: The level of the run.
        density: The fraction of weights left.
        outcome: ``"WINNING"``, ``"NOT WINNING"`` or ``"INCONCLUSIVE"``.
        conditions: The conditions that it follows from.
        note: Why it is inconclusive; empty otherwise.
        trials_needed: The number of trials that would settle an inconclusive verdict; None if it
            is settled, or no number would.

    Example:
        See `verdict`.
    """

    level: int
    density: float
    outcome: Judgement
    conditions: tuple[Condition, ...]
    note: str
    trials_needed: int | None

    @property
    def text(self) -> str:
        """The reasons in one line, each difference with its interval and state."""
        parts = [self.note] if self.note else []
        for condition in self.conditions:
            _, difference, interval, must, _, state = _cells(condition)
            unit = "points" if condition.unit == "fraction" else "iterations"
            parts.append(f"{condition.name} {difference} {unit} ({interval}; {must}: {state})")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain JSON."""
        return asdict(self)


def verdict(run: Run, *, margin: float = 0.002, stop_margin: float = 0.02) -> tuple[Verdict, ...]:
    """Decide for each density whether its tickets win.

    A ticket wins if it meets three conditions, each shown by an exact one-sided sign-flip test of
    the paired differences over the trials, at a level of 0.05:

    - its accuracy at the early stop is not below the dense network's by ``margin`` or more;
    - it does not stop later than the dense network by ``stop_margin`` of a training or more;
    - its accuracy is greater than that of every control of its density.

    The verdict is WINNING if all are shown: since every one must be, a false WINNING is no
    more probable than 0.05, however many there are (intersection-union). It is NOT WINNING if
    the contrary of one is shown at the same level, and INCONCLUSIVE otherwise. With five
    trials the smallest p-value is 1/32, with four 1/16: fewer than five prove nothing. The tests
    are exact where differences are symmetric about their mean, as differences of two
    networks from one seed nearly are.

    An early stop is the minimum of a noisy curve that is only sampled at intervals: in
    repetitions it moves by hundreds of iterations. What the hypothesis rules out is accuracy
    that is paid for with training time; a fiftieth of the training is no such price (300 of
    15,000 iterations), while controls stop thousands of iterations later. The margin does not
    depend on the results, so the test stays exact, and it is at least one interval of
    evaluation.

    A level with missing trainings is INCONCLUSIVE: stopping as soon as results look good
    invalidates a test. For the same reason, choose the number of trials beforehand.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned.
        margin: How much lower an accuracy may be, as a fraction: 0.002 (default) is 0.2 points.
        stop_margin: How much later a ticket may stop, as a fraction of the iterations; 0.02 by
            default.

    Returns:
        One verdict for each pruned level with a finished ticket, in order.

    Raises:
        ValueError: If a margin is not a fraction, or the run has no finished ticket, or no dense
            network to compare one with.

    Example:
    >>> from kerasinit import lottery
    >>> found = lottery.verdict("RUN")[0]
    >>> found.level, found.outcome, found.note.partition(";")[0]
    (1, 'INCONCLUSIVE', 'fewer than 5 trials prove nothing')
    >>> for condition in found.conditions:
    ...     print(condition.name, condition.trials)
    accuracy against dense 2
    early stop against dense 2
    accuracy against reinit 2

    Reference:
        Berger, 1982, "Multiparameter hypothesis testing and acceptance sampling"
        (intersection-union tests); Frankle and Carbin, 2019,
        https://arxiv.org/abs/1803.03635 (the definition of winning).
    """
    store = Store.of(run)
    for name, value in (("--margin", margin), ("--stop-margin", stop_margin)):
        if not (math.isfinite(value) and 0 <= value < 1):
            raise ValueError(
                f"{name} is a fraction, at least 0 and below 1; got {value}. 0.002 is 0.2 points."
            )
    rows = {(row.level, row.branch, row.trial): row for row in store.rows()}
    levels = sorted({level for level, branch, _ in rows if level and branch == "ticket"})
    if not levels or not any(level == 0 for level, *_ in rows):
        raise ValueError(
            f"{store.folder} has no finished ticket to compare with its dense network: a verdict "
            f"needs level 0 and at least one more."
        )
    late = max(store.experiment.evaluate_every, stop_margin * store.experiment.iterations)
    return tuple(_verdict(store, rows, level, margin, late) for level in levels)


def _verdict(
    store: Store, rows: Mapping[tuple[int, str, int], Row], level: int, margin: float, late: float
) -> Verdict:
    places = [place for place in store.places() if place.level == level]
    controls = list(dict.fromkeys(p.branch for p in places if p.branch != "ticket"))
    conditions = []
    for name, branch, field, threshold, greater in (
        ("accuracy against dense", None, "test_accuracy", -margin, True),
        ("early stop against dense", None, "best_iteration", late, False),
        *((f"accuracy against {c}", c, "test_accuracy", 0.0, True) for c in controls),
    ):
        differences = []
        for trial in range(store.experiment.trials):
            ticket = rows.get((level, "ticket", trial))
            other = rows.get((level, branch, trial) if branch else (0, "ticket", trial))
            if ticket and other:
                differences.append(getattr(ticket, field) - getattr(other, field))
        if differences:
            unit = "fraction" if field == "test_accuracy" else "iterations"
            conditions.append(_condition(name, unit, differences, threshold, greater=greater))
    dense = [place for place in store.places() if place.level == 0]
    absent = sum((p.level, p.branch, p.trial) not in rows for p in [*dense, *places])
    outcome, note, needed = _outcome(conditions, controls, absent, store.experiment.trials)
    density = next(row.density for (at, _, _), row in rows.items() if at == level)
    return Verdict(level, density, outcome, tuple(conditions), note, needed)


def _condition(
    name: str, unit: str, values: Sequence[float], threshold: float, *, greater: bool
) -> Condition:
    differences = Differences(values)
    if greater:
        p_met, p_refuted = differences.p_greater(threshold), differences.p_at_most(threshold)
    else:
        p_met, p_refuted = differences.p_less(threshold), differences.p_at_least(threshold)
    low, high = differences.bounds()
    state = "met" if p_met <= ALPHA else "refuted" if p_refuted <= ALPHA else "open"
    return Condition(
        name,
        unit,
        len(values),
        differences.mean,
        low if math.isfinite(low) else None,
        high if math.isfinite(high) else None,
        threshold,
        p_met,
        p_refuted,
        state,
        differences.needed(threshold) if state == "open" else None,
    )


def _outcome(
    conditions: Sequence[Condition], controls: Sequence[str], absent: int, trials: int
) -> tuple[Judgement, str, int | None]:
    """Return the outcome, why it is inconclusive, and how many trials would settle it."""
    if absent:
        return "INCONCLUSIVE", f"trainings that are not finished: {absent}", None
    states = [condition.state for condition in conditions]
    if "refuted" in states:
        return "NOT WINNING", "", None
    if not controls:
        return "INCONCLUSIVE", "no control was trained at this density", None
    if "open" not in states:
        return "WINNING", "", None
    needed = _needed(conditions)
    enough = f"about {needed} trials would settle it" if needed else "no number of trials would do"
    if trials < FEWEST:
        return "INCONCLUSIVE", f"fewer than {FEWEST} trials prove nothing; {enough}", needed
    return "INCONCLUSIVE", enough, needed


def _needed(conditions: Iterable[Condition]) -> int | None:
    """Return how many trials settle all that tend to a win, or one that tends against."""
    in_favor, against = [], []
    for condition in conditions:
        if condition.state == "open":
            over = condition.difference > condition.threshold
            favorable = over == (condition.unit == "fraction")
            (in_favor if favorable else against).append(condition.trials_needed)
    if against:
        return min((n for n in against if n is not None), default=None)
    return None if None in in_favor else max(in_favor)


def table(verdicts: Iterable[Verdict], *, title: str = "") -> Table:
    """Return a table with a line for each condition of each density."""
    shown = Table(
        title=terminal.literal(title) if title else None,
        caption="Exact one-sided sign-flip tests over the trials, each at a level of 0.05; "
        "90 % confidence intervals; accuracies in points.",
        # So that the table fits into 80 columns without truncated numbers.
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
    )
    shown.add_column("weights left: verdict\n  the ticket's ...", overflow="fold")
    for name in ("difference", "interval", "must be", "p", ""):
        shown.add_column(name, justify="right", no_wrap=True)
    for each in verdicts:
        outcome = Text(f"{100 * each.density:.2f} %: {each.outcome}", "bold")
        shown.add_row(outcome.append(f"\n{each.note}", "not bold") if each.note else outcome)
        for condition in each.conditions:
            name, *cells = _cells(condition)
            shown.add_row(Padding(name, (0, 0, 0, 2)), *cells)
        shown.add_section()
    return shown


def _cells(condition: Condition) -> list[str]:
    def shown(value: float | None, infinite: str = "∞") -> str:
        if value is None:
            return infinite
        return f"{100 * value:+.2f}" if condition.unit == "fraction" else f"{value:+.0f}"

    sign = ">" if condition.unit == "fraction" else "<"
    p = condition.p_refuted if condition.state == "refuted" else condition.p_met
    return [
        condition.name,
        shown(condition.difference),
        f"{shown(condition.low, '-∞')} to {shown(condition.high)}",
        f"{sign} {shown(condition.threshold)}",
        f"{p:.3f}",
        condition.state,
    ]
