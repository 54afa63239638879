"""Whether the installed Kerases still work as `compat/calls`, `compat/restore` and `attach` assume.

    python tests/benchmarks/nightly.py

Run it with any version of Keras, such as a nightly one: it prints a line for each assumption and
exits with the number of those that do not hold. Each is tried on small models by Keras' public
behaviour alone, so that it names what has moved, where the tests of kerasinit only say that
something broke.
"""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from kerasinit._src.compat import calls
from kerasinit._src.compat.callbacks import Callback
from kerasinit._src.compat.restore import restored
from kerasinit._src.pruning import attach
from tests.kerases import INSTALLED

X, Y = np.linspace(-1, 1, 32, dtype="float32").reshape(8, 4), np.zeros((8, 2), "float32")
BOTH, KERAS_3 = INSTALLED, (keras,)

ASSUMPTIONS: dict[str, tuple[Callable[[Any], None], tuple[Any, ...]]] = {}


def assume(text: str, libraries: tuple[Any, ...] = BOTH) -> Callable[[Any], Any]:
    """Register a check of one assumption: a function of a library that raises if it is wrong."""

    def register(check: Callable[[Any], None]) -> Callable[[Any], None]:
        ASSUMPTIONS[text] = check, libraries
        return check

    return register


def main() -> int:
    """Print a line for each assumption and Keras; return how many do not hold."""
    print(", ".join(f"{one.__name__} {one.__version__}" for one in (*INSTALLED, tf)))
    moved = 0
    for text, (check, libraries) in ASSUMPTIONS.items():
        for library in libraries:
            try:
                check(library)
            except Exception as error:  # whatever a Keras of the future raises
                moved += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                print(f"MOVED {library.__name__:8} {text} ({error!r}, {where.name})")
            else:
                print(f"holds {library.__name__:8} {text}")
    return moved


def require(right: Any, told: str) -> None:
    """Raise AssertionError with a message unless something is right."""
    if not right:
        raise AssertionError(told)


def network(library: Any, optimizer: Any = None, *more: Any) -> Any:
    """Return a compiled model of two dense layers, and others between them."""
    layers = [library.layers.Dense(3), *more, library.layers.Dense(2)]
    model = library.Sequential([library.Input((4,)), *layers])
    model.compile(optimizer or library.optimizers.SGD(0.1), "mse", jit_compile=False)
    return model


def mine(library: Any) -> Any:
    """Return a subclassed model with a dense layer inside a layer of its own."""

    class Inner(library.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.dense = library.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    class Mine(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    return Mine()


def counting(method: Callable[..., Any], counts: list[Any]) -> Callable[..., Any]:
    """Return a function that does what a method does and notes each call."""

    def counted(*args: Any, **kwargs: Any) -> Any:
        counts.append(args)
        return method(*args, **kwargs)

    return counted


@assume("calls: a layer is called by the `call` of its instance, wherever the layer is")
def _(library: Any) -> None:
    for model, layer_of in (
        (network(library), lambda model: model.layers[0]),
        (mine(library), lambda model: model.inner.dense),
    ):
        model(tf.constant(X))
        seen: list[Any] = []
        with calls.intercepted([layer_of(model)], _noting(seen)):
            model(tf.constant(X))
            tf.function(model, autograph=False)(tf.constant(X))
        model(tf.constant(X))
        require(len(seen) == 2, f"{len(seen)} of 2 calls were seen")


def _noting(seen: list[Any]) -> calls.Around:
    def around(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        seen.append(layer)
        return call(*args, **kwargs)

    return around


@assume("calls: what stands in a layer's `__dict__` is not tracked and found first")
def _(library: Any) -> None:
    model = network(library)
    layer = model.layers[0]
    before = [one.name for one in model.weights]
    kernel = layer.kernel
    with calls.replaced(layer, "activation", lambda x: 0 * x + 7):
        out = np.asarray(layer(tf.constant(X)))
    require((out == 7).all(), "the other activation was not used")
    require([one.name for one in model.weights] == before, "weights came or went")
    require(layer.kernel is kernel, "the kernel is another")
    require(not (np.asarray(layer(tf.constant(X))) == 7).any(), "the other activation stayed")


@assume("calls: batch normalization called with training=True normalizes by the batch")
def _(library: Any) -> None:
    model = network(library, None, library.layers.BatchNormalization())
    last: list[Any] = []

    def around(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        last.append(calls.by_batch_statistics(layer, call, args, kwargs))
        return last[-1]

    with calls.intercepted([model.layers[1]], around):
        model(tf.constant(X), training=False)
    mean = float(np.abs(np.asarray(last[0]).mean(axis=0)).max())
    require(mean < 1e-5, f"the mean is {mean}")


@assume("restore: variables and metrics are all the state that a training has beside its optimizer")
def _(library: Any) -> None:
    layers = library.layers
    model = network(library, None, layers.BatchNormalization(), layers.Dropout(0.5, seed=3))
    model.compile("sgd", "mse", metrics=["mae"])
    held = [*model.variables, *model.non_trainable_variables]
    model.evaluate(X, Y, verbose=0)
    before = [np.asarray(one) for one in held]
    scores = model.evaluate(X, Y, verbose=0)
    with restored(model):
        model.fit(X, Y, verbose=0)
        moved = any((np.asarray(a) != b).any() for a, b in zip(held, before, strict=True))
    require(moved, "the training changed nothing")
    require(
        all((np.asarray(a) == b).all() for a, b in zip(held, before, strict=True)), "some stayed"
    )
    require(model.evaluate(X, Y, verbose=0) == scores, "the model evaluates otherwise")


@assume("attach: `fit` makes its function by the instance's `make_train_function`, anew if None")
def _(library: Any) -> None:
    model = network(library)
    model.fit(X, Y, verbose=0)
    made: list[Any] = []
    attach.override_methods(
        model, {"make_train_function": counting(model.make_train_function, made)}
    )
    attach.set_train_function(model, None)
    model.fit(X, Y, epochs=2, verbose=0)
    require(len(made) == 1, f"made {len(made)} times in one fit")
    require(model.train_function is not None, "no `train_function` was kept")
    attach.restore_methods(model)
    model.fit(X, Y, verbose=0)
    require(len(made) == 1, "made by what was taken away")


@assume(
    "attach: `fit` runs the instance's `train_function`, once for each call of callbacks", KERAS_3
)
def _(library: Any) -> None:
    model = network(library)
    model.fit(X, Y, verbose=0)
    ran: list[Any] = []
    attach.set_train_function(model, counting(model.train_function, ran))
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0)
    require(len(ran) == 8, f"ran {len(ran)} times for 8 batches")


@assume("attach: the training function traces the instance's `train_step`", KERAS_3)
def _(library: Any) -> None:
    model = network(library)
    own, stepped = model.train_step, []
    second = attach.train_function_for(model, counting(own, stepped))
    require(second is model.train_function, "it is not kept as `train_function`")
    require(model.train_step.__func__ is keras.Model.train_step, "`train_step` is not the class's")
    model.fit(X, Y, verbose=0)
    require(stepped, "the other `train_step` was not called")


@assume("attach: `evaluate` and `predict` run what the instance's `make_..._function` keeps")
def _(library: Any) -> None:
    model, ran = network(library), []

    def call(compiled: Any, *args: Any) -> Any:
        ran.append(compiled)
        return compiled(*args)

    attach.override_methods(model, attach.compiled_overrides(model, call))
    model.evaluate(X, Y, batch_size=4, verbose=0)
    require(len(ran) == 2, f"evaluate ran {len(ran)} of 2 batches")
    model.predict(X, batch_size=4, verbose=0)
    require(len(ran) == 4, f"predict ran {len(ran) - 2} of 2 batches")
    attach.restore_methods(model)
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    require(len(ran) == 4, "ran within what was taken away")


class _Fives(keras.constraints.Constraint):
    def __call__(self, value: Any) -> Any:
        return value * 0 + 5


@assume("attach: an optimizer applies a weight's `constraint` to what it has updated", KERAS_3)
def _(library: Any) -> None:
    for optimizer in ("SGD", "Adam"):
        model = network(library, getattr(library.optimizers, optimizer)(0.1))
        kernel = model.layers[0].kernel
        with attach.temporary_constraints([(kernel, _Fives())]):
            model.fit(X, Y, verbose=0)
        require((kernel.numpy() == 5).all(), f"{optimizer} did not apply the constraint")
        require(kernel.constraint is None, "the constraint stayed")


@assume("attach: Adam's `update_step` and `epsilon` are looked up on the instance", KERAS_3)
def _(library: Any) -> None:
    model = network(library, library.optimizers.Adam(0.1))
    kernel, other = (layer.kernel for layer in model.layers)
    before, moving = kernel.numpy(), other.numpy()
    frozen = id(kernel.value)

    def epsilon_of(variable: Any) -> Any:
        return tf.constant(float("inf")) if id(variable) == frozen else None

    with attach.per_weight_epsilons(model.optimizer, epsilon_of):
        model.fit(X, Y, verbose=0)
    require((kernel.numpy() == before).all(), "a weight with an infinite epsilon has moved")
    require((other.numpy() != moving).any(), "a weight without one has not")
    require(model.optimizer.epsilon == 1e-7, "the epsilon is another")


@assume("attach: a first call of a model or layer builds it by the instance's `build`", KERAS_3)
def _(library: Any) -> None:
    for thing in (library.Sequential([library.layers.Dense(2)]), library.layers.Dense(2)):
        built: list[bool] = []
        attach.on_build(thing, lambda thing=thing, built=built: built.append(thing.built))
        thing(tf.constant(X))
        thing(tf.constant(X))
        require(len(built) == 1, f"built {len(built)} times")


@assume("attach: methods that look at a model or write it are looked up on the instance", KERAS_3)
def _(library: Any) -> None:
    model, called = network(library), set()
    names = ("get_weights", "set_weights", "evaluate", "fit")

    def noting(name: str, method: Any) -> Any:
        return lambda *args, **kwargs: called.add(name) or method(*args, **kwargs)

    attach.override_methods(model, {name: noting(name, getattr(model, name)) for name in names})
    stopping = library.callbacks.EarlyStopping("val_loss", restore_best_weights=True, patience=3)
    model.fit(X, Y, validation_data=(X, Y), epochs=2, verbose=0, callbacks=[stopping])
    attach.restore_methods(model)
    require(called == {*names}, f"only {sorted(called)} were called")
    require(not vars(model).keys() & {*names}, "some are still there")


@assume("callbacks: one class may be a callback of both Kerases")
def _(library: Any) -> None:
    class Noting(Callback):
        ended = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            require(self.model is model and self.params["epochs"] == 2, "it knows no training")
            require("loss" in logs, "it got no logs")
            self.ended += 1

    model, noting = network(library), Noting()
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[noting])
    require(noting.ended == 2, f"{noting.ended} of 2 epochs were heard")


if __name__ == "__main__":
    sys.exit(main())
