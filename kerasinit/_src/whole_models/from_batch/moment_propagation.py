"""Predicts mean and variance through a model by theory, and scales the kernels to keep them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kerasinit._src import compat, errors
from kerasinit._src.compat import optimizers
from kerasinit._src.compat.restore import restored
from kerasinit._src.errors import checked_positive
from kerasinit._src.network.catalogue import row_of
from kerasinit._src.network.graph import Node
from kerasinit._src.network.model import read
from kerasinit._src.theory.quadrature import gaussian_moments
from kerasinit._src.whole_models.from_batch.report import ScaledLayer, ScalingReport
from kerasinit._src.whole_models.from_batch.targets import Target, all_targets

Pair = tuple[float, float]  # mean and variance


def propagate_moments(
    model: Any,
    *,
    mean: float = 0.0,
    variance: float = 1.0,
    assume: Mapping[str, Pair] | None = None,
) -> ScalingReport:
    """Scale each kernel to an output variance of 1 as predicted by theory, without data.

    For a model whose data is not available yet: only the mean and the variance of the inputs are
    needed. Layer by layer in the order of the graph, with the current kernels and biases:

    * Dense, EinsumDense and convolutions: with kernels of mean ``m`` and variance ``v``, inputs
      of mean ``a`` and variance ``s``, ``mean = fan_in m a + mean(b)`` and ``variance = fan_in
      (v (s + a^2) + m^2 s) + Var(b)``; the kernel is multiplied so that this is 1. Borders of
      zeros are not counted.
    * Activations: ``E[f(z)]`` and ``Var[f(z)]`` of a normal ``z``, by quadrature.
    * Sums: means and variances add up, branches taken as independent.
    * Concatenated branches are a mixture, by their sizes: ``mean = sum p_i m_i`` and ``variance =
      sum p_i (s_i + m_i^2) - mean^2``.
    * Batch normalization by its moving statistics; layer normalization and rescaling by their
      scale and offset. Dropout, flattening, reshaping, padding and cropping change nothing.

    Layers that theory does not cover, such as attention, recurrence, pooling, softmax, products
    and operations, are refused, unless ``assume`` gives their moments.

    Args:
        model: A built functional or sequential model of either Keras.
        mean: Mean of its inputs. Defaults to 0.
        variance: Their variance, above 0. Defaults to 1.
        assume: The ``(mean, variance)`` of the outputs of layers by their names; their kernels
            are not changed. None (default) assumes nothing.

    Returns:
        A report, printed as a table, of the predicted variances before the activations; `lsuv`
        measures them instead.

    Raises:
        TypeError: If ``variance`` is not a number.
        ValueError: If the model has no graph or is not built, theory does not cover a layer, a
            kernel is zero, the variance of a bias exceeds 1, or a layer is called twice.
            Nothing is changed then.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu", name="mine")])
    >>> report = propagate_moments(model, mean=0.5, variance=1 / 12)
    >>> round(report["dense"].variance, 6)
    1.0

    Reference:
        He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers"; Poole, Lahiri, Raghu,
        Sohl-Dickstein and Ganguli, 2016, "Exponential expressivity in deep neural networks
        through transient chaos".
    """
    start = (float(mean), checked_positive("variance", variance))
    assume = dict(assume or {})
    network = read(model)
    graph = network.graph
    if graph is None:
        raise ValueError(f"The model {model.name!r} has no graph. Use lsuv, which measures.")
    names = [node.name for node in graph.nodes]
    for name in assume:
        if name not in names:
            raise errors.unknown("layer in assume", name, names)
    optimizers.require_resettable_optimizer(model)
    assumed = {id(node.layer) for node in graph.nodes if node.name in assume}
    by_layer = {id(target.layer): target for target in all_targets(network)}
    rows, values, found = [], [], []
    met: set[int] = set()
    for node in graph.nodes:
        # A sequential model has no node for its input.
        inputs = [found[place] for place in node.inputs] or [start]
        target = by_layer.get(id(node.layer))
        if node.name in assume:
            given = assume[node.name]
            found.append((float(given[0]), float(given[1])))
        elif row_of(node.layer).signal == "enters":
            found.append(start)
        elif target is not None and id(node.layer) not in assumed:
            if id(node.layer) in met:
                raise _unknown(node, "it is called twice")
            met.add(id(node.layer))
            row, value, reached = _scaled(node, target, inputs[0])
            rows.append(row)
            values.append((target.kernels[0].variable, value))
            found.append(_activated(node, node.layer.activation, reached))
        else:
            found.append(_passed(node, inputs))
    scaled = [variable for variable, _ in values]
    with restored(model, keep=[*scaled, *optimizers.state_of(model)]):
        for variable, value in values:
            variable.assign(value)
        optimizers.reset_optimizer(model)
    return ScalingReport("propagate_moments", tuple(rows))


def _unknown(node: Node, why: str) -> ValueError:
    return ValueError(
        f"Theory does not cover {node.name!r} ({node.operation}): {why}. Give its moments with "
        f"assume={{{node.name!r}: (mean, variance)}}, or use lsuv, which measures."
    )


def _scaled(node: Node, target: Target, given: Pair) -> tuple[ScaledLayer, np.ndarray, Pair]:
    known = target.known and len(target.kernels) == 1 and not target.recurrent_kernels
    if not known or target.layer is not target.owner or not hasattr(node.layer, "activation"):
        raise _unknown(node, "its output is not a single sum over its kernel")
    part = target.kernels[0]
    stored = compat.read(part.variable)
    kernel = stored.astype(np.float64)
    bias = np.zeros(1) if target.bias is None else compat.read(target.bias.variable)
    mean, variance = given
    fan, middle, spread = part.reading.fan_in, kernel.mean(), kernel.var()
    own = fan * (spread * (variance + mean**2) + middle**2 * variance)
    rest = 1 - float(bias.astype(np.float64).var())
    if not 0 < own < math.inf or not rest > 0:
        raise ValueError(
            f"No scale gives {target.name!r} the variance 1: its kernel contributes {own:.4g}, its "
            f"bias {1 - rest:.4g}. Give it a kernel that is not zero, and a bias of zeros."
        )
    scale = math.sqrt(rest / own)
    reached = (float(fan * scale * middle * mean + bias.astype(np.float64).mean()), 1.0)
    row = ScaledLayer(
        target.name,
        type(node.layer).__name__,
        float(own + 1 - rest),
        scale**2 * float(own) + 1 - rest,
        reached[0],
        scale,
        1,
        note="predicted",
    )
    return row, (kernel * scale).astype(stored.dtype), reached


def _activated(node: Node, activation: Any, given: Pair) -> Pair:
    """Return the moments of an activation's output for normal inputs."""
    if activation is None or getattr(activation, "__name__", "") == "linear":
        return given
    mean, deviation = given[0], math.sqrt(given[1])
    try:
        moments = gaussian_moments(activation, lambda z: activation(mean + deviation * z))
    except ValueError as error:
        raise _unknown(node, f"its activation cannot be integrated ({error})") from error
    return moments.mean, moments.variance


def _passed(node: Node, inputs: list[Pair]) -> Pair:
    layer, row = node.layer, row_of(node.layer)
    if node.kind == "sum" and len(inputs) > 1 and not node.constant:
        return sum(mean for mean, _ in inputs), sum(variance for _, variance in inputs)
    if row.signal == "concatenates":
        return _mixed(node, inputs)
    if len(inputs) != 1 or layer is None:
        raise _unknown(node, "it combines several inputs, but not by a sum")
    if row.signal in ("passes", "resizes"):
        return inputs[0]
    if row.signal == "activates" and not layer.weights:
        function: Callable[..., Any] = getattr(layer, "activation", None) or layer
        return _activated(node, function, inputs[0])
    if row.by_batch or isinstance(layer, compat.layer_classes("LayerNormalization")):
        return _normalized(layer, inputs[0])
    if row.signal == "rescales":
        scale, offset = (np.asarray(one, np.float64) for one in (layer.scale, layer.offset))
        return _scaled_by(scale, offset, *inputs[0])
    raise _unknown(node, "there is no rule for it")


def _normalized(layer: Any, given: Pair) -> Pair:
    scale = 1.0 if layer.gamma is None else compat.read(layer.gamma).astype(np.float64)
    offset = 0.0 if layer.beta is None else compat.read(layer.beta).astype(np.float64)
    mean, square = 0.0, 1.0
    if row_of(layer).by_batch:
        center = compat.read(layer.moving_mean).astype(np.float64)
        spread = compat.read(layer.moving_variance).astype(np.float64) + layer.epsilon
        mean, square = (given[0] - center) / np.sqrt(spread), given[1] / spread
    return _scaled_by(scale, offset, mean, square)


def _scaled_by(scale: Any, offset: Any, mean: Any, variance: Any) -> Pair:
    """Return the moments of ``scale * x + offset``, taken over the channels as well."""
    means = np.asarray(scale * mean + offset)
    return float(means.mean()), float(np.mean(scale**2 * variance) + means.var())


def _mixed(node: Node, inputs: list[Pair]) -> Pair:
    found = [shape[node.layer.axis] if shape else None for shape in node.shapes]
    sizes = [size for size in found if size]
    if len(sizes) < len(found):
        raise _unknown(node, "the sizes of its branches are unknown")
    share = np.array(sizes, np.float64) / sum(sizes)
    means, variances = np.transpose(inputs)
    mean = share @ means
    return float(mean), float(share @ (variances + means**2) - mean**2)
