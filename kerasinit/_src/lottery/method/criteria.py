"""Which weights are worth keeping: scores, the larger the better.

Most criteria look at the values that a weight began and ended a training with. Those that
look at the network itself, with gradients, are in `lottery.method.saliency`.
"""

from collections.abc import Callable

import numpy as np

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


def magnitude(ended: np.ndarray, began: np.ndarray) -> np.ndarray:
    """Score by the size after training, ``|w_f|``; `large_final` is another name for it.

    Example:
    >>> magnitude(np.array([-3.0, 1.0]), np.array([2.0, 2.0]))
    array([3., 1.])

    Reference:
        Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635; called large final by
        Zhou et al., 2019, https://arxiv.org/abs/1905.01067.
    """
    return np.abs(ended)


def magnitude_increase(ended: np.ndarray, began: np.ndarray) -> np.ndarray:
    """Score by how much the size grew while training, ``|w_f| - |w_i|``.

    Example:
    >>> magnitude_increase(np.array([-3.0, 1.0]), np.array([2.0, 2.0]))
    array([ 1., -1.])

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1905.01067.
    """
    return np.abs(ended) - np.abs(began)


def movement(ended: np.ndarray, began: np.ndarray) -> np.ndarray:
    """Score by the way a weight went while training, ``|w_f - w_i|``.

    This is movement as Zhou et al. (2019) mean it. The movement pruning of Sanh et al.
    (2020) adds up ``-w dL/dw`` over all steps, which a run does not keep.

    Example:
    >>> movement(np.array([-3.0, 1.0]), np.array([2.0, 2.0]))
    array([5., 1.])

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1905.01067.
    """
    return np.abs(ended - began)


# From what a weight ended with and began with.
FROM_WEIGHTS: dict[str, Score] = {
    "magnitude": magnitude,
    "large_final": magnitude,
    "magnitude_increase": magnitude_increase,
    "movement": movement,
}
# From the network, before it is trained: see `lottery.method.saliency`.
FROM_NETWORK = ("grasp", "snip", "synflow")
CRITERIA = (*FROM_WEIGHTS, *FROM_NETWORK, "random")
