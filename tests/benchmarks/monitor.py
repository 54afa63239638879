"""What `kerasinit.SignalMonitor` costs at its default interval, as a share of the training.

    python -m tests.benchmarks.monitor [--steps 3000] [--repeat 3]

Trains an MLP 784-300-100-10 and a small convolutional network, batch 60, Adam, in turn with
and without the monitor, which writes CSV and event files. The share is the median over
neighbouring trainings; it means something only on a machine that does nothing else. Beside it
stands what is asked; exits with the number of shares that are above it.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from rich.console import Console
from rich.table import Table

import kerasinit
from tests.benchmarks.pruning import BATCH, mlp, small_convolutions

ASKED = 0.05
EPOCH = 300  # steps


def main() -> None:
    """Print a table; exit with how many shares are above what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--steps", type=int, default=3000, help="steps of a training")
    parser.add_argument("--repeat", type=int, default=3, help="pairs of trainings")
    parser.add_argument("--library", nargs="+", default=["keras", "tf_keras"])
    parser.add_argument("--network", nargs="+", default=["mlp", "small_convolutions"])
    given = parser.parse_args()
    columns = ("Keras", "network", "ms/step", "with monitor", "looks", "ms/look", "share", "asked")
    table = Table(*columns)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for library in (keras, tf_keras):
            for make in (mlp, small_convolutions):
                if library.__name__ in given.library and make.__name__ in given.network:
                    missed += add_row(table, library, make, given, Path(folder))
    Console(width=100).print(table)
    sys.exit(missed)


def add_row(table: Table, library: Any, make: Any, given: Any, folder: Path) -> int:
    """Measure one network; return whether its share is above what is asked."""
    random = np.random.default_rng(0)
    images = random.random((EPOCH * BATCH, 28, 28, 1), dtype="float32")
    labels = random.integers(0, 10, len(images))
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.batch(BATCH, drop_remainder=True).cache().prefetch(2)
    library.utils.set_random_seed(0)
    model = make(library)
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.Adam(1e-3), loss)

    def train(callbacks: list[Any]) -> float:
        start = time.perf_counter()
        epochs = max(1, given.steps // EPOCH)
        model.fit(data, epochs=epochs, callbacks=callbacks, verbose=0)
        return 1e3 * (time.perf_counter() - start) / (epochs * EPOCH)

    model.fit(data, callbacks=[], verbose=0)  # compiles
    plain, monitored, looks, costs = [], [], [], []
    for number in range(given.repeat):
        name = f"{library.__name__}-{make.__name__}-{number}"
        monitor = Timed(images, labels, csv=folder / f"{name}.csv", log_dir=folder / name)
        plain.append(train([]))
        monitored.append(train([monitor]))
        looks.append(len(monitor.history))
        costs += monitor.costs
    pairs = zip(monitored, plain, strict=True)
    share = statistics.median(mine / theirs - 1 for mine, theirs in pairs)
    table.add_row(
        library.__name__,
        make.__name__,
        f"{statistics.median(plain):.3f}",
        f"{statistics.median(monitored):.3f}",
        f"{statistics.median(looks):g}",
        f"{statistics.median(costs):.0f}, first {costs[0]:.0f}",
        f"{share:+.1%}" + (" !" if share > ASKED else ""),
        f"{ASKED:.0%}",
    )
    return share > ASKED


class Timed(kerasinit.SignalMonitor):
    """A monitor that tells what each look took, in milliseconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.costs: list[float] = []

    def _look(self, step: int) -> None:
        start = time.perf_counter()
        super()._look(step)
        self.costs.append(1e3 * (time.perf_counter() - start))


if __name__ == "__main__":
    main()
