"""What `kerasinit.SignalMonitor` costs at its default interval, as a share of the training.

    python -m tests.benchmarks.monitor [--steps 100] [--repeat 100]

Trains an MLP 784-300-100-10 and a small convolutional network, batch 60, Adam, with and without
the monitor, which writes CSV and event files; both run in turn, an epoch each. The share is
the median of what the steps take longer, beside which stands its 95 % interval, and all looks. It
means something only on a machine that does nothing else. Exits with the number of shares that
are above what is asked.
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
import tf_keras
from rich.console import Console
from rich.table import Table

import kerasinit
from tests.benchmarks.pruning import mlp, small_convolutions
from tests.benchmarks.turns import Training, median_ratio, pictures, take_turns

ASKED = 0.05


def main() -> None:
    """Print a table; exit with how many shares are above what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--steps", type=int, default=100, help="steps in a timed epoch")
    parser.add_argument("--repeat", type=int, default=100, help="timed epochs of each training")
    parser.add_argument("--library", nargs="+", default=["keras", "tf_keras"])
    parser.add_argument("--network", nargs="+", default=["mlp", "small_convolutions"])
    given = parser.parse_args()
    columns = ("Keras", "network", "ms/step", "ratio", "looks", "ms/look", "share", "asked")
    table = Table(*columns)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for library in (keras, tf_keras):
            for make in (mlp, small_convolutions):
                if library.__name__ in given.library and make.__name__ in given.network:
                    missed += add_row(table, library, make, given, Path(folder))
    Console(width=110).print(table)
    sys.exit(missed)


def add_row(table: Table, library: Any, make: Any, given: Any, folder: Path) -> int:
    """Measure one network; return whether its share is above what is asked."""
    name = f"{library.__name__}-{make.__name__}"
    monitor = Timed(*pictures(), csv=folder / f"{name}.csv", log_dir=folder / name)
    trainings = {}
    for kind, callbacks in {"plain": [], "monitored": [monitor]}.items():
        library.utils.set_random_seed(0)
        trainings[kind] = Training(
            library, make(library), callbacks, given.steps, apart=lambda: sum(monitor.costs)
        )
    first = len(monitor.costs)
    taken = take_turns(trainings, given.repeat)
    looks = monitor.costs[first:]
    # A median would not see looks, which are in few of the epochs: they are counted apart.
    ratio, low, high = median_ratio(taken["monitored"], taken["plain"])
    plain = statistics.median(taken["plain"])
    share = ratio - 1 + sum(looks) / (given.repeat * given.steps) / plain
    table.add_row(
        library.__name__,
        make.__name__,
        f"{plain:.3f}",
        f"{ratio:.3f} ({low:.3f} to {high:.3f})",
        f"{len(looks)}",
        f"{statistics.median(looks or [0]):.0f}, first {monitor.costs[0]:.0f}",
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
