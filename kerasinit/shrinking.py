"""Smaller models: pruned channels are taken out, and the gain is measured.

from kerasinit import shrinking

small = shrinking.compact(model)
"""

from kerasinit._src.shrinking.compaction import compact
from kerasinit._src.shrinking.costs import Counts, count
from kerasinit._src.shrinking.groups import Group, Groups, Slice, groups
from kerasinit._src.shrinking.rules.dispatch import register_layer

__all__ = ["Counts", "Group", "Groups", "Slice", "compact", "count", "groups", "register_layer"]
