"""The networks a lottery trains: built in, or built by a user's function."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasinit import kerases, streams, suggest
from kerasinit.initializers import GlorotNormal, identifiers
from kerasinit.lottery.data import Dataset

Build = Callable[..., Any]


def lenet_300_100(
    input_shape: tuple[int, ...],
    num_classes: int,
    initializer: keras.initializers.Initializer | None = None,
) -> keras.Model:
    """Build and compile LeNet-300-100 with the settings of the lottery paper.

    Two hidden layers of 300 and 100 ReLU units, Glorot normal kernels, biases of
    zero, Adam at 1.2e-3.

    Args:
        input_shape: The shape of one example; it is flattened.
        num_classes: The number of outputs (logits).
        initializer: The kernels' initializer; ``GlorotNormal`` by default.

    Reference:
        Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635, figure 2.
    """
    kernel = initializer or GlorotNormal()
    layers = [
        keras.layers.Dense(units, activation, kernel_initializer=kernel)
        for units, activation in ((300, "relu"), (100, "relu"), (num_classes, None))
    ]
    model = keras.Sequential(
        [keras.Input((int(np.prod(input_shape)),)), *layers], name="lenet_300_100"
    )
    model.compile(
        keras.optimizers.Adam(1.2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


BUILT_IN: dict[str, Build] = {"lenet-300-100": lenet_300_100}


def find(name: str) -> Build:
    """Return the function that builds a model, by name.

    Args:
        name: A built-in model, or ``module:function`` for one of your own. The
            working directory is searched too, as ``python -m`` does.

    Raises:
        ValueError: If there is no such model, module or function.
    """
    if ":" not in name:
        if name not in BUILT_IN:
            raise suggest.unknown(
                "model", name, BUILT_IN, "Or name a function of yours: package.module:function."
            )
        return BUILT_IN[name]
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Cannot import the module of model {name!r}: {error}. It must be installed, or lie "
            f"in the working directory ({here})."
        ) from error
    for part in function_name.split("."):
        if not hasattr(found, part):
            functions = [key for key, value in vars(found).items() if callable(value)]
            raise suggest.unknown(f"function in {module_name}", function_name, functions)
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name} is {found!r}; expected a function that returns a compiled model.")
    return found


def make(
    build: Build, data: Dataset, initializer: str | None, seed: int, purpose: str, *place: int
) -> Any:
    """Call a build function with what it asks for, its numbers drawn from one stream.

    The function may take any of ``input_shape``, ``num_classes`` and ``initializer``
    (an object for ``kernel_initializer=``, only passed where one was asked for) by name;
    one without arguments is as good.

    Raises:
        ValueError: If it needs an argument that we do not have, does not take the
            initializer that was asked for, or returns no model that can be trained
            on the data.
    """
    offered = {"input_shape": data.input_shape, "num_classes": data.num_classes}
    parameters = inspect.signature(build).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if initializer is not None:
        if "initializer" not in parameters and not takes_any:
            raise ValueError(
                f"An initializer was asked for ({initializer}), but {name_of(build)} takes no "
                f"argument `initializer`. Add one, or leave the option out."
            )
        offered["initializer"] = identifiers.parse(initializer)
    needed = [
        name
        for name, p in parameters.items()
        if p.default is p.empty
        and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        and name not in (*offered, "initializer")
    ]
    if needed:
        raise ValueError(
            f"{name_of(build)} needs {', '.join(needed)}; a build function may take "
            f"input_shape, num_classes and initializer, all else needs a default."
        )
    if not takes_any:
        offered = {name: value for name, value in offered.items() if name in parameters}
    with streams.global_stream(seed, purpose, *place):
        model = build(**offered)
    require_trainable(model, data, name_of(build))
    return model


def fit_shape(model: Any, x: np.ndarray, label: str) -> np.ndarray:
    """Return inputs in the shape that a model asks for, row by row.

    ``(28, 28)`` becomes ``(784,)`` or ``(28, 28, 1)`` where the model wants that.

    Raises:
        ValueError: If the model takes another number of values than an example has.
    """
    wanted = getattr(model, "input_shape", None)
    if not isinstance(wanted, tuple) or not wanted or None in wanted[1:]:
        return x
    if int(np.prod(wanted[1:])) != int(np.prod(x.shape[1:])):
        raise ValueError(
            f"{label} returned a model for inputs of shape {wanted[1:]}; one example of the data "
            f"has shape {x.shape[1:]}."
        )
    return x.reshape(-1, *wanted[1:])


def require_trainable(model: Any, data: Dataset, label: str) -> None:
    """Raise unless a model is built, compiled, and fits the data.

    Raises:
        ValueError: Saying which of these it is not, and what to do.
    """
    if not kerases.is_model(model):
        raise ValueError(
            f"{label} returned {type(model).__name__}; expected a compiled model of Keras 3 or "
            f"tf_keras."
        )
    if not kerases.is_built(model):
        raise ValueError(
            f"{label} returned a model that is not built: it has no weights to save yet. Begin it "
            f"with keras.Input(shape), or call model.build(...) before returning it."
        )
    if not kerases.is_compiled(model):
        raise ValueError(
            f"{label} returned a model that is not compiled. Call "
            f"model.compile(optimizer, loss) before returning it."
        )
    x = tf.constant(fit_shape(model, data.x_train[:2], label))
    y = tf.constant(data.y_train[:2])
    try:
        outputs = model(x, training=False)
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            f"{label} returned a model that does not take inputs of shape {x.shape[1:]}: {error}"
        ) from error
    shape = tuple(getattr(outputs, "shape", ()))
    wanted = data.num_classes
    if len(shape) != 2 or shape[1] < wanted or shape[1] < 2:
        raise ValueError(
            f"{label} returned a model with outputs of shape "
            f"{shape[1:] or type(outputs).__name__}; the labels have {wanted} classes, so it needs "
            f"outputs of shape ({max(wanted, 2)},), one for each class."
        )
    try:
        kerases.loss_of(model, x, y, outputs, training=False)
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            f"{label} returned a model whose loss does not fit labels of shape {y.shape} and "
            f"outputs of shape {shape}: {error} Class numbers go with "
            f"SparseCategoricalCrossentropy, rows of class values with CategoricalCrossentropy."
        ) from error


def name_of(build: Build) -> str:
    """Return what messages and records call a build function, ``module:function``."""
    name = getattr(build, "__qualname__", type(build).__qualname__)
    return f"{getattr(build, '__module__', '?')}:{name}"
