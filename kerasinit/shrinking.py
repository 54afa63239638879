"""Smaller models: pruned channels are taken out, and the gain is measured.

from kerasinit import shrinking

plan = shrinking.structured(model, {"macs": 0.5})
model.fit(x, y, callbacks=[shrinking.StructuredPruning(plan, schedule)])
small = shrinking.compact(model)

Only `StructuredPruning` imports TensorFlow.
"""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)
