"""Unit by unit: mean 0 and variance 1 over a batch, by the scale and bias of its weights."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kerasinit._src import compat, streams
from kerasinit._src.compat import optimizers
from kerasinit._src.errors import checked_positive, checked_seed
from kerasinit._src.initializers.random import RandomNormal
from kerasinit._src.network.model import read
from kerasinit._src.whole_models import binding
from kerasinit._src.whole_models.from_batch import one_pass
from kerasinit._src.whole_models.from_batch.report import ScaledLayer, ScalingReport
from kerasinit._src.whole_models.from_batch.targets import Target, columns, targets

_MAX_ITERATIONS = 3  # the output is linear in both: the second one corrects rounding


def within_layer(
    model: Any,
    batch: Any,
    *,
    tolerance: float = 0.01,
    keep: Iterable[str] = (),
    training: bool = False,
) -> ScalingReport:
    """Shift and scale each unit's weights until its output over a batch has mean 0, variance 1.

    So no unit is inactive for the whole batch, and none dominates the others, wherever the
    weights come from: a distribution, clusters of patches, another network. The weights
    keep their directions. Also known as data-dependent initialization.

    Formula: with ``z_k`` the outputs of unit k before the activation over the batch (and
    over all positions of a convolution), ``w_k <- w_k / std(z_k)`` and ``b_k <- (b_k -
    mean(z_k)) / std(z_k)``, layer by layer in the order of the data.

    Scaled are Dense and EinsumDense layers, convolutions (of separable ones the pointwise kernel)
    and the layers inside an attention. Units without their own bias keep their mean, divided as
    well; the report says so. In a recurrent layer the input kernel is scaled, until the inputs'
    contribution to each unit of each gate has variance 1, and its bias stays. Custom layers are
    scaled along the last axis of their kernel. A layer that is called several times is measured at
    its first call. Embeddings and normalizations are not changed. The optimizer is reset. If an
    error is raised, the model is restored, bit for bit.

    Args:
        model: A built model of either Keras and of any kind.
        batch: The model's input, examples first: an array, or a list or dictionary of arrays.
        tolerance: How far from 1 each unit's variance, and from 0 its mean, may end; 0.01 by
            default.
        keep: See `lsuv`.
        training: See `lsuv`.

    Returns:
        A report, printed as a table, with the mean and variance farthest from 0 and 1 for each
        layer.

    Raises:
        TypeError: If the model, the batch or an argument is of a wrong type.
        ValueError: If the model is not built, a layer cannot be measured, a unit never varies
            (the message lists it), values are not finite, or the tolerance is not reached.

    Example:
    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.set_weights([np.array([[1.0], [1.0]]), np.array([0.0])])
    >>> report = within_layer(model, np.array([[0.0, 2.0], [4.0, 2.0]], "float32"))
    >>> [weight.tolist() for weight in model.get_weights()]
    [[[0.5], [0.5]], [-2.0]]

    Reference:
        Krähenbühl, Doersch, Donahue and Darrell, 2016, "Data-dependent initializations of
        convolutional neural networks", section 3.1.
    """
    return _normalized("within_layer", model, batch, None, tolerance, keep, training)


def weight_norm(
    model: Any,
    batch: Any,
    *,
    stddev: float = 0.05,
    tolerance: float = 0.01,
    seed: int | None = None,
    keep: Iterable[str] = (),
    training: bool = False,
) -> ScalingReport:
    """Draw each unit's direction, and set its length and bias from a batch.

    The initialization of weight normalization, for plain layers: the kernel is the product of
    length and direction.

    Formula: ``v_k ~ N(0, stddev^2)``, ``t_k = v_k . x / |v_k|`` over the batch; then ``g_k =
    1 / std(t_k)``, ``b_k = -mean(t_k) / std(t_k)``, and the kernel is ``w_k = g_k v_k /
    |v_k|``. For a layer that stores ``g`` and ``v`` separately, the report holds ``g``
    in ``lengths``.

    Args:
        model: A built model of either Keras and of any kind.
        batch: The model's input, examples first: an array, or a list or dictionary of arrays.
        stddev: Standard deviation of ``v``; 0.05 by default. It cancels, except for rounding and
            for kernels in front of the scaled one: the depthwise kernel of a separable convolution
            and recurrent kernels are drawn with it and keep it.
        tolerance: See `within_layer`.
        seed: A non-negative integer; None (default) draws one, which the report holds.
        keep: See `lsuv`.
        training: See `lsuv`.

    Returns:
        A report as of `within_layer`, with the lengths ``g`` in each row.

    Raises:
        TypeError: If the model, the batch or an argument has the wrong type.
        ValueError: As `within_layer`, or if ``stddev`` is not above 0.

    Example:
    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu")])
    >>> batch = 255 * np.random.default_rng(0).random((100, 8), "float32")
    >>> row = weight_norm(model, batch, seed=1)["dense"]
    >>> np.allclose(row.lengths, np.linalg.norm(model.get_weights()[0], axis=0))
    True

    Reference:
        Salimans and Kingma, 2016, "Weight normalization: a simple reparameterization to
        accelerate training of deep neural networks", section 3.
    """
    stddev, seed = checked_positive("stddev", stddev), checked_seed(seed)
    return _normalized("weight_norm", model, batch, (stddev, seed), tolerance, keep, training)


def _normalized(
    method: str,
    model: Any,
    batch: Any,
    drawn: tuple[float, int] | None,
    tolerance: float,
    keep: Iterable[str],
    training: bool,
) -> ScalingReport:
    """Normalize units; if ``drawn``, after drawing weights with this deviation and seed."""
    tolerance = checked_positive("tolerance", tolerance)
    one_pass.require_batch(batch)
    network = read(model)
    selected = targets(network, keep)
    optimizers.require_resettable_optimizer(model)
    return one_pass.scale_layers(
        method,
        network,
        batch,
        selected,
        None if drawn is None else lambda target: _draw(target, method, *drawn),
        lambda target, measure: _scaled(target, measure, tolerance),
        training=training,
        seed=None if drawn is None else drawn[1],
    )


def _draw(target: Target, method: str, stddev: float, seed: int) -> None:
    for part in (*target.kernels, *target.recurrent_kernels):
        binding.fill(RandomNormal(stddev=stddev), part, streams.derive(seed, method, part.name))
    if target.bias is not None and not target.recurrent:
        part = target.bias
        part.variable.assign(np.zeros(part.shape, compat.read(part.variable).dtype))


def _scaled(target: Target, measure: one_pass.Measure, tolerance: float) -> ScaledLayer:
    kernel, before, total = target.kernels[-1], None, 1.0
    for iteration in range(_MAX_ITERATIONS + 1):
        output = measure()
        units = columns(target, output.ndim)
        has_own_bias = units.bias_order is not None and not target.recurrent
        shifted = target.bias if has_own_bias else None
        try:
            by_unit = units.by_unit(output)
        except ValueError as error:
            raise ValueError(
                f"The output of {target.name!r}, of shape {output.shape}, has no axis with the "
                f"{units.sizes} units of its kernel. {target.keep_hint}"
            ) from error
        means, variances = by_unit.mean(0), by_unit.var(0)
        _require_variation(by_unit, target)
        before = float(output.var()) if before is None else before
        unequal = np.abs(variances - 1).max() > tolerance
        if iteration and not unequal and (shifted is None or np.abs(means).max() <= tolerance):
            return ScaledLayer(
                target.name,
                type(target.layer).__name__,
                before,
                float(variances[np.abs(variances - 1).argmax()]),
                float(means[np.abs(means).argmax()]),
                total,
                iteration,
                lengths=tuple(units.norms(compat.read(kernel.variable)).tolist()),
                note=_note(target, shifted is not None),
            )
        if iteration < _MAX_ITERATIONS:
            factors = 1 / np.sqrt(variances)
            total *= float(np.exp(np.log(factors).mean()))
            value = compat.read(kernel.variable)
            made = units.scaled(value.astype(np.float64), factors)
            kernel.variable.assign(made.astype(value.dtype))
            if shifted is not None:
                bias = compat.read(shifted.variable)
                shape = bias.shape
                left = (bias - units.as_bias(means, shape)) * units.as_bias(factors, shape)
                shifted.variable.assign(left.astype(bias.dtype))
    raise ValueError(
        f"The units of {target.name!r} end with variances from {variances.min():.4g} to "
        f"{variances.max():.4g} and means from {means.min():.4g} to {means.max():.4g}, not 1 and 0 "
        f"within {tolerance:g}: its output is not linear in its kernel. {target.keep_hint}"
    )


def _require_variation(by_unit: np.ndarray, target: Target) -> None:
    silent = np.flatnonzero(~one_pass.varies(by_unit, target, 0))
    if silent.size:
        shown = ", ".join(map(str, silent[:10])) + (", ..." if silent.size > 10 else "")
        raise ValueError(
            f"{silent.size} of {by_unit.shape[1]} units of {target.name!r} never vary over the "
            f"batch (units {shown}): no scale gives them variance 1. Their weights are zero, or "
            f"their inputs are constant."
        )


def _note(target: Target, shifts: bool) -> str:
    if target.recurrent:
        return "the inputs' contribution to the gates; bias and recurrent kernel kept"
    return "" if shifts else "no bias for each unit: the mean stays"
