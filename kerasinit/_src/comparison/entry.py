"""`compare`: which initializer trains this network best?"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kerasinit._src import compat
from kerasinit._src.comparison import show  # noqa: F401 (it renders what is returned)
from kerasinit._src.comparison.choices import named
from kerasinit._src.comparison.result import Comparison, Setting
from kerasinit._src.comparison.subject import Subject
from kerasinit._src.comparison.trainings import race
from kerasinit._src.errors import checked_count
from kerasinit._src.training import models
from kerasinit._src.training.data import Dataset, Order
from kerasinit._src.training.examples import examples_of

_POINTS = 40


def compare(
    build: Callable[..., Any] | str,
    initializers: Mapping[str, Any] | Iterable[Any],
    data: tuple[Any, Any] | Dataset | str,
    *,
    steps: int = 1000,
    seeds: int = 6,
    batch_size: int = 60,
    evaluate_every: int | None = None,
    target: float | None = None,
    validation: int | None = None,
    optimizer: str | None = None,
    stop: bool = True,
    seed: int = 0,
    xla: bool | None = None,
    say: Callable[[str], None] | None = None,
) -> Comparison:
    """Train each of several initializers with several seeds, and say whether one is the best.

    Theory says what is sound at the first step; whether it matters after a thousand, only
    training tells. All choices get the same number of steps on the same batches with the
    optimizer that the model is compiled with. Two seeds differ in weights, in the order of
    the examples and in what random layers draw; two choices of one seed differ only in what
    they set, and draw from the same streams. The same call gives the same numbers, bit for
    bit, on one machine.

    A choice is called the best only if the seeds show that it is better than every other: by
    exact paired tests, at a level of 0.05 (`comparison.winner` has the test, and why
    it needs no correction for the number of choices). That takes six seeds or more. Otherwise the
    result says that there is no clear best, and how many seeds would settle it if others differ
    as these do. A training that diverges counts as worse than any that does not. To add seeds
    until there is a best is no test: decide on their number before, or start again with others.

    A choice that is clearly lost is stopped before the end: it needs more than four times the
    leader's steps, and is not about to catch up, at two looks in a row; never with fewer than
    three seeds. `comparison.racing` has the rule and what it cannot see. The result
    says who was stopped when and why, and how many of the steps that saved. A choice that was
    stopped counts with the lowest losses that it had by then.

    In memory there is a copy of the weights and the optimizer's state for each training that
    still runs. Random layers of tf_keras hide their state, so each of their trainings has a
    loop of its own, which takes seconds to make, and draws anew from each look on.

    Args:
        build: A function that returns a compiled model of either Keras, the same network at
            every call; it may take ``input_shape`` and ``num_classes``. Or what ``kerasinit
            lottery run`` takes: ``"lenet-300-100"``, ``"package.module:function"``.
        initializers: A dictionary from names of your choice, or a list, of

            * initializers of this package or of either Keras, or strings such as
              ``"HeNormal"`` and ``"RandomNormal:stddev=0.01"``: for every kernel (also
              of convolutions and attentions), as ``kernel_initializer``;
            * rules for `kerasinit.reinitialize`, such as ``{"kernel": ..., "bias": ...}`` or
              `kerasinit.rules.gpt2`;
            * ``"lsuv"``, ``"within_layer"`` or ``"weight_norm"``: see there; they look at up to
              256 of the examples to train on;
            * ``"recommend"``: what `kerasinit.recommend` recommends for the model;
            * ``"own"``: the model as it was built.

            What a choice does not set stays as ``build`` made it with the seed; the result names
            it.
        data: ``(x, y)``, arrays as the model and its loss take them (x may be a list or
            dictionary), or a `kerasinit.lottery.Dataset`, of which the training part is
            taken, or its name: ``"digits"``, ``"mnist"``, a ``.npz`` file.
        steps: Optimizer steps of each training.
        seeds: How many seeds; six by default, the fewest with which one can be the best.
        batch_size: Examples in a step.
        evaluate_every: Steps between two measurements; a fortieth of all by default.
        target: A loss to count the steps to. By default what the median seed of the leading
            choice has reached after half of the steps.
        validation: How many examples are held out, on which the loss is measured; a sixth, at
            most 5,000, by default.
        optimizer: Another optimizer for all, as ``"sgd:learning_rate=0.1"``; None for the
            compiled one.
        stop: Whether to stop what is clearly lost.
        seed: The origin of every random number.
        xla: Whether XLA compiles the loop: several times faster, other rounding. By default it
            does, except for networks with convolutions on a CPU, which it slows down.
        say: Called with a sentence after each look.

    Returns:
        A `kerasinit.comparison.Comparison`; print it.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: Before any training, if a choice is unknown, comes twice, or cannot be
            applied to the model, or the model cannot be trained on the data.

    Example:
    >>> import keras, numpy as np
    >>> def build():
    ...     hidden = [keras.layers.Dense(16, "relu") for _ in range(2)]
    ...     model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(1)])
    ...     model.compile(keras.optimizers.SGD(0.05), "mse")
    ...     return model
    >>> x = np.random.default_rng(0).normal(size=(120, 4)).astype("float32")
    >>> found = compare(build, ["Zeros", "HeNormal"], (x, x[:, :1]), steps=80, batch_size=20)
    >>> found.best.name, found["Zeros"].stop.kind, found["Zeros"].stop.step
    ('HeNormal', 'lost', 50)

    Reference:
        Hung and Fithian, 2019, "Rank verification for exponential families" (what may be called
        best); Karnin, Koren and Somekh, 2013, "Almost optimal exploration in multi-armed bandits";
        Jamieson and Talwalkar, 2016, "Non-stochastic best arm identification and hyperparameter
        optimization", stop the worse half at each look, however little worse; here only
        what is lost goes.
    """
    numbers = {"steps": steps, "seeds": seeds, "batch_size": batch_size}
    optional = {"evaluate_every": evaluate_every, "validation": validation}
    for name, number in (numbers | {n: v for n, v in optional.items() if v is not None}).items():
        checked_count(name, number)
    checked_count("seed", seed, 0)
    if target is not None and (isinstance(target, bool) or not isinstance(target, int | float)):
        raise TypeError(f"Expected as target a loss, or None; got {target!r}.")
    label, build = _named_build(build)
    chosen, examples = named(initializers), examples_of(data)
    training, held_out = examples.split(seed, validation)
    every = min(steps, evaluate_every or max(1, steps // _POINTS))
    subject = Subject(
        build,
        examples,
        training,
        held_out,
        optimizer=optimizer,
        seed=seed,
        most=min(every, 1000),
        xla=xla,
    )
    orders = [Order(training, batch_size, seed, trial) for trial in range(seeds)]
    measured = sorted({*range(every, steps, every), steps})
    choices = race(subject, chosen, orders, measured, stop, say or (lambda line: None))
    setting = Setting(
        model=label,
        data=examples.name,
        held_out=len(held_out),
        steps=steps,
        seeds=seeds,
        seed=seed,
        batch_size=batch_size,
        evaluate_every=every,
        stopping=stop,
    )
    return Comparison(setting, choices, target)


def _named_build(build: Any) -> tuple[str, Callable[..., Any]]:
    """Return what a build function is called, and the function, found if it is given by name."""
    if compat.is_layer(build):
        raise TypeError(
            f"Expected as build a function that returns a compiled model, since each seed trains a "
            f"new one; got the {type(build).__name__} {getattr(build, 'name', '')!r} "
            f"itself. Write the lines that make and compile it into a function: "
            f"compare(build, ...)."
        )
    label = build if isinstance(build, str) else models.name_of(build)
    build = models.find(build) if isinstance(build, str) else build
    if not callable(build):
        raise TypeError(
            f"Expected as build a function that returns a compiled model; got {build!r}."
        )
    return label, build
