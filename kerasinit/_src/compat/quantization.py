"""How a layer of Keras 3 is quantized, and what it was before."""

from typing import Any

import keras

from kerasinit._src import compat

OF_THE_LAYER = ("bias", "embeddings", "kernel")
"""The variables that a layer had before it was quantized; the others came with that."""


def quantization_of(layer: Any) -> str | None:
    """Return how a layer of Keras 3 is quantized, such as ``"int8"``; None if it is not."""
    if compat.is_model(layer):
        return None
    return getattr(layer, "quantization_mode", None) if layer.weights else None


def unpacked(layer: Any, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a kernel had before it was quantized, when several went into a byte."""
    if name == "kernel" and isinstance(layer, keras.layers.EinsumDense):
        return tuple(getattr(layer, "original_kernel_shape", shape))
    if name == "kernel" and hasattr(layer, "units"):
        return (layer.input_spec.axes[-1], layer.units)
    if name == "embeddings":
        return (layer.input_dim, layer.output_dim)
    return shape
