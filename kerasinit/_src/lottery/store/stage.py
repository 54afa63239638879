"""One training of a run, and its files."""

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
from kerasinit._src.training.outcome import Outcome, Point

_RESULT, _CURVE = "result.json", "curve.csv"
_MAX_CURVE_BYTES = 2**26
_POINT: dict[str, Any] = get_type_hints(Point)
# Claims about a result, shared with its verification.
OF_TRAINING = "results are of their training"
FRACTIONS = "accuracies are fractions"
OF_MASKS = "densities are those of the masks"


@dataclass(frozen=True, order=True)
class Place:
    """The position of a training in its run."""

    trial: int
    level: int
    branch: str

    def __str__(self) -> str:
        return f"trial {self.trial}, level {self.level}, {self.branch}"


@dataclass(frozen=True)
class Row:
    """The result of one training; accuracies and density are fractions.

    Attributes:
        trial: The trial, from 0.
        level: The level; 0 is the dense network.
        branch: ``"ticket"`` or the name of a control.
        density: The fraction of weights that are kept.
        best_iteration: The iteration with the lowest validation loss, the early stop.
        best_validation_loss: The validation loss there.
        test_accuracy: The accuracy on the test examples at the early stop.
        final_test_accuracy: The accuracy on the test examples after the last iteration.

    Example:
        See `kerasinit.lottery.run`.
    """

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
        """Return the row of a finished training.

        Args:
            place: The trial, level and branch of the training.
            density: The fraction of weights that its mask keeps.
            outcome: What the training returned.
        """
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
    """Current names of variables that have other names in the files."""

    def named_for(self, model: Callable[[], Any]) -> "Stage":
        """Return the stage with the variable names of a model of today.

        ``model`` returns the model; it is called only if the files have the first format.
        """
        if self.ticket().masks.naming == NAMING:
            return self
        # Imported here, since reading a stage needs no framework.
        from kerasinit._src.network.old_names import old_names

        return replace(self, names=old_names(model()))

    @property
    def model_path(self) -> Path:
        """The file of the trained model."""
        return self.folder / "model.keras"

    @property
    def ticket_path(self) -> Path:
        """The file of the masks and initial weights."""
        return self.folder / "ticket.safetensors"

    def write(self, row: Row, trained: Outcome, ticket: Ticket) -> None:
        """Write the files that every training has."""
        ticket.save(self.ticket_path)
        text = io.StringIO()
        table = csv.DictWriter(text, list(asdict(trained.curve[0])), lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(point) for point in trained.curve)
        (self.folder / _CURVE).write_text(text.getvalue())
        content = {**asdict(row), "seconds": round(trained.seconds, 3)}
        self.result_path.write_text(json.dumps(content, indent=2))

    def write_state(
        self, name: str, state: dict[str, np.ndarray], metadata: dict[str, str] | None = None
    ) -> None:
        """Write variables, with metadata, to ``name.safetensors``."""
        write_tensors(self.folder / f"{name}.safetensors", state, metadata)

    def tensors(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Return the variables and metadata that `write_state` wrote."""
        tensors, metadata = read_tensors(self.folder / f"{name}.safetensors")
        return {self.names.get(name, name): value for name, value in tensors.items()}, metadata

    def state(self, name: str) -> dict[str, np.ndarray]:
        """Return the variables that `write_state` wrote."""
        return self.tensors(name)[0]

    def ticket(self) -> Ticket:
        """Return the masks and initial weights."""
        ticket = load_ticket(self.ticket_path)
        return ticket.renamed(self.names) if self.names else ticket

    def row(self) -> Row:
        """Return the training's row of the report."""
        path = self.result_path
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
        """Return the measurements in order of iterations; ValueError if the file is invalid."""
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
        """The file of the training's row."""
        return self.folder / _RESULT

    def curve_text(self) -> bytes:
        """Return the bytes of the file that `curve` reads, up to a limit."""
        path = self.folder / _CURVE
        size = path.stat().st_size
        if size > _MAX_CURVE_BYTES:
            raise ValueError(
                f"{path} is damaged: it has {size} bytes; at most {_MAX_CURVE_BYTES} are read."
            )
        return path.read_bytes()


def _point(line: list[str]) -> Point:
    """Parse and check a line of a curve."""
    point = Point(*(kind(word) for kind, word in zip(_POINT.values(), line, strict=True)))
    if point.iteration < 1:
        raise ValueError(f"iteration {point.iteration} is not positive")
    for name in _POINT:
        if not math.isfinite(getattr(point, name)):
            raise ValueError(f"at iteration {point.iteration}, {name} is not finite")
    if not 0 <= point.validation_accuracy <= 1:
        raise ValueError(
            f"at iteration {point.iteration}, the accuracy {point.validation_accuracy} is not a "
            f"fraction"
        )
    return point


def wrong_in(row: Row, place: Place) -> Iterator[tuple[str, str, str]]:
    """Yield what is impossible in a result, as ``(claim, field, problem)``."""
    own = Place(row.trial, row.level, row.branch)
    if own != place:
        yield OF_TRAINING, "", f"it is of {own}"
    for name in ("test_accuracy", "final_test_accuracy"):
        value = getattr(row, name)
        if not 0 <= value <= 1:
            yield FRACTIONS, name, f"it is {value}"
    if not 0 < row.density <= 1:
        yield OF_MASKS, "density", f"it is {row.density}"


def _require_type(value: object, kind: type, what: str) -> None:
    """Raise unless a value has a type and, if it is a number, is finite."""
    # JSON has one kind of number: 1.0 may come back as 1.
    accepted = (int, float) if kind is float else kind
    valid = isinstance(value, accepted) and not isinstance(value, bool)
    if not valid or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{what} is {value!r}; expected {kind.__name__}.")
