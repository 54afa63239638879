"""The importance of channels on examples: by the gradient of the loss, and by activation."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat.fit_loss import FitLoss
from kerasinit._src.compat.restore import restored
from kerasinit._src.network.tensor_calls import Output, TensorCalls, outputs_in
from kerasinit._src.shrinking.channel_groups import Group
from kerasinit._src.shrinking.channels import Channels
from kerasinit._src.shrinking.importance import Importance, relative
from kerasinit._src.shrinking.reading import ModelChannels, calls_of
from kerasinit._src.shrinking.rules.context import as_array
from kerasinit._src.troubleshooting import see

_BATCH = 32


def make(name: str, reading: ModelChannels, x: Any, y: Any) -> Importance:
    """Return ``"taylor"`` or ``"activation"`` on some examples, in batches of 32."""
    inputs = checked_inputs(reading.model, x)
    if name == "activation":
        return _activation(reading, inputs)
    if y is None:
        raise ValueError(
            f"importance='taylor' needs the labels of the examples: pass them as y. "
            f"{see('importance-data')}"
        )
    labels = [np.asarray(one) for one in keras.tree.flatten(y)]
    wrong = [len(one) for one in labels if len(one) != len(inputs[0])]
    if wrong:
        raise ValueError(f"There are {len(inputs[0])} examples in x, and {wrong[0]} labels in y.")
    return _taylor(reading.model, x, y, len(inputs[0]))


def checked_inputs(model: Any, x: Any) -> list[np.ndarray]:
    """Return one array for each input of a model.

    Raises:
        ValueError: If the arrays don't fit the inputs, or are not finite.
    """
    specs = list(model.inputs)
    if isinstance(x, dict):
        names = getattr(model, "input_names", None) or [one.name.split(":")[0] for one in specs]
        if set(names) != set(x):
            raise ValueError(f"The inputs of {model.name!r} are {names}; got {sorted(x)} as x.")
        x = [x[name] for name in names]
    arrays = [np.asarray(one) for one in (x if isinstance(x, list | tuple) else [x])]
    if len(arrays) != len(specs):
        raise ValueError(
            f"The model {model.name!r} has {len(specs)} inputs; got {len(arrays)} arrays as x."
        )
    for array, spec in zip(arrays, specs, strict=True):
        shape = tuple(spec.shape)
        fits = array.ndim == len(shape) and all(
            size in (None, own) for size, own in zip(shape[1:], array.shape[1:], strict=True)
        )
        if not fits or not len(array) or len(array) != len(arrays[0]):
            raise ValueError(
                f"The model {model.name!r} takes examples of shape {(None, *shape[1:])}; x has "
                f"shape {array.shape}."
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("x has values that are not finite (NaN or infinite).")
    return arrays


def _batches(values: Any, number: int) -> Iterator[Any]:
    """Yield a structure of arrays, batch by batch."""
    for start in range(0, number, _BATCH):
        yield keras.tree.map_structure(
            lambda one, start=start: np.asarray(one)[start : start + _BATCH], values
        )


def _taylor(model: Any, x: Any, y: Any, number: int) -> Importance:
    """The change of the loss if a channel is removed, squared, to first order.

    ``I(c) = mean over batches of (sum of w dL/dw over the weights w of c)^2``
    """
    trained = {id(compat.tensor(one)) for one in model.trainable_variables}
    products = list(_products(model, x, y, number))

    def score(group: Group) -> np.ndarray | None:
        slices = [one for one in group.slices if id(compat.tensor(one.variable)) in trained]
        if not slices:
            return None
        squares = []
        for batch in products:
            total = np.zeros(group.size)
            for one in slices:
                moved = np.moveaxis(batch[id(compat.tensor(one.variable))], one.axis, 0)
                total += moved[one.positions].reshape(group.size, -1).sum(1)
            squares.append(total**2)
        return np.mean(squares, 0)

    return score


def _products(model: Any, x: Any, y: Any, number: int) -> Iterator[dict[int, np.ndarray]]:
    """Yield for each batch ``w dL/dw`` of the trained variables, by the ``id`` of their tensors."""
    import tensorflow as tf

    loss_of = FitLoss(model)
    trained = [compat.tensor(one) for one in model.trainable_variables]

    # In a graph, as in `fit`: there Keras finds the logits behind a softmax of TensorFlow.
    @tf.function(autograph=False)
    def gradients_of(x: Any, y: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            loss = loss_of(x, y, model(x, training=False), training=False)
        return tape.gradient(loss, trained, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    with restored(model):
        _build_loss(model, x, y, loss_of)
        pairs = zip(_batches(x, number), _batches(y, number), strict=True)
        for batch, labels in pairs:
            given = tf.nest.map_structure(tf.convert_to_tensor, (batch, labels))
            gradients = [tf.convert_to_tensor(one) for one in gradients_of(*given)]
            found = {
                id(variable): compat.read(variable).astype("float64") * as_array(gradient)
                for variable, gradient in zip(trained, gradients, strict=True)
            }
            if not all(np.isfinite(one).all() for one in found.values()):
                raise ValueError(
                    f"The gradients of {model.name!r} on these examples are not finite (NaN or "
                    f"infinite), so its channels cannot be ranked by them."
                )
            yield found


def _build_loss(model: Any, x: Any, y: Any, loss_of: Callable[..., Any]) -> None:
    """Compute the loss of one example, so that Keras creates its variables outside of a graph."""
    import tensorflow as tf

    one, label = tf.nest.map_structure(lambda a: tf.convert_to_tensor(np.asarray(a)[:1]), (x, y))
    loss_of(one, label, model(one, training=False), training=False)


def _activation(reading: ModelChannels, inputs: Sequence[np.ndarray]) -> Importance:
    """The mean absolute value of a channel where layers with weights read it.

    The mean is over examples, places, and all these layers, divided by the mean over the group.
    """
    channels, model = reading.channels, reading.model
    sums, counts = np.zeros(channels.number), np.zeros(channels.number)
    calls = calls_of(model)
    read = {
        one
        for call in calls.calls
        if not call.enters and _has_readers(channels, call.layer)
        for one in call.taken
    }
    with restored(model):
        for batch in _batches(list(inputs), len(inputs[0])):
            outputs = _outputs(model, calls, batch)
            for (output, value), signal in zip(outputs, reading.signals, strict=True):
                for axis in signal.labelled if output in read else ():
                    values = np.abs(as_array(value))
                    others = tuple(one for one in range(values.ndim) if one != axis)
                    own = channels.of(signal.axes[axis])  # type: ignore[arg-type]
                    np.add.at(sums, own, values.sum(others))
                    np.add.at(counts, own, values.size / values.shape[axis])

    def score(group: Group) -> np.ndarray | None:
        seen = counts[group.channels]
        return relative(sums[group.channels] / seen) if seen.all() else None

    return score


def _has_readers(channels: Channels, layer: Any) -> bool:
    """Return whether a layer has weights that read channels."""
    return any(
        "in" in channels.bound[id(one)].roles
        for one in getattr(layer, "weights", ())
        if id(one) in channels.bound
    )


def _outputs(
    model: Any, calls: TensorCalls, batch: Sequence[np.ndarray]
) -> Iterator[tuple[Output, Any]]:
    """Yield what each call of a model returns, in the order of the signals."""
    convert = keras.ops.convert_to_tensor
    if compat.kerase_of(model) == "tf_keras":
        import tensorflow as tf

        convert = tf.convert_to_tensor
    entering = dict(zip(calls.inputs, map(convert, batch), strict=True))
    values: dict[Output, Any] = {}
    left = Counter(one for call in calls.calls for one in call.taken)
    for call in calls.calls:
        made = [entering[call.place]] if call.enters else outputs_in(call.run(values))
        for number, one in enumerate(made):
            values[Output(call.place, number)] = one
            yield Output(call.place, number), one
        for one in call.taken:
            left[one] -= 1
            if not left[one]:
                del values[one]
