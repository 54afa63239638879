"""Smaller models: dead channels are taken out, and what that brings is measured.

Pruning leaves zeros, which a phone or a server multiplies like any other numbers::

    from kerasinit import shrinking

    small = shrinking.compact(model)  # the same outputs, without dead units and channels
    print(shrinking.footprint(model, small, x[:1]))
    shrinking.export(small, "small.tflite", quantize="int8", representative_data=x[:100])
"""

from kerasinit._src.shrinking.channel_groups import Group, Groups, Slice, groups
from kerasinit._src.shrinking.compaction import compact
from kerasinit._src.shrinking.costs import Counts, LayerCounts, count
from kerasinit._src.shrinking.exported import Export
from kerasinit._src.shrinking.exporting import export
from kerasinit._src.shrinking.footprints import FileSize, Footprint, FootprintRow, Latency
from kerasinit._src.shrinking.importance import Importance
from kerasinit._src.shrinking.measuring import footprint
from kerasinit._src.shrinking.planning import structured
from kerasinit._src.shrinking.removal_plan import Plan, PlannedCost, PlannedGroup
from kerasinit._src.shrinking.rules.dispatch import register_layer
from kerasinit._src.shrinking.structured_masks import StructuredPruning

__all__ = [
    "Counts",
    "Export",
    "FileSize",
    "Footprint",
    "FootprintRow",
    "Group",
    "Groups",
    "Importance",
    "Latency",
    "LayerCounts",
    "Plan",
    "PlannedCost",
    "PlannedGroup",
    "Slice",
    "StructuredPruning",
    "compact",
    "count",
    "export",
    "footprint",
    "groups",
    "register_layer",
    "structured",
]
