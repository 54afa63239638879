"""The Keras 3 models that prune themselves, and how each comes to do so.

A layer or a nested model can be pruned by itself and then be used in any model. It is
only marked; the model that trains it is found by the callback, or by a first
`begin_step`. Until then a guard stands at its weights: an optimizer that updates them
without masks is an error, not a network that silently stays dense.
"""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.network.prunable import (
    PrunableWeight,
    has_all_weights,
    prunable_weights,
    require_rules,
)
from kerasinit._src.network.walk import is_inside, layers_inside
from kerasinit._src.pruning import attach, deferred, guard, masked_update, views
from kerasinit._src.pruning.composition import Composition, placed
from kerasinit._src.pruning.optimizers import steps_of, was_trained
from kerasinit._src.pruning.pruner import Pruner, Rule
from kerasinit._src.pruning.session import Training

_TRAININGS: weakref.WeakKeyDictionary[Any, Training] = weakref.WeakKeyDictionary()
_MARKS: weakref.WeakKeyDictionary[Any, Rule] = weakref.WeakKeyDictionary()
# Models to prune as soon as they have their weights, with the rule and the layers to ask for.
_UNBUILT: weakref.WeakKeyDictionary[Any, tuple[Rule, Any]] = weakref.WeakKeyDictionary()


def prune(model: Any, rule: Rule, allow: Callable[[Any], bool] | None) -> None:
    """Make a Keras 3 model prune itself while it trains.

    A weight that is exactly zero before any training (``optimizer.iterations`` is 0, or
    there is no optimizer) is alive: Identity and delta-orthogonal kernels begin with
    many. After training it can only be one that was removed, by an earlier pruning
    whose masks are not in the saved file, and stays so.

    What has no weights yet is pruned as soon as it has them, at the latest in the first step of
    `fit`.

    Args:
        model: A Keras 3 model.
        rule: How; a layer or model inside that was pruned by itself keeps its own rule.
        allow: Which layers; None for all.

    Raises:
        ValueError: If Keras does not run on TensorFlow, if there is nothing to prune, if a layer
            has no rule, or if the pattern does not fit.
    """
    _require_tensorflow()
    if has_all_weights(model):
        _prune_whole(model, rule, allow)
        return
    if allow is None:
        require_rules(model)
    _set_up(model, [], Composition(model, whole=False), pending=True)
    if model not in _UNBUILT:
        attach.when_built(model, lambda: _meet_weights(model))
    _UNBUILT[model] = rule, allow


def _prune_whole(model: Any, rule: Rule, allow: Callable[[Any], bool] | None) -> None:
    weights = prunable_weights(model, allow)
    if not weights:
        reason = "its layers have none" if allow is None else "the pruning_policy allows none"
        raise ValueError(f"The model {model.name!r} has no weights to prune: {reason}.")
    inside = _rules_inside(model)
    rules = [(weight, inside.get(id(weight.variable), rule)) for weight in weights]
    _set_up(model, rules, Composition(model, allow))


def adopt(model: Any) -> None:
    """Prune a model that was not pruned itself, if something inside it was."""
    training = _TRAININGS.get(model)
    if training is None:
        _prune_parts(model)
    elif training.pending:
        _settle(model)


def _meet_weights(model: Any) -> None:
    """Prune a model that has just been built, or guard its weights until there are values."""
    if not tf.inside_function():
        _settle(model)
    elif model in _UNBUILT and has_all_weights(model):
        _, allow = _UNBUILT[model]
        for weight in prunable_weights(model, allow):
            guard.stand_at(weight.variable, model.name, _is_masked)


def _prune_parts(model: Any, final: bool = False) -> None:
    parts = [part for part in layers_inside(model) if part in _UNBUILT or part in _MARKS]
    for part in parts:
        _settle(part, final)
    pending = not final and any(part in _UNBUILT or not part.built for part in parts)
    if pending and model in _TRAININGS:
        return
    inside = _rules_inside(model)
    if not inside and not parts:
        return
    weights = [(weight, inside[id(weight.variable)]) for weight in placed(model, inside)]
    _set_up(model, weights, Composition(model, whole=False), pending)


def _settle(model: Any, final: bool = False) -> None:
    """Prune what was to be pruned once it has weights, if it has them.

    Args:
        model: A model, or a layer, of which nothing is to be done.
        final: Whether a step was traced, so that what has no weights will get none.
    """
    if model in _UNBUILT:
        if final or has_all_weights(model):
            _prune_whole(model, *_UNBUILT[model])
            del _UNBUILT[model]
    elif model in _TRAININGS and _TRAININGS[model].pending:
        _prune_parts(model, final)


def mark(layer: Any, rule: Rule) -> None:
    """Remember that a layer is to be pruned, in whatever model it will be trained.

    Raises:
        ValueError: If the layer is built and the pattern does not fit, or nobody knows
            which of its weights to prune.
    """
    _require_tensorflow()
    if not layer.built:
        require_rules(layer)
    if layer.built:
        for weight in prunable_weights(layer):
            rule.pattern.check(weight.name, weight.variable.shape)
            guard.stand_at(weight.variable, layer.name, _is_masked)
    elif layer not in _MARKS:
        attach.when_built(layer, lambda: layer in _MARKS and mark(layer, _MARKS[layer]))
    _MARKS[layer] = rule


def detach(thing: Any) -> None:
    """Apply the masks of a Keras 3 model or layer and make it an ordinary one again."""
    training = _TRAININGS.pop(thing, None)
    _UNBUILT.pop(thing, None)
    variables = [*thing.weights]
    if training is not None:
        training.stripped()
        variables += training.pruner.variables
        training.pruner.release(variables)
        _unhook(thing)
    for layer in [layer for layer in [*_MARKS] if layer is thing or is_inside(layer, thing)]:
        del _MARKS[layer]
    for model in [model for model in [*_TRAININGS] if is_inside(model, thing)]:
        detach(model)
    # What is a part of a model that is pruned itself trains there without masks from now on.
    for model, around in _pruners():
        if is_inside(thing, model) and around.release(variables):
            attach.train_by(model, None)
            if not around.weights:
                del _TRAININGS[model]
                _unhook(model)
    _unguard(variables)


def is_pruned(model: Any) -> bool:
    """Return whether a Keras 3 model is pruned while it trains."""
    return model in _TRAININGS


def pruner_of(model: Any) -> Pruner:
    """Return the pruner of a Keras 3 model.

    Raises:
        ValueError: If the model is not pruned.
    """
    return training_of(model).pruner


def training_of(model: Any) -> Training:
    """Return what is known of the trainings of a pruned Keras 3 model.

    Raises:
        ValueError: If the model is not pruned.
    """
    # Asked for at every step.
    if (training := _TRAININGS.get(model)) is not None and not training.pending:
        return training
    adopt(model)
    if model not in _TRAININGS:
        others = sorted(repr(other.name) for other in _TRAININGS)
        known = f" Models that are pruned at present: {', '.join(others)}." if others else ""
        raise ValueError(
            f"The model {model.name!r} is not pruned, or was stripped since. Call "
            f"`prune_low_magnitude(model)` on this very model first.{known}"
        )
    return _TRAININGS[model]


def trainings() -> list[tuple[Any, Training]]:
    """Return every pruned Keras 3 model and what is known of its trainings."""
    return [*_TRAININGS.items()]


def marked_inside(model: Any) -> list[Any]:
    """Return the layers inside a model that were pruned by themselves."""
    return [layer for layer in layers_inside(model) if layer in _MARKS]


def free(model: Any, variables: list[Any]) -> None:
    """Let go of variables that are no longer in a pruned model."""
    _unguard(variables)
    attach.train_by(model, None)


def _is_masked(weight: Any) -> bool:
    """Return whether a weight is trained under its mask just now."""
    return any(
        training.begun and any(weight is one for one in training.pruner.weights.values())
        for _, training in trainings()
    )


def _unguard(variables: list[Any]) -> None:
    """Take the guards from variables, but for those that something else still prunes."""
    kept = {id(variable) for _, pruner in _pruners() for variable in pruner.variables}
    kept |= {id(variable) for layer in _MARKS for variable in layer.weights}
    guard.leave(variable for variable in variables if id(variable) not in kept)


def _pruners() -> list[tuple[Any, Pruner]]:
    return [(model, training.pruner) for model, training in trainings()]


def _set_up(
    model: Any,
    weights: list[tuple[PrunableWeight, Rule]],
    composition: Composition,
    pending: bool = False,
) -> None:
    earlier = _TRAININGS.get(model)
    others = [pruner for other, pruner in _pruners() if other is not model]
    layers = {id(weight.variable): weakref.ref(weight.layer) for weight, _ in weights}
    # A model may be adopted by a first `begin_step`, or built, within a graph.
    with tf.init_scope():
        with model.distribute_strategy.scope():
            pruner = Pruner(weights, model.distribute_strategy, others)
        if earlier is not None and not earlier.pending:
            pruner.keep_masks_of(earlier.pruner)
        elif was_trained(model) or pruner.counter.position[0] > 0:
            pruner.take_zeros()
        if earlier is not None and earlier.pending:
            earlier.go_on_with(pruner, layers)
        else:
            _TRAININGS[model] = Training(pruner, layers)
        composition.remember(pruner)
    training = _TRAININGS[model]
    training.composition, training.pending = composition, pending
    for weight, _ in weights:
        guard.stand_at(weight.variable, model.name, _is_masked)
    if earlier is None:
        _hook(model)
    # Keras makes its training function at the next training when there is none.
    attach.train_by(model, None)


def _hook(model: Any) -> None:
    attach.take_away(model)  # what a training with HoldMasks has left that broke off
    names = ("fit", "train_step", "make_train_function", "set_weights", "load_weights")
    own = {name: getattr(model, name) for name in names}

    def fit(*args: Any, **kwargs: Any) -> Any:
        return training_of(model).fit(own["fit"], *args, **kwargs)

    def made() -> Any:
        own["make_train_function"](force=True)
        return model.train_function

    def make_train_function(force: bool = False) -> Any:
        training = training_of(model)
        # Keras makes it between the callback's `set_model` and `on_train_begin` only in a
        # `fit` that had begun before this hook was there.
        training.fitting |= training.waits
        if training.pending:
            attach.train_by(model, build_first)
        elif model.train_function is None or force:
            compiled, quiet = made(), None
            if masked_update.is_possible(model, own["train_step"]):
                training.quiet.expect(model.optimizer, in_xla=model.jit_compile)
                quiet = made()
            steps, every = compat.steps_per_execution(model), steps_of(model)
            attach.train_by(
                model,
                lambda iterator: training_of(model).run(compiled, quiet, iterator, steps, every),
            )
        return model.train_function

    def build_first(iterator: Any) -> Any:
        training_of(model).require_callback()
        with guard.all_open():
            iterator = deferred.build(own["train_step"], iterator)
        _settle(model, final=True)
        make_train_function(force=True)
        return model.train_function(iterator)

    hooks = {
        "fit": fit,
        "train_step": _pruning(model, own["train_step"]),
        "make_train_function": make_train_function,
    }
    hooks |= {name: _taking_masks(model, own[name]) for name in ("set_weights", "load_weights")}
    hooks |= views.Views(model, lambda: training_of(model)).methods()
    attach.put_in_front(model, hooks)


def _pruning(model: Any, own_step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a model's own training step with its masks applied, and updated if it is time."""

    def train_step(*args: Any, **kwargs: Any) -> Any:
        training = training_of(model)
        pruner, quiet = training.pruner, training.quiet
        if quiet.traced:
            quiet.begin_step(steps_of(model))
            with masked_update.masking(guard.masks_and_constraints(pruner), quiet.epsilons):
                return own_step(*args, **kwargs)
        # A graph made by Keras is compiled by XLA if the model says so.
        pruner.begin_step(
            steps_of(model), counting=not model.jit_compile, foreseen=training.foreseen
        )
        with guard.away(pruner.variables):
            return own_step(*args, **kwargs)

    return train_step


def _taking_masks(model: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that writes a model's weights, from which masks are taken afterwards."""

    @functools.wraps(method)
    def write(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        training = training_of(model)
        training.restored()
        training.composition.remember(training.pruner)
        return result

    return write


def _unhook(model: Any) -> None:
    attach.take_away(model)
    attach.train_by(model, None)


def _rules_inside(model: Any) -> dict[int, Rule]:
    """Return the rule of each variable of a model that was pruned as part of something else."""
    own = {id(variable) for variable in model.weights}
    inside = {id(layer) for layer in layers_inside(model)}
    rules: dict[int, Rule] = {}
    for other, pruner in _pruners():
        if id(other) in inside:
            for variable, rule in zip(pruner.variables, pruner.rules.values(), strict=True):
                rules[id(variable)] = rule
    for layer, rule in [*_MARKS.items()]:
        if layer is not model and layer.built and own.issuperset(map(id, layer.weights)):
            rules.update((id(w.variable), rule) for w in prunable_weights(layer))
    return rules


def _require_tensorflow() -> None:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"Pruning runs in TensorFlow, and Keras runs on the {backend!r} backend here. Set "
            "KERAS_BACKEND=tensorflow before importing keras."
        )
