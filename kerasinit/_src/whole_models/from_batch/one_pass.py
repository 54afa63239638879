"""One pass of a batch through a model, stopped at each layer to fix it.

Layers are met in the order in which the data comes to them, whatever kind of model it is: their
calls are intercepted while the pass runs. What is behind a layer waits until that layer is fixed,
so one pass is enough.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import ml_dtypes  # numpy's own finfo does not know bfloat16
import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat import calls
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.parts import parts
from kerasinit._src.whole_models.from_batch.targets import Target

Measure = Callable[[], np.ndarray]


class _Stopped(BaseException):
    """Leaves a model's call at once; Keras would write more into any other error."""


def mend(
    model: Any,
    batch: Any,
    targets: list[Target],
    mender: Callable[[Target, Measure], None],
    *,
    training: bool = False,
) -> dict[str, int]:
    """Run a batch through a model and let each target be mended when the data is there.

    Args:
        model: A built model.
        batch: What it is called on.
        targets: The targets.
        mender: Called once for each target that the data comes to, with the target and a
            function that returns its output before the activation, as it is then, in
            float64.
        training: Whether batch normalizations use the statistics of the batch.

    Returns:
        How often each target was called, by name, in the order of the data.

    Raises:
        ValueError: If a target is not called, or not on numbers.
    """
    counts: dict[str, int] = {}
    failures: list[BaseException] = []
    by_layer = {id(target.layer): target for target in targets}

    def around(
        layer: Any, own: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        target = by_layer.get(id(layer))
        if target is None:
            return calls.by_batch_statistics(layer, own, args, kwargs)
        counts[target.name] = counts.get(target.name, 0) + 1
        if counts[target.name] == 1:
            try:
                mender(target, lambda: _measured(target, own, args, kwargs))
            except Exception as error:
                failures.append(error)
                raise _Stopped from None
        return own(*args, **kwargs)

    layers = [target.layer for target in targets]
    if training:
        inside = {id(layer): layer for part in parts(model) for layer in part.layers}
        layers += [one for one in inside.values() if row_of(one).by_batch]
    with calls.intercepted(layers, around):
        try:
            model(batch, training=False)
        except _Stopped:
            raise failures[0] from None
    missed = [target.name for target in targets if target.name not in counts]
    if missed:
        raise ValueError(
            f"The data does not come to {', '.join(missed)}: the model's call does not use them, "
            f"or not by calling them. To leave them as they are: keep={missed!r}."
        )
    return counts


def _measured(
    target: Target, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> np.ndarray:
    if target.recurrent:
        # What a cell gives is bound by its activations; what can be scaled is what the
        # inputs bring into its gates.
        inputs = args[0] if args else kwargs.get("sequences", kwargs.get("inputs"))
        kernel = compat.read(target.kernels[0].variable).astype(np.float64)
        return _numbers(target, inputs) @ kernel
    if not target.known or vars(target.owner).get("activation") is None:
        return _numbers(target, original(*args, **kwargs))
    with calls.replaced(target.owner, "activation", lambda x: x):
        return _numbers(target, original(*args, **kwargs))


def _numbers(target: Target, output: Any) -> np.ndarray:
    symbolic = tf.is_tensor(output) and not hasattr(output, "numpy")
    if symbolic or isinstance(output, keras.KerasTensor):
        raise ValueError(
            f"{target.name!r} is called inside a compiled function, where its output has no "
            f"numbers yet. To leave it as it is: keep=[{target.name!r}]."
        )
    if isinstance(output, list | tuple | dict):
        raise ValueError(
            f"{target.name!r} returns several tensors; it cannot be told which its kernels scale. "
            f"To leave it as it is: keep=[{target.name!r}]."
        )
    if compat.kerase_of(target.layer) == "keras":
        output = keras.ops.convert_to_numpy(output)
    return np.asarray(output).astype(np.float64)


def require_batch(batch: Any) -> None:
    """Raise unless a batch is arrays of finite numbers, of two examples or more.

    Raises:
        TypeError: If it is something else, such as a data set.
        ValueError: If there are too few examples, or some are not finite.
    """
    arrays = list(_arrays(batch))
    if not arrays:
        raise ValueError("The batch is empty.")
    for array in arrays:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("The batch has values that are not finite (NaN or infinity).")
        if array.ndim == 0 or len(array) < 2:
            raise ValueError(
                f"A variance takes a batch of two examples or more, better of hundreds; got an "
                f"array of shape {array.shape}."
            )


def _arrays(batch: Any) -> Iterator[np.ndarray]:
    if isinstance(batch, dict):
        batch = list(batch.values())
    if isinstance(batch, list | tuple):
        for one in batch:
            yield from _arrays(one)
        return
    array = batch if isinstance(batch, np.ndarray) else None
    if array is None and hasattr(batch, "shape"):
        array = np.asarray(batch)
    if array is None or array.dtype.kind not in "fiub":
        raise TypeError(
            f"Expected as batch an array of examples, or a list or dictionary of arrays as the "
            f"model takes them; got {type(batch).__qualname__}. Of a data set take one: "
            f"next(iter(dataset))."
        )
    yield array


def varies(output: np.ndarray, target: Target, axis: int | None = None) -> np.ndarray:
    """Return whether outputs vary by more than the rounding of a constant.

    Args:
        output: What a target makes of a batch, in float64.
        target: The target, for the precision in which its layer computes.
        axis: Which axis counts the values of one unit; None for all together.

    Raises:
        ValueError: If an output is not finite.
    """
    if not np.isfinite(output).all():
        raise ValueError(
            f"{target.name!r} gives values that are not finite (NaN or infinity): look at the "
            f"weights in front of it."
        )
    dtype = getattr(target.layer, "compute_dtype", None) or keras.config.floatx()
    rounding = 8 * float(ml_dtypes.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps)
    largest = np.abs(output).max(axis, keepdims=True)
    # Relative to the largest value first: squares of small numbers may be nothing.
    relative = output / np.where(largest > 0, largest, 1)
    return relative.std(axis) > rounding
