"""Detects and reports changes to a model since it was pruned."""

from typing import Any

from kerasinit._src import errors
from kerasinit._src.network.walk import is_inside
from kerasinit._src.pruning import pruned_models
from kerasinit._src.pruning.session import Session


def update_session(model: Any) -> Session:
    """Return the session of a pruned model, updated to the model's current layers.

    Weights get their current names, and those no longer in the model are dropped.
    """
    session = pruned_models.session_of(model)
    if not session.pending:
        removed = session.composition.update(model, session.pruner)
        if removed:
            pruned_models.forget(model, removed)
    return session


def warn_of_changes(model: Any) -> None:
    """Warn of changes to a pruned model since the last call, and if nothing is pruned."""
    session = update_session(model)
    marked = pruned_models.marked_inside(model)
    if marked and not session.pending and not session.pruner.weights:
        names = ", ".join(repr(layer.name) for layer in marked)
        session.composition.note(
            "nothing",
            f"Nothing is pruned in the model {model.name!r}: its individually pruned layers "
            f"({names}) have no weights to prune.",
        )
    messages = session.composition.take_messages()
    if messages:
        errors.warn(f"Pruning: {' '.join(messages)}")


def warn_of_steps_without_masks(thing: Any) -> None:
    """Warn if the weights of a pruned model were trained by steps that were not counted."""
    counted = {
        id(variable)
        for _, session in pruned_models.sessions()
        if session.pruner.counter.position[0] > 0
        for variable in session.pruner.variables
    }
    for model, session in pruned_models.sessions():
        pruner = session.pruner
        if (
            (model is thing or is_inside(model, thing))
            and counted.isdisjoint(map(id, pruner.variables))
            and session.composition.all_changed(pruner)
        ):
            errors.warn(
                f"Pruning: The weights of the model {model.name!r} have changed since it was "
                "pruned, but no training step was counted and nothing was removed. A tf.function "
                "that was traced before prune_low_magnitude keeps training without masks: trace "
                "it again, with kerasinit.pruning.begin_step(model) in it."
            )
