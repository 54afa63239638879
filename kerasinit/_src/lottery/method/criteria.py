"""Pruning criteria: scores of weights, the larger the better.

Most criteria use a weight's values before and after training. Those that use the network
itself, with gradients, are in `lottery.method.saliency`.
"""

from collections.abc import Callable

import numpy as np

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


def magnitude(final: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Score by the magnitude after training, ``|w_f|``; also known as `large_final`.

    Reference:
        Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635; called large final by
        Zhou et al., 2019, https://arxiv.org/abs/1905.01067.
    """
    return np.abs(final)


def magnitude_increase(final: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Score by the increase in magnitude during training, ``|w_f| - |w_i|``.

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1905.01067.
    """
    return np.abs(final) - np.abs(initial)


def movement(final: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Score by the distance from the initial value, ``|w_f - w_i|``.

    This is movement as in Zhou et al. (2019). The movement pruning of Sanh et al. (2020) sums
    ``-w dL/dw`` over all steps, which a run does not store.

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1905.01067.
    """
    return np.abs(final - initial)


# Functions of a weight's final and initial values.
FROM_WEIGHTS: dict[str, Score] = {
    "magnitude": magnitude,
    "large_final": magnitude,
    "magnitude_increase": magnitude_increase,
    "movement": movement,
}
# Functions of the network before it is trained: see `lottery.method.saliency`.
FROM_NETWORK = ("grasp", "snip", "synflow")
CRITERIA = (*FROM_WEIGHTS, *FROM_NETWORK, "random")
