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

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kerasinit._src.files import atomic, json_files, lock
from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.lottery.store import manifest
from kerasinit._src.lottery.store.stage import Place, Row, Stage, wrong_in

_RECORD, _FORMAT = "experiment.json", "kerasinit-lottery-1"
_MOST_PLACES = 10**6


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
        atomic.create_folder(folder, _RECORD, json.dumps(content, indent=2).encode())
        return store

    def is_begun(self) -> bool:
        """Return whether a run is in the folder.

        Raises:
            ValueError: If it holds something else.
        """
        # A process that was killed at once leaves its lock, and half of a file.
        return atomic.has_record(self.folder, _RECORD, "lottery run", lock.NAME)

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
        with atomic.reporting_full_disk(self.folder), ExitStack() as stack:
            try:
                stack.enter_context(lock.held(self.folder))
            except OSError as error:
                raise atomic.not_writable(self.folder, error) from error
            atomic.remove_partial(self.folder)
            for place in self.places():
                if self.has(place):
                    self.checkpoint_path(place).unlink(missing_ok=True)
            yield

    @classmethod
    def read(cls, folder: Path) -> "Store":
        """Return the run that a folder holds.

        Raises:
            ValueError: If it holds none, or one of a later format.
        """
        path = folder / _RECORD
        if not path.is_file():
            raise ValueError(f"{folder} holds no lottery run: there is no {path.name} in it.")
        content = json_files.read(path)
        found = content.pop("format", None)
        if found != _FORMAT:
            raise ValueError(f"{path} has format {found!r}; this kerasinit reads {_FORMAT!r}.")
        fields = content.pop("experiment", None)
        if not isinstance(fields, dict):
            raise ValueError(f"{path} is damaged: it describes no experiment.")
        try:
            experiment = Experiment.from_dict(fields)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        places = experiment.trials * (experiment.levels + 1) * len(experiment.branches)
        if places > _MOST_PLACES:
            raise ValueError(
                f"{path} is damaged: it announces {places} trainings; at most {_MOST_PLACES} are "
                f"read."
            )
        return cls(folder, experiment, content)

    @classmethod
    def of(cls, run: "Store | str | os.PathLike[str]") -> "Store":
        """Return a run that is given by its folder, or as what `kerasinit.lottery.run` returned.

        Raises:
            TypeError: If it is neither.
            ValueError: If the folder holds no run.
        """
        return run if isinstance(run, Store) else cls.read(folder_of(run))

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
        with atomic.new_folder(self.path(place)) as folder:
            yield Stage(folder)
            manifest.write(folder, self.folder / _RECORD)

    def stage(self, place: Place) -> "Stage":
        """Return a finished stage."""
        return Stage(self.path(place))

    def rows(self) -> list[Row]:
        """Return the rows of all finished trainings, in order.

        Raises:
            ValueError: If one is damaged, as `kerasinit.lottery.verify` would say.
        """
        rows = []
        for place in self.places():
            if self.has(place):
                row = self.stage(place).row()
                for _, field, problem in wrong_in(row, place):
                    what = f"{field}: {problem}" if field else problem
                    raise ValueError(f"{self.stage(place).result_path} is damaged: {what}.")
                rows.append(row)
        return rows


Run = Store | str | os.PathLike[str]
"""A run as functions take it: an object, or its folder."""


def folder_of(run: Run) -> Path:
    """Return the folder of a run.

    Raises:
        TypeError: If it is no run.
    """
    if isinstance(run, Store):
        return run.folder
    if isinstance(run, str | os.PathLike):
        return Path(run)
    raise TypeError(
        f"Expected a run: its folder, or what kerasinit.lottery.run returned; got {run!r}."
    )
