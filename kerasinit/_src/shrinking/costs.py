"""What a model costs: its parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src import compat


@dataclass(frozen=True)
class Counts:
    """Parameters of a model, those that are not zero, and multiplications for one example."""

    parameters: int
    nonzeros: int
    macs: int | None = None


def count(model: Any, x: Any = None) -> Counts:
    """Return the counts of a model."""
    values = [compat.read(one) for one in model.weights]
    return Counts(
        sum(one.size for one in values), sum(int(np.count_nonzero(one)) for one in values)
    )
