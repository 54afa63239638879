"""Products of cases: a few of them at every run, all of them in the nightly one.

A promise about three optimizers, two schedules and both Kerases has twelve cases, and each
takes a training. Most faults show in any case that has the value they hang on, so the default
run takes as many cases as the longest list has values, and in these each value of each list
occurs. The others carry the marker ``nightly``, which the default run deselects.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest

nightly = pytest.mark.nightly
"""Marks what takes long and repeats what the default run has seen once: ``pytest -m nightly``."""


def each_value_once(**lists: Sequence[Any]) -> pytest.MarkDecorator:
    """Parametrize a test by the product of some lists, most of it left to the nightly run.

    Args:
        lists: The values of each parameter by its name. A module counts by its name in the
            ids, as does anything that has a ``__name__``.
    """
    names = tuple(lists)
    sizes = [len(values) for values in lists.values()]
    at_every_run = {tuple(i % size for size in sizes) for i in range(max(sizes))}
    cases = [
        pytest.param(
            *(values[i] for values, i in zip(lists.values(), places, strict=True)),
            id="-".join(_name(v[i]) for v, i in zip(lists.values(), places, strict=True)),
            marks=() if places in at_every_run else nightly,
        )
        for places in product(*map(range, sizes))
    ]
    return pytest.mark.parametrize(names, cases)


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", value))
