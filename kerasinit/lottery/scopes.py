"""How many weights each layer keeps."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from kerasinit import suggest


def rates(
    names: Sequence[str], rate: float, output_rate: float, layer_rates: Mapping[str, float]
) -> dict[str, float]:
    """Return the fraction of its survivors that a level removes from each weight.

    Args:
        names: The weights' names, in the model's order; those of the last one's layer
            are the output's.
        rate: For weights of which nothing else is said.
        output_rate: For the output layer.
        layer_rates: For layers or weights by name or pattern; of several that fit, the
            first.

    Raises:
        ValueError: If a pattern fits no weight.

    Example:
    >>> names = ["conv2d/kernel", "conv2d_1/kernel", "dense/kernel", "dense_1/kernel"]
    >>> list(rates(names, 0.2, 0.1, {"conv2d_1": 0.3, "conv2d*": 0.15}).values())
    [0.15, 0.3, 0.2, 0.1]
    """
    layers = {name: name.rpartition("/")[0] for name in names}
    for pattern in layer_rates:
        if not any(_fits(pattern, name, layer) for name, layer in layers.items()):
            raise suggest.unknown(
                "layer in --layer-rates",
                pattern,
                {layer or name for name, layer in layers.items()},
                "A pattern such as conv2d* stands for several.",
            )
    found = {}
    for name, layer in layers.items():
        otherwise = output_rate if layer == layers[names[-1]] else rate
        found[name] = next(
            (value for pattern, value in layer_rates.items() if _fits(pattern, name, layer)),
            otherwise,
        )
    return found


def _fits(pattern: str, name: str, layer: str) -> bool:
    return fnmatchcase(layer, pattern) or fnmatchcase(name, pattern)
