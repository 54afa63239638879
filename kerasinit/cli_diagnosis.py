"""The commands ``diagnose`` and ``compare``, a part of the command line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from kerasinit import diagnosis, made_data, npz_files, saved_models, terminal
from kerasinit.comparison import Comparison
from kerasinit.lottery import files, models
from kerasinit.lottery.report.outputs import new_outputs


def add_to(commands: tyro.extras.SubcommandApp) -> None:
    """Add ``diagnose`` and ``compare`` to the commands."""
    commands.command(name="diagnose")(_diagnose)
    commands.command(name="compare")(_compare)


def _diagnose(
    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL.keras")],
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npz")] = None,
    examples: int = 64,
    seed: int = 0,
    html: Annotated[Path | None, tyro.conf.arg(metavar="PAGE")] = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Say whether a saved model will train; exit code 1 if something is wrong.

    Args:
        model: a .keras or .h5 file of Keras 3 or tf_keras
        data: examples: x_train or x, and y_train or y for the compiled loss; if not given, a
            batch is made up of random numbers
        examples: how many examples to look at, at most
        seed: the origin of random numbers
        html: write a page with the layers, the picture and the findings; to a new file only
        json_: print everything for programs instead
    """
    outputs = new_outputs({"html": html})
    if examples < 2:
        raise ValueError(f"--examples must be a whole number of at least 2; got {examples}.")
    loaded = saved_models.load_model(model)
    if data is None:
        x, made = made_data.made_batch(loaded, examples, seed)
        y, said = None, f"No --data: looked at a made-up batch ({made})."
    else:
        x, y = _read(data, loaded, model)
        said = f"Looked at {data}{'' if y is None else ', with labels'}."
    try:
        found = diagnosis.diagnose(loaded, x, y, examples=examples, seed=seed)
    # Whatever a layer raises, it is no finding: exit code 1 is for those alone.
    except Exception as error:
        raise ValueError(f"{model} could not be looked at. {said} {error}") from error
    if "html" in outputs:
        # Whether examples were made up decides what the page is worth.
        files.write_new(outputs["html"], found.to_html(said).encode())
    if json_:
        about = {"model": str(model), "examples": said}
        print(json.dumps(about | json.loads(found.to_json()), indent=2))
    else:
        print(found)
        print(said)
        _name(outputs)
    return 0 if found.ok else 1


def _compare(
    initializers: tuple[str, ...],
    model: str = "lenet-300-100",
    dataset: str = "digits",
    steps: int = 1000,
    seeds: int = 3,
    optimizer: str | None = None,
    batch_size: int = 60,
    evaluate_every: int | None = None,
    validation: int | None = None,
    target: float | None = None,
    stop: bool = True,
    seed: int = 0,
    xla: bool = True,
    html: Annotated[Path | None, tyro.conf.arg(metavar="PAGE")] = None,
    png: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Train each of several initializers with several seeds, and say which trains best.

    Args:
        initializers: names separated by commas, as in Zeros,RandomNormal:stddev=0.01,lsuv; also
            within_layer, weight_norm, and own for the model's own
        model: lenet-300-100, conv2, conv4, conv6, or package.module:function that returns a
            compiled model
        dataset: digits (offline), mnist or cifar10 (downloaded once), or FILE.npz with x_train,
            y_train, x_test and y_test
        steps: optimizer steps of each training
        seeds: trainings of each initializer
        optimizer: as in sgd:learning_rate=0.1; if not given, the model's own
        batch_size: examples in an optimizer step
        evaluate_every: steps between two measurements; if not given: a fortieth of all
        validation: training examples held out to measure the loss; if not given: a sixth, at
            most 5000
        target: the loss to count the steps to; if not given, what the best has at half of the
            steps
        stop: stop early what is clearly lost
        seed: the origin of every random number; the same seed gives the same numbers
        xla: let XLA compile the training loop: several times faster, other rounding
        html: write a page with curves, table and reasons; to a new file only
        png: write the learning curves as PNG; to a new file only
        json_: print everything for programs instead
    """
    # Loaded when it is asked for.
    from kerasinit.comparison import compare
    from kerasinit.lottery.questions.initializer_sweep import whole_names

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
    for name, path in outputs.items():
        content = found.to_html().encode() if name == "html" else _png(found)
        files.write_new(path, content)
    if json_:
        print(found.to_json())
        return 0
    console = terminal.console()
    terminal.show(console, found.table())
    for line in found.said():
        console.print(line)
    _name(outputs)
    return 0


def _png(found: Comparison) -> bytes:
    from kerasinit.lottery.report.plots import rendered

    return rendered(found.plot(), "png")


def _read(path: Path, model: Any, label: Path) -> tuple[Any, Any]:
    """Return inputs and labels of a file, the inputs in the shape that a model takes."""
    there = npz_files.names_in(path)
    end = "_train" if "x" not in there or "x_train" in there else ""
    names = [f"x{end}", *([f"y{end}"] if f"y{end}" in there else [])]

    def check(headers: Mapping[str, npz_files.Header]) -> None:
        for name, (shape, dtype) in headers.items():
            if not np.issubdtype(dtype, np.number) or not shape:
                raise ValueError(
                    f"{path}: {name} has dtype {dtype} and shape {shape}; expected numbers, "
                    f"examples first."
                )
        if len({shape[0] for shape, _ in headers.values()}) > 1:
            raise ValueError(f"{path}: {' and '.join(names)} must have as many examples.")

    arrays = list(npz_files.read(path, names, check).values())
    x, y = arrays[0], arrays[1] if len(arrays) > 1 else None
    if x.dtype == np.uint8:
        # Keras casts what a model takes as floats; looking inside does not. Not scaled: whether
        # raw pixels are too large for the model is a part of the question.
        x = x.astype(np.float32)
    return models.fit_shape(model, x, str(label)), y


def _name(outputs: dict[str, Path]) -> None:
    for what, path in outputs.items():
        terminal.write(terminal.console(), f"{what + ':':6s} {path}")
