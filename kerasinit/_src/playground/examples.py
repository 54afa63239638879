"""The examples that the two networks learn to tell apart.

Those in the plane are computed here, not by a library: a link shows the same points in every
release. They are standardized, so that the theory's signal starts at a mean square of 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src import streams
from kerasinit._src.playground.settings import Settings

_TRAINING, _TEST = 400, 200
_TEST_PART = 3  # one of so many rows of a file
_PROBED = 200


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and labels to train on and to test with.

    Attributes:
        x: Training inputs of shape ``(n, columns)``, float32.
        y: Training labels of shape ``(n,)``, int32.
        x_test: Test inputs of shape ``(m, columns)``, float32.
        y_test: Test labels of shape ``(m,)``, int32.
        classes: The names of the classes.
        columns: The names of the inputs.
        image_side: The width and height of the inputs as an image; 0 if they are not pixels.

    Example:
        See `TwoNetworks`.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    image_side: int = 0

    @property
    def probe(self) -> tuple[np.ndarray, np.ndarray]:
        """The first training examples, on which layers are measured."""
        return self.x[:_PROBED], self.y[:_PROBED]

    @property
    def is_plane(self) -> bool:
        """Whether an example is a point in the plane, so that a boundary can be drawn."""
        return self.x.shape[1] == 2


def examples_for(settings: Settings, table: Mapping[str, Any] | None = None) -> Examples:
    """Return the examples of some settings.

    Args:
        settings: The name of the data, the noise and the seed.
        table: The table of a file for ``data="csv"``: ``x``, rows of numbers; ``labels``, the class
            of each; ``classes`` and ``columns``, the names of both.

    Raises:
        ValueError: If a table is missing.
        ImportError: If scikit-learn, which contains the digits, is not installed.
    """
    if settings.data == "csv":
        if table is None:
            raise ValueError("The data are a CSV file, which is not here: choose the file again.")
        return _from_table(table, settings.seed)
    if settings.data == "digits":
        return _digits()
    random = streams.generator(settings.seed, "playground", settings.data)
    count = _TRAINING + _TEST
    labels = np.arange(count) % 2
    points = _POINTS[settings.data](labels, random)
    points += settings.noise * random.normal(size=points.shape)
    order = random.permutation(count)
    return _split(points[order], labels[order], _TEST, ("0", "1"), ("x", "y"))


def _blobs(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    centres = np.where(labels[:, None] == 0, -0.6, 0.6)
    return centres + 0.25 * random.normal(size=(len(labels), 2))


def _moons(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    angles = math.pi * random.random(len(labels))
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.where(labels[:, None] == 0, upper, [1.0, 0.5] - upper)


def _circles(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    angles = 2 * math.pi * random.random(len(labels))
    radii = np.where(labels == 0, 1.0, 0.5)
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _xor(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    # A gap along the axes, which noise fills.
    points = random.uniform(0.1, 1.0, size=(len(labels), 2))
    signs = random.choice([-1.0, 1.0], size=len(labels))
    points[:, 0] *= signs
    points[:, 1] *= np.where(labels == 0, signs, -signs)
    return points


def _spirals(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    turn = random.random(len(labels))
    angles = 3 * math.pi * turn + math.pi * labels
    radii = 0.1 + 0.9 * turn
    # Noise moves a point across the gap between the arms only if it is as large as the gap.
    return 2 * radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


_POINTS = {
    "blobs": _blobs,
    "circles": _circles,
    "moons": _moons,
    "spirals": _spirals,
    "xor": _xor,
}


def _digits() -> Examples:
    # Here, since it imports TensorFlow, which examples in the plane do not need.
    from kerasinit._src.training.data import load

    data = load("digits")
    side = math.isqrt(data.x_train.shape[1])
    columns = tuple(f"pixel {row},{column}" for row in range(side) for column in range(side))
    names = tuple(map(str, range(10)))
    return Examples(data.x_train, data.y_train, data.x_test, data.y_test, names, columns, side)


def _from_table(table: Mapping[str, Any], seed: int) -> Examples:
    x, labels = np.asarray(table["x"], np.float64), np.asarray(table["labels"])
    order = streams.generator(seed, "playground", "csv").permutation(len(x))
    test = len(x) // _TEST_PART
    return _split(x[order], labels[order], test, tuple(table["classes"]), tuple(table["columns"]))


def _split(
    x: np.ndarray, labels: np.ndarray, test: int, classes: tuple[str, ...], columns: tuple[str, ...]
) -> Examples:
    """Return standardized examples; the first ones are the test examples."""
    # The scale first: the squares of large numbers overflow.
    scale = np.abs(x[test:]).max(axis=0)
    x = x / np.where(scale > 0, scale, 1.0)
    deviation = x[test:].std(axis=0)
    x = (x - x[test:].mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    x, labels = x.astype(np.float32), labels.astype(np.int32)
    return Examples(x[test:], labels[test:], x[:test], labels[:test], classes, columns)
