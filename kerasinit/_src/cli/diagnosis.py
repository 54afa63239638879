"""The commands ``diagnose`` and ``compare``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
import tyro

from kerasinit._src import compat, errors
from kerasinit._src.compat.fit_loss import has_own_compute_loss
from kerasinit._src.diagnosis.entry import diagnose
from kerasinit._src.files import atomic, keras_models, npz
from kerasinit._src.files.atomic import new_outputs
from kerasinit._src.initializers import identifiers
from kerasinit._src.network import sample_batch
from kerasinit._src.reports import terminal
from kerasinit._src.reports.figures import rendered
from kerasinit._src.training import models


def add_to(commands: tyro.extras.SubcommandApp) -> None:
    """Add ``diagnose`` and ``compare`` to the commands."""
    commands.command(name="diagnose")(_diagnose)
    commands.command(name="compare")(_compare)


def _diagnose(
    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL.keras")],
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None,
    loss: str | None = None,
    labels: bool = True,
    examples: int = 64,
    seed: int = 0,
    html: Annotated[Path | None, tyro.conf.arg(metavar="PAGE")] = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Diagnose whether a saved model will train; exit code 1 if there are findings.

    Args:
        model: a .keras or .h5 file of Keras 3 or tf_keras
        data: examples: x_train or x, and y_train or y; for several inputs or outputs one array
            each, by their names, or x_0, x_1, ... and y_0, y_1, ...; if not given, a batch of
            random numbers
        loss: a loss in place of the compiled one, as in mse or
            sparse_categorical_crossentropy:from_logits=True
        labels: whether to compute the loss of the labels in the file
        examples: the max number of examples
        seed: the seed of random numbers
        html: write a page with findings, figure and layers; to a new file only
        json_: print JSON instead
    """
    outputs = new_outputs({"html": html})
    if examples < 2:
        raise ValueError(f"--examples must be a whole number of at least 2; got {examples}.")
    loaded = keras_models.load_model(model)
    if data is None:
        x, made = sample_batch.random_batch(loaded, examples, seed)
        y, source = None, f"No --data: used a random batch ({made})."
    else:
        x, y = _read(data, loaded, model)
        y = y if labels else None
        source = f"Used {data}{'' if y is None else ', with labels'}."
    if y is None and loss is not None:
        raise ValueError(f"--loss {loss} needs labels: pass --data with y or y_train in it.")
    if y is not None and loss is None and not _has_loss(loaded):
        raise ValueError(
            f"{data} has labels, but {model} is not compiled with a loss. Pass --loss, as in "
            f"--loss mse, or --no-labels."
        )
    chosen = None if loss is None else _loss(loaded, loss)
    try:
        report = diagnose(loaded, x, y, chosen, examples=examples, seed=seed)
    # An error in a layer is not a finding: exit code 1 is for findings only.
    except Exception as error:
        raise ValueError(f"{model} could not be diagnosed. {source} {error}") from error
    if "html" in outputs:
        report.save(outputs["html"], source)
    if json_:
        about = {"model": str(model), "examples": source}
        print(json.dumps(about | json.loads(report.to_json()), indent=2))
    else:
        print(report)
        print(source)
        _print_paths(outputs)
    return 0 if report.ok else 1


def _compare(
    initializers: tuple[str, ...],
    model: str = "lenet-300-100",
    dataset: str = "digits",
    steps: int = 1000,
    seeds: int = 6,
    optimizer: str | None = None,
    batch_size: int = 60,
    evaluate_every: int | None = None,
    validation: int | None = None,
    target: float | None = None,
    stop: bool = True,
    seed: int = 0,
    xla: bool | None = None,
    html: Annotated[Path | None, tyro.conf.arg(metavar="PAGE")] = None,
    png: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Train a model with each of several initializers and seeds, and find the best, if any.

    Args:
        initializers: names separated by commas, as in Zeros,RandomNormal:stddev=0.01,lsuv; also
            within_layer, weight_norm, recommend (what kerasinit recommends for the model), and
            own (the model as built)
        model: lenet-300-100, conv2, conv4, conv6, or package.module:function that returns a
            compiled model
        dataset: digits (offline), mnist or cifar10 (downloaded once), or FILE.npz with x_train,
            y_train, x_test and y_test
        steps: optimizer steps of each training
        seeds: trainings of each initializer; at least 6 are needed to show that one is the best
        optimizer: as in sgd:learning_rate=0.1; if not given, the model's own
        batch_size: examples per optimizer step
        evaluate_every: steps between two measurements; if not given, steps / 40
        validation: training examples held out to measure the loss; if not given, a sixth, at
            most 5000
        target: the loss to count the steps to; if not given, the leader's after half of the steps
        stop: stop choices early that are clearly lost
        seed: the seed of all random numbers; the same seed gives the same results
        xla: compile the training loop with XLA; if not given, except for convolutions on a CPU,
            where it is slower
        html: write a page with verdict, curves and tables; to a new file only
        png: write the learning curves as PNG; to a new file only
        json_: print JSON instead
    """
    # Imported here, so that other commands start faster.
    from kerasinit._src.comparison.entry import compare
    from kerasinit._src.initializers.identifiers import whole_names

    outputs = new_outputs({"html": html, "png": png})
    progress = terminal.console(stderr=True)
    found = compare(
        model,
        whole_names(initializers),
        dataset,
        steps=steps,
        seeds=seeds,
        batch_size=batch_size,
        evaluate_every=evaluate_every,
        target=target,
        validation=validation,
        optimizer=optimizer,
        stop=stop,
        seed=seed,
        xla=xla,
        say=lambda line: terminal.write(progress, line),
    )
    if "html" in outputs:
        found.save(outputs["html"])
    if "png" in outputs:
        atomic.write_new(outputs["png"], rendered(found.plot(), "png"))
    if json_:
        print(found.to_json())
        return 0
    console = terminal.console()
    terminal.show(console, found.table())
    for line in found.said():
        console.print(line)
    _print_paths(outputs)
    return 0


def _has_loss(model: Any) -> bool:
    if not compat.is_compiled(model):
        return False
    return model.loss is not None or has_own_compute_loss(model) or bool(model.losses)


def _loss(model: Any, text: str) -> Any:
    """Return the loss named by ``"mse"`` or ``"huber:delta=2.0"``."""
    library = compat.library_of(model).losses
    name, arguments = identifiers.split(text)
    words = {"True": True, "False": False}
    arguments = {key: words.get(str(value), value) for key, value in arguments.items()}
    classes = {
        compat.snake_case(key): key
        for key, value in vars(library).items()
        if isinstance(value, type) and issubclass(value, library.Loss) and key != "Loss"
    }
    try:
        if not arguments:
            return library.get(name)
        return getattr(library, classes.get(name, name))(**arguments)
    except (AttributeError, TypeError, ValueError) as error:
        functions = {k for k, value in vars(library).items() if callable(value) and k.islower()}
        known = {*classes, *functions, *_SHORT} - {"get", "serialize", "deserialize"}
        if name not in known:
            raise errors.unknown("loss", name, known) from error
        raise ValueError(f"Cannot make the loss {text!r}: {error}") from error


# Names of losses in Keras 3 that are not names of functions in its `losses`.
_SHORT = ("bce", "kld", "mae", "mape", "mse", "msle")


def _read(path: Path, model: Any, label: Path) -> tuple[Any, Any]:
    """Return inputs and labels from a file, the inputs reshaped for the model."""
    there = npz.names_in(path)
    end = "_train" if "x" not in there or "x_train" in there else ""
    inputs = _names(f"x{end}", sample_batch.inputs_of(model), there)
    outputs = _names(f"y{end}", getattr(model, "output_names", None), there)
    names = [*(inputs or []), *(outputs or [])]
    for found, what, tensors in (
        (inputs, "x", sample_batch.inputs_of(model)),
        (outputs, "y", getattr(model, "output_names", None)),
    ):
        single = f"{what}{end}"
        if found is None and (what == "x" or single in there):
            wanted = _named(tensors)
            several = f"{', '.join(wanted)}, or {what}_0, {what}_1, ..."
            raise ValueError(
                f"{path}: expected {several if len(wanted) > 1 else f'{what}_train or {what}'}; it "
                f"has {', '.join(sorted(there))}."
            )

    def check(headers: Mapping[str, npz.Header]) -> None:
        for name, (shape, dtype) in headers.items():
            if not np.issubdtype(dtype, np.number) or not shape:
                raise ValueError(
                    f"{path}: {name} has dtype {dtype} and shape {shape}; expected numbers, "
                    f"examples first."
                )
        if len({shape[0] for shape, _ in headers.values()}) > 1:
            raise ValueError(f"{path}: {' and '.join(names)} must have as many examples.")

    arrays = npz.read(path, names, check)
    # Cast as Keras does, but not scaled: raw pixels may be a finding.
    x = [arrays[name] for name in inputs or []]
    x = [array.astype(np.float32) if array.dtype == np.uint8 else array for array in x]
    y = [arrays[name] for name in outputs or []]
    structure = sample_batch.inputs_of(model)
    if len(x) == 1:
        x = models.fit_shape(model, x[0], str(label))
    elif structure is not None:
        x = tf.nest.pack_sequence_as(structure, x)
    return x, (y[0] if len(y) == 1 else y or None)


def _names(single: str, tensors: Any, there: Any) -> list[str] | None:
    """Return the arrays of a file that are a model's inputs or outputs; None if there are none."""
    flat = tf.nest.flatten(tensors) if tensors is not None else []
    wanted = _named(tensors)
    if wanted and all(name in there for name in wanted):
        return wanted
    numbered = [f"{single[0]}_{number}" for number in range(len(flat))]
    if flat and all(name in there for name in numbered):
        return numbered
    return [single] if single in there and len(flat) <= 1 else None


def _named(tensors: Any) -> list[str]:
    if tensors is None:
        return []
    if isinstance(tensors, Mapping):
        return sorted(tensors)
    names = [getattr(tensor, "name", tensor) for tensor in tf.nest.flatten(tensors)]
    return [str(name).split("/")[0].split(":")[0] for name in names]


def _print_paths(outputs: dict[str, Path]) -> None:
    for what, path in outputs.items():
        terminal.write(terminal.console(), f"{what + ':':6s} {path}")
