"""How long an iteration of a lottery's training takes, beside what else could train it.

    python tests/benchmarks/lottery.py [--data FILE.npz] [--iterations 500] [--rounds 5]

LeNet-300-100, batches of 60, Adam, half of the weights pruned: our loop, Keras 3's ``fit``
as it comes, PyTorch's eager mode with masks (if it is installed) and, as the limit of what
is possible, the five large matrix products of a step alone (NumPy). They take turns, so that a
busy moment of the machine meets all; the medians of the rounds are compared. Without --data,
random images of the shape of MNIST. Beside each ratio stands what is asked of it; exits with
the number of those that are not met.
"""

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from kerasinit.lottery import Dataset, load
from kerasinit.lottery.data import Order
from kerasinit.lottery.networks import lenet_300_100
from kerasinit.lottery.trainer import Trainer
from kerasinit.masks import Masks

BATCH, RATE = 60, 1.2e-3
FASTER_THAN = {"Keras 3 fit": 3.5, "PyTorch eager, masked": 3.0}
OVER_PRODUCTS = 2.2
PRODUCTS = "five matrix products"


def images(file: str | None) -> Dataset:
    """Return the examples of a file, or random ones of MNIST's shape."""
    if file:
        return load(file)
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for n in (60_000, 10_000)]
    y = [rng.integers(0, 10, len(part)) for part in x]
    return Dataset(x[0], y[0], x[1], y[1], name="random")


def half(shapes):
    """Return masks that remove half of each kernel."""
    rng = np.random.default_rng(0)
    return Masks({name: rng.random(shape) < 0.5 for name, shape in shapes.items()})


def ours(data, order):
    """Return a function that takes some iterations and returns the seconds of one."""
    _, validation = data.split(0, 0)
    trainer = Trainer(lenet_300_100(data.input_shape, data.num_classes), data, validation)
    masks = half(trainer.shapes)

    def run(iterations):
        # All of what a training counts as its steps; evaluations are not compared here.
        trained = trainer.train(masks, order, iterations=iterations, evaluate_every=iterations)
        return trained.seconds / iterations

    return run


def keras_fit(data, order):
    """The same with ``fit``, dense, since Keras knows no masks."""
    model = lenet_300_100(data.input_shape, data.num_classes)
    x = data.x_train.reshape(len(data.x_train), -1)

    def run(iterations):
        began = time.perf_counter()
        model.fit(x[: iterations * BATCH], data.y_train[: iterations * BATCH], BATCH, verbose=0)
        return (time.perf_counter() - began) / min(iterations, len(x) // BATCH)

    return run


def torch_eager(data, order):
    """The same in PyTorch, as lottery code does it; None if it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    layers = [torch.nn.Linear(a, b) for a, b in ((784, 300), (300, 100), (100, 10))]
    network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    masks = [(torch.rand_like(layer.weight) < 0.5).float() for layer in layers]
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    loss_of = torch.nn.CrossEntropyLoss()
    x = torch.from_numpy(data.x_train.reshape(len(data.x_train), -1))
    y = torch.from_numpy(data.y_train.astype(np.int64))

    def run(iterations):
        batches = torch.from_numpy(order.batches(0, iterations).astype(np.int64))
        began = time.perf_counter()
        for batch in batches:
            optimizer.zero_grad()
            loss_of(network(x[batch]), y[batch]).backward()
            for layer, mask in zip(layers, masks, strict=True):
                layer.weight.grad.mul_(mask)
            optimizer.step()
            with torch.no_grad():
                for layer, mask in zip(layers, masks, strict=True):
                    layer.weight.mul_(mask)
        return (time.perf_counter() - began) / iterations

    return run


def products(data, order):
    """The products with the two large kernels: forward, and backward for what needs it."""
    rng = np.random.default_rng(0)
    x, h, w1, w2, d1, d2 = (
        rng.random(shape, dtype=np.float32)
        for shape in (
            (BATCH, 784),
            (BATCH, 300),
            (784, 300),
            (300, 100),
            (BATCH, 300),
            (BATCH, 100),
        )
    )

    def run(iterations):
        began = time.perf_counter()
        for _ in range(iterations):
            x @ w1, h @ w2, x.T @ d1, h.T @ d2, d2 @ w2.T
        return (time.perf_counter() - began) / iterations

    return run


def main() -> None:
    """Print a table; exit with how many ratios are not what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", help="an .npz file of MNIST; random images if not given")
    parser.add_argument("--iterations", type=int, default=500, help="in a timed round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    data = images(given.data)
    order = Order(data.split(0, 0)[0], BATCH, 0, 0)
    made = {
        "kerasinit": ours,
        "Keras 3 fit": keras_fit,
        "PyTorch eager, masked": torch_eager,
        PRODUCTS: products,
    }
    runs = {name: run for name, make in made.items() if (run := make(data, order))}
    for run in runs.values():
        run(given.iterations)  # compiles, and fills the caches
    times = {name: [] for name in runs}
    for _ in range(given.rounds):
        for name, run in runs.items():
            times[name].append(run(given.iterations))
    medians = {name: statistics.median(values) for name, values in times.items()}
    table, missed = Table(title=f"LeNet-300-100, batch {BATCH}, {data.name}"), 0
    for column in ("", "ms per iteration", "ratio", "asked"):
        table.add_column(column, justify="right")
    for name, seconds in medians.items():
        cells = [name, f"{1000 * seconds:.3f}", "", ""]
        if name in FASTER_THAN:
            ratio, asked = seconds / medians["kerasinit"], FASTER_THAN[name]
            cells[2:] = f"ours is {ratio:.2f} x faster", f"at least {asked}"
            missed += ratio < asked
        elif name == PRODUCTS:
            ratio = medians["kerasinit"] / seconds
            cells[2:] = f"ours takes {ratio:.2f} x as long", f"at most {OVER_PRODUCTS}"
            missed += ratio > OVER_PRODUCTS
        table.add_row(*cells)
    Console(width=100).print(table)
    if "PyTorch eager, masked" not in runs:
        print("PyTorch is not installed, so it is not compared.")
    sys.exit(missed)


if __name__ == "__main__":
    main()
