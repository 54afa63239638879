"""The quantization mode of Keras 3 layers, and their shapes before quantization."""

from typing import Any

import keras

from kerasinit._src import compat

UNQUANTIZED_VARIABLES = ("bias", "embeddings", "kernel")
"""The variables of a layer that quantization did not add."""


def quantization_of(layer: Any) -> str | None:
    """Return the quantization mode of a Keras 3 layer, such as ``"int8"``, or None."""
    if compat.is_model(layer):
        return None
    return getattr(layer, "quantization_mode", None) if layer.weights else None


def unpacked_shape(layer: Any, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a variable before int4 quantization packed several values into a byte."""
    if name == "kernel" and isinstance(layer, keras.layers.EinsumDense):
        # Keras 3.16 calls it kernel_shape.
        whole = getattr(layer, "kernel_shape", getattr(layer, "original_kernel_shape", shape))
        whole = list(whole)
        # Before Keras 3.14 an int4 layer tells only which axis it packed.
        axis = getattr(layer, "_int4_pack_axis", None)
        if axis is not None:
            whole[axis] = layer._orig_length_along_pack_axis
        return tuple(whole)
    if name == "kernel" and hasattr(layer, "units"):
        return (layer.input_spec.axes[-1], layer.units)
    if name == "embeddings":
        return (layer.input_dim, layer.output_dim)
    return shape
