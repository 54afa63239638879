"""Which weights remain at a level: exactly as many as required, those with the best scores."""

from collections.abc import Callable, Mapping

import numpy as np

from kerasinit._src import streams
from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.lottery.method import criteria, scopes
from kerasinit._src.mask_arrays import Masks, keep_largest

Target = Mapping[str, int] | int


def keep(scores: Mapping[str, np.ndarray], masks: Masks, target: Target) -> Masks:
    """Return masks of the weights with the largest scores among those of ``masks``.

    ``target`` is the number to keep of each weight, or of all together; then at least the best of
    each layer is kept. Among equal scores the first are kept: in the model's order, then in memory.
    """
    if not isinstance(target, int):
        return Masks(
            {name: keep_largest(scores[name], target[name], among=masks[name]) for name in masks}
        )
    best = keep(scores, masks, dict.fromkeys(masks, 1))
    others = np.concatenate([(masks[name] & ~best[name]).reshape(-1) for name in masks])
    everything = np.concatenate([np.asarray(scores[name]).reshape(-1) for name in masks])
    chosen = keep_largest(everything, target - len(masks), among=others)
    ends = np.cumsum([mask.size for mask in masks.values()])[:-1]
    pieces = zip(masks, np.split(chosen, ends), strict=True)
    return Masks({name: best[name] | piece.reshape(best[name].shape) for name, piece in pieces})


def next_masks(
    experiment: Experiment,
    trial: int,
    level: int,
    masks: Masks,
    *,
    began: Mapping[str, np.ndarray],
    ended: Mapping[str, np.ndarray],
    score_network: Callable[[Target], Masks] | None = None,
) -> Masks:
    """Return the masks of a level (at least 1) from the masks of the level before.

    ``began`` and ``ended`` are the weights at the start and end of the level that is scored: the
    one before, or level 0 if the experiment is one-shot. ``score_network`` returns the masks for a
    criterion that uses the network, given the target.
    """
    target = scopes.counts(experiment, {name: mask.shape for name, mask in masks.items()}, level)
    name = experiment.criterion
    if name in criteria.FROM_NETWORK:
        if score_network is None:
            raise ValueError(
                f"The criterion {name} needs the network and its data; its files are not enough."
            )
        return score_network(target)
    if name == "random":
        scores = {
            weight: streams.generator(
                experiment.seed, "criterion", trial, experiment.scored_level(level), weight
            ).random(mask.shape)
            for weight, mask in masks.items()
        }
    else:
        score = criteria.FROM_WEIGHTS[name]
        scores = {weight: score(ended[weight], began[weight]) for weight in masks}
    return keep(scores, masks, target)


def prune(weights: Mapping[str, np.ndarray], masks: Masks, rates: Mapping[str, float]) -> Masks:
    """Remove the smallest-magnitude weights of each layer's remaining ones.

    The pruning step of a lottery run (iterative magnitude pruning, IMP), layer by layer.

    Formula: of ``n`` remaining weights, the ``max(round(n * (1 - rate)), 1)`` with the largest
    ``|w|`` are kept. Among equal magnitudes the first in memory are kept.

    Args:
        weights: Trained values, an array of the shape of each mask by name.
        masks: Which weights remain so far.
        rates: The fraction of remaining weights to remove, between 0 and 1, by name.

    Returns:
        The new masks, which keep a subset of the weights.

    Raises:
        ValueError: If a weight is not finite, or a mask has another shape than its weight.

    Example:
    >>> from kerasinit.pruning import Masks
    >>> masks = Masks({"kernel": np.array([True, True, True, False])})
    >>> prune({"kernel": np.array([-3.0, 0.1, 2.0, 0.0])}, masks, {"kernel": 0.3})["kernel"]
    array([ True, False,  True, False])

    Reference:
        Frankle and Carbin, 2019, "The lottery ticket hypothesis",
        https://arxiv.org/abs/1803.03635, section 1.
    """
    target = {
        name: max(1, round(int(np.count_nonzero(mask)) * (1 - rates[name])))
        for name, mask in masks.items()
    }
    return keep({name: np.abs(weights[name]) for name in masks}, masks, target)
