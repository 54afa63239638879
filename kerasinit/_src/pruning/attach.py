"""How a model comes to train in another way: the only code that assigns to what a user made.

`fit`, `evaluate` and `predict` look up a model's methods and compiled functions on the instance,
and an optimizer its ``update_step`` and a weight's ``constraint``. What is assigned there stands
in front of the class's own, and goes when it is taken away again. All of it is here, so that a
release of Keras that looks elsewhere moves this file alone.
"""

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kerasinit._src.compat import calls

# What makes a compiled function of a model, and where Keras keeps that.
COMPILED = {
    "make_test_function": "test_function",
    "make_predict_function": "predict_function",
}


# What stands in front of the methods of which models.
_IN_FRONT: weakref.WeakKeyDictionary[Any, tuple[str, ...]] = weakref.WeakKeyDictionary()


def put_in_front(model: Any, methods: Mapping[str, Callable[..., Any]]) -> None:
    """Let functions stand in front of a model's methods of the same names."""
    _IN_FRONT[model] = tuple(methods)
    for name, method in methods.items():
        setattr(model, name, method)


def take_away(model: Any) -> None:
    """Take away what `put_in_front` put there, if anything, and around compiled functions."""
    for name in _IN_FRONT.pop(model, ()):
        delattr(model, name)
    for attribute in COMPILED.values():
        function = getattr(model, attribute)
        if isinstance(function, _Within):
            setattr(model, attribute, function.compiled)


def is_attached(model: Any) -> bool:
    """Return whether anything, of anybody's, stands in front of how a model comes to train."""
    return "make_train_function" in vars(model)


def train_by(model: Any, train_function: Callable[[Any], Any] | None) -> None:
    """Give a model its compiled training function; None to have Keras make it when needed."""
    model.train_function = train_function


def compiled_within(model: Any, call: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Return what to put in front of the methods that make a model's compiled functions.

    Args:
        model: A model of either Keras.
        call: Called for each batch that is evaluated or predicted, with the compiled function
            and what that is to be called with.
    """

    def making(make: Callable[..., Any], attribute: str) -> Callable[..., Any]:
        @functools.wraps(make)
        def make_function(force: bool = False) -> Any:
            make(force)
            function = getattr(model, attribute)
            if not isinstance(function, _Within):
                setattr(model, attribute, _Within(function, call))
            return getattr(model, attribute)

        return make_function

    return {name: making(getattr(model, name), where) for name, where in COMPILED.items()}


class _Within:
    """A compiled function of a model, and how it is called."""

    def __init__(self, compiled: Callable[..., Any], call: Callable[..., Any]) -> None:
        self.compiled, self._call = compiled, call

    def __call__(self, *args: Any) -> Any:
        return self._call(self.compiled, *args)


def second_train_function(model: Any, train_step: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the training function that a Keras 3 model would have with another training step."""
    with calls.replaced(model, "train_step", train_step):
        model.make_train_function(force=True)
    return model.train_function


def when_built(thing: Any, then: Callable[[], Any]) -> None:
    """Call a function once, when a model or layer has been built."""
    build = thing.build

    @functools.wraps(build)
    def build_and_then(*args: Any, **kwargs: Any) -> Any:
        build(*args, **kwargs)
        thing.build = build
        then()

    thing.build = build_and_then


def constrain(variable: Any, constraint: Any) -> None:
    """Give a variable of Keras 3 another constraint."""
    variable.constraint = constraint


@contextmanager
def constrained(constraints: Iterable[tuple[Any, Any]]) -> Iterator[None]:
    """Give variables of Keras 3 other constraints within the block."""
    changes = [(variable, variable.constraint, constraint) for variable, constraint in constraints]
    for variable, _, constraint in changes:
        variable.constraint = constraint
    try:
        yield
    finally:
        for variable, before, _ in changes:
            variable.constraint = before


@contextmanager
def with_epsilons(optimizer: Any, epsilon_of: Callable[[Any], Any]) -> Iterator[None]:
    """Let an optimizer of Keras 3 update each weight with an epsilon of its own within the block.

    Args:
        optimizer: Adam or AdamW.
        epsilon_of: Returns it for a TensorFlow variable; None for the optimizer's own.
    """
    own, update_step = optimizer.epsilon, optimizer.update_step

    def with_its_epsilon(gradient: Any, variable: Any, learning_rate: Any) -> None:
        epsilon = epsilon_of(variable)
        if epsilon is not None:
            optimizer.epsilon = epsilon
        try:
            update_step(gradient, variable, learning_rate)
        finally:
            optimizer.epsilon = own

    with calls.replaced(optimizer, "update_step", with_its_epsilon):
        yield
