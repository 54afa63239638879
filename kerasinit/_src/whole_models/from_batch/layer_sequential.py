"""Layer-sequential unit variance: orthogonal kernels, scaled by what a batch makes of them."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kerasinit._src import compat, streams
from kerasinit._src.compat import optimizers
from kerasinit._src.compat.restore import restored
from kerasinit._src.errors import checked_count, checked_positive, checked_seed
from kerasinit._src.initializers.constant import Zeros
from kerasinit._src.initializers.orthogonal import Orthogonal
from kerasinit._src.network.context import contexts_in
from kerasinit._src.network.model import read
from kerasinit._src.theory.mean_field import is_collapsing
from kerasinit._src.whole_models import binding
from kerasinit._src.whole_models.from_batch import one_pass
from kerasinit._src.whole_models.from_batch.report import Reached, Report, finished
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
) -> Report:
    """Give each layer orthogonal kernels of the scale at which a batch comes out with variance 1.

    What theory says of a layer holds for the inputs and the activations that it was made
    for. Here each layer is measured instead, on the data and behind the layers as they
    are, so any activation, any mixture of branches and any preprocessing is taken into
    account.

    Each kernel of the layer is drawn as an orthogonal matrix by the layer's own axes (gate by
    gate, head by head), biases are zeroed. Then, in the order of the data, one layer after
    the other: with ``z`` all outputs of the layer before its activation, over examples,
    positions and units, ``w <- w / sqrt(Var[z])``, until ``|Var[z] - 1| <= tolerance``.

    Before a sigmoid, or another activation behind which all examples come to look alike
    (softplus, hard_sigmoid), the biases take away the mean of each unit over the batch, and z is
    what is left. Otherwise the mean of 1/2 that sigmoids give would outweigh all that differs.

    What is scaled:

    * Dense, EinsumDense, convolutions and the layers inside an attention: the kernel.
    * Separable convolutions: both kernels, by the same factor.
    * Recurrent layers: the input kernel, until what the inputs bring to the gates has
      variance 1; what the cell gives is bound by its activations. The recurrent kernel
      stays orthogonal, the bias as its layer makes it.
    * Layers of your own: the kernels, until what the layer returns has variance 1.
    * A layer that is called several times: once, on its first call.

    Embeddings and normalizations are left as they are. The optimizer starts anew. If
    anything is wrong, the model is left as it was, bit for bit.

    Args:
        model: A built model of either Keras and of any kind.
        batch: What the model is called on: an array, or a list or dictionary of arrays. On
            another batch of B examples a layer whose output has r independent directions (at most
            its units) comes out with a variance of about ``1 +- 2 / sqrt(B r)``, two batches of
            chance together. For 10% in layers of ten units and more take 500 examples; twice as
            many examples for half as many units.
        tolerance: How far from 1 the variance may be; 0.1 by default.
        iterations: How often a layer is scaled before giving up. Once is enough where the
            output is linear in the kernel, as in every layer of Keras.
        seed: A non-negative integer; None draws one, which the report tells.
        keep: Structural names of layers to leave as they are, with ``*`` and ``?``.
        training: Whether batch normalizations use the statistics of the batch, as in
            training. By default they use their moving ones, as in ``model.predict``. These
            do not change, and dropout is off, either way.

    Returns:
        A `Report`; print it.

    Raises:
        TypeError: If the model, the batch or an argument is of a wrong type.
        ValueError: If the model is not built, a layer cannot be measured, never varies, comes
            to values that are not finite or does not come within the tolerance.

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
    rows: dict[str, Reached] = {}
    _, contexts, _ = contexts_in(network)
    shifted = {
        target.name
        for target in scaled
        if target.known
        and not target.recurrent
        and id(target.owner) in contexts
        and is_collapsing(contexts[id(target.owner)].activation)
    }

    def mender(target: Target, measure: one_pass.Measure) -> None:
        shifts = target.name in shifted
        rows[target.name] = _scaled(target, measure, tolerance, iterations, shifts)

    variables = [variable for target in scaled for variable in target.variables]
    with restored(model, keep=[*variables, *optimizers.state_of(model)]):
        for target in scaled:
            _start(target, seed)
        calls = one_pass.mend(model, batch, scaled, mender, training=training)
        optimizers.reset_optimizer(model)
    return Report("lsuv", finished(rows, calls, kept), seed)


def _start(target: Target, seed: int) -> None:
    for part in (*target.kernels, *target.others):
        stream = streams.derive(seed, "lsuv", part.name)
        part.variable.assign(binding.values(binding.fitted(Orthogonal(), part, stream), part))
    if target.bias is not None:
        own = binding.OWN if target.recurrent else Zeros()
        stream = streams.derive(seed, "lsuv", target.bias.name)
        initializer = binding.fitted(own, target.bias, stream)
        if initializer is not None:
            target.bias.variable.assign(binding.values(initializer, target.bias))


def _scaled(
    target: Target, measure: one_pass.Measure, tolerance: float, most: int, shifts: bool
) -> Reached:
    total, before, note = 1.0, None, _note(target)
    for iteration in range(most + 1):
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
                f"kernels brings it to variance 1. The inputs of the layer are constant, or what "
                f"is in front of it is dead."
            )
        before = variance if before is None else before
        # Once, it is scaled in any case: that costs nothing, and leaves the whole tolerance
        # to the next batch.
        if iteration and abs(variance - 1) <= tolerance:
            kind = type(target.layer).__name__
            return Reached(target.name, kind, before, variance, mean, total, iteration, note=note)
        scale = variance**-0.5
        if shift is not None:
            units, _, _ = shift
            scale = float(units.by_unit(output).var(0).mean()) ** -0.5
        if iteration < most:
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
        f"The output of {target.name!r} has the variance {variance:.4g} after {most} scalings, not "
        f"1 within {tolerance:g}. To leave the layer as it is: keep=[{target.name!r}]."
    )


def _note(target: Target) -> str:
    if target.recurrent:
        return "what the inputs bring to the gates; recurrent kernel orthogonal"
    return "" if target.known else "as the layer returns it"
