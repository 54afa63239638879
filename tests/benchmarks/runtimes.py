"""What zeros and smaller layers bring in each runtime: size and latency of a dense network.

    python tests/benchmarks/runtimes.py [--seconds 20] [--sparsity 0.9] [--runtimes litert keras]

An MLP 784-1024-1024-10 with random weights: dense; pruned once in single weights, in blocks of
(4, 1) and of (16, 1); and a dense one of as many parameters as the pruned ones keep. Prints
the footprint of them all for one example, and then the table of ratios to the
dense network, with the 95 % intervals. How accurate such networks would be is not looked at. The
times mean something only where nothing else runs.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from kerasinit import pruning
from kerasinit._src.shrinking.footprints import Footprint
from kerasinit._src.shrinking.measuring import footprint

WIDTH = 1024
BLOCKS = {"single weights": (1, 1), "blocks (4, 1)": (4, 1), "blocks (16, 1)": (16, 1)}
LITERT = ("litert-float", "litert-float-sparse", "litert-dynamic", "litert-dynamic-sparse")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of timing")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--runtimes", nargs="+", default=LITERT)
    given = parser.parse_args()
    models = {"dense": perceptron(WIDTH)}
    for name, block in BLOCKS.items():
        models[name] = pruned(perceptron(WIDTH), given.sparsity, block)
    models["compact dense"] = perceptron(width_of(1 - given.sparsity))
    x = np.random.default_rng(0).normal(size=(1, 784)).astype("float32")
    found = footprint(
        *models.values(),
        x=x,
        names=tuple(models),
        runtimes=given.runtimes,
        seconds=given.seconds,
    )
    print(found)
    Console(width=150).print(ratios(found))


def perceptron(width: int) -> Any:
    """Return a network of dense layers."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(width, "relu"),
            layers.Dense(width, "relu"),
            layers.Dense(10),
        ]
    )


def pruned(model: Any, sparsity: float, block: tuple[int, int]) -> Any:
    """Prune the hidden layers of a model once, without any training."""
    schedule = pruning.ConstantSparsity(sparsity, 0, frequency=1)
    pruning.prune_low_magnitude(model, schedule, block_size=block)
    pruning.begin_step(model)
    return pruning.strip_pruning(model)


def width_of(density: float) -> int:
    """Return the width of a dense network with this fraction of the kernels' weights."""
    allowed = density * (784 * WIDTH + WIDTH * WIDTH + 10 * WIDTH)
    # width^2 + 794 width = allowed
    return round(-397 + (397**2 + allowed) ** 0.5)


def ratios(found: Footprint) -> Table:
    """Return the ratios of all models to the first, by runtime and number of threads."""
    names = [row.name for row in found.rows]
    table = Table("runtime", "threads", *names)
    table.title = "Latency, ratio to dense in the same runtime without a sparse format"
    keys = dict.fromkeys((one.runtime, one.threads) for row in found.rows for one in row.latencies)
    for runtime, threads in keys:
        cells = []
        for row in found.rows:
            one = next(
                (o for o in row.latencies if (o.runtime, o.threads) == (runtime, threads)), None
            )
            if one is None:
                cells.append("refused")
            elif one.reference:
                cells.append(f"{1000 * one.seconds:.4f} ms")
            else:
                cells.append(f"{one.ratio:.2f} [{one.ratio_low:.2f}, {one.ratio_high:.2f}]")
        table.add_row(runtime, str(threads), *cells)
    return table


if __name__ == "__main__":
    main()
