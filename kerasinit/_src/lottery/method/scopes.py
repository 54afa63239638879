"""How many weights each layer keeps at a level.

At every level all scopes keep the same number of weights of the network, given by the rates;
they differ in how they distribute them over the layers. So their curves can be compared at
equal densities. No layer ever loses its last weight, or has more than at the level before.
"""

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Protocol

import numpy as np

from kerasinit._src import errors

Shapes = Mapping[str, tuple[int, ...]]


class Rates(Protocol):
    """The options of a `kerasinit.lottery.Experiment` that decide how many weights are removed."""

    @property
    def scope(self) -> str: ...
    @property
    def rate(self) -> float: ...
    @property
    def output_rate(self) -> float: ...
    @property
    def layer_rates(self) -> Mapping[str, float]: ...


def rates(experiment: Rates, names: Iterable[str]) -> dict[str, float]:
    """Return the fraction of its remaining weights that a level removes from each weight.

    ``names`` are in the model's order; the last one's layer is the output layer. Of several
    matching patterns the first counts.

    Example:
    >>> from kerasinit.lottery import Experiment
    >>> experiment = Experiment(layer_rates={"conv2d_1": 0.3, "conv2d*": 0.15})
    >>> names = ["conv2d/kernel", "conv2d_1/kernel", "dense/kernel", "dense_1/kernel"]
    >>> list(rates(experiment, names).values())
    [0.15, 0.3, 0.2, 0.1]
    """
    layers = {name: name.rpartition("/")[0] for name in names}
    given = experiment.layer_rates
    for pattern in given:
        if not any(_fits(pattern, name, layer) for name, layer in layers.items()):
            raise errors.unknown(
                "layer in --layer-rates",
                pattern,
                {layer or name for name, layer in layers.items()},
                "A pattern such as conv2d* matches several.",
            )
    output = list(layers.values())[-1]
    return {
        name: next(
            (given[pattern] for pattern in given if _fits(pattern, name, layer)),
            experiment.output_rate if layer == output else experiment.rate,
        )
        for name, layer in layers.items()
    }


def _fits(pattern: str, name: str, layer: str) -> bool:
    return fnmatchcase(layer, pattern) or fnmatchcase(name, pattern)


def counts(experiment: Rates, shapes: Shapes, level: int) -> dict[str, int] | int:
    """Return how many weights remain at a level, of each or, with scope ``global``, in total."""
    spread = SCOPES[experiment.scope]
    by_rate = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    removed = rates(experiment, shapes)
    kept = dict(by_rate)
    for _ in range(level):
        by_rate = {name: max(1, round(n * (1 - removed[name]))) for name, n in by_rate.items()}
        kept = spread(sum(by_rate.values()), shapes, kept) if spread else by_rate
    return sum(kept.values()) if experiment.scope == "global" else kept


def erk(total: int, shapes: Shapes, limits: Mapping[str, int]) -> dict[str, int]:
    """Distribute weights by Erdos-Renyi-Kernel: in proportion to the sum of a shape's sides.

    A layer's density is proportional to ``sum(shape) / prod(shape)``, so small layers
    stay denser; what exceeds a layer's ``limits`` goes to the others.

    Reference:
        Evci et al., 2020, https://arxiv.org/abs/1911.11134, section 3.
    """
    parts = allocate(total, [sum(shape) for shape in shapes.values()], [*limits.values()])
    return dict(zip(shapes, parts, strict=True))


def smart_ratios(total: int, shapes: Shapes, limits: Mapping[str, int]) -> dict[str, int]:
    """Distribute weights by smart ratios: fewer in deeper layers, 0.3 of the last layer.

    Of ``L`` layers, layer ``l`` has a density proportional to ``k (k + 1)`` with
    ``k = L - l + 1``; the last one has 0.3, or what it has left.

    Reference:
        Su et al., 2020, https://arxiv.org/abs/2009.11094, section 4.
    """
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    *others, limit = limits.values()
    if len(sizes) == 1:
        return dict(zip(shapes, [total], strict=True))
    last = min(limit, max(1, round(0.3 * sizes[-1])), total - (len(sizes) - 1))
    # What the other layers cannot hold stays in the last.
    last = max(last, total - sum(others))
    steps = range(len(sizes), 1, -1)
    shares = [size * k * (k + 1) for size, k in zip(sizes, steps, strict=False)]
    return dict(zip(shapes, [*allocate(total - last, shares, others), last], strict=True))


# None: by the rates; `global` ranks the weights of all layers together.
SCOPES: dict[str, Callable[[int, Shapes, Mapping[str, int]], dict[str, int]] | None] = {
    "layer": None,
    "global": None,
    "erk": erk,
    "smart-ratios": smart_ratios,
}


def allocate(total: int, shares: Sequence[int], limits: Sequence[int]) -> list[int]:
    """Split an integer exactly in proportion to ``shares``, each part between 1 and its limit.

    What exceeds a limit goes to the others in proportion; the largest remainders are rounded up,
    among equal ones the first.
    """
    if not len(shares) <= total <= sum(limits):
        raise ValueError(
            f"{total} weights cannot be spread over {len(shares)} layers of at most "
            f"{', '.join(map(str, limits))}, with one in each."
        )

    def parts(scale: Fraction) -> list[Fraction]:
        return [
            min(max(scale * share, Fraction(1)), Fraction(limit))
            for share, limit in zip(shares, limits, strict=True)
        ]

    # The sum grows with the scale, linearly between these points.
    corners = sorted(
        {Fraction(bound, s) for s, m in zip(shares, limits, strict=True) for bound in (1, m)}
    )
    above = bisect.bisect_left(corners, total, key=lambda scale: sum(parts(scale)))
    scale = corners[above]
    if above:
        low, high = corners[above - 1], scale
        at_low, at_high = sum(parts(low)), sum(parts(high))
        scale = low + (high - low) * (total - at_low) / (at_high - at_low)
    exact = parts(scale)
    whole = [int(part) for part in exact]
    order = sorted(range(len(exact)), key=lambda i: whole[i] - exact[i])
    for i in order[: total - sum(whole)]:
        whole[i] += 1
    return whole
