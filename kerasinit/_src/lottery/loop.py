"""The lottery: train, prune, rewind, again.

Every training is a stage with a folder of its own. A stage whose folder is there is
not run again, and no stage depends on anything but finished stages and the seed; so
to repeat a command is to resume it.
"""

import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from kerasinit._src.errors import warn
from kerasinit._src.files import atomic
from kerasinit._src.lottery.experiment import Experiment, require_experiment
from kerasinit._src.lottery.method.controls import CONTROLS
from kerasinit._src.lottery.proof import kept_model
from kerasinit._src.lottery.proof.end_proofs import OWN_STEPS
from kerasinit._src.lottery.proof.kept_model import KeptModel
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.lottery.trial import Trial
from kerasinit._src.lottery.watch import Watch
from kerasinit._src.lottery.workers import share
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training import models
from kerasinit._src.training.checkpoint import Checkpoint, digest_of, require_seconds
from kerasinit._src.training.data import Dataset, glance, load, require_dataset
from kerasinit._src.training.keras_steps import FitTrainer
from kerasinit._src.training.outcome import DivergedError, State, optimizer_of, weights_of

# Who decided whether XLA compiles the loop, as the run's folder has it.
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
            warn(
                f"The model comes from a script ({experiment.model}), so the command line will not "
                f"find it when it is asked about this run. Import it from a module, or pass build= "
                f"again."
            )
    require_seconds(checkpoint_every)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"--workers must be a whole number of at least 1; got {workers!r}.")
    by_rule = experiment.xla is None
    if data is None and (seen := glance(experiment.dataset)):
        name = Path(experiment.dataset).stem
        begun = _as_begun(experiment, out, name)
        store = Store(_folder(out, name, begun), begun, _about(*seen, by_rule))
        if begun.xla is not None and store.is_finished():
            watch.began(store, [])
            return store
    if data is None:
        data = load(experiment.dataset)
    else:
        experiment = replace(experiment, dataset=require_dataset(data).name)
    experiment, trial = _as_begun(experiment, out, data.name), None
    if experiment.xla is None:
        trial = Trial(experiment, build, data, 0)
        experiment = trial.experiment
    folder = _folder(out, data.name, experiment)
    about = _about(data.digest, data.input_shape, by_rule)
    store = Store(folder, experiment, about)
    if store.is_finished():
        watch.began(store, [])
        return store
    with store.held():
        # What can fail for the user's model fails now, before anything is written.
        trial = trial or Trial(experiment, build, data, 0)
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
                trial = Trial(experiment, build, data, number)
                trial.rehearse()
            _run_trial(trial, store, watch, checkpoint_every)
    return store


def _as_begun(experiment: Experiment, out: str | Path | None, data: str) -> Experiment:
    """Return an experiment with the ``xla`` of the run that its folder holds, if it has none.

    A run goes on as it was begun, on whatever device: one training with XLA and the next without
    would not be the numbers of one command.
    """
    if experiment.xla is not None:
        return experiment
    for xla in (True, False):
        folder = _folder(out, data, replace(experiment, xla=xla))
        if (folder / "experiment.json").is_file():
            there = Store.read(folder)
            # Without a name for the folder, one that --xla or --no-xla asked for is another
            # run. Before there was a rule, all were compiled but those of --no-xla.
            decided = there.about.get("xla", _BY_RULE if xla else _BY_OPTION)
            if out is not None or decided == _BY_RULE:
                return replace(experiment, xla=there.experiment.xla)
    return experiment


def _about(digest: str, input_shape: tuple[int, ...], by_rule: bool) -> dict[str, Any]:
    """Return what else must be the same when a run goes on, and who decided on XLA."""
    return {
        "data": digest,
        "input_shape": list(input_shape),
        # Not of installed packages by name: TensorFlow also comes as tensorflow-cpu.
        "versions": {
            "kerasinit": metadata.version("kerasinit"),
            **{library.__name__: library.__version__ for library in (tf, keras, tf_keras, np)},
        },
        "xla": _BY_RULE if by_rule else _BY_OPTION,
    }


def _folder(out: str | Path | None, data: str, experiment: Experiment) -> Path:
    return Path(out) if out is not None else Path(f"lottery-{data}-{experiment.digest}")


def _work(
    store: Store, build: models.Build, data: Dataset, every: float, number: int, watch: Watch
) -> None:
    """Run one trial, in a process of its own."""
    with atomic.saying_if_full(store.folder):
        trial = Trial(store.experiment, build, data, number)
        trial.rehearse()
        _run_trial(trial, store, watch, every)


def _run_trial(trial: Trial, store: Store, watch: Watch, every: float) -> None:
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
    trial: Trial,
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
        stage.write(row, trained, Ticket(masks, weights_of(start), about))
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
        stage.write_state("trained", weights_of(trained.final), words)
        stage.write_state("optimizer", optimizer_of(trained.final), trainer.owners)
        if trained.kept is not None:
            stage.write_state("rewind", trained.kept)
    checkpoint.remove()
    watch.finished(row)
