"""Reads the channels of a model: runs it once, and follows them from call to call."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat import dtypes
from kerasinit._src.compat.restore import restored
from kerasinit._src.network.tensor_calls import (
    Output,
    TensorCalls,
    outputs_in,
    tensor_calls,
)
from kerasinit._src.network.trace import raised
from kerasinit._src.shrinking.channels import Channels, Signal
from kerasinit._src.shrinking.rules.context import Context
from kerasinit._src.shrinking.rules.dispatch import targets_of
from kerasinit._src.troubleshooting import see

# For axes of any size: images that survive five halvings, then shorter ones, then sequences.
_SIZES = (64, 96, 32, 16, 8, 4, 1)

OUTPUT = "output of the model"


@dataclass(frozen=True, eq=False)
class ModelChannels:
    """The channels of a model.

    Attributes:
        model: The model.
        channels: Its labels, steps and edits, settled.
        outputs: The signals that it returns.
        signals: All signals.
        entries: For each call of a nested model on a signal: its input layer, model and signal.
    """

    model: Any
    channels: Channels
    outputs: tuple[Signal, ...]
    signals: tuple[Signal, ...]
    entries: tuple[tuple[str, Any, Signal], ...]


def read_channels(
    model: Any, x: Any = None, *, through_statistics: bool = False, frozen: bool = True
) -> ModelChannels:
    """Return the channels of a built functional or sequential model.

    Args:
        model: A model of either Keras.
        x: A batch to run it on; None: zeros. Only its shape matters.
        through_statistics: Whether channels may be cut over which statistics run.
        frozen: Whether the outputs of the model are kept.
    """
    calls = calls_of(model)
    shapes = _shapes(model, calls, x)
    channels = Channels(through_statistics=through_statistics)
    often = Counter(id(call.layer) for call in calls.calls)
    signals: dict[Output, Signal] = {}
    for call in calls.calls:
        own = shapes[call.place]
        if call.enters:
            made = [Signal(shape, [None] * len(shape)) for shape in own]
        else:
            key = ("operation", id(call.model), call.name)
            made = targets_of(
                Context(
                    channels,
                    call.layer,
                    call,
                    tuple(signals[one] for one in call.taken),
                    own,
                    key if not compat.is_layer(call.layer) else id(call.layer),
                    targets_of,
                    often[id(call.layer)] > 1,
                )
            )
        signals.update({Output(call.place, number): one for number, one in enumerate(made)})
    entries = tuple((name, inner, signals[output]) for name, inner, output in calls.entries)
    _couple_entries(channels, entries)
    outputs = tuple(signals[one] for one in calls.outputs)
    if frozen:
        for signal in outputs:
            for labels in signal.axes:
                channels.pin(labels, OUTPUT, first=True)
    channels.settle()
    return ModelChannels(model, channels, outputs, tuple(signals.values()), entries)


def calls_of(model: Any) -> TensorCalls:
    """Return the calls of a model, or raise an error that says why there are none."""
    if not compat.is_model(model):
        raise TypeError(
            f"Expected a model of Keras 3 or tf_keras; got {model!r} of type "
            f"{type(model).__qualname__}."
        )
    if not compat.is_built(model):
        raise ValueError(
            f"The model {model.name!r} is not built, so its channels are not known. Give it a "
            f"keras.Input, or call it on a batch. {see('unbuilt-model')}"
        )
    calls = tensor_calls(model) if getattr(model, "inputs", None) else None
    if calls is None:
        raise ValueError(
            f"The model {model.name!r} of class {type(model).__qualname__} has no graph: its call "
            f"is code, which does not show how its layers are connected. Build it as a functional "
            f"model, keras.Model(inputs, outputs), of the same layers; those have the trained "
            f"weights already. {see('subclassed-model')}"
        )
    for variable in model.weights:
        if dtypes.kind_of(variable.dtype) != "floating":
            continue
        if not np.isfinite(compat.read(variable).astype("float64")).all():
            name = compat.variable_path(variable)
            raise ValueError(
                f"The variable {name!r} of {model.name!r} has values that are not finite (NaN or "
                f"infinite). Load weights from before that."
            )
    return calls


def _couple_entries(channels: Channels, entries: Any) -> None:
    """Make the inputs of a nested model the same in all of its calls."""
    first: dict[tuple[int, str], Signal] = {}
    for name, model, signal in entries:
        before = first.setdefault((id(model), name), signal)
        if before is signal:
            continue
        for one, other in zip(before.axes, signal.axes, strict=True):
            if one is not None or other is not None:
                channels.couple(one, other, f"{model.name!r} is also called without channels")


def _shapes(model: Any, calls: TensorCalls, x: Any) -> list[tuple[tuple[int, ...], ...]]:
    """Run the calls one by one, and return the shapes of what each returns."""
    errors = []
    for values in _batches(model, x):
        try:
            with restored(model):
                return _run(calls, values)
        except Exception as error:  # any layer may refuse a size in its own way
            errors.append(raised(error))
    raise ValueError(
        f"The model {model.name!r} cannot be run on a batch of zeros, which shows the shapes of "
        f"its signals. Pass a batch as x. It failed with: {errors[0]}"
    )


def _batches(model: Any, x: Any) -> Iterator[list[Any]]:
    if x is not None:
        yield _tensors(model, x)
        return
    specs = [(tuple(one.shape), _dtype(one)) for one in model.inputs]
    tried: set[Any] = set()
    for size in _SIZES:
        shapes = tuple(
            tuple((1 if place == 0 else size) if n is None else n for place, n in enumerate(shape))
            for shape, _ in specs
        )
        if shapes in tried:
            continue
        tried.add(shapes)
        yield [
            _tensor(model, np.zeros(shape, dtype))
            for shape, (_, dtype) in zip(shapes, specs, strict=True)
        ]


def _dtype(tensor: Any) -> str:
    name = str(getattr(tensor.dtype, "name", tensor.dtype))
    return "float32" if name in ("bfloat16", "string", "float16") else name


def _tensors(model: Any, x: Any) -> list[Any]:
    if isinstance(x, dict):
        by_name = {one.name.split(":")[0]: one for one in model.inputs}
        names = getattr(model, "input_names", None) or list(by_name)
        x = [x[name] for name in names] if set(names) <= set(x) else [x[key] for key in sorted(x)]
    given = list(x) if isinstance(x, list | tuple) else [x]
    if len(given) != len(model.inputs):
        raise ValueError(
            f"The model {model.name!r} has {len(model.inputs)} inputs; got {len(given)} arrays."
        )
    return [_tensor(model, np.asarray(one)) for one in given]


def _tensor(model: Any, values: np.ndarray) -> Any:
    if compat.kerase_of(model) == "tf_keras":
        import tensorflow as tf

        return tf.constant(values)
    return keras.ops.convert_to_tensor(values)


def _run(calls: TensorCalls, given: list[Any]) -> list[tuple[tuple[int, ...], ...]]:
    values: dict[Output, Any] = {}
    left = Counter(one for call in calls.calls for one in call.taken)
    shapes: list[tuple[tuple[int, ...], ...]] = []
    entering = dict(zip(calls.inputs, given, strict=True))
    for call in calls.calls:
        made = [entering[call.place]] if call.enters else outputs_in(call.run(values))
        shapes.append(tuple(tuple(map(int, one.shape)) for one in made))
        values.update({Output(call.place, number): one for number, one in enumerate(made)})
        for one in call.taken:
            left[one] -= 1
            if not left[one]:
                del values[one]
    return shapes
