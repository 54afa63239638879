"""Controls: what a ticket is compared with, so that its success means something.

A control keeps part of what makes a ticket and changes the rest: its mask, its weights, or
both. If it does as well as the ticket, the changed part did not matter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerasinit._src.mask_arrays import Masks

Draw = Callable[[str], np.random.Generator]


def unchanged(masks: Masks, draw: Draw) -> Masks:
    """Return the ticket's masks unchanged."""
    return masks


def shuffled(masks: Masks, draw: Draw) -> Masks:
    """Return masks permuted within each layer, with equal counts.

    Reference:
        Frankle et al., 2021, https://arxiv.org/abs/2009.08576, section 5.
    """
    return Masks(
        {
            name: draw(name).permutation(mask.reshape(-1)).reshape(mask.shape)
            for name, mask in masks.items()
        }
    )


def scattered(masks: Masks, draw: Draw) -> Masks:
    """Return random masks that keep as many weights in total.

    All weights are equally likely to be kept, so every layer has about the density of the whole
    network, unlike a ticket's layers. A layer that would lose its last weight takes one from
    another layer.
    """
    ends = np.cumsum([mask.size for mask in masks.values()])
    random = draw("")
    kept = np.zeros(masks.size, bool)
    kept[random.choice(masks.size, masks.kept, replace=False)] = True
    layers = np.split(kept, ends[:-1])  # views of `kept`
    for layer in layers:
        if not layer.any():
            # From layers with more than one.
            spare = np.concatenate([part & (np.count_nonzero(part) > 1) for part in layers])
            kept[random.choice(np.flatnonzero(spare))] = False
            layer[random.integers(layer.size)] = True
    return Masks(
        {
            name: layer.reshape(mask.shape)
            for (name, mask), layer in zip(masks.items(), layers, strict=True)
        }
    )


@dataclass(frozen=True)
class Control:
    """How a control derives its masks from the ticket's, and whether its weights are redrawn."""

    masks: Callable[[Masks, Draw], Masks]
    fresh: bool


CONTROLS: dict[str, Control] = {
    # Is it the structure alone? Frankle and Carbin, 2019, section 2.
    "reinit": Control(unchanged, fresh=True),
    # Is it how many weights each layer keeps?
    "shuffle": Control(shuffled, fresh=False),
    # Is it how many weights the network keeps?
    "random-mask": Control(scattered, fresh=False),
    # Is it the layers' densities alone, without the weights?
    "shuffle-reinit": Control(shuffled, fresh=True),
}
