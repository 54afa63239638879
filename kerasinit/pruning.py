"""TensorFlow's pruning API, for Keras 3 as well as tf_keras.

The names and arguments are those of ``tfmot.sparsity.keras``, of the package
tensorflow-model-optimization::

    from kerasinit import pruning

    schedule = pruning.PolynomialDecay(0.0, 0.9, begin_step=0, end_step=1000)
    model = pruning.prune_low_magnitude(model, schedule)
    model.fit(x, y, callbacks=[pruning.UpdatePruningStep()])
    model = pruning.strip_pruning(model)

The schedules have tfmot's names, arguments and numbers, and tfmot's own schedules are accepted.
tf_keras models are pruned by tfmot itself, which is imported when there is one, without changing
``tf.keras`` or the environment.
"""

from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.prunable import PrunableWeight, prunable_weights
from kerasinit._src.network.prunable_layer import PrunableLayer
from kerasinit._src.pruning.callbacks import PruningSummaries, UpdatePruningStep
from kerasinit._src.pruning.early_stopping import EarlyStopping
from kerasinit._src.pruning.entry import (
    apply_masks,
    begin_step,
    masks,
    prune_low_magnitude,
    strip_pruning,
)
from kerasinit._src.pruning.hold import HoldMasks
from kerasinit._src.pruning.inventory import (
    WeightSummaries,
    WeightSummary,
    summary,
    weight_summaries,
)
from kerasinit._src.pruning.layer_policies import PruneKnownLayers, PruneTrainableLayers
from kerasinit._src.pruning.policy import PruneForLatencyOnXNNPack, PruningPolicy
from kerasinit._src.pruning.schedules import (
    ConstantSparsity,
    PolynomialDecay,
    PruningSchedule,
)
from kerasinit._src.pruning.selection import keep_largest
from kerasinit._src.pruning.tfmot_bridge import prune_scope

__all__ = [
    "ConstantSparsity",
    "EarlyStopping",
    "HoldMasks",
    "Masks",
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
    "WeightSummaries",
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
