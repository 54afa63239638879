"""What a rule sees of a call, and what it tells about it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat.quantization import quantization_of
from kerasinit._src.network.tensor_calls import TensorCall
from kerasinit._src.shrinking.channels import Channels, Edit, Labels, Multiplications, Signal
from kerasinit._src.shrinking.steps import Step, Whole


class UnknownChannelsError(Exception):
    """How channels go through a layer is not known; the message says why."""


@dataclass(frozen=True, eq=False)
class Context:
    """A call of a layer, as a rule sees it.

    Attributes:
        channels: Where labels, steps and edits go.
        layer: The layer or operation.
        call: The call; None inside a wrapper.
        sources: The signals among its arguments, in order.
        shapes: The shapes of what it returns.
        key: The key of its configuration in ``channels.edits``.
        follow: Applies the rule of a layer inside, given its context.
        often: Whether it is called more than once.
    """

    channels: Channels
    layer: Any
    call: TensorCall | None
    sources: tuple[Signal, ...]
    shapes: tuple[tuple[int, ...], ...]
    key: Any
    follow: Callable[["Context"], list[Signal]]
    often: bool = False

    @property
    def source(self) -> Signal:
        """The first signal."""
        return self.sources[0]

    @property
    def name(self) -> str:
        """What the layer is called in a message."""
        name = self.layer.name if compat.is_layer(self.layer) else self.call and self.call.name
        return f"{type(self.layer).__name__} {name!r}"

    def keyword(self, name: str, default: Any = None) -> Any:
        """Return a keyword argument of the call."""
        return default if self.call is None else self.call.keywords.get(name, default)

    def inside(
        self, layer: Any, sources: Sequence[Signal], shapes: Sequence[tuple[int, ...]]
    ) -> "Context":
        """Return the context of a layer inside this one."""
        return replace(
            self, layer=layer, call=None, sources=tuple(sources), shapes=tuple(shapes),
            key=id(layer),
        )  # fmt: skip

    def variables(self, *names: str) -> list[Any]:
        """Return the layer's variables by name, None for one that it does not have.

        Raises UnknownChannelsError if the layer has others: it is not what its class says.
        """
        by_name: dict[str, Any] = {}
        for variable in self.layer.weights:
            own = compat.variable_name(variable)
            if own in by_name or own not in names:
                raise UnknownChannelsError(
                    f"{self.name} has a variable {own!r} whose channels are not known"
                )
            by_name[own] = variable
        return [by_name.get(name) for name in names]

    def require_plain(self) -> None:
        """Raise UnknownChannelsError for a layer whose kernel is not what it multiplies by."""
        if quantization_of(self.layer) is not None or getattr(self.layer, "lora_enabled", False):
            raise UnknownChannelsError(f"{self.name} is quantized or has an adapter")

    def bind(self, variable: Any, axes: Sequence[Labels | None], roles: Any = "out") -> None:
        """Give labels to the axes of a variable, if there is one."""
        if variable is not None:
            self.channels.bind(variable, axes, roles)

    def edit(self, change: Edit) -> None:
        """Adapt the configuration with a function once it is known which channels are left."""
        self.channels.edits.setdefault(self.key, []).append(change)

    def add(self, step: Step) -> None:
        """Append a step."""
        self.channels.steps.append(step)

    def multiplies(self, times: float, *axes: Labels | int | None) -> None:
        """Count ``times`` the product of sizes: of labels, or numbers; None counts as 1."""
        labels = tuple(one for one in axes if isinstance(one, np.ndarray))
        numbers = [one for one in axes if isinstance(one, int)]
        self.channels.multiplications.append(
            Multiplications(self.layer, times * math.prod(numbers), labels)
        )

    def pin(self, signal: Signal, reason: str, axes: Sequence[int] | None = None) -> None:
        """Keep the channels of a signal, on some axes or all."""
        for axis in signal.labelled if axes is None else axes:
            self.channels.pin(signal.axes[axis], reason)

    def pin_places(self, signal: Signal, axis: int | None = None) -> list[int]:
        """Keep what lies on the other axes of a signal than that of its channels, the last.

        Returns these axes.
        """
        own = signal.last if axis is None else axis
        places = [one for one in range(len(signal.shape)) if one != own]
        labelled = [one for one in places if signal.axes[one] is not None]
        self.pin(signal, f"{self.name} treats them as positions", labelled)
        return places

    def whole(self, reason: str) -> list[Signal]:
        """Keep everything that goes in; what comes out has no channels."""
        if self.sources:
            self.channels.whole.append((self.name, reason))
        for source in self.sources:
            self.pin(source, reason)
        for variable in getattr(self.layer, "weights", ()):
            if id(variable) not in self.channels.bound:
                self._bind_whole(variable, reason)
            else:
                for labels in self.channels.bound[id(variable)].axes:
                    self.channels.pin(labels, reason)
        targets = [Signal(shape, [None] * len(shape)) for shape in self.shapes]
        self.add(Whole(self.layer, self.sources, targets))
        return targets

    def _bind_whole(self, variable: Any, reason: str) -> None:
        """List a kernel of a layer that keeps all channels among the groups."""
        shape = tuple(variable.shape)
        axes: list[Labels | None] = [None] * len(shape)
        if len(shape) > 1:
            axes[-1] = self.channels.new(shape[-1])
            self.channels.pin(axes[-1], reason)
        self.bind(variable, axes, "out")


def array(variable: Any) -> np.ndarray:
    """Return a variable as an array of float64."""
    return compat.read(variable).astype("float64")


def evaluated(layer: Any) -> Callable[..., np.ndarray]:
    """Return a layer as a function of arrays."""

    def evaluate(*arrays: np.ndarray) -> np.ndarray:
        given = [one.astype(_dtype(layer)) for one in arrays]
        result = layer(given[0] if len(given) == 1 else given)
        return as_array(result)

    return evaluate


def _dtype(layer: Any) -> str:
    policy = getattr(layer, "compute_dtype", None)
    return "float64" if policy == "float64" else "float32"


def as_array(tensor: Any) -> np.ndarray:
    """Return a tensor of any backend, or of tf_keras, as an array of float64."""
    if hasattr(tensor, "numpy") and not hasattr(tensor, "detach"):
        return np.asarray(tensor.numpy()).astype("float64")
    return np.asarray(keras.ops.convert_to_numpy(tensor)).astype("float64")


def identity(values: np.ndarray) -> np.ndarray:
    """Return the argument."""
    return values


def channel_axis(layer: Any, rank: int) -> int:
    """Return the axis of the channels of a layer with a data format."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else rank - 1
