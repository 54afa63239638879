"""Entry points: prune a model, and turn it back into an ordinary one."""

import contextlib
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.errors import ArgumentError
from kerasinit._src.network.prunable import layer_weights, prunable_weights
from kerasinit._src.network.walk import walk
from kerasinit._src.pruning import arguments, changes, layer_policies, pruned_models, tfmot_session
from kerasinit._src.pruning.patterns import make_pattern
from kerasinit._src.pruning.pruner import Rule
from kerasinit._src.pruning.schedules import as_tfmots
from kerasinit._src.pruning.tfmot_bridge import remember_policy, tfmot, wrappers
from kerasinit._src.troubleshooting import see


def prune_low_magnitude(
    to_prune: Any,
    pruning_schedule: Any = None,
    block_size: Any = (1, 1),
    block_pooling_type: str = "AVG",
    pruning_policy: Any = None,
    sparsity_m_by_n: Any = None,
    initial_step: int | None = None,
    **kwargs: Any,
) -> Any:
    """Prune the weights of smallest magnitude while a model trains.

    tfmot's function of this name, for both Kerases; also known as gradual magnitude pruning. A
    tf_keras model, layer or list is passed to tfmot. A Keras 3 model, which tfmot rejects, is
    returned as the same object with the same layers, weights, optimizer and compilation; only its
    training step is extended. Train it with the callback
    :class:`~kerasinit.pruning.UpdatePruningStep`.

    At each training step ``t`` at which the schedule fires, for each weight ``w`` with
    ``n`` elements::

        k = max(round(n * (1 - sparsity(t))), 1)
        mask = |w| >= k-th largest |w|

    and at every step, before the forward pass, ``w <- w * mask``.

    A model that is already pruned keeps its masks, and the new schedule starts at step 0.
    Removed weights do not return if the new schedule has a lower sparsity. In a model that
    was trained before (its optimizer has counted steps), weights that are exactly zero are
    considered removed.

    Layers, lists of layers and nested models can be pruned individually and used in any
    model: the one that is trained with the callback prunes them, whether it has a ``call``
    or, like a GAN, only a ``train_step``. They keep their own schedule if that model is
    pruned as well. Two models that share a pruned weight share its mask.

    Unbuilt models and layers are pruned as soon as they are built, at the latest in the first
    step of ``fit``. Masks follow their variables when layers are added, removed or replaced;
    ``fit`` warns about new layers, and calling this function again prunes them.

    Training can be stopped after any epoch and resumed from a saved file with the same
    result: load the model, prune it again with the same arguments, and call
    ``fit(..., initial_epoch=e)``. Zeros in the file are the masks, and the step is that
    after ``e`` epochs; but if the model is still dense although the schedule would have
    pruned it by then, pruning starts at step 0. ``initial_step`` sets the step explicitly.
    A file saved in the middle of an epoch contains masked weights, so that training resumed
    from it differs from uninterrupted training.

    Args:
        to_prune: A Keras 3 model (Sequential, functional or subclassed), a Keras 3 layer,
            or a list of these, built or not; or anything of tf_keras that tfmot accepts.
        pruning_schedule: A :class:`~kerasinit.pruning.PruningSchedule`: called with the
            step, it returns ``(whether to update the masks, sparsity)``. Default:
            ``ConstantSparsity(0.5, 0)``.
        block_size: ``(height, width)`` of blocks that are removed together; 2-D weights
            only. Default: ``(1, 1)``, single weights. Height runs along the inputs of a
            dense layer: TensorFlow Lite accelerates ``(4, 1)`` and ``(16, 1)`` if converted
            with ``EXPERIMENTAL_SPARSITY``.
        block_pooling_type: ``"AVG"`` (default) or ``"MAX"``: ranks blocks by the mean or
            the maximum of their magnitudes.
        pruning_policy: A :class:`~kerasinit.pruning.PruningPolicy` or another object with
            ``allow_pruning(layer)``, which returns whether a layer is pruned, and
            ``ensure_model_supports_pruning(model)``, which may raise. It does not apply to
            individually pruned layers. Without one (None, the default), frozen layers are pruned
            with a warning, and a layer whose prunable weights are unknown is an error: see
            :class:`~kerasinit.pruning.PruneTrainableLayers` and
            :class:`~kerasinit.pruning.PruneKnownLayers`.
        sparsity_m_by_n: ``(m, n)``: ``m`` zeros in every ``n`` consecutive input
            channels, chosen once at the first step. Default: ``None``.
        initial_step: Number of training steps (weight updates) taken so far, to resume a
            schedule in a custom loop. Default: determined in ``fit`` as described above.
            Keras 3 only.
        **kwargs: ``input_shape`` of a single layer, without the batch dimension: builds it,
            and a Sequential that begins with it. For a tf_keras layer also the arguments of
            tfmot's wrapper.

    Returns:
        The same Keras 3 model, layer or list, or what tfmot returns.

    Raises:
        ImportError: If it is of tf_keras, and tfmot is not installed.
        TypeError: If ``to_prune`` belongs to neither Keras (which is a ValueError as well,
            as in tfmot), or an argument is unknown.
        ValueError: If the model has nothing to prune, if the prunable weights of a layer are
            unknown, if the pattern does not fit a weight, if a layer is quantized, if a
            list mixes the Kerases, or if the schedule returns a sparsity outside [0, 1).
            For unbuilt models some of these are only raised once they are built.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model = pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.75, 0, frequency=1))
    >>> model.compile("sgd", "mse")
    >>> callback = pruning.UpdatePruningStep()
    >>> history = model.fit(
    ...     keras.ops.ones((4, 8)), keras.ops.ones((4, 4)), callbacks=[callback], verbose=0
    ... )
    >>> int(pruning.masks(model)["dense/kernel"].sum())
    8

    Reference:
        [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878), "To prune, or not to prune";
        [Narang, Undersander and Diamos, 2017](https://arxiv.org/abs/1711.02782), "Block-sparse
        recurrent neural networks"; [Mishra et al., 2021](https://arxiv.org/abs/2104.08378),
        "Accelerating sparse deep neural networks" (m by n).
    """
    if arguments.kerase_of_all(to_prune) == "tf_keras":
        if initial_step is not None:
            raise ValueError(
                "initial_step is for Keras 3 only: tfmot saves the step of a tf_keras model with "
                "its weights."
            )
        if pruning_schedule is not None:
            kwargs["pruning_schedule"] = as_tfmots(pruning_schedule)
        frozen = _frozen(to_prune, pruning_policy)
        pruned = tfmot().prune_low_magnitude(
            to_prune,
            block_size=block_size,
            block_pooling_type=block_pooling_type,
            pruning_policy=pruning_policy,
            sparsity_m_by_n=sparsity_m_by_n,
            **kwargs,
        )
        layer_policies.warn_of_frozen(frozen)
        if pruning_policy is not None and compat.is_model(pruned):
            remember_policy(pruned, pruning_policy)
        return pruned

    input_shape = kwargs.pop("input_shape", None)
    arguments.require_known(kwargs)
    rule = Rule(
        arguments.checked_schedule(pruning_schedule),
        make_pattern(block_size, block_pooling_type, sparsity_m_by_n),
        arguments.checked_step(initial_step),
    )
    if input_shape is not None:
        arguments.build(to_prune, input_shape)
    if isinstance(to_prune, list | tuple):
        for layer in to_prune:
            _prune(layer, rule, pruning_policy)
    else:
        _prune(to_prune, rule, pruning_policy)
    return to_prune


def _prune(thing: Any, rule: Rule, policy: Any) -> None:
    if not compat.is_model(thing):
        pruned_models.mark(thing, rule)
        return
    pruned_models.prune(thing, rule, arguments.allowance(policy, thing))
    pruned_models.session_of(thing).warn_of_frozen_layers()


def _frozen(to_prune: Any, policy: Any) -> list[str]:
    """Return the names of frozen tf_keras layers that tfmot will prune."""
    things = to_prune if isinstance(to_prune, list | tuple) else [to_prune]
    found = []
    for layer in (layer for thing in things for _, layer in walk(thing)):
        if not layer.trainable and (policy is None or policy.allow_pruning(layer)):
            with contextlib.suppress(ValueError):  # tfmot will reject the layer
                found += [layer.name for _ in layer_weights(layer)]
    return found


def begin_step(model: Any) -> None:
    """Begin a step of a custom training loop: count it, update the masks and apply them.

    Call it once before the forward pass whose gradients will update the weights, eagerly
    or inside a ``tf.function``, and with a distribution strategy inside or outside
    ``strategy.run``. ``fit`` and ``train_on_batch`` do this automatically.

    Args:
        model: A pruned Keras 3 model, or one that contains pruned layers.

    Raises:
        TypeError: If ``model`` is not a Keras 3 model.
        ValueError: If nothing in it is pruned, if a part to prune is not built yet, or if
            the schedule returns a sparsity outside [0, 1). Within a graph the last is
            TensorFlow's InvalidArgumentError, and with XLA it is not raised.

    Example:
    >>> import keras
    >>> import tensorflow as tf
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> model = pruning.prune_low_magnitude(model, pruning.ConstantSparsity(0.5, 0, frequency=1))
    >>> optimizer = keras.optimizers.SGD(0.1)
    >>> @tf.function
    ... def train(x, y):
    ...     pruning.begin_step(model)
    ...     with tf.GradientTape() as tape:
    ...         loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
    ...     gradients = tape.gradient(loss, model.trainable_variables)
    ...     optimizer.apply(gradients, model.trainable_variables)
    >>> train(tf.ones((2, 8)), tf.ones((2, 4)))
    >>> pruning.apply_masks(model)
    >>> float(keras.ops.mean(model.layers[0].kernel == 0))
    0.5
    """
    session = _keras_3_session(model)
    if session.pending:
        raise ValueError(
            f"Something to prune in the model {model.name!r} has no weights yet, so that no masks "
            "can be created. Build it before the first step: give it a keras.Input, call it on a "
            f"batch, or call build(input_shape). (In fit this is not needed.) "
            f"{see('unbuilt-model')}"
        )
    if not session.composition.has_same_layers(model):
        changes.warn_of_changes(model)
    session.begun = True
    session.pruner.begin_step()


def apply_masks(model: Any) -> None:
    """Set the removed weights of a pruned Keras 3 model to zero.

    The optimizer updates these as well. In a custom training loop, call this after the last
    step of an epoch. If called between two steps it affects training: removed weights that
    the optimizer changed no longer compete at the next mask update. Evaluation, prediction,
    ``get_weights`` and saving through the model's methods use masked weights in any case,
    without affecting training.

    Args:
        model: A pruned Keras 3 model, or one that contains pruned layers.

    Raises:
        TypeError: If ``model`` is not a Keras 3 model.
        ValueError: If nothing in it is pruned.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> pruning.apply_masks(pruning.prune_low_magnitude(model))
    """
    _keras_3_session(model).pruner.apply_masks()


def _keras_3_session(model: Any) -> Any:
    if compat.kerase_of(model) != "keras" or not compat.is_model(model):
        raise TypeError(
            f"Expected a Keras 3 model; got {model.name!r} of class {type(model).__name__}. A "
            "tf_keras model counts its own steps: see tfmot's UpdatePruningStep."
        )
    return pruned_models.session_of(model)


def strip_pruning(model: Any) -> Any:
    """Turn a pruned model into an ordinary one, with removed weights set to zero.

    For a tf_keras model, tfmot returns a copy without wrapper layers. For a Keras 3 model
    the masks are applied one last time, and its original training step is restored, also
    in individually pruned layers and models inside it. A model that is not pruned is
    returned unchanged. If the schedule was not finished, or weights of a less sparse epoch
    were restored, there is a warning, unless ``fit`` has issued it.

    Args:
        model: A model of either Keras, a Keras 3 layer, or a list of these.

    Returns:
        The same Keras 3 object, or tfmot's copy of a tf_keras model.

    Raises:
        TypeError: If ``model`` is none of these.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> pruning.strip_pruning(pruning.prune_low_magnitude(model)) is model
    True
    """
    if arguments.kerase_of_all(model) == "tf_keras":
        if not compat.is_model(model):
            raise ArgumentError(
                "tfmot strips whole tf_keras models; got a layer or a list. The original layer is "
                "the attribute `layer` of tfmot's wrapper."
            )
        stripped = tfmot().strip_pruning(model)
        tfmot_session.warn_of_shortfalls(model)
        return stripped
    for thing in model if isinstance(model, list | tuple) else [model]:
        changes.warn_of_steps_without_masks(thing)
        pruned_models.detach(thing)
    return model


def masks(model: Any) -> dict[str, np.ndarray]:
    """Return the current masks of a pruned model.

    Args:
        model: A Keras 3 model after :func:`prune_low_magnitude`, or a tf_keras model
            that tfmot has wrapped.

    Returns:
        For the structural name of each pruned weight (``"dense_1/kernel"``) a boolean array of
        its shape, True where the weight is kept. The names of both Kerases agree.

    Raises:
        TypeError: If ``model`` is not a model or layer.
        ValueError: If nothing in it is pruned.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> pruning.masks(pruning.prune_low_magnitude(model))["dense/kernel"].all()
    np.True_
    """
    if compat.kerase_of(model) == "keras":
        found = changes.update_session(model).pruner.masks
        return {name: mask.numpy() != 0 for name, mask in found.items()}
    by_weight = {
        id(weight): mask for layer in wrappers(model) for weight, mask, _ in layer.pruning_vars
    }
    if not by_weight:
        raise ValueError(
            f"The model {model.name!r} is not pruned: none of its layers is wrapped. Use the model "
            f"that `prune_low_magnitude(model)` returned. {see('not-pruned')}"
        )
    # Skips layers without masks, whose prunable weights may be unknown.
    found = prunable_weights(model, lambda layer: any(id(w) in by_weight for w in layer.weights))
    return {
        weight.name: by_weight[id(weight.variable)].numpy() != 0
        for weight in found
        if id(weight.variable) in by_weight
    }
