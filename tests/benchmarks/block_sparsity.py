"""What pruning in blocks costs in accuracy and brings in LiteRT, on a trained network.

    python tests/benchmarks/block_sparsity.py DATA.npz [--sparsity 0.9] [--seeds 3] [--seconds 20]

An MLP 784-1024-1024-10 on the data of a file such as the whole of MNIST: trained for 3 epochs, and
then for 3 more, either dense or while its kernels are pruned: in blocks of (4, 1), four inputs of
one unit, in blocks of (16, 1), or in single weights. All of a seed start from the same dense
network, so that accuracy lost is against as long a training. Prints two Markdown tables: test
accuracy over the seeds, and the files of the last seed with their latency in LiteRT on one thread
at batch 1, plain and with ``EXPERIMENTAL_SPARSITY``, as ratios to the dense network. The latency is
measured twice: right after runs of the same file, whose weights are then in the caches, and after
64 MB of something else, as when a program does other work between two predictions.

Each file is checked against its model. Takes about 5 minutes on two cores. Exits with 1 if blocks
of (4, 1) run in more than 0.4 of the time, with warm caches.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from kerasinit import lottery, pruning, shrinking
from kerasinit._src.shrinking.model_arrays import model_inputs
from kerasinit._src.shrinking.runners import litert_runner
from kerasinit._src.shrinking.timing import Interval, ratio_interval
from tests.benchmarks.markdown import print_table

WIDTH, BATCH, EPOCHS, UPDATES = 1024, 500, 3, 20
BLOCKS = {"dense": None, "(4, 1)": (4, 1), "(16, 1)": (16, 1), "single weights": (1, 1)}
PLAIN, SPARSE = "litert-float", "litert-float-sparse"
AT_MOST = 0.4
COLD_ROUNDS, OTHER_BYTES = 300, 2**26
Examples = tuple[np.ndarray, np.ndarray]


def main() -> int:
    """Print the tables; return 1 if blocks are slower than what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", help="an .npz file with x_train, y_train, x_test and y_test")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of timing")
    given = parser.parse_args()
    data = lottery.load(given.data)
    train, test = (
        (x.reshape(len(x), -1), y)
        for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test))
    )
    accuracies: dict[str, list[float]] = {name: [] for name in BLOCKS}
    models: dict[str, Any] = {}
    for seed in range(given.seeds):
        start = trained(perceptron(train[0].shape[1], seed), train).get_weights()
        for name, block in BLOCKS.items():
            model = perceptron(train[0].shape[1], seed)
            model.set_weights(start)
            models[name] = finished(model, train, block, given.sparsity)
            accuracies[name].append(accuracy(models[name], test))
    print_accuracies(accuracies)
    print()
    return print_files(models, test[0], given.seconds)


def perceptron(inputs: int, seed: int) -> Any:
    """Return a compiled network of dense layers."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    hidden = [layers.Dense(WIDTH, "relu"), layers.Dense(WIDTH, "relu")]
    model = keras.Sequential([keras.Input((inputs,)), *hidden, layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # At this size, XLA is slower than TensorFlow's own matrix products on a CPU.
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"], jit_compile=False)
    return model


def trained(model: Any, train: Examples, callbacks: tuple[Any, ...] = ()) -> Any:
    """Train a model for some epochs."""
    model.fit(*train, batch_size=BATCH, epochs=EPOCHS, callbacks=[*callbacks], verbose=0)
    return model


def finished(model: Any, train: Examples, block: tuple[int, int] | None, sparsity: float) -> Any:
    """Train the second half, dense or while all kernels are pruned in blocks.

    The sparsity grows for two thirds of it; then the last masks hold.
    """
    if block is None:
        return trained(model, train)
    steps = EPOCHS * -(-len(train[0]) // BATCH)
    frequency = max(1, steps // UPDATES)
    schedule = pruning.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=sparsity,
        begin_step=0,
        end_step=2 * steps // 3 // frequency * frequency,
        frequency=frequency,
    )
    pruning.prune_low_magnitude(model, schedule, block_size=block)
    trained(model, train, (pruning.UpdatePruningStep(),))
    return pruning.strip_pruning(model)


def accuracy(model: Any, test: Examples) -> float:
    """Return the accuracy on the test examples."""
    predicted = model.predict(test[0], batch_size=BATCH, verbose=0).argmax(axis=1)
    return float((predicted == test[1]).mean())


def print_accuracies(found: dict[str, list[float]]) -> None:
    """Print the accuracies of all seeds and what is lost against the dense network."""
    rows = []
    for name, values in found.items():
        lost = [100 * (dense - one) for dense, one in zip(found["dense"], values, strict=True)]
        rows.append(
            (
                name,
                f"{statistics.mean(values):.2%}",
                f"{min(values):.2%} to {max(values):.2%}",
                f"{statistics.mean(lost):.2f}",
                f"{min(lost):.2f} to {max(lost):.2f}",
            )
        )
    print_table(("pruned in", "accuracy", "of the seeds", "points lost", "of the seeds"), rows)


def print_files(models: dict[str, Any], x: np.ndarray, seconds: float) -> int:
    """Print sizes and latencies of the files; return 1 if blocks are too slow."""
    found = shrinking.footprint(
        *models.values(),
        x=x[:1],
        names=tuple(models),
        runtimes=(PLAIN, SPARSE),
        threads=1,
        seconds=seconds,
    )
    written = {
        (name, one): _File.of(models[name], x, one) for name in models for one in (PLAIN, SPARSE)
    }
    cold = cold_ratios({key: file.run for key, file in written.items()})
    dense = found["dense"].file(PLAIN)
    rows = []
    for row in found.rows:
        for runtime in (PLAIN, SPARSE):
            file, warm = row.file(runtime), row.latency(runtime)
            rows.append(
                (
                    row.name,
                    "sparse" if runtime == SPARSE else "plain",
                    f"{row.nonzeros / row.parameters:.3f}",
                    f"{file.bytes / dense.bytes:.3f}",
                    f"{file.gzipped / dense.gzipped:.3f}",
                    f"{warm.ratio:.2f} [{warm.ratio_low:.2f}, {warm.ratio_high:.2f}]",
                    _text(cold[row.name, runtime]),
                    f"{written[row.name, runtime].difference:.1e}",
                )
            )
    names = ("pruned in", "format", "not zero", "raw", "gzipped")
    print_table((*names, "latency [95 %]", "cold caches [95 %]", "difference"), rows)
    warm = found["dense"].latency(PLAIN)
    print(
        f"\nThe dense file: {dense.bytes:,} bytes, {dense.gzipped:,} gzipped, "
        f"{1e6 * warm.seconds:.1f} us; {warm.runs} rounds, {COLD_ROUNDS} with cold caches. The "
        f"difference from the model's outputs is relative to the largest."
    )
    ratio = found["(4, 1)"].latency(SPARSE).ratio
    print(f"Blocks of (4, 1), sparse: {ratio:.2f} of the time; asked: at most {AT_MOST}.")
    return int(ratio > AT_MOST)


@dataclass(frozen=True)
class _File:
    """A file of a model, ready to run.

    Attributes:
        run: Runs it on one example.
        difference: How far its outputs are from those of the model, relative to the largest.
    """

    run: Callable[[], Any]
    difference: float

    @classmethod
    def of(cls, model: Any, x: np.ndarray, runtime: str) -> "_File":
        """Write a file, which is checked while that happens."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.tflite")
            written = shrinking.export(model, path, sparse=runtime == SPARSE, check_data=x)
            run = litert_runner(path.read_bytes(), model_inputs(model, x[:1])).run
        if written.relative is None:
            raise RuntimeError(written.not_checked)
        return cls(run, written.relative)


def cold_ratios(runs: dict[tuple[str, str], Callable[[], Any]]) -> dict[tuple[str, str], Interval]:
    """Return ratios to the dense file, each run after much else has gone through the caches."""
    other = np.zeros(OTHER_BYTES, np.uint8)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    order, random = list(runs), np.random.default_rng(0)
    for _ in range(COLD_ROUNDS):
        random.shuffle(order)
        for key in order:
            other += 1
            start = time.perf_counter()
            runs[key]()
            times[key].append(time.perf_counter() - start)
    return {key: ratio_interval(taken, times["dense", PLAIN]) for key, taken in times.items()}


def _text(found: Interval) -> str:
    return f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
