"""What a ticket is compared with, so that its success means something.

A control keeps part of what makes a ticket and changes the rest: its mask, its weights,
or both. Whatever wins as often as the ticket shows that the changed part did not matter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerasinit._src.mask_arrays import Masks

Draw = Callable[[str], np.random.Generator]


def kept(masks: Masks, draw: Draw) -> Masks:
    """Return the ticket's own masks."""
    return masks


def shuffled(masks: Masks, draw: Draw) -> Masks:
    """Return masks whose places are permuted within each layer: equal counts, other places.

    Example:
    >>> masks = Masks({"kernel": np.arange(8) < 3})
    >>> shuffled(masks, lambda name: np.random.default_rng(0))["kernel"].astype(int)
    array([1, 0, 0, 0, 0, 1, 1, 0])

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
    """Return random masks that keep as many weights in all, wherever they fall.

    All weights are equally likely to live, so every layer has about the density of the
    whole, which a ticket's layers do not. Only if a layer would lose its last weight, one
    of it lives in place of one of another layer.

    Example:
    >>> masks = Masks({"a": np.arange(6) < 6, "b": np.arange(6) < 1})
    >>> drawn = scattered(masks, lambda name: np.random.default_rng(0))
    >>> drawn.kept, int(drawn["a"].sum()), int(drawn["b"].sum())
    (7, 5, 2)
    """
    ends = np.cumsum([mask.size for mask in masks.values()])
    random = draw("")
    lives = np.zeros(masks.size, bool)
    lives[random.choice(masks.size, masks.kept, replace=False)] = True
    layers = np.split(lives, ends[:-1])  # views, so what changes in one changes in `lives`
    for layer in layers:
        if not layer.any():
            # Of layers that can spare one.
            spare = np.concatenate([part & (np.count_nonzero(part) > 1) for part in layers])
            lives[random.choice(np.flatnonzero(spare))] = False
            layer[random.integers(layer.size)] = True
    return Masks(
        {
            name: layer.reshape(mask.shape)
            for (name, mask), layer in zip(masks.items(), layers, strict=True)
        }
    )


@dataclass(frozen=True)
class Control:
    """What a control changes.

    Attributes:
        masks: A function of the ticket's masks and random numbers.
        fresh: Whether the weights are drawn anew; if not, they are the ticket's.
    """

    masks: Callable[[Masks, Draw], Masks]
    fresh: bool


CONTROLS: dict[str, Control] = {
    # Is it the structure alone that wins? Frankle and Carbin, 2019, section 2.
    "reinit": Control(kept, fresh=True),
    # Is it how many weights each layer keeps?
    "shuffle": Control(shuffled, fresh=False),
    # Is it how many weights the network keeps?
    "random-mask": Control(scattered, fresh=False),
    # Is it the layers' densities alone, without the weights?
    "shuffle-reinit": Control(shuffled, fresh=True),
}
