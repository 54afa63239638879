"""`SignalMonitor`: the callback that diagnoses a network while it trains, for both Kerases."""

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kerasinit._src import compat, errors
from kerasinit._src.compat.callbacks import Callback
from kerasinit._src.compat.fit_loss import FitLoss
from kerasinit._src.diagnosis.batch import batch_of
from kerasinit._src.diagnosis.entry import require_model
from kerasinit._src.diagnosis.flow import Flow
from kerasinit._src.diagnosis.judge import judge
from kerasinit._src.diagnosis.measure import flow_for, measure
from kerasinit._src.diagnosis.monitor_figure import monitor_figure
from kerasinit._src.diagnosis.monitor_files import SignalEvents, SignalTable
from kerasinit._src.diagnosis.next_update import NextUpdate
from kerasinit._src.diagnosis.objective import loss_for
from kerasinit._src.diagnosis.result import Diagnosis
from kerasinit._src.network.model import read

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Snapshots may cost 5 % in total: the rest is for overhead that is not timed here.
_BUDGET = 0.03
# The default interval takes at most twice as many snapshots in each doubling of the steps.
_DENSITY = 16


class Snapshot(NamedTuple):
    """The diagnosis at one step.

    Attributes:
        step: How many batches the model was trained on before.
        epoch: The epoch of the step, from 0.
        diagnosis: The measurements, and the findings by the limits for random weights.
    """

    step: int
    epoch: int
    diagnosis: Diagnosis


class SignalMonitor(Callback):
    """Logs the measurements of `kerasinit.diagnose` during training: memory, CSV, TensorBoard.

    Each snapshot diagnoses the current weights on one fixed batch: for every layer, mean, variance
    and range of the output, the dead and saturated fractions, correlation and effective rank,
    identical units, the norms of the gradients, and the norm of the optimizer's next update over
    that of the weights. The first snapshot is taken before the first step, the last one after the
    last step. The training is not affected: the weights are bit for bit those without it.

    Formula: by default, snapshots are taken at multiples of an interval, the smallest power of two
    that is not below

    * ``cost / (budget * time of a step)``, with the cost of the last snapshot, and
    * ``step / 32``: densely at first, where initialization matters, and 16 to 32 snapshots in
      each doubling of the steps;

    and only while all snapshots, the last one included, stay within ``budget * time of the
    steps``. That time starts at the end of the first step, which excludes compilation. The steps
    thus depend on the machine's speed, except for the first and the last, which are always
    measured: a training shorter than 2 snapshots / budget, such as one of a few seconds, costs
    more. With ``every``, the steps are the same in each run, and the cost is not limited.

    Args:
        x: The batch: an array, or a list or dictionary of arrays, as the model takes it.
        y: Its labels. Without them (None, the default), gradients and updates are those of a
            random linear functional of the outputs, not of the loss.
        loss: See `kerasinit.diagnose`; None for the compiled one.
        sample_weight: A weight for each example, as in `fit`; None for equal weights.
        class_weight: Weights by class, as in `fit`; None for equal weights.
        csv: A file for one line per snapshot and layer; None for no file. A resumed training is
            appended. If it resumes from a step before it was killed, the later lines of a
            repeated step are the valid ones.
        log_dir: A folder for TensorBoard's event files with scalars such as
            ``signal/dense_1/variance``; None for none.
        every: The number of steps between snapshots (each at the next step at which callbacks
            run, if the model runs several steps per execution), or ``"epoch"`` for the start of
            each epoch; None for the interval above.
        budget: The max fraction of the time of the steps that snapshots take without ``every``,
            above 0; 0.03 by default.
        examples: The max number of examples to use, the first ones of x; 64 by default.
        seed: The seed of the random functional; 0 by default.
        keep: The max number of snapshots in ``history``, at least 3; 1000 by default. When it is
            exceeded, every second one is dropped, except the first and the last. Files keep all.

    Attributes:
        history: The snapshots of the last training, each ``(step, epoch, diagnosis)``. The limits
            of the findings hold for random weights; once the weights are trained, a finding is
            a hint.

    Raises:
        TypeError: If x is a data set, or ``csv`` or ``log_dir`` is not a path.
        ValueError: If a number is invalid, x and y differ in length, or the folder of ``csv`` does
            not exist or the file has other columns. When training starts: as `diagnose`.
        FileExistsError: When training starts at step 0, if ``csv`` has snapshots of another one.

    Example:
    >>> import keras
    >>> x, y = np.random.default_rng(0).normal(size=(256, 8)), np.arange(256) % 2
    >>> model = keras.Sequential([
    ...     keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(2)])
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("adam", loss)
    >>> monitor = SignalMonitor(x, y, every=4)
    >>> _ = model.fit(x, y, callbacks=[monitor], verbose=0)
    >>> [snapshot.step for snapshot in monitor.history]
    [0, 4, 8]
    >>> last = monitor.history[-1].diagnosis.layers[0]
    >>> last.layer, last.update_ratio > 0
    ('dense', True)

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward
        neural networks", which monitors activations and gradients during training.
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
                raise errors.unknown("every", every, ["epoch"], "Or pass a number of steps.")
        elif every is not None:
            errors.checked_count("every", every, 1)
        if not isinstance(budget, int | float) or not 0 < budget < math.inf:
            raise ValueError(
                f"Expected budget to be a fraction above 0, such as 0.03; got {budget!r}."
            )
        if every is not None and budget != _BUDGET:
            raise ValueError(f"With every={every!r} the budget has no effect: pass one of them.")
        self._examples = batch_of(x, y, sample_weight, class_weight, examples=examples)
        self._given_loss, self._seed, self._keep = loss, seed, keep
        self._loss: FitLoss | None = None
        self._every = None if isinstance(every, str) else every
        self._at_epochs = every == "epoch"
        self._table = None if csv is None else SignalTable(csv)
        self._events = None if log_dir is None else SignalEvents(log_dir)
        self._budget, self._pace = budget, _Pace(budget)
        self.history: list[Snapshot] = []
        self._update: NextUpdate | None = None
        self._flow: Flow | None = None  # training does not change the data flow
        self._has_started = self._has_measured = False
        self._epoch = self._base = 0  # the epoch, and the number of steps before it
        self._batch: int | None = None  # the last one started in it
        self._previous = self._next = 0  # the last step started, and the next one to check

    def plot(self) -> "Figure":
        """Return a matplotlib figure of ``history``: signal, gradient and update of each layer.

        Of more than eight layers with weights, eight are drawn, evenly spread.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return monitor_figure([(one.step, one.diagnosis) for one in self.history])

    def set_model(self, model: Any) -> None:
        """Set the model to monitor; called by Keras."""
        if model is not self.model:
            self.history = []
        self.model = model

    def on_train_begin(self, logs: Any = None) -> None:
        """Check the model and reset all counts."""
        self._has_started = self._has_measured = False
        self._pace = _Pace(self._budget)
        require_model(self.model)
        self._update, self._flow = NextUpdate(self.model), None
        # Built here, since the loss is the one compiled when training starts.
        self._loss = loss_for(self.model, self._examples.y, self._given_loss)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take the first snapshot, or that of the epoch."""
        self._epoch, self._batch = epoch, None
        if not self._has_started:
            # Not earlier: another callback may have restored a previous training's state.
            self._has_started = True
            step = self._base = self._previous = _iterations(self.model)
            self._next = step + 1
            if self._table is not None:
                self._table.begin(step)
            if self.history and self.history[-1].step > step:
                self.history = []
        if not self._has_measured or self._at_epochs:
            self._measure(self._base)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Take a snapshot of the weights before this batch, if one is due."""
        # Not at the end of a batch, where Keras may run ahead.
        step, before = self._base + batch, self._previous
        self._batch, self._previous = batch, step
        if step < self._next:
            return
        if not self._has_measured:  # a model that was not built before its first step
            self._measure(step)
        elif not self._at_epochs:
            interval = self._every or self._pace.interval(step)
            is_due = step // interval > before // interval
            if is_due and (self._every or self._pace.allows_another()):
                self._measure(step)
            self._next = (step // interval + 1) * interval

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Count the steps of the epoch."""
        if self._batch is None:
            return
        steps = self._batch + compat.steps_per_execution(self.model)
        # The last execution may have run fewer steps.
        self._base += min(steps, (self.params or {}).get("steps") or steps)
        self._batch = None

    def on_train_end(self, logs: Any = None) -> None:
        """Take the last snapshot, of the trained weights."""
        if not self._has_measured or self.history[-1].step != self._base:
            self._measure(self._base)
        self._update = self._loss = None  # the copies are as large as the model
        if self._events is not None:
            self._events.close()

    def _measure(self, step: int) -> None:
        model = self.model
        if compat.is_model(model) and not compat.is_built(model):
            return
        start = time.perf_counter()
        try:
            if self._flow is None:
                self._flow = flow_for(model, self._examples)
            measured = measure(
                read(model), self._examples, self._loss, self._seed, self._update, self._flow
            )
        except Exception as error:
            error.add_note(f"Raised while SignalMonitor measured its own x at step {step}.")
            raise
        diagnosis = Diagnosis(measured, judge(measured))
        if self.history and self.history[-1].step == step:
            self.history.pop()  # a resumed training
        self.history.append(Snapshot(step, self._epoch, diagnosis))
        if len(self.history) > self._keep:
            del self.history[1:-1:2]
        if self._table is not None:
            self._table.write(step, self._epoch, diagnosis)
        if self._events is not None:
            self._events.write(step, diagnosis)
        self._has_measured = True
        self._pace.add(time.perf_counter() - start)


class _Pace:
    """The interval between snapshots, from their cost and the time of the steps."""

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._start: tuple[int, float] | None = None
        self._spent = self._paused = self._cost = 0.0

    def add(self, seconds: float) -> None:
        """Add the cost of a snapshot."""
        self._spent += seconds
        self._cost = seconds
        if self._start is not None:
            self._paused += seconds

    def interval(self, step: int) -> int:
        """Return the number of steps between two snapshots."""
        if self._start is None:  # the end of the first step, which compiled
            self._start = step, time.perf_counter()
        trained = self._trained()
        steps = max(1, step - self._start[0])
        affordable = self._cost * steps / (self._budget * trained) if trained > 0 else steps
        return 1 << math.ceil(math.log2(max(1.0, affordable, step / (2 * _DENSITY))))

    def allows_another(self) -> bool:
        """Return whether the budget allows a snapshot now and the last one."""
        return self._spent + 2 * self._cost <= self._budget * self._trained()

    def _trained(self) -> float:
        if self._start is None:
            return 0.0
        return time.perf_counter() - self._start[1] - self._paused


def _iterations(model: Any) -> int:
    optimizer = getattr(model, "optimizer", None)
    return 0 if optimizer is None else int(np.asarray(optimizer.iterations))
