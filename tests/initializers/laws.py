"""The distribution of every class that draws: what `test_distributions` holds it to.

Each row makes 1e6 numbers. Where they are independent their law says all. The entries of
one orthogonal matrix are not; those of many matrices are told apart by the matrix.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
import scipy.stats

import kerasinit

from .table import TABLE

INPUTS, OUTPUTS = 800, 1250
SIDE = 32  # of the small orthogonal matrices
WINDOW = (3, 3)
CHANNELS = 16
PLACES_OF_UNIT = 10
TAPS = 9
_ARGUMENTS = {case.name: case.arguments for case in TABLE}


@dataclass(frozen=True)
class Cut:
    """The normal distribution cut off at two bounds, in standard deviations.

    SciPy's own takes seconds for a million values.
    """

    low: float = -2.0
    high: float = 2.0
    mean: float = 0.0
    stddev: float = 1.0

    def cdf(self, values: np.ndarray) -> np.ndarray:
        units = np.clip((values - self.mean) / self.stddev, self.low, self.high)
        below, above = scipy.special.ndtr([self.low, self.high])
        return (scipy.special.ndtr(units) - below) / (above - below)

    def moment(self, power: int) -> float:
        return scipy.stats.truncnorm(self.low, self.high, self.mean, self.stddev).moment(power)


def cut_to(variance: float) -> Cut:
    """Return the law of `truncated_normal` with this variance after the cut."""
    return Cut(stddev=math.sqrt(variance / Cut().moment(2)))


def even(variance: float) -> Any:
    """Return the uniform distribution around 0 with this variance."""
    limit = math.sqrt(3 * variance)
    return scipy.stats.uniform(-limit, 2 * limit)


def coordinate(dimensions: int, length: float = 1.0) -> Any:
    """Return the law of a coordinate of a uniform vector of this length."""
    half = (dimensions - 1) / 2
    return scipy.stats.beta(half, half, -length, 2 * length)


class Noisy:
    """A coordinate of a uniform unit vector plus normal noise, times a factor."""

    def __init__(self, dimensions: int, noise: float, factor: float):
        power = (dimensions - 3) / 2
        # Gauss' quadrature over the coordinate: exact for moments, to 1e-12 for the rest.
        nodes, weights = scipy.special.roots_jacobi(200, power, power)
        self._centres, self._weights = factor * nodes, weights / weights.sum()
        self._stddev = factor * noise

    def cdf(self, values: np.ndarray) -> np.ndarray:
        distances = (np.asarray(values)[..., np.newaxis] - self._centres) / self._stddev
        return scipy.special.ndtr(distances) @ self._weights

    def moment(self, power: int) -> float:
        return sum(
            math.comb(power, k)
            * scipy.stats.norm(scale=self._stddev).moment(k)
            * (self._centres ** (power - k) @ self._weights)
            for k in range(0, power + 1, 2)
        )


@dataclass(frozen=True)
class Row:
    """A class with arguments, and the law of the numbers that it makes.

    Attributes:
        name: The class.
        law: What they follow; has ``cdf`` and ``moment``.
        shape: That of the variable.
        arguments: Instead of those of the table.
        taken: From the values of the variable (or of all of them) to the numbers.
        undone: Function of the values that follows the law, if they do not themselves.
        calls: How many variables make up the numbers.
        independent: Whether the numbers are. If not, they have two axes, and only those
            of different rows are.
    """

    name: str
    law: Any
    shape: tuple[int, ...] = (INPUTS, OUTPUTS)
    arguments: dict[str, Any] | None = None
    taken: Callable[[np.ndarray], np.ndarray] = np.ravel
    undone: Callable[[np.ndarray], np.ndarray] | None = None
    calls: int = 1
    independent: bool = True

    def make(self, seed: int) -> Any:
        arguments = _ARGUMENTS[self.name] if self.arguments is None else self.arguments
        return getattr(kerasinit, self.name)(**arguments, seed=seed)

    def numbers(self, variables: list[np.ndarray]) -> np.ndarray:
        drawn = self.taken(np.stack(variables) if self.calls > 1 else variables[0])
        drawn = drawn.astype(np.float64)
        return drawn if self.undone is None else self.undone(drawn)

    def __str__(self) -> str:
        if self.arguments is None:
            return self.name
        said = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.name}({said})"


dependent = functools.partial(Row, independent=False)


def small_channels(kernel: np.ndarray) -> np.ndarray:
    """Return the values of which ICNR makes nine pixels each."""
    return kernel[..., : kernel.shape[-1] // 9].ravel()


def gates(kernel: np.ndarray) -> np.ndarray:
    """Return the entries of each square gate of a kernel."""
    rows = kernel.shape[0]
    return kernel.reshape(rows, -1, rows).swapaxes(0, 1).reshape(-1, rows * rows)


def matrices(stacked: np.ndarray) -> np.ndarray:
    """Return the entries of each matrix, the first axis being their number."""
    return stacked.reshape(len(stacked), -1)


def directions(kernels: np.ndarray) -> np.ndarray:
    """Return what each tap of each kernel makes of an input, as vectors of length 1."""
    kernels = kernels.astype(np.float64)
    return matrices(kernels / np.linalg.norm(kernels, axis=-1, keepdims=True))


def filters(kernel: np.ndarray) -> np.ndarray:
    """Return the filters of each output channel."""
    return kernel.reshape(-1, kernel.shape[-1]).T


def forget_gate(bias: np.ndarray) -> np.ndarray:
    return bias.reshape(4, -1)[1]


def update_gate(bias: np.ndarray) -> np.ndarray:
    return bias[0].reshape(3, -1)[0]


_AVERAGE = (INPUTS + OUTPUTS) / 2
_AWARE = math.sqrt(2 / TAPS)
ROWS = (
    Row("AlexNet", scipy.stats.norm(0, 0.01)),
    # Each entry is normal; those of a unit are tied, but barely so among 800.
    Row("CentredNormal", scipy.stats.norm(0, kerasinit.gain("sigmoid", "centred") / INPUTS**0.5)),
    Row(
        "Chrono",
        scipy.stats.uniform(1, 48),
        (2, 3 * 10**6),
        {"units": 10**6, "max_time": 50, "cell": "gru"},
        update_gate,
        np.exp,
    ),
    Row(
        "Chrono",
        scipy.stats.uniform(1, 998),
        (4 * 10**6,),
        {"units": 10**6, "max_time": 1000},
        forget_gate,
        np.exp,
    ),
    # Which subspaces the convolutions share is not to be seen in one number: whatever
    # they are, the last rotation of the outputs makes every direction as likely. For the
    # lengths see `test_distributions`.
    dependent(
        "ConvOrthogonal",
        coordinate(CHANNELS),
        (*WINDOW, CHANNELS, CHANNELS),
        taken=directions,
        calls=450,
    ),
    dependent(
        "ConvolutionAware",
        Noisy(TAPS, 0.25 / math.sqrt(TAPS), _AWARE / math.sqrt(1 + 0.25**2)),
        (3, 3, TAPS, 12_500),
        taken=filters,
    ),
    dependent(
        "ConvolutionAware",
        coordinate(TAPS, _AWARE),
        (3, 3, TAPS, 12_500),
        {"eps_std": 0},
        filters,
    ),
    dependent(
        "DeltaOrthogonal", coordinate(SIDE, 1.5), (1, SIDE, SIDE), taken=matrices, calls=1000
    ),
    Row("GlorotNormal", cut_to(1 / _AVERAGE)),
    Row("GlorotUniform", even(1 / _AVERAGE)),
    Row("HeNormal", cut_to(2 / (1 + 0.25**2) / INPUTS)),
    Row("HeUniform", even(2 / (1 + 0.25**2) / INPUTS)),
    Row("ICNR", scipy.stats.norm(0, 0.25), (5, 5, 400, 900), taken=small_channels),
    Row(
        "ICNR",
        cut_to(2 / (25 * 400)),
        (5, 5, 400, 900),
        {"initializer": "HeNormal", "scale": 3},
        small_channels,
    ),
    Row("LecunNormal", cut_to(1 / INPUTS)),
    Row("LecunUniform", even(1 / INPUTS)),
    dependent(
        "Orthogonal",
        coordinate(SIDE, 1.5),
        (1000, SIDE, SIDE),
        {"gain": 1.5, "input_axes": [1], "output_axes": [2]},
        matrices,
    ),
    # A single column of the table's own layout; its length is all that ties it together.
    dependent("Orthogonal", coordinate(SIDE, 1.5), (SIDE, 1), taken=matrices, calls=1000),
    dependent(
        "PerGate",
        coordinate(SIDE),
        (SIDE, 1000 * SIDE),
        {"initializer": "Orthogonal", "gates": 1000},
        gates,
    ),
    Row(
        "PerGate",
        even(2 / (1000 + 250)),
        (1000, 1000),
        {"initializer": "GlorotUniform", "gates": 4},
    ),
    Row("RandomNormal", scipy.stats.norm(0.5, 0.25)),
    Row("RandomUniform", scipy.stats.uniform(-0.5, 0.75)),
    Row("Siren", scipy.stats.uniform(-1 / INPUTS, 2 / INPUTS)),
    Row("Siren", even(2 / INPUTS / 20**2), arguments={"omega": 20.0}),
    Row(
        "Sparse",
        scipy.stats.norm(0, 0.5),
        (PLACES_OF_UNIT, 334_000),
        taken=lambda kernel: kernel[kernel != 0],
    ),
    Row("TruncatedNormal", Cut(mean=0.5, stddev=0.25)),
    Row(
        "TruncatedNormal",
        Cut(-0.5, 3.0, mean=0.5, stddev=0.25),
        arguments={"mean": 0.5, "stddev": 0.25, "bounds": (-0.5, 3.0)},
    ),
    Row("VarianceScaling", scipy.stats.norm(0, math.sqrt(3 / OUTPUTS))),
)
