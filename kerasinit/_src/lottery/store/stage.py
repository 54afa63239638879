"""One training of a run, and the files that it leaves behind."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from kerasinit._src.files import json_files
from kerasinit._src.files.tensors import write_tensors
from kerasinit._src.lottery.store.ticket import Ticket, load_ticket, read_tensors
from kerasinit._src.mask_arrays import NAMING
from kerasinit._src.network.old_names import old_names
from kerasinit._src.training.outcome import Outcome, Point

_RESULT, _CURVE = "result.json", "curve.csv"
_MOST_CURVE = 2**26
_POINT: dict[str, Any] = get_type_hints(Point)
# What is claimed of a result, here and where it is proven.
OF_TRAINING = "results are of their training"
FRACTIONS = "accuracies are fractions"
OF_MASKS = "densities are those of the masks"


@dataclass(frozen=True, order=True)
class Place:
    """One training of a run."""

    trial: int
    level: int
    branch: str

    def __str__(self) -> str:
        return f"trial {self.trial}, level {self.level}, {self.branch}"


@dataclass(frozen=True)
class Row:
    """What one training came to; accuracies and density are fractions."""

    trial: int
    level: int
    branch: str
    density: float
    best_iteration: int
    best_validation_loss: float
    test_accuracy: float
    final_test_accuracy: float

    @classmethod
    def of(cls, place: Place, density: float, outcome: Outcome) -> "Row":
        """Return the row that a training leaves behind."""
        return cls(
            place.trial,
            place.level,
            place.branch,
            density,
            outcome.best_iteration,
            outcome.best_validation_loss,
            outcome.test_accuracy,
            outcome.final_test_accuracy,
        )


@dataclass(frozen=True)
class Stage:
    """The folder of one training."""

    folder: Path
    names: Mapping[str, str] = field(default_factory=dict)
    """The variables that are called otherwise than in its files."""

    def named_for(self, model: Callable[[], Any]) -> "Stage":
        """Return the stage with the names that the variables of a model have now.

        Args:
            model: Returns the model; only called if the files are of the first format.
        """
        if self.ticket().masks.naming == NAMING:
            return self
        return replace(self, names=old_names(model()))

    @property
    def model_path(self) -> Path:
        """Where the trained model is."""
        return self.folder / "model.keras"

    @property
    def ticket_path(self) -> Path:
        """Where the masks and first weights are."""
        return self.folder / "ticket.safetensors"

    def write(self, row: Row, trained: Outcome, ticket: Ticket) -> None:
        """Write what every training leaves behind."""
        ticket.save(self.ticket_path)
        text = io.StringIO()
        table = csv.DictWriter(text, list(asdict(trained.curve[0])), lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(point) for point in trained.curve)
        (self.folder / _CURVE).write_text(text.getvalue())
        content = {**asdict(row), "seconds": round(trained.seconds, 3)}
        (self.folder / _RESULT).write_text(json.dumps(content, indent=2))

    def write_state(
        self, name: str, state: dict[str, np.ndarray], about: dict[str, str] | None = None
    ) -> None:
        """Write variables, and words about them, under ``name.safetensors``."""
        write_tensors(self.folder / f"{name}.safetensors", state, about)

    def tensors(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the variables that `write_state` wrote, and the words about them."""
        tensors, words = read_tensors(self.folder / f"{name}.safetensors")
        return {self.names.get(name, name): value for name, value in tensors.items()}, words

    def state(self, name: str) -> dict[str, np.ndarray]:
        """Return the variables that `write_state` wrote."""
        return self.tensors(name)[0]

    def words(self, name: str) -> dict[str, str]:
        """Return the words about them."""
        return self.tensors(name)[1]

    def ticket(self) -> Ticket:
        """Return the masks and first weights."""
        ticket = load_ticket(self.ticket_path)
        return ticket.renamed(self.names) if self.names else ticket

    def row(self) -> Row:
        """Return the training's row of the report."""
        path = self.folder / _RESULT
        content = json_files.read(path)
        content.pop("seconds", None)
        try:
            row = Row(**content)
        except TypeError as error:
            raise ValueError(f"{path} is damaged: {error}.") from error
        for name, kind in get_type_hints(Row).items():
            _require_type(getattr(row, name), kind, f"{path} is damaged: {name}")
        return row

    def curve(self) -> tuple[Point, ...]:
        """Return what was measured while it trained, in order of iterations.

        Raises:
            ValueError: If it is not what a training writes; the message names the file.
        """
        path = self.folder / _CURVE
        names = list(_POINT)
        points = []
        try:
            for line in csv.reader(io.StringIO(self.curve_text().decode()), strict=True):
                if not points and line == names:
                    names = []
                elif names or len(line) != len(_POINT):
                    raise ValueError(f"expected the columns {','.join(names)}; got {line[:8]}")
                else:
                    points.append(_point(line))
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path} is damaged: {error}.") from error
        if not points:
            raise ValueError(f"{path} is damaged: it has no measurements.")
        return tuple(points)

    @property
    def result_path(self) -> Path:
        """Where the row of the report is."""
        return self.folder / _RESULT

    def curve_text(self) -> bytes:
        """Return the bytes of the file that `curve` reads, if they are not too many."""
        path = self.folder / _CURVE
        size = path.stat().st_size
        if size > _MOST_CURVE:
            raise ValueError(
                f"{path} is damaged: it has {size} bytes; at most {_MOST_CURVE} are read."
            )
        return path.read_bytes()


def _point(line: list[str]) -> Point:
    """Return a line of a curve as a measurement, if it can be one."""
    point = Point(*(kind(word) for kind, word in zip(_POINT.values(), line, strict=True)))
    if point.iteration < 1:
        raise ValueError(f"iteration {point.iteration} is none")
    for name in _POINT:
        if not math.isfinite(getattr(point, name)):
            raise ValueError(f"at iteration {point.iteration}, {name} is no finite number")
    if not 0 <= point.validation_accuracy <= 1:
        raise ValueError(
            f"at iteration {point.iteration}, the accuracy {point.validation_accuracy} is no "
            f"fraction"
        )
    return point


def wrong_in(row: Row, place: Place) -> Iterator[tuple[str, str, str]]:
    """Yield what a result cannot say, as ``(claim, field, problem)``."""
    of = Place(row.trial, row.level, row.branch)
    if of != place:
        yield OF_TRAINING, "", f"it is of {of}"
    for name in ("test_accuracy", "final_test_accuracy"):
        value = getattr(row, name)
        if not 0 <= value <= 1:
            yield FRACTIONS, name, f"it is {value}"
    if not 0 < row.density <= 1:
        yield OF_MASKS, "density", f"it is {row.density}"


def _require_type(value: object, kind: type, what: str) -> None:
    """Raise unless a value from a file is of a type, and a finite number if it is a number."""
    # JSON has one kind of number: 1.0 may come back as 1.
    wanted = (int, float) if kind is float else kind
    good = isinstance(value, wanted) and not isinstance(value, bool)
    if not good or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{what} is {value!r}; expected {kind.__name__}.")
