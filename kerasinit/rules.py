"""Rules for whole networks, as defined in the papers.

An initializer does not know the position of its layer, such as the end of one of N residual
branches. Each function here examines a model and returns the rules for `kerasinit.reinitialize`,
which also accepts the function itself:

    kerasinit.reinitialize(model, kerasinit.rules.fixup, seed=1)
    kerasinit.reinitialize(model, kerasinit.rules.gpt2(model, num_blocks=12), seed=1)

Residual branches are read from the graph of a functional model. A sum inside a layer's own
``call`` is not visible: in that case, and for a subclassed model, pass the branches. A model to
which a rule does not apply raises an error.
"""

from kerasinit._src.whole_models.rules.convolutional import alexnet
from kerasinit._src.whole_models.rules.residual import fixup, gpt2, zero_last
from kerasinit._src.whole_models.rules.transformers import (
    DeepNormScales,
    deepnorm,
    deepnorm_scales,
    t_fixup,
)

__all__ = [
    "DeepNormScales",
    "alexnet",
    "deepnorm",
    "deepnorm_scales",
    "fixup",
    "gpt2",
    "t_fixup",
    "zero_last",
]
