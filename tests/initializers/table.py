"""Every initializer, with arguments that differ from the defaults.

The tests of this folder run each promise over this table; a new class is one line.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kerasinit

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


def _sequence(module, images):
    return module.layers.Reshape((25, 4))(images)


PLACES = {
    "matrix": Place(
        lambda module, made, **more: module.layers.Dense(4, kernel_initializer=made, **more),
        ((4, 4), (3, 4), (4, 3), (1, 1), (0, 3), (40, 30)),
        _pooled,
    ),
    # A file's matrix has one shape, not any.
    "stored matrix": Place(
        lambda module, made, **more: module.layers.Dense(4, kernel_initializer=made, **more),
        ((4, 4),),
        _pooled,
    ),
    "widening convolution": Place(
        lambda module, made, **more: module.layers.Conv2D(8, 3, kernel_initializer=made, **more),
        (
            (3, 3, 4, 8),
            (2, 4, 4),
            (4, 1, 3),
            (1, 2, 5, 5),
            (2, 3, 2, 2, 3),
            (3, 0, 4),
            (0, 2, 1, 1),
        ),
    ),
    "gates": Place(
        # Without biases tf_keras does not trace and save a second path for GPUs: seconds less.
        lambda module, made, **more: module.layers.LSTM(
            4, recurrent_initializer=made, use_bias=False, **more
        ),
        ((4, 16), (3, 8), (5, 4), (1, 4), (0, 4), (4, 0), (2, 3, 2, 8)),
        lambda module, images: module.layers.Reshape((25, 4))(images),
        lambda layer: layer.cell.recurrent_kernel,
    ),
    "square": Place(
        lambda module, made, **more: module.layers.Dense(4, kernel_initializer=made, **more),
        ((4, 4), (1, 1), (0, 0), (30, 30), (3, 4, 4), (2, 3, 4, 4), (3, 2, 1, 5, 5)),
        _pooled,
    ),
    "convolution": Place(
        lambda module, made, **more: module.layers.Conv2D(4, 3, kernel_initializer=made, **more),
        ((3, 3, 4, 4), (3, 4, 6), (2, 5, 3, 8), (3, 2, 3, 12, 4), (1, 1, 3, 2), (3, 0, 4)),
    ),
    "upsampling": Place(
        lambda module, made, **more: module.layers.Conv2DTranspose(
            4, 4, strides=2, padding="same", kernel_initializer=made, **more
        ),
        ((4, 4, 4, 4), (5, 1, 1), (3, 6, 2, 2), (2, 3, 7, 3, 3), (4, 0, 0)),
    ),
    "subpixel": Place(
        lambda module, made, **more: module.layers.Conv2D(9, 3, kernel_initializer=made, **more),
        ((3, 3, 4, 9), (1, 1, 1, 18), (2, 5, 3, 27), (3, 3, 0, 9)),
    ),
    "three inputs or more": Place(
        lambda module, made, **more: module.layers.Conv2D(4, 3, kernel_initializer=made, **more),
        ((3, 3, 4, 4), (3, 5), (40, 30), (3, 1, 2), (2, 1, 3, 3, 4), (3, 0)),
    ),
    "frames": Place(
        lambda module, made, **more: module.layers.Conv1D(9, 16, kernel_initializer=made, **more),
        ((16, 1, 9), (7, 1, 9), (4, 1, 2), (1, 1, 3), (0, 1, 2)),
        lambda module, images: module.layers.Reshape((100, 1))(images),
    ),
    "bias": Place(
        lambda module, made, **more: module.layers.Dense(4, bias_initializer=made, **more),
        ((4,), (), (1,), (0,), (7, 4)),
        _pooled,
        lambda layer: layer.bias,
    ),
    # Orthogonal, which these layers have by default, Keras cannot make in bfloat16.
    "bias of an LSTM": Place(
        lambda module, made, **more: module.layers.LSTM(
            4,
            recurrent_initializer="glorot_uniform",
            bias_initializer=made,
            unit_forget_bias=False,
            **more,
        ),
        ((16,),),
        _sequence,
        lambda layer: layer.cell.bias,
    ),
    "bias of a GRU": Place(
        lambda module, made, **more: module.layers.GRU(
            4,
            recurrent_initializer="glorot_uniform",
            bias_initializer=made,
            **more,
        ),
        ((2, 12), (12,)),
        _sequence,
        lambda layer: layer.cell.bias,
    ),
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
    Case("AlexNet"),
    Case("Bilinear", seeded=False, kind="upsampling"),
    Case("CentredNormal", {"nonlinearity": "sigmoid"}, kind="three inputs or more"),
    Case("Chrono", {"units": 4, "max_time": 50, "cell": "gru"}, kind="bias of a GRU"),
    Case("Constant", {"value": 0.75}, seeded=False),
    Case("ConvOrthogonal", {"gain": 1.5}, kind="widening convolution"),
    Case("ConvolutionAware", {"eps_std": 0.25}, kind="convolution"),
    Case("DeltaOrthogonal", {"gain": 1.5}, kind="widening convolution"),
    Case("Dirac", {"groups": 2, "gain": 2.0}, seeded=False, kind="convolution"),
    Case("ForgetBias", {"units": 4, "value": 2.5}, seeded=False, kind="bias of an LSTM"),
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
    Case("ICNR", {"initializer": "RandomNormal:stddev=0.25", "scale": 3}, kind="subpixel"),
    Case("Identity", {"gain": 2.0}, seeded=False, kind="square"),
    Case("LecunNormal"),
    Case("LecunUniform"),
    Case("Ones", seeded=False),
    Case("Orthogonal", {"gain": 1.5}),
    Case("PerGate", {"initializer": "Orthogonal", "gates": 4}, kind="gates"),
    Case("PriorProbability", {"probability": 0.05}, seeded=False, kind="bias"),
    Case("RandomNormal", {"mean": 0.5, "stddev": 0.25}),
    Case("RandomUniform", {"minval": -0.5, "maxval": 0.25}),
    Case(
        "STFT",
        {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True},
        seeded=False,
        kind="frames",
    ),
    Case("Siren", {"omega": 20.0, "first": True}),
    Case("Sparse", {"num_nonzero": 3, "stddev": 0.5}, kind="three inputs or more"),
    Case("TruncatedNormal", {"mean": 0.5, "stddev": 0.25}),
    Case(
        "VarianceScaling",
        {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"},
    ),
    Case("ZerO", seeded=False),
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
