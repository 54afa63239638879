"""What pruning costs: time per step, time and memory of a mask update, beside tfmot's.

    python tests/benchmarks/pruning.py [--steps 100] [--repeat 100] [--weights 25000000]

Times per step are medians of alternating epochs of running trainings of an MLP 784-300-100-10
and of a small convolutional network, batch 60, Adam, as ratios: ours over dense Keras 3,
tfmot's over dense tf_keras. They mean something only on a machine that does nothing else. Beside
each ratio stand the 95 % interval of its median and what is asked of it; exits with the number of
those that are not met. ``without epsilons`` shows what Adam's infinite epsilons are worth: the same
fixed mask, multiplied into every update.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from rich.console import Console
from rich.table import Table

from kerasinit import pruning
from kerasinit._src.pruning.masked_update import PerWeightEpsilons
from kerasinit._src.pruning.patterns import next_mask
from kerasinit._src.pruning.tfmot_bridge import tfmot
from tests.benchmarks.turns import Training, median_ratio, take_turns

# A fixed mask is one that a schedule made once; HoldMasks holds one from outside the graph.
ASKED = {"fixed mask": 1.05, "HoldMasks": 1.05, "schedule": 1.10}
_WITHOUT = "without epsilons"
ASKED_SPEED, ASKED_MEMORY = 20.0, 3.0


def main() -> None:
    """Print three tables; exit with how many numbers are not what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--steps", type=int, default=100, help="steps in a timed epoch")
    parser.add_argument("--repeat", type=int, default=100, help="timed epochs of each training")
    parser.add_argument("--weights", type=int, default=25_000_000, help="weights in one update")
    parser.add_argument("--measure-memory", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    # Pruning says that these trainings end before their schedules do, which is meant here.
    warnings.filterwarnings("ignore", message="Pruning: ", category=UserWarning)
    if given.measure_memory:
        measure_memory(int(given.measure_memory[0]), given.measure_memory[1])
        return
    missed = steps(given.steps, given.repeat)
    missed += updates(given.weights, min(given.repeat, 5))
    sys.exit(missed)


def mlp(library: Any) -> Any:
    """Return LeNet-300-100."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(300, "relu"),
            layers.Dense(100, "relu"),
            layers.Dense(10),
        ]
    )


def small_convolutions(library: Any) -> Any:
    """Return a small convolutional network."""
    layers = library.layers
    return library.Sequential(
        [
            library.Input((28, 28, 1)),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(24, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10),
        ]
    )


def training(
    library: Any, make: Callable[[Any], Any], jit: bool, kind: str, steps: int
) -> Training:
    """Return a training of a network that is pruned in one of the ways, or dense."""
    library.utils.set_random_seed(0)
    model, callbacks = make(library), []
    if kind == "schedule":
        # Ends far off, so that every timed epoch has its updates.
        schedule = pruning.PolynomialDecay(0.0, 0.9, 0, 10**6, frequency=100)
        model = pruning.prune_low_magnitude(model, schedule)
    elif kind in ("fixed mask", _WITHOUT):
        # Made once, at the first step, which is not timed; then only multiplied in.
        schedule = pruning.ConstantSparsity(0.9, 0, end_step=1, frequency=1)
        model = pruning.prune_low_magnitude(model, schedule)
    elif kind == "HoldMasks":
        random = np.random.default_rng(2)
        callbacks = [
            pruning.HoldMasks(
                {
                    weight.name: random.random(weight.variable.shape) < 0.1
                    for weight in pruning.prunable_weights(model)
                }
            )
        ]
    if kind in ("fixed mask", "schedule", _WITHOUT):
        callbacks = [pruning.UpdatePruningStep()]
    suits = (lambda optimizer: False) if kind == _WITHOUT else PerWeightEpsilons.supports
    with mock.patch.object(PerWeightEpsilons, "supports", staticmethod(suits)):
        return Training(library, model, callbacks, steps, jit)


def steps(count: int, repeat: int) -> int:
    """Print the time of a step; return how many ratios are above what is asked."""
    table = Table("network", "jit", "training", "dense ms", "ms", "ratio", "95 %", "asked", "tfmot")
    missed = 0
    for make in (mlp, small_convolutions):
        for jit in (False, True):
            # XLA takes no epsilons.
            kinds = ("dense", *ASKED, *([] if jit else [_WITHOUT]))
            # One library after the other: what is compared stands close together in time.
            taken, theirs = (
                take_turns(
                    {kind: training(library, make, jit, kind, count) for kind in kinds},
                    repeat,
                )
                for library in (keras, tf_keras)
            )
            for kind in kinds[1:]:
                asked = ASKED.get(kind, math.inf)
                ratio, low, high = median_ratio(taken[kind], taken["dense"])
                tfmots, _, _ = median_ratio(theirs[kind], theirs["dense"])
                missed += ratio > asked
                table.add_row(
                    make.__name__,
                    "on" if jit else "off",
                    kind,
                    f"{statistics.median(taken['dense']):.2f}",
                    f"{statistics.median(taken[kind]):.2f}",
                    f"{ratio:.3f}" + (" !" if ratio > asked else ""),
                    f"{low:.3f} to {high:.3f}",
                    f"{asked:.2f}" if kind in ASKED else "-",
                    f"{tfmots:.2f}",
                )
    Console(width=110).print(table)
    return missed


def updates(count: int, repeat: int) -> int:
    """Print time and memory of one mask update at 90 %; return how many are not as asked."""
    side = int(count**0.5)
    weights = tf.random.stateless_normal((side, side), (1, 2))
    mask = tf.ones_like(weights, tf.bool)
    sparsity = tf.constant(0.9)
    table = Table("mask update", "ms", "tfmot ms", "tfmot/ours", "asked", "peak/tensor", "asked")
    missed = 0
    for name, jit in (("graph", False), ("XLA", True)):
        compiled = tf.function(partial(next_mask, by_histogram=not jit), jit_compile=jit)
        theirs = tfmot_update(weights, jit)

        def ours(compiled: Any = compiled) -> Any:
            return compiled(weights, mask, sparsity)

        taken = [statistics.median(timed(update, n)) for update, n in ((ours, repeat), (theirs, 2))]
        memory = peak_memory(side, jit)
        speed = taken[1] / taken[0]
        missed += (speed < ASKED_SPEED) + (memory > ASKED_MEMORY)
        table.add_row(
            f"{side * side} weights, {name}",
            *(f"{milliseconds:.0f}" for milliseconds in taken),
            f"{speed:.1f}" + (" !" if speed < ASKED_SPEED else ""),
            f"{ASKED_SPEED:g}",
            f"{memory:.2f}" + (" !" if memory > ASKED_MEMORY else ""),
            f"{ASKED_MEMORY:g}",
        )
    Console(width=100).print(table)
    return missed


def tfmot_update(weights: tf.Tensor, jit: bool) -> Callable[[], Any]:
    """Return tfmot's mask update of one layer, without the rest of its training step."""
    layer = tf_keras.layers.Dense(weights.shape[1], use_bias=False)
    schedule = tfmot().ConstantSparsity(0.9, 0, frequency=1)
    wrapped = tfmot().prune_low_magnitude(layer, schedule)
    wrapped.build((None, weights.shape[0]))
    layer.kernel.assign(weights)
    wrapped.pruning_step.assign(1)
    # What the wrapper calls at every training step; here at one at which the masks change.
    update = tf.function(wrapped.pruning_obj.conditional_mask_update, jit_compile=jit)
    return lambda: update()


def timed(update: Callable[[], Any], repeat: int) -> Iterator[float]:
    """Yield the milliseconds of an update, after one that is not counted."""
    finished(update())
    for _ in range(repeat):
        start = time.perf_counter()
        finished(update())
        yield 1e3 * (time.perf_counter() - start)


def finished(results: Any) -> None:
    """Wait until a computation is done."""
    for result in tf.nest.flatten(results):
        if isinstance(result, tf.Tensor):
            np.asarray(result)


def peak_memory(side: int, jit: bool) -> float:
    """Return the peak of memory in one mask update, in sizes of the tensor.

    Measured in a process of its own, whose memory no earlier update has made larger. What
    the update returns counts too, and so does compiling it.
    """
    arguments = ["--measure-memory", str(side), "xla" if jit else "graph"]
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure_memory(side: int, mode: str) -> None:
    """Print by how much this process grows at most in an update, in sizes of the tensor."""
    update = partial(next_mask, by_histogram=mode != "xla")  # as in a training
    compiled = tf.function(update, jit_compile=mode == "xla", reduce_retracing=True)
    sparsity = tf.constant(0.9)
    for rows in (10, 11, 12):  # for all that is only made once
        weights = tf.random.stateless_normal((rows, rows), (1, 2))
        finished(compiled(weights, tf.ones_like(weights, tf.bool), sparsity))
    weights = tf.constant(np.random.default_rng(0).standard_normal((side, side), dtype="float32"))
    mask = tf.ones_like(weights, tf.bool)
    # Linux forgets the peak so far when it is told to.
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_now("VmHWM")
    results = compiled(weights, mask, sparsity)
    finished(results)
    print((memory_now("VmHWM") - before) / (4 * side * side))


def memory_now(what: str) -> int:
    """Return a number of bytes that Linux tells of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status does not tell {what}; the memory is measured on Linux only.")


if __name__ == "__main__":
    main()
