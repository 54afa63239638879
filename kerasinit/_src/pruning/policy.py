"""Policies: which layers of a model are pruned, and which models are taken at all."""

import abc
from collections.abc import Callable, Iterable
from typing import Any

import keras

from kerasinit._src import compat
from kerasinit._src.network.graph import Graph, Node, graph_of
from kerasinit._src.pruning.tfmot_bridge import tfmot


class PruningPolicy(abc.ABC):
    """Base class for what says which layers `prune_low_magnitude` prunes.

    Derive a policy from it and give it to ``prune_low_magnitude(pruning_policy=...)``. It is
    asked once about the model, then about each layer. The same class serves models of both
    Kerases. ``policy & other`` is a policy that allows what both allow.

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
        """Return whether a layer is pruned."""

    @abc.abstractmethod
    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Raise ValueError if a model is not one for this policy."""

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
    """Prunes 1x1 convolutions, in networks that XNNPACK has sparse kernels for.

    XNNPACK, which runs TensorFlow Lite on processors, has kernels for sparse 1x1
    convolutions. It may use them where a whole part of the network can stay in its layout:
    from a 3x3 convolution of an image with stride 2 to a global average pooling, and only
    layers of certain kinds between them. The rule is that of tfmot's policy of this name,
    which is asked itself about tf_keras models. MobileNet, MobileNetV2 and MobileNetV3 are
    refused as `keras.applications` has them: their first convolution has
    ``padding="same"``.

    That a model is taken does not make it faster. The paper below measured its speed on ARM;
    XNNPACK chooses by the hardware, and on the x86 processor that was tried the files took as
    long as dense ones (0.99 to 1.04 of the time at 0.8 to 0.97 sparsity, TensorFlow 2.21),
    with ``tf.lite.Optimize.EXPERIMENTAL_SPARSITY`` or without it. They are smaller with it.
    What made networks faster there were blocks in dense layers, ``block_size=(4, 1)``;
    ``tests/benchmarks/deployment.py`` measures both. So measure on the device itself.

    A model is taken if

    * each of its inputs leads to a ``Conv2D`` of 3 channels with a kernel of 3x3,
      ``strides=2`` and ``padding="valid"``, right after ``ZeroPadding2D(1)``;
    * each of its outputs comes from a ``GlobalAveragePooling2D``;
    * between them lie only: ``Conv2D`` of 1x1 (no stride, groups or dilation);
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
        [Elsen, Dukhan, Gale and Simonyan, 2020](https://arxiv.org/abs/1911.09723)
    """

    def allow_pruning(self, layer: Any) -> bool:
        """Return whether a layer is a 1x1 convolution."""
        if compat.kerase_of(layer) == "tf_keras":
            return tfmot().PruneForLatencyOnXNNPack().allow_pruning(layer)
        return isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1)

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Raise ValueError if XNNPACK has no sparse kernels for a part of a model.

        Args:
            model: A built model with a graph, functional or sequential.
        """
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
        _Sparse(model.name, graph).check()


class _Sparse:
    """The part of a graph that XNNPACK may run sparse."""

    def __init__(self, name: str, graph: Graph) -> None:
        self._name, self._graph = name, graph
        self._before = [node.inputs for node in graph.nodes]
        self._after = graph.users

    def check(self) -> None:
        inputs = [place for place, before in enumerate(self._before) if not before]
        starts = self._first(inputs, self._is_start, self._after)
        if not starts:
            raise ValueError(
                f"Not every input of the model {self._name!r} leads to a Conv2D of 3 channels with "
                "kernel_size=3, strides=2, padding='valid' right after ZeroPadding2D(1), where "
                "sparse inference of XNNPACK begins. Prune it without "
                "PruneForLatencyOnXNNPack, or with a policy of your own."
            )
        ends = self._first(self._graph.outputs, self._is_end, self._before)
        if not ends:
            raise ValueError(
                f"Not every output of the model {self._name!r} comes from a "
                "GlobalAveragePooling2D, where sparse inference of XNNPACK ends. Prune it without "
                "PruneForLatencyOnXNNPack, or with a policy of your own."
            )

        def reached_end(place: int) -> bool:
            if place not in ends:
                self._require_supported(place)
            return place in ends

        self._first([after for start in starts for after in self._after[start]], reached_end, [])

    def _first(
        self, places: Iterable[int], stops: Callable[[int], bool], following: Any
    ) -> set[int]:
        """Return where the ways from some places stop; nothing if one of them never does."""
        to_visit, found = list(places), set()
        seen = set(to_visit)
        following = following or self._after
        while to_visit:
            place = to_visit.pop()
            if stops(place):
                found.add(place)
                continue
            if not following[place]:
                return set()
            to_visit += [other for other in following[place] if other not in seen]
            seen.update(following[place])
        return found

    def _is_start(self, place: int) -> bool:
        layer = self._graph.nodes[place].layer
        return (
            isinstance(layer, keras.layers.Conv2D)
            and tuple(compat.tensor(layer.kernel).shape)[:3] == (3, 3, 3)
            and layer.strides == (2, 2)
            and layer.padding == "valid"
            and self._padded_by(place) == 1
        )

    def _is_end(self, place: int) -> bool:
        return isinstance(self._graph.nodes[place].layer, keras.layers.GlobalAveragePooling2D)

    def _padded_by(self, place: int) -> int | None:
        """Return how many zeros a layer right before this one puts on every side."""
        before = [self._graph.nodes[source].layer for source in self._before[place]]
        if len(before) != 1 or not isinstance(before[0], keras.layers.ZeroPadding2D):
            return None
        sides = {side for sides in before[0].padding for side in sides}
        return sides.pop() if len(sides) == 1 else None

    def _require_supported(self, place: int) -> None:
        node = self._graph.nodes[place]
        expected = self._expected(place, node)
        if expected is not None:
            raise ValueError(
                f"XNNPACK does not run the {node.operation} {node.name!r} of the model "
                f"{self._name!r} sparse{expected}. Change it, or prune without "
                "PruneForLatencyOnXNNPack."
            )

    def _expected(self, place: int, node: Node) -> str | None:
        """Return what a layer would have to be; None if it is."""
        layer = node.layer
        if layer is None:
            return None if node.operation.lower() in _OPERATIONS else ""
        if isinstance(layer, _ANY):
            return None
        for kind, fits, expected in (
            (
                keras.layers.DepthwiseConv2D,
                self._fits_depthwise(place),
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
                lambda one: keras.activations.serialize(one.activation) in _ACTIVATIONS,
                f"one of {', '.join(_ACTIVATIONS)}",
            ),
        ):
            if isinstance(layer, kind):
                return None if fits(layer) else f": it needs {expected}"
        return ""

    def _fits_depthwise(self, place: int) -> Callable[[Any], bool]:
        def fits(layer: Any) -> bool:
            if layer.depth_multiplier != 1 or layer.dilation_rate != (1, 1):
                return False
            if layer.kernel_size not in ((3, 3), (5, 5)):
                return False
            if layer.padding == "same":
                return layer.strides == (1, 1)
            half = layer.kernel_size[0] // 2
            return layer.strides in ((1, 1), (2, 2)) and self._padded_by(place) == half

        return fits


_ACTIVATIONS = ("elu", "leaky_relu", "relu", "relu6", "sigmoid")
# Operations between the layers of a functional model, by the names of their classes.
_OPERATIONS = (
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
_ANY = (
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
