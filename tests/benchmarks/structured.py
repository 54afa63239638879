"""Structured pruning to half the multiplications, beside what else could be done.

    python tests/benchmarks/structured.py [--data MNIST.npz] [--seeds 3] [--examples 10000]

A ResNet-20 of a quarter of its width or more, on digits of scikit-learn and, if given, on an
``.npz`` file with ``x_train``, ``y_train``, ``x_test`` and ``y_test``. For each seed it is trained
dense; from there, with as many epochs of fine-tuning each, it is pruned

* structured, by magnitude and by random scores (the control), to half the multiplications;
* unstructured, to as many weights that are not zero as the structured one has left.

The small network that structured pruning found is also trained anew, for as many epochs as the
other had in all: Liu et al. (2019) found that to be as good. Accuracies are on examples that no
training sees, in percent.
"""

import argparse
import gzip
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from kerasinit import pruning, shrinking

BATCH = 64
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="an .npz file with images")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=10000, help="of the file, to train on")
    parser.add_argument("--width", type=int, default=8, help="of the first stage; 16 in the paper")
    parser.add_argument("--round-to", type=int, default=2)
    parser.add_argument("--epochs", type=int, nargs=2, default=(6, 5), help="dense and fine-tuning")
    parser.add_argument(
        "--digits-epochs", type=int, nargs=2, default=(30, 20), help="the same for the digits"
    )
    given = parser.parse_args()
    # Where a network is not built for its schedule, pruning says so.
    warnings.filterwarnings("error", message="Pruning: ", category=UserWarning)
    # Every model is traced once, which TensorFlow takes for one that is traced again and again.
    tf.get_logger().setLevel("ERROR")
    console = Console(width=110)
    runs = [("digits", digits(), given.digits_epochs)]
    if given.data is not None:
        runs.append((given.data.stem, from_file(given.data, given.examples), given.epochs))
    for name, data, epochs in runs:
        start = time.perf_counter()
        rows = [
            compared(data, epochs, seed, given.width, given.round_to) for seed in range(given.seeds)
        ]
        console.print(tabulated(f"{name}, {len(data[0])} examples, epochs {tuple(epochs)}", rows))
        console.print(f"{time.perf_counter() - start:.0f} s")


def digits() -> Data:
    """Return the digits of scikit-learn, a fifth of them for the test."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x.reshape(-1, 8, 8, 1) / 16).astype("float32")[order], y[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def from_file(path: Path, examples: int) -> Data:
    """Return images from a file."""
    with np.load(path) as file:
        x, y, x_test, y_test = (file[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    order = np.random.default_rng(0).permutation(len(x))[:examples]
    x, x_test = ((one / 255).astype("float32") for one in (x[order], x_test))
    if x.ndim == 3:
        x, x_test = x[..., None], x_test[..., None]
    return x, y[order].ravel(), x_test, y_test.ravel()


def resnet_20(shape: tuple[int, ...], classes: int, width: int) -> Any:
    """Return a ResNet-20 for small images (He et al., 2016), with projections."""
    layers = keras.layers

    def convolved(one: Any, filters: int, size: int, stride: int) -> Any:
        one = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(one)
        return layers.BatchNormalization(momentum=0.9)(one)

    inputs = keras.Input(shape)
    one = layers.ReLU()(convolved(inputs, width, 3, 1))
    for stage in range(3):
        for block in range(3):
            stride = 2 if stage and not block else 1
            filters = width * 2**stage
            inner = layers.ReLU()(convolved(one, filters, 3, stride))
            inner = convolved(inner, filters, 3, 1)
            if one.shape[-1] != filters:
                one = convolved(one, filters, 1, stride)
            one = layers.ReLU()(layers.Add()([inner, one]))
    one = layers.GlobalAveragePooling2D()(one)
    return keras.Model(inputs, layers.Dense(classes, name="head")(one))


def compared(data: Data, epochs: Any, seed: int, width: int, round_to: int) -> dict[str, Any]:
    """Return what each way brings, with one seed, as (accuracy, multiplications, ...)."""
    first, tuning = epochs
    keras.utils.set_random_seed(seed)
    model = resnet_20(data[0].shape[1:], int(data[1].max()) + 1, width)
    trained(model, data, first)
    weights = model.get_weights()
    dense = shrinking.count(model)
    found = {"dense": measured(model, data, dense)}
    trained(model, data, tuning)
    found["dense, trained on"] = measured(model, data, dense)
    steps = tuning * -(-len(data[0]) // BATCH)
    # Channels fade out over the first half of the fine-tuning.
    frequency = max(1, steps // 20)
    schedule = pruning.PolynomialDecay(0.0, 0.5, 0, 10 * frequency, frequency=frequency)
    for importance in ("magnitude", "random"):
        model.set_weights(weights)
        plan = shrinking.structured(
            model, {"macs": 0.5}, importance=importance, round_to=round_to, seed=seed
        )
        trained(model, data, tuning, shrinking.StructuredPruning(plan, schedule))
        small = shrinking.compact(model)
        found[f"structured, {importance}"] = measured(small, data, dense)
        if importance == "magnitude":
            keras.utils.set_random_seed(seed + 100)
            anew = keras.models.clone_model(small)
            left = shrinking.count(small).parameters
            found["the same shape, trained anew"] = measured(
                trained(anew, data, first + tuning), data, dense
            )
    model.set_weights(weights)
    kernels = sum(weight.variable.numpy().size for weight in pruning.prunable_weights(model))
    sparsity = (dense.parameters - left) / kernels
    sparse = pruning.PolynomialDecay(0.0, sparsity, 0, 10 * frequency, frequency=frequency)
    pruning.prune_low_magnitude(model, sparse)
    trained(model, data, tuning, pruning.UpdatePruningStep())
    pruning.strip_pruning(model)
    found["unstructured, as many weights"] = measured(model, data, dense)
    return found


def trained(model: Any, data: Data, epochs: int, *callbacks: Any) -> Any:
    """Train a model with a learning rate that falls to zero, and return it."""
    steps = epochs * -(-len(data[0]) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(data[0], data[1], BATCH, epochs, verbose=0, callbacks=[*callbacks])
    return model


def measured(model: Any, data: Data, dense: Any) -> tuple[float, float, int, int]:
    """Return accuracy, fraction of multiplications, weights that are not zero, zipped bytes."""
    outputs = model.predict(data[2], batch_size=256, verbose=0)
    counts = shrinking.count(model)
    zipped = gzip.compress(b"".join(one.tobytes() for one in model.get_weights()), 6)
    accuracy = 100 * float((outputs.argmax(-1) == data[3]).mean())
    return accuracy, counts.macs / dense.macs, counts.nonzeros, len(zipped)


def tabulated(title: str, rows: list[dict[str, Any]]) -> Table:
    """Return a table of means over seeds, and what each loses against the dense network."""
    table = Table(title=title)
    for head in (
        "",
        "accuracy, %",
        "of each seed",
        "lost, points",
        "MACs",
        "non-zeros",
        "gzip, kB",
    ):
        table.add_column(head, justify="right" if head else "left")
    dense = np.array([row["dense"][0] for row in rows])
    for name in rows[0]:
        values = np.array([row[name] for row in rows], dtype="float64")
        accuracies = values[:, 0]
        table.add_row(
            name,
            f"{accuracies.mean():.2f}",
            " ".join(f"{one:.2f}" for one in accuracies),
            f"{(dense - accuracies).mean():+.2f}",
            f"{values[:, 1].mean():.3f}",
            f"{values[:, 2].mean():,.0f}",
            f"{values[:, 3].mean() / 1000:.1f}",
        )
    return table


if __name__ == "__main__":
    main()
