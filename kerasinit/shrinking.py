"""Smaller models: dead or unimportant channels are removed, and the gain is measured.

Pruning leaves zeros, which a phone or a server multiplies like any other numbers::

    from kerasinit import shrinking

    plan = shrinking.structured(model, {"macs": 0.5}, round_to=8)
    model.fit(x, y, callbacks=[shrinking.StructuredPruning(plan, schedule)])
    small = shrinking.compact(model)  # the same outputs, without dead units and channels
    print(shrinking.footprint(model, small, x[:1]))
    shrinking.export(small, "small.tflite", quantize="int8", representative_data=x[:100])

Names are imported on first use, so that TensorFlow is imported only where it is needed.
"""

from kerasinit._src import lazy

__getattr__, __dir__, __all__ = lazy.exports(__name__, __file__)
