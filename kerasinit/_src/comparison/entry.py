"""`compare`: which initializer trains this network best?"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kerasinit._src import compat
from kerasinit._src.comparison import show  # noqa: F401 (registers how the result is rendered)
from kerasinit._src.comparison.choices import choices_by_name
from kerasinit._src.comparison.result import Comparison, Setting
from kerasinit._src.comparison.subject import Subject
from kerasinit._src.comparison.trainings import race
from kerasinit._src.errors import checked_count
from kerasinit._src.training import models
from kerasinit._src.training.data import Dataset, Order
from kerasinit._src.training.examples import examples_of

_MEASUREMENTS = 40  # of each training, by default


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
    """Train a network with each of several initializers and seeds, and find the best, if any.

    Theory predicts which initializers suit the first step; only training shows whether that still
    matters after a thousand. All choices are trained for the same number of steps on the same
    batches with the model's optimizer. Seeds differ in the weights, the order of the examples and
    the random layers; choices with the same seed draw from the same streams and differ only in the
    variables that they set. On the same machine, results are reproducible bit for bit.

    A choice is called the best only if the seeds show that it is better than every other: by exact
    paired tests, at a level of 0.05, which need no correction for the number of choices (Hung and
    Fithian). That takes at least six seeds. Otherwise the result reports that there is no clear
    best, and how many seeds would settle it if they differ as these do. A training that diverges
    counts as worse than any that does not. Adding seeds until there is a best invalidates the test:
    fix their number beforehand, or start over with other seeds.

    A choice that is clearly lost is stopped early: at two checks in a row, it needs more than four
    times the leader's steps and is not about to catch up; never with fewer than three seeds. The
    result reports which choices were stopped, when and why, and how many steps that saved. A
    stopped choice is judged by its lowest losses up to then.

    Each active training keeps a copy of the weights and the optimizer's state in memory. Random
    layers of tf_keras hide their state, so each of their trainings has its own loop, which takes
    seconds to build, and their random numbers restart at each check.

    Args:
        build: A function that returns a compiled model of either Keras, the same network at
            every call; it may take ``input_shape`` and ``num_classes``. Or a name as for
            ``kerasinit lottery run``: ``"lenet-300-100"``, ``"package.module:function"``.
        initializers: A list, or a dictionary with names of your choice, of

            * initializers of this package or of either Keras, or strings such as
              ``"HeNormal"`` and ``"RandomNormal:stddev=0.01"``: for every kernel (also
              of convolutions and attention), as ``kernel_initializer``;
            * rules for `kerasinit.reinitialize`, such as ``{"kernel": ..., "bias": ...}`` or
              `kerasinit.rules.gpt2`;
            * ``"lsuv"``, ``"within_layer"`` or ``"weight_norm"``: the functions with these names,
              applied to up to 256 of the training examples;
            * ``"recommend"``: the recommendation of `kerasinit.recommend` for the model;
            * ``"own"``: the model as built.

            Variables that a choice does not set keep their values from ``build``; the result
            lists them.
        data: ``(x, y)``, arrays as the model and its loss take them (x may be a list or
            dictionary); or a `kerasinit.lottery.Dataset`, whose training part is used; or its
            name: ``"digits"``, ``"mnist"``, a ``.npz`` file.
        steps: Optimizer steps of each training; 1,000 by default.
        seeds: The number of seeds; six by default, the fewest that can show a best choice.
        batch_size: Examples per step; 60 by default.
        evaluate_every: Steps between two measurements; ``steps / 40`` by default.
        target: The loss to which steps are counted. By default (None), the loss that the median
            seed of the leading choice reached after half of the steps.
        validation: The number of held-out examples, on which the loss is measured; by default a
            sixth of all, at most 5,000.
        optimizer: An optimizer that replaces the compiled one for all choices, such as
            ``"sgd:learning_rate=0.1"``; None (default) to use the compiled one.
        stop: Whether to stop choices that are clearly lost; True by default.
        seed: The seed that all random streams are derived from; 0 by default.
        xla: Whether XLA compiles the loop, which is several times faster but rounds differently.
            True by default, except for networks with convolutions on a CPU, where it is slower.
        say: Called with a sentence after each check; None (default) for no messages.

    Returns:
        A `kerasinit.comparison.Comparison`; print it.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: Before any training, if a choice is unknown, repeated, or cannot be applied to
            the model, or the model cannot be trained on the data.

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
    >>> found.setting.held_out, found.verdict.p, found.verdict.rivals[0].ahead
    (20, 0.03125, 6)
    >>> training = found.best.trainings[0]
    >>> training.points[0].loss > found.best.best.median, training.diverged
    (True, False)

    Reference:
        Hung and Fithian, 2019, "Rank verification for exponential families" (which may be called
        best); Karnin, Koren and Somekh, 2013, "Almost optimal exploration in multi-armed bandits";
        Jamieson and Talwalkar, 2016, "Non-stochastic best arm identification and hyperparameter
        optimization" (both stop the worse half at each check; here, only lost choices are stopped).
    """
    for name, number in {"steps": steps, "seeds": seeds, "batch_size": batch_size}.items():
        checked_count(name, number)
    for name, number in {"evaluate_every": evaluate_every, "validation": validation}.items():
        if number is not None:
            checked_count(name, number)
    checked_count("seed", seed, 0)
    if target is not None and (isinstance(target, bool) or not isinstance(target, int | float)):
        raise TypeError(f"Expected target to be a loss, or None; got {target!r}.")
    label, build = _find_build(build)
    by_name, examples = choices_by_name(initializers), examples_of(data)
    training, held_out = examples.split(seed, validation)
    every = min(steps, evaluate_every or max(1, steps // _MEASUREMENTS))
    subject = Subject(
        build,
        examples,
        training,
        held_out,
        optimizer=optimizer,
        seed=seed,
        max_steps=min(every, 1000),
        xla=xla,
    )
    orders = [Order(training, batch_size, seed, trial) for trial in range(seeds)]
    measured = sorted({*range(every, steps, every), steps})
    choices = race(subject, by_name, orders, measured, stop, say or (lambda line: None))
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


def _find_build(build: Any) -> tuple[str, Callable[..., Any]]:
    """Return the name of a build function and the function, imported if it is given by name."""
    if compat.is_layer(build):
        raise TypeError(
            f"Expected build to be a function that returns a compiled model, since each seed "
            f"trains a new one; got the {type(build).__name__} {getattr(build, 'name', '')!r}. Put "
            f"the lines that build and compile it into a function: compare(build, ...)."
        )
    label = build if isinstance(build, str) else models.name_of(build)
    build = models.find(build) if isinstance(build, str) else build
    if not callable(build):
        raise TypeError(
            f"Expected build to be a function that returns a compiled model; got {build!r}."
        )
    return label, build
