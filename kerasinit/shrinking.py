"""Smaller models: pruned channels are taken out, and the gain is measured.

from kerasinit import shrinking

plan = shrinking.structured(model, {"macs": 0.5})
plan.apply(model)
small = shrinking.compact(model)
"""

from kerasinit._src.shrinking.compaction import compact
from kerasinit._src.shrinking.costs import Counts, count
from kerasinit._src.shrinking.groups import Group, Groups, Slice, groups
from kerasinit._src.shrinking.planning import structured
from kerasinit._src.shrinking.removal_plan import Plan, PlannedCost, PlannedGroup
from kerasinit._src.shrinking.rules.dispatch import register_layer

__all__ = [
    "Counts",
    "Group",
    "Groups",
    "Plan",
    "PlannedCost",
    "PlannedGroup",
    "Slice",
    "compact",
    "count",
    "groups",
    "register_layer",
    "structured",
]
