"""Registers pruned Keras 3 models and overrides their training.

A layer or a nested model can be pruned individually and then used in any model. It is only marked;
the callback, or the first `begin_step`, passes the model that trains it. Until then its weights are
guarded: updating them without masks raises an error, instead of silently leaving them dense.
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
from kerasinit._src.pruning.composition import Composition, find_weights
from kerasinit._src.pruning.optimizers import steps_of, was_trained
from kerasinit._src.pruning.pruner import Pruner, Rule
from kerasinit._src.pruning.session import Session
from kerasinit._src.troubleshooting import see

_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()
_MARKS: weakref.WeakKeyDictionary[Any, Rule] = weakref.WeakKeyDictionary()
# Models to prune once they are built, with the rule and the function of the policy.
_UNBUILT: weakref.WeakKeyDictionary[Any, tuple[Rule, Any]] = weakref.WeakKeyDictionary()


def prune(model: Any, rule: Rule, allow: Callable[[Any], bool] | None) -> None:
    """Make a Keras 3 model prune the allowed layers, or all of them, while it trains.

    Individually pruned layers and models inside it keep their own rule. A model without weights is
    pruned once it is built, at the latest in the first step of `fit`.

    Before any training (``optimizer.iterations`` is 0, or there is no optimizer), a weight that is
    exactly zero is kept: Identity and delta-orthogonal kernels start with many. After training, it
    was removed by an earlier pruning whose masks are not in the saved file, and stays removed.
    """
    _require_tensorflow()
    if has_all_weights(model):
        _prune_whole(model, rule, allow)
        return
    if allow is None:
        require_rules(model)
    _set_up(model, [], Composition(model, whole=False), pending=True)
    if model not in _UNBUILT:
        attach.on_build(model, lambda: _on_built(model))
    _UNBUILT[model] = rule, allow


def _prune_whole(model: Any, rule: Rule, allow: Callable[[Any], bool] | None) -> None:
    weights = prunable_weights(model, allow)
    if not weights:
        reason = "its layers have none" if allow is None else "the pruning_policy allows none"
        raise ValueError(
            f"The model {model.name!r} has no weights to prune: {reason}. {see('nothing-to-prune')}"
        )
    inside = _rules_inside(model)
    rules = [(weight, inside.get(id(weight.variable), rule)) for weight in weights]
    _set_up(model, rules, Composition(model, allow))


def adopt(model: Any) -> None:
    """Prune a model that contains individually pruned layers or models."""
    session = _SESSIONS.get(model)
    if session is None:
        _prune_inside(model)
    elif session.pending:
        _prune_pending(model)


def _on_built(model: Any) -> None:
    """Prune a model that was just built; within a graph, guard its weights until later."""
    if not tf.inside_function():
        _prune_pending(model)
    elif model in _UNBUILT and has_all_weights(model):
        _, allow = _UNBUILT[model]
        for weight in prunable_weights(model, allow):
            guard.add(weight.variable, model.name, _is_masked)


def _prune_inside(model: Any, final: bool = False) -> None:
    parts = [part for part in layers_inside(model) if part in _UNBUILT or part in _MARKS]
    for part in parts:
        _prune_pending(part, final)
    pending = not final and any(part in _UNBUILT or not part.built for part in parts)
    if pending and model in _SESSIONS:
        return
    inside = _rules_inside(model)
    if not inside and not parts:
        return
    weights = [(weight, inside[id(weight.variable)]) for weight in find_weights(model, inside)]
    _set_up(model, weights, Composition(model, whole=False), pending)


def _prune_pending(model: Any, final: bool = False) -> None:
    """Prune a model that was waiting for its weights, if these exist now.

    ``final`` means that a step was traced, so that no more weights will be created. Layers, and
    models that are not waiting, are left unchanged.
    """
    if model in _UNBUILT:
        if final or has_all_weights(model):
            _prune_whole(model, *_UNBUILT[model])
            del _UNBUILT[model]
    elif model in _SESSIONS and _SESSIONS[model].pending:
        _prune_inside(model, final)


def mark(layer: Any, rule: Rule) -> None:
    """Mark a layer to be pruned by whichever model trains it."""
    _require_tensorflow()
    if not layer.built:
        require_rules(layer)
    if layer.built:
        for weight in prunable_weights(layer):
            rule.pattern.check(weight.name, weight.variable.shape)
            guard.add(weight.variable, layer.name, _is_masked)
    elif layer not in _MARKS:
        attach.on_build(layer, lambda: layer in _MARKS and mark(layer, _MARKS[layer]))
    _MARKS[layer] = rule


def detach(thing: Any) -> None:
    """Apply the masks of a Keras 3 model or layer and stop pruning it."""
    session = _SESSIONS.pop(thing, None)
    _UNBUILT.pop(thing, None)
    variables = [*thing.weights]
    if session is not None:
        session.stripped()
        variables += session.pruner.variables
        session.pruner.release(variables)
        _restore_methods(thing)
    for layer in [layer for layer in [*_MARKS] if layer is thing or is_inside(layer, thing)]:
        del _MARKS[layer]
    for model in [model for model in [*_SESSIONS] if is_inside(model, thing)]:
        detach(model)
    # A pruned model that contains the stripped part trains it without masks from now on.
    for model, outer in _pruners():
        if is_inside(thing, model) and outer.release(variables):
            attach.set_train_function(model, None)
            if not outer.weights:
                del _SESSIONS[model]
                _restore_methods(model)
    _unguard(variables)


def is_pruned(model: Any) -> bool:
    """Return whether a Keras 3 model is pruned."""
    return model in _SESSIONS


def pruner_of(model: Any) -> Pruner:
    """Return the pruner of a pruned Keras 3 model."""
    return session_of(model).pruner


def session_of(model: Any) -> Session:
    """Return the session of a pruned Keras 3 model, or raise ValueError if it is not pruned."""
    # The fast path, since this runs at every step.
    if (session := _SESSIONS.get(model)) is not None and not session.pending:
        return session
    adopt(model)
    if model not in _SESSIONS:
        others = sorted(repr(other.name) for other in _SESSIONS)
        known = f" Currently pruned models: {', '.join(others)}." if others else ""
        raise ValueError(
            f"The model {model.name!r} is not pruned, or was stripped since. Call "
            f"`prune_low_magnitude(model)` on this model object first.{known} {see('not-pruned')}"
        )
    return _SESSIONS[model]


def sessions() -> list[tuple[Any, Session]]:
    """Return every pruned Keras 3 model with its session."""
    return [*_SESSIONS.items()]


def marked_inside(model: Any) -> list[Any]:
    """Return the individually pruned layers inside a model."""
    return [layer for layer in layers_inside(model) if layer in _MARKS]


def forget(model: Any, variables: list[Any]) -> None:
    """Stop guarding variables that were removed from a pruned model."""
    _unguard(variables)
    attach.set_train_function(model, None)


def _is_masked(weight: Any) -> bool:
    """Return whether a weight is currently trained under its mask."""
    return any(
        session.begun and any(weight is one for one in session.pruner.weights.values())
        for _, session in sessions()
    )


def _unguard(variables: list[Any]) -> None:
    """Remove the guards of variables that nothing else prunes."""
    kept = {id(variable) for _, pruner in _pruners() for variable in pruner.variables}
    kept |= {id(variable) for layer in _MARKS for variable in layer.weights}
    guard.remove(variable for variable in variables if id(variable) not in kept)


def _pruners() -> list[tuple[Any, Pruner]]:
    return [(model, session.pruner) for model, session in sessions()]


def _set_up(
    model: Any,
    weights: list[tuple[PrunableWeight, Rule]],
    composition: Composition,
    pending: bool = False,
) -> None:
    earlier = _SESSIONS.get(model)
    others = [pruner for other, pruner in _pruners() if other is not model]
    layers = {id(weight.variable): weakref.ref(weight.layer) for weight, _ in weights}
    # `begin_step` or a build within a graph may be what prunes the model.
    with tf.init_scope():
        with model.distribute_strategy.scope():
            pruner = Pruner(weights, model.distribute_strategy, others)
        if earlier is not None and not earlier.pending:
            pruner.copy_masks_from(earlier.pruner)
        elif was_trained(model) or pruner.counter.position[0] > 0:
            pruner.mask_zeros()
        if earlier is not None and earlier.pending:
            earlier.replace_pruner(pruner, layers)
        else:
            _SESSIONS[model] = Session(pruner, layers)
        composition.remember(pruner)
    session = _SESSIONS[model]
    session.composition, session.pending = composition, pending
    for weight, _ in weights:
        guard.add(weight.variable, model.name, _is_masked)
    if earlier is None:
        _override(model)
    # Keras creates another training function when there is none.
    attach.set_train_function(model, None)


def _override(model: Any) -> None:
    attach.restore_methods(model)  # left behind by an interrupted `fit` with HoldMasks
    names = ("fit", "train_step", "make_train_function", "set_weights", "load_weights")
    original = {name: getattr(model, name) for name in names}

    def fit(*args: Any, **kwargs: Any) -> Any:
        return session_of(model).fit(original["fit"], *args, **kwargs)

    def compile_function() -> Any:
        original["make_train_function"](force=True)
        return model.train_function

    def make_train_function(force: bool = False) -> Any:
        session = session_of(model)
        # Keras only gets here between the callback's `set_model` and `on_train_begin` in a `fit`
        # that began before it was overridden.
        session.fitting |= session.waits
        if session.pending:
            attach.set_train_function(model, build_first)
        elif model.train_function is None or force:
            compiled, quiet = compile_function(), None
            if masked_update.is_possible(model, original["train_step"]):
                session.quiet.set_up(model.optimizer, in_xla=model.jit_compile)
                quiet = compile_function()
            steps, every = compat.steps_per_execution(model), steps_of(model)
            attach.set_train_function(
                model,
                lambda iterator: session_of(model).run(compiled, quiet, iterator, steps, every),
            )
        return model.train_function

    def build_first(iterator: Any) -> Any:
        session_of(model).require_callback()
        with guard.disabled():
            iterator = deferred.build(original["train_step"], iterator)
        _prune_pending(model, final=True)
        make_train_function(force=True)
        return model.train_function(iterator)

    overrides = {
        "fit": fit,
        "train_step": _pruning(model, original["train_step"]),
        "make_train_function": make_train_function,
    }
    for name in ("set_weights", "load_weights"):
        overrides[name] = _restoring_masks(model, original[name])
    overrides |= views.Views(model, lambda: session_of(model)).methods()
    attach.override_methods(model, overrides)


def _pruning(model: Any, original_step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a training step that updates and applies the masks before the original one."""

    def train_step(*args: Any, **kwargs: Any) -> Any:
        session = session_of(model)
        pruner, quiet = session.pruner, session.quiet
        if quiet.traced:
            quiet.begin_step(steps_of(model))
            with masked_update.masking(guard.masks_and_constraints(pruner), quiet.epsilons):
                return original_step(*args, **kwargs)
        # XLA compiles graphs created by Keras if the model has jit_compile=True.
        pruner.begin_step(
            steps_of(model), by_histogram=not model.jit_compile, checked=session.checked
        )
        with guard.bypassed(pruner.variables):
            return original_step(*args, **kwargs)

    return train_step


def _restoring_masks(model: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that writes a model's weights and then derives the masks from them."""

    @functools.wraps(method)
    def write(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        session = session_of(model)
        session.restored()
        session.composition.remember(session.pruner)
        return result

    return write


def _restore_methods(model: Any) -> None:
    attach.restore_methods(model)
    attach.set_train_function(model, None)


def _rules_inside(model: Any) -> dict[int, Rule]:
    """Return the rules of variables in individually pruned layers or models, by variable ``id``."""
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
            f"Pruning requires TensorFlow, but Keras uses the {backend!r} backend. Set "
            f"KERAS_BACKEND=tensorflow before importing keras. {see('tensorflow-backend')}"
        )
