"""What initialization from a batch reached, layer by layer."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kerasinit._src import errors
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
class Report:
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
        for row in self.layers:
            if row.name == name:
                return row
        raise KeyError(str(errors.unknown("layer", name, [row.name for row in self.layers])))

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def __str__(self) -> str:
        """Return a table to be read."""
        from rich.console import Console
        from rich.table import Table

        table = Table("layer", "class", "before", "variance", "mean", "scale", "times", "note")
        for row in self.layers:
            numbers = (row.before, row.variance, row.mean, row.scale)
            shown = ["" if number is None else f"{number:.4g}" for number in numbers]
            table.add_row(row.name, row.layer, *shown, str(row.iterations), row.note)
        console = Console(width=140, color_system=None, markup=False, emoji=False)
        with console.capture() as capture:
            console.print(table)
        end = "" if self.seed is None else f", seed {self.seed}"
        return f"{capture.get()}{self.method}{end}"


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
