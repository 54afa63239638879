"""Fans: how many inputs feed an output of a kernel, and how many outputs an input feeds.

`fan_in` sets the variance of a layer's output, `fan_out` that of the gradient that it sends back
(Glorot and Bengio, 2010).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from kerasinit._src import compat
from kerasinit._src.network.parts import Kernel, parts
from kerasinit._src.network.walk import walk
from kerasinit._src.theory.fans import Fans, shape_fans
from kerasinit._src.troubleshooting import see


@overload
def compute_fans(
    kernel: Sequence[int],
    input_axes: Iterable[int] | None = None,
    output_axes: Iterable[int] | None = None,
    batch_axes: Iterable[int] | None = None,
    groups: int = 1,
) -> Fans: ...
@overload
def compute_fans(kernel: Any) -> dict[str, Fans]: ...
def compute_fans(
    kernel: Any,
    input_axes: Iterable[int] | None = None,
    output_axes: Iterable[int] | None = None,
    batch_axes: Iterable[int] | None = None,
    groups: int = 1,
) -> Fans | dict[str, Fans]:
    """Return ``(fan_in, fan_out)`` of a kernel's shape, or of each kernel of a layer.

    Without axes a shape is read as Keras does: ``()`` has fans of 1, ``(n,)`` of ``n``,
    ``(fan_in, fan_out)`` is a matrix, and anything longer is a convolution,
    ``(*window, inputs, outputs)``, whose fans are multiplied by the size of the window.
    A shape alone cannot tell a convolution from the kernel of an attention head, a plain
    convolution from a depthwise or transposed one, or four gates from one matrix. The
    layer can: give the layer, once it is built.

    Formula: with axes, ``fan_in = prod(shape[a] for a in input_axes)`` and
    ``fan_out = prod(shape[a] for a in output_axes)``. For layers, with ``k`` positions in
    the window and ``s`` the product of the strides:

    ==========================  =========================  =========================
    layer                       fan_in                     fan_out
    ==========================  =========================  =========================
    Dense                       inputs                     units
    EinsumDense, attention      product of the axes that   product of the axes that
                                are summed over            only the output has
    Conv, ``groups``            k inputs / groups          k outputs / (groups s)
    DepthwiseConv               k                          k multiplier / s
    SeparableConv               as DepthwiseConv, then     as DepthwiseConv, then
                                as Conv of window 1        as Conv of window 1
    ConvTranspose               k inputs / s               k outputs
    Embedding                   1                          dimension
    SimpleRNN, GRU, LSTM        inputs (units)             units: gate by gate
    ConvLSTM                    k inputs (k filters)       k filters: gate by gate
    ==========================  =========================  =========================

    Borders of convolutions, where outputs have fewer inputs, are ignored. A custom layer is
    read by the layers it contains, and its own kernels (variables that its call multiplies inputs
    with, or that are named kernel) by their shapes.

    Args:
        kernel: The kernel's shape; or a built layer or model of either Keras, without other
            arguments.
        input_axes: Axes that are summed over; negative ones count from the end.
            Given together with ``output_axes`` or not at all (None, the default).
        output_axes: Axes that the result keeps. Defaults to None.
        batch_axes: Axes of independent kernels, such as experts. They count in neither fan;
            if no other axes are given, the remaining ones are read as above. Defaults to None.
        groups: The number of groups of a convolution, whose kernel has the shape
            ``(*window, inputs / groups, outputs)``. Defaults to 1.

    Returns:
        For a shape ``(fan_in, fan_out)``; 0 where an axis is empty. For a layer or model a
        dictionary of them by the kernel's name (``"kernel"``, ``"query/kernel"``,
        ``"forward/recurrent_kernel"``), which also accepts layer names set by the user
        (``"encoder/kernel"``). Integers unless strides divide them.

    Raises:
        TypeError: If a layer is given with axes, or a kernel instead of its shape.
        ValueError: If only one of ``input_axes`` and ``output_axes`` is given, an axis is
            out of range or named twice, the outputs are not a multiple of ``groups``, or a
            layer is not built.

    Example:
    >>> compute_fans((3, 3, 64, 128))
    (576, 1152)
    >>> compute_fans((512, 8, 64), input_axes=[0], output_axes=[1, 2])
    (512, 512)
    >>> compute_fans((4, 512, 256), batch_axes=[0])
    (512, 256)
    >>> import keras
    >>> layer = keras.layers.Conv2DTranspose(64, 4, strides=2)
    >>> layer.build((None, 8, 8, 256))
    >>> compute_fans(layer)
    {'kernel': (1024, 1024)}

    Reference:
        Glorot and Bengio, 2010, "Understanding the difficulty of training deep
        feedforward neural networks", section 4.2.
    """
    if compat.is_layer(kernel):
        if (input_axes, output_axes, batch_axes, groups) != (None, None, None, 1):
            raise TypeError(
                f"{kernel.name!r} is a layer, which knows its axes and groups; pass it alone, or "
                f"pass the shape of a kernel with axes and groups. {see('fans-of-a-kernel')}"
            )
        prefix = "" if compat.is_model(kernel) else f"{next(walk(kernel))[0]}/"
        read = [part for part in parts(kernel) if isinstance(part, Kernel)]
        return _FansByName(
            {
                part.name.removeprefix(prefix): (part.reading.fan_in, part.reading.fan_out)
                for part in read
            },
            [(name, part.name.removeprefix(prefix)) for part in read for name in part.names[1:]],
        )
    if len(getattr(kernel, "shape", ())) > 1 or compat.is_variable(kernel):
        raise TypeError(
            f"Expected a layer, a model or the shape of a kernel; got a {type(kernel).__name__} of "
            f"shape {tuple(kernel.shape)}. The fans depend on how the layer uses the kernel: pass "
            f"the layer, compute_fans(layer), or the shape, compute_fans(kernel.shape). "
            f"{see('fans-of-a-kernel')}"
        )
    return shape_fans(kernel, input_axes, output_axes, batch_axes, groups)


class _FansByName(dict[str, Fans]):
    """Fans by structural names, with look-up by layer names set by the user as well."""

    def __init__(self, fans: Mapping[str, Fans], given: list[tuple[str, str]]):
        super().__init__(fans)
        self._given = given

    def __missing__(self, name: str) -> Fans:
        matching = [structural for other, structural in self._given if other == name]
        if len(matching) == 1:
            return self[matching[0]]
        raise KeyError(f"{name!r} is the name of {', '.join(matching)}" if matching else name)
