"""Keras 3 and tf_keras behind one interface; this is the only room that knows how they differ.

The most frequently used functions are re-exported here, such as ``compat.read(variable)``.
"""

from kerasinit._src.compat.global_random import global_stream
from kerasinit._src.compat.models import (
    LIBRARIES,
    Kerase,
    classes,
    is_array,
    is_built,
    is_layer,
    is_model,
    kerase_of,
    known_shape,
    layer_classes,
    library_of,
    snake_case,
    unwrapped,
)
from kerasinit._src.compat.training import (
    has_own_train_step,
    is_compiled,
    loss_of,
    reset_states,
    steps_per_execution,
)
from kerasinit._src.compat.variables import (
    assign,
    dtype_of,
    read,
    tensor,
    variable_name,
    variable_path,
)

__all__ = [
    "LIBRARIES",
    "Kerase",
    "assign",
    "classes",
    "dtype_of",
    "global_stream",
    "has_own_train_step",
    "is_array",
    "is_built",
    "is_compiled",
    "is_layer",
    "is_model",
    "kerase_of",
    "known_shape",
    "layer_classes",
    "library_of",
    "loss_of",
    "read",
    "reset_states",
    "snake_case",
    "steps_per_execution",
    "tensor",
    "unwrapped",
    "variable_name",
    "variable_path",
]
