"""First weights that look at the data: scales from a batch, or from the theory of one."""

from kerasinit.data_dependent.lsuv import lsuv
from kerasinit.data_dependent.per_unit import weight_norm, within_layer
from kerasinit.data_dependent.propagation import propagate_moments

__all__ = ["lsuv", "propagate_moments", "weight_norm", "within_layer"]
