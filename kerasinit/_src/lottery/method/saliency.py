"""Scores from the network itself, before it is trained.

The model is scored in training mode, with its masks applied, and restored afterwards to the
last bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.compat.fit_loss import logits_need_graph
from kerasinit._src.compat.restore import restored
from kerasinit._src.lottery.method.survivors import Target, keep
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.prunable import prunable_weights

Scores = dict[str, np.ndarray]
_ROUNDS = 100


def snip(model: Any, x: Any, y: Any) -> Scores:
    """Score by the first-order change of the loss if a weight is removed: ``|w dL/dw|``.

    Reference:
        Lee, Ajanthan and Torr, 2019, https://arxiv.org/abs/1810.02340.
    """
    with restored(model):
        values, gradients = _gradients(model, x, y, second=False)
    return {name: np.abs(values[name] * gradients[name]) for name in values}


def grasp(model: Any, x: Any, y: Any) -> Scores:
    """Score by the contribution to gradient flow: ``w (H g)``, with H the Hessian of the loss.

    The paper's score is ``-w (H g)``, and the weights that score highest are removed; here larger
    is better, as everywhere.

    Reference:
        Wang, Zhang and Grosse, 2020, https://arxiv.org/abs/2002.07376.
    """
    with restored(model):
        values, products = _gradients(model, x, y, second=True)
    return {name: values[name] * products[name] for name in values}


def synflow(model: Any, masks: Masks, target: Target) -> Masks:
    """Prune by synaptic flow to ``target`` weights, in a hundred rounds, without data.

    The flow is ``R``, the sum of the outputs for an input of ones when every weight is replaced by
    its magnitude; a weight's score is ``|w| dR/d|w|``. After round ``k`` of ``n``,
    ``a (b / a) ** (k / n)`` of ``a`` weights remain, on the way to ``b``.

    Raises:
        ValueError: If the outputs sum to one whatever the weights (softmax), or the flow
            overflows.

    Reference:
        Tanaka et al., 2020, https://arxiv.org/abs/2006.05467.
    """
    inputs = tf.ones((1, *model.input_shape[1:]))
    weights = {weight.name: compat.tensor(weight.variable) for weight in prunable_weights(model)}
    kept = masks

    @tf.function(autograph=False)
    def flow_and_scores() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            flow = tf.reduce_sum(model(inputs, training=False))
        gradients = tape.gradient(flow, list(weights.values()))
        pairs = zip(weights.values(), gradients, strict=True)
        return flow, [variable * _dense(gradient, variable) for variable, gradient in pairs]

    with restored(model):
        for variable in map(compat.tensor, model.trainable_variables):
            variable.assign(tf.abs(variable))
        for round_number in range(1, _ROUNDS + 1):
            for name, variable in weights.items():
                variable.assign(tf.where(kept[name], variable, tf.zeros_like(variable)))
            flow, products = flow_and_scores()
            if abs(float(flow) - 1) < 1e-5:
                raise ValueError(
                    "SynFlow needs outputs that grow with the weights; this model's sum to 1, as "
                    "after a softmax. Return logits, and use a loss with from_logits=True."
                )
            scores = {name: s.numpy() for name, s in zip(weights, products, strict=True)}
            if not all(np.all(np.isfinite(score)) for score in scores.values()):
                raise ValueError("SynFlow: the flow through this model overflows.")
            kept = keep(scores, kept, _target_after(round_number, masks, target))
    return kept


def _target_after(round_number: int, masks: Masks, target: Target) -> Target:
    """Return how many of the initially kept weights remain after a round."""

    def between(first: int, last: int) -> int:
        return round(first * (last / first) ** (round_number / _ROUNDS))

    if isinstance(target, int):
        return between(masks.kept, target)
    return {
        name: between(int(np.count_nonzero(mask)), target[name]) for name, mask in masks.items()
    }


FROM_BATCH: dict[str, Callable[[Any, Any, Any], Scores]] = {"snip": snip, "grasp": grasp}


def _gradients(model: Any, x: Any, y: Any, *, second: bool) -> tuple[Scores, Scores]:
    """Return the prunable values, and their gradients or Hessian-gradient products."""
    weights = {weight.name: compat.tensor(weight.variable) for weight in prunable_weights(model)}
    # The Hessian covers all trainable weights: biases contribute to it too.
    trained = [compat.tensor(variable) for variable in model.trainable_variables]
    x, y = tf.nest.map_structure(tf.convert_to_tensor, (x, y))

    def differentiated() -> list[Any]:
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                outputs = model(x, training=True)
                loss = compat.loss_of(model, x, y, outputs, training=True)
            gradients = inner.gradient(loss, trained)
            if second:
                pairs = [_dense(g, v) for g, v in zip(gradients, trained, strict=True)]
                product = tf.add_n([tf.reduce_sum(g * tf.stop_gradient(g)) for g in pairs])
        if second:
            gradients = outer.gradient(product, trained)
        return [_dense(g, v) for g, v in zip(gradients, trained, strict=True)]

    if _logits_need_graph(model, x):
        compat.loss_of(model, x, y, model(x), training=False)  # builds the loss
        derivatives = tf.function(differentiated, autograph=False)()
    else:
        derivatives = differentiated()
    by_id = {id(v): d for v, d in zip(trained, derivatives, strict=True)}
    missing = [name for name, variable in weights.items() if id(variable) not in by_id]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} cannot be scored by gradients: not trainable. Set "
            f"layer.trainable = True, or use --criterion magnitude."
        )
    return (
        {name: variable.numpy() for name, variable in weights.items()},
        {name: by_id[id(variable)].numpy() for name, variable in weights.items()},
    )


def _logits_need_graph(model: Any, x: Any) -> bool:
    """Return whether Keras recovers the logits behind the outputs only in a graph."""
    results: list[bool] = []

    def trace() -> None:
        outputs = tf.nest.flatten(model(x, training=False))
        results.append(any(logits_need_graph(model, output) for output in outputs))

    try:
        tf.function(trace, autograph=False).get_concrete_function()
    except Exception:  # a call may do anything that only works outside a graph
        return False
    return results[-1]


def _dense(gradient: Any, variable: Any) -> tf.Tensor:
    if gradient is None:
        return tf.zeros_like(variable)
    return tf.convert_to_tensor(gradient)
