"""How long an iteration of a lottery's training takes, beside what else could train it.

    python tests/benchmarks/lottery.py [--data FILE.npz] [--iterations 500] [--rounds 5]

LeNet-300-100, batches of 60, Adam, half of the weights pruned: our loop, Keras 3's ``fit``
as it comes, PyTorch's eager mode with masks (if it is installed) and, as the limit of what
is possible, the five large matrix products of a step alone (NumPy). They take turns, so that a
busy moment of the machine meets all; the medians of the rounds are compared. Without --data,
random images of the shape of MNIST.

Conv-2, Conv-6 and a ResNet-20 on random images of the shape of CIFAR: our loop as it comes, which
XLA does not compile where it has no GPU, and ``fit`` without and with ``jit_compile``, in turns
as well; what is compared is the median of the ratios of neighbours.

Evaluations are not counted. Beside each ratio stands what is asked of it; exits with the number
of those that are not met. Takes ten minutes on two cores.
"""

import argparse
import os
import statistics
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.data import Order
from kerasinit._src.training.paper_networks import conv2, conv6, lenet_300_100
from kerasinit._src.training.trainer import Trainer
from kerasinit.lottery import Dataset, load
from tests.benchmarks.turns import median_ratio

BATCH, RATE = 60, 1.2e-3
OURS = "kerasinit"
# How ``fit`` is told to compile, by how the tables call it. None leaves it to Keras.
FITS = {"Keras 3 fit": None, "Keras 3 fit, XLA": True}
NO_XLA = "kerasinit --no-xla"
FASTER_THAN = {
    NO_XLA: 1.3,
    # From its first step on. A `fit` of 500 steps with its start took 3.5 times as long.
    "Keras 3 fit": 2.8,
    "Keras 3 fit, XLA": 2.0,
    "PyTorch eager, masked": 3.0,
}
OVER_PRODUCTS = 2.2
OVER_FIT = 1.03
CONVOLUTIONAL_ROUNDS = 4, 15
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


def training(model, data, validation, order, xla=None):
    """Return a function that takes some iterations and returns the seconds of one."""
    trainer = Trainer(model, data, validation, xla=xla)
    masks = half(trainer.shapes)

    def run(iterations):
        # All of what a training counts as its steps; evaluations are not compared here.
        trained = trainer.train(masks, order, iterations=iterations, evaluate_every=iterations)
        return trained.seconds / iterations

    return run


def ours(data, order, xla=None):
    """The loop of a lottery, as it comes or told whether XLA compiles it."""
    model = lenet_300_100(data.input_shape, data.num_classes)
    return training(model, data, data.split(0, 0)[1], order, xla)


def keras_fit(data, order, jit=None):
    """The same with ``fit``, dense, since Keras knows no masks."""
    model = lenet_300_100(data.input_shape, data.num_classes)
    return fitting(model, data.x_train.reshape(len(data.x_train), -1), data.y_train, jit)


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


def resnet_20(input_shape, num_classes):
    """ResNet-20 for CIFAR, as a user would write it (He et al., 2016, section 4.2)."""
    layers = keras.layers

    def convolved(x, filters, size=3, strides=1):
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input(input_shape)
    x = layers.ReLU()(convolved(inputs, 16))
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            strides = 2 if stage and not block else 1
            shortcut = convolved(x, filters, 1, strides) if strides > 1 else x
            y = layers.ReLU()(convolved(x, filters, 3, strides))
            x = layers.ReLU()(layers.Add()([convolved(y, filters), shortcut]))
    outputs = layers.Dense(num_classes)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
    return model


def fitting(model, x, y, jit):
    """Return a function that has ``fit`` take some steps, and returns the seconds of one.

    Counted from the first step on: how long ``fit`` takes to begin is not compared.
    """
    if jit is not None:
        model.compile(model.optimizer, model.loss, metrics=["accuracy"], jit_compile=jit)
    clock = {}
    timer = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: clock.setdefault("began", time.perf_counter()),
        on_train_batch_end=lambda batch, logs: clock.update(ended=time.perf_counter()),
    )

    def run(iterations):
        clock.clear()
        some = slice(iterations * BATCH)
        model.fit(x[some], y[some], BATCH, verbose=0, callbacks=[timer])
        return (clock["ended"] - clock["began"]) / min(iterations, len(x) // BATCH)

    return run


def convolutional(build, iterations, rounds, xla=None):
    """Return the milliseconds of a step in each round: ours, by ``fit``, by ``fit`` with XLA.

    Of ours alone if XLA compiles it, which takes long enough.
    """
    rng = np.random.default_rng(0)
    count = (iterations + 2) * BATCH
    x = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    y = np.arange(count) % 10
    data = Dataset(x, y, x[:BATCH], y[:BATCH], name="random")
    positions, validation = data.split(0, 0, BATCH)
    order = Order(positions, BATCH, 0, 0)
    model = build(data.input_shape, data.num_classes)
    runs = {OURS: training(model, data, validation, order, xla)}
    if xla:
        return {OURS: [1e3 * runs[OURS](iterations) for _ in range(rounds)]}
    for name, jit in FITS.items():
        model = build(data.input_shape, data.num_classes)
        runs[name] = fitting(model, data.x_train, data.y_train, jit)
    for run in runs.values():
        run(iterations)  # compiles, and fills the caches
    taken, names = {name: [] for name in runs}, list(runs)
    for _ in range(rounds):
        rng.shuffle(names)
        for name in names:
            taken[name].append(1e3 * runs[name](iterations))
    return taken


def compare_convolutions(iterations, rounds) -> int:
    """Print how our loop compares with ``fit``; return how many ratios are not what is asked."""
    table, missed = Table(title=f"32 x 32 x 3, batch {BATCH}, random images"), 0
    for column in ("", OURS, *FITS, "ours over the better", "95 %", "asked"):
        table.add_column(column, justify="right")
    for name, build in CONVOLUTIONAL.items():
        taken = convolutional(build, iterations, rounds)
        medians = {form: statistics.median(times) for form, times in taken.items()}
        better = min(FITS, key=lambda form: medians[form])
        ratio, low, high = median_ratio(taken[OURS], taken[better])
        missed += ratio > OVER_FIT
        cells = [f"{medians[form]:.1f} ms" for form in (OURS, *FITS)]
        table.add_row(
            name, *cells, f"{ratio:.3f}", f"{low:.3f} to {high:.3f}", f"at most {OVER_FIT}"
        )
    # The first compiles.
    _, seconds = convolutional(conv2, 1, 2, xla=True)[OURS]
    table.add_row("Conv-2, --xla", f"{seconds:.1f} ms", *["" for _ in FITS], "", "", "")
    Console(width=120).print(table)
    return missed


def compare_lenet(file, iterations, rounds) -> int:
    """Print a table for LeNet-300-100; return how many ratios are not what is asked."""
    data = images(file)
    order = Order(data.split(0, 0)[0], BATCH, 0, 0)
    made = {
        OURS: ours,
        NO_XLA: partial(ours, xla=False),
        **{name: partial(keras_fit, jit=jit) for name, jit in FITS.items()},
        "PyTorch eager, masked": torch_eager,
        PRODUCTS: products,
    }
    runs = {name: run for name, make in made.items() if (run := make(data, order))}
    for run in runs.values():
        run(iterations)  # compiles, and fills the caches
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(run(iterations))
    medians = {name: statistics.median(values) for name, values in times.items()}
    table, missed = Table(title=f"LeNet-300-100, batch {BATCH}, {data.name}"), 0
    for column in ("", "ms per iteration", "ratio", "asked"):
        table.add_column(column, justify="right")
    for name, seconds in medians.items():
        cells = [name, f"{1000 * seconds:.3f}", "", ""]
        if name in FASTER_THAN:
            ratio, asked = seconds / medians[OURS], FASTER_THAN[name]
            cells[2:] = f"ours is {ratio:.2f} x faster", f"at least {asked}"
            missed += ratio < asked
        elif name == PRODUCTS:
            ratio = medians[OURS] / seconds
            cells[2:] = f"ours takes {ratio:.2f} x as long", f"at most {OVER_PRODUCTS}"
            missed += ratio > OVER_PRODUCTS
        table.add_row(*cells)
    Console(width=100).print(table)
    if "PyTorch eager, masked" not in runs:
        print("PyTorch is not installed, so it is not compared.")
    return missed


def main() -> None:
    """Print the tables; exit with how many ratios are not what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", help="an .npz file of MNIST; random images if not given")
    parser.add_argument("--iterations", type=int, default=500, help="in a timed round of LeNet")
    parser.add_argument("--rounds", type=int, default=5, help="of LeNet")
    parser.add_argument("--only", choices=("lenet", "convolutions"), help="one of the two tables")
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    missed = 0
    if given.only != "convolutions":
        missed += compare_lenet(given.data, given.iterations, given.rounds)
    if given.only != "lenet":
        missed += compare_convolutions(*CONVOLUTIONAL_ROUNDS)
    sys.exit(missed)


CONVOLUTIONAL = {"Conv-2": conv2, "Conv-6": conv6, "ResNet-20": resnet_20}

if __name__ == "__main__":
    main()
