"""What ``shrink`` and ``footprint`` do with saved models."""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasinit._src import compat, streams
from kerasinit._src.cli import model_inputs
from kerasinit._src.compat import optimizers
from kerasinit._src.compat.fit_loss import FitLoss
from kerasinit._src.compat.restore import restored
from kerasinit._src.files import atomic, keras_models
from kerasinit._src.initializers import identifiers
from kerasinit._src.network import sample_batch
from kerasinit._src.network.trace import raised
from kerasinit._src.pruning.schedules import PolynomialDecay
from kerasinit._src.reports import base
from kerasinit._src.shrinking.compaction import compact
from kerasinit._src.shrinking.footprints import Footprint
from kerasinit._src.shrinking.measuring import footprint
from kerasinit._src.shrinking.planning import structured
from kerasinit._src.shrinking.removal_plan import Plan
from kerasinit._src.shrinking.structured_masks import StructuredPruning

# Enough to rank channels on, and few enough to do so several times.
_RANKED = 256
# How often channels are chosen again while they fade out.
_UPDATES = 20
_TRAINING_ERRORS = (ValueError, TypeError, KeyError, IndexError, tf.errors.OpError)

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Options:
    """How a model is made smaller.

    Attributes:
        targets: The fraction of each cost to keep.
        ratios: The fraction to remove from layers by name.
        data: The file of the examples; None for none.
        epochs: The passes over them; 0 to remove channels at once.
        batch_size: The number of examples in an optimizer step.
        loss: A loss in place of the compiled one.
        optimizer: An optimizer in place of the compiled one.
        metrics: Metrics in place of the compiled ones; none for these.
        plan: Further arguments of `structured`.
        seed: The seed.
        compact_only: Whether only dead channels are removed.
    """

    targets: Mapping[str, float]
    ratios: Mapping[str, float]
    data: Path | None
    epochs: int
    batch_size: int
    loss: str | None
    optimizer: str | None
    metrics: Sequence[str]
    plan: Mapping[str, Any]
    seed: int
    compact_only: bool


@dataclass(frozen=True)
class Evaluation(base.Report):
    """The loss and metrics on test examples, before and after.

    Attributes:
        examples: The number of examples.
        before: The loss and metrics of the given model, by their names.
        after: Those of the smaller one.
    """

    examples: int
    before: dict[str, float]
    after: dict[str, float]


@base.text.register(Evaluation)
def _text(found: Evaluation) -> str:
    lines = [
        f"{name:12s} {value:9.4f} -> {found.after[name]:9.4f}"
        for name, value in found.before.items()
        if name in found.after
    ]
    return "\n".join([f"On {found.examples:,} test examples, before and after:", *lines])


def measure(paths: Sequence[Path], data: Path | None, batch_size: int, **options: Any) -> Footprint:
    """Return the footprint of saved models, with examples from a file."""
    models = [keras_models.load_model(path, compiled=False) for path in paths]
    x = representative = None
    if data is not None:
        representative, _ = model_inputs.read_batch(data, models[0], paths[0])
        x = _first(representative, batch_size)
        representative = _sample(representative, 0)
    elif batch_size > 1:
        x, _ = sample_batch.random_batch(models[0], batch_size, 0)
    names = [str(path) for path in paths]
    return footprint(*models, x=x, names=names, representative_data=representative, **options)


def shrink(
    path: Path, out: Path, options: Options, show: Callable[[Any], Any], say: Say
) -> dict[str, Any]:
    """Make a smaller model of a saved one, write it, and return all results as JSON.

    Args:
        path: The file of the model.
        out: The new file.
        options: How.
        show: Called with each result, in order: the plan, the evaluation, the footprint.
        say: Called with each line on the progress.
    """
    model = keras_models.load_model(path)
    found: dict[str, Any] = {"model": str(path), "out": str(out)}
    x, y, test = _examples(model, path, options)
    _compile(model, path, options, x, y)
    before = _evaluate(model, test, options)
    if options.compact_only:
        small = compact(model)
    else:
        plan = _planned(model, options, x, y)
        show(plan)
        if options.epochs:
            planned, plan = plan, _trained(model, plan, options, x, y, say)
            if plan.removed != planned.removed:
                show("Chosen again from the weights during training:")
                show(plan)
        found["plan"] = plan.to_dict()
        small = _without_planned(model, plan)
    after = _evaluate(small, test, options)
    if before and after:
        evaluation = Evaluation(_size(test), before, after)
        found["evaluation"] = evaluation.to_dict()
        show(evaluation)
    # The model as it is in its file: training has changed this one.
    costs = footprint(
        keras_models.load_model(path, compiled=False),
        small,
        names=[str(path), str(out)],
        latency=False,
    )
    found["footprint"] = costs.to_dict()
    show(costs)
    _write(small, out)
    return base.as_json(found)


def _examples(model: Any, path: Path, options: Options) -> tuple[Any, Any, Any]:
    """Return inputs and labels to train on, and test examples; None for what there is not."""
    if options.data is None:
        return None, None, None
    x, y = model_inputs.read_batch(options.data, model, path)
    if y is None and options.epochs and not options.compact_only:
        raise ValueError(
            f"{options.data} has no labels to train with: save y_train, or y, in it; or pass "
            f"--epochs 0 to remove channels without training."
        )
    return x, y, model_inputs.read_test_batch(options.data, model, path)


def _compile(model: Any, path: Path, options: Options, x: Any, y: Any) -> None:
    """Compile a model with what was chosen, and check that its loss fits the labels."""
    if options.loss is not None or options.metrics:
        _recompile(model, path, options)
    if options.optimizer is not None and compat.is_compiled(model):
        optimizers.replace_optimizer(model, *identifiers.split(options.optimizer))
    if y is None or options.compact_only:
        return
    if not model_inputs.has_loss(model):
        if not options.epochs:
            return
        raise ValueError(
            f"{path} is not compiled with a loss to train with. Pass --loss, as in --loss mse, or "
            f"--epochs 0 to remove channels without training."
        )
    try:
        few_x, few_y = (
            keras.tree.map_structure(tf.convert_to_tensor, _first(one, 2)) for one in (x, y)
        )
        with restored(model):
            FitLoss(model)(few_x, few_y, model(few_x, training=False), training=False)
    except _TRAINING_ERRORS as error:
        raise ValueError(f"{path} and {options.data} do not fit: {raised(error)}") from error


def _recompile(model: Any, path: Path, options: Options) -> None:
    compiled = compat.is_compiled(model)
    config = dict(model.get_compile_config() or {}) if compiled else {}
    loss = model.loss if compiled else None
    if options.loss is not None:
        loss = model_inputs.loss_named(model, options.loss)
    if loss is None:
        raise ValueError(f"{path} is not compiled with a loss. Pass --loss, as in --loss mse.")
    metrics = config.get("metrics")
    if options.metrics:
        metrics = list(options.metrics)
    elif not (isinstance(metrics, list) and all(isinstance(one, str) for one in metrics)):
        metrics = None
    model.compile(
        model.optimizer if compiled else "adam",
        loss,
        loss_weights=config.get("loss_weights"),
        metrics=metrics,
    )


def _planned(model: Any, options: Options, x: Any, y: Any) -> Plan:
    """Return the plan, ranked on some of the examples where the importance asks for them."""
    if options.plan["importance"] not in ("taylor", "activation"):
        x = y = None
    elif x is None:
        raise ValueError(
            f"--importance {options.plan['importance']} ranks channels on examples: pass --data "
            f"FILE.npz."
        )
    return structured(
        model,
        options.targets or None,
        ratios=options.ratios or None,
        x=None if x is None else _sample(x, options.seed),
        y=None if y is None else _sample(y, options.seed),
        seed=options.seed,
        **options.plan,
    )


def _without_planned(model: Any, plan: Plan) -> Any:
    """Return a model without the channels of a plan; those of the given one are set to zero."""
    if plan.inexact:
        return plan.cut(model)
    plan.apply(model)
    return compact(model)


def _trained(model: Any, plan: Plan, options: Options, x: Any, y: Any, say: Say) -> Plan:
    """Train a model while the channels of a plan fade out, and return the plan as it was done."""
    steps = options.epochs * math.ceil(_size(x) / options.batch_size)
    schedule = fading(steps)
    say(
        f"Training for {options.epochs} epochs, {steps} steps: channels fade out up to step "
        f"{schedule.end_step}; the rest fine-tunes."
    )
    callback = StructuredPruning(plan, schedule)
    library = compat.library_of(model)

    def on_epoch_end(epoch: int, logs: Mapping[str, float] | None = None) -> None:
        values = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        left = ", ".join(f"{one.name} {one.ratio:.3f}" for one in callback.plan.costs[:2])
        say(f"epoch {epoch + 1} of {options.epochs}: {values}; left: {left}")

    callbacks = [callback, library.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)]
    try:
        with compat.global_stream(options.seed, "shrink"):
            model.fit(
                x,
                y,
                batch_size=options.batch_size,
                epochs=options.epochs,
                verbose=0,
                callbacks=callbacks,
            )
    except _TRAINING_ERRORS as error:
        raise ValueError(
            f"The model could not be trained on {options.data}: {raised(error)}"
        ) from error
    return callback.plan


def fading(steps: int) -> PolynomialDecay:
    """Return the schedule that removes channels over the first half of a training.

    Args:
        steps: The steps of the training.

    Example:
    >>> schedule = fading(300)
    >>> schedule.end_step, schedule.frequency
    (147, 7)
    """
    last = max(1, steps // 2)
    frequency = max(1, last // _UPDATES)
    # The last update is at the end step only if that is a multiple.
    end = last - last % frequency
    return PolynomialDecay(0.0, 0.5, begin_step=0, end_step=end, frequency=frequency)


def _evaluate(model: Any, test: Any, options: Options) -> dict[str, float] | None:
    """Return the loss and metrics on the test examples, if there are any, and a loss."""
    if test is None or not model_inputs.has_loss(model):
        return None
    x, y = test
    try:
        found = model.evaluate(x, y, batch_size=options.batch_size, verbose=0, return_dict=True)
    except _TRAINING_ERRORS as error:
        raise ValueError(
            f"The model could not be evaluated on {options.data}: {raised(error)}"
        ) from error
    return {name: float(value) for name, value in found.items()}


def _size(values: Any) -> int:
    return len(keras.tree.flatten(values)[0])


def _first(values: Any, number: int) -> Any:
    return keras.tree.map_structure(lambda one: one[:number], values)


def _sample(values: Any, seed: int) -> Any:
    """Return some of the examples, the same ones of each array; files are often sorted by class."""
    order = streams.generator(seed, "shrink", "sample").permutation(_size(values))[:_RANKED]
    return keras.tree.map_structure(lambda one: one[order], values)


def _write(model: Any, out: Path) -> None:
    """Write a model under its final name at once; an existing file is never replaced."""
    with atomic.reporting_full_disk(out.parent), tempfile.TemporaryDirectory() as folder:
        path = Path(folder, out.name)
        model.save(path)
        atomic.write_new(out, path.read_bytes())
