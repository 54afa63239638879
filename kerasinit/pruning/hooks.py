"""How a Keras 3 model comes to prune itself: attributes of its instance, in front of its class's.

A layer or a nested model can be pruned by itself and then be used in any model. It is
only marked; the model that trains it is found by the callback, or by a first
`begin_step`. Until then a guard stands at its weights: an optimizer that updates them
without masks is an error, not a network that silently stays dense.
"""

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit import kerases
from kerasinit.pruning import masked_update, views
from kerasinit.pruning.engine import Pruner, Rule
from kerasinit.pruning.registry import PrunableWeight, prunable_weights
from kerasinit.pruning.training import Training

# What a pruned model carries on its instance, in front of its class's methods.
_HOOKS = (
    "fit",
    "train_step",
    "make_train_function",
    "set_weights",
    "load_weights",
    *views.HOOKED,
)

_TRAININGS: weakref.WeakKeyDictionary[Any, Training] = weakref.WeakKeyDictionary()
_MARKS: weakref.WeakKeyDictionary[Any, Rule] = weakref.WeakKeyDictionary()


def attach(model: Any, weights: list[PrunableWeight], rule: Rule) -> None:
    """Make a Keras 3 model prune itself while it trains.

    A weight that is exactly zero before any training (``optimizer.iterations`` is 0, or
    there is no optimizer) is alive: Identity and delta-orthogonal kernels begin with
    many. After training it can only be one that was removed, by an earlier pruning
    whose masks are not in the saved file, and stays so.

    Args:
        model: A built Keras 3 model.
        weights: What to prune in it.
        rule: How; a layer or model inside that was pruned by itself keeps its own rule.

    Raises:
        ValueError: If Keras does not run on TensorFlow, or if the pattern does not fit.
    """
    _require_tensorflow()
    inside = _rules_inside(model)
    _attach(model, [(weight, inside.get(id(weight.variable), rule)) for weight in weights])


def adopt(model: Any) -> None:
    """Prune a model that was not pruned itself, if something inside it was."""
    if model in _TRAININGS or not kerases.is_built(model):
        return
    inside = _rules_inside(model)
    if not inside:
        return
    # Layers that nobody has a rule for are none of ours here.
    weights = prunable_weights(model, lambda layer: any(id(v) in inside for v in layer.weights))
    _attach(model, [(w, inside[id(w.variable)]) for w in weights if id(w.variable) in inside])


def mark(layer: Any, rule: Rule) -> None:
    """Remember that a layer is to be pruned, in whatever model it will be trained.

    Raises:
        ValueError: If the layer is built and the pattern does not fit, or nobody knows
            which of its weights to prune.
    """
    _require_tensorflow()
    if layer.built:
        for weight in prunable_weights(layer):
            rule.pattern.check(weight.name, weight.variable.shape)
            _guard(weight.variable, layer.name)
    elif layer not in _MARKS:
        _guard_when_built(layer)
    _MARKS[layer] = rule


def detach(thing: Any) -> None:
    """Apply the masks of a Keras 3 model or layer and make it an ordinary one again."""
    training = _TRAININGS.pop(thing, None)
    if training is not None:
        training.stripped()
        training.pruner.release(thing.weights)
        _unhook(thing)
    for layer in [layer for layer in [*_MARKS] if layer is thing or _is_inside(layer, thing)]:
        del _MARKS[layer]
    for model in [model for model in [*_TRAININGS] if _is_inside(model, thing)]:
        detach(model)
    # What is a part of a model that is pruned itself trains there without masks from now on.
    for model, around in _pruners():
        if _is_inside(thing, model) and around.release(thing.weights):
            model.train_function = None
            if not around.weights:
                del _TRAININGS[model]
                _unhook(model)
    _unguard(thing)


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
    if (training := _TRAININGS.get(model)) is not None:
        return training
    adopt(model)
    if model not in _TRAININGS:
        if not kerases.is_built(model):
            raise ValueError(
                f"The model {model.name!r} has no weights yet, and there are no masks for what is "
                "not there. Build it before fit: give it a keras.Input, call it on a batch, or "
                "call build(input_shape)."
            )
        others = sorted(repr(other.name) for other in _TRAININGS)
        known = f" Models that are pruned at present: {', '.join(others)}." if others else ""
        raise ValueError(
            f"The model {model.name!r} is not pruned, or was stripped since. Call "
            f"`prune_low_magnitude(model)` on this very model first.{known}"
        )
    return _TRAININGS[model]


def steps_of(model: Any) -> int:
    """Return how many training steps of a model make one update of its weights."""
    optimizer = getattr(model, "optimizer", None)
    while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return getattr(optimizer, "gradient_accumulation_steps", None) or 1


def _pruners() -> list[tuple[Any, Pruner]]:
    return [(model, training.pruner) for model, training in [*_TRAININGS.items()]]


def _attach(model: Any, weights: list[tuple[PrunableWeight, Rule]]) -> None:
    earlier = _TRAININGS.get(model)
    others = [pruner for other, pruner in _pruners() if other is not model]
    # A model may be adopted by a first `begin_step`, within a graph.
    with tf.init_scope(), model.distribute_strategy.scope():
        pruner = Pruner(weights, model.distribute_strategy, others)
    if earlier is not None:
        pruner.keep_masks_of(earlier.pruner)
    elif _was_trained(model) or pruner.counter.position[0] > 0:
        pruner.take_zeros()
    _TRAININGS[model] = Training(pruner, {weight.name: weight.layer.name for weight, _ in weights})
    for weight, _ in weights:
        _guard(weight.variable, model.name)
    if earlier is None:
        _hook(model)
    # Keras makes its training function at the next training when there is none.
    model.train_function = None


def _hook(model: Any) -> None:
    own = {name: getattr(model, name) for name in _HOOKS}

    def fit(*args: Any, **kwargs: Any) -> Any:
        return training_of(model).fit(own["fit"], *args, **kwargs)

    def train_step(*args: Any, **kwargs: Any) -> Any:
        training = training_of(model)
        pruner, quiet = training.pruner, training.quiet
        if quiet.traced:
            quiet.begin_step(steps_of(model))
            with masked_update.masking(_masks_and_constraints(pruner), quiet.epsilons):
                return own["train_step"](*args, **kwargs)
        # A graph made by Keras is compiled by XLA if the model says so.
        pruner.begin_step(
            steps_of(model), counting=not model.jit_compile, foreseen=training.foreseen
        )
        with _unguarded(pruner):
            return own["train_step"](*args, **kwargs)

    def made() -> Any:
        own["make_train_function"](force=True)
        return model.train_function

    def make_train_function(force: bool = False) -> Any:
        training = training_of(model)
        # Keras makes it between the callback's `set_model` and `on_train_begin` only in a
        # `fit` that had begun before this hook was there.
        training.fitting |= training.waits
        if model.train_function is None or force:
            compiled, quiet = made(), None
            if masked_update.is_possible(model, own["train_step"]):
                training.quiet.expect(model.optimizer, in_xla=model.jit_compile)
                quiet = made()
            steps, every = kerases.steps_per_execution(model), steps_of(model)
            model.train_function = lambda iterator: training_of(model).run(
                compiled, quiet, iterator, steps, every
            )
        return model.train_function

    def restoring(name: str) -> Callable[..., Any]:
        @functools.wraps(own[name])
        def then_masks(*args: Any, **kwargs: Any) -> Any:
            result = own[name](*args, **kwargs)
            training_of(model).restored()
            return result

        return then_masks

    looks = views.Views(model, lambda: training_of(model)).methods()
    for hook in (fit, train_step, make_train_function):
        setattr(model, hook.__name__, hook)
    for name, method in looks.items():
        setattr(model, name, method)
    for name in ("set_weights", "load_weights"):
        setattr(model, name, restoring(name))


def _unhook(model: Any) -> None:
    for name in _HOOKS:
        delattr(model, name)
    model.train_function = None
    views.end(model)


class _Guard:
    """Stands as the constraint of a weight, and passes its update only in a pruned training."""

    def __init__(self, original: Any, variable: Any, owner: str) -> None:
        self.original = original
        self._variable = weakref.ref(variable)
        self._owner = owner

    def __call__(self, value: Any) -> Any:
        weight = kerases.tensor(self._variable())
        if not any(
            training.begun and any(weight is w for w in training.pruner.weights.values())
            for training in [*_TRAININGS.values()]
        ):
            raise ValueError(
                f"Weights of {self._owner!r} are pruned, and are trained here without their "
                "masks. In fit, use callbacks=[kerasinit.pruning.UpdatePruningStep()]; in a loop "
                "of your own, call kerasinit.pruning.begin_step(model) before each forward pass, "
                "with the model that is trained. Or use strip_pruning first, to train without "
                "pruning."
            )
        return value if self.original is None else self.original(value)


def _guard(variable: Any, owner: str) -> None:
    if not isinstance(variable.constraint, _Guard):
        variable.constraint = _Guard(variable.constraint, variable, owner)


def _guard_when_built(layer: Any) -> None:
    build = layer.build

    @functools.wraps(build)
    def build_and_guard(*args: Any, **kwargs: Any) -> Any:
        build(*args, **kwargs)
        layer.build = build
        if layer in _MARKS:
            mark(layer, _MARKS[layer])

    layer.build = build_and_guard


def _masks_and_constraints(pruner: Pruner) -> Iterator[tuple[Any, Any, Any]]:
    for mask, variable in zip(pruner.masks.values(), pruner.variables, strict=True):
        guard = variable.constraint
        yield variable, mask, guard.original if isinstance(guard, _Guard) else guard


@contextmanager
def _unguarded(pruner: Pruner) -> Iterator[None]:
    """Spare a training step that does mask the work of asking at every update."""
    guards = [(v, v.constraint) for v in pruner.variables if isinstance(v.constraint, _Guard)]
    for variable, guard in guards:
        variable.constraint = guard.original
    try:
        yield
    finally:
        for variable, guard in guards:
            variable.constraint = guard


def _unguard(thing: Any) -> None:
    kept = {id(v) for _, pruner in _pruners() for v in pruner.variables}
    kept |= {id(v) for layer in _MARKS for v in layer.weights}
    for variable in thing.weights:
        if isinstance(variable.constraint, _Guard) and id(variable) not in kept:
            variable.constraint = variable.constraint.original


def _rules_inside(model: Any) -> dict[int, Rule]:
    """Return the rule of each variable of a model that was pruned as part of something else."""
    own = {id(variable) for variable in model.weights}
    rules: dict[int, Rule] = {}
    for other, pruner in _pruners():
        if _is_inside(other, model):
            for variable, rule in zip(pruner.variables, pruner.rules.values(), strict=True):
                rules[id(variable)] = rule
    for layer, rule in [*_MARKS.items()]:
        if layer is not model and layer.built and own.issuperset(map(id, layer.weights)):
            rules.update((id(w.variable), rule) for w in prunable_weights(layer))
    return rules


def _is_inside(part: Any, whole: Any) -> bool:
    """Return whether a layer or model is a part of another that has more to it."""
    if part is whole or not kerases.is_built(whole):
        return False
    if kerases.is_model(part):
        return any(part is layer for layer in _models(whole.layers if _holds(whole) else ()))
    own = {id(variable) for variable in part.weights}
    return bool(own) and own <= {id(variable) for variable in whole.weights}


def _holds(thing: Any) -> bool:
    return hasattr(thing, "layers")


def _models(layers: Iterable[Any]) -> Iterator[Any]:
    for layer in layers:
        if kerases.is_model(layer):
            yield layer
            yield from _models(layer.layers)
        elif isinstance(layer, keras.layers.Wrapper):
            yield from _models([layer.layer])


def _was_trained(model: Any) -> bool:
    optimizer = getattr(model, "optimizer", None)
    return optimizer is not None and int(np.asarray(optimizer.iterations)) > 0


def _require_tensorflow() -> None:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"Pruning runs in TensorFlow, and Keras runs on the {backend!r} backend here. Set "
            "KERAS_BACKEND=tensorflow before importing keras."
        )
