"""TensorFlow's pruning API, for Keras 3 as well as tf_keras.

The names and arguments are those of ``tfmot.sparsity.keras``::

    from kerasinit import pruning

    schedule = pruning.PolynomialDecay(0.0, 0.9, begin_step=0, end_step=1000)
    model = pruning.prune_low_magnitude(model, schedule)
    model.fit(x, y, callbacks=[pruning.UpdatePruningStep()])
    model = pruning.strip_pruning(model)

The schedules are tfmot's own classes. tfmot is imported when one of them is first used,
without changing ``tf.keras`` or the environment.
"""

from typing import TYPE_CHECKING, Any

from kerasinit.pruning.callbacks import UpdatePruningStep
from kerasinit.pruning.early_stopping import EarlyStopping
from kerasinit.pruning.hold import HoldMasks
from kerasinit.pruning.inventory import WeightSummary, summary, weight_summaries
from kerasinit.pruning.layer_policies import PruneKnownLayers, PruneTrainableLayers
from kerasinit.pruning.policy import PruneForLatencyOnXNNPack, PruningPolicy
from kerasinit.pruning.prunable_layer import PrunableLayer
from kerasinit.pruning.prune import (
    apply_masks,
    begin_step,
    masks,
    prune_low_magnitude,
    strip_pruning,
)
from kerasinit.pruning.registry import PrunableWeight, prunable_weights
from kerasinit.pruning.selection import keep_largest
from kerasinit.pruning.summaries import PruningSummaries
from kerasinit.pruning.tfmot_bridge import prune_scope
from kerasinit.pruning.tfmot_bridge import tfmot as _tfmot

if TYPE_CHECKING:
    # tfmot has no types, and is not imported before one of these is asked for.
    ConstantSparsity: Any
    PolynomialDecay: Any
    PruningSchedule: Any

_FROM_TFMOT = ("ConstantSparsity", "PolynomialDecay", "PruningSchedule")

__all__ = [
    "ConstantSparsity",
    "EarlyStopping",
    "HoldMasks",
    "PolynomialDecay",
    "PrunableLayer",
    "PrunableWeight",
    "PruneForLatencyOnXNNPack",
    "PruneKnownLayers",
    "PruneTrainableLayers",
    "PruningPolicy",
    "PruningSchedule",
    "PruningSummaries",
    "UpdatePruningStep",
    "WeightSummary",
    "apply_masks",
    "begin_step",
    "keep_largest",
    "masks",
    "prunable_weights",
    "prune_low_magnitude",
    "prune_scope",
    "strip_pruning",
    "summary",
    "weight_summaries",
]


def __getattr__(name: str) -> Any:
    if name in _FROM_TFMOT:
        return getattr(_tfmot(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
