"""Every initializer, with arguments that differ from the defaults.

The tests of this folder run each promise over this table; a new class is one line.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tf_keras

import kerasinit

KERASES = {"keras": keras, "tf_keras": tf_keras}
FLOATS = ("float16", "bfloat16", "float32", "float64")
# Written by kerasinit 0.1, and never written anew: every later one must read them.
FILES = Path(__file__).with_name("files")


@dataclass(frozen=True)
class Place:
    """A kind of variable, the layer that has one, and shapes that it may have.

    The layer takes images of 5 x 5 pixels and 4 channels, or what `prepare` makes of
    them, and its variable has the first of the shapes.
    """

    layer: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    prepare: Callable[[Any, Any], Any] = lambda module, images: images
    variable: Callable[[Any], Any] = lambda layer: layer.kernel


IMAGES = (5, 5, 4)


def _pooled(module, images):
    return module.layers.GlobalAveragePooling2D()(images)


def _dense(module, made, **more):
    return module.layers.Dense(4, kernel_initializer=made, **more)


PLACES = {
    "matrix": Place(_dense, ((4, 4), (3, 4), (4, 3), (1, 1), (0, 3), (40, 30)), _pooled),
    # A file's matrix has one shape, not any.
    "stored matrix": Place(_dense, ((4, 4),), _pooled),
}


@dataclass(frozen=True)
class Case:
    """A class and arguments for it, and the kind of variable that it is for.

    ``seeded`` if it draws numbers.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    seeded: bool = True
    kind: str = "matrix"

    def make(self, **more: Any) -> Any:
        return getattr(kerasinit, self.name)(**self.arguments, **more)

    def fixed(self, seed: int = 1) -> Any:
        """Return an initializer that gives the same values at every call."""
        return self.make(seed=seed) if self.seeded else self.make()

    @property
    def place(self) -> Place:
        return PLACES[self.kind]

    @property
    def shape(self) -> tuple[int, ...]:
        """A shape that suits it, that of the variable of its place's layer."""
        return self.place.shapes[0]

    def __str__(self) -> str:
        return self.name


TABLE = (
    Case("Constant", {"value": 0.75}, seeded=False),
    Case(
        "FromModel",
        {"path": str(FILES / "model-0.1.keras"), "variable": "dense/kernel"},
        seeded=False,
        kind="stored matrix",
    ),
    Case("GlorotNormal"),
    Case("GlorotUniform"),
    Case("HeNormal", {"negative_slope": 0.25}),
    Case("HeUniform", {"negative_slope": 0.25}),
    Case("Identity", {"gain": 2.0}, seeded=False),
    Case("LecunNormal"),
    Case("LecunUniform"),
    Case("Ones", seeded=False),
    Case("Orthogonal", {"gain": 1.5}),
    Case("RandomNormal", {"mean": 0.5, "stddev": 0.25}),
    Case("RandomUniform", {"minval": -0.5, "maxval": 0.25}),
    Case("TruncatedNormal", {"mean": 0.5, "stddev": 0.25}),
    Case(
        "VarianceScaling",
        {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"},
    ),
    Case(
        "WinningTicket",
        {"path": str(FILES / "ticket-0.1.safetensors"), "variable": "dense/kernel"},
        seeded=False,
        kind="stored matrix",
    ),
    Case("Zeros", seeded=False),
)
SEEDED = tuple(case for case in TABLE if case.seeded)
ALIASES = {
    "KaimingNormal": "HeNormal",
    "KaimingUniform": "HeUniform",
    "XavierNormal": "GlorotNormal",
    "XavierUniform": "GlorotUniform",
}
