"""Networks that are ill in a known way, and sound ones."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np

import kerasinit


def stack(library, width, depth, activation, initializer, **options):
    dense = library.layers.Dense
    hidden = [
        dense(width, activation, kernel_initializer=initializer, **options) for _ in range(depth)
    ]
    return library.Sequential([library.Input((width,)), *hidden, dense(10)])


def normal(stddev, library=keras):
    return library.initializers.RandomNormal(0, stddev)


def batch(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def resnet(library, last_scale="ones", size=8):
    layers = library.layers
    inputs = library.Input((size, size, 3))
    x = layers.Conv2D(16, 3, padding="same", kernel_initializer="he_normal")(inputs)
    for filters, strides in [(16, 1), (32, 2), (32, 1), (64, 2)]:
        y = layers.Conv2D(
            filters, 3, strides=strides, padding="same", kernel_initializer="he_normal"
        )(x)
        y = layers.Activation("relu")(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(y)
        y = layers.BatchNormalization(gamma_initializer=last_scale)(y)
        if x.shape[-1] != filters:
            x = layers.Conv2D(filters, 1, strides=strides)(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(inputs, layers.Dense(10, activation="softmax")(x))


def transformer(library, words=8, width=32, blocks=3):
    layers = library.layers
    inputs = library.Input((words,), dtype="int32")
    x = layers.Embedding(50, width)(inputs)
    for _ in range(blocks):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(4, width // 4)(y, y)
        x = layers.Add()([x, layers.Dropout(0.1)(y)])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(y))
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return library.Model(inputs, layers.Dense(5)(x))


@functools.cache
def hidden(library, width, depth, activation):
    """Return a stack that several tests share: each gives it weights of its own first."""
    return stack(library, width, depth, activation, "glorot_uniform")


def drawn(model, kernel="own", bias="own", seed=0):
    """Give the hidden layers first values; the head gets its own."""
    head = f"dense_{len(model.layers) - 1}/*"
    kerasinit.reinitialize(model, {head: "own", "kernel": kernel, "bias": bias}, seed=seed)
    return model


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that is wrong with a network.

    Attributes:
        kind: The kind of finding.
        layer: Where it has to show first; None for several layers that each add their share.
        depth: How many hidden layers it is planted in.
        activation: Theirs.
        plant: What to do to such a network, with a seed.
    """

    kind: str
    layer: str | None
    depth: int
    activation: str
    plant: Callable

    def planted(self, library, width, seed):
        model = hidden(library, width, self.depth, self.activation)
        self.plant(model, seed)
        return model


def kernels(initializer):
    return lambda model, seed: drawn(model, initializer, seed=seed)


def two_equal_units(model, seed=0):
    drawn(model, seed=seed)
    kernel, bias = model.layers[1].get_weights()
    kernel[:, 3] = kernel[:, 1]
    model.layers[1].set_weights([kernel, bias])


def one_nan(model, seed=0):
    drawn(model, seed=seed)
    kernel, bias = model.layers[2].get_weights()
    kernel[0, 0] = np.nan
    model.layers[2].set_weights([kernel, bias])


FAULTS = {
    "zeros": Fault("symmetry", "dense", 10, "tanh", kernels("Zeros")),
    "constant": Fault("symmetry", "dense", 10, "tanh", kernels(kerasinit.Constant(0.1))),
    "small": Fault(
        "vanishing-activations", "dense", 10, "tanh", kernels(kerasinit.RandomNormal(stddev=1e-3))
    ),
    "large": Fault("saturation", "dense", 10, "tanh", kernels(kerasinit.RandomNormal(stddev=1.0))),
    "glorot-relu": Fault("vanishing-activations", None, 30, "relu", kernels("GlorotUniform")),
    "sigmoids": Fault("vanishing-gradients", "dense", 10, "sigmoid", kernels("GlorotUniform")),
    "low-biases": Fault(
        "dead-units",
        "dense",
        3,
        "relu",
        lambda model, seed: drawn(model, "HeNormal", kerasinit.Constant(-10), seed),
    ),
    "equal-units": Fault("symmetry", "dense_1", 3, "tanh", two_equal_units),
    "nan": Fault("non-finite", "dense_2", 3, "tanh", one_nan),
}
# Depth, activation and initializer of networks that train.
SOUND = {
    "he-relu-30": (30, "relu", "HeNormal"),
    "lecun-selu-50": (50, "selu", "LecunNormal"),
    "glorot-tanh-5": (5, "tanh", "GlorotUniform"),
}
