"""The catalogue of the layer classes of both Kerases: the only place that lists them.

A row describes how a layer reads its kernels, which of its variables are pruned, what it does to a
signal and to channels, and which layers it contains. A test fails for a layer class of Keras
without a row; a custom class uses the row of the Keras layer that it derives from.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kerasinit._src import compat
from kerasinit._src.network import readings
from kerasinit._src.network.readings import Reader

Signal = Literal[
    "activates",  # applies a function to each number
    "adds",
    "attends",  # with its own kernels
    "averages",
    "chooses",  # a softmax
    "concatenates",
    "embeds",  # looks up rows
    "enters",  # an input of the model
    "masks",
    "maximizes",
    "multiplies",  # its output is zero wherever one of its inputs is
    "normalizes",  # scales its inputs to a fixed variance or norm
    "other",
    "passes",  # is the identity at inference, up to the shape
    "recurs",
    "rescales",  # multiplies and adds constants
    "resizes",  # crops, pads or repeats
    "steps",  # one step of a recurrent layer: a cell
    "sums",  # multiplies by kernels and sums
    "wraps",
]
Channels = Literal[
    "concatenates",  # stacks the channels of its inputs
    "joins",  # channel by channel, from several inputs
    "mixes",  # each output channel depends on all input channels, through a kernel
    "passes",  # each output channel depends on the input channel of the same index alone
    "refuses",  # channels depend on one another in some other way
    "reshapes",
]
Inside = Literal[
    "",  # the layers in its attributes
    "cell",
    "cells",
    "dense layers",
    "directions",
    "layer",  # one that it calls step by step
    "wrapped",  # one that it calls once
]


@dataclass(frozen=True)
class Row:
    """The properties of some layer classes.

    Attributes:
        names: The classes, in both Kerases where they exist; * stands for 1, 2 and 3.
        signal: What the layer does to a signal.
        channels: How its output channels depend on its input channels.
        kernels: The role and the reader of each variable that multiplies a signal, by name. A
            layer with a cell lists the variables of the cell if neither Keras exports its class.
        pruned: The variables that are pruned; None if the layer inside decides or if it is not
            known. Applies to the class itself, not to its subclasses.
        optional: Those of ``pruned`` that exist only with certain arguments.
        inside: Where the layer holds other layers.
        by_batch: Whether the layer keeps moving statistics of batches.
        function: Keras' name of the activation that it applies; empty if the activation is an
            argument.
    """

    names: str
    signal: Signal = "other"
    channels: Channels = "refuses"
    kernels: Mapping[str, tuple[str, Reader]] = field(default_factory=dict)
    pruned: tuple[str, ...] | None = ()
    optional: tuple[str, ...] = ()
    inside: Inside = ""
    by_batch: bool = False
    function: str = ""

    @property
    def loops(self) -> bool:
        """Whether the layers inside are called step by step."""
        return self.inside in ("cell", "directions", "layer")


UNKNOWN = Row("", pruned=None)


def row_of(layer: Any) -> Row:
    """Return the row of a layer, or of the Keras layer that its class derives from.

    It is `UNKNOWN` if there is none, as for an operation, whose layer is None.
    """
    rows = (exact_row(kind) for kind in type(layer).__mro__)
    return next((row for row in rows if row is not UNKNOWN), UNKNOWN)


def exact_row(kind: type) -> Row:
    """Return the row of a class itself, not of its bases; `UNKNOWN` if it has none."""
    rows = (_rows_of(library).get(kind) for library in compat.imported().values())
    return next((row for row in rows if row is not None), UNKNOWN)


def reader_of(layer: Any, variable: str) -> Reader | None:
    """Return the reader of a layer's variable, given its name; None if it is not a kernel."""
    _, reader = row_of(layer).kernels.get(variable, ("", None))
    return reader


# These names mean the same in every layer, including custom ones.
ROLE_BY_NAME = {
    "bias": "bias",
    "gamma": "scale",
    "scale": "scale",
    "beta": "offset",
    "moving_mean": "statistic",
    "moving_variance": "statistic",
    "alpha": "other",
}


_KERNEL = ("kernel",)
_CELL_KERNELS = ("kernel", "recurrent_kernel")
_DEPTHWISE = ("kernel", readings.depthwise)
# tf_keras calls it depthwise_kernel; Keras 3 calls it kernel.
_DEPTHWISE_KERNEL = {"kernel": _DEPTHWISE, "depthwise_kernel": _DEPTHWISE}
_TABLE = ("embeddings", readings.embeddings)
_MATRIX = ("kernel", readings.matrix)

_CATALOGUE = (
    Row("Dense", "sums", "mixes", {"kernel": _MATRIX}, _KERNEL),
    # What it multiplies by are the signs of its larger weights, and one factor: no known variance.
    Row("TernaryDense", channels="mixes", kernels={"kernel": _MATRIX}, pruned=_KERNEL),
    Row("EinsumDense", "sums", "mixes", {"kernel": ("kernel", readings.einsum)}, _KERNEL),
    Row("Conv*D", "sums", "mixes", {"kernel": ("kernel", readings.convolution)}, _KERNEL),
    Row("Conv*DTranspose", "sums", "mixes", {"kernel": ("kernel", readings.transposed)}, _KERNEL),
    Row("DepthwiseConv*D", "sums", "passes", _DEPTHWISE_KERNEL),
    Row(
        "SeparableConv*D",
        "sums",
        "mixes",
        {"depthwise_kernel": _DEPTHWISE, "pointwise_kernel": ("kernel", readings.pointwise)},
        ("pointwise_kernel",),
    ),
    Row("LocallyConnected*D", "sums", "refuses", {"kernel": ("kernel", readings.local)}, _KERNEL),
    Row("Embedding", "embeds", "mixes", {"embeddings": _TABLE}, ("embeddings",)),
    Row(
        "ReversibleEmbedding",
        "embeds",
        kernels={"embeddings": _TABLE, "reverse_embeddings": _MATRIX},
        pruned=("embeddings", "reverse_embeddings"),
        optional=("reverse_embeddings",),
    ),
    Row("SimpleRNNCell", "steps", kernels=readings.recurrent(1), pruned=_CELL_KERNELS),
    Row("GRUCell", "steps", kernels=readings.recurrent(3), pruned=_CELL_KERNELS),
    Row("LSTMCell", "steps", kernels=readings.recurrent(4), pruned=_CELL_KERNELS),
    Row("StackedRNNCells", "steps", pruned=None, inside="cells"),
    Row("RNN SimpleRNN GRU LSTM", "recurs", pruned=None, inside="cell"),
    Row("ConvLSTM*D", "recurs", kernels=readings.recurrent(4), pruned=_CELL_KERNELS, inside="cell"),
    Row("Bidirectional", "recurs", pruned=None, inside="directions"),
    Row(
        "MultiHeadAttention GroupQueryAttention",
        "attends",
        # Only the path of a variable tells which of the dense layers it belongs to.
        pruned=("query/kernel", "key/kernel", "value/kernel", "attention_output/kernel"),
        inside="dense layers",
    ),
    Row("TimeDistributed", "wraps", pruned=None, inside="layer"),
    Row("SpectralNormalization Wrapper", "wraps", pruned=None, inside="wrapped"),
    Row("BatchNormalization", "normalizes", "passes", by_batch=True),
    Row("Normalization", "normalizes", "passes"),
    Row("GroupNormalization LayerNormalization RMSNormalization UnitNormalization", "normalizes"),
    Row("Rescaling", "rescales", "passes"),
    Row("Activation ThresholdedReLU", "activates", "passes"),
    Row("ELU", "activates", "passes", function="elu"),
    Row("LeakyReLU PReLU", "activates", "passes", function="leaky_relu"),
    Row("ReLU", "activates", "passes", function="relu"),
    Row("Softmax", "chooses", function="softmax"),
    Row("ActivityRegularization AlphaDropout Dropout GaussianDropout", "passes", "passes"),
    Row("GaussianNoise Identity SpatialDropout*D", "passes", "passes"),
    Row("Flatten Permute Reshape", "passes", "reshapes"),
    Row("Masking", "masks", "passes"),
    Row("Cropping*D RepeatVector UpSampling*D ZeroPadding*D", "resizes", "passes"),
    Row("AdaptiveAveragePooling*D AveragePooling*D", "averages", "passes"),
    Row("GlobalAveragePooling*D", "averages", "passes"),
    Row("AdaptiveMaxPooling*D GlobalMaxPooling*D MaxPooling*D", "maximizes", "passes"),
    Row("Add", "adds", "joins"),
    Row("Multiply", "multiplies", "joins"),
    Row("Dot", "multiplies"),
    Row("Average Maximum Minimum Subtract", channels="joins"),
    Row("Concatenate", "concatenates", "concatenates"),
    Row("InputLayer", "enters", "passes"),
    Row("Attention AdditiveAttention"),
    # Preprocessing of text, tables, sound and images.
    Row(
        "CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup MelSpectrogram "
        "STFTSpectrogram StringLookup TextVectorization"
    ),
    Row(
        "AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix "
        "Equalization MaxNumBoundingBoxes MixUp Mosaic RandAugment RandomBrightness "
        "RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop "
        "RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale "
        "RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization "
        "RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation "
        "RandomWidth RandomZoom Resizing Solarization"
    ),
    # They run code from elsewhere; which of their weights to prune is not known.
    Row(
        "DenseFeatures FlaxLayer JaxLayer Lambda Pipeline TFSMLayer TorchModuleWrapper",
        pruned=None,
    ),
)


@functools.cache
def _rows_of(library: Any) -> dict[type, Row]:
    """Return the rows of the classes of one Keras."""
    names = {
        name.replace("*", rank): row
        for row in _CATALOGUE
        for name in row.names.split()
        for rank in "123"
    }
    layers = library.layers
    return {getattr(layers, name): row for name, row in names.items() if hasattr(layers, name)}
