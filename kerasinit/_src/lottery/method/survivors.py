"""Which weights survive a level: the best by their scores, exactly as many as are wanted."""

from collections.abc import Callable, Mapping

import numpy as np

from kerasinit._src import streams
from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.lottery.method import criteria, scopes
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.pruning.selection import keep_largest

Wanted = Mapping[str, int] | int


def keep(scores: Mapping[str, np.ndarray], masks: Masks, wanted: Wanted) -> Masks:
    """Return the survivors with the largest scores.

    Of equal scores those that come first stay: first in the model, then in memory.

    Args:
        scores: By name, of the masks' shapes; not looked at where nothing lives.
        masks: Which weights live so far.
        wanted: How many are to live: of each weight, or of all of them together. Then the
            best of each layer lives in any case.

    Raises:
        ValueError: If a score is not finite, or more are wanted than live.

    Example:
    >>> masks = Masks.dense({"a": (3,), "b": (2,)})
    >>> scores = {"a": np.array([5.0, 1.0, 5.0]), "b": np.array([1.0, 0.0])}
    >>> {k: v.astype(int).tolist() for k, v in keep(scores, masks, {"a": 1, "b": 1}).items()}
    {'a': [1, 0, 0], 'b': [1, 0]}
    >>> {k: v.astype(int).tolist() for k, v in keep(scores, masks, 4).items()}
    {'a': [1, 1, 1], 'b': [1, 0]}
    """
    if not isinstance(wanted, int):
        return Masks(
            {name: keep_largest(scores[name], wanted[name], among=masks[name]) for name in masks}
        )
    best = keep(scores, masks, dict.fromkeys(masks, 1))
    others = np.concatenate([(masks[name] & ~best[name]).reshape(-1) for name in masks])
    everything = np.concatenate([np.asarray(scores[name]).reshape(-1) for name in masks])
    chosen = keep_largest(everything, wanted - len(masks), among=others)
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
    score_network: Callable[[Wanted], Masks] | None = None,
) -> Masks:
    """Return the masks of a level from the files of an earlier one.

    Args:
        experiment: The run.
        trial: The trial.
        level: The level that is wanted, at least 1.
        masks: Those of the level before.
        began: The weights that the level it is pruned from began with: the level before,
            or level 0 if the experiment is one-shot.
        ended: Those that it ended with.
        score_network: For a criterion that looks at the network: returns the masks for
            as many survivors as are wanted.

    Raises:
        ValueError: If the criterion looks at the network and there is none.
    """
    wanted = scopes.counts(experiment, {name: mask.shape for name, mask in masks.items()}, level)
    name = experiment.criterion
    if name in criteria.FROM_NETWORK:
        if score_network is None:
            raise ValueError(
                f"The criterion {name} needs the network and its data; files do not suffice."
            )
        return score_network(wanted)
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
    return keep(scores, masks, wanted)


def prune(weights: Mapping[str, np.ndarray], masks: Masks, rates: Mapping[str, float]) -> Masks:
    """Remove the weights of least magnitude among each layer's survivors.

    Of ``n`` survivors, ``round(n * (1 - rate))`` stay, at least one. Of weights that
    are equally large, those that come first in memory stay.

    Args:
        weights: Trained values, by name.
        masks: Which weights live so far.
        rates: The fraction of survivors to remove, by name.

    Example:
    >>> masks = Masks({"kernel": np.array([True, True, True, False])})
    >>> prune({"kernel": np.array([-3.0, 0.1, 2.0, 0.0])}, masks, {"kernel": 0.3})["kernel"]
    array([ True, False,  True, False])
    """
    wanted = {
        name: max(1, round(int(np.count_nonzero(mask)) * (1 - rates[name])))
        for name, mask in masks.items()
    }
    return keep({name: np.abs(weights[name]) for name in masks}, masks, wanted)
