"""How many weights each layer keeps at a level.

At every level all scopes keep equally many weights of the network, those that the rates
leave; they differ in how they spread them over the layers. So their curves can be laid
upon each other. No layer ever loses its last weight, or has more than at the level before.
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
    """The options of a `kerasinit.lottery.Experiment` that say how many weights are removed."""

    @property
    def scope(self) -> str: ...
    @property
    def rate(self) -> float: ...
    @property
    def output_rate(self) -> float: ...
    @property
    def layer_rates(self) -> Mapping[str, float]: ...


def rates(experiment: Rates, names: Iterable[str]) -> dict[str, float]:
    """Return the fraction of its survivors that a level removes from each weight.

    Args:
        experiment: The run.
        names: The weights' names, in the model's order; those of the last one's layer
            are the output's.

    Raises:
        ValueError: If a pattern of ``layer_rates`` fits no weight.

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
                "A pattern such as conv2d* stands for several.",
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
    """Return how many weights live at a level.

    Returns:
        A number for each weight, or for scope ``global`` one for all of them together.

    Example:
    >>> from kerasinit.lottery import Experiment
    >>> shapes = {"dense/kernel": (8, 10), "dense_1/kernel": (10, 2)}
    >>> counts(Experiment(), shapes, 1)
    {'dense/kernel': 64, 'dense_1/kernel': 18}
    >>> counts(Experiment(scope="global"), shapes, 1)
    82
    >>> counts(Experiment(scope="erk"), shapes, 2)  # 67 weights as 18 to 12, of which 20 are there
    {'dense/kernel': 47, 'dense_1/kernel': 20}
    """
    spread = SCOPES[experiment.scope]
    by_rate = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    removed = rates(experiment, shapes)
    found = dict(by_rate)
    for _ in range(level):
        by_rate = {name: max(1, round(n * (1 - removed[name]))) for name, n in by_rate.items()}
        found = spread(sum(by_rate.values()), shapes, found) if spread else by_rate
    return sum(found.values()) if experiment.scope == "global" else found


def erk(total: int, shapes: Shapes, most: Mapping[str, int]) -> dict[str, int]:
    """Spread survivors by Erdos-Renyi-Kernel: in proportion to the sum of a shape's sides.

    A layer's density is proportional to ``sum(shape) / prod(shape)``, so small layers
    stay denser; where that passes the whole layer, the rest goes to the others.

    Example:
    >>> shapes = {"a": (3, 3, 2, 4), "b": (8, 10), "c": (10, 2)}
    >>> erk(60, shapes, {"a": 72, "b": 80, "c": 20})  # 12 : 18 : 12
    {'a': 17, 'b': 26, 'c': 17}
    >>> erk(84, shapes, {"a": 72, "b": 80, "c": 20})  # c is whole at 20
    {'a': 26, 'b': 38, 'c': 20}

    Reference:
        Evci et al., 2020, https://arxiv.org/abs/1911.11134, section 3.
    """
    return dict(
        zip(
            shapes,
            allocate(total, [sum(s) for s in shapes.values()], [*most.values()]),
            strict=True,
        )
    )


def smart_ratios(total: int, shapes: Shapes, most: Mapping[str, int]) -> dict[str, int]:
    """Spread survivors by smart ratios: fewer the deeper, three tenths of the last layer.

    Of ``L`` layers, layer ``l`` has a density proportional to ``k (k + 1)`` with
    ``k = L - l + 1``; the last one has 0.3, or what it has left.

    Example:
    >>> shapes = {"a": (10, 10), "b": (10, 10), "c": (10, 2)}
    >>> smart_ratios(60, shapes, {"a": 100, "b": 100, "c": 20})  # 12 : 6, and 6 of 20
    {'a': 36, 'b': 18, 'c': 6}

    Reference:
        Su et al., 2020, https://arxiv.org/abs/2009.11094, section 4.
    """
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    limits = list(most.values())
    if len(sizes) == 1:
        return dict(zip(shapes, [total], strict=True))
    last = min(limits[-1], max(1, round(0.3 * sizes[-1])), total - (len(sizes) - 1))
    # What the other layers have no room for stays in the last.
    last = max(last, total - sum(limits[:-1]))
    steps = range(len(sizes), 1, -1)
    shares = [size * k * (k + 1) for size, k in zip(sizes, steps, strict=False)]
    return dict(zip(shapes, [*allocate(total - last, shares, limits[:-1]), last], strict=True))


# None: by the rates; `global` compares the weights of all layers instead of counting any.
SCOPES: dict[str, Callable[[int, Shapes, Mapping[str, int]], dict[str, int]] | None] = {
    "layer": None,
    "global": None,
    "erk": erk,
    "smart-ratios": smart_ratios,
}


def allocate(total: int, shares: Sequence[int], most: Sequence[int]) -> list[int]:
    """Split a whole number in proportion to shares, within bounds, exactly.

    What a part has no room for goes to the others in proportion; the fractions that are
    left are rounded so that the sum is right, the largest remainders up, of equal ones
    the first.

    Args:
        total: What is split.
        shares: Positive whole numbers.
        most: The largest value of each part; the least is 1.

    Raises:
        ValueError: If the bounds leave no way.

    Example:
    >>> allocate(10, [1, 1, 1], [9, 9, 9])
    [4, 3, 3]
    >>> allocate(10, [1, 1, 8], [9, 9, 4])
    [3, 3, 4]
    """
    if not len(shares) <= total <= sum(most):
        raise ValueError(
            f"{total} weights cannot be spread over {len(shares)} layers of at most "
            f"{', '.join(map(str, most))}, with one in each."
        )

    def parts(scale: Fraction) -> list[Fraction]:
        return [
            min(max(scale * share, Fraction(1)), Fraction(limit))
            for share, limit in zip(shares, most, strict=True)
        ]

    # The sum grows with the scale, along straight lines between these points.
    corners = sorted(
        {Fraction(bound, s) for s, m in zip(shares, most, strict=True) for bound in (1, m)}
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
