"""One independent repetition of a run, and the state from which each training starts."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat, streams
from kerasinit._src.lottery.experiment import Experiment, require_experiment
from kerasinit._src.lottery.method import criteria, rewinds, saliency, scopes, survivors
from kerasinit._src.lottery.method.controls import CONTROLS
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.parts import named_variables
from kerasinit._src.training import models
from kerasinit._src.training.checkpoint import Checkpoint
from kerasinit._src.training.data import Dataset, Order, load, require_dataset
from kerasinit._src.training.keras_steps import KerasTrainer
from kerasinit._src.training.outcome import DivergedError, Outcome, State, weights_of
from kerasinit._src.training.trainer import Trainer
from kerasinit._src.troubleshooting import see


@dataclass(frozen=True, eq=False)
class Setup:
    """An experiment with its build function and its data."""

    experiment: Experiment
    build: models.Build
    data: Dataset

    @classmethod
    def of(
        cls, experiment: Experiment, build: models.Build | None = None, data: Dataset | None = None
    ) -> "Setup":
        """Load the model and data that an experiment names, unless they are passed."""
        require_experiment(experiment)
        if build is not None:
            models.require_build(build)
            experiment = replace(experiment, model=models.name_of(build))
        if data is not None:
            experiment = replace(experiment, dataset=require_dataset(data).name)
        return cls(
            experiment, build or models.find(experiment.model), data or load(experiment.dataset)
        )

    @classmethod
    def of_run(
        cls, store: Store, build: models.Build | None = None, data: Dataset | None = None
    ) -> "Setup":
        """Load the model and data of a run; raise ValueError if the examples have changed."""
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
        setup = cls(experiment, build or models.find(experiment.model), require_dataset(data))
        if setup.data.digest != store.about.get("data"):
            raise ValueError(
                f"The examples in {setup.data.name} are not those that {store.folder} was made "
                f"with. Pass the run's own data."
            )
        return setup


class Trial:
    """One independent repetition: its model, its initial state, its order of the data.

    Every training starts as if the process had trained nothing before. If the experiment's ``xla``
    is None, it follows from the model (see `training.xla.xla_pays`), and the trial's own
    ``experiment`` records the choice.
    """

    def __init__(self, setup: Setup, number: int) -> None:
        self.experiment, self.number = setup.experiment, number
        self._build, self._data = setup.build, setup.data
        self.positions, self._validation = self._data.split(
            self.experiment.seed, number, self.experiment.validation
        )
        self.trainer = self._new_trainer()
        if self.experiment.xla is None:
            # From here on, the choice is part of the experiment, as if the user had made it.
            self.experiment = replace(self.experiment, xla=self.trainer.xla)
        self.first = self.trainer.state()
        self._started = False

    def _make_model(self, purpose: str, *place: int) -> Any:
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
        model = self._make_model("weights")
        kind = KerasTrainer if compat.has_own_train_step(model) else Trainer
        return kind(model, self._data, self._validation, seed=seed, xla=self.experiment.xla)

    def generator(self, purpose: str, *place: str | int) -> np.random.Generator:
        """Return a generator of this trial at the start of a named stream."""
        return streams.generator(self.experiment.seed, purpose, self.number, *place)

    def order(self, purpose: str | None = None, *place: str | int) -> Order:
        """Return an order of the examples: the trial's, or a separate one for a purpose."""
        seed = self.experiment.seed
        if purpose is not None:
            seed = streams.derive(seed, purpose, *place)
        return Order(self.positions, self.experiment.batch_size, seed, self.number)

    def train(
        self,
        label: str,
        masks: Masks,
        start: Mapping[str, np.ndarray],
        order: Order,
        *,
        begin: int = 0,
        checkpoint: Callable[[State], Checkpoint] | None = None,
        **options: Any,
    ) -> tuple[State, Outcome]:
        """Mask the start and train from it to the end; return the masked start and the outcome.

        ``label`` names the training in messages. Variables missing from ``start`` keep the values
        that the network is built with; ``begin`` is the iteration that they come from.
        ``checkpoint`` returns the training's checkpoint, given the masked start. ``options`` are
        ``keep``, ``watch`` and ``resumed`` of `training.trainer.Trainer.train`.
        """
        if self._started and not self.trainer.repeatable:
            self.trainer = self._new_trainer()
        self._started = True
        state = self.trainer.mask_state({**self.first, **start}, masks)
        self.trainer.restore(state)
        try:
            outcome = self.trainer.train(
                masks,
                order,
                iterations=self.experiment.iterations,
                start=begin,
                evaluate_every=self.experiment.evaluate_every,
                checkpoint=checkpoint(state) if checkpoint else None,
                **options,
            )
        except DivergedError as error:
            raise DivergedError(f"{label}: {error} Finished trainings are kept.") from error
        return state, outcome

    def rewind_target(self, store: Store) -> State:
        """Return the state that weights are rewound to; the initial one until another is saved."""
        dense = Place(self.number, 0, "ticket")
        if not store.has(dense):
            return self.first
        stage = store.stage(dense)
        weights = weights_of(self.first)
        saved = stage.ticket().weights
        if set(saved) != set(weights) or any(
            not np.array_equal(saved[name], weights[name]) for name in weights
        ):
            raise ValueError(
                f"{store.folder} was begun with different initial weights than "
                f"{self.experiment.model} returns now: the function that builds the model "
                f"has changed. Choose another folder."
            )
        return stage.state("rewind")

    def prune(self, store: Store, level: int, masks: Masks) -> Masks:
        """Return the masks of a level, given those of the level before."""
        place = Place(self.number, level, "ticket")
        if self.experiment.criterion in criteria.FROM_NETWORK and store.has(place):
            # Gradients are expensive, and their rounding depends on the processor.
            return store.stage(place).ticket().masks
        scored = self.experiment.scored_level(level)
        stage = store.stage(replace(place, level=scored))

        def score_network(target: survivors.Target) -> Masks:
            return self._score(stage.ticket(), masks, target, scored)

        return survivors.next_masks(
            self.experiment,
            self.number,
            level,
            masks,
            began=stage.ticket().weights,
            ended=stage.state("trained"),
            score_network=score_network,
        )

    def _score(self, ticket: Ticket, masks: Masks, target: survivors.Target, scored: int) -> Masks:
        """Prune by scores of the network as it was before training."""
        seed, criterion = self.experiment.seed, self.experiment.criterion
        self.trainer.restore(ticket.weights)
        # In tf_keras, what a random layer draws here cannot be undone.
        self._started = True
        if criterion == "synflow":
            return saliency.synflow(self.trainer.model, masks, target)
        size = min(10 * self._data.num_classes, len(self.positions))
        random = self.generator("criterion", scored)
        batch = random.choice(self.positions, size, replace=False)
        x = models.fit_shape(self.trainer.model, self._data.x_train[batch], self.experiment.model)
        with compat.global_stream(seed, "criterion", self.number, scored):
            scores = saliency.FROM_BATCH[criterion](
                self.trainer.model, x, self._data.y_train[batch]
            )
        return survivors.keep(scores, masks, target)

    def start(self, store: Store, level: int, masks: Masks, branch: str = "ticket") -> State:
        """Return the state from which a training starts, before its masks are applied."""
        if not level:
            return self.first
        rewind, ended = rewinds.parse(self.experiment.rewind), None
        if rewind.continues and branch != "ticket":
            # Weights that only the other mask keeps were not trained, so all are rewound.
            rewind = rewinds.Rewind("step", rewind.step)
        if rewind.continues:
            scored = self.experiment.scored_level(level)
            stage = store.stage(Place(self.number, scored, "ticket"))
            ended = stage.state("trained")
            if rewind.kind == "finetune":
                ended |= stage.state("optimizer")
        return rewinds.start(
            rewind,
            kept=self.rewind_target(store),
            ended=ended,
            masks=masks,
            draw=lambda name: self.generator("rewind", level, name),
        )

    def control(self, store: Store, level: int, masks: Masks, name: str) -> tuple[Masks, State]:
        """Return the masks of a control, and the state from which it starts."""
        control = CONTROLS[name]
        changed = control.masks(masks, lambda weight: self.generator(name, level, weight))
        if control.fresh:
            return changed, self.fresh(name, level)
        return changed, self.start(store, level, changed, name)

    def fresh(self, control: str, level: int) -> State:
        """Return an initial state drawn from a separate random stream."""
        variables = named_variables(self._make_model(control, level))
        state = {**self.first, **{name: compat.read(v) for name, v in variables.items()}}
        for name in self.trainer.shapes:
            if np.array_equal(state[name], self.first[name]):
                raise ValueError(
                    f"{self.experiment.model} gives {name!r} the same initial values whatever the "
                    f"seed, so the control `{control}` would compare the ticket with itself. Omit "
                    f"the seed of its initializers (seed=None), or use --controls none."
                )
        return state

    def rehearse(self) -> None:
        """Try once, before any training, everything that the user's model could make fail."""
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"Keras runs on {keras.backend.backend()}; a lottery needs TensorFlow. Set "
                f"KERAS_BACKEND=tensorflow. {see('tensorflow-backend')}"
            )
        scopes.counts(self.experiment, self.trainer.shapes, self.experiment.levels)
        for name, value in weights_of(self.first).items():
            if value.dtype.kind in "fV" and not np.isfinite(value).all():
                raise ValueError(
                    f"{self.experiment.model} returned a model in which {name!r} has values that "
                    f"are not finite; a ticket cannot hold them."
                )
        for control in self.experiment.controls if self.experiment.levels else ():
            if CONTROLS[control].fresh:
                self.fresh(control, 1)
        with tempfile.TemporaryDirectory() as folder:
            self.trainer.model.save(Path(folder) / "model.keras")
