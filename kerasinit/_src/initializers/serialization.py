"""`get`, `serialize` and `deserialize`, as in ``keras.initializers``."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kerasinit._src import compat, errors, initializers
from kerasinit._src.initializers import identifiers
from kerasinit._src.initializers.base import PACKAGE
from kerasinit._src.initializers.constant import Constant
from kerasinit._src.keras_naming import snake_case
from kerasinit._src.troubleshooting import see

# The names that Keras accepts besides those of classes.
_SHORT = {
    "IdentityInitializer": "Identity",
    "OrthogonalInitializer": "Orthogonal",
    "STFTInitializer": "STFT",
    "normal": "RandomNormal",
    "one": "Ones",
    "uniform": "RandomUniform",
    "zero": "Zeros",
}
_NAMES = {snake_case(name): name for name in initializers.__all__} | _SHORT


def get(identifier: Any) -> Any:
    """Retrieve an initializer from an identifier, like ``keras.initializers.get``.

    Unlike in Keras, a name refers to a class of this package.

    Args:
        identifier: One of

            * a name: that of a class (``"HeNormal"``, ``"kerasinit>HeNormal"``), in snake case
              (``"he_normal"``), with arguments (``"RandomNormal:stddev=0.01"``), one of the short
              names of Keras (``"normal"``, ``"uniform"``, ``"zero"``, ``"one"``), or that of a
              class or function registered with Keras;
            * a configuration, see `deserialize`;
            * a class, which is instantiated;
            * an initializer, or any function of a shape and a dtype, which is returned unchanged;
            * an array or tensor, which becomes a `Constant` of exactly its shape;
            * None.

    Returns:
        The initializer, or None if the identifier is None.

    Raises:
        ValueError: If the identifier is none of these, or the name is unknown.

    Example:
    >>> get("he_normal"), get("RandomNormal:stddev=0.01"), get({"class_name": "Ones", "config": {}})
    (HeNormal(), RandomNormal(stddev=0.01), Ones())
    >>> get("he_norml")
    Traceback (most recent call last):
    ...
    ValueError: Unknown initializer 'he_norml'. Did you mean 'HeNormal'? Choices: ...
    """
    if identifier is None:
        return None
    if isinstance(identifier, str | Mapping):
        return deserialize(identifier)
    if compat.is_array(identifier):
        return Constant(identifier, broadcast=False)
    initializer = identifier() if inspect.isclass(identifier) else identifier
    if not callable(initializer):
        raise ValueError(
            f"Expected an initializer: a name such as 'he_normal', a configuration, a class, an "
            f"instance, a function of shape and dtype, an array, or None; got {identifier!r:.80}."
        )
    return initializer


def serialize(initializer: Any) -> Any:
    """Return the configuration of an initializer, like ``keras.initializers.serialize``.

    Args:
        initializer: An initializer of this package, Keras 3 or tf_keras, or a function registered
            with Keras; or None, which is returned unchanged.

    Returns:
        Plain JSON that `deserialize` accepts: for an initializer of this package, a dictionary
        with ``class_name``, ``config`` and ``registered_name``.

    Raises:
        TypeError: If the argument is not an initializer.

    Example:
    >>> import kerasinit
    >>> serialize(kerasinit.Constant(0.5))["registered_name"]
    'kerasinit>Constant'
    """
    if initializer is None:
        return None
    if not callable(initializer):
        raise TypeError(f"Expected an initializer or None; got {initializer!r:.80}.")
    ours = isinstance(initializer, keras.initializers.Initializer)
    tf_keras = compat.imported().get("tf_keras")
    if not ours and tf_keras and isinstance(initializer, tf_keras.initializers.Initializer):
        return tf_keras.initializers.serialize(initializer)
    return keras.saving.serialize_keras_object(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the initializer of a configuration, like ``keras.initializers.deserialize``.

    Args:
        config: The result of `serialize`, a dictionary with ``class_name`` and ``config``, or a
            name; or None, which is returned unchanged. A name without a module refers to a class
            of this package; with a module of Keras 3, as written by its ``serialize``, to the
            class of Keras 3.
        custom_objects: Custom classes and functions by name. Defaults to None.

    Returns:
        The initializer, or None for None.

    Raises:
        ValueError: If the configuration is of another form, or the name is unknown.
        TypeError: If the class does not accept the arguments.

    Example:
    >>> import kerasinit
    >>> deserialize(serialize(kerasinit.HeNormal(seed=1)))
    HeNormal(seed=1)
    """
    if config is None:
        return None
    custom = dict(custom_objects or {})
    if isinstance(config, str):
        return _by_name(config, custom)
    if not isinstance(config, Mapping) or not {"class_name", "config"} <= config.keys():
        raise ValueError(
            f"Expected the configuration of an initializer, a dictionary with 'class_name' and "
            f"'config'; got {config!r:.80}."
        )
    name = str(config.get("registered_name") or config["class_name"])
    module = config.get("module")
    kind = custom.get(name) or custom.get(config["class_name"])
    if kind is None and (module is None or str(module).split(".")[0] == PACKAGE):
        kind = _ours(name) or keras.saving.get_registered_object(name)
        if kind is None and config["class_name"] != "function":
            raise _unknown(name)
    from_config = getattr(kind, "from_config", None)
    if inspect.isclass(kind) and from_config is not None:
        return from_config(dict(config["config"] or {}))
    try:
        return keras.saving.deserialize_keras_object(dict(config), custom_objects=custom)
    except TypeError as error:
        raise ValueError(f"Cannot create the initializer {name!r}: {error}") from error


def _by_name(text: str, custom: Mapping[str, Any]) -> Any:
    known = custom.get(text) or keras.saving.get_registered_object(text)
    if known is not None:
        return known() if inspect.isclass(known) else known
    name, colon, arguments = text.partition(":")
    kind = _ours(name)
    if kind is None:
        raise _unknown(text)
    return identifiers.parse(f"{kind.__qualname__}{colon}{arguments}")


def _ours(name: str) -> Callable[..., Any] | None:
    """Return the class of this package with this name, if any."""
    name = name.removeprefix(f"{PACKAGE}>")
    name = _NAMES.get(name, name)
    return getattr(initializers, name) if name in initializers.__all__ else None


def _unknown(name: str) -> ValueError:
    return errors.unknown("initializer", name, initializers.__all__, see("unknown-initializer"))
