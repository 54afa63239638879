"""How long it takes to make tensors, against Keras and, if installed, PyTorch.

    python tests/benchmarks/initializers.py [--repeat 9] [--only HeNormal] [--memory]

Times are in milliseconds, of a call that ends with the values in memory: the shortest of
several, as `timeit` advises, because whatever else runs on a machine only adds to a time,
and adds most to what keeps its cores busiest. Behind it is the median. They depend on the
machine, and only their ratios within one run mean anything. ``--memory`` measures the peak
of memory instead, in sizes of the tensor. ``unkept`` is the time without the freed block that
`initializers.memory` keeps, over ours: what that is worth.
"""

import argparse
import functools
import os
import statistics
import sys
import time
import tracemalloc
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kerasinit
from kerasinit._src.initializers import memory as blocks

SHAPES = ((1024, 1024), (4096, 4096), (3, 3, 512, 512))
# What both Kerases and this package have, with arguments that all of them take.
NAMES = (
    "HeNormal",
    "HeUniform",
    "GlorotNormal",
    "GlorotUniform",
    "LecunNormal",
    "LecunUniform",
    "TruncatedNormal",
    "RandomNormal",
    "RandomUniform",
    "VarianceScaling",
    "Orthogonal",
    "Zeros",
    "Ones",
    "Constant",
    "Identity",
)
TORCH = {
    "HeNormal": "kaiming_normal_",
    "HeUniform": "kaiming_uniform_",
    "GlorotNormal": "xavier_normal_",
    "GlorotUniform": "xavier_uniform_",
    "TruncatedNormal": "trunc_normal_",
    "RandomNormal": "normal_",
    "RandomUniform": "uniform_",
    "Orthogonal": "orthogonal_",
    "Zeros": "zeros_",
    "Ones": "ones_",
}
# What is asked of the ratio to Keras; everywhere else only that it is not below 1.
ASKED = {
    ("HeNormal", (4096, 4096)): 5.0,
    ("TruncatedNormal", (4096, 4096)): 3.0,
    ("Orthogonal", (4096, 4096)): 1.5,
    # Both only write memory, at its speed.
    ("Ones", (4096, 4096)): 0.95,
}


def main() -> None:
    """Print one row for each class and shape; exit with 1 if a ratio is not what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--only", nargs="*", default=NAMES, choices=NAMES, metavar="CLASS")
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    if given.memory:
        sys.exit(memory(given.only))
    sys.exit(times(given.only, given.repeat))


def times(names: tuple[str, ...], repeat: int) -> int:
    """Print times and ratios; return how many are below what is asked."""
    table = Table(
        "class",
        "shape",
        "ours",
        "Keras",
        "Keras/ours",
        "medians",
        "asked",
        "new memory",
        "PyTorch",
        "torch/ours",
    )
    below = 0
    for name in names:
        for shape in SHAPES:
            if name == "Identity" and len(shape) != 2:
                continue
            ours = getattr(kerasinit, name)
            theirs = getattr(keras.initializers, name)
            ours, theirs = (
                (kind(seed=1) if "seed" in kind().get_config() else kind())
                for kind in (ours, theirs)
            )
            few = 3 if name == "Orthogonal" else repeat
            makers = [functools.partial(made, shape) for made in (ours, theirs)]
            makers.append(functools.partial(unkept, ours, shape))
            makers += torch_maker(name, shape)
            taken = alternating(makers, few)
            shortest = [min(times_) for times_ in taken]
            medians = [statistics.median(times_) for times_ in taken]
            ratio, asked = shortest[1] / shortest[0], ASKED.get((name, shape), 1.0)
            below += ratio < asked
            row = [f"{milliseconds:.1f}" for milliseconds in shortest]
            table.add_row(
                name,
                "x".join(map(str, shape)),
                *row[:2],
                f"{ratio:.2f}" + (" !" if ratio < asked else ""),
                f"{medians[1] / medians[0]:.2f}",
                f"{asked:g}",
                f"{shortest[2] / shortest[0]:.2f}",
                *([row[3], f"{shortest[3] / shortest[0]:.2f}"] if len(row) > 3 else ["", ""]),
            )
    Console(width=100).print(table)
    return below


def alternating(makers: list, repeat: int) -> list[list[float]]:
    """Return the times of each maker, in ms, measured in turn so that all share the noise."""
    taken = [[] for _ in makers]
    for maker in makers:
        maker()
    for _ in range(repeat):
        for maker, times_ in zip(makers, taken, strict=True):
            start = time.perf_counter()
            # The values of every library, where a caller can read them.
            np.asarray(maker()).ravel()[-1]
            times_.append(1e3 * (time.perf_counter() - start))
    return taken


def unkept(made: Any, shape: tuple[int, ...]) -> Any:
    """Make a tensor without the block that an earlier one left."""
    with mock.patch.object(blocks, "empty", np.empty):
        return made(shape)


def torch_maker(name: str, shape: tuple[int, ...]) -> list:
    """Return what makes the tensor in PyTorch, if it is there and can."""
    try:
        import torch
    except ImportError:
        return []
    if name not in TORCH:
        return []
    # PyTorch's axes: outputs, inputs, window.
    turned = shape if len(shape) == 2 else (shape[-1], shape[-2], *shape[:-2])
    return [lambda: getattr(torch.nn.init, TORCH[name])(torch.empty(turned))]


def memory(names: tuple[str, ...]) -> int:
    """Print peaks of memory in sizes of the tensor; return how many are above 2."""
    table = Table("class", "shape", "peak / tensor")
    above = 0
    for name in names:
        if name in ("Orthogonal", "Identity"):
            continue
        for shape in SHAPES:
            made = getattr(kerasinit, name)()
            made((2, 2))
            tracemalloc.start()
            size = made(shape).nbytes
            peak = tracemalloc.get_traced_memory()[1] / size
            tracemalloc.stop()
            above += peak > 2
            table.add_row(name, "x".join(map(str, shape)), f"{peak:.2f}")
    Console(width=100).print(table)
    return above


if __name__ == "__main__":
    main()
