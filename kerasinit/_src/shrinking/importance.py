"""The importance of the channels of a group: functions that return a number for each.

In the scope ``"global"`` the numbers of all groups are compared with each other.
"""

from collections.abc import Callable

import numpy as np

from kerasinit._src import compat
from kerasinit._src.network.catalogue import ROLE_BY_NAME
from kerasinit._src.shrinking.channel_groups import Group, Slice

# Returns None for a group of which it says nothing; that group is kept whole.
Importance = Callable[[Group], np.ndarray | None]


class WeightScores:
    """Scores that come from the weights alone; each variable is read once."""

    def __init__(self) -> None:
        self._read: dict[int, np.ndarray] = {}

    def _values(self, one: Slice) -> np.ndarray:
        if id(one.variable) not in self._read:
            self._read[id(one.variable)] = compat.read(one.variable).astype("float32")
        moved = np.moveaxis(self._read[id(one.variable)], one.axis, 0)
        return moved[one.positions].reshape(len(one.positions), -1)

    def magnitude(self, group: Group) -> np.ndarray | None:
        """The mean over all kernels and scales that make or read a channel of their squared norm.

        For channel ``c`` and its slices ``w_1 .. w_K``: ``I(c) = 1/K sum_k |w_k[c]|^2``, divided by
        the mean over the group.
        """
        slices = [one for one in group.slices if one.role != "statistic" and _multiplies(one)]
        if not slices:
            return None
        squares = [(self._values(one).astype("float64") ** 2).sum(1) for one in slices]
        return relative(np.mean(squares, 0))

    def filter_norm(self, group: Group, order: int) -> np.ndarray | None:
        """The L1 or L2 norm of the kernels that make a channel, normalized by their size."""
        kernels = [one for one in group.slices if one.role == "out" and _is_kernel(one)]
        if not kernels:
            return None
        values = np.concatenate([self._values(one) for one in kernels], 1).astype("float64")
        return relative((np.abs(values) ** order).mean(1) ** (1 / order))

    def batch_norm(self, group: Group) -> np.ndarray | None:
        """The absolute scale ``|gamma|`` of batch normalizations, their mean if there are several.

        It isn't divided by anything: network slimming compares the scales of all layers.
        """
        normalizations = {_owner(one) for one in group.slices if one.role == "statistic"}
        scales = [
            np.abs(self._values(one)).mean(1)
            for one in group.slices
            if _owner(one) in normalizations and _role(one) == "scale"
        ]
        return np.mean(scales, 0).astype("float64") if scales else None


def relative(scores: np.ndarray) -> np.ndarray:
    """Divide scores by the mean of those that are not zero, as they are of removed channels.

    Scores of several groups can then be compared, however much of each has been removed.
    """
    return scores / scores[scores > 0].mean() if (scores > 0).any() else scores


def _owner(one: Slice) -> str:
    return one.name.rsplit("/", 1)[0]


def _role(one: Slice) -> str | None:
    return ROLE_BY_NAME.get(compat.variable_name(one.variable))


def _multiplies(one: Slice) -> bool:
    return _is_kernel(one) or _role(one) == "scale"


def _is_kernel(one: Slice) -> bool:
    # The bias of an attention or of a recurrent layer has two axes.
    return _role(one) is None and len(one.variable.shape) > 1
