"""Initializers, pruning and lottery tickets for Keras 3 and tf_keras."""

from kerasinit import rules
from kerasinit._src import initializers as _initializers
from kerasinit._src.comparison.entry import compare
from kerasinit._src.diagnosis.entry import diagnose
from kerasinit._src.diagnosis.monitor import SignalMonitor
from kerasinit._src.files.keras_variables import variables_in
from kerasinit._src.initializers.base import Initializer
from kerasinit._src.initializers.serialization import deserialize, get, serialize
from kerasinit._src.network.fans import compute_fans
from kerasinit._src.theory.gains import Stability, gain, stability
from kerasinit._src.whole_models.from_batch.layer_sequential import lsuv
from kerasinit._src.whole_models.from_batch.moment_propagation import propagate_moments
from kerasinit._src.whole_models.from_batch.per_unit import weight_norm, within_layer
from kerasinit._src.whole_models.portable_copy import portable
from kerasinit._src.whole_models.recommendation import recommend
from kerasinit._src.whole_models.redraw import Rule, reinitialize
from kerasinit.initializers import *  # noqa: F403

__all__ = [
    "Initializer",
    "Rule",
    "SignalMonitor",
    "Stability",
    "compare",
    "compute_fans",
    "deserialize",
    "diagnose",
    "gain",
    "get",
    "lsuv",
    "portable",
    "propagate_moments",
    "recommend",
    "reinitialize",
    "rules",
    "serialize",
    "stability",
    "variables_in",
    "weight_norm",
    "within_layer",
]
__all__ += _initializers.__all__
