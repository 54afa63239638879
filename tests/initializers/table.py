"""Every initializer, with arguments that differ from the defaults.

The tests of this folder run each promise over this table; a new class is one line.
"""

from dataclasses import dataclass, field
from typing import Any

import keras
import tf_keras

import kerasinit

KERASES = {"keras": keras, "tf_keras": tf_keras}
FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Case:
    """A class and arguments for it; ``seeded`` if it draws numbers."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    seeded: bool = True

    def make(self, **more: Any) -> Any:
        return getattr(kerasinit, self.name)(**self.arguments, **more)

    def __str__(self) -> str:
        return self.name


TABLE = (
    Case("Constant", {"value": 0.75}, seeded=False),
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
    Case("Zeros", seeded=False),
)
SEEDED = tuple(case for case in TABLE if case.seeded)
ALIASES = {
    "KaimingNormal": "HeNormal",
    "KaimingUniform": "HeUniform",
    "XavierNormal": "GlorotNormal",
    "XavierUniform": "GlorotUniform",
}
