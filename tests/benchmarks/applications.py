"""Every family of `keras.applications`, shrunk to half of its multiplications.

    python -m tests.benchmarks.applications [NAME ...] [--random] [--macs 0.5]

Each network has the weights that Keras builds it with, and the smallest images that it takes.
Structured pruning to the target, compaction, then what a user needs of the result: the same
predictions as the masked network, a step of training, and a file that loads where kerasinit is not
installed. It prints a table: multiplications before and after, or the reason, the seconds of
grouping, pruning and compaction, and the largest difference of the predictions, relative to the
largest of them. ``--random`` takes channels at random, the same part of each group.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasinit import shrinking
from kerasinit._src.shrinking.costs import Costs
from tests.benchmarks.diagnosis import APPLICATIONS
from tests.shrinking import load_without_kerasinit, networks

CLASSES = 10
NEAR = (0.4, 0.6)
"""Between which parts of the multiplications a family has reached half of them."""


@dataclass
class Row:
    """What came out for a network."""

    name: str
    before: int
    after: int
    parameters: float
    seconds: tuple[float, float]
    difference: float
    note: str


def main() -> int:
    """Print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="of `keras.applications`; all by default")
    parser.add_argument("--random", action="store_true", help="take channels at random")
    parser.add_argument("--macs", type=float, default=0.5, help="part to keep")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", "compact keeps constant channels")
    print("| network | MACs before | after | part | parameters | seconds | difference | |")
    print("|---|---:|---:|---:|---:|---:|---:|---|", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names or APPLICATIONS:
            rows.append(shrunk(name, given, Path(folder)))
            report(rows[-1])
            keras.utils.clear_session()
        failed = loaded_elsewhere(Path(folder))
    reached = [row for row in rows if NEAR[0] <= row.after / row.before <= NEAR[1]]
    print(f"\n{len(reached)} of {len(rows)} families reach 40 to 60 % of the multiplications.")
    print(f"Without kerasinit all load and predict the same{', but: ' if failed else '.'}{failed}")
    wrong = [row.name for row in rows if row.difference > 1e-5 or row.note]
    return bool(wrong or failed or len(reached) < 0.9 * len(rows))


def shrunk(name: str, given: argparse.Namespace, folder: Path) -> Row:
    """Make a network, shrink it and look at the result."""
    size, _ = APPLICATIONS[name]
    options = {"classes": CLASSES, "classifier_activation": None}
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), **options)
    before = shrinking.count(model)
    start = time.perf_counter()
    if given.random:
        zero_at_random(model, given.macs)
    else:
        shrinking.structured(model, target={"macs": given.macs}).apply(model)
    pruned = time.perf_counter()
    try:
        small = shrinking.compact(model)
    except (RuntimeError, ValueError) as error:
        seconds = pruned - start, time.perf_counter() - pruned
        return Row(name, before.macs, before.macs, 1.0, seconds, np.nan, str(error))
    seconds = pruned - start, time.perf_counter() - pruned
    after, x = shrinking.count(small), networks.batch(model)
    expected, found = (one.predict(x, verbose=0) for one in (model, small))
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    path = folder / f"{name}.keras.keras"
    small.save(path)
    np.savez(path.with_suffix(".x.npz"), x)
    np.savez(path.with_suffix(".expected.npz"), found)
    note = "" if trains(small, x) else "a step of training changes nothing"
    parameters = after.parameters / before.parameters
    return Row(name, before.macs, after.macs, parameters, seconds, float(difference), note)


def report(row: Row) -> None:
    """Print a row."""
    print(
        f"| {row.name} | {row.before / 1e6:.1f} M | {row.after / 1e6:.1f} M "
        f"| {row.after / row.before:.3f} | {row.parameters:.3f} "
        f"| {row.seconds[0]:.1f} + {row.seconds[1]:.1f} | {row.difference:.1e} | {row.note} |",
        flush=True,
    )


def zero_at_random(model: Any, part: float) -> None:
    """Zero random channels, the same part of each group, until the multiplications are halved."""
    groups = shrinking.groups(model)
    free, costs = [group for group in groups if not group.reason], Costs(groups.reading)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(group.size) for group in free]
    whole = np.ones(groups.reading.channels.number, bool)

    def chosen(fraction: float) -> list[np.ndarray]:
        return [order[: min(int(fraction * len(order)), len(order) - 1)] for order in orders]

    low, high = 0.0, 1.0
    for _ in range(12):
        kept = whole.copy()
        for group, channels in zip(free, chosen((low + high) / 2), strict=True):
            kept[group.channels[channels]] = False
        if costs.macs(kept) > part * costs.macs(whole):
            low = (low + high) / 2
        else:
            high = (low + high) / 2
    for group, channels in zip(free, chosen(high), strict=True):
        group.zero(channels)


def trains(model: Any, x: np.ndarray) -> bool:
    """Return whether a step of training changes most weights, and leaves all finite."""
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [np.array(one) for one in model.trainable_variables]
    model.train_on_batch(x, np.arange(len(x)) % CLASSES)
    after = [np.asarray(one) for one in model.trainable_variables]
    changed = [np.any(one != other) for one, other in zip(before, after, strict=True)]
    return sum(changed) > len(changed) // 2 and all(np.isfinite(one).all() for one in after)


def loaded_elsewhere(folder: Path) -> str:
    """Load all files in an interpreter without kerasinit; return the names that differ."""
    script = load_without_kerasinit.__file__
    subprocess.run([sys.executable, script, folder], check=True, cwd=folder)
    wrong = []
    for path in sorted(folder.glob("*.keras")):
        with (
            np.load(path.with_suffix(".expected.npz")) as expected,
            np.load(path.with_suffix(".y.npz")) as found,
        ):
            one, other = expected["arr_0"], found["arr_0"]
        if np.abs(one - other).max() > 1e-5 * np.abs(one).max():
            wrong.append(path.name.split(".")[0])
    return ", ".join(wrong)


if __name__ == "__main__":
    sys.exit(main())
