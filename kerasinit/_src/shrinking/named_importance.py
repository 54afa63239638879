"""The importances that have a name."""

from typing import Any

from kerasinit._src import errors, streams
from kerasinit._src.shrinking.channel_groups import Group
from kerasinit._src.shrinking.importance import Importance, WeightScores
from kerasinit._src.shrinking.reading import ModelChannels
from kerasinit._src.troubleshooting import see

UNDEFINED = {
    "batch_norm": "no batch normalization has a scale for it",
    "taylor": "none of its weights is trained",
    "activation": "no layer with weights takes it as a signal",
}
"""Why the named importances say nothing of a group."""

NAMES = ("activation", "batch_norm", "l1", "l2", "magnitude", "random", "taylor")


def make_importance(
    name: str, reading: ModelChannels, x: Any = None, y: Any = None, seed: int = 0
) -> Importance:
    """Return the importance of a name.

    Args:
        name: One of `NAMES`.
        reading: The channels of the model.
        x: Examples, for ``"activation"`` and ``"taylor"``.
        y: Their labels, for ``"taylor"``.
        seed: For ``"random"``.
    """
    if name in ("activation", "taylor"):
        from kerasinit._src.shrinking import data_importance

        if x is None:
            raise ValueError(
                f"importance={name!r} needs examples: pass them as x. {see('importance-data')}"
            )
        return data_importance.make(name, reading, x, y)
    if name == "random":
        return lambda group: _random(group, seed)
    weights = WeightScores()
    functions = {
        "magnitude": weights.magnitude,
        "l1": lambda group: weights.filter_norm(group, 1),
        "l2": lambda group: weights.filter_norm(group, 2),
        "batch_norm": weights.batch_norm,
    }
    if name not in functions:
        raise errors.unknown("importance", name, NAMES, "A function of a group serves as well.")
    return functions[name]


def _random(group: Group, seed: int) -> Any:
    places = [f"{one.name}:{one.axis}" for one in group.slices]
    return streams.generator(seed, "importance of channels", *places).random(group.size)
