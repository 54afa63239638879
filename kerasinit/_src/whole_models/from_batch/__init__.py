"""First weights that look at the data: scales from a batch, or from the theory of one."""

from kerasinit._src.whole_models.from_batch.layer_sequential import lsuv
from kerasinit._src.whole_models.from_batch.moment_propagation import propagate_moments
from kerasinit._src.whole_models.from_batch.per_unit import weight_norm, within_layer

__all__ = ["lsuv", "propagate_moments", "weight_norm", "within_layer"]
