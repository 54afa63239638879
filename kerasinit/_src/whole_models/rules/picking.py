"""How ready rules pick the variables that they are for."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kerasinit._src.network.branches import Branch, residual_branches, told_branches
from kerasinit._src.network.keras_config import TELL_BRANCHES
from kerasinit._src.network.model import Network, is_multiplied, is_table
from kerasinit._src.network.parts import Part
from kerasinit._src.whole_models.redraw import Rule

Branches = Iterable[Branch | Iterable[Any]] | None


@dataclass(frozen=True, repr=False)
class _Listed(Rule):
    """A rule for listed variables; a thousand names are one rule, not a thousand."""

    names: frozenset[str] = field(kw_only=True)

    def fits(self, part: Part) -> bool:
        return part.name in self.names

    def __repr__(self) -> str:
        first, *rest = sorted(self.names)
        more = f" and {len(rest)} more" if rest else ""
        return f"Rule({self.initializer!r}, for {first!r}{more})"


def rules_for(initializer: Any, found: Iterable[Part]) -> list[Rule]:
    """Return the rule that gives listed variables an initializer; none if there are none."""
    names = frozenset(part.name for part in found)
    return [_Listed(initializer, names=names)] if names else []


def multiplied(network: Network) -> list[Part]:
    """Return all kernels of a model that are no recurrent ones and no embeddings."""
    return [part for part in network.parts if part.role == "kernel" and is_multiplied(part)]


def tables(network: Network) -> list[Part]:
    """Return all embeddings of a model."""
    return [part for part in network.parts if is_table(part)]


def of_role(network: Network, role: str) -> list[Part]:
    """Return all variables of a model with one role, possibly none."""
    return [part for part in network.parts if part.role == role]


def units_of(network: Network, given: Any) -> list[Any]:
    """Return the innermost layers of a layer, of a name, or of a list of such."""
    if given is None:
        return []
    one = isinstance(given, str) or not isinstance(given, Iterable)
    return [unit for each in ([given] if one else given) for unit in network.named(each)]


def found_branches(network: Network, told: Branches, rule: str) -> list[Branch]:
    """Return the branches that were told, or those of the graph; there is one at least."""
    found = residual_branches(network) if told is None else told_branches(network, told)
    if not found:
        raise ValueError(
            f"{rule} is for residual networks; {network.model.name!r} has no residual branch that "
            f"can be seen. If its layers add inside their own call, {TELL_BRANCHES}."
        )
    return found


def ends(network: Network, branch: Branch, last: tuple[Any, ...], rule: str) -> list[Part]:
    """Return the kernels or scales at the end of a branch."""
    if not last:
        raise ValueError(
            f"{rule} cannot tell which layer ends the branch of {branch.sum!r}: the branch has an "
            f"activation that is not zero at zero after its last kernel, or a normalization "
            f"without a scale, or a part of it goes past its kernels. Change that, or "
            f"{TELL_BRANCHES}; leave this one out."
        )
    found = []
    for unit in last:
        scales = network.scales(unit) if last is branch.last_weights else []
        found += [part for part in scales if part.layer is unit] or network.last_kernels(unit)
    return found
