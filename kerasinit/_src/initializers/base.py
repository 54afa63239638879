"""Base classes of all initializers, and the checks of their arguments.

One class serves both Keras 3 and tf_keras: it inherits from the initializers of both, is
registered with both under one name, accepts the arguments that either of them passes, and
returns a NumPy array, which a variable of any backend accepts. What concerns tf_keras is done
when tf_keras is imported, if it ever is.
"""

import abc
import inspect
import numbers
import operator
from collections.abc import Iterable
from typing import Any, TypeVar

import keras
import numpy as np

from kerasinit._src import compat
from kerasinit._src.compat import dtypes, libraries
from kerasinit._src.initializers.sampling import Kind, Stream, fresh_stream

PACKAGE = "kerasinit"

LARGEST = float(np.finfo(np.float32).max)

Seed = int | keras.random.SeedGenerator | None
_Class = TypeVar("_Class", bound=type)


def registered(cls: _Class) -> _Class:
    """Register a class with both Kerases as ``kerasinit>Name``.

    Files that name a class by this string are loaded by every later release, so a
    registered name is never changed.
    """
    name = cls.__name__

    def register_with(library: Any) -> None:
        library.saving.register_keras_serializable(PACKAGE, name)(cls)

    register_with(keras)
    libraries.when_imported("tf_keras", register_with)
    # tf_keras writes bare class names to .h5 files, and would load our HeNormal as its own.
    # Using the registered name as the class name avoids the collision. Pickle and our error
    # messages use __qualname__, which is unchanged.
    cls.__name__ = f"{PACKAGE}>{name}"
    return cls


def alias(cls: _Class, name: str) -> _Class:
    """Make a registered class loadable as ``kerasinit>name`` too, and return it.

    Files are still written with the class's own name. An alias, like any registered name, is
    permanent.
    """

    def add_to(library: Any) -> None:
        # Registering a class a second time would change the name that is written to files.
        library.saving.get_custom_objects()[f"{PACKAGE}>{name}"] = cls

    add_to(keras)
    libraries.when_imported("tf_keras", add_to)
    return cls


@libraries.serves_tf_keras("initializers.Initializer")
class Initializer(keras.initializers.Initializer, abc.ABC):
    """Base class of all initializers, for Keras 3 and tf_keras alike.

    To write a custom initializer that works in both, subclass it and implement

    * ``_values(self, shape, dtype)``, which returns the values of the whole tensor as a NumPy
      array. Both arguments have been validated: a tuple of integers and a NumPy dtype. The base
      class handles the different kinds of shapes and dtypes, partitioned variables in tf_keras,
      and the type of result that each Keras expects. The method must not modify ``self``.
    * ``get_config(self)``, if the constructor takes arguments: returns them as plain JSON.

    Register the class with each Keras that has to load files with it. (An ``.h5`` file written by
    tf_keras contains bare class names, so it needs ``custom_objects={"Ramp": Ramp}`` as well.) To
    draw random numbers, subclass a random initializer such as `kerasinit.RandomNormal` and
    transform what its ``_values`` returns.

    Example:
    >>> import keras, kerasinit, numpy as np, tf_keras
    >>> @keras.saving.register_keras_serializable("my_package")
    ... @tf_keras.saving.register_keras_serializable("my_package")
    ... class Ramp(kerasinit.Initializer):
    ...     def __init__(self, end=1.0):
    ...         self.end = end
    ...
    ...     def get_config(self):
    ...         return {"end": self.end}
    ...
    ...     def _values(self, shape, dtype):
    ...         return np.broadcast_to(np.linspace(0, self.end, shape[-1]), shape).astype(dtype)
    >>> Ramp()((2, 3))
    array([[0. , 0.5, 1. ],
           [0. , 0.5, 1. ]], dtype=float32)
    >>> for library in (keras, tf_keras):
    ...     layer = library.layers.Dense(3, kernel_initializer=Ramp(2.0))
    ...     type(layer).from_config(layer.get_config()).kernel_initializer
    Ramp(end=2.0)
    Ramp(end=2.0)
    """

    # Whether values are fractional, so that integer and boolean dtypes are rejected.
    _floating_only = False
    # The constructor's arguments that get_config returns, each an attribute of that name.
    _arguments: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {name: _to_json(getattr(self, name)) for name in self._arguments}

    def __call__(self, shape: Iterable[int], dtype: Any = None, **kwargs: Any) -> Any:
        """Return the initial values of a tensor.

        Args:
            shape: Shape of the tensor: a tuple, a list or a ``tf.TensorShape``.
            dtype: Dtype of the tensor, as a string or a dtype object of NumPy, TensorFlow,
                JAX or PyTorch. Defaults to ``keras.config.floatx()``.
            **kwargs: The arguments that tf_keras passes for a partitioned variable:
                ``partition_shape`` and ``partition_offset`` (zeros by default), the slice of
                the tensor to return. It is taken from the whole tensor, so with an integer
                seed the slices fit together. ``layout`` (DTensor) must be None.

        Returns:
            A NumPy array, which layers, variables and operations of Keras 3 accept on every
            backend, also inside a ``tf.function``. If the dtype is a ``tf.DType``, as tf_keras
            passes it, a TensorFlow tensor.

        Raises:
            ValueError: If the shape has an unknown or negative size, the initializer does not
                support the shape or the dtype, or the partition exceeds the shape.
            TypeError: If an argument is unknown.
        """
        # **kwargs rather than named arguments: Keras 3 takes a parameter named layout as a
        # promise that the initializer distributes the values accordingly.
        shape = _checked_shape("shape", shape)
        partition = _partition(self, shape, kwargs)
        values = self._values(shape, self._checked_dtype(dtype))
        if partition is not None:
            # Copied, so that a small slice does not keep the whole tensor in memory.
            values = values[partition].copy()
        tf = compat.imported_tensorflow()
        return tf.convert_to_tensor(values) if tf and isinstance(dtype, tf.DType) else values

    @abc.abstractmethod
    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the values of the whole tensor; both arguments have been validated."""

    def _checked_dtype(self, dtype: Any) -> np.dtype:
        kind = dtypes.kind_of(dtype)
        supported = "floating-point, integer and boolean dtypes"
        if self._floating_only:
            supported = "floating-point dtypes only, such as 'float32' or 'bfloat16'"
        if kind is None or (kind != "floating" and self._floating_only):
            name = dtypes.name_of(dtype)
            raise ValueError(f"{type(self).__qualname__} supports {supported}; got dtype={name!r}.")
        return dtypes.numpy_dtype(dtype)

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        shown = [
            f"{name}={value!r}"
            for name, value in self.get_config().items()
            if name not in parameters or value != parameters[name].default
        ]
        return f"{type(self).__qualname__}({', '.join(shown)})"


class RandomInitializer(Initializer):
    """Base class of random initializers.

    A custom subclass implements `_draw`, and `get_config` if its constructor takes more
    arguments than the seed.

    Args:
        seed: The source of randomness:

            * A non-negative integer of any size: every call returns the same values, as in
              Keras. Two layers given the same seed and shape therefore start with the same
              weights, and ``keras.layers.MultiHeadAttention`` passes one seed to its query,
              key and value projections.
            * None: every call returns new values. They are reproducible if the program first
              calls ``keras.utils.set_random_seed`` (or that of tf_keras).
            * A ``keras.random.SeedGenerator``, which advances at every call. Its initial seed
              is saved, not its current state.

    Raises:
        TypeError: If the seed is of another type.
        ValueError: If the seed is negative.

    Example:
    >>> import kerasinit
    >>> fixed = kerasinit.RandomNormal(seed=1)
    >>> bool((fixed((2, 2)) == fixed((2, 2))).all())
    True
    >>> fresh = kerasinit.RandomNormal()
    >>> bool((fresh((2, 2)) == fresh((2, 2))).all())
    False
    """

    _floating_only = True
    _arguments = ("seed",)

    def __init__(self, seed: Seed | dict[str, Any] = None):
        self.seed = _checked_seed(seed)

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return self._draw(self._stream(), shape, dtype)

    @abc.abstractmethod
    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the values of the whole tensor, drawn from ``stream`` alone."""

    def _stream(self) -> Stream:
        if self.seed is None:
            return fresh_stream()
        if isinstance(self.seed, int):
            return Stream(self.seed)
        # Reads the state as a value even while a tf.function is being traced.
        with compat.outside_graphs():
            state = np.asarray(keras.ops.convert_to_numpy(self.seed.next()))
        # Backends store the state as int32, uint32 or int64; the low 32 bits agree.
        return Stream(tuple(int(part) & 0xFFFFFFFF for part in state), Kind.GENERATOR)


def checked_number(
    owner: object,
    name: str,
    value: Any,
    *,
    minimum: float | None = None,
    above: float | None = None,
) -> float:
    """Validate a finite real number; ``above`` is an exclusive lower bound.

    ``owner`` is the object under construction, named in error messages.
    """
    what = f"{type(owner).__qualname__} got {name}={value!r}"
    if isinstance(value, np.ndarray | np.generic) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what}; expected a number.")
    # Plain JSON holds neither NumPy numbers nor fractions.
    value = int(value) if isinstance(value, numbers.Integral) else float(value)
    # Written so that it also rejects NaN.
    if not abs(value) <= LARGEST:
        raise ValueError(f"{what}; expected a finite number within float32's {LARGEST:.4g}.")
    if minimum is not None and value < minimum:
        raise ValueError(f"{what}; expected a number that is at least {minimum}.")
    if above is not None and value <= above:
        raise ValueError(f"{what}; expected a number above {above}.")
    return value


def checked_axes(
    owner: object, input_axes: Any, output_axes: Any
) -> tuple[list[int] | None, list[int] | None]:
    """Validate both lists of axes and return them as plain integers; both may be None."""
    if (input_axes is None) != (output_axes is None):
        raise ValueError(
            f"{type(owner).__qualname__} got input_axes={input_axes!r} and "
            f"output_axes={output_axes!r}; give both or neither."
        )
    if input_axes is None:
        return None, None
    return (
        _checked_axis_list(owner, "input_axes", input_axes),
        _checked_axis_list(owner, "output_axes", output_axes),
    )


def _checked_axis_list(owner: object, name: str, axes: Any) -> list[int]:
    what = f"{type(owner).__qualname__} got {name}={axes!r}"
    if isinstance(axes, str) or not isinstance(axes, Iterable):
        raise TypeError(f"{what}; expected a list of axes, such as [0].")
    axes = list(axes)
    if any(isinstance(axis, bool) or not hasattr(axis, "__index__") for axis in axes):
        raise TypeError(f"{what}; expected integers.")
    return [operator.index(axis) for axis in axes]


def checked_whole(owner: object, name: str, value: Any, *, minimum: int = 0) -> int:
    """Validate an integer; see `checked_number`."""
    checked = checked_number(owner, name, value, minimum=minimum)
    if not isinstance(checked, int):
        raise TypeError(f"{type(owner).__qualname__} got {name}={value!r}; expected an integer.")
    return checked


def checked_flag(owner: object, name: str, value: Any) -> bool:
    """Validate a boolean."""
    if not isinstance(value, bool):
        raise TypeError(f"{type(owner).__qualname__} got {name}={value!r}; expected True or False.")
    return value


def checked_fans(owner: object, fans: Any) -> list[float] | None:
    """Validate ``(fan_in, fan_out)`` and return it as a list; None stays None."""
    if fans is None:
        return None
    if isinstance(fans, str) or not isinstance(fans, Iterable) or len(fans := list(fans)) != 2:
        raise TypeError(
            f"{type(owner).__qualname__} got fans={fans!r}; expected two numbers, fan_in and "
            f"fan_out, or None to compute them from the shape."
        )
    names = ("fans[0], fan_in,", "fans[1], fan_out,")
    return [
        checked_number(owner, name, fan, above=0) for name, fan in zip(names, fans, strict=True)
    ]


def _to_json(value: Any) -> Any:
    """Return an argument of an initializer as plain JSON."""
    if _is_plain(value):
        return value
    if isinstance(value, Initializer):
        # Keras' own form, without the module: the registered name is sufficient and permanent.
        return {
            "class_name": type(value).__name__,
            "config": value.get_config(),
            "registered_name": keras.saving.get_registered_name(type(value)),
        }
    return keras.saving.serialize_keras_object(value)


def _is_plain(value: Any) -> bool:
    """Return whether a value is plain JSON, for which Keras would import TensorFlow to see."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _checked_seed(seed: Any) -> Seed:
    expected = (
        "a non-negative integer (the same values at every call), None (fresh values at every "
        "call) or a keras.random.SeedGenerator"
    )
    if seed is None or isinstance(seed, keras.random.SeedGenerator):
        return seed
    if isinstance(seed, dict) and seed.get("class_name") == "SeedGenerator":
        # From a saved configuration: tf_keras does not deserialize nested objects.
        return keras.saving.deserialize_keras_object(seed)
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise TypeError(
            f"Expected seed to be {expected}; got {seed!r} of type {type(seed).__qualname__}."
        )
    if seed < 0:
        raise ValueError(f"Expected seed to be {expected}; got {seed!r}, which is negative.")
    return operator.index(seed)


def _checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    tf = compat.imported_tensorflow()
    if tf is not None and isinstance(shape, tf.TensorShape):
        if shape.rank is None:
            raise ValueError(f"{name} has unknown rank; every size must be known.")
        shape = shape.as_list()
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise TypeError(f"Expected {name} to be a tuple of sizes, such as (3, 4); got {shape!r}.")
    shape = tuple(shape)
    sizes = []
    for size in shape:
        if size is None:
            raise ValueError(f"Every size of {name} must be known; got {shape}, with a None.")
        try:
            sizes.append(operator.index(size))
        except TypeError:
            raise TypeError(f"Expected integers in {name}; got {shape}.") from None
        if sizes[-1] < 0:
            raise ValueError(f"No size of {name} may be negative; got {shape}.")
    return tuple(sizes)


def _partition(
    owner: Initializer, shape: tuple[int, ...], kwargs: dict[str, Any]
) -> tuple[slice, ...] | None:
    """Return the slices of the tensor that tf_keras requests, or None for the whole tensor."""
    allowed = ("layout", "partition_offset", "partition_shape")
    for name in kwargs:
        if name not in allowed:
            raise TypeError(
                f"{type(owner).__qualname__}.__call__ got the unknown argument {name!r}; besides "
                f"shape and dtype it accepts {', '.join(allowed)}, which tf_keras passes."
            )
    if kwargs.get("layout") is not None:
        raise ValueError(
            f"{type(owner).__qualname__} does not support DTensor; got layout="
            f"{kwargs['layout']!r}. Create the tensor without a layout, then distribute it."
        )
    size, offset = kwargs.get("partition_shape"), kwargs.get("partition_offset")
    if size is None:
        if offset is not None:
            raise ValueError("partition_offset needs a partition_shape; got only the offset.")
        return None
    size = _checked_shape("partition_shape", size)
    offset = (0,) * len(size) if offset is None else _checked_shape("partition_offset", offset)
    fits = len(size) == len(offset) == len(shape) and all(
        start + length <= whole for start, length, whole in zip(offset, size, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"The partition exceeds the tensor: shape={shape}, partition_shape={size}, "
            f"partition_offset={offset}."
        )
    return tuple(slice(start, start + length) for start, length in zip(offset, size, strict=True))
