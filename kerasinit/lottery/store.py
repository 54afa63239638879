"""A run's folder: what is finished has its name, what has its name is finished.

::

    RUN/experiment.json               the experiment, its data, what ran it
    RUN/trial-0/level-02/ticket/      one training
        ticket.safetensors            the masks, and the weights it started from
        trained.safetensors           the weights it ended with
        optimizer.safetensors         the optimizer's state there, and whose its moments are
        model.keras                   the trained weights as a model (tickets only)
        rewind.safetensors            where survivors go back to (level 0 only)
        curve.csv                     validation loss and accuracy while it trained
        result.json                   its row of the report
        manifest.json                 the digests of these files and of experiment.json
    RUN/trial-0/level-02/.ticket.checkpoint.safetensors   the training that is going on
    RUN/.lock                         held by the process that works on the run
"""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from kerasinit.lottery import files, lock, manifest
from kerasinit.lottery.experiment import Experiment
from kerasinit.lottery.ticket import Ticket, load_ticket, read_tensors, write_tensors
from kerasinit.lottery.training import Point, Trained

_FORMAT = "kerasinit-lottery-1"
_MOST_JSON = 2**20
_MOST_CURVE = 2**28


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


class Store:
    """The folder of a run.

    Args:
        folder: Where it is, or will be.
        experiment: What is run there.
        about: What else must be the same when a run goes on: the data's digest and
            the versions of what computes.
    """

    def __init__(self, folder: Path, experiment: Experiment, about: dict[str, Any]) -> None:
        self.folder, self.experiment, self.about = folder, experiment, about

    @classmethod
    def open(cls, folder: Path, experiment: Experiment, about: dict[str, Any]) -> "Store":
        """Begin a run in a folder, or go on with the one that is there.

        Raises:
            ValueError: If the folder holds something else (nothing is changed then), or
                cannot be written to.
        """
        store = cls(folder, experiment, about)
        if store.is_begun():
            store._require_same(cls.read(folder))
        content = {"format": _FORMAT, "experiment": experiment.to_dict(), **about}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Fail before hours of training, not after.
            with tempfile.TemporaryFile(dir=folder):
                pass
            if not (folder / "experiment.json").exists():
                files.write_new(folder / "experiment.json", json.dumps(content, indent=2).encode())
        except OSError as error:
            raise store._not_writable(error) from error
        return store

    def is_begun(self) -> bool:
        """Return whether a run is in the folder.

        Raises:
            ValueError: If it holds something else.
        """
        folder = self.folder
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file; --out must name a folder.")
        if (folder / "experiment.json").exists():
            return True
        if folder.is_dir():
            # A process that was killed at once leaves its lock, and half of a file.
            others = [
                path
                for path in folder.iterdir()
                if path.name != lock.NAME and not files.is_left_over(path)
            ]
            if others:
                raise ValueError(
                    f"{folder} is not empty and holds no lottery run. Name another folder."
                )
        return False

    def is_finished(self) -> bool:
        """Return whether the folder holds this very run, with nothing left to train.

        Raises:
            ValueError: If it holds something else.
        """
        if not self.is_begun():
            return False
        self._require_same(Store.read(self.folder))
        return not self.missing()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes off the folder, and say what to do if it gets full.

        Raises:
            BusyError: If another process works on it.
            ValueError: If it holds something else, or cannot be written to.
            NoSpaceError: If something within the block finds the disk full.
        """
        self.is_begun()
        with files.saying_if_full(self.folder), ExitStack() as stack:
            try:
                stack.enter_context(lock.held(self.folder))
            except OSError as error:
                raise self._not_writable(error) from error
            files.sweep(self.folder)
            for place in self.places():
                if self.has(place):
                    self.checkpoint_path(place).unlink(missing_ok=True)
            yield

    def _not_writable(self, error: OSError) -> ValueError:
        return ValueError(
            f"Cannot write to {self.folder}: {error.strerror}. Name another folder with --out."
        )

    @classmethod
    def read(cls, folder: Path) -> "Store":
        """Return the run that a folder holds.

        Raises:
            ValueError: If it holds none, or one of a later format.
        """
        path = folder / "experiment.json"
        if not path.is_file():
            raise ValueError(f"{folder} holds no lottery run: there is no {path.name} in it.")
        content = _read_json(path)
        found = content.pop("format", None)
        if found != _FORMAT:
            raise ValueError(f"{path} has format {found!r}; this kerasinit reads {_FORMAT!r}.")
        fields = content.pop("experiment", None)
        if not isinstance(fields, dict):
            raise ValueError(f"{path} is damaged: it describes no experiment.")
        return cls(folder, Experiment.from_dict(fields), content)

    def _require_same(self, there: "Store") -> None:
        different = self.experiment.differences(there.experiment)
        if self.about["data"] != there.about.get("data"):
            different.append("the examples in the data set are others")
        if self.missing():
            mine, theirs = self.about["versions"], there.about.get("versions", {})
            different += [
                f"{name} is {theirs.get(name)} there and {mine[name]} here"
                for name in mine
                if mine[name] != theirs.get(name)
            ]
        if different:
            raise ValueError(
                f"{self.folder} holds a run of other settings: {'; '.join(different)}. Name "
                f"another folder, or repeat the command with the settings of that run."
            )

    def places(self) -> list[Place]:
        """Return every training of the run, in the order in which they are made."""
        return [
            Place(trial, level, branch)
            for trial in range(self.experiment.trials)
            for level in range(self.experiment.levels + 1)
            for branch in self.experiment.branches_at(level)
        ]

    def missing(self) -> list[Place]:
        """Return the trainings that are not finished."""
        return [place for place in self.places() if not self.has(place)]

    def path(self, place: Place) -> Path:
        """Return the folder of a training, there or not."""
        return self.folder / f"trial-{place.trial}" / f"level-{place.level:02d}" / place.branch

    def checkpoint_path(self, place: Place) -> Path:
        """Return where a training is kept while it runs."""
        return self.path(place).with_name(f".{place.branch}.checkpoint.safetensors")

    def has(self, place: Place) -> bool:
        """Return whether a training is finished."""
        return self.path(place).is_dir()

    @contextmanager
    def new(self, place: Place) -> Iterator["Stage"]:
        """Give a stage to fill; it is finished when the block ends without an error."""
        with files.new_folder(self.path(place)) as folder:
            yield Stage(folder)
            manifest.write(folder, self.folder / "experiment.json")

    def stage(self, place: Place) -> "Stage":
        """Return a finished stage."""
        return Stage(self.path(place))

    def rows(self) -> list[Row]:
        """Return the rows of all finished trainings, in order."""
        return [self.stage(place).row() for place in self.places() if self.has(place)]


@dataclass(frozen=True)
class Stage:
    """The folder of one training."""

    folder: Path

    @property
    def model_path(self) -> Path:
        """Where the trained model is."""
        return self.folder / "model.keras"

    @property
    def ticket_path(self) -> Path:
        """Where the masks and first weights are."""
        return self.folder / "ticket.safetensors"

    def write(self, row: Row, trained: Trained, ticket: Ticket) -> None:
        """Write what every training leaves behind."""
        ticket.save(self.ticket_path)
        text = io.StringIO()
        table = csv.DictWriter(text, list(asdict(trained.curve[0])), lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(point) for point in trained.curve)
        (self.folder / "curve.csv").write_text(text.getvalue())
        content = {**asdict(row), "seconds": round(trained.seconds, 3)}
        (self.folder / "result.json").write_text(json.dumps(content, indent=2))

    def write_state(
        self, name: str, state: dict[str, np.ndarray], about: dict[str, str] | None = None
    ) -> None:
        """Write variables, and words about them, under ``name.safetensors``."""
        write_tensors(self.folder / f"{name}.safetensors", state, about)

    def state(self, name: str) -> dict[str, np.ndarray]:
        """Return the variables that `write_state` wrote."""
        return read_tensors(self.folder / f"{name}.safetensors")[0]

    def words(self, name: str) -> dict[str, str]:
        """Return the words about them."""
        return read_tensors(self.folder / f"{name}.safetensors")[1]

    def ticket(self) -> Ticket:
        """Return the masks and first weights."""
        return load_ticket(self.ticket_path)

    def row(self) -> Row:
        """Return the training's row of the report."""
        path = self.folder / "result.json"
        content = _read_json(path)
        content.pop("seconds", None)
        try:
            row = Row(**content)
        except TypeError as error:
            raise ValueError(f"{path} is damaged: {error}.") from error
        for name, kind in get_type_hints(Row).items():
            _require_type(getattr(row, name), kind, f"{path} is damaged: {name}")
        return row

    def curve(self) -> tuple[Point, ...]:
        """Return what was measured while it trained, in order of iterations."""
        path = self.folder / "curve.csv"
        if path.stat().st_size > _MOST_CURVE:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; it was not written by us.")
        kinds = get_type_hints(Point)
        try:
            with path.open(newline="") as file:
                points = tuple(
                    Point(**{name: kind(line[name]) for name, kind in kinds.items()})
                    for line in csv.DictReader(file)
                )
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ValueError(f"{path} is damaged: {error}.") from error
        if not points or not all(math.isfinite(point.validation_loss) for point in points):
            raise ValueError(f"{path} is damaged: it has no measurements, or some are not numbers.")
        return points


def _require_type(value: object, kind: type, what: str) -> None:
    """Raise unless a value from a file is of a type, and a finite number if it is a number."""
    # JSON has one kind of number: 1.0 may come back as 1.
    wanted = (int, float) if kind is float else kind
    good = isinstance(value, wanted) and not isinstance(value, bool)
    if not good or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{what} is {value!r}; expected {kind.__name__}.")


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MOST_JSON:
        raise ValueError(f"{path} has {os.path.getsize(path)} bytes; it was not written by us.")
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds {type(content).__name__}, not an object.")
    return content
