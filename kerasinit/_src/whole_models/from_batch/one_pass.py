"""One pass of a batch through a model, interrupted at each layer to scale it.

The calls of layers are intercepted, so they are met in the order of the data in any kind of model.
The rest of the model waits until a layer is scaled, so one pass is enough.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import ml_dtypes  # numpy's own finfo does not know bfloat16
import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat import calls, dtypes, optimizers
from kerasinit._src.compat.restore import restored
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.model import Network
from kerasinit._src.whole_models.from_batch.report import ScaledLayer, ScalingReport, completed_rows
from kerasinit._src.whole_models.from_batch.targets import Target

Measure = Callable[[], np.ndarray]  # returns a layer's current output before the activation


class _Stopped(BaseException):
    """Leaves a model's call at once; Keras would extend the message of any other error."""


def scale_layers(
    method: str,
    network: Network,
    batch: Any,
    targets: tuple[list[Target], list[Target]],
    start: Callable[[Target], None] | None,
    scale: Callable[[Target, Measure], ScaledLayer],
    *,
    training: bool,
    seed: int | None,
) -> ScalingReport:
    """Redraw targets with ``start``, then ``scale`` each when the data reaches it.

    ``targets`` are those to scale and those to keep. The optimizer is reset; if an error is raised,
    the model is restored bit for bit.
    """
    scaled, kept = targets
    variables = [variable for target in scaled for variable in target.variables]
    rows: dict[str, ScaledLayer] = {}

    def scale_one(target: Target, measure: Measure) -> None:
        rows[target.name] = scale(target, measure)

    with restored(network.model, keep=[*variables, *optimizers.state_of(network.model)]):
        if start is not None:
            for target in scaled:
                start(target)
        calls_by_name = _run(network, batch, scaled, scale_one, training=training)
        optimizers.reset_optimizer(network.model)
    return ScalingReport(method, completed_rows(rows, calls_by_name, kept), seed)


def _run(
    network: Network,
    batch: Any,
    targets: list[Target],
    scale: Callable[[Target, Measure], None],
    *,
    training: bool,
) -> dict[str, int]:
    """Scale each target at its first call on a batch; return the number of calls by name."""
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
                scale(target, lambda: _measured(target, own, args, kwargs))
            except Exception as error:
                failures.append(error)
                raise _Stopped from None
        return own(*args, **kwargs)

    layers = [target.layer for target in targets]
    if training:
        inside = {id(layer): layer for part in network.parts for layer in part.layers}
        layers += [one for one in inside.values() if row_of(one).by_batch]
    with calls.intercepted(layers, around):
        try:
            network.model(batch, training=False)
        except _Stopped:
            raise failures[0] from None
    missed = [target.name for target in targets if target.name not in counts]
    if missed:
        raise ValueError(
            f"The data does not reach {', '.join(missed)}: the model's call does not use them, or "
            f"not by calling them. To leave them unchanged: keep={missed!r}."
        )
    return counts


def _measured(
    target: Target, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> np.ndarray:
    if target.recurrent:
        # A cell's output is bounded by its activations; the inputs' contribution to its gates can
        # be scaled.
        inputs = args[0] if args else kwargs.get("sequences", kwargs.get("inputs"))
        kernel = compat.read(target.kernels[0].variable).astype(np.float64)
        return _numbers(target, inputs) @ kernel
    if not target.known or vars(target.owner).get("activation") is None:
        return _numbers(target, original(*args, **kwargs))
    with calls.replaced(target.owner, "activation", lambda x: x):
        return _numbers(target, original(*args, **kwargs))


def _numbers(target: Target, output: Any) -> np.ndarray:
    tf = compat.imported_tensorflow()
    symbolic = tf and tf.is_tensor(output) and not hasattr(output, "numpy")
    if symbolic or isinstance(output, keras.KerasTensor):
        raise ValueError(
            f"{target.name!r} is called inside a compiled function, where its output has no "
            f"values yet. {target.keep_hint}"
        )
    if isinstance(output, list | tuple | dict):
        raise ValueError(
            f"{target.name!r} returns several tensors; which of them its kernels scale is unknown. "
            f"{target.keep_hint}"
        )
    if compat.kerase_of(target.layer) == "keras":
        output = keras.ops.convert_to_numpy(output)
    return np.asarray(output).astype(np.float64)


def require_batch(batch: Any) -> None:
    """Raise unless a batch is arrays of finite numbers, of at least two examples."""
    arrays = list(_arrays(batch))
    if not arrays:
        raise ValueError("The batch is empty.")
    for array in arrays:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("The batch has values that are not finite (NaN or infinity).")
        if array.ndim == 0 or len(array) < 2:
            raise ValueError(
                f"A variance needs a batch of at least two examples, better hundreds; got an array "
                f"of shape {array.shape}."
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
            f"Expected batch to be an array of examples, or a list or dictionary of arrays as the "
            f"model takes them; got {type(batch).__qualname__}. Take one from a data set: "
            f"next(iter(dataset))."
        )
    yield array


def varies(output: np.ndarray, target: Target, axis: int | None = None) -> np.ndarray:
    """Return whether a target's float64 outputs vary by more than rounding, along an axis.

    ``axis`` counts the values of one unit; None takes all together.
    """
    if not np.isfinite(output).all():
        raise ValueError(
            f"{target.name!r} returns values that are not finite (NaN or infinity): check the "
            f"weights in front of it."
        )
    dtype = getattr(target.layer, "compute_dtype", None) or keras.config.floatx()
    rounding = 8 * float(ml_dtypes.finfo(dtypes.numpy_dtype(dtype)).eps)
    largest = np.abs(output).max(axis, keepdims=True)
    # Relative to the largest value first: squares of small numbers may underflow.
    relative = output / np.where(largest > 0, largest, 1)
    return relative.std(axis) > rounding
