"""`TwoNetworks`: two networks that train side by side, on the same batches, from one seed."""

import functools
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.errors import checked_count
from kerasinit._src.lottery.method import survivors
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.parts import named_variables
from kerasinit._src.network.prunable import prunable_weights
from kerasinit._src.playground import networks
from kerasinit._src.playground.examples import Examples, examples_for
from kerasinit._src.playground.settings import SIDES, Settings, SideSettings
from kerasinit._src.training.data import Order
from kerasinit._src.training.held_masks import HeldMasks
from kerasinit._src.training.loop import Loop
from kerasinit._src.training.moments import weights_of_moments

COLUMNS = (
    "step",
    *(
        f"{side} {what}"
        for side in SIDES
        for what in ("loss", "test loss", "accuracy", "test accuracy")
    ),
)
"""The names of the numbers in a row."""
_MEASURED = 500
_ALWAYS = 1000  # steps of which each is recorded


def is_recorded(step: int) -> bool:
    """Return whether a row is recorded after a step: each to 1,000, each tenth to 10,000, ..."""
    every = 1
    while step > _ALWAYS * every:
        every *= 10
    return step % every == 0


class TwoNetworks:
    """Two networks that share data, batches and seeds, each with its own first weights.

    Everything is a function of the settings: the same settings give the same numbers, bit for bit,
    in a script and on the page, whatever the pauses between the steps.

    A row is recorded at step 0, before training, and after each of the first 1,000 steps, then
    after every tenth, from 10,000 on after every hundredth. It has, for each network, loss and
    accuracy of the first 500 training examples and of the first 500 test examples, in inference
    mode. A network whose loss is not finite has diverged and takes no more steps.

    With ``rounds``, both networks are pruned after every ``round_steps`` steps: of the weights left
    in each kernel, the fraction ``sparsity`` with the smallest magnitude is removed, and the
    survivors restart as ``survivors`` says, with a new optimizer and the first batches. After the
    last round they train on.

    Args:
        settings: What to train; `Settings` checks it.
        table: The rows of a file, for ``data="csv"``: a mapping with ``x``, ``labels``, ``classes``
            and ``columns``; None (default) for other data.

    Attributes:
        settings: The settings.
        examples: The examples: ``x``, ``y``, ``x_test``, ``y_test``, ``classes``, ``columns``.
        left: The left network, a compiled Keras model.
        right: The right network.
        step: How many steps were taken.
        events: What happened at which step, besides training.

    Raises:
        TypeError: If ``settings`` is not a `Settings`.
        ValueError: If a table is missing, or an initializer does not support a kernel.
        ImportError: If the data are the digits and scikit-learn is not installed.

    Example:
    >>> from kerasinit.playground import Settings, SideSettings
    >>> two = TwoNetworks(Settings(data="xor", depth=1, right=SideSettings("Zeros")))
    >>> two.advance(20)
    >>> row = dict(zip(two.columns, two.rows[-1]))
    >>> int(row["step"]), round(float(row["right loss"]), 3)
    (20, 0.693)
    >>> bool(row["left loss"] < row["right loss"])
    True
    >>> two.rewind()
    >>> len(two.rows), two.examples.classes
    (1, ('0', '1'))
    """

    columns = COLUMNS

    def __init__(self, settings: Settings, table: Mapping[str, Any] | None = None) -> None:
        if not isinstance(settings, Settings):
            raise TypeError(f"Expected kerasinit.playground.Settings; got {settings!r:.80}.")
        self.settings = settings
        self.examples = examples_for(settings, table)
        self._order = Order(
            np.arange(len(self.examples.x)), settings.batch_size, settings.seed, trial=0
        )
        self.networks = tuple(_Network(settings, side, self.examples) for side in settings.sides)
        self.step = 0
        self.events: list[tuple[int, str]] = []
        self._rows: list[list[float]] = []
        self._record()

    @property
    def left(self) -> keras.Model:
        """The left network."""
        return self.networks[0].model

    @property
    def right(self) -> keras.Model:
        """The right network."""
        return self.networks[1].model

    @property
    def rows(self) -> np.ndarray:
        """The recorded rows, of shape ``(rows, 9)``, float64; `columns` has their names."""
        return np.array(self._rows, np.float64)

    def batches(self, start: int, stop: int) -> np.ndarray:
        """Return the positions of the training examples in the batches of some steps.

        Args:
            start: The first step, from 0.
            stop: The step after the last one.

        Returns:
            An array of shape ``(stop - start, batch_size)``, int32.
        """
        return np.concatenate(
            [self._order.batches(begin, end) for begin, end in self._spans(start, stop)]
            or [np.zeros((0, self.settings.batch_size), np.int32)]
        )

    def advance(self, steps: int = 1) -> None:
        """Take some steps of both networks.

        Args:
            steps: How many, at least 0; 1 by default.

        Raises:
            ValueError: If there are fewer than 0.
            TypeError: If it is not a whole number.
        """
        for _ in range(checked_count("steps", steps, 0)):
            [batch] = self.batches(self.step, self.step + 1)
            for network in self.networks:
                network.take_step(batch)
            self.step += 1
            finished, rest = divmod(self.step, self.settings.round_steps)
            if not rest and finished <= self.settings.rounds:
                self._prune(finished)
            if is_recorded(self.step):
                self._record()

    def rewind(self) -> None:
        """Return to the first weights, bit for bit, and forget all steps."""
        for network in self.networks:
            network.rewind()
        self.step = 0
        self.events.clear()
        self._rows.clear()
        self._record()

    def _spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return steps as spans of the order of examples, which restarts with each round."""
        spans, length = [], self.settings.round_steps
        while start < stop:
            finished = min(start // length, self.settings.rounds)
            end = stop if finished == self.settings.rounds else min(stop, (finished + 1) * length)
            spans.append((start - finished * length, end - finished * length))
            start = end
        return spans

    def _prune(self, finished: int) -> None:
        lost = [
            s for s, one in zip(SIDES, self.networks, strict=True) if one.diverged_at is not None
        ]
        for network in self.networks:
            network.prune(finished)
        density = (1 - self.settings.sparsity) ** finished
        what = {"rewind": "rewound to their first values", "redraw": "drawn again"}
        said = [what[side.survivors] for side in self.settings.sides]
        both = said[0] if said[0] == said[1] else f"{said[0]} (left), {said[1]} (right)"
        text = f"pruned to {density:.1%} of the weights; survivors {both}"
        if lost:
            text += f"; not pruned, since diverged: {' and '.join(lost)}"
        self.events.append((self.step, text))

    def _record(self) -> None:
        numbers = [number for network in self.networks for number in network.evaluate(self.step)]
        self._rows.append([self.step, *numbers])


class _Network(Loop):
    """A network of one side, its first state, its masks, and where it diverged."""

    def __init__(self, settings: Settings, side: SideSettings, examples: Examples) -> None:
        self._build = functools.partial(
            networks.build, settings, side, examples.x, len(examples.classes)
        )
        self._sparsity, self._redraws = settings.sparsity, side.survivors == "redraw"
        super().__init__(
            self._build(), examples.x, examples.y, max_steps=1, seed=settings.seed, xla=False
        )
        self._first = self.state()
        self._prunable = {weight.name: weight.variable for weight in prunable_weights(self.model)}
        owners = weights_of_moments(self.model, self._optimizer_variables)
        self._held = HeldMasks(self.model, self._prunable, self._optimizer_variables, owners)
        self.masks = self._all_kept()
        self.diverged_at: int | None = None
        self._evaluate = tf.function(self._loss_and_accuracy, reduce_retracing=True)
        self._measured = [
            (tf.constant(x[:_MEASURED]), tf.constant(y[:_MEASURED]))
            for x, y in ((examples.x, examples.y), (examples.x_test, examples.y_test))
        ]

    def take_step(self, batch: np.ndarray) -> None:
        """Take a step on the examples at some positions, unless it has diverged."""
        if self.diverged_at is None:
            self.advance(batch[None])

    def evaluate(self, step: int) -> list[float]:
        """Return loss, test loss, accuracy and test accuracy after a step."""
        (loss, accuracy), (test_loss, test_accuracy) = (
            (float(number) for number in self._evaluate(x, y)) for x, y in self._measured
        )
        if not np.isfinite(loss):
            self.diverged_at = step if self.diverged_at is None else self.diverged_at
            # The class of the largest of several NaN is no prediction.
            return [math.nan] * 4
        return [loss, test_loss, accuracy, test_accuracy]

    def rewind(self) -> None:
        """Return to the first weights, all of them."""
        self.masks = self._all_kept()
        self._held.set(self.masks)
        self.restore(self._first)
        self.diverged_at = None

    def prune(self, finished: int) -> None:
        """Remove small weights after a round and restart the survivors."""
        kernels = {name: compat.read(variable) for name, variable in self._prunable.items()}
        if self.diverged_at is None:
            rates = dict.fromkeys(kernels, self._sparsity)
            self.masks = survivors.prune(kernels, self.masks, rates)
        self.restore(self._first)
        if self._redraws:
            redrawn = named_variables(self._build(finished))
            self.restore({name: compat.read(variable) for name, variable in redrawn.items()})
        self._held.set(self.masks)
        self.diverged_at = None

    def _all_kept(self) -> Masks:
        return Masks({name: np.ones(v.shape, bool) for name, v in self._prunable.items()})

    def _gradients_to_apply(self, gradients: list[Any], variables: Any) -> list[Any]:
        return self._held.mask(gradients, variables)

    def _loss_and_accuracy(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self.model(x, training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        right = tf.equal(tf.argmax(logits, axis=1, output_type=y.dtype), y)
        return tf.reduce_mean(losses), tf.reduce_mean(tf.cast(right, tf.float32))
