"""What `structured` is called with, and the checks of it."""

import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from kerasinit._src import errors
from kerasinit._src.shrinking.channel_groups import Group
from kerasinit._src.shrinking.selection import Scope
from kerasinit._src.troubleshooting import see

COSTS = ("bytes", "latency", "macs", "parameters")

Importance = Callable[[Group], Any]


@dataclass(frozen=True, eq=False)
class Settings:
    """What `structured` was called with, checked."""

    target: Mapping[str, float]
    importance: str | Importance
    scope: Scope
    ratios: Mapping[str, float]
    round_to: int
    ignore: tuple[Any, ...]
    min_width: int
    through_statistics: bool
    x: Any = field(repr=False)
    y: Any = field(repr=False)
    seed: int
    latency: Callable[[Any], float] | None


def checked_target(target: Any, ratios: Any) -> dict[str, float]:
    """Return the fractions of costs that may be left, after checking them."""
    if target is None:
        if not ratios:
            raise ValueError(
                f"Expected a target, such as {{'macs': 0.5}}, or ratios. {see('shrinking-target')}"
            )
        return {}
    if not isinstance(target, Mapping) or not target:
        raise TypeError(
            f"Expected target to be a dictionary such as {{'macs': 0.5}}; got {target!r}. "
            f"{see('shrinking-target')}"
        )
    for name, fraction in target.items():
        if name not in COSTS:
            raise errors.unknown("cost in target", name, COSTS, see("shrinking-target"))
        if isinstance(fraction, bool) or not isinstance(fraction, numbers.Real):
            raise TypeError(
                f"Expected the target of {name} to be a fraction; got {fraction!r}. "
                f"{see('shrinking-target')}"
            )
        if not 0 < float(fraction) <= 1:
            raise ValueError(
                f"Expected the target of {name} to be the fraction to keep, in (0, 1]; got "
                f"{fraction!r}.{_as_percentage(fraction)} {see('shrinking-target')}"
            )
    return {name: float(fraction) for name, fraction in target.items()}


def checked_ratio(name: str, ratio: Any) -> float:
    """Return the fraction to remove from a layer, after checking it."""
    if isinstance(ratio, bool) or not isinstance(ratio, numbers.Real):
        raise TypeError(f"Expected the ratio of {name!r} to be a fraction; got {ratio!r}.")
    if not 0 <= float(ratio) < 1:
        raise ValueError(
            f"Expected the ratio of {name!r} to be the fraction to remove, in [0, 1); got "
            f"{ratio!r}.{_as_percentage(ratio)} {see('shrinking-target')}"
        )
    return float(ratio)


def _as_percentage(fraction: Any) -> str:
    if not 1 < fraction < 100:
        return ""
    return f" If that is a percentage, {fraction / 100:.6g} would be the fraction."


def checked_scope(scope: str) -> Any:
    """Return a scope, after checking it."""
    if scope not in get_args(Scope):
        raise errors.unknown("scope", scope, get_args(Scope))
    return scope
