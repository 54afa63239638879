"""Layer-sequential unit variance: orthogonal kernels, scaled by measurements on a batch."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kerasinit._src import compat, streams
from kerasinit._src.compat import optimizers
from kerasinit._src.errors import checked_count, checked_positive, checked_seed
from kerasinit._src.initializers.constant import Zeros
from kerasinit._src.initializers.orthogonal import Orthogonal
from kerasinit._src.network.context import contexts_in
from kerasinit._src.network.model import read
from kerasinit._src.theory.mean_field import is_collapsing
from kerasinit._src.whole_models import binding
from kerasinit._src.whole_models.from_batch import one_pass
from kerasinit._src.whole_models.from_batch.report import ScaledLayer, ScalingReport
from kerasinit._src.whole_models.from_batch.targets import Target, columns, targets


def lsuv(
    model: Any,
    batch: Any,
    *,
    tolerance: float = 0.1,
    iterations: int = 10,
    seed: int | None = None,
    keep: Iterable[str] = (),
    training: bool = False,
) -> ScalingReport:
    """Draw orthogonal kernels and scale each layer to an output variance of 1 on a batch.

    Theory holds for the inputs and activations that it was derived for. Here each layer is
    measured instead, on the data and after the layers in front of it, so any activation, branches
    and preprocessing are taken into account.

    Also known as LSUV, layer-sequential unit-variance initialization.

    Formula: each kernel of the layer is drawn as an orthogonal matrix by the layer's own axes
    (gate by gate, head by head), and biases are set to zero. Then, layer by layer in the order of
    the data: with ``z`` all outputs of the layer before its activation, over examples, positions
    and units, ``w <- w / sqrt(Var[z])``, until ``|Var[z] - 1| <= tolerance``.

    Before a sigmoid, or another activation that makes all examples alike (softplus,
    hard_sigmoid), the biases subtract each unit's mean over the batch, and z is the rest.
    Otherwise the sigmoids' mean of 1/2 would outweigh all differences.

    What is scaled:

    * Dense, EinsumDense, convolutions and the layers inside an attention: the kernel.
    * Separable convolutions: both kernels, by the same factor.
    * Recurrent layers: the input kernel, until the inputs' contribution to the gates has
      variance 1; the cell's output is bounded by its activations. The recurrent kernel
      stays orthogonal, the bias as the layer initializes it.
    * Custom layers: the kernels, until the layer's output has variance 1.
    * A layer that is called several times: once, on its first call.

    Embeddings and normalizations are not changed. The optimizer is reset. If an error is raised,
    the model is restored, bit for bit.

    Args:
        model: A built model of either Keras and of any kind.
        batch: The model's input: an array, or a list or dictionary of arrays. On another batch of
            B examples, a layer whose output has r independent directions (at most its units) has
            a variance of about ``1 +- 2 / sqrt(B r)``, since both batches are samples. For 10% in
            layers of ten units and more use 500 examples; twice as many for half as many units.
        tolerance: How far from 1 the variance may be; 0.1 by default.
        iterations: The max number of times that a layer is scaled; 10 by default. Once is enough
            if the output is linear in the kernel, as in every layer of Keras.
        seed: A non-negative integer; None (default) draws one, which the report holds.
        keep: Structural names of layers to leave unchanged, with ``*`` and ``?``; none by default.
        training: Whether batch normalizations use the statistics of the batch, as in
            training. By default they use their moving statistics, as in ``model.predict``.
            Either way these do not change, and dropout is off.

    Returns:
        A report, printed as a table: for each layer its variance before and after, and the scale.

    Raises:
        TypeError: If the model, the batch or an argument is of a wrong type.
        ValueError: If the model is not built, the output of a layer cannot be measured,
            never varies, is not finite, or does not reach the tolerance.

    Example:
    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu")])
    >>> batch = 255 * np.random.default_rng(0).random((100, 8), "float32")
    >>> row = lsuv(model, batch, seed=1)["dense"]
    >>> round(row.variance, 3), row.iterations, row.scale < 0.1
    (1.0, 1, True)

    Reference:
        Mishkin and Matas, 2016, "All you need is a good init".
    """
    tolerance = checked_positive("tolerance", tolerance)
    iterations = checked_count("iterations", iterations)
    one_pass.require_batch(batch)
    network = read(model)
    scaled, kept = targets(network, keep)
    optimizers.require_resettable_optimizer(model)
    seed = checked_seed(seed)
    _, contexts, _ = contexts_in(network)
    shifted = {
        target.name
        for target in scaled
        if target.known
        and not target.recurrent
        and id(target.owner) in contexts
        and is_collapsing(contexts[id(target.owner)].activation)
    }

    return one_pass.scale_layers(
        "lsuv",
        network,
        batch,
        (scaled, kept),
        lambda target: _start(target, seed),
        lambda target, measure: _scaled(
            target, measure, tolerance, iterations, target.name in shifted
        ),
        training=training,
        seed=seed,
    )


def _start(target: Target, seed: int) -> None:
    for part in (*target.kernels, *target.recurrent_kernels):
        binding.fill(Orthogonal(), part, streams.derive(seed, "lsuv", part.name))
    if target.bias is not None:
        own = binding.OWN if target.recurrent else Zeros()
        binding.fill(own, target.bias, streams.derive(seed, "lsuv", target.bias.name))


def _scaled(
    target: Target, measure: one_pass.Measure, tolerance: float, limit: int, shifts: bool
) -> ScaledLayer:
    total, before, note = 1.0, None, _note(target)
    for iteration in range(limit + 1):
        output = measure()
        shift = None
        if shifts:
            units = columns(target, output.ndim)
            if target.bias is None or units.bias_order is None:
                shifts, note = False, "no bias for each unit: the mean stays"
            else:
                shift = units, target.bias.variable, units.by_unit(output).mean(0)
        variance, mean = float(output.var()), float(output.mean())
        if not one_pass.varies(output, target).all():
            raise ValueError(
                f"The output of {target.name!r} never varies over the batch: no scale of its "
                f"kernels gives it variance 1. The inputs of the layer are constant, or the layers "
                f"in front of it are dead."
            )
        before = variance if before is None else before
        # It is scaled at least once: that costs nothing, and leaves the whole tolerance to the
        # next batch.
        if iteration and abs(variance - 1) <= tolerance:
            kind = type(target.layer).__name__
            return ScaledLayer(
                target.name, kind, before, variance, mean, total, iteration, note=note
            )
        scale = variance**-0.5
        if shift is not None:
            units, _, _ = shift
            scale = float(units.by_unit(output).var(0).mean()) ** -0.5
        if iteration < limit:
            for part in target.kernels:
                value = compat.read(part.variable)
                factor = scale ** (1 / len(target.kernels))
                part.variable.assign((value.astype(np.float64) * factor).astype(value.dtype))
            if shift is not None:
                units, variable, means = shift
                bias = compat.read(variable)
                left = (bias.astype(np.float64) - units.as_bias(means, bias.shape)) * scale
                variable.assign(left.astype(bias.dtype))
            total *= scale
    raise ValueError(
        f"The output of {target.name!r} has the variance {variance:.4g} after {limit} scalings, "
        f"not 1 within {tolerance:g}. {target.keep_hint}"
    )


def _note(target: Target) -> str:
    if target.recurrent:
        return "the inputs' contribution to the gates; recurrent kernel orthogonal"
    return "" if target.known else "measured on the layer's output"
