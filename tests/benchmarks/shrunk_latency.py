"""How much faster a network is at half of its multiplications, and how long cutting it takes.

    python tests/benchmarks/shrunk_latency.py [--loads 5] [--round-to 1 8 16] [--networks vgg]

A VGG-like network and a ResNet-20 for images of 32x32x3, with random weights, are cut to half of
their multiplications by `structured` and `compact`, with widths that are multiples of each
``--round-to``. Prints their latencies as ratios to the dense network: LiteRT, float and int8, for
one image on one thread; and the compiled call of Keras, for a batch of 256 on all processors. All
networks of a line run in turn within one process. Each time that it is loaded, a file settles at
one of a few speeds, up to a quarter apart, so it is loaded several times: a cell has the median,
the smallest and the largest ratio. The required ratio is 0.65, with the best of the multiples: a
user chooses the one that suits the runtime.

At last MobileNetV2 for images of 224x224x3 is read, planned and cut to half; reading and cutting
may take 15 seconds. Exits with 1 if a bar is missed. What the networks compute doesn't matter here.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from kerasinit import shrinking

RATIO, SECONDS = 0.65, 15.0
"""The bars: the ratio of latencies, and the time of reading and cutting MobileNetV2."""

BATCH = 256
CASES = (
    ("litert-float", 1, 1),
    ("litert-int8", 1, 1),
    ("keras-call", BATCH, None),
)
"""Runtimes, with the size of the batch and the number of threads; None for all."""


def main() -> int:
    """Print the tables, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of timing, each time")
    parser.add_argument("--loads", type=int, default=5, help="how often each file is loaded")
    parser.add_argument("--round-to", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--no-cutting", action="store_true", help="leave MobileNetV2 out")
    given = parser.parse_args()
    missed = [line for name in given.networks for line in faster(name, given)]
    if not given.no_cutting:
        missed += cutting_time()
    print("", *(f"Missed: {line}" for line in missed), sep="\n")
    return 1 if missed else 0


def vgg() -> Any:
    """Return three stages of two convolutions each, with batch normalization, 152 M MACs."""
    layers = keras.layers
    x = inputs = keras.Input((32, 32, 3))
    for filters in (64, 128, 256):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10)(x), name="vgg")


def resnet20() -> Any:
    """Return the ResNet-20 for CIFAR-10 (He et al., 2016), with projections, 41 M MACs."""
    layers = keras.layers

    def convolved(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolved(inputs, 16, 3))
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if filters > 16 and not block else 1
            y = layers.ReLU()(convolved(x, filters, 3, strides))
            y = convolved(y, filters, 3)
            x = x if strides == 1 else convolved(x, filters, 1, strides)
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x), name="resnet20")


NETWORKS: dict[str, Callable[[], Any]] = {"vgg": vgg, "resnet20": resnet20}


def faster(name: str, given: argparse.Namespace) -> Iterator[str]:
    """Print the ratios of a network, and yield those above the bar."""
    keras.utils.set_random_seed(1)
    dense = NETWORKS[name]()
    smaller = [cut_in_half(dense, multiple) for multiple in given.round_to]
    macs = [shrinking.count(one).macs for one in (dense, *smaller)]
    print(f"\n{name}, {macs[0] / 1e6:.1f} M multiplications")
    for multiple, model, number in zip(given.round_to, smaller, macs[1:], strict=True):
        print(f"  round_to={multiple}: {number / macs[0]:.3f} of them, widths {widths(model)}")
    print("\n| runtime | batch | dense, ms |", *(f"round_to={one} |" for one in given.round_to))
    print(f"|---|---:|---:|{'---:|' * len(smaller)}", flush=True)
    for runtime, batch, threads in CASES:
        seconds, ratios = measured((dense, *smaller), runtime, batch, threads, given)
        cells = [f"{median:.2f} [{low:.2f}, {high:.2f}]" for median, low, high in ratios]
        line = " | ".join([runtime, str(batch), f"{1000 * seconds:.3f}", *cells])
        print(f"| {line} |", flush=True)
        best = min(median for median, _, _ in ratios)
        if best > RATIO:
            yield f"{name} in {runtime}: {best:.2f}, not {RATIO}"


def measured(
    models: Sequence[Any],
    runtime: str,
    batch: int,
    threads: int | None,
    given: argparse.Namespace,
) -> tuple[float, list[tuple[float, float, float]]]:
    """Return the seconds of the first model, and of each other one the ratios to it.

    Returns:
        The median, and for each model the median, the smallest and the largest of the ratios.
    """
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, 32, 32, 3)).astype("float32")
    rows = []
    for _ in range(given.loads):
        found = shrinking.footprint(
            *models,
            x=x,
            names=tuple(map(str, range(len(models)))),
            runtimes=runtime,
            threads=None if threads is None else (threads,),
            seconds=given.seconds,
            representative_data=random.normal(size=(100, 32, 32, 3)).astype("float32"),
        )
        rows.append([row.latency(runtime) for row in found.rows])
    ratios = np.array([[one.ratio for one in row] for row in rows])[:, 1:]
    summary = zip(np.median(ratios, 0), ratios.min(0), ratios.max(0), strict=True)
    return float(np.median([row[0].seconds for row in rows])), list(summary)


def cut_in_half(model: Any, multiple: int) -> Any:
    """Return a copy of a network with half of its multiplications."""
    plan = shrinking.structured(model, {"macs": 0.5}, round_to=multiple)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    plan.apply(copy)
    return shrinking.compact(copy)


def widths(model: Any) -> Sequence[int]:
    """Return the number of filters of each convolution."""
    return [one.filters for one in model.layers if isinstance(one, keras.layers.Conv2D)]


def cutting_time() -> list[str]:
    """Print how long reading, planning and cutting MobileNetV2 takes; return it if too long."""
    model = keras.applications.MobileNetV2(weights=None)
    seconds = {}
    start = time.perf_counter()
    found = shrinking.groups(model)
    seconds["groups"] = time.perf_counter() - start
    start = time.perf_counter()
    plan = shrinking.structured(model, {"macs": 0.5}, round_to=8)
    seconds["structured"] = time.perf_counter() - start
    plan.apply(model)
    start = time.perf_counter()
    small = shrinking.compact(model)
    seconds["compact"] = time.perf_counter() - start
    left = shrinking.count(small).macs / shrinking.count(model).macs
    listed = ", ".join(f"{name} {one:.1f} s" for name, one in seconds.items())
    print(f"\nMobileNetV2 (224x224x3), {len(found)} groups, {left:.3f} of the MACs: {listed}")
    counted = seconds["groups"] + seconds["compact"]
    return [f"cutting takes {counted:.1f} s, not {SECONDS}"] if counted > SECONDS else []


if __name__ == "__main__":
    sys.exit(main())
