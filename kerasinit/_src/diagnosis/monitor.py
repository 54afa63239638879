"""The callback that goes on diagnosing while a network trains, in both Kerases."""

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from kerasinit._src import compat, errors
from kerasinit._src.compat.callbacks import Callback
from kerasinit._src.compat.fit_loss import FitLoss
from kerasinit._src.diagnosis.batch import batch_of
from kerasinit._src.diagnosis.entry import require_model
from kerasinit._src.diagnosis.flow import Flow
from kerasinit._src.diagnosis.judge import judge
from kerasinit._src.diagnosis.measure import flow_for, measure
from kerasinit._src.diagnosis.monitor_files import SignalEvents, SignalTable
from kerasinit._src.diagnosis.next_update import NextUpdate
from kerasinit._src.diagnosis.objective import chosen
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.network.model import read

# Of the 5 % that a look may cost at most: the rest is for what no clock in here sees.
_BUDGET = 0.03
# By default there are at most twice as many looks in each doubling of a training's length.
_DENSITY = 16


class Look(NamedTuple):
    """What a monitor saw at one step.

    Attributes:
        step: How many batches the model was trained on before.
        epoch: The epoch that step is in, from 0.
        diagnosis: What was measured, and what is wrong by the measure of random weights.
    """

    step: int
    epoch: int
    diagnosis: Diagnosis


class SignalMonitor(Callback):
    """Logs what `kerasinit.diagnose` measures while a network trains: in memory, CSV, TensorBoard.

    Each look is a diagnosis of the weights as they are, on one fixed batch: of every layer
    mean, variance and range of what comes out, the fractions dead and saturated, correlation
    and effective rank, units that are alike, the norms of the gradients, and the length of the
    optimizer's next update over that of the weights. The first look is before the first step
    and the last after the last one. Nothing else of the training changes: the weights are to the
    last bit those of a training without it.

    Formula: by default steps are looked at that are multiples of an interval, a power of two,
    the least that is not below

    * ``cost / (budget * time of a step)``, with the cost of the last look, and
    * ``step / 32``: densely at first, where the first weights matter, and 16 to 32 looks in
      each doubling of the length;

    and only while all looks, the last one included, stay within ``budget * time of the steps``.
    That time runs from the end of the first step, so compiling does not count. What is looked
    at thus depends on the machine's speed, except for the first and the last, which are always
    made: a training shorter than 2 looks / budget, such as one of a few seconds, costs more.
    With ``every`` the steps are the same in each run, and the cost is what it is.

    Args:
        x: The batch: an array, or a list or dictionary of arrays, as the model takes it.
        y: Its labels. Without them the gradients are those of a random linear functional of
            the outputs, not of the loss, and so are the updates.
        loss: See `kerasinit.diagnose`; None for the compiled one.
        sample_weight: A weight for each example, as `fit` takes it; None for equal ones.
        class_weight: Weights by class, as `fit` takes them; None for equal ones.
        csv: A file for one line per look and layer, `diagnosis.monitor_files.COLUMNS`; None for
            none. A training that goes on is appended. Where a training was killed and goes on
            from an earlier step, the later lines of a step count.
        log_dir: A folder for TensorBoard's event files with scalars such as
            ``signal/dense_1/variance``; None for none.
        every: Look at every so many steps (at the next one that callbacks are called at, if the
            model takes several at once), or at the beginning of each ``"epoch"``; None for the
            interval above.
        budget: The share of the time of the steps that looks may take without ``every``,
            above 0; 0.03 by default.
        examples: How many examples to look at, at most: the first ones of x; 64 by default.
        seed: The seed of the random functional; 0 by default.
        keep: How many looks to keep in ``history``, at least 3; 1000 by default. Each time
            there are more, every second one is dropped, but not the first and the last. Files
            have all of them.

    Attributes:
        history: The looks of the last training, each ``(step, epoch, diagnosis)``. The
            thresholds of the findings in them are made for random weights; once the weights are
            trained, a finding is a hint.

    Raises:
        TypeError: If x is a data set, or a path is none.
        ValueError: If a number is not valid, x and y are not equally many, the folder of ``csv``
            is not there or the file has other columns. When a training begins: what `diagnose`
            raises.
        FileExistsError: When a training begins at step 0, if ``csv`` has the looks of another.

    Example:
    >>> import keras
    >>> x, y = np.random.default_rng(0).normal(size=(256, 8)), np.arange(256) % 2
    >>> model = keras.Sequential([
    ...     keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(2)])
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("adam", loss)
    >>> monitor = SignalMonitor(x, y, every=4)
    >>> _ = model.fit(x, y, callbacks=[monitor], verbose=0)
    >>> [look.step for look in monitor.history]
    [0, 4, 8]
    >>> last = monitor.history[-1].diagnosis.layers[0]
    >>> last.layer, last.update_ratio > 0
    ('dense', True)

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward
        neural networks", which watches activations and gradients while networks train.
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        loss: Any = None,
        *,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        csv: Any = None,
        log_dir: Any = None,
        every: int | str | None = None,
        budget: float = _BUDGET,
        examples: int = 64,
        seed: int = 0,
        keep: int = 1000,
    ) -> None:
        super().__init__()
        for name, number, least in (("examples", examples, 2), ("keep", keep, 3)):
            errors.checked_count(name, number, least)
        if isinstance(every, str):
            if every != "epoch":
                raise errors.unknown("every", every, ["epoch"], "Or give a number of steps.")
        elif every is not None:
            errors.checked_count("every", every, 1)
        if not isinstance(budget, int | float) or not 0 < budget < math.inf:
            raise ValueError(f"Expected as budget a share above 0, such as 0.03; got {budget!r}.")
        if every is not None and budget != _BUDGET:
            raise ValueError(f"Looking at every={every!r}, there is no budget to keep: give one.")
        self._batch_seen = batch_of(x, y, sample_weight, class_weight, examples=examples)
        self._given_loss, self._seed, self._keep = loss, seed, keep
        self._loss: FitLoss | None = None
        self._every = None if isinstance(every, str) else every
        self._at_epochs = every == "epoch"
        self._table = None if csv is None else SignalTable(csv)
        self._events = None if log_dir is None else SignalEvents(log_dir)
        self._pace = _Pace(budget)
        self.history: list[Look] = []
        self._update: NextUpdate | None = None
        self._flow: Flow | None = None  # how the data flows, which training does not change
        self._fit_begun = self._looked = False
        self._epoch = self._base = 0  # the epoch, and how many steps were before it
        self._batch: int | None = None  # the last one begun in it
        self._previous = self._next = 0  # the last step begun, and the next one to think at

    def set_model(self, model: Any) -> None:
        """Remember the model that is trained; Keras calls this itself."""
        if model is not self.model:
            self.history = []
        self.model = model

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin to count."""
        self._fit_begun, self._looked = False, False
        self._pace.begin()
        require_model(self.model)
        self._update, self._flow = NextUpdate(self.model), None
        # Made here: a loss counts as it was compiled when the training began.
        self._loss = chosen(self.model, self._batch_seen.y, self._given_loss)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Look, if it is the first epoch or each one is looked at."""
        self._epoch, self._batch = epoch, None
        if not self._fit_begun:
            # Not sooner: another callback may have put back an earlier training's state.
            self._begin_fit(_iterations(self.model))
        if not self._looked or self._at_epochs:
            self._look(self._base)

    def _begin_fit(self, step: int) -> None:
        self._fit_begun = True
        self._base = self._previous = step
        self._next = step + 1
        if self._table is not None:
            self._table.begin(step)
        if self.history and self.history[-1].step > step:
            self.history = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Look, if the weights that this batch finds are due."""
        # Not at the end of a batch, where Keras may go on while it is looked at.
        step, before = self._base + batch, self._previous
        self._batch, self._previous = batch, step
        if step < self._next:
            return
        if not self._looked:  # a model that was not built before its first step
            self._look(step)
        elif not self._at_epochs:
            interval = self._every or self._pace.interval(step)
            is_due = step // interval > before // interval
            if is_due and (self._every or self._pace.allows_a_look()):
                self._look(step)
            self._next = (step // interval + 1) * interval

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Count the steps of the epoch."""
        if self._batch is None:
            return
        steps = self._batch + compat.steps_per_execution(self.model)
        # Of the last steps taken at once there may have been fewer.
        self._base += min(steps, (self.params or {}).get("steps") or steps)
        self._batch = None

    def on_train_end(self, logs: Any = None) -> None:
        """Look once more, at the weights that the training leaves."""
        if not self._looked or self.history[-1].step != self._base:
            self._look(self._base)
        self._update = self._loss = None  # the copies take as much room as the model
        if self._events is not None:
            self._events.close()

    def _look(self, step: int) -> None:
        model = self.model
        if compat.is_model(model) and not compat.is_built(model):
            return
        begun = time.perf_counter()
        try:
            if self._flow is None:
                self._flow = flow_for(model, self._batch_seen)
            measured = measure(
                read(model), self._batch_seen, self._loss, self._seed, self._update, self._flow
            )
        except Exception as error:
            error.add_note(f"SignalMonitor looked at its own x at step {step}.")
            raise
        diagnosis = Diagnosis(measured, judge(measured))
        if self.history and self.history[-1].step == step:
            self.history.pop()  # a training that goes on
        self.history.append(Look(step, self._epoch, diagnosis))
        if len(self.history) > self._keep:
            del self.history[1:-1:2]
        if self._table is not None:
            self._table.write(step, self._epoch, diagnosis)
        if self._events is not None:
            self._events.write(step, diagnosis)
        self._looked = True
        self._pace.looked(time.perf_counter() - begun)


class _Pace:
    """The time that looks took, and the time between them."""

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self.begin()

    def begin(self) -> None:
        """Forget all: another training begins."""
        self._start: tuple[int, float] | None = None
        self._spent = self._paused = self._cost = 0.0

    def looked(self, seconds: float) -> None:
        """Note what a look took."""
        self._spent += seconds
        self._cost = seconds
        if self._start is not None:
            self._paused += seconds

    def interval(self, step: int) -> int:
        """Return how many steps to leave between two looks."""
        if self._start is None:  # the end of the first step, which compiled
            self._start = step, time.perf_counter()
        trained = self._trained()
        steps = max(1, step - self._start[0])
        affordable = self._cost * steps / (self._budget * trained) if trained > 0 else steps
        return 1 << math.ceil(math.log2(max(1.0, affordable, step / (2 * _DENSITY))))

    def allows_a_look(self) -> bool:
        """Return whether a look is within the budget, and the last one after it too."""
        return self._spent + 2 * self._cost <= self._budget * self._trained()

    def _trained(self) -> float:
        if self._start is None:
            return 0.0
        return time.perf_counter() - self._start[1] - self._paused


def _iterations(model: Any) -> int:
    optimizer = getattr(model, "optimizer", None)
    return 0 if optimizer is None else int(np.asarray(optimizer.iterations))
