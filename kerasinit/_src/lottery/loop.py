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

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.errors import warn
from kerasinit._src.files import atomic
from kerasinit._src.lottery.experiment import Experiment, require_experiment
from kerasinit._src.lottery.progress import Watch
from kerasinit._src.lottery.proof import kept_model
from kerasinit._src.lottery.proof.end_proofs import OWN_STEPS
from kerasinit._src.lottery.proof.kept_model import KeptModel
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.lottery.trial import Setting, Trial
from kerasinit._src.lottery.workers import share
from kerasinit._src.masks import NAMING, Masks
from kerasinit._src.network.old_names import old_names
from kerasinit._src.training import models
from kerasinit._src.training.checkpoint import Checkpoint, digest_of, require_seconds
from kerasinit._src.training.data import Dataset
from kerasinit._src.training.keras_steps import KerasTrainer
from kerasinit._src.training.outcome import State, optimizer_of, weights_of

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
    experiment, watch = require_experiment(experiment or Experiment()), watch or Watch()
    require_seconds(checkpoint_every)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"--workers must be a whole number of at least 1; got {workers!r}.")
    setting = Setting.of(experiment, build, data)
    if build is not None and setting.experiment.model.startswith("__main__:"):
        warn(
            f"The model comes from a script ({setting.experiment.model}), so the command line will "
            f"not find it when it is asked about this run. Import it from a module, or pass build= "
            f"again."
        )
    build, data, trial = setting.build, setting.data, None
    by_rule = experiment.xla is None
    experiment = _as_begun(setting.experiment, out, data.name)
    if experiment.xla is None:
        trial = Trial(setting, 0)
        experiment = trial.experiment
    setting = replace(setting, experiment=experiment)
    store = Store(_folder(out, data.name, experiment), experiment, _about(data, by_rule))
    if store.is_finished():
        watch.began(store, [])
        return store
    with store.held():
        # What can fail for the user's model fails now, before anything is written.
        trial = trial or Trial(setting, 0)
        trial.rehearse()
        _require_todays_names(store, trial)
        store = Store.open(store.folder, experiment, store.about)
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
                trial = Trial(setting, number)
                trial.rehearse()
            _run_trial(trial, store, watch, checkpoint_every)
    return store


def _require_todays_names(store: Store, trial: Trial) -> None:
    """Raise if a run was begun with other names for the variables of its network."""
    done = [place for place in store.places() if store.has(place)]
    if not done or store.stage(done[0]).ticket().masks.naming == NAMING:
        return
    others = [(old, new) for old, new in old_names(trial.trainer.model).items() if old != new]
    if others:
        raise ValueError(
            f"{store.folder} was begun by an earlier kerasinit, which named variables otherwise: "
            f"{others[0][0]!r} is {others[0][1]!r} now. Finish it with that version, or name "
            f"another folder."
        )


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


def _about(data: Dataset, by_rule: bool) -> dict[str, Any]:
    """Return what else must be the same when a run goes on, and who decided on XLA."""
    return {
        "data": data.digest,
        "input_shape": list(data.input_shape),
        # Not of installed packages by name: TensorFlow also comes as tensorflow-cpu.
        "versions": {
            "kerasinit": metadata.version("kerasinit"),
            **{one.__name__: one.__version__ for one in (tf, *compat.LIBRARIES.values(), np)},
        },
        "xla": _BY_RULE if by_rule else _BY_OPTION,
    }


def _folder(out: str | Path | None, data: str, experiment: Experiment) -> Path:
    return Path(out) if out is not None else Path(f"lottery-{data}-{experiment.digest}")


def _work(
    store: Store, build: models.Build, data: Dataset, every: float, number: int, watch: Watch
) -> None:
    """Run one trial, in a process of its own."""
    with atomic.reporting_full_disk(store.folder):
        trial = Trial(Setting(store.experiment, build, data), number)
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
            tell=lambda message: watch.note(place, message),
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
        own = isinstance(trainer, KerasTrainer)
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
    store.checkpoint_path(place).unlink(missing_ok=True)
    watch.finished(row)
