"""What the survivors of a level go back to.

Everything here is worked out from what a run has on disk: the state that it rewinds to,
the weights of the level before, the masks and the seed. So it can be proven afterwards.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kerasinit._src import errors
from kerasinit._src.mask_arrays import Masks

State = dict[str, np.ndarray]
Draw = Callable[[str], np.random.Generator]

_CHOICES = (
    "init",
    "step:K",
    "lr",
    "lr:K",
    "finetune",
    "signs",
    "constant-signs",
    "reshuffled",
)


@dataclass(frozen=True)
class Rewind:
    """A rewind that was understood.

    Attributes:
        kind: Its name without the number.
        step: The iteration whose state it goes back to, in whole or in part.
    """

    kind: str
    step: int

    @property
    def continues(self) -> bool:
        """Whether a level goes on from the weights that the level before ended with."""
        return self.kind in ("lr", "finetune")


def parse(text: str) -> Rewind:
    """Return the rewind that a word such as ``"step:100"`` asks for.

    Raises:
        ValueError: If it asks for none that there is.

    Example:
    >>> parse("step:100")
    Rewind(kind='step', step=100)
    >>> parse("lr").continues
    True
    """
    kind, colon, number = text.partition(":")
    counted = re.fullmatch(r"\d{1,15}", number) and int(number) > 0
    if (kind in ("step", "lr") and counted) or (text in _CHOICES and not colon):
        return Rewind(kind, int(number) if colon else 0)
    raise errors.unknown("rewind", text, _CHOICES, "K is at least 1.")


def signs(first: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Keep the first signs alone: the layer's first sizes are permuted.

    Example:
    >>> signs(np.array([1.0, -2.0, 3.0]), np.ones(3, bool), np.random.default_rng(0))
    array([ 3., -1.,  2.])
    """
    sizes = random.permutation(np.abs(first).reshape(-1)).reshape(first.shape)
    return np.copysign(sizes, first)


def constant_signs(first: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Keep the first signs, all of one size: the standard deviation of the layer's first values.

    Example:
    >>> constant_signs(np.array([3.0, -1.0, 3.0, -1.0]), np.ones(4, bool), None)
    array([ 2., -2.,  2., -2.])
    """
    # In double precision, so that the order of summation does not show.
    size = np.std(first, dtype=np.float64).astype(first.dtype)
    return np.copysign(size, first)


def reshuffled(first: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Permute the first values of the survivors among them.

    Example:
    >>> mask = np.array([True, False, True, True])
    >>> reshuffled(np.array([1.0, 2.0, 3.0, 4.0]), mask, np.random.default_rng(0))
    array([4., 2., 1., 3.])
    """
    values = first.copy()
    values[mask] = random.permutation(first[mask])
    return values


_VALUES = {"signs": signs, "constant-signs": constant_signs, "reshuffled": reshuffled}


def start(
    rewind: Rewind,
    *,
    kept: Mapping[str, np.ndarray],
    ended: Mapping[str, np.ndarray] | None,
    masks: Masks,
    draw: Draw,
) -> State:
    """Return the state that a pruned network starts from, before its masks are put on.

    ======================  ===========================================================
    ``init``                the first state
    ``step:K``              the state after K iterations
    ``lr``, ``lr:K``        the weights as they ended, the optimizer as it was first or
                            after K iterations: its schedule begins there again
    ``finetune``            weights and optimizer as they ended
    ``signs``               the signs of the first weights; sizes are the layer's, permuted
    ``constant-signs``      the same, with one size for each layer
    ``reshuffled``          the survivors' first values, permuted within the layer
    ======================  ===========================================================

    Weights that are never pruned (biases and such) follow `init` with the last three.

    Args:
        rewind: Which.
        kept: The state of the dense network at ``rewind.step``, its optimizer's too.
        ended: The state that the level before ended with; only looked at by rewinds
            that go on from it. The optimizer's is only needed for ``finetune``.
        masks: Which weights live.
        draw: Returns the random numbers for a weight's name.

    Raises:
        ValueError: If there is no ``ended`` and the rewind goes on from it.

    Reference:
        ``init``: Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635; ``step``:
        Frankle et al., 2020, https://arxiv.org/abs/1912.05671; ``lr``, ``finetune``:
        Renda et al., 2020, https://arxiv.org/abs/2003.02389; the others: Zhou et al., 2019,
        https://arxiv.org/abs/1905.01067.
    """
    state = dict(kept)
    if rewind.continues:
        if ended is None:
            raise ValueError(
                f"The rewind {rewind.kind!r} goes on from the state that the level before ended "
                f"with; expected it as ended, got None."
            )
        keeps_optimizer = rewind.kind == "lr"
        for name, value in ended.items():
            if not (keeps_optimizer and name.startswith("optimizer/")):
                state[name] = value
        return state
    if rewind.kind in _VALUES:
        for name, mask in masks.items():
            state[name] = _VALUES[rewind.kind](kept[name], mask, draw(name))
    return state
