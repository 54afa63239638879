"""Policies: which layers of a model are pruned, and which models are supported."""

import abc
from collections.abc import Callable, Iterable
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.network.graph import Graph, Node, graph_of
from kerasinit._src.pruning.tfmot_bridge import tfmot


class PruningPolicy(abc.ABC):
    """Base class for policies that choose the layers that `prune_low_magnitude` prunes.

    Pass an instance of a subclass to ``prune_low_magnitude(pruning_policy=...)``. It is called
    once with the model, then with each layer, and works with both Kerases. ``policy & other``
    is a policy that allows what both allow.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> class NotTheHead(pruning.PruningPolicy):
    ...     def allow_pruning(self, layer):
    ...         return layer.name != "head"
    ...     def ensure_model_supports_pruning(self, model):
    ...         if "head" not in [layer.name for layer in model.layers]:
    ...             raise ValueError("The model has no layer called 'head'.")
    >>> layers = [keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2, name="head")]
    >>> model = pruning.prune_low_magnitude(keras.Sequential(layers), pruning_policy=NotTheHead())
    >>> list(pruning.masks(model))
    ['dense/kernel']
    """

    @abc.abstractmethod
    def allow_pruning(self, layer: Any) -> bool:
        """Return whether a layer is pruned.

        Args:
            layer: A layer of the model.
        """

    @abc.abstractmethod
    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Raise ValueError if the policy does not support a model.

        Args:
            model: The model that is to be pruned.

        Raises:
            ValueError: If the policy does not support it; the message should say why.
        """

    def __and__(self, other: Any) -> "PruningPolicy":
        """Return a policy that allows what this one and another allow."""
        methods = ("allow_pruning", "ensure_model_supports_pruning")
        if not all(callable(getattr(other, method, None)) for method in methods):
            return NotImplemented
        return _Both(self, other)


class _Both(PruningPolicy):
    def __init__(self, first: Any, second: Any) -> None:
        self._policies = first, second

    def allow_pruning(self, layer: Any) -> bool:
        return all(policy.allow_pruning(layer) for policy in self._policies)

    def ensure_model_supports_pruning(self, model: Any) -> None:
        for policy in self._policies:
            policy.ensure_model_supports_pruning(model)


class PruneForLatencyOnXNNPack(PruningPolicy):
    """Prunes 1x1 convolutions, in networks that XNNPACK can run with sparse kernels.

    XNNPACK, TensorFlow Lite's backend for CPUs, has kernels for sparse 1x1 convolutions. It
    can use them in a region of the network that begins with a 3x3 convolution of an image
    with stride 2, ends with a global average pooling, and contains only certain layers. The
    rule is that of tfmot's policy of this name, which is used for tf_keras models.
    MobileNet, MobileNetV2 and MobileNetV3 from `keras.applications` are rejected, since
    their first convolution has ``padding="same"``.

    A supported model is not necessarily faster. The paper below reports measurements on ARM.
    XNNPACK chooses kernels by hardware: on an x86 processor the files took as long as dense
    ones (0.99 to 1.04 of the time at 0.8 to 0.97 sparsity, TensorFlow 2.21), with
    ``tf.lite.Optimize.EXPERIMENTAL_SPARSITY``, which makes files smaller, or without it.
    There, blocks in dense layers, ``block_size=(4, 1)``, made networks faster. Measure on the
    target device, as ``tests/benchmarks/deployment.py`` does.

    A model is supported if

    * each of its inputs leads to a ``Conv2D`` of 3 channels with a kernel of 3x3,
      ``strides=2`` and ``padding="valid"``, right after ``ZeroPadding2D(1)``;
    * each of its outputs comes from a ``GlobalAveragePooling2D``;
    * only these are between them: ``Conv2D`` of 1x1 (no stride, groups or dilation);
      ``DepthwiseConv2D`` of 3x3 or 5x5 with ``depth_multiplier=1``, ``padding="same"`` and no
      stride, or ``"valid"`` with stride 1 or 2 right after ``ZeroPadding2D(1)`` or ``(2)``;
      ``BatchNormalization`` over the channels; relu, relu6, leaky relu, elu, sigmoid; sums,
      differences and products; ``ZeroPadding2D``, ``Dropout``, bilinear ``UpSampling2D``, and
      ``GlobalAveragePooling2D(keepdims=True)``.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> layers = [
    ...     keras.Input((32, 32, 3)),
    ...     keras.layers.ZeroPadding2D(1),
    ...     keras.layers.Conv2D(8, 3, strides=2),
    ...     keras.layers.Conv2D(16, 1, activation="relu"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(10),
    ... ]
    >>> policy = pruning.PruneForLatencyOnXNNPack()
    >>> model = pruning.prune_low_magnitude(keras.Sequential(layers), pruning_policy=policy)
    >>> list(pruning.masks(model))
    ['conv2d_1/kernel']

    Reference:
        [Elsen, Dukhan, Gale and Simonyan, 2020](https://arxiv.org/abs/1911.09723), "Fast sparse
        ConvNets".
    """

    def allow_pruning(self, layer: Any) -> bool:
        """Return whether a layer is a 1x1 convolution.

        Args:
            layer: A layer of the model.

        Raises:
            TypeError: If it is not a layer of either Keras.
        """
        if compat.kerase_of(layer) == "tf_keras":
            return tfmot().PruneForLatencyOnXNNPack().allow_pruning(layer)
        return isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1)

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Raise ValueError if XNNPACK cannot run a built model with sparse kernels."""
        if compat.kerase_of(model) == "tf_keras":
            tfmot().PruneForLatencyOnXNNPack().ensure_model_supports_pruning(model)
            return
        graph = graph_of(model) if model.built else None
        if graph is None:
            why = "has no graph: it is subclassed" if model.built else "is not built"
            raise ValueError(
                f"The model {model.name!r} {why}. PruneForLatencyOnXNNPack follows the data from "
                "layer to layer: give it a functional model, or a Sequential with a keras.Input."
            )
        _SparseRegion(model.name, graph).check()


class _SparseRegion:
    """The region of a graph that XNNPACK can run with sparse kernels."""

    def __init__(self, name: str, graph: Graph) -> None:
        self._name, self._graph = name, graph
        self._before = [node.inputs for node in graph.nodes]
        self._after = graph.users

    def check(self) -> None:
        inputs = [node_index for node_index, before in enumerate(self._before) if not before]
        starts = self._first_matches(inputs, self._is_start, self._after)
        if not starts:
            raise ValueError(
                f"Not every input of the model {self._name!r} leads to a Conv2D of 3 channels with "
                "kernel_size=3, strides=2, padding='valid' right after ZeroPadding2D(1), where "
                "sparse inference of XNNPACK begins. Prune it without "
                "PruneForLatencyOnXNNPack, or with a custom policy."
            )
        ends = self._first_matches(self._graph.outputs, self._is_end, self._before)
        if not ends:
            raise ValueError(
                f"Not every output of the model {self._name!r} comes from a "
                "GlobalAveragePooling2D, where sparse inference of XNNPACK ends. Prune it without "
                "PruneForLatencyOnXNNPack, or with a custom policy."
            )

        def reached_end(node_index: int) -> bool:
            if node_index not in ends:
                self._require_supported(node_index)
            return node_index in ends

        after = [index for start in starts for index in self._after[start]]
        self._first_matches(after, reached_end, self._after)

    def _first_matches(
        self, nodes: Iterable[int], stops: Callable[[int], bool], following: Any
    ) -> set[int]:
        """Return the nodes where all paths from ``nodes`` stop; nothing if a path never stops."""
        to_visit, found = list(nodes), set()
        seen = set(to_visit)
        while to_visit:
            node_index = to_visit.pop()
            if stops(node_index):
                found.add(node_index)
                continue
            if not following[node_index]:
                return set()
            to_visit += [other for other in following[node_index] if other not in seen]
            seen.update(following[node_index])
        return found

    def _is_start(self, node_index: int) -> bool:
        layer = self._graph.nodes[node_index].layer
        return (
            isinstance(layer, keras.layers.Conv2D)
            and tuple(compat.tensor(layer.kernel).shape)[:3] == (3, 3, 3)
            and layer.strides == (2, 2)
            and layer.padding == "valid"
            and self._padded_by(node_index) == 1
        )

    def _is_end(self, node_index: int) -> bool:
        return isinstance(self._graph.nodes[node_index].layer, keras.layers.GlobalAveragePooling2D)

    def _padded_by(self, node_index: int) -> int | None:
        """Return the padding on every side by a ZeroPadding2D right before this node, or None."""
        before = [self._graph.nodes[source].layer for source in self._before[node_index]]
        if len(before) != 1 or not isinstance(before[0], keras.layers.ZeroPadding2D):
            return None
        sides = {side for sides in before[0].padding for side in sides}
        return sides.pop() if len(sides) == 1 else None

    def _require_supported(self, node_index: int) -> None:
        node = self._graph.nodes[node_index]
        unmet = self._unmet_requirement(node_index, node)
        if unmet is not None:
            raise ValueError(
                f"XNNPACK does not run the {node.operation} {node.name!r} of the model "
                f"{self._name!r} sparse{unmet}. Change it, or prune without "
                "PruneForLatencyOnXNNPack."
            )

    def _unmet_requirement(self, node_index: int, node: Node) -> str | None:
        """Return the requirement that a node fails to meet, or None if it is supported."""
        layer = node.layer
        if layer is None:
            return None if node.operation.lower() in _SUPPORTED_OPERATIONS else ""
        if isinstance(layer, _SUPPORTED_LAYERS):
            return None
        for kind, fits, expected in (
            (
                keras.layers.DepthwiseConv2D,
                lambda conv: self._fits_depthwise(conv, node_index),
                "depth_multiplier=1, dilation_rate=1 and a kernel of 3x3 or 5x5; padding='same' "
                "with strides=1, or 'valid' right after a ZeroPadding2D of half the kernel",
            ),
            (
                keras.layers.Conv2D,
                lambda conv: (
                    conv.kernel_size == conv.strides == conv.dilation_rate == (1, 1)
                    and conv.groups == 1
                ),
                "kernel_size=1, strides=1, dilation_rate=1 and groups=1",
            ),
            (keras.layers.GlobalAveragePooling2D, lambda pool: pool.keepdims, "keepdims=True"),
            (keras.layers.BatchNormalization, lambda norm: norm.axis in (-1, 3), "axis=-1"),
            (
                keras.layers.UpSampling2D,
                lambda up: up.interpolation == "bilinear",
                "interpolation='bilinear'",
            ),
            (
                keras.layers.Activation,
                lambda one: keras.activations.serialize(one.activation) in _SUPPORTED_ACTIVATIONS,
                f"one of {', '.join(_SUPPORTED_ACTIVATIONS)}",
            ),
        ):
            if isinstance(layer, kind):
                return None if fits(layer) else f": it needs {expected}"
        return ""

    def _fits_depthwise(self, layer: Any, node_index: int) -> bool:
        if layer.depth_multiplier != 1 or layer.dilation_rate != (1, 1):
            return False
        if layer.kernel_size not in ((3, 3), (5, 5)):
            return False
        if layer.padding == "same":
            return layer.strides == (1, 1)
        half = layer.kernel_size[0] // 2
        return layer.strides in ((1, 1), (2, 2)) and self._padded_by(node_index) == half


_SUPPORTED_ACTIVATIONS = ("elu", "leaky_relu", "relu", "relu6", "sigmoid")
# Operations between the layers of a functional model, by the names of their classes.
_SUPPORTED_OPERATIONS = (
    "add",
    "elu",
    "identity",
    "leakyrelu",
    "multiply",
    "relu",
    "relu6",
    "sigmoid",
    "subtract",
)
_SUPPORTED_LAYERS = (
    keras.layers.Add,
    keras.layers.Dropout,
    keras.layers.ELU,
    keras.layers.Identity,
    keras.layers.InputLayer,  # of a model inside the model
    keras.layers.LeakyReLU,
    keras.layers.Multiply,
    keras.layers.ReLU,
    keras.layers.ZeroPadding2D,
)
