"""Attaches overriding methods and attributes to a user's model, optimizer and variables.

`fit`, `evaluate` and `predict` look up a model's methods and compiled functions on the instance;
optimizers do the same with their ``update_step`` and a weight's ``constraint``. Instance attributes
therefore override those of the class until they are deleted. Only this module sets them, so that a
Keras release that changes the lookup affects this file alone.
"""

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kerasinit._src.compat import calls

# The methods that create a model's compiled functions, and the attributes that hold them.
COMPILED = {
    "make_test_function": "test_function",
    "make_predict_function": "predict_function",
}

# The names of the methods that are overridden on each model.
_OVERRIDDEN: weakref.WeakKeyDictionary[Any, tuple[str, ...]] = weakref.WeakKeyDictionary()


def override_methods(model: Any, methods: Mapping[str, Callable[..., Any]]) -> None:
    """Override methods of a model instance, by name."""
    _OVERRIDDEN[model] = tuple(methods)
    for name, method in methods.items():
        setattr(model, name, method)


def restore_methods(model: Any) -> None:
    """Undo `override_methods`, if it was called, and unwrap the compiled functions."""
    for name in _OVERRIDDEN.pop(model, ()):
        delattr(model, name)
    for attribute in COMPILED.values():
        function = getattr(model, attribute)
        if isinstance(function, _WrappedFunction):
            setattr(model, attribute, function.compiled)


def has_overrides(model: Any) -> bool:
    """Return whether a model instance overrides how its training function is created."""
    return "make_train_function" in vars(model)


def set_train_function(model: Any, train_function: Callable[[Any], Any] | None) -> None:
    """Set a model's compiled training function; if None, Keras creates it when needed."""
    model.train_function = train_function


def compiled_overrides(model: Any, call: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Return overrides that wrap a model's compiled functions for evaluation and prediction.

    ``call`` receives the compiled function and its arguments at each call.
    """

    def override(make: Callable[..., Any], attribute: str) -> Callable[..., Any]:
        @functools.wraps(make)
        def make_function(force: bool = False) -> Any:
            make(force)
            function = getattr(model, attribute)
            if not isinstance(function, _WrappedFunction):
                setattr(model, attribute, _WrappedFunction(function, call))
            return getattr(model, attribute)

        return make_function

    return {name: override(getattr(model, name), where) for name, where in COMPILED.items()}


class _WrappedFunction:
    """A compiled function that is called through another function."""

    def __init__(self, compiled: Callable[..., Any], call: Callable[..., Any]) -> None:
        self.compiled, self._call = compiled, call

    def __call__(self, *args: Any) -> Any:
        return self._call(self.compiled, *args)


def train_function_for(model: Any, train_step: Callable[..., Any]) -> Callable[[Any], Any]:
    """Compile another training function for a Keras 3 model, with this training step."""
    with calls.replaced(model, "train_step", train_step):
        model.make_train_function(force=True)
    return model.train_function


def on_build(thing: Any, callback: Callable[[], Any]) -> None:
    """Call a function once, after a model or layer is built."""
    build = thing.build

    @functools.wraps(build)
    def build_and_call(*args: Any, **kwargs: Any) -> Any:
        build(*args, **kwargs)
        thing.build = build
        callback()

    thing.build = build_and_call


def set_constraint(variable: Any, constraint: Any) -> None:
    """Set the constraint of a Keras 3 variable."""
    variable.constraint = constraint


@contextmanager
def temporary_constraints(constraints: Iterable[tuple[Any, Any]]) -> Iterator[None]:
    """Set the constraints of Keras 3 variables within the block."""
    changes = [(variable, variable.constraint, constraint) for variable, constraint in constraints]
    for variable, _, constraint in changes:
        variable.constraint = constraint
    try:
        yield
    finally:
        for variable, before, _ in changes:
            variable.constraint = before


@contextmanager
def per_weight_epsilons(optimizer: Any, epsilon_of: Callable[[Any], Any]) -> Iterator[None]:
    """Make Keras 3's Adam or AdamW use a different epsilon for each weight within the block.

    ``epsilon_of`` receives a TensorFlow variable; None stands for the optimizer's own epsilon.
    """
    default, update_step = optimizer.epsilon, optimizer.update_step

    def update_with_epsilon(gradient: Any, variable: Any, learning_rate: Any) -> None:
        epsilon = epsilon_of(variable)
        if epsilon is not None:
            optimizer.epsilon = epsilon
        try:
            update_step(gradient, variable, learning_rate)
        finally:
            optimizer.epsilon = default

    with calls.replaced(optimizer, "update_step", update_with_epsilon):
        yield
