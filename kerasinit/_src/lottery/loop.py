"""The lottery: train, prune, rewind, repeat.

Every training is a stage with its own folder. A stage whose folder exists is skipped, and no
stage depends on anything but finished stages and the seed; so repeating a command resumes it.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.errors import warn
from kerasinit._src.files import atomic
from kerasinit._src.lottery.experiment import Experiment, require_experiment
from kerasinit._src.lottery.progress import Watch
from kerasinit._src.lottery.proof import model_archive
from kerasinit._src.lottery.proof.end_proofs import CUSTOM_STEPS
from kerasinit._src.lottery.proof.model_archive import ModelArchive
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.lottery.trial import Setup, Trial
from kerasinit._src.lottery.workers import map_in_processes
from kerasinit._src.mask_arrays import NAMING, Masks
from kerasinit._src.network.old_names import old_names
from kerasinit._src.training import models
from kerasinit._src.training.checkpoint import Checkpoint, digest_of, require_seconds
from kerasinit._src.training.data import Dataset
from kerasinit._src.training.keras_steps import KerasTrainer
from kerasinit._src.training.outcome import State, optimizer_of, weights_of
from kerasinit._src.version import __version__

# What decided whether XLA compiles the loop, as stored in the run's folder.
_BY_RULE, _BY_OPTION = "by the network and the device", "by the options"


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
    """Find lottery tickets: train, prune, rewind the remaining weights, repeat.

    Also known as iterative magnitude pruning (IMP). Every training is saved, an interrupted run is
    resumed by the same call, and results are reproducible bit for bit on the same machine.

    Draws from global random state (Python, NumPy, TensorFlow, Keras) are seeded by the
    experiment while models are built.

    Args:
        experiment: What to run; ``Experiment()`` by default.
        out: The folder for the results, by default one named after the experiment
            in the working directory. A run of the same experiment in it is resumed.
        build: A function that returns a compiled model, in place of
            ``experiment.model``. It may take ``input_shape``, ``num_classes`` and
            ``initializer`` by name. Default: None.
        data: Examples, in place of ``experiment.dataset``. Default: None.
        watch: Receives the run's events. Default: None.
        checkpoint_every: Seconds between two checkpoints of a training, 30 by default; a training
            that was killed resumes from the last. No number of the run depends on it.
        workers: The number of processes that train independent trials in parallel, 1 by default.
            No number of the run depends on it. With more than one, ``build``, ``data`` and their
            modules must be picklable, and a script that calls this needs ``if __name__ ==
            "__main__":``.

    Returns:
        The run's `Store`: ``store.rows()`` has the results, ``store.folder`` the files.

    Raises:
        ValueError: Before any training, if an argument is invalid or the folder holds another run.
        BusyError: If another process works on the folder.
        DivergedError: If a training's loss is not finite. Finished trainings are kept.
        NoSpaceError: If the disk is full. Finished trainings are kept.
        WorkerDiedError: If a worker process was killed. Finished trainings are kept.

    Example:
    >>> from kerasinit import lottery
    >>> short = lottery.Experiment(
    ...     dataset="digits", iterations=40, levels=1, trials=1, evaluate_every=20, xla=False
    ... )
    >>> store = lottery.run(short, out="tickets")
    >>> for row in store.rows():
    ...     print(row.level, row.branch, round(row.density, 2), row.test_accuracy > 0.5)
    0 ticket 1.0 True
    1 ticket 0.8 True
    1 reinit 0.8 True

    Reference:
        Frankle and Carbin, 2019, "The lottery ticket hypothesis",
        https://arxiv.org/abs/1803.03635; Frankle, Dziugaite, Roy and Carbin, 2020, "Linear mode
        connectivity and the lottery ticket hypothesis", https://arxiv.org/abs/1912.05671
        (rewinding).
    """
    experiment, watch = require_experiment(experiment or Experiment()), watch or Watch()
    require_seconds(checkpoint_every)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"--workers must be a whole number of at least 1; got {workers!r}.")
    setup = Setup.of(experiment, build, data)
    if build is not None and setup.experiment.model.startswith("__main__:"):
        warn(
            f"The model comes from a script ({setup.experiment.model}), so commands about this run "
            f"will not find it. Import it from a module, or pass build= again."
        )
    build, data, trial = setup.build, setup.data, None
    by_rule = experiment.xla is None
    experiment = _as_begun(setup.experiment, out, data.name)
    if experiment.xla is None:
        trial = Trial(setup, 0)
        experiment = trial.experiment
    setup = replace(setup, experiment=experiment)
    store = Store(_folder(out, data.name, experiment), experiment, _about(data, by_rule))
    if store.is_finished():
        watch.began(store, [])
        return store
    with store.held():
        # Whatever can fail for the user's model fails now, before anything is written.
        trial = trial or Trial(setup, 0)
        trial.rehearse()
        _require_current_names(store, trial)
        store = Store.open(store.folder, experiment, store.about)
        missing = store.missing()
        watch.began(store, missing)
        numbers = sorted({place.trial for place in missing})
        if workers > 1 and len(numbers) > 1:
            map_in_processes(
                _work,
                (store, build, data, checkpoint_every),
                numbers,
                workers,
                watch,
                # Without XLA, the rounding of convolutions depends on the number of threads.
                limited=trial.trainer.uses_xla,
            )
            return store
        for number in numbers:
            if number != trial.number:
                trial = Trial(setup, number)
                trial.rehearse()
            _run_trial(trial, store, watch, checkpoint_every)
    return store


def _require_current_names(store: Store, trial: Trial) -> None:
    """Raise if a run was begun with other names for the variables of its network."""
    done = [place for place in store.places() if store.has(place)]
    if not done or store.stage(done[0]).ticket().masks.naming == NAMING:
        return
    renamed = [(old, new) for old, new in old_names(trial.trainer.model).items() if old != new]
    if renamed:
        raise ValueError(
            f"{store.folder} was begun by an earlier kerasinit with other names for variables: "
            f"{renamed[0][0]!r} is {renamed[0][1]!r} now. Finish it with that version, or choose "
            f"another folder."
        )


def _as_begun(experiment: Experiment, out: str | Path | None, data: str) -> Experiment:
    """Return an experiment with the ``xla`` of the run in its folder, if it leaves it open.

    A run is resumed as it was begun, on whatever device: one training with XLA and the next without
    would not be the numbers of one command.
    """
    if experiment.xla is not None:
        return experiment
    for xla in (True, False):
        folder = _folder(out, data, replace(experiment, xla=xla))
        if (folder / "experiment.json").is_file():
            begun = Store.read(folder)
            # In a default folder, a run with an explicit --xla or --no-xla is another run. Before
            # there was a rule, all runs were compiled except those with --no-xla.
            decided = begun.about.get("xla", _BY_RULE if xla else _BY_OPTION)
            if out is not None or decided == _BY_RULE:
                return replace(experiment, xla=begun.experiment.xla)
    return experiment


def _about(data: Dataset, by_rule: bool) -> dict[str, Any]:
    """Return what else must match when a run is resumed, and what decided about XLA."""
    return {
        "data": data.digest,
        "input_shape": list(data.input_shape),
        # Not from package metadata: TensorFlow is also distributed as tensorflow-cpu.
        "versions": {
            "kerasinit": __version__,
            **{lib.__name__: lib.__version__ for lib in (tf, *compat.imported().values(), np)},
        },
        "xla": _BY_RULE if by_rule else _BY_OPTION,
    }


def _folder(out: str | Path | None, data: str, experiment: Experiment) -> Path:
    return Path(out) if out is not None else Path(f"lottery-{data}-{experiment.digest}")


def _work(
    store: Store, build: models.Build, data: Dataset, every: float, number: int, watch: Watch
) -> None:
    """Run one trial in a worker process."""
    with atomic.reporting_full_disk(store.folder):
        trial = Trial(Setup(store.experiment, build, data), number)
        trial.rehearse()
        _run_trial(trial, store, watch, every)


def _run_trial(trial: Trial, store: Store, watch: Watch, every: float) -> None:
    """Train, prune, rewind, repeat."""
    masks = Masks.dense(trial.trainer.shapes)
    for level in range(trial.experiment.levels + 1):
        place = Place(trial.number, level, "ticket")
        if level:
            masks = trial.prune(store, level, masks)
        if not store.has(place):
            start = trial.start(store, level, masks)
            _train(trial, store, watch, every, place, masks, start)
        elif store.stage(place).ticket().masks != masks:
            raise ValueError(f"{store.folder}: the masks of {place} are not those of this run.")
        for control in trial.experiment.branches_at(level)[1:]:
            place = replace(place, branch=control)
            if not store.has(place):
                changed, start = trial.control(store, level, masks, control)
                _train(trial, store, watch, every, place, changed, start)


def _train(
    trial: Trial, store: Store, watch: Watch, every: float, place: Place, masks: Masks, start: State
) -> None:
    """Run one stage and write it to disk."""
    experiment = trial.experiment
    dense = place.level == 0
    watch.training(place, masks.density)

    def checkpoint(start: State) -> Checkpoint:
        return Checkpoint(
            store.checkpoint_path(place),
            {
                "place": str(place),
                "experiment": json.dumps(experiment.to_dict(), sort_keys=True),
                "data": store.about["data"],
                "start": digest_of(start),
                "masks": digest_of(masks),
            },
            every,
            notify=lambda message: watch.note(place, message),
        )

    start, trained = trial.train(
        str(place),
        masks,
        start,
        trial.order(),
        begin=experiment.first_iteration(place.level, place.branch),
        keep=experiment.rewind_step if dense else None,
        watch=lambda point: watch.point(place, point),
        checkpoint=checkpoint,
        resumed=lambda iteration: watch.resumed(place, iteration),
    )
    row = Row.of(place, masks.density, trained)
    about = {"place": str(place), "rewind": experiment.rewind, "density": repr(masks.density)}
    with store.new(place) as stage:
        stage.write(row, trained, Ticket(masks, weights_of(start), about))
        trainer = trial.trainer
        custom = isinstance(trainer, KerasTrainer)
        metadata = {CUSTOM_STEPS: type(trainer.model).__name__} if custom else {}
        if place.branch == "ticket":
            trainer.model.save(stage.model_path)
            missing = ModelArchive.read(stage.model_path).missing(trained.final)
            metadata |= model_archive.unsaved_metadata(missing, trained.final)
            unsaved = sorted(model_archive.unsaved_names(metadata))
            if dense and unsaved:
                names = ", ".join(unsaved)
                watch.note(place, f"Keras does not save {names} exactly; trained.safetensors does.")
        stage.write_state("trained", weights_of(trained.final), metadata)
        stage.write_state("optimizer", optimizer_of(trained.final), trainer.owners)
        if trained.kept is not None:
            stage.write_state("rewind", trained.kept)
    store.checkpoint_path(place).unlink(missing_ok=True)
    watch.finished(row)
