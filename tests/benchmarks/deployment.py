"""What zeros bring in LiteRT: size, zipped size and latency of a dense network's files.

    python tests/benchmarks/deployment.py [--runs 300] [--sparsity 0.9]

An MLP 784-1024-1024-10 and a network of 1x1 convolutions that `PruneForLatencyOnXNNPack` accepts,
with random weights, pruned once in each pattern and converted with and without
``EXPERIMENTAL_SPARSITY``. The interpreters run in turn on one thread, one call each, so that they
share the noise of the machine; the shortest call of each counts. All numbers are ratios to the
dense file. How accurate such a network would be is not looked at.
"""

import argparse
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.table import Table

from kerasinit import pruning

# Height and width of the blocks: a block of (4, 1) is four inputs of one unit.
BLOCKS = ((1, 1), (4, 1), (16, 1), (1, 16))


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=300, help="timed calls of each file")
    parser.add_argument("--sparsity", type=float, default=0.9)
    given = parser.parse_args()
    console = Console(width=100)
    for name, build, policy, blocks in (
        ("MLP 784-1024-1024-10", perceptron, None, BLOCKS),
        ("1x1 convolutions", convolutions, pruning.PruneForLatencyOnXNNPack(), BLOCKS[:1]),
    ):
        files = {"dense": converted(build(), sparse=False)}
        for block in blocks:
            model = pruned(build(), given.sparsity, block, policy)
            pattern = f"{given.sparsity:g}" + (f", block_size={block}" if block != (1, 1) else "")
            files[pattern] = converted(model, sparse=False)
            files[f"{pattern} + EXPERIMENTAL_SPARSITY"] = converted(model, sparse=True)
        console.print(compared(name, files, given.runs))


def perceptron() -> Any:
    """Return a network of dense layers."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(1024, "relu"),
            layers.Dense(1024, "relu"),
            layers.Dense(10),
        ]
    )


def convolutions() -> Any:
    """Return a network like MobileNet, in the form that XNNPACK may run sparse."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    stack: list[Any] = [
        keras.Input((96, 96, 3)),
        layers.ZeroPadding2D(1),
        layers.Conv2D(32, 3, strides=2, activation="relu"),
    ]
    for channels, strides in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        stack += [
            layers.ZeroPadding2D(1),
            layers.DepthwiseConv2D(3, strides=strides),
            layers.Conv2D(channels, 1, activation="relu"),
        ]
    return keras.Sequential([*stack, layers.GlobalAveragePooling2D(), layers.Dense(10)])


def pruned(model: Any, sparsity: float, block: tuple[int, int], policy: Any) -> Any:
    """Prune a model once, without any training."""
    schedule = pruning.ConstantSparsity(sparsity, 0, frequency=1)
    pruning.prune_low_magnitude(model, schedule, block_size=block, pruning_policy=policy)
    pruning.begin_step(model)
    return pruning.strip_pruning(model)


def converted(model: Any, *, sparse: bool) -> bytes:
    """Return a LiteRT file of a model."""
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if sparse:
            converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        return converter.convert()


def interpreter(content: bytes) -> Callable[[], None]:
    """Return what runs a LiteRT file once, on one thread."""
    found = Interpreter(model_content=content, num_threads=1)
    (entry,) = found.get_input_details()
    found.resize_tensor_input(entry["index"], (1, *entry["shape"][1:]))
    found.allocate_tensors()
    (entry,) = found.get_input_details()
    values = np.random.default_rng(0).normal(size=entry["shape"]).astype("float32")
    found.set_tensor(entry["index"], values)
    return found.invoke


def compared(name: str, files: dict[str, bytes], runs: int) -> Table:
    """Return a table of ratios to the first file."""
    calls = {file: interpreter(content) for file, content in files.items()}
    shortest = dict.fromkeys(files, float("inf"))
    for _ in range(runs):
        for file, call in calls.items():
            start = time.perf_counter()
            call()
            shortest[file] = min(shortest[file], time.perf_counter() - start)
    sizes = {f: (len(c), len(gzip.compress(c, 9))) for f, c in files.items()}
    dense, (raw, zipped) = shortest["dense"], sizes["dense"]
    table = Table("file", "raw", "gzip", "latency")
    table.title = f"{name}: {raw} bytes, {zipped} zipped, {1000 * dense:.3f} ms"
    for column in table.columns[1:]:
        column.justify = "right"
    for file, (size, packed) in sizes.items():
        ratios = size / raw, packed / zipped, shortest[file] / dense
        table.add_row(file, f"{ratios[0]:.3f}", f"{ratios[1]:.3f}", f"{ratios[2]:.2f}")
    return table


if __name__ == "__main__":
    main()
