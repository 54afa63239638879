"""What `compact` takes out of lottery tickets: dead units, weights, latency, the same predictions.

    python tests/benchmarks/compact_tickets.py [DATA.npz] [--out RUN] [--levels 20]

A lottery with LeNet-300-100 and the settings of the README: 2,000 iterations on the digits, or
15,000 on the data of a file such as the whole of MNIST, one trial, without controls. Each level at
9 % of the weights and below is compacted twice: with its trained weights, and with its first
values, for training it small. Prints a Markdown table of each. The latency is that of LiteRT on
one thread at batch 1; all files run in turn within one process, and are compared with the
sparsest ticket as it was trained (where zeros lie makes no difference to a dense file). Two dense
networks whose widths are multiples of 32 show how much of a gain comes from widths that suit the
processor, and not from fewer weights. The digits take a minute on two cores, MNIST eight.

Exits with the number of levels where a prediction on a test example differs, of either table.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from kerasinit import lottery, shrinking
from kerasinit._src.training.paper_networks import lenet_300_100
from tests.benchmarks.markdown import print_table

RUNTIME = "litert-float"
DENSE = {"dense 288-96": (288, 96), "dense 320-128": (320, 128)}
"""Widths that are multiples of 32, next to those of LeNet-300-100."""


@dataclass(frozen=True)
class Pair:
    """A ticket and its compact form.

    Attributes:
        density: The fraction of weights that are left.
        ticket: The model with masked weights.
        compact: The same, compacted.
        outputs: What both compute for the test examples.
    """

    density: float
    ticket: Any
    compact: Any
    outputs: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, density: float, ticket: Any, x: np.ndarray) -> "Pair":
        """Compact a ticket and run both."""
        compact = shrinking.compact(ticket)
        before, after = (one.predict(x, batch_size=500, verbose=0) for one in (ticket, compact))
        return cls(density, ticket, compact, (before, after))

    @property
    def dead(self) -> str:
        """How many units of each hidden layer are gone."""
        hidden = zip(self.ticket.layers[:-1], self.compact.layers[:-1], strict=True)
        return " + ".join(str(before.units - after.units) for before, after in hidden)

    @property
    def differing(self) -> int:
        """For how many examples the predicted class differs."""
        before, after = (one.argmax(axis=1) for one in self.outputs)
        return int((before != after).sum())

    @property
    def largest_difference(self) -> float:
        """The largest difference between two outputs, relative to the largest output."""
        before, after = self.outputs
        return float(np.abs(before - after).max() / np.abs(before).max())

    def accuracies(self, y: np.ndarray) -> tuple[float, float]:
        """Return the accuracy of the ticket and of its compact form."""
        before, after = (float((one.argmax(axis=1) == y).mean()) for one in self.outputs)
        return before, after


def main() -> int:
    """Run the lottery, print the tables; return how many levels predict something else."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", nargs="?", default="digits", help="an .npz file; or the digits")
    parser.add_argument("--out", help="the folder of the run, to keep or resume it")
    parser.add_argument("--levels", type=int, default=20)
    parser.add_argument("--density", type=float, default=0.09, help="of the first level shown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of timing")
    given = parser.parse_args()
    data = lottery.load(given.data)
    experiment = dataclasses.replace(
        lottery.preset("digits" if given.data == "digits" else "lenet-mnist-short"),
        dataset=given.data,
        levels=given.levels,
        trials=1,
        seed=given.seed,
        controls=(),
    )
    x = data.x_test.reshape(len(data.x_test), -1)
    trained, first = [], []
    with tempfile.TemporaryDirectory() as folder:
        run = lottery.run(experiment, out=given.out or Path(folder, "run"))
        whole = run.rows()[0].final_test_accuracy
        for place in run.places():
            stage = run.stage(place)
            ticket = lottery.load_ticket(stage.ticket_path)
            if ticket.density > given.density:
                continue
            trained.append(Pair.of(ticket.density, keras.models.load_model(stage.model_path), x))
            model = ticket.apply(lenet_300_100(data.input_shape, data.num_classes))
            first.append(Pair.of(ticket.density, model, x))
    if not trained:
        parser.error(f"No level of {given.levels} has a density of at most {given.density}.")
    print(f"Trained tickets of {data.name}; the dense network: {whole:.2%}\n")
    print_trained(trained, data.y_test, x[:1], given.seconds)
    print("\nThe same tickets at their first values\n")
    print_first(first)
    return sum(pair.differing > 0 for pair in (*trained, *first))


def print_trained(pairs: list[Pair], y: np.ndarray, x: np.ndarray, seconds: float) -> None:
    """Print what the compact forms of trained tickets cost and compute."""
    found = shrinking.footprint(
        pairs[-1].ticket,
        *(dense(x.shape[1], widths) for widths in DENSE.values()),
        *(pair.compact for pair in pairs),
        x=x,
        names=("ticket", *DENSE, *(str(number) for number, _ in enumerate(pairs))),
        runtimes=RUNTIME,
        threads=1,
        seconds=seconds,
    )
    rows = [
        _row(pair, row, y) for pair, row in zip(pairs, found.rows[1 + len(DENSE) :], strict=True)
    ]
    names = "weights left, dead units, parameters, MACs, gzipped, latency [95 %], accuracy, compact"
    print_table((*names.split(", "), "other predictions", "largest difference"), rows)
    ticket = found["ticket"]
    time = ticket.latency(RUNTIME)
    print(
        f"\nThe ticket: {ticket.parameters:,} parameters, {ticket.macs:,} MACs, "
        f"{1e6 * time.seconds:.1f} us. Ratios are to the same ticket; {time.runs} rounds."
    )
    print("For comparison, networks of other widths with random weights:")
    for name in DENSE:
        share = found[name].parameters / ticket.parameters
        print(f"{name}: {share:.3f} of the parameters, latency {_ratio(found[name])}")


def dense(inputs: int, widths: tuple[int, int]) -> Any:
    """Return a network of dense layers with random weights."""
    layers = keras.layers
    hidden = [layers.Dense(units, "relu") for units in widths]
    return keras.Sequential([keras.Input((inputs,)), *hidden, layers.Dense(10)])


def _row(pair: Pair, row: shrinking.FootprintRow, y: np.ndarray) -> tuple[str, ...]:
    own = shrinking.footprint(pair.ticket, latency=False).rows[0]
    before, after = pair.accuracies(y)
    return (
        f"{pair.density:.2%}",
        pair.dead,
        f"{row.parameters / own.parameters:.3f}",
        f"{row.macs / own.macs:.3f}",
        f"{row.file(RUNTIME).gzipped / own.file(RUNTIME).gzipped:.3f}",
        _ratio(row),
        f"{before:.2%}",
        f"{after:.2%}",
        f"{pair.differing} of {len(y)}",
        f"{pair.largest_difference:.1e}",
    )


def _ratio(row: shrinking.FootprintRow) -> str:
    found = row.latency(RUNTIME)
    return f"{found.ratio:.2f} [{found.ratio_low:.2f}, {found.ratio_high:.2f}]"


def print_first(pairs: list[Pair]) -> None:
    """Print what is taken out of tickets that have not been trained."""
    rows = []
    for pair in pairs:
        before, after = (shrinking.count(one).parameters for one in (pair.ticket, pair.compact))
        rows.append(
            (
                f"{pair.density:.2%}",
                pair.dead,
                f"{after / before:.3f}",
                f"{pair.differing} of {len(pair.outputs[0])}",
                f"{pair.largest_difference:.1e}",
            )
        )
    print_table(
        ("weights left", "dead units", "parameters", "other predictions", "largest difference"),
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
