"""A comparison to be read in a terminal."""

import math
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from kerasinit._src.reports import terminal

if TYPE_CHECKING:
    from kerasinit._src.comparison.result import Band, Choice, Comparison

_WIDTH = 80


def table(comparison: "Comparison") -> Table:
    """Return a line for each choice: its best loss, its steps to the target, what diverged.

    A star marks the best choice, if there is one.

    Args:
        comparison: What is to be shown.
    """
    setting, target, best = comparison.setting, comparison.target, comparison.best
    shown = Table(
        title=terminal.literal(
            f"{setting.model} on {setting.data}: {setting.steps} steps of {setting.batch_size}, "
            f"{setting.seeds} {'seeds' if setting.seeds > 1 else 'seed'}"
        ),
        caption=f"Loss of {setting.held_out} held-out examples{how(comparison)}",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    shown.add_column("initializer", overflow="fold", min_width=12)
    shown.add_column("best loss:\nmedian (range)", justify="right", no_wrap=True)
    goal = "target" if target is None else f"{target:.4g}"
    for head in (f"steps to\n{goal}", "reached\nit", "diverged", "steps\ntrained"):
        shown.add_column(head, justify="right", no_wrap=True)
    for choice in comparison.choices:
        name = f"{choice.name}{' *' if choice is best else ''}"
        shown.add_row(terminal.literal(name), *cells(choice, target))
    return shown


def how(comparison: "Comparison") -> str:
    """Return how the numbers were made, in words that follow "Loss of ... examples"."""
    several = comparison.setting.seeds > 1
    words = ", median and range of the seeds' least losses." if several else "."
    if any(choice.stop for choice in comparison.choices):
        words += " !: stopped early."
    target, leader = comparison.target, comparison.leader
    if comparison.wanted is None and target is not None and leader is not None:
        words += (
            f" {target:.4g} is what {leader.name} has "
            f"{'in the median ' if several else ''}after half of the steps."
        )
    return words


def cells(choice: "Choice", target: float | None) -> tuple[str, ...]:
    """Return what the table says of a choice, behind its name."""
    steps = None if target is None else choice.steps_to(target)
    seeds = len(choice.trainings)
    return (
        spread(choice.best),
        "-" if steps is None else f"{steps:g}",
        "-" if target is None else f"{choice.reached(target)}/{seeds}",
        f"{round(choice.diverged * seeds)}/{seeds}",
        f"{choice.steps}{'' if choice.stop is None else '!'}",
    )


def spread(band: "Band") -> str:
    """Return a median and its range, to be read.

    Example:
    >>> from kerasinit._src.comparison.result import Band
    >>> spread(Band(10, 0.25, 0.2, float("inf")))
    '0.25 (0.2 to inf)'
    """
    median, least, most = (_short(loss) for loss in (band.median, band.least, band.most))
    return median if least == most else f"{median} ({least} to {most})"


def _short(loss: float) -> str:
    return f"{loss:.3g}" if math.isfinite(loss) else "inf"


def text(comparison: "Comparison") -> str:
    """Return the table and what there is to say, 80 columns wide.

    Args:
        comparison: What is to be shown.
    """
    console = Console(width=_WIDTH, color_system=None, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table(comparison))
        for line in comparison.said():
            console.print(line)
    return capture.get().rstrip()
