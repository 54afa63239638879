"""What the remaining weights of a level are rewound to.

Everything here is computed from the files of a run: the state that it rewinds to, the weights
of the level before, the masks and the seed. So it can be verified afterwards.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kerasinit._src import errors
from kerasinit._src.lottery.method.controls import Draw
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.outcome import State

_CHOICES = ("init", "step:K", "lr", "lr:K", "finetune", "signs", "constant-signs", "reshuffled")


@dataclass(frozen=True)
class Rewind:
    """A parsed rewind: its name, and the iteration that it goes back to, at least in part."""

    kind: str
    step: int

    @property
    def continues(self) -> bool:
        """Whether a level continues from the final weights of the level before."""
        return self.kind in ("lr", "finetune")


def parse(text: str) -> Rewind:
    """Parse a rewind such as ``"step:100"``; raise ValueError if there is no such rewind."""
    kind, colon, number = text.partition(":")
    counted = re.fullmatch(r"\d{1,15}", number) and int(number) > 0
    if (kind in ("step", "lr") and counted) or (text in _CHOICES and not colon):
        return Rewind(kind, int(number) if colon else 0)
    raise errors.unknown("rewind", text, _CHOICES, "K is at least 1.")


def signs(first: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Keep the initial signs only: the layer's initial magnitudes are permuted."""
    sizes = random.permutation(np.abs(first).reshape(-1)).reshape(first.shape)
    return np.copysign(sizes, first)


def constant_signs(first: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Keep the initial signs, with the layer's standard deviation as every magnitude."""
    # In double precision, so that the order of summation does not matter.
    size = np.std(first, dtype=np.float64).astype(first.dtype)
    return np.copysign(size, first)


def reshuffled(first: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Permute the initial values of the remaining weights among them."""
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
    """Return the state that a pruned network starts from, before its masks are applied.

    ======================  ===========================================================
    ``init``                the initial state
    ``step:K``              the state after K iterations
    ``lr``, ``lr:K``        the final weights, with the optimizer as it was initially or
                            after K iterations: its schedule restarts there
    ``finetune``            the final weights and optimizer
    ``signs``               the signs of the initial weights; magnitudes permuted in the layer
    ``constant-signs``      the same, with one magnitude for each layer
    ``reshuffled``          the remaining weights' initial values, permuted in the layer
    ======================  ===========================================================

    Weights that are never pruned (such as biases) follow `init` with the last three. ``kept`` is
    the state of the dense network at ``rewind.step``, with its optimizer's variables; ``ended`` the
    state that the level before ended with, used only by rewinds that continue from it.

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
                f"The rewind {rewind.kind!r} continues from the final state of the level before; "
                f"expected it as ended, got None."
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
