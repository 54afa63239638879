"""The model that a lottery trains: found, built with what it takes, and checked."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat, errors
from kerasinit._src.compat import optimizers
from kerasinit._src.initializers import identifiers
from kerasinit._src.training.data import Dataset
from kerasinit._src.training.paper_networks import BUILT_IN

Build = Callable[..., Any]

_SCRIPTS = ("__main__", "__mp_main__")
_FROM_A_SCRIPT = (
    "The model {name!r} was built by a function of a script, or by one within another, which "
    "cannot be imported from here. Put the function into a module and name it, "
    "--model module:{function}, or ask from Python: pass build={function}."
)
# Enough to tell a loss of classes from another.
_MOST_CLASSES_TRIED = 4


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
            raise errors.unknown(
                "model", name, BUILT_IN, "Or name a function of yours: package.module:function."
            )
        return BUILT_IN[name]
    module_name, _, function_name = name.partition(":")
    if module_name in _SCRIPTS:
        module_name = "__main__"
        if not hasattr(sys.modules[module_name], function_name.split(".")[0]):
            raise ValueError(_FROM_A_SCRIPT.format(name=name, function=function_name))
    elif "<" in function_name:
        raise ValueError(_FROM_A_SCRIPT.format(name=name, function="build"))
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
            raise errors.unknown(f"function in {module_name}", function_name, functions)
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name} is {found!r}; expected a function that returns a compiled model.")
    return found


def make(
    build: Build,
    data: Dataset,
    initializer: str | None,
    seed: int,
    purpose: str,
    *place: int,
    optimizer: str | None = None,
) -> Any:
    """Call a build function with what it asks for, its numbers drawn from one stream.

    The function may take any of ``input_shape``, ``num_classes`` and ``initializer``
    (an object for ``kernel_initializer=``, only passed where one was asked for) by name;
    one without arguments is as good. An optimizer that was asked for replaces the model's.

    Raises:
        ValueError: If it needs an argument that we do not have, does not take the
            initializer that was asked for, or returns no model that can be trained
            on the data.
    """
    offered = {"input_shape": data.input_shape, "num_classes": data.num_classes}
    if initializer is not None:
        parameters = inspect.signature(build).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        if "initializer" not in parameters and not takes_any:
            raise ValueError(
                f"An initializer was asked for ({initializer}), but {name_of(build)} takes no "
                f"argument `initializer`. Add one, or leave the option out."
            )
        offered["initializer"] = identifiers.parse(initializer)
    model = called(build, offered, seed, purpose, *place)
    require_trainable(model, data, name_of(build))
    if optimizer is not None:
        optimizers.replace_optimizer(model, *identifiers.split(optimizer))
    taken = int(np.asarray(getattr(model.optimizer, "iterations", 0)))
    if taken:
        raise ValueError(
            f"{name_of(build)} returned a model whose optimizer has taken {taken} steps already; a "
            f"lottery begins with a new one. Compile the model again after it was loaded or "
            f"trained, with optimizer.__class__.from_config(optimizer.get_config())."
        )
    return model


def called(build: Build, offered: Mapping[str, Any], seed: int, purpose: str, *place: int) -> Any:
    """Return what a build function returns, given what it asks for of what is offered.

    What it draws comes from the stream ``(seed, purpose, *place)``.

    Raises:
        ValueError: If it needs an argument that is not offered.
    """
    parameters = inspect.signature(build).parameters
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
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        offered = {name: value for name, value in offered.items() if name in parameters}
    with compat.global_stream(seed, purpose, *place):
        return build(**offered)


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
    require_compiled(model, label)
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
            f"outputs of shape ({max(wanted, 2)},), one for each class. (A lottery trains "
            f"classifiers, with one class for each example. For yes and no, too, end the model in "
            f"Dense(2), with SparseCategoricalCrossentropy.)"
        )
    try:
        compat.loss_of(model, x, y, outputs, training=False)
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            f"{label} returned a model whose loss does not fit labels of shape {y.shape} and "
            f"outputs of shape {shape}: {error} Class numbers go with "
            f"SparseCategoricalCrossentropy, rows of class values with CategoricalCrossentropy."
        ) from error
    _require_loss_of_classes(model, x, data, shape[1], label)


def _require_loss_of_classes(
    model: Any, x: tf.Tensor, data: Dataset, outputs: int, label: str
) -> None:
    """Raise if a loss asks for no class: where no output is the one that it wants most.

    Where broadcasting makes a table of class numbers and outputs, as a mean squared error may,
    a loss is a number all the same.
    """
    size = compat.known_shape(x)[0]
    equal = tf.fill((size, outputs), tf.constant(1 / outputs, model.compute_dtype))
    rows = data.y_train.ndim == 2
    meant = range(min(data.num_classes, _MOST_CLASSES_TRIED))
    pulled = []
    for number in meant:
        y = np.full(size, number, np.int32)
        y = tf.constant(np.eye(outputs, dtype=np.float32)[y] if rows else y)
        with tf.GradientTape() as tape:
            tape.watch(equal)
            loss = compat.loss_of(model, x, y, equal, training=False)
        gradient = tape.gradient(loss, equal)
        if gradient is None:
            return  # of its own, and not of these outputs: it cannot be asked
        slopes = np.sort(np.asarray(gradient[0], np.float64))
        most = int(np.argmin(np.asarray(gradient[0], np.float64)))
        pulled.append(most == number and slopes[0] < slopes[1])
    if not any(pulled):
        raise ValueError(
            f"{label} returned a model whose loss wants no output more than another, whatever the "
            f"class: it is no loss of a classification with labels of shape "
            f"{data.y_train.shape[1:] or 'one number'}. A lottery trains classifiers, with one "
            f"class for each example: class numbers go with SparseCategoricalCrossentropy, rows "
            f"of class values with CategoricalCrossentropy."
        )


def require_compiled(model: Any, label: str) -> None:
    """Raise unless something is a model that is built and compiled.

    Raises:
        ValueError: Saying which of these it is not, and what to do.
    """
    if not compat.is_model(model):
        raise ValueError(
            f"{label} returned {type(model).__name__}; expected a compiled model of Keras 3 or "
            f"tf_keras."
        )
    if not compat.is_built(model):
        raise ValueError(
            f"{label} returned a model that is not built: it has no weights to save yet. Begin it "
            f"with keras.Input(shape), or call model.build(...) before returning it."
        )
    if not compat.is_compiled(model):
        raise ValueError(
            f"{label} returned a model that is not compiled. Call "
            f"model.compile(optimizer, loss) before returning it."
        )


def require_build(build: Any) -> None:
    """Raise unless something is a function that may build a model.

    Raises:
        TypeError: If it is a model, or nothing that can be called.
    """
    if compat.is_model(build) or not callable(build):
        raise TypeError(
            f"Expected as build a function that returns a compiled model, since every trial and "
            f"control needs a new one; got {build!r:.80}."
        )


def name_of(build: Build) -> str:
    """Return what messages and records call a build function, ``module:function``."""
    name = getattr(build, "__qualname__", type(build).__qualname__)
    return f"{getattr(build, '__module__', '?')}:{name}"
