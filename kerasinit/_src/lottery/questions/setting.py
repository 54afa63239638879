"""What a question trains with: the experiment, data and network of a run, once more."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kerasinit._src import compat, streams
from kerasinit._src.lottery.experiment import Experiment, require_experiment
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training import models
from kerasinit._src.training.data import Dataset, Order, load, require_dataset
from kerasinit._src.training.keras_steps import FitTrainer
from kerasinit._src.training.loop import Trainer
from kerasinit._src.training.outcome import DivergedError, Point, State, Trained

Say = Callable[[str], None]


def silent(line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, eq=False)
class Setting:
    """An experiment with its network and its data at hand.

    Args:
        experiment: What describes the trainings.
        build: The function that builds and compiles the network.
        data: The examples.
    """

    experiment: Experiment
    build: models.Build
    data: Dataset

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        build: models.Build | None = None,
        data: Dataset | None = None,
    ) -> "Setting":
        """Find what an experiment names; ``build`` and ``data`` stand in for it, if given."""
        require_experiment(experiment)
        if build is not None:
            models.require_build(build)
            experiment = replace(experiment, model=models.name_of(build))
        if data is not None:
            experiment = replace(experiment, dataset=require_dataset(data).name)
        return cls(
            experiment, build or models.find(experiment.model), data or load(experiment.dataset)
        )

    def decided(self) -> "Setting":
        """Return the same, with an experiment that leaves nothing open: see `Trial`."""
        if self.experiment.xla is not None:
            return self
        xla = Retraining(self, 0).trainer.xla
        return replace(self, experiment=replace(self.experiment, xla=xla))

    @classmethod
    def of_run(
        cls, store: Store, build: models.Build | None = None, data: Dataset | None = None
    ) -> "Setting":
        """Find what a run was made with.

        Raises:
            ValueError: If the examples are not those of the run.
        """
        experiment = store.experiment
        if build is not None:
            models.require_build(build)
        if data is None:
            try:
                data = load(experiment.dataset)
            except ValueError as error:
                raise ValueError(
                    f"{error} If the run's data came from Python, pass them again: data=..., or "
                    f"--dataset FILE.npz."
                ) from error
        setting = cls(experiment, build or models.find(experiment.model), require_dataset(data))
        if setting.data.digest != store.about.get("data"):
            raise ValueError(
                f"The examples in {setting.data.name} are not those that {store.folder} was made "
                f"with. Give the run's own data."
            )
        return setting


class Retraining:
    """One trial's network, to be trained from given values as often as needed.

    Every training starts as in a process that has trained nothing yet.

    Args:
        setting: What is trained, and on what.
        trial: The trial, whose split of the data and first values these are.
    """

    def __init__(self, setting: Setting, trial: int) -> None:
        self._setting, self.trial = setting, trial
        experiment = setting.experiment
        self.positions, self._validation = setting.data.split(
            experiment.seed, trial, experiment.validation
        )
        self.trainer = self._new_trainer()
        self.first = self.trainer.state()
        self._started = False

    def _new_trainer(self) -> Trainer:
        experiment = self._setting.experiment
        model = models.make(
            self._setting.build,
            self._setting.data,
            experiment.initializer,
            experiment.seed,
            "weights",
            self.trial,
            optimizer=experiment.optimizer,
        )
        seed = streams.derive(experiment.seed, "layers", self.trial)
        trainer = FitTrainer if compat.has_own_train_step(model) else Trainer
        return trainer(
            model,
            self._setting.data,
            self._validation,
            seed=seed,
            xla=experiment.xla,
        )

    @property
    def every(self) -> int:
        """How many iterations lie between two measurements."""
        return self._setting.experiment.evaluate_every

    def generator(self, purpose: str, *place: int) -> np.random.Generator:
        """Return a generator of this trial at the start of a named stream."""
        return streams.generator(self._setting.experiment.seed, purpose, self.trial, *place)

    def order(self, purpose: str | None = None, *place: str | int) -> Order:
        """Return an order of the examples: the run's own, or one named for a purpose."""
        experiment = self._setting.experiment
        seed = experiment.seed
        if purpose is not None:
            seed = streams.derive(seed, purpose, *place)
        return Order(self.positions, experiment.batch_size, seed, self.trial)

    def train(
        self,
        what: str,
        masks: Masks,
        start: Mapping[str, np.ndarray],
        order: Order,
        *,
        begin: int = 0,
        watch: Callable[[Point], None] | None = None,
    ) -> tuple[State, Trained]:
        """Train masked values to the end; return what was started from, and how it went.

        Args:
            what: What messages call it.
            masks: Which weights live.
            start: The values to start from; variables that are left out start as the
                network is built.
            order: The order of the examples.
            begin: The iteration that the values come from.
            watch: Called with every measurement, while the network has its values.

        Raises:
            DivergedError: If the loss is not finite.
        """
        if self._started and not self.trainer.repeatable:
            self.trainer = self._new_trainer()
        self._started = True
        experiment = self._setting.experiment
        state = self.trainer.mask_state({**self.first, **start}, masks)
        self.trainer.restore(state)
        try:
            trained = self.trainer.train(
                masks,
                order,
                iterations=experiment.iterations,
                start=begin,
                evaluate_every=experiment.evaluate_every,
                watch=watch,
            )
        except DivergedError as error:
            raise DivergedError(f"{what}: {error} What was finished is kept.") from error
        return state, trained


def without_optimizer(state: Mapping[str, np.ndarray]) -> State:
    """Return the variables of the model alone."""
    return {name: value for name, value in state.items() if not name.startswith("optimizer/")}


def row_of(place: Place, masks: Masks, trained: Trained) -> Row:
    """Return the row that a training leaves behind."""
    return Row(
        place.trial,
        place.level,
        place.branch,
        masks.density,
        trained.best_iteration,
        trained.best_validation_loss,
        trained.test_accuracy,
        trained.final_test_accuracy,
    )


def beside(run: Path, question: str) -> Path:
    """Return the folder for the answers about a run, where none is named: next to the run."""
    run = run.resolve()
    return run.with_name(f"{run.name}-{question}")


def chosen_levels(store: Store, levels: Iterable[int]) -> list[int]:
    """Return the levels to ask about, in order, after making sure that they are finished.

    Args:
        store: The run.
        levels: Those that were named; if none, the last one that all trials finished.

    Raises:
        ValueError: If one is not there, or no level is.
    """
    trials, last = range(store.experiment.trials), store.experiment.levels
    there = [
        level
        for level in range(last + 1)
        if all(store.has(Place(trial, level, "ticket")) for trial in trials)
    ]
    if not there:
        raise ValueError(f"{store.folder} has no finished level yet. Let its run go on first.")
    for level in levels:
        if level not in there:
            raise ValueError(
                f"{store.folder} has no finished level {level}; finished are "
                f"{', '.join(map(str, there))}."
            )
    return sorted(set(levels)) or there[-1:]
