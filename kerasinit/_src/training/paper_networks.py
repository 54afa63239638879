"""The networks of the lottery paper, which `kerasinit lottery run --model` accepts by name.

All use ReLU, kernels of ``initializer`` (Glorot normal by default), zero biases and logit
outputs, and are compiled with Adam at the paper's learning rate. Conv-2, Conv-4 and Conv-6
have pairs of 3 x 3 convolutions, each followed by max-pooling, and dense layers of 256 and 256
units; they take images with or without a channel axis. The paper's figure prints 1.7
million weights for Conv-6; these layers have 2.26 million.

Reference:
    Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635, figure 2.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasinit._src.initializers import GlorotNormal

_Shape = tuple[int, ...]
_Initializer = keras.initializers.Initializer | None


def lenet_300_100(
    input_shape: _Shape, num_classes: int, initializer: _Initializer = None
) -> keras.Model:
    """Build and compile LeNet-300-100: two hidden layers, for examples of any shape."""
    kernel = initializer or GlorotNormal()
    inputs = keras.Input((int(np.prod(input_shape)),))
    layers = [inputs, *_dense((300, 100, num_classes), kernel)]
    return _classifier(layers, "lenet_300_100", 1.2e-3)


def conv2(input_shape: _Shape, num_classes: int, initializer: _Initializer = None) -> keras.Model:
    """Build and compile Conv-2."""
    return _convolutional("conv2", (64,), 2e-4, input_shape, num_classes, initializer)


def conv4(input_shape: _Shape, num_classes: int, initializer: _Initializer = None) -> keras.Model:
    """Build and compile Conv-4."""
    return _convolutional("conv4", (64, 128), 3e-4, input_shape, num_classes, initializer)


def conv6(input_shape: _Shape, num_classes: int, initializer: _Initializer = None) -> keras.Model:
    """Build and compile Conv-6."""
    return _convolutional("conv6", (64, 128, 256), 3e-4, input_shape, num_classes, initializer)


def _convolutional(
    name: str,
    pairs: tuple[int, ...],
    learning_rate: float,
    input_shape: _Shape,
    num_classes: int,
    initializer: _Initializer,
) -> keras.Model:
    # Grayscale images come without a channel axis.
    shape = (*input_shape, 1) if len(input_shape) == 2 else tuple(input_shape)
    min_size = 2 ** len(pairs)
    if len(shape) != 3 or min(shape[:2]) < min_size:
        raise ValueError(
            f"{name} takes images of at least {min_size} x {min_size}; one example of the data has "
            f"shape {tuple(input_shape)}. Use lenet-300-100, or data of shape (n, height, width)."
        )
    kernel = initializer or GlorotNormal()
    layers: list[Any] = [keras.Input(shape)]
    for filters in pairs:
        layers += [_convolution(filters, kernel), _convolution(filters, kernel)]
        layers.append(keras.layers.MaxPooling2D())
    layers += [keras.layers.Flatten(), *_dense((256, 256, num_classes), kernel)]
    return _classifier(layers, name, learning_rate)


# Keras annotates kernel_initializer as str only, hence Any.
def _convolution(filters: int, kernel: Any) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        filters, 3, padding="same", activation="relu", kernel_initializer=kernel
    )


def _dense(units: tuple[int, ...], kernel: Any) -> list[keras.layers.Layer]:
    activations = ["relu"] * (len(units) - 1) + [None]
    return [
        keras.layers.Dense(n, activation, kernel_initializer=kernel)
        for n, activation in zip(units, activations, strict=True)
    ]


def _classifier(layers: list[Any], name: str, learning_rate: float) -> keras.Model:
    model = keras.Sequential(layers, name=name)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


BUILT_IN: dict[str, Callable[..., Any]] = {
    "lenet-300-100": lenet_300_100,
    "conv2": conv2,
    "conv4": conv4,
    "conv6": conv6,
}
