"""The initializers that a layer was built with.

Most layers keep them in attributes, ``kernel_initializer`` and the like. The others pass them to
``add_weight`` and forget them, as custom layers often do. A second layer of the same configuration
is then built to intercept what it passes.
"""

import inspect
import random
import weakref
from typing import Any

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat.quantization import quantization_of
from kerasinit._src.network.parts import Part, is_of_lora
from kerasinit._src.network.walk import layers_inside


def own_initializer(part: Part) -> Any:
    """Return the initializer of a variable's layer; None if unknown."""
    layer, name = part.layer, compat.variable_name(part.variable)
    if is_of_lora(part) and hasattr(layer, "enable_lora"):
        return _of_lora(layer, name)
    if quantization_of(layer) not in (None, "float8"):
        return None  # it initialized a float kernel
    if is_adapted(part):
        return None
    known = _from_attribute(layer, name) or _hard_coded(layer, name)
    if known is not None and _is_of_keras(type(layer)):
        return known
    passed = _passed(layer, part.variable)
    return known if passed is None else passed


def is_adapted(part: Part) -> bool:
    """Return whether a variable is computed from data by ``adapt``."""
    return hasattr(part.layer, "adapt")


def is_repeatable(initializer: Any, part: Part) -> bool:
    """Return whether an initializer without a seed gives the same values at each call."""
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    if "seed" in config or _is_of_keras(type(initializer)):
        return True
    dtype = keras.utils.standardize_dtype(part.variable.dtype)
    made = [
        np.asarray(keras.ops.convert_to_numpy(initializer(part.shape, dtype=dtype)))
        for _ in range(2)
    ]
    return made[0].tobytes() == made[1].tobytes()


def _of_lora(layer: Any, name: str) -> Any:
    # The layer does not keep its arguments; these are the defaults.
    argument = f"{name.rsplit('_', 1)[-1]}_initializer"
    default = inspect.signature(layer.enable_lora).parameters[argument].default
    return keras.initializers.get(default)


_ATTRIBUTES = {
    "recurrent_kernel": ("recurrent_initializer",),
    "depthwise_kernel": ("depthwise_initializer",),
    "pointwise_kernel": ("pointwise_initializer",),
    # In Keras 3 the depthwise convolution calls its variable kernel, too.
    "kernel": ("depthwise_initializer", "kernel_initializer"),
}


def _from_attribute(layer: Any, name: str) -> Any:
    for attribute in _ATTRIBUTES.get(name, (f"{name}_initializer",)):
        initializer = getattr(layer, attribute, None)
        if initializer is not None:
            return _resolved(layer, initializer)
    return None


def _hard_coded(layer: Any, name: str) -> Any:
    """Return the initializer that tf_keras hard-codes for a layer that keeps no input shape."""
    for kind, names in _HARD_CODED.items():
        if isinstance(layer, compat.layer_classes(kind)) and name in names:
            return compat.library_of(layer).initializers.get(names[name])
    return None


_HARD_CODED = {
    "AdditiveAttention": {"scale": "glorot_uniform"},
    "Attention": {"concat_score_weight": "ones", "scale": "ones"},
}


def _resolved(layer: Any, given: Any) -> Any:
    """Return an initializer object for any form in which a custom layer may keep one."""
    if isinstance(given, str | dict | type):
        return compat.library_of(layer).initializers.get(given)
    return given if callable(given) else None


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.split(".")[0] in ("keras", "kerasinit", "tf_keras")


_seen: weakref.WeakKeyDictionary[Any, list[tuple[Any, Any]]] = weakref.WeakKeyDictionary()


def _passed(layer: Any, variable: Any) -> Any:
    """Return the initializer that a layer passes to ``add_weight``; None if unknown."""
    if compat.is_model(layer):
        return None  # a second model would need as much memory
    pairs = _seen.get(layer, [])
    if [id(one) for one, _ in pairs] != [id(one) for one in layer.weights]:
        pairs = _seen[layer] = _pairs(layer)
    return next((passed for one, passed in pairs if one is variable), None)


def _pairs(layer: Any) -> list[tuple[Any, Any]]:
    """Return each variable of a layer with its initializer, None if unknown."""
    unknown = [(variable, None) for variable in layer.weights]
    passed: dict[int, Any] = {}
    state = random.getstate()  # Keras draws a seed for each initializer that has none
    try:
        second = _second(layer, passed)
        alike = [tuple(one.shape) for one in second.weights] == [
            tuple(one.shape) for one in layer.weights
        ]
    except Exception:  # a custom constructor or build may raise anything
        return unknown
    finally:
        random.setstate(state)
    if not alike:
        return unknown
    return [
        (variable, passed.get(id(other)))
        for variable, other in zip(layer.weights, second.weights, strict=True)
    ]


def _second(layer: Any, passed: dict[int, Any]) -> Any:
    """Return a built second layer, and store the initializers that it passes by variable id."""
    kind = type(layer)
    if any("add_weight" in vars(one) and not _is_of_keras(one) for one in kind.__mro__):
        raise TypeError("a custom add_weight may replace the initializer")
    place = 1 if compat.kerase_of(layer) == "keras" else 3

    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = args[place] if len(args) > place else kwargs.get("initializer")
        if len(args) > place:
            args = (*args[:place], "zeros", *args[place + 1 :])
        else:
            kwargs["initializer"] = "zeros"  # nothing is drawn here
        variable = kind.add_weight(self, *args, **kwargs)
        floating = "float" in keras.utils.standardize_dtype(variable.dtype)
        default = "glorot_uniform" if floating else "zeros"
        passed[id(variable)] = _resolved(layer, default if given is None else given)
        return variable

    watched: Any = type(kind.__name__, (kind,), {"add_weight": add_weight})
    library = compat.library_of(layer)
    custom = {type(one).__name__: type(one) for one in layers_inside(layer)}
    with library.saving.custom_object_scope(custom):
        second = watched.from_config(layer.get_config())
    built = layer.get_build_config() or {}
    if not built:  # a build in tf_keras that does not call super()
        shape = getattr(layer, "input_shape", None) or _shape_of_input_spec(layer)
        built = {"input_shape": shape} if shape else {}
    if built and not second.built:
        second.build_from_config(built)
    return second


def _shape_of_input_spec(layer: Any) -> tuple[int | None, ...] | None:
    """Return the shape of the inputs as far as a layer constrains it."""
    spec = layer.input_spec
    if getattr(spec, "shape", None) is not None:
        return tuple(spec.shape)
    if getattr(spec, "ndim", None) is None or not spec.axes:
        return None
    sizes = {axis % spec.ndim: size for axis, size in spec.axes.items()}
    return tuple(sizes.get(axis) for axis in range(spec.ndim))
