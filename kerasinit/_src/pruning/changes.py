"""What is said of models that have changed since they were pruned."""

from typing import Any

from kerasinit._src import errors
from kerasinit._src.network.walk import is_inside
from kerasinit._src.pruning import pruned_models
from kerasinit._src.pruning.session import Training


def follow_changes(model: Any) -> Training:
    """Return what is known of a pruned model, after a look at what has become of its layers.

    Weights have the names that they have now, and those that are no longer there are forgotten.

    Raises:
        ValueError: If the model is not pruned.
    """
    training = pruned_models.training_of(model)
    if not training.pending:
        gone = training.composition.follow(model, training.pruner)
        if gone:
            pruned_models.free(model, gone)
    return training


def warn_of_changes(model: Any) -> None:
    """Warn of what has become of a pruned model since the last time, and if nothing is pruned."""
    training = follow_changes(model)
    marked = pruned_models.marked_inside(model)
    if marked and not training.pending and not training.pruner.weights:
        names = ", ".join(repr(layer.name) for layer in marked)
        training.composition.note(
            "nothing",
            f"Nothing is pruned in the model {model.name!r}: its layers that were pruned by "
            f"themselves ({names}) have no weights to prune.",
        )
    messages = training.composition.take_messages()
    if messages:
        errors.warn(f"Pruning: {' '.join(messages)}")


def warn_of_steps_without_masks(thing: Any) -> None:
    """Warn if the weights of a pruned model were trained by steps that nobody has counted."""
    counted = {
        id(variable)
        for _, training in pruned_models.trainings()
        if training.pruner.counter.position[0] > 0
        for variable in training.pruner.variables
    }
    for model, training in pruned_models.trainings():
        pruner = training.pruner
        if (
            (model is thing or is_inside(model, thing))
            and counted.isdisjoint(map(id, pruner.variables))
            and training.composition.were_all_changed(pruner)
        ):
            errors.warn(
                f"Pruning: The weights of the model {model.name!r} have changed since it was "
                "pruned, but no training step was counted and nothing was removed. A tf.function "
                "that was traced before prune_low_magnitude goes on training without masks: trace "
                "it again, with kerasinit.pruning.begin_step(model) in it."
            )
