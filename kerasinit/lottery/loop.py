"""The lottery: train, prune, rewind, again.

Every training is a stage with a folder of its own. A stage whose folder is there is
not run again, and no stage depends on anything but finished stages and the seed; so
to repeat a command is to resume it.
"""

import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from kerasinit import kerases, streams
from kerasinit.lottery import (
    criteria,
    files,
    kept_model,
    models,
    rewinds,
    saliency,
    scopes,
    survivors,
)
from kerasinit.lottery.checkpoint import Checkpoint, digest_of, require_seconds
from kerasinit.lottery.controls import CONTROLS
from kerasinit.lottery.data import Dataset, Order, glance, load, require_dataset
from kerasinit.lottery.end_proofs import OWN_STEPS
from kerasinit.lottery.experiment import Experiment, require_experiment
from kerasinit.lottery.fit import FitTrainer
from kerasinit.lottery.kept_model import KeptModel
from kerasinit.lottery.store import Place, Row, Store
from kerasinit.lottery.ticket import Ticket
from kerasinit.lottery.trainer import Trainer
from kerasinit.lottery.training import DivergedError, Point, State
from kerasinit.lottery.workers import share
from kerasinit.masks import Masks
from kerasinit.pruning.registry import named_variables


class Watch:
    """What `run` tells while it runs; every method may be overridden."""

    def began(self, store: Store, missing: list[Place]) -> None:
        """Hear that a run begins or goes on, and which trainings are to come."""

    def training(self, place: Place, density: float) -> None:
        """Hear that a training begins."""

    def resumed(self, place: Place, iteration: int) -> None:
        """Hear that a training goes on after an iteration, from its checkpoint."""

    def note(self, place: Place, message: str) -> None:
        """Hear a sentence that is worth a line."""

    def point(self, place: Place, point: Point) -> None:
        """Hear a measurement."""

    def finished(self, row: Row) -> None:
        """Hear that a training is finished and on disk."""


def run(
    experiment: Experiment | None = None,
    *,
    out: str | Path | None = None,
    build: models.Build | None = None,
    data: Dataset | None = None,
    watch: Watch | None = None,
    checkpoint_every: float = 30.0,
    workers: int = 1,
) -> Store:
    """Find lottery tickets: train, prune, rewind the survivors, again.

    Draws from global random state (Python, NumPy, TensorFlow, Keras) are made from
    the experiment's seed while models are built.

    Args:
        experiment: What to run; ``Experiment()`` by default.
        out: The folder for the results, by default one named after the experiment
            in the working directory. If it holds the same run, that is gone on with.
        build: A function that returns a compiled model, in place of
            ``experiment.model``. It may take ``input_shape``, ``num_classes`` and
            ``initializer`` by name.
        data: Examples, in place of ``experiment.dataset``.
        watch: Told what happens.
        checkpoint_every: Seconds between two checkpoints of a training that runs; one that
            was killed goes on from the last. No number of the run depends on it.
        workers: How many processes train independent trials at the same time. No number of
            the run depends on it. With more than one, ``build``, ``data`` and their modules
            must be able to travel to a process, and a script that calls this needs
            ``if __name__ == "__main__":``.

    Returns:
        The run's `Store`: ``store.rows()`` has the results, ``store.folder`` the files.

    Raises:
        ValueError: Before any training, if something does not fit.
        BusyError: If another process works on the folder.
        DivergedError: If a training's loss is not finite. What was finished is kept.
        NoSpaceError: If the disk is full. What was finished is kept.
        WorkerDiedError: If a process of several was killed. What was finished is kept.

    Reference:
        Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635.
    """
    experiment = require_experiment(experiment or Experiment())
    watch = watch or Watch()
    if build is None:
        build = models.find(experiment.model)
    else:
        experiment = replace(experiment, model=models.name_of(build))
        models.require_build(build)
        if experiment.model.startswith("__main__:"):
            warnings.warn(
                f"The model comes from a script ({experiment.model}), so the command line will not "
                f"find it when it is asked about this run. Import it from a module, or pass build= "
                f"again.",
                stacklevel=2,
            )
    require_seconds(checkpoint_every)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"--workers must be a whole number of at least 1; got {workers!r}.")
    if data is None and (seen := glance(experiment.dataset)):
        name = Path(experiment.dataset).stem
        store = Store(_folder(out, name, experiment), experiment, _about(*seen))
        if store.is_finished():
            watch.began(store, [])
            return store
    if data is None:
        data = load(experiment.dataset)
    else:
        experiment = replace(experiment, dataset=require_dataset(data).name)
    folder = _folder(out, data.name, experiment)
    about = _about(data.digest, data.input_shape)
    store = Store(folder, experiment, about)
    if store.is_finished():
        watch.began(store, [])
        return store
    with store.held():
        # What can fail for the user's model fails now, before anything is written.
        trial = _Trial(experiment, build, data, 0)
        trial.rehearse()
        store = Store.open(folder, experiment, about)
        missing = store.missing()
        watch.began(store, missing)
        numbers = sorted({place.trial for place in missing})
        if workers > 1 and len(numbers) > 1:
            share(
                _work,
                (store, build, data, checkpoint_every),
                numbers,
                workers,
                watch,
                # Without XLA, convolutions round otherwise with another number of threads.
                limited=trial.trainer.by_xla,
            )
            return store
        for number in numbers:
            if number != trial.number:
                trial = _Trial(experiment, build, data, number)
                trial.rehearse()
            _run_trial(trial, store, watch, checkpoint_every)
    return store


def _about(digest: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what else must be the same when a run goes on."""
    return {
        "data": digest,
        "input_shape": list(input_shape),
        # Not of installed packages by name: TensorFlow also comes as tensorflow-cpu.
        "versions": {
            "kerasinit": metadata.version("kerasinit"),
            **{library.__name__: library.__version__ for library in (tf, keras, tf_keras, np)},
        },
    }


def _folder(out: str | Path | None, data: str, experiment: Experiment) -> Path:
    return Path(out) if out is not None else Path(f"lottery-{data}-{experiment.digest}")


def _work(
    store: Store, build: models.Build, data: Dataset, every: float, number: int, watch: Watch
) -> None:
    """Run one trial, in a process of its own."""
    with files.saying_if_full(store.folder):
        trial = _Trial(store.experiment, build, data, number)
        trial.rehearse()
        _run_trial(trial, store, watch, every)


def _run_trial(trial: "_Trial", store: Store, watch: Watch, every: float) -> None:
    """Train, prune, rewind, again."""
    masks = Masks.dense(trial.trainer.shapes)
    for level in range(trial.experiment.levels + 1):
        place = Place(trial.number, level, "ticket")
        if level:
            masks = trial.prune(store, level, masks)
        if not store.has(place):
            start = trial.start(store, level, masks)
            _train(trial, store, watch, every, place, masks, start)
        elif store.stage(place).ticket().masks != masks:
            raise ValueError(f"{store.folder}: the masks of {place} are not those of its run.")
        for control in trial.experiment.branches_at(level)[1:]:
            place = replace(place, branch=control)
            if not store.has(place):
                changed, start = trial.control(store, level, masks, control)
                _train(trial, store, watch, every, place, changed, start)


def _train(
    trial: "_Trial",
    store: Store,
    watch: Watch,
    every: float,
    place: Place,
    masks: Masks,
    start: State,
) -> None:
    """Run one stage and put it on disk."""
    experiment = trial.experiment
    dense = place.level == 0
    anew = dense or (place.branch in CONTROLS and CONTROLS[place.branch].fresh)
    first = 0 if anew else experiment.rewind_step
    trainer = trial.restart()
    start = trainer.mask_state(start, masks)
    trainer.restore(start)
    watch.training(place, masks.density)
    checkpoint = Checkpoint(
        store.checkpoint_path(place),
        {
            "place": str(place),
            "experiment": json.dumps(experiment.to_dict(), sort_keys=True),
            "data": store.about["data"],
            "start": digest_of(start),
            "masks": digest_of(masks),
        },
        every,
        tell=lambda message: watch.note(place, message),
    )
    try:
        trained = trainer.train(
            masks,
            trial.order,
            iterations=experiment.iterations,
            start=first,
            evaluate_every=experiment.evaluate_every,
            keep=experiment.rewind_step if dense else None,
            watch=lambda point: watch.point(place, point),
            checkpoint=checkpoint,
            resumed=lambda iteration: watch.resumed(place, iteration),
        )
    except DivergedError as error:
        raise DivergedError(f"{place}: {error} What was finished is in {store.folder}.") from error
    row = Row(
        place.trial,
        place.level,
        place.branch,
        masks.density,
        trained.best_iteration,
        trained.best_validation_loss,
        trained.test_accuracy,
        trained.final_test_accuracy,
    )
    about = {"place": str(place), "rewind": experiment.rewind, "density": repr(masks.density)}
    with store.new(place) as stage:
        stage.write(row, trained, Ticket(masks, _weights(start), about))
        own = isinstance(trainer, FitTrainer)
        words = {OWN_STEPS: type(trainer.model).__name__} if own else {}
        if place.branch == "ticket":
            trainer.model.save(stage.model_path)
            missing = KeptModel.read(stage.model_path).lacks(trained.final)
            left_out = kept_model.words_of(missing, trained.final)
            words |= left_out
            if dense and left_out:
                names = ", ".join(sorted(kept_model.left_out(left_out)))
                said = f"Keras does not save {names} as it is; trained.safetensors has it."
                watch.note(place, said)
        stage.write_state("trained", _weights(trained.final), words)
        stage.write_state("optimizer", _optimizers(trained.final), trainer.owners)
        if trained.kept is not None:
            stage.write_state("rewind", trained.kept)
    checkpoint.remove()
    watch.finished(row)


class _Trial:
    """One independent repetition: its model, its first state, its order of the data."""

    def __init__(
        self, experiment: Experiment, build: models.Build, data: Dataset, number: int
    ) -> None:
        self.experiment, self.number = experiment, number
        self._build, self._data = build, data
        self._positions, self._validation = data.split(
            experiment.seed, number, experiment.validation
        )
        self.order = Order(self._positions, experiment.batch_size, experiment.seed, number)
        self.trainer = self._new_trainer()
        self.first = self.trainer.state()
        self._started = False

    def _make(self, purpose: str, *place: int) -> Any:
        return models.make(
            self._build,
            self._data,
            self.experiment.initializer,
            self.experiment.seed,
            purpose,
            self.number,
            *place,
            optimizer=self.experiment.optimizer,
        )

    def _new_trainer(self) -> Trainer:
        seed = streams.derive(self.experiment.seed, "layers", self.number)
        model = self._make("weights")
        trainer = FitTrainer if kerases.has_own_train_step(model) else Trainer
        return trainer(
            model,
            self._data,
            self._validation,
            seed=seed,
            xla=self.experiment.xla,
        )

    def restart(self) -> Trainer:
        """Return a trainer in the state of a process that has trained nothing yet."""
        if self._started and not self.trainer.repeatable:
            self.trainer = self._new_trainer()
        self._started = True
        self.trainer.restore(self.first)
        return self.trainer

    def rewound(self, store: Store) -> State:
        """Return the state that survivors go back to; the first one for the dense network."""
        dense = Place(self.number, 0, "ticket")
        if not store.has(dense):
            return self.first
        stage = store.stage(dense)
        weights = _weights(self.first)
        there = stage.ticket().weights
        if set(there) != set(weights) or any(
            not np.array_equal(there[name], weights[name]) for name in weights
        ):
            raise ValueError(
                f"{store.folder} was begun with other first weights than {self.experiment.model} "
                f"gives now: the function that builds the model has changed. Name another folder."
            )
        return stage.state("rewind")

    def prune(self, store: Store, level: int, masks: Masks) -> Masks:
        """Return the masks of a level, from those of the level before."""
        place = Place(self.number, level, "ticket")
        if self.experiment.criterion in criteria.FROM_NETWORK and store.has(place):
            # Gradients are costly, and another processor may round them otherwise.
            return store.stage(place).ticket().masks
        scored = survivors.scored_level(self.experiment, level)
        stage = store.stage(replace(place, level=scored))

        def score_network(wanted: survivors.Wanted) -> Masks:
            return self._score(stage.ticket(), masks, wanted, scored)

        return survivors.next_masks(
            self.experiment,
            self.number,
            level,
            masks,
            began=stage.ticket().weights,
            ended=stage.state("trained"),
            score_network=score_network,
        )

    def _score(self, ticket: Ticket, masks: Masks, wanted: survivors.Wanted, scored: int) -> Masks:
        """Prune by looking at the network as it was before it was trained."""
        seed, criterion = self.experiment.seed, self.experiment.criterion
        self.trainer.restore(ticket.weights)
        # What a random layer draws here, tf_keras cannot take back.
        self._started = True
        if criterion == "synflow":
            return saliency.synflow(self.trainer.model, masks, wanted)
        size = min(10 * self._data.num_classes, len(self._positions))
        random = streams.generator(seed, "criterion", self.number, scored)
        batch = random.choice(self._positions, size, replace=False)
        x = models.fit_shape(self.trainer.model, self._data.x_train[batch], self.experiment.model)
        with streams.global_stream(seed, "criterion", self.number, scored):
            scores = saliency.FROM_BATCH[criterion](
                self.trainer.model, x, self._data.y_train[batch]
            )
        return survivors.keep(scores, masks, wanted)

    def start(self, store: Store, level: int, masks: Masks, branch: str = "ticket") -> State:
        """Return the state that a training starts from, before its masks are put on."""
        if not level:
            return self.first
        rewind, ended = rewinds.parse(self.experiment.rewind), None
        if rewind.continues and branch != "ticket":
            # The weights that another mask lets live were not trained: they go back.
            rewind = rewinds.Rewind("step", rewind.step)
        if rewind.continues:
            scored = survivors.scored_level(self.experiment, level)
            stage = store.stage(Place(self.number, scored, "ticket"))
            ended = stage.state("trained")
            if rewind.kind == "finetune":
                ended |= stage.state("optimizer")
        seed = self.experiment.seed
        return rewinds.start(
            rewind,
            kept=self.rewound(store),
            ended=ended,
            masks=masks,
            draw=lambda name: streams.generator(seed, "rewind", self.number, level, name),
        )

    def control(self, store: Store, level: int, masks: Masks, name: str) -> tuple[Masks, State]:
        """Return the masks that a control trains with, and the state that it starts from."""
        control, seed = CONTROLS[name], self.experiment.seed
        changed = control.masks(
            masks, lambda weight: streams.generator(seed, name, self.number, level, weight)
        )
        if control.fresh:
            return changed, self.fresh(name, level)
        return changed, self.start(store, level, changed, name)

    def fresh(self, control: str, level: int) -> State:
        """Return a first state drawn from other random numbers."""
        variables = named_variables(self._make(control, level))
        state = {**self.first, **{name: kerases.read(v) for name, v in variables.items()}}
        for name in self.trainer.shapes:
            if np.array_equal(state[name], self.first[name]):
                raise ValueError(
                    f"{self.experiment.model} gives {name!r} the same first values whatever the "
                    f"seed, so the control `{control}` would compare the ticket with itself. Leave "
                    f"the seed of its initializers out (seed=None), or use --controls none."
                )
        return state

    def rehearse(self) -> None:
        """Do all that can fail for the user's model once, before any training."""
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"Keras runs on {keras.backend.backend()}; a lottery needs TensorFlow. Set "
                f"KERAS_BACKEND=tensorflow."
            )
        scopes.counts(self.experiment, self.trainer.shapes, self.experiment.levels)
        for name, value in _weights(self.first).items():
            if value.dtype.kind in "fV" and not np.isfinite(value).all():
                raise ValueError(
                    f"{self.experiment.model} returned a model in which {name!r} has values that "
                    f"are not finite; no ticket holds such."
                )
        for control in self.experiment.controls if self.experiment.levels else ():
            if CONTROLS[control].fresh:
                self.fresh(control, 1)
        with tempfile.TemporaryDirectory() as folder:
            self.trainer.model.save(Path(folder) / "model.keras")


def _weights(state: Mapping[str, np.ndarray]) -> State:
    return {name: value for name, value in state.items() if not name.startswith("optimizer/")}


def _optimizers(state: Mapping[str, np.ndarray]) -> State:
    return {name: value for name, value in state.items() if name.startswith("optimizer/")}
