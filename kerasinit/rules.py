"""Ready rules for whole networks, as the papers give them.

What depends on where a layer stands, such as at the end of one of N residual branches, no
initializer can know. Each function here looks at a model and returns the rules for
`kerasinit.reinitialize`, which takes the function itself, too:

    kerasinit.reinitialize(model, kerasinit.rules.fixup, seed=1)
    kerasinit.reinitialize(model, kerasinit.rules.gpt2(model, num_blocks=12), seed=1)

Residual branches are read from the graph of a functional model. A sum inside a layer's own
``call`` cannot be seen: there, and in a subclassed model, the branches are told. A model
that a rule has nothing to say about is refused.
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
