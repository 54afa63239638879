"""A run's folder: a stage is finished exactly when its folder has its final name.

::

    RUN/experiment.json               the experiment, its data, what ran it
    RUN/trial-0/level-02/ticket/      one training
        ticket.safetensors            the masks, and the weights it started from
        trained.safetensors           the final weights
        optimizer.safetensors         the optimizer's final state, and the weight of each moment
        model.keras                   the trained model (tickets only)
        rewind.safetensors            the state to rewind to (level 0 only)
        curve.csv                     validation loss and accuracy during training
        result.json                   its row of the report
        manifest.json                 the digests of these files and of experiment.json
    RUN/trial-0/level-02/.ticket.checkpoint.safetensors   a training in progress
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
from kerasinit._src.troubleshooting import see

_RECORD, _FORMAT = "experiment.json", "kerasinit-lottery-1"
_MAX_TRAININGS = 10**6


class Store:
    """The folder of a run, with its experiment and its results.

    `run` returns it. ``Store.read`` opens a folder; `kerasinit.lottery.rows` and the other
    functions accept a store or its folder.

    Args:
        folder: The path of the folder, which may not exist yet.
        experiment: The experiment that is run there.
        about: What else must match when a run is resumed: ``"data"``, the digest of the data, and
            ``"versions"``, of the libraries that compute.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit import lottery
    >>> store = lottery.Store.read(Path("RUN"))
    >>> store.is_finished(), store.missing(), store.experiment.levels
    (True, [], 1)
    >>> print(store.places()[-1])
    trial 1, level 1, reinit
    """

    def __init__(self, folder: Path, experiment: Experiment, about: dict[str, Any]) -> None:
        self.folder, self.experiment, self.about = folder, experiment, about

    @classmethod
    def open(cls, folder: Path, experiment: Experiment, about: dict[str, Any]) -> "Store":
        """Begin a run in a folder, or open the run that it holds.

        Args:
            folder: The path of the folder, which is created if it does not exist.
            experiment: The experiment to run, or the one that is there.
            about: The digest of the data and the versions, as for the constructor.

        Returns:
            The store.

        Raises:
            ValueError: If the folder holds something else (it is then left unchanged), or
                cannot be written to.
        """
        store = cls(folder, experiment, about)
        if store.is_begun():
            store._require_same(cls.read(folder))
        content = {"format": _FORMAT, "experiment": experiment.to_dict(), **about}
        atomic.create_folder(folder, _RECORD, json.dumps(content, indent=2).encode())
        return store

    def is_begun(self) -> bool:
        """Return whether the folder holds a run.

        Raises:
            ValueError: If it holds something else.
        """
        # A process killed right after its start leaves its lock and a partial file.
        return atomic.has_record(self.folder, _RECORD, "lottery run", lock.NAME)

    def is_finished(self) -> bool:
        """Return whether the folder holds this run, with nothing left to train.

        Raises:
            ValueError: If it holds something else.
        """
        if not self.is_begun():
            return False
        self._require_same(Store.read(self.folder))
        return not self.missing()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against other processes, and explain what to do if the disk gets full.

        Returns:
            A context manager that holds the lock within its block.

        Raises:
            BusyError: If another process works on it.
            ValueError: If it holds something else, or cannot be written to.
            NoSpaceError: If the disk gets full within the block.
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
        """Return the run in a folder.

        Args:
            folder: The path of the folder.

        Raises:
            ValueError: If the folder holds no run, or one of a later format.
        """
        path = folder / _RECORD
        if not path.is_file():
            raise ValueError(f"{folder} holds no lottery run: there is no {path.name} in it.")
        content = json_files.read(path)
        form = content.pop("format", None)
        if form != _FORMAT:
            raise ValueError(f"{path} has format {form!r}; this kerasinit reads {_FORMAT!r}.")
        fields = content.pop("experiment", None)
        if not isinstance(fields, dict):
            raise ValueError(f"{path} is damaged: it has no experiment.")
        try:
            experiment = Experiment.from_dict(fields)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        places = experiment.trials * (experiment.levels + 1) * len(experiment.branches)
        if places > _MAX_TRAININGS:
            raise ValueError(
                f"{path} is damaged: it declares {places} trainings; at most {_MAX_TRAININGS} are "
                f"read."
            )
        return cls(folder, experiment, content)

    @classmethod
    def of(cls, run: "Store | str | os.PathLike[str]") -> "Store":
        """Return a run given by its folder, or as what `kerasinit.lottery.run` returned.

        Args:
            run: The folder or the store.

        Raises:
            TypeError: If it is neither.
            ValueError: If the folder holds no run.
        """
        return run if isinstance(run, Store) else cls.read(folder_of(run))

    def _require_same(self, saved: "Store") -> None:
        different = self.experiment.differences(saved.experiment)
        if self.about["data"] != saved.about.get("data"):
            different.append("the examples in the data set differ")
        if self.missing():
            mine, theirs = self.about["versions"], saved.about.get("versions", {})
            different += [
                f"{name} is {theirs[name]} there and {mine[name]} here"
                # Which Kerases are listed depends on what the process has imported.
                for name in mine.keys() & theirs.keys()
                if mine[name] != theirs[name]
            ]
        if different:
            raise ValueError(
                f"{self.folder} holds a run with other settings: {'; '.join(different)}. Choose "
                f"another folder, or repeat the command with the settings of that run. "
                f"{see('run-settings')}"
            )

    def places(self) -> list[Place]:
        """Return every training of the run, in the order in which they run."""
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
        """Return the folder of a training, whether it exists or not.

        Args:
            place: The trial, level and branch of the training.
        """
        return self.folder / f"trial-{place.trial}" / f"level-{place.level:02d}" / place.branch

    def checkpoint_path(self, place: Place) -> Path:
        """Return the checkpoint file of a training.

        Args:
            place: The trial, level and branch of the training.
        """
        return self.path(place).with_name(f".{place.branch}.checkpoint.safetensors")

    def has(self, place: Place) -> bool:
        """Return whether a training is finished.

        Args:
            place: The trial, level and branch of the training.
        """
        return self.path(place).is_dir()

    @contextmanager
    def new(self, place: Place) -> Iterator["Stage"]:
        """Create a stage; it is finished when the block ends without an error.

        Args:
            place: The trial, level and branch of the training.

        Returns:
            A context manager whose value writes the files of the training.
        """
        with atomic.new_folder(self.path(place)) as folder:
            yield Stage(folder)
            manifest.write(folder, self.folder / _RECORD)

    def stage(self, place: Place) -> "Stage":
        """Return a finished stage.

        Args:
            place: The trial, level and branch of the training.
        """
        return Stage(self.path(place))

    def rows(self) -> list[Row]:
        """Return the rows of all finished trainings, in order.

        Raises:
            ValueError: If one is damaged in a way that `kerasinit.lottery.verify` would report.
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
"""A run as functions accept it: a `Store`, or its folder."""


def folder_of(run: Run) -> Path:
    """Return the folder of a run; raise TypeError if it is not a run."""
    if isinstance(run, Store):
        return run.folder
    if isinstance(run, str | os.PathLike):
        return Path(run)
    raise TypeError(
        f"Expected a run: its folder, or what kerasinit.lottery.run returned; got {run!r}."
    )
