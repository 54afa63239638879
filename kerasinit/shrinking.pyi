"""The names of ``shrinking``; see ``shrinking.py``."""

from kerasinit._src.shrinking.channel_groups import Group as Group
from kerasinit._src.shrinking.channel_groups import Groups as Groups
from kerasinit._src.shrinking.channel_groups import Slice as Slice
from kerasinit._src.shrinking.channel_groups import groups as groups
from kerasinit._src.shrinking.compaction import compact as compact
from kerasinit._src.shrinking.costs import Counts as Counts
from kerasinit._src.shrinking.costs import LayerCounts as LayerCounts
from kerasinit._src.shrinking.costs import count as count
from kerasinit._src.shrinking.exported import Export as Export
from kerasinit._src.shrinking.exporting import export as export
from kerasinit._src.shrinking.footprints import FileSize as FileSize
from kerasinit._src.shrinking.footprints import Footprint as Footprint
from kerasinit._src.shrinking.footprints import FootprintRow as FootprintRow
from kerasinit._src.shrinking.footprints import Latency as Latency
from kerasinit._src.shrinking.measuring import footprint as footprint
from kerasinit._src.shrinking.rules.dispatch import register_layer as register_layer
