"""The rule for each class of layers and each operation, and rules for custom layers."""

from collections.abc import Callable
from typing import Any

from kerasinit._src import compat
from kerasinit._src.network.catalogue import UNKNOWN, exact_row
from kerasinit._src.shrinking.channels import Signal
from kerasinit._src.shrinking.rules import (
    activations,
    attention,
    convolutions,
    einsum,
    kernels,
    pointwise,
    rearranging,
    recurrent,
    statistics,
    wrappers,
)
from kerasinit._src.shrinking.rules.context import Context, UnknownChannelsError

Rule = Callable[[Context], list[Signal]]

# By the name of a class that both Kerases, or one of them, export; * stands for 1, 2 and 3.
_BY_CLASS: dict[Rule, str] = {
    kernels.dense: "Dense",
    kernels.embedding: "Embedding",
    convolutions.convolution: "Conv*D",
    convolutions.depthwise: "DepthwiseConv*D",
    convolutions.separable: "SeparableConv*D",
    convolutions.transposed: "Conv*DTranspose",
    einsum.einsum_dense: "EinsumDense",
    einsum.dot: "Dot",
    pointwise.layer_alone: "ELU LeakyReLU ReLU ThresholdedReLU Identity ActivityRegularization "
    "Add Average Maximum Minimum Subtract",
    pointwise.product_layer: "Multiply",
    pointwise.random: "AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout*D",
    pointwise.activation: "Activation",
    pointwise.prelu: "PReLU",
    pointwise.softmax: "Softmax",
    pointwise.batch_normalization: "BatchNormalization",
    pointwise.rescaling: "Rescaling",
    pointwise.moving: "AveragePooling*D MaxPooling*D Cropping*D UpSampling*D "
    "AdaptiveAveragePooling*D AdaptiveMaxPooling*D",
    pointwise.padded: "ZeroPadding*D",
    pointwise.global_pool: "GlobalAveragePooling*D GlobalMaxPooling*D",
    rearranging.layer_moves: "Flatten Permute RepeatVector Concatenate",
    rearranging.reshape_layer: "Reshape",
    statistics.layer_normalization: "LayerNormalization RMSNormalization",
    statistics.group_normalization: "GroupNormalization",
    statistics.unit_normalization: "UnitNormalization",
    recurrent.recurrent: "LSTM GRU SimpleRNN RNN",
    recurrent.bidirectional: "Bidirectional",
    attention.multi_head: "MultiHeadAttention GroupQueryAttention GroupedQueryAttention",
    attention.weightless: "Attention",
    wrappers.time_distributed: "TimeDistributed",
}

# Layers of keras.applications, which exports none of them.
_BY_APPLICATION: dict[str, Rule] = {
    "LayerScale": pointwise.layer_scale,
    "CustomScaleLayer": pointwise.scaled_sum,
}

# Operations of Keras 3 and functions of TensorFlow, without underscores.
_BY_OPERATION: dict[Rule, str] = {
    pointwise.operation: "abs absolute add addv2 radd average celu ceil clip clipbyvalue cos "
    "divide truediv rtruediv div elu erf exp exponential floor gelu hardsigmoid hardsilu hardswish "
    "hardtanh leakyrelu log log1p logaddexp logsigmoid maximum minimum mish negative neg power pow "
    "reciprocal relu relu6 round rsqrt rsub selu sigmoid sign silu sin sinh softplus softsign "
    "sqrt square squareplus subtract sub swish tanh identity cast tanhshrink softshrink hardshrink "
    "stopgradient addn expm1 tan arctan sparseplus",
    pointwise.product_operation: "multiply mul rmul",
    rearranging.moving_operation: "concatenate concat stack transpose permutedimensions expanddims "
    "squeeze flip swapaxes moveaxis",
    rearranging.reshape_operation: "reshape ravel flatten",
    rearranging.split_operation: "split arraysplit",
    rearranging.choosing_operation: "getitem take slice tile repeat roll unstack stridedslice",
    einsum.matmul: "matmul",
    einsum.einsum: "einsum",
    wrappers.reduction: "mean sum max min amax amin reducemean reducesum reducemax reducemin",
    wrappers.softmax_operation: "softmax logsoftmax",
}

_CUSTOM: dict[type, Rule] = {}
_WORDS: dict[str, Rule] = {"passes": wrappers.custom}


def register_layer(layer_class: Any, like: Any = "passes") -> Any:
    """Declare how channels pass a custom layer, or that a function is elementwise.

    Without it, no channel of a custom layer is removed, nor of anything that it reads.

    Args:
        layer_class: A layer class of either Keras; or an elementwise function that is used as an
            activation.
        like: ``"passes"`` (default): each channel of the output, on the last axis, depends only on
            the same channel of the input, and a weight whose last axis is as long as that of the
            input has one position for each channel. Or the layer class of Keras that it behaves
            like: its variables have the same names and axes, and its configuration the same keys.
            Ignored for a function.

    Returns:
        ``layer_class``, so that ``@register_layer`` decorates a class.

    Raises:
        TypeError: If it is neither a layer class nor a function.
        ValueError: If ``like`` is neither ``"passes"`` nor a class whose channels are known.

    Example:
    >>> import keras
    >>> @register_layer
    ... class Scale(keras.layers.Layer):
    ...     def build(self, shape):
    ...         self.factor = self.add_weight(shape=(shape[-1],), name="factor")
    ...     def call(self, x):
    ...         return x * self.factor
    """
    if not isinstance(layer_class, type):
        if not callable(layer_class) or compat.is_layer(layer_class):
            raise TypeError(
                f"Expected a layer class or a function; got {layer_class!r} of type "
                f"{type(layer_class).__qualname__}."
            )
        activations.register_function(layer_class)
        return layer_class
    if not issubclass(layer_class, compat.layer_classes("Layer")):
        raise TypeError(f"Expected a layer class; got {layer_class.__qualname__}.")
    if isinstance(like, type):
        rule = _CLASSES.get(like.__name__) if exact_row(like) is not UNKNOWN else None
    else:
        rule = _WORDS.get(like)
    if rule is None:
        known = ", ".join(sorted(_CLASSES))
        raise ValueError(
            f"Expected like='passes', or a layer class of Keras whose channels are known "
            f"({known}); got {like!r}."
        )
    _CUSTOM[layer_class] = rule
    return layer_class


def targets_of(context: Context) -> list[Signal]:
    """Return the signals that a call returns, and record what it does to channels."""
    before = context.channels.mark()
    try:
        rule = _rule_for(context)
        if rule is None:
            raise UnknownChannelsError(f"how channels go through {context.name} is not known")
        targets = rule(context)
        shapes = [target.shape for target in targets]
        if len(shapes) != len(context.shapes):
            raise UnknownChannelsError(f"{context.name} returns {len(context.shapes)} tensors")
        return targets
    except UnknownChannelsError as reason:
        context.channels.back_to(before)
        return context.whole(str(reason))


def _rule_for(context: Context) -> Rule | None:
    layer = context.layer
    if not context.sources:
        return None
    if context.call is not None and context.call.is_operation:
        return _OPERATIONS.get(context.call.operation)
    kind = type(layer)
    if kind in _CUSTOM:
        return _CUSTOM[kind]
    if exact_row(kind) is not UNKNOWN:
        return _CLASSES.get(kind.__name__)
    if kind.__module__.split(".")[0] in ("keras", "tf_keras") and ".applications." in (
        kind.__module__
    ):
        return _BY_APPLICATION.get(kind.__name__)
    return None


_CLASSES = {
    name.replace("*", rank): rule
    for rule, names in _BY_CLASS.items()
    for name in names.split()
    for rank in "123"
}
_OPERATIONS = {name: rule for rule, names in _BY_OPERATION.items() for name in names.split()}
