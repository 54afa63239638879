"""The entry points: prune a model, and make it an ordinary one again."""

import contextlib
from typing import Any

import numpy as np

from kerasinit._src import compat
from kerasinit._src.errors import ArgumentError
from kerasinit._src.network.prunable import layer_weights, prunable_weights
from kerasinit._src.network.walk import walk
from kerasinit._src.pruning import arguments, changes, layer_policies, pruned_models, tfmot_training
from kerasinit._src.pruning.patterns import make_pattern
from kerasinit._src.pruning.pruner import Rule
from kerasinit._src.pruning.tfmot_bridge import remember_policy, tfmot, wrappers


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
    """Make a model set its smallest weights to zero while it trains.

    The function of tfmot by this name, for both Kerases. A tf_keras model, layer or list
    is handed to tfmot. A Keras 3 model, which tfmot refuses, comes back as the same
    object, its layers, weights, optimizer and compilation untouched; only its training
    step is longer. Train it with the callback
    :class:`~kerasinit.pruning.UpdatePruningStep`.

    At each training step ``t`` at which the schedule fires, in each weight ``w`` with
    ``n`` elements::

        k = max(round(n * (1 - sparsity(t))), 1)
        mask = |w| >= k-th largest |w|

    and at every step, before the forward pass, ``w <- w * mask``.

    A model that is already pruned keeps its masks and gets the new schedule, counted
    from step 0. Nothing that was removed comes back to make up for a lower sparsity. In
    a model that was trained before (its optimizer has counted steps), weights that are
    exactly zero are taken for removed.

    A layer, a list of layers or a model inside another model may be pruned by itself and
    then be used in any model: the one that is trained with the callback prunes it, whether
    it has a ``call`` or, like a GAN, only a ``train_step``. What was pruned by itself keeps
    its own schedule in a model that is pruned as well. Two models that share a pruned
    weight share its mask.

    What is not built yet is pruned as soon as it is, at the latest in the first step of
    ``fit``. Masks follow their variables when layers are added, removed or replaced; of new
    layers ``fit`` warns, and this function, called again, prunes them.

    Training can be stopped after any epoch and be gone on with from the saved file as if
    it had not been: load the model, prune it again with the same arguments, and call
    ``fit(..., initial_epoch=e)``. The masks are the zeros in the file. The step is ``e``
    epochs behind; a model that is still dense although the schedule would have pruned it
    by then is taken to be pruned from now on, at step 0. ``initial_step`` says it
    outright. A file that was saved in the middle of an epoch holds masked weights, so a
    training that resumes from it is another than the one that went on.

    Args:
        to_prune: A Keras 3 model (Sequential, functional or subclassed), a Keras 3 layer,
            or a list of these, built or not; or what tfmot accepts of tf_keras.
        pruning_schedule: A :class:`~kerasinit.pruning.PruningSchedule`: called with the
            step, it returns ``(whether to update the masks, sparsity)``. Default:
            ``ConstantSparsity(0.5, 0)``.
        block_size: ``(height, width)`` of blocks that are removed together; 2-D weights
            only. Default ``(1, 1)``, single weights. Height runs along the inputs of a
            dense layer: ``(4, 1)`` and ``(16, 1)`` are what TensorFlow Lite runs faster,
            converted with ``EXPERIMENTAL_SPARSITY``.
        block_pooling_type: ``"AVG"`` (default) or ``"MAX"`` of the magnitudes in a block
            stand for the block.
        pruning_policy: A :class:`~kerasinit.pruning.PruningPolicy` or another object with
            ``allow_pruning(layer)``, which says whether a layer is pruned, and
            ``ensure_model_supports_pruning(model)``, which may raise. It is not asked
            about layers that are pruned by themselves. Without one, frozen layers are
            pruned too, with a warning, and a layer that nobody has a rule for is an error:
            see :class:`~kerasinit.pruning.PruneTrainableLayers` and
            :class:`~kerasinit.pruning.PruneKnownLayers`.
        sparsity_m_by_n: ``(m, n)``: ``m`` zeros in every ``n`` consecutive input
            channels, chosen once at the first step. Default: ``None``.
        initial_step: Training steps (updates of the weights) that lie behind, to go on
            with a schedule in a loop of your own. Default: found out in ``fit`` as told
            above. Keras 3 only.
        **kwargs: ``input_shape``, without the batch, of a single layer: builds it, and a
            Sequential that begins with it and another layer. For a tf_keras layer
            whatever tfmot's wrapper takes; nothing else for Keras 3.

    Returns:
        The same Keras 3 model, layer or list, or what tfmot returns.

    Raises:
        TypeError: If ``to_prune`` belongs to neither Keras (which is a ValueError as well,
            as in tfmot), or an argument is unknown.
        ValueError: If the model has nothing to prune, if a layer is of a class it knows no
            rule for, if the pattern does not fit a weight, if a layer is quantized, if a
            list mixes the Kerases, or if the schedule asks for a sparsity outside [0, 1).
            Of what is not built yet some of this shows only when it is.

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
        [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878)
    """
    if arguments.kerase_of_all(to_prune) == "tf_keras":
        if initial_step is not None:
            raise ValueError(
                "initial_step is for Keras 3: the step of a tf_keras model is among the weights "
                "that tfmot saves."
            )
        if pruning_schedule is not None:
            kwargs["pruning_schedule"] = pruning_schedule
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
    pruned_models.training_of(thing).say_what_is_frozen()


def _frozen(to_prune: Any, policy: Any) -> list[str]:
    """Return the names of frozen tf_keras layers that tfmot is about to prune."""
    things = to_prune if isinstance(to_prune, list | tuple) else [to_prune]
    found = []
    for layer in (layer for thing in things for _, layer in walk(thing)):
        if not layer.trainable and (policy is None or policy.allow_pruning(layer)):
            with contextlib.suppress(ValueError):  # tfmot will say that it does not know it
                found += [layer.name for _ in layer_weights(layer)]
    return found


def begin_step(model: Any) -> None:
    """Begin a training step of a loop of your own: count it, update the masks, apply them.

    Call it once before the forward pass whose gradients will update the weights, eagerly
    or inside a ``tf.function``, and with a distribution strategy inside ``strategy.run``
    or outside of it. ``fit`` and ``train_on_batch`` do this by themselves.

    Args:
        model: A Keras 3 model that is pruned, or in which something is.

    Raises:
        TypeError: If ``model`` is not a Keras 3 model.
        ValueError: If nothing in it is pruned, if something that is to be pruned has no
            weights yet, or if the schedule asks for a sparsity outside [0, 1). Within a
            graph the last is TensorFlow's InvalidArgumentError; XLA can raise none.

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
    training = _training_of_keras_3(model)
    if training.pending:
        raise ValueError(
            f"Something that is to be pruned in the model {model.name!r} has no weights yet, and "
            "there are no masks for what is not there. Build it before the first step: give it a "
            "keras.Input, call it on a batch, or call build(input_shape). (In fit this is not "
            "needed.)"
        )
    if not training.composition.has_same_layers(model):
        changes.warn_of_changes(model)
    training.begun = True
    training.pruner.begin_step()


def apply_masks(model: Any) -> None:
    """Set the removed weights of a pruned Keras 3 model to zero.

    An update of an optimizer moves them too. In a loop of your own call this after the
    last step of an epoch. Before another step it changes the training: removed weights that
    the last update moved no longer compete at the next update of the masks. Evaluation,
    prediction, ``get_weights`` and saving by the model's own methods see masked weights in
    any case, and change nothing.

    Args:
        model: A Keras 3 model that is pruned, or in which something is.

    Raises:
        TypeError: If ``model`` is not a Keras 3 model.
        ValueError: If nothing in it is pruned.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> pruning.apply_masks(pruning.prune_low_magnitude(model))
    """
    _training_of_keras_3(model).pruner.apply_masks()


def _training_of_keras_3(model: Any) -> Any:
    if compat.kerase_of(model) != "keras" or not compat.is_model(model):
        raise TypeError(
            f"Expected a Keras 3 model; got {model.name!r} of class {type(model).__name__}. A "
            "tf_keras model counts its steps itself, see tfmot's UpdatePruningStep."
        )
    return pruned_models.training_of(model)


def strip_pruning(model: Any) -> Any:
    """Make a pruned model an ordinary one, with zeros where the masks were.

    A tf_keras model goes to tfmot, which returns a copy without its wrapper layers. A
    Keras 3 model has none: its masks are applied one last time, and its training step
    is that of its class again. So it is with the layers and models inside it that were
    pruned by themselves. What is not pruned comes back unchanged. If the schedule was not
    done, or weights of a less sparse epoch were restored, there is a warning, unless ``fit``
    has given it.

    Args:
        model: A model of either Keras, a Keras 3 layer, or a list of these.

    Returns:
        The same Keras 3 object, or tfmot's copy of a tf_keras model.

    Raises:
        TypeError: If ``model`` is nothing of the kind.

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
                "tfmot strips whole tf_keras models; got a layer or a list. The layer itself is "
                "the attribute `layer` of tfmot's wrapper."
            )
        stripped = tfmot().strip_pruning(model)
        tfmot_training.say_what_is_missing(model)
        return stripped
    for thing in model if isinstance(model, list | tuple) else [model]:
        changes.warn_of_steps_without_masks(thing)
        pruned_models.detach(thing)
    return model


def masks(model: Any) -> dict[str, np.ndarray]:
    """Return which weights of a pruned model are kept at present.

    Args:
        model: A Keras 3 model after :func:`prune_low_magnitude`, or a tf_keras model
            that tfmot has wrapped.

    Returns:
        Structural name of each pruned weight (``"dense_1/kernel"``) to a boolean array
        of its shape, True where the weight is kept. The names of both Kerases agree.

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
        found = changes.follow_changes(model).pruner.masks
        return {name: mask.numpy() != 0 for name, mask in found.items()}
    by_weight = {
        id(weight): mask for layer in wrappers(model) for weight, mask, _ in layer.pruning_vars
    }
    if not by_weight:
        raise ValueError(
            f"The model {model.name!r} is not pruned: none of its layers is wrapped. Use the model "
            "that `prune_low_magnitude(model)` returned."
        )
    # Layers that were left out need no rule.
    found = prunable_weights(model, lambda layer: any(id(w) in by_weight for w in layer.weights))
    return {
        weight.name: by_weight[id(weight.variable)].numpy() != 0
        for weight in found
        if id(weight.variable) in by_weight
    }
