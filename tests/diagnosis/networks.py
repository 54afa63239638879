"""Networks that are ill in a known way, and sound ones."""

import keras
import numpy as np


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


def two_equal_units(width):
    model = stack(keras, width, 3, "tanh", "glorot_uniform")
    kernel, bias = model.layers[1].get_weights()
    kernel[:, 3] = kernel[:, 1]
    model.layers[1].set_weights([kernel, bias])
    return model


def one_nan(width):
    model = stack(keras, width, 3, "tanh", "glorot_uniform")
    kernel, bias = model.layers[2].get_weights()
    kernel[0, 0] = np.nan
    model.layers[2].set_weights([kernel, bias])
    return model


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


# What is wrong, by kind; where it has to show first (a layer, or None for several layers that
# each add their share); how to make it.
FAULTS = {
    "zeros": ("symmetry", "dense", lambda n: stack(keras, n, 10, "tanh", "zeros")),
    "constant": (
        "symmetry",
        "dense",
        lambda n: stack(keras, n, 10, "tanh", keras.initializers.Constant(0.1)),
    ),
    "small": (
        "vanishing-activations",
        "dense",
        lambda n: stack(keras, n, 10, "tanh", normal(1e-3)),
    ),
    "large": ("saturation", "dense", lambda n: stack(keras, n, 10, "tanh", normal(1.0))),
    "glorot-relu": (
        "vanishing-activations",
        None,
        lambda n: stack(keras, n, 30, "relu", "glorot_uniform"),
    ),
    "sigmoids": (
        "vanishing-gradients",
        "dense",
        lambda n: stack(keras, n, 10, "sigmoid", "glorot_uniform"),
    ),
    "low-biases": (
        "dead-units",
        "dense",
        lambda n: stack(
            keras, n, 3, "relu", "he_normal", bias_initializer=keras.initializers.Constant(-10)
        ),
    ),
    "equal-units": ("symmetry", "dense_1", two_equal_units),
    "nan": ("non-finite", "dense_2", one_nan),
}
SOUND = {
    "he-relu-30": lambda n: stack(keras, n, 30, "relu", "he_normal"),
    "lecun-selu-50": lambda n: stack(keras, n, 50, "selu", "lecun_normal"),
    "glorot-tanh-5": lambda n: stack(keras, n, 5, "tanh", "glorot_uniform"),
}
