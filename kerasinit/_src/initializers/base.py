"""What every initializer of this package has in common.

One class serves both Kerases: it inherits from the initializers of Keras 3 and of
tf_keras, is registered with both under one name, takes the arguments that either of
them passes, and returns a NumPy array, which a variable of any backend takes.
"""

import abc
import inspect
import numbers
import operator
from collections.abc import Iterable
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
import tf_keras

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
    keras.saving.register_keras_serializable(PACKAGE, name)(cls)
    tf_keras.saving.register_keras_serializable(PACKAGE, name)(cls)
    # tf_keras reads an .h5 file by the bare class name that was written into it, and
    # would make its own HeNormal from ours. With the registered name as the class'
    # name there is nothing to mix up, and nothing of theirs is shadowed. The
    # __qualname__, by which pickle and our messages go, stays as it is.
    cls.__name__ = f"{PACKAGE}>{name}"
    return cls


def alias(cls: _Class, name: str) -> _Class:
    """Let both Kerases find a class under another name, too, as ``kerasinit>Name``.

    Files are still written with the class' own. An alias is for ever, like any registered name.

    Args:
        cls: A registered class.
        name: The other name.

    Returns:
        The class itself.
    """
    for library in (keras, tf_keras):
        # To register a class a second time would change the name that files are written with.
        library.saving.get_custom_objects()[f"{PACKAGE}>{name}"] = cls
    return cls


class Initializer(keras.initializers.Initializer, tf_keras.initializers.Initializer, abc.ABC):
    """Base class of all initializers, for Keras 3 and tf_keras alike.

    To write a custom one that works in both, extend it and define

    * ``_values(self, shape, dtype)``, which returns the values of a whole tensor as a NumPy array.
      Both arguments are checked: a tuple of whole numbers and a NumPy dtype. Different kinds of
      shapes and dtypes, tf_keras' partitions and what each Keras expects as a result are taken
      care of here. It must not change anything on ``self``.
    * ``get_config(self)``, if the constructor takes arguments: these, as plain JSON.

    Register the class with each Keras that is to load files with it (an ``.h5`` file of tf_keras
    has bare class names and needs ``custom_objects={"Ramp": Ramp}`` all the same). To draw
    random numbers, extend a class that draws, such as `kerasinit.RandomNormal`, and change what
    its ``_values`` returns.

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

    # Whether the values have fractions, which integer and boolean dtypes would drop.
    _floating_only = False

    def __call__(self, shape: Iterable[int], dtype: Any = None, **kwargs: Any) -> Any:
        """Return the values of a new tensor.

        Args:
            shape: Shape of the tensor: a tuple, a list or a ``tf.TensorShape``.
            dtype: Its dtype, as a string or an object of NumPy, TensorFlow, JAX or
                PyTorch; by default ``keras.config.floatx()``.
            **kwargs: What tf_keras passes for a partitioned variable:
                ``partition_shape`` and ``partition_offset`` (by default zeros), the
                piece of the tensor to return. The piece is cut from the whole, so with
                an integer seed the pieces fit together. tf_keras' ``layout`` (DTensor)
                is not supported, unless it is None.

        Returns:
            A NumPy array, which layers, variables and operations of Keras 3 take on every
            backend, in ``tf.function`` too. If the dtype is an object of TensorFlow, as
            tf_keras passes it, a tensor of TensorFlow: tf_keras computes with it.

        Raises:
            ValueError: If the shape has an unknown or negative size or does not suit
                the initializer, the dtype does not, or the partition is not within
                the shape.
            TypeError: If an argument is unknown.
        """
        # **kwargs and not named arguments, because Keras 3 takes a parameter that is
        # called layout for the promise to distribute the values accordingly.
        shape = _checked_shape("shape", shape)
        piece = _piece(self, shape, kwargs)
        values = self._values(shape, self._checked_dtype(dtype))
        if piece is not None:
            # A copy, so that a small piece does not keep the whole alive.
            values = values[piece].copy()
        return tf.convert_to_tensor(values) if isinstance(dtype, tf.DType) else values

    @abc.abstractmethod
    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the values of a whole tensor; both arguments are checked."""

    def _checked_dtype(self, dtype: Any) -> np.dtype:
        """Return the NumPy dtype, if it is a number's or a boolean's."""
        name = keras.utils.standardize_dtype(dtype)
        known = tf.as_dtype(name)
        if self._floating_only and not known.is_floating:
            raise ValueError(
                f"{type(self).__qualname__} makes tensors of a floating dtype, such as "
                f"'float32' or 'bfloat16'; got dtype={name!r}."
            )
        if not (known.is_floating or known.is_integer or known.is_bool):
            raise ValueError(
                f"{type(self).__qualname__} makes tensors of a floating, integer or boolean "
                f"dtype; got dtype={name!r}."
            )
        return np.dtype(known.as_numpy_dtype)

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        shown = [
            f"{name}={value!r}"
            for name, value in self.get_config().items()
            if name not in parameters or value != parameters[name].default
        ]
        return f"{type(self).__qualname__}({', '.join(shown)})"


class RandomInitializer(Initializer):
    """Base class of the initializers that draw their values.

    To make one of your own, write `_draw`, and a `get_config` if the constructor takes
    more arguments than the seed.

    Args:
        seed: Where the values come from.

            * A non-negative integer of any size: the same values at every call, which
              is what Keras promises. Note that two layers given the same seed and
              shape start from the same weights, and that
              ``keras.layers.MultiHeadAttention`` passes one seed on to its query, key
              and value.
            * None: fresh values at every call; the same in every run of a program that
              calls ``keras.utils.set_random_seed`` (or tf_keras') first.
            * A ``keras.random.SeedGenerator``: it advances at every call. Saving keeps
              the seed that it was made with, not how far it went.

    Raises:
        TypeError: If the seed is something else.
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

    def __init__(self, seed: Seed | dict[str, Any] = None):
        self.seed = _checked_seed(seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain JSON."""
        return {"seed": keras.saving.serialize_keras_object(self.seed)}

    def _values(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return self._draw(self._stream(), shape, dtype)

    @abc.abstractmethod
    def _draw(self, stream: Stream, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the values of a whole tensor, drawn from a stream and from nothing else."""

    def _stream(self) -> Stream:
        """Return the stream of this call."""
        if self.seed is None:
            return fresh_stream()
        if isinstance(self.seed, int):
            return Stream(self.seed)
        # Its state is read as a value even while a tf.function is being traced.
        with tf.init_scope():
            state = np.asarray(keras.ops.convert_to_numpy(self.seed.next()))
        # Backends hold the state as int32, uint32 or int64: these bits are the same.
        return Stream(tuple(int(part) & 0xFFFFFFFF for part in state), Kind.GENERATOR)


def checked_number(
    owner: object,
    name: str,
    value: Any,
    *,
    minimum: float | None = None,
    above: float | None = None,
) -> float:
    """Return an argument that is a finite real number, or raise what is wrong with it.

    Args:
        owner: The object that is being made.
        name: The argument's name.
        value: What came.
        minimum: The least allowed value.
        above: A bound that is not allowed itself.
    """
    what = f"{type(owner).__qualname__} got {name}={value!r}"
    if isinstance(value, np.ndarray | np.generic) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what}; expected a number.")
    # Plain JSON has no place for NumPy's numbers or fractions.
    value = int(value) if isinstance(value, numbers.Integral) else float(value)
    # Said this way round, it is false for what is not a number, too.
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
    """Return both arguments as lists of plain integers, as JSON has them, or both as None."""
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
    if isinstance(axes, str) or not isinstance(axes, Iterable):
        raise TypeError(
            f"{type(owner).__qualname__} got {name}={axes!r}; expected a list of axes, such as [0]."
        )
    axes = list(axes)
    for axis in axes:
        if isinstance(axis, bool) or not hasattr(axis, "__index__"):
            raise TypeError(
                f"{type(owner).__qualname__} got {name}={axes!r}; expected whole numbers."
            )
    return [operator.index(axis) for axis in axes]


def checked_whole(owner: object, name: str, value: Any, *, minimum: int = 0) -> int:
    """Return an argument that is a whole number; see `checked_number`."""
    checked = checked_number(owner, name, value, minimum=minimum)
    if not isinstance(checked, int):
        raise TypeError(
            f"{type(owner).__qualname__} got {name}={value!r}; expected a whole number."
        )
    return checked


def checked_fans(owner: object, fans: Any) -> list[float] | None:
    """Return an argument that is ``(fan_in, fan_out)`` or None, as JSON has it."""
    if fans is None:
        return None
    if isinstance(fans, str) or not isinstance(fans, Iterable) or len(fans := list(fans)) != 2:
        raise TypeError(
            f"{type(owner).__qualname__} got fans={fans!r}; expected two numbers, fan_in and "
            f"fan_out, or None for those of the shape."
        )
    names = ("fans[0], fan_in,", "fans[1], fan_out,")
    return [
        checked_number(owner, name, fan, above=0) for name, fan in zip(names, fans, strict=True)
    ]


def _checked_seed(seed: Any) -> Seed:
    """Return a seed as it is used, or raise what is wrong with it."""
    expected = (
        "a non-negative integer (the same values at every call), None (fresh values at every "
        "call) or a keras.random.SeedGenerator"
    )
    if seed is None or isinstance(seed, keras.random.SeedGenerator):
        return seed
    if isinstance(seed, dict) and seed.get("class_name") == "SeedGenerator":
        # As it stands in a saved configuration, which tf_keras does not unpack.
        return keras.saving.deserialize_keras_object(seed)
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise TypeError(
            f"Expected as seed {expected}; got {seed!r} of type {type(seed).__qualname__}."
        )
    if seed < 0:
        raise ValueError(f"Expected as seed {expected}; got {seed!r}, which is negative.")
    return operator.index(seed)


def _checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple of sizes, or raise what is wrong with it."""
    if isinstance(shape, tf.TensorShape):
        if shape.rank is None:
            raise ValueError(f"{name} is of unknown rank; a tensor is made only of known sizes.")
        shape = shape.as_list()
    if isinstance(shape, str) or not isinstance(shape, Iterable):
        raise TypeError(f"Expected as {name} a tuple of sizes, such as (3, 4); got {shape!r}.")
    shape = tuple(shape)
    sizes = []
    for size in shape:
        if size is None:
            raise ValueError(f"Every size of {name} must be known; got {shape}, with a None.")
        try:
            sizes.append(operator.index(size))
        except TypeError:
            raise TypeError(f"Expected whole numbers in {name}; got {shape}.") from None
        if sizes[-1] < 0:
            raise ValueError(f"No size of {name} may be negative; got {shape}.")
    return tuple(sizes)


def _piece(
    owner: Initializer, shape: tuple[int, ...], kwargs: dict[str, Any]
) -> tuple[slice, ...] | None:
    """Return which piece of the tensor tf_keras asks for, or None for all of it."""
    allowed = ("layout", "partition_offset", "partition_shape")
    for name in kwargs:
        if name not in allowed:
            raise TypeError(
                f"{type(owner).__qualname__}.__call__ got the unknown argument {name!r}; besides "
                f"shape and dtype it takes what tf_keras passes: {', '.join(allowed)}."
            )
    if kwargs.get("layout") is not None:
        raise ValueError(
            f"{type(owner).__qualname__} does not make DTensors; got layout="
            f"{kwargs['layout']!r}. Make the tensor without a layout and distribute it then."
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
            f"The partition is not within the tensor: shape={shape}, partition_shape={size}, "
            f"partition_offset={offset}."
        )
    return tuple(slice(start, start + length) for start, length in zip(offset, size, strict=True))
