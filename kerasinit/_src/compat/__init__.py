"""Keras 3 and tf_keras behind one interface; this is the only room that knows how they differ.

The most frequently used functions are re-exported here, such as ``compat.read(variable)``.
"""

# First, here and in the other rooms of which the initializers are made: the import of Keras
# registers the initializers, and imports all of these rooms for that.
import keras  # noqa: F401

from kerasinit._src.compat.global_random import global_stream
from kerasinit._src.compat.libraries import (
    KERASES,
    Kerase,
    imported,
    imported_tensorflow,
    library,
    outside_graphs,
)
from kerasinit._src.compat.models import (
    classes,
    is_array,
    is_built,
    is_layer,
    is_model,
    kerase_of,
    known_shape,
    layer_classes,
    library_of,
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
    is_variable,
    read,
    tensor,
    variable_name,
    variable_path,
)

__all__ = [
    "KERASES",
    "Kerase",
    "assign",
    "classes",
    "dtype_of",
    "global_stream",
    "has_own_train_step",
    "imported",
    "imported_tensorflow",
    "is_array",
    "is_built",
    "is_compiled",
    "is_layer",
    "is_model",
    "is_variable",
    "kerase_of",
    "known_shape",
    "layer_classes",
    "library",
    "library_of",
    "loss_of",
    "outside_graphs",
    "read",
    "reset_states",
    "steps_per_execution",
    "tensor",
    "unwrapped",
    "variable_name",
    "variable_path",
]
