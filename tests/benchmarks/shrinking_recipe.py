"""The whole way from a dense network to a small int8 file, with what each step costs and brings.

    python tests/benchmarks/shrinking_recipe.py [DATA.npz] [--epochs 8] [--seeds 3] [--width 32]

A convolutional network is trained on scikit-learn's digits, or on the images of a file with
x_train, y_train, x_test and y_test; cut to half of its multiplications while it trains on;
compacted; distilled from the dense one; and exported to int8. Prints one Markdown table: accuracy
on the test images (the mean over the seeds), weights, multiplications, the size of the LiteRT file,
and its latency for one image on one thread. Each of the three trainings takes ``--epochs``.

Two lines are there for comparison: the dense network as an int8 file, which is what quantization
brings alone, and the compact one trained on the labels alone for as long as the distilled one. The
times mean something only where nothing else runs; those of a table ran in turn in one process.
"""

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from kerasinit import pruning, shrinking
from kerasinit._src.shrinking import runners
from kerasinit._src.shrinking.model_arrays import model_inputs
from kerasinit._src.training.data import Dataset, load

BATCH = 64
CALIBRATION = 200
ROUND_TO = 16  # what XNNPACK's kernels for AVX-512 compute at once, see shrunk_latency.py


@dataclass(frozen=True)
class Step:
    """One model on the way.

    Attributes:
        name: What was done last.
        model: The model.
        accuracy: Its accuracy on the test images, as a fraction.
        quantize: How its LiteRT file is quantized.
        difference: The largest difference of its outputs from those of the model that it was made
            from, divided by the largest of these; None after training.
        export: What `export` says of the file; None where none was written.
    """

    name: str
    model: Any
    accuracy: float
    quantize: str | None = None
    difference: float | None = None
    export: shrinking.Export | None = None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", nargs="?", default="digits", help="FILE.npz; scikit-learn's digits")
    parser.add_argument("--epochs", type=int, default=8, help="of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=32, help="filters of the first stage")
    parser.add_argument("--seconds", type=float, default=10.0, help="of timing")
    given = parser.parse_args()
    data = images(load(given.data))
    runs = []
    for seed in range(given.seeds):
        runs.append(list(recipe(data, given.epochs, given.width, seed)))
        found = ", ".join(f"{step.name} {step.accuracy:.2%}" for step in runs[-1])
        print(f"seed {seed}: {found}", flush=True)
    print(
        f"\n{data.name}, {len(data.x_train)} images, {given.epochs} epochs, {given.seeds} seeds\n"
    )
    print(table(runs, data.x_test, data.x_train[:CALIBRATION], given.seconds))


def images(data: Dataset) -> Dataset:
    """Return a data set of images with an axis for the colours; flat ones are square."""
    size = math.isqrt(data.x_train[0].size)
    shape = (size, size, 1) if data.x_train.ndim < 4 else data.x_train.shape[1:]
    x_train, x_test = (one.reshape(-1, *shape) for one in (data.x_train, data.x_test))
    return Dataset(x_train, data.y_train, x_test, data.y_test, name=data.name)


def network(shape: tuple[int, ...], classes: int, width: int) -> Any:
    """Return two stages of two convolutions each, with batch normalization; outputs are logits."""
    layers = keras.layers
    x = inputs = keras.Input(shape)
    for filters in (width, 2 * width):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(4 * width, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="dense")


def recipe(
    data: Dataset, epochs: int, width: int, seed: int, round_to: int = ROUND_TO
) -> Iterator[Step]:
    """Yield the steps of the recipe, and those beside it that it is compared with."""
    keras.utils.set_random_seed(seed)
    dense = network(data.x_train.shape[1:], int(data.y_train.max()) + 1, width)
    fit(dense, data, epochs)
    yield Step("dense", dense, accuracy(dense, data))
    yield int8("dense, int8", dense, data)

    pruned = copy_of(dense)
    structured(pruned, data, epochs, round_to)
    yield Step("structured", pruned, accuracy(pruned, data))

    small = shrinking.compact(pruned)
    changed = difference(pruned, small, data.x_test)
    yield Step("compact", small, accuracy(small, data), difference=changed)

    tuned = copy_of(small)
    fit(tuned, data, epochs)
    yield Step("compact, labels alone", tuned, accuracy(tuned, data))

    distilled = copy_of(small)
    distil(dense, distilled, data, epochs)
    yield Step("distilled", distilled, accuracy(distilled, data))
    yield int8("distilled, int8", distilled, data)


def fit(model: Any, data: Dataset, epochs: int, callbacks: Any = ()) -> None:
    """Train a model on the labels."""
    model.compile(optimizer(data, epochs), loss(), jit_compile=False)
    model.fit(
        data.x_train, data.y_train, BATCH, epochs, verbose=0, callbacks=list(callbacks)
    )  # fmt: skip


def optimizer(data: Dataset, epochs: int) -> Any:
    """Return Adam, whose learning rate falls to zero over the epochs."""
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps(data, epochs)))


def loss() -> Any:
    """Return the loss on the labels."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def steps(data: Dataset, epochs: int) -> int:
    """Return the number of updates in some epochs."""
    return epochs * -(-len(data.x_train) // BATCH)


def structured(model: Any, data: Dataset, epochs: int, round_to: int) -> None:
    """Remove channels in the first half of a training, to half of the multiplications."""
    plan = shrinking.structured(model, {"macs": 0.5}, round_to=round_to)
    every = max(1, steps(data, epochs) // 20)
    schedule = pruning.PolynomialDecay(0.0, 0.5, 0, end_step=10 * every, frequency=every)
    fit(model, data, epochs, [shrinking.StructuredPruning(plan, schedule)])


def distil(teacher: Any, student: Any, data: Dataset, epochs: int) -> None:
    """Train a model on the labels and on what the dense one answers."""
    # Keras 3.15 applies a softmax to the logits for an instance of this loss, not for its name.
    soft = keras.distillation.LogitsDistillation(3.0, keras.losses.KLDivergence())
    distiller = keras.distillation.Distiller(teacher, student, soft, student_loss_weight=0.5)
    distiller.compile(optimizer(data, epochs), loss(), jit_compile=False)
    distiller.fit(data.x_train, data.y_train, BATCH, epochs, verbose=0)


def copy_of(model: Any) -> Any:
    """Return another model with the same weights."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def accuracy(model: Any, data: Dataset) -> float:
    """Return the accuracy on the test images."""
    return right(model.predict(data.x_test, 256, verbose=0), data.y_test)


def right(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of right answers."""
    return float(np.mean(logits.argmax(-1) == labels))


def int8(name: str, model: Any, data: Dataset) -> Step:
    """Return the step from a model to its int8 file, with the accuracy of that file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        export = shrinking.export(
            model, path, quantize="int8", representative_data=data.x_train[:CALIBRATION]
        )
        prepared = runners.litert_runner(path.read_bytes(), model_inputs(model, data.x_test))
    prepared.run()
    accuracy = right(np.array(prepared.outputs()[0]), data.y_test)
    return Step(name, model, accuracy, "int8", export.relative, export)


def difference(before: Any, after: Any, x: np.ndarray) -> float:
    """Return the largest difference of two models' outputs, as a fraction of the largest output."""
    expected, found = (one.predict(x, 256, verbose=0) for one in (before, after))
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def table(runs: list[list[Step]], x: np.ndarray, representative: np.ndarray, seconds: float) -> str:
    """Return the table of some runs, with the sizes and latencies of the first."""
    first = runs[0]
    # A model and its int8 file are two steps.
    models = list({id(step.model): step.model for step in first}.values())
    measured = shrinking.footprint(
        *models,
        x=x[:1],
        names=tuple(map(str, range(len(models)))),
        runtimes=("litert-float", "litert-int8"),
        threads=(1,),
        seconds=seconds,
        representative_data=representative,
    )
    lines = [
        "| step | accuracy | weights | MACs | bytes | gzipped | latency, µs | to dense |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    dense = measured[0].latency("litert-float").seconds
    for place, step in enumerate(first):
        row = measured[next(i for i, one in enumerate(models) if one is step.model)]
        runtime = f"litert-{step.quantize or 'float'}"
        file, time = row.file(runtime), row.latency(runtime)
        accuracies = [run[place].accuracy for run in runs]
        lines.append(
            f"| {step.name} | {np.mean(accuracies):.2%} | {row.parameters:,} | {row.macs:,} "
            f"| {file.bytes:,} | {file.gzipped:,} "
            f"| {1e6 * time.seconds:.1f} [{1e6 * time.low:.1f}, {1e6 * time.high:.1f}] "
            f"| {time.seconds / dense:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
