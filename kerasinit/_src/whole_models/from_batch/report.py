"""What initialization from a batch reached, layer by layer."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kerasinit._src.reports import base, terminal
from kerasinit._src.whole_models.from_batch.targets import Target


@dataclass(frozen=True)
class Reached:
    """What was reached for one layer.

    Attributes:
        name: Structural name of the layer, such as ``"multi_head_attention/query"``.
        layer: Its class.
        before: Variance of its output before it was scaled (with the new start, if the
            method gives one, and everything in front of it as it is now).
        variance: Variance of its output over the batch now. With units of their own, the
            one that is farthest from 1.
        mean: Mean of its output now. With units of their own, the one that is farthest from 0.
        scale: What the kernels were multiplied by, all together. With units of their own,
            the geometric mean.
        iterations: How often they were scaled.
        calls: How often the layer was called in the pass; the first call is measured.
        lengths: For units of their own, the length of each one's weights now: the ``g`` of
            weight normalization. Empty otherwise.
        note: What else is to be known, such as why it was kept.
    """

    name: str
    layer: str
    before: float | None = None
    variance: float | None = None
    mean: float | None = None
    scale: float | None = None
    iterations: int = 0
    calls: int = 0
    lengths: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Report(base.Report):
    """What a method reached.

    Attributes:
        method: Its name.
        layers: One `Reached` for each layer with kernels, in the order of the data; last
            those that were kept.
        seed: The seed with which the same call does the same again; None if nothing is drawn.
    """

    method: str
    layers: tuple[Reached, ...]
    seed: int | None = None

    def __getitem__(self, name: str) -> Reached:
        """Return what was reached for the layer of this structural name."""
        return base.row_named(self.layers, name, "layer")


@base.text.register(Report)
def _text(report: Report) -> str:
    lines = []
    for row in report.layers:
        numbers = (row.before, row.variance, row.mean, row.scale)
        shown = ["" if number is None else f"{number:.4g}" for number in numbers]
        lines.append((row.name, row.layer, *shown, row.iterations, row.note))
    heads = ("layer", "class", "before", "variance", "mean", "scale", "times", "note")
    end = "" if report.seed is None else f", seed {report.seed}"
    table = terminal.table(heads, lines, len(heads))
    return terminal.as_text(140, table, f"{report.method}{end}")


def finished(
    rows: Mapping[str, Reached], calls: Mapping[str, int], kept: Iterable[Target]
) -> tuple[Reached, ...]:
    """Return the rows in the order of the data, with the calls, and then what was kept."""
    done = []
    for name, number in calls.items():
        note = rows[name].note
        if number > 1:
            note += f"{'; ' if note else ''}first of {number} calls"
        done.append(dataclasses.replace(rows[name], calls=number, note=note))
    left = [Reached(t.name, type(t.layer).__name__, note="kept as it was") for t in kept]
    return (*done, *left)
