"""The model that a lottery trains: found by name, built and checked."""

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
from kerasinit._src.troubleshooting import see

Build = Callable[..., Any]

_SCRIPTS = ("__main__", "__mp_main__")
_FROM_A_SCRIPT = (
    "The model {name!r} was built by a function of a script, or by a nested function, which "
    "cannot be imported from here. Move the function to a module and pass "
    "--model module:{function}, or pass build={function} from Python. " + see("model-function")
)
# Enough to recognize a loss of classes.
_MAX_CLASSES_TRIED = 4


def find(name: str) -> Build:
    """Return the build function of a built-in model, or of ``module:function``.

    The working directory is searched too, as ``python -m`` does.
    """
    if ":" not in name:
        if name not in BUILT_IN:
            raise errors.unknown(
                "model",
                name,
                BUILT_IN,
                f"Or pass a custom function, package.module:function. {see('model-function')}",
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
            f"Cannot import the module of model {name!r}: {error}. Install it, or put it in the "
            f"working directory ({here}). {see('model-function')}"
        ) from error
    for part in function_name.split("."):
        if not hasattr(found, part):
            functions = [key for key, value in vars(found).items() if callable(value)]
            raise errors.unknown(
                f"function in {module_name}", function_name, functions, see("model-function")
            )
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
    """Build, check and return a model for the data, with random numbers from one stream.

    The build function may take any of ``input_shape``, ``num_classes`` and ``initializer``
    (an object for ``kernel_initializer=``, only passed if one was chosen) by name. A given
    ``optimizer`` replaces the model's.
    """
    arguments = {"input_shape": data.input_shape, "num_classes": data.num_classes}
    if initializer is not None:
        parameters = inspect.signature(build).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        if "initializer" not in parameters and not takes_any:
            raise ValueError(
                f"An initializer was given ({initializer}), but {name_of(build)} takes no argument "
                f"`initializer`. Add one, or omit the option."
            )
        arguments["initializer"] = identifiers.parse(initializer)
    model = called(build, arguments, seed, purpose, *place)
    require_trainable(model, data, name_of(build))
    if optimizer is not None:
        optimizers.replace_optimizer(model, *identifiers.split(optimizer))
    taken = int(np.asarray(getattr(model.optimizer, "iterations", 0)))
    if taken:
        raise ValueError(
            f"{name_of(build)} returned a model whose optimizer has taken {taken} steps already; a "
            f"lottery starts from a new one. Compile the model again after loading or training "
            f"it, with optimizer.__class__.from_config(optimizer.get_config())."
        )
    return model


def called(build: Build, arguments: Mapping[str, Any], seed: int, purpose: str, *place: int) -> Any:
    """Call a build function with those of the arguments that it accepts.

    Its random numbers come from the stream ``(seed, purpose, *place)``.
    """
    parameters = inspect.signature(build).parameters
    needed = [
        name
        for name, p in parameters.items()
        if p.default is p.empty
        and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        and name not in (*arguments, "initializer")
    ]
    if needed:
        raise ValueError(
            f"{name_of(build)} needs {', '.join(needed)}; a build function may take "
            f"input_shape, num_classes and initializer; other arguments need a default."
        )
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        arguments = {name: value for name, value in arguments.items() if name in parameters}
    before = set(compat.imported())
    with compat.global_stream(seed, purpose, *place):
        built = build(**arguments)
    if set(compat.imported()) == before:
        return built
    # It imported tf_keras, which was therefore not seeded; from now on it is.
    with compat.global_stream(seed, purpose, *place):
        return build(**arguments)


def fit_shape(model: Any, x: np.ndarray, label: str) -> np.ndarray:
    """Return inputs reshaped to what a model takes, row by row.

    ``(28, 28)`` becomes ``(784,)`` or ``(28, 28, 1)`` where the model expects that.
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
    """Raise ValueError unless a model is built, compiled, and fits the data."""
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
            f"classifiers, with one class for each example. For two classes, too, end the model in "
            f"Dense(2), with SparseCategoricalCrossentropy.)"
        )
    try:
        compat.loss_of(model, x, y, outputs, training=False)
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            f"{label} returned a model whose loss does not fit labels of shape {y.shape} and "
            f"outputs of shape {shape}: {error} Use "
            f"SparseCategoricalCrossentropy for class indices, CategoricalCrossentropy for rows of "
            f"class probabilities."
        ) from error
    _require_loss_of_classes(model, x, data, shape[1], label)


def _require_loss_of_classes(
    model: Any, x: tf.Tensor, data: Dataset, outputs: int, label: str
) -> None:
    """Raise if the loss is not one of classes: it prefers no single output for any class.

    A loss may broadcast class indices against outputs, as mean squared error does, and still
    return a number.
    """
    size = compat.known_shape(x)[0]
    outputs_alike = tf.fill((size, outputs), tf.constant(1 / outputs, model.compute_dtype))
    rows = data.y_train.ndim == 2
    preferred = []
    for number in range(min(data.num_classes, _MAX_CLASSES_TRIED)):
        y = np.full(size, number, np.int32)
        y = tf.constant(np.eye(outputs, dtype=np.float32)[y] if rows else y)
        with tf.GradientTape() as tape:
            tape.watch(outputs_alike)
            loss = compat.loss_of(model, x, y, outputs_alike, training=False)
        gradient = tape.gradient(loss, outputs_alike)
        if gradient is None:
            return  # a custom loss that does not depend on these outputs cannot be tested
        slopes = np.asarray(gradient[0], np.float64)
        first, second = np.partition(slopes, 1)[:2]
        preferred.append(int(np.argmin(slopes)) == number and first < second)
    if not any(preferred):
        raise ValueError(
            f"{label} returned a model whose loss prefers no output over another, whatever the "
            f"class: it is not a classification loss for labels of shape "
            f"{data.y_train.shape[1:] or 'one number'}. A lottery trains classifiers, with one "
            f"class for each example: use SparseCategoricalCrossentropy for class indices, "
            f"CategoricalCrossentropy for rows of class probabilities."
        )


def require_compiled(model: Any, label: str) -> None:
    """Raise ValueError unless ``model`` is a built and compiled Keras model."""
    if not compat.is_model(model):
        raise ValueError(
            f"{label} returned {type(model).__name__}; expected a compiled model of Keras 3 or "
            f"tf_keras."
        )
    if not compat.is_built(model):
        raise ValueError(
            f"{label} returned a model that is not built: it has no weights to save yet. Start it "
            f"with keras.Input(shape), or call model.build(...) before returning it. "
            f"{see('unbuilt-model')}"
        )
    if not compat.is_compiled(model):
        raise ValueError(
            f"{label} returned a model that is not compiled. Call "
            f"model.compile(optimizer, loss) before returning it. {see('uncompiled-model')}"
        )


def require_build(build: Any) -> None:
    """Raise TypeError unless ``build`` is a function that may build a model."""
    if compat.is_model(build) or not callable(build):
        raise TypeError(
            f"Expected build to be a function that returns a compiled model, since every trial and "
            f"control needs a new one; got {build!r:.80}."
        )


def name_of(build: Build) -> str:
    """Return ``module:function``, the name of a build function in messages and records."""
    name = getattr(build, "__qualname__", type(build).__qualname__)
    return f"{getattr(build, '__module__', '?')}:{name}"
