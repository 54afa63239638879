"""The two Kerases, and the only place that knows where they differ.

"Keras 3" is what ``import keras`` gives, "tf_keras" the Keras 2 that TensorFlow
shipped before and that ``import tf_keras`` still gives. Their layers, variables
and optimizers are strangers to each other. The rest of the package asks here.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

import keras
import numpy as np
import tensorflow as tf
import tf_keras

Kerase = Literal["keras", "tf_keras"]

# Neither Keras has types that would tell a checker what its functions take and return.
_LIBRARIES: dict[Kerase, Any] = {"keras": keras, "tf_keras": tf_keras}
_LAYERS: dict[Kerase, type] = {"keras": keras.layers.Layer, "tf_keras": tf_keras.layers.Layer}
_MODELS: dict[Kerase, type] = {"keras": keras.Model, "tf_keras": tf_keras.Model}


def kerase_of(thing: Any) -> Kerase:
    """Return which Keras a model or layer belongs to.

    Args:
        thing: A Keras model or layer.

    Returns:
        ``"keras"`` for Keras 3, ``"tf_keras"`` for Keras 2.

    Raises:
        TypeError: If ``thing`` is neither.

    Example:
    >>> import keras
    >>> kerase_of(keras.layers.Dense(3))
    'keras'
    """
    for name, layer in _LAYERS.items():
        if isinstance(thing, layer):
            return name
    raise TypeError(
        f"Expected a model or layer of Keras 3 (`import keras`) or of tf_keras "
        f"(`import tf_keras`); got {thing!r} of type {type(thing).__module__}."
        f"{type(thing).__qualname__}."
    )


def library_of(thing: Any) -> Any:
    """Return the module that a model or layer comes from: ``keras`` or ``tf_keras``."""
    return _LIBRARIES[kerase_of(thing)]


def serialized(thing: Any) -> dict[str, Any]:
    """Return an object of Keras, such as an initializer, as plain JSON with its class."""
    # Typed as whatever Keras can serialize: a number stays one, an object becomes this.
    return cast("dict[str, Any]", keras.saving.serialize_keras_object(thing))


def is_model(thing: Any) -> bool:
    """Return whether ``thing`` is a model (not merely a layer) of either Keras."""
    return isinstance(thing, tuple(_MODELS.values()))


def is_layer(thing: Any) -> bool:
    """Return whether ``thing`` is a layer (or model) of either Keras."""
    return isinstance(thing, tuple(_LAYERS.values()))


def layer_classes(*names: str) -> tuple[type, ...]:
    """Return the layer classes of both Kerases by these names, as far as they have them."""
    return tuple(
        getattr(library.layers, name)
        for library in _LIBRARIES.values()
        for name in names
        if hasattr(library.layers, name)
    )


def is_array(thing: Any) -> bool:
    """Return whether something is an array, a tensor or a variable, of NumPy or a backend."""
    if isinstance(thing, np.ndarray | np.generic | keras.Variable | tf.Variable):
        return True
    return bool(tf.is_tensor(thing) or keras.ops.is_tensor(thing))


def is_built(model: Any) -> bool:
    """Return whether every variable of a model exists.

    A Keras 3 model without a ``call``, such as a GAN, is never built itself: its parts are.
    """
    if kerase_of(model) == "tf_keras":
        return bool(model.built and model.weights)
    return bool(model.built) or (type(model).call is keras.Model.call and bool(model.weights))


def walk(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield each layer of a model once, with a path that survives rebuilding.

    Keras numbers the names of layers by what the process made before
    (``dense_3``), so a name or variable path of one build means nothing to the
    next. The path here is the class in snake case, numbered within its model:
    ``dense``, ``dense_1``, ``functional/conv2d``. It is the same for every build
    of the same code, in either Keras. A layer that stands in several places comes
    once, at the first.

    Args:
        model: A model of either Keras, or a single layer.

    Yields:
        ``(path, layer)`` in the order of ``model.layers``; nested models are
        entered, not yielded. A single layer is yielded with its own path.
    """
    for path, _, layer in walk_called(model):
        yield path, layer


Called = tuple[tuple[str, bool], ...]
"""A path as it is called: each name, and whether a person gave it."""


def walk_called(model: Any) -> Iterator[tuple[str, Called, Any]]:
    """Yield each layer of a model as `walk` does, with the path by the names that were given."""
    seen: set[int] = set()

    def enter(container: Any, prefix: str, called: Called) -> Iterator[tuple[str, Called, Any]]:
        counts: dict[str, int] = {}
        for layer in map(unwrapped, container.layers):
            stem = snake_case(type(layer).__name__)
            number = counts.get(stem, 0)
            counts[stem] = number + 1
            name = f"{stem}_{number}" if number else stem
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            given = given_name(layer)
            names = (*called, (given or name, given is not None))
            if is_model(layer):
                yield from enter(layer, f"{prefix}{name}/", names)
            else:
                yield prefix + name, names, layer

    model = unwrapped(model)
    if is_model(model):
        yield from enter(model, "", ())
    else:
        name, given = snake_case(type(model).__name__), given_name(model)
        yield name, ((given or name, given is not None),), model


def given_name(layer: Any) -> str | None:
    """Return the name that a person gave a layer; None if it is one that Keras makes up.

    Example:
    >>> import keras
    >>> given_name(keras.layers.Dense(3, name="encoder")), given_name(keras.layers.Dense(3))
    ('encoder', None)
    """
    name = getattr(layer, "name", None)
    made_up = not isinstance(name, str) or is_made_up(name, type(layer).__name__)
    if is_model(layer) and not made_up:
        made_up = any(is_made_up(str(name), kind) for kind in ("Functional", "Model", "Sequential"))
    return None if made_up else name


def is_made_up(name: str, kind: str) -> bool:
    """Return whether a layer's name is one that Keras makes for its class.

    Example:
    >>> is_made_up("dense_3", "Dense"), is_made_up("encoder", "Dense")
    (True, False)
    """
    return re.sub(r"_\d+$", "", name) == snake_case(kind)


def unwrapped(layer: Any) -> Any:
    """Return the layer inside tfmot's pruning wrapper, or the layer itself.

    With it a tf_keras model has the same paths before and after
    ``prune_low_magnitude``. The wrapper is known by its public ``pruning_vars``, so
    that tfmot need not be imported to ask.
    """
    if isinstance(layer, tf_keras.layers.Wrapper) and hasattr(layer, "pruning_vars"):
        return layer.layer
    return layer


def snake_case(name: str) -> str:
    """Return a class name as Keras writes it in layer names.

    Example:
    >>> snake_case("EinsumDense"), snake_case("Conv2D"), snake_case("LSTM")
    ('einsum_dense', 'conv2d', 'lstm')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def named_variables(model: Any, given: Mapping[int, str] | None = None) -> dict[str, Any]:
    """Return every variable of a model by a name that survives rebuilding.

    The name is the layer's path (see `walk`) and the last part of the variable's
    own name, numbered where a layer has several of one name: ``dense_1/kernel``,
    ``lstm/bias``. Variables that no layer of ``model.layers`` owns, such as those made
    by a subclassed model itself, come last, under the path ``model``.

    Args:
        model: A built model, or a built layer, of either Keras.
        given: Names that some variables have already, by the variables' ``id``.

    Returns:
        Variables by name, in the order of the model. Weights and the states of
        random layers; not the optimizer's.
    """
    given = given or {}
    taken = set(given.values())
    names: dict[str, Any] = {}
    seen: set[int] = set()

    def add(path: str, variables: Any) -> None:
        for variable in variables:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            if id(variable) in given:
                names[given[id(variable)]] = variable
                continue
            stem = f"{path}/{variable_name(variable)}"
            name, number = stem, 0
            while name in names or name in taken:
                number += 1
                name = f"{stem}_{number}"
            names[name] = variable

    for path, layer in walk(model):
        add(path, _state(layer))
    add("model", _state(model))
    return names


def _state(layer: Any) -> list[Any]:
    # Keras 3 counts a model's metrics among its variables, tf_keras among its weights.
    # They hold no state of the network. Nor do the words of a lookup layer, which tf_keras
    # puts there too, though they are no variable.
    variables = layer.variables if kerase_of(layer) == "keras" else layer.weights
    metrics = {
        id(variable)
        for metric in getattr(layer, "metrics", None) or ()
        for variable in metric.variables
    }
    return [
        variable
        for variable in variables
        if id(variable) not in metrics and hasattr(variable, "numpy")
    ]


def variable_name(variable: Any) -> str:
    """Return the last part of a variable's name, ``kernel`` in both Kerases."""
    return variable.name.rsplit("/", 1)[-1].split(":")[0]


def variable_path(variable: Any) -> str:
    """Return a variable's full path, ``multi_head_attention/query/kernel`` in both Kerases."""
    return str(getattr(variable, "path", variable.name)).split(":")[0]


def tensor(variable: Any) -> Any:
    """Return the TensorFlow variable under a Keras 3 variable, or the variable itself."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def read(variable: Any) -> np.ndarray:
    """Return a copy of a variable's value as a NumPy array."""
    return np.array(variable.numpy())


def dtype_of(variable: Any) -> str:
    """Return the name of a variable's dtype, ``float32`` in both Kerases."""
    return tf.as_dtype(variable.dtype).name


def assign(variable: Any, value: Any) -> None:
    """Give a variable of either Keras a new value of the same shape."""
    tensor(variable).assign(value)


def is_compiled(model: Any) -> bool:
    """Return whether ``model.compile`` was called."""
    if kerase_of(model) == "keras":
        return bool(model.compiled)
    return getattr(model, "optimizer", None) is not None


def steps_per_execution(model: Any) -> int:
    """Return how many steps a compiled model takes between two calls of its callbacks."""
    steps = model.steps_per_execution
    return int(steps.numpy() if isinstance(steps, tf.Variable) else steps)


def has_own_train_step(model: Any) -> bool:
    """Return whether a model's class replaces Keras' ``train_step``."""
    kind = _MODELS[kerase_of(model)]
    if kind is keras.Model:
        kinds = (keras.Model, keras.Sequential)
    else:
        kinds = (tf_keras.Model, tf_keras.Sequential)
    return all(type(model).train_step is not kind.train_step for kind in kinds)


def reset_states(layers: Iterable[Any]) -> None:
    """Let recurrent layers that keep their state from call to call begin again.

    The states are no weights, in either Keras.
    """
    for layer in layers:
        stateful = isinstance(layer, _RNN) and layer.stateful and layer.states is not None
        # tf_keras makes the states at the first call.
        if stateful and all(state is not None for state in tf.nest.flatten(layer.states)):
            layer.reset_states()


_RNN = (keras.layers.RNN, tf_keras.layers.RNN)


def known_shape(tensor: Any) -> tuple[int, ...]:
    """Return a tensor's shape, which must be known before it is computed.

    Raises:
        ValueError: If a size is not.
    """
    shape = tuple(tensor.shape)
    if None in shape:
        raise ValueError(f"Expected a tensor of a known shape; got {shape}.")
    return shape


def loss_of(
    model: Any, x: Any, y: Any, outputs: Any, sample_weight: Any = None, *, training: bool
) -> Any:
    """Return the compiled loss of a batch, with the model's own penalties.

    Called as each Keras calls it: a ``compute_loss`` of a user's own may give the arguments other
    names, and one written before Keras 3.3 takes no ``training``.
    """
    if kerase_of(model) == "keras" and _takes_training(model):
        return model.compute_loss(x, y, outputs, sample_weight, training=training)
    return model.compute_loss(x, y, outputs, sample_weight)


def _takes_training(model: Any) -> bool:
    parameters = inspect.signature(model.compute_loss).parameters
    kinds = {one.kind for one in parameters.values()}
    return "training" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
