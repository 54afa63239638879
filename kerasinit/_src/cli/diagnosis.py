"""The commands ``diagnose`` and ``compare``."""

import json
from pathlib import Path
from typing import Annotated

import tyro

from kerasinit._src.files import atomic
from kerasinit._src.files.atomic import new_outputs
from kerasinit._src.reports import terminal
from kerasinit._src.reports.figures import rendered


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
    # What imports a framework is imported here and below, so that other commands start faster.
    from kerasinit._src.cli import model_inputs
    from kerasinit._src.diagnosis.entry import diagnose
    from kerasinit._src.files import keras_models
    from kerasinit._src.network import sample_batch

    loaded = keras_models.load_model(model)
    if data is None:
        x, made = sample_batch.random_batch(loaded, examples, seed)
        y, source = None, f"No --data: used a random batch ({made})."
    else:
        x, y = model_inputs.read_batch(data, loaded, model)
        y = y if labels else None
        source = f"Used {data}{'' if y is None else ', with labels'}."
    if y is None and loss is not None:
        raise ValueError(f"--loss {loss} needs labels: pass --data with y or y_train in it.")
    if y is not None and loss is None and not model_inputs.has_loss(loaded):
        raise ValueError(
            f"{data} has labels, but {model} is not compiled with a loss. Pass --loss, as in "
            f"--loss mse, or --no-labels."
        )
    chosen = None if loss is None else model_inputs.loss_named(loaded, loss)
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


def _print_paths(outputs: dict[str, Path]) -> None:
    for what, path in outputs.items():
        terminal.write(terminal.console(), f"{what + ':':6s} {path}")
