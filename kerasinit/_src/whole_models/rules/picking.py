"""How the rules of `kerasinit.rules` select variables."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kerasinit._src.network.branches import Branch, given_branches, residual_branches
from kerasinit._src.network.keras_config import PASS_BRANCHES
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
    """Return the rule for listed variables; none if there are none."""
    names = frozenset(part.name for part in found)
    return [_Listed(initializer, names=names)] if names else []


def multiplied(network: Network) -> list[Part]:
    """Return all kernels of a model except recurrent kernels and embeddings."""
    return [part for part in network.parts if part.role == "kernel" and is_multiplied(part)]


def tables(network: Network) -> list[Part]:
    """Return all embeddings of a model."""
    return [part for part in network.parts if is_table(part)]


def of_role(network: Network, role: str) -> list[Part]:
    """Return all variables of a model with one role."""
    return [part for part in network.parts if part.role == role]


def find_all_layers(network: Network, given: Any) -> list[Any]:
    """Return the layers with weights in a layer, a named layer, or a list of them."""
    if given is None:
        return []
    single = isinstance(given, str) or not isinstance(given, Iterable)
    named = [given] if single else given
    return [layer for one in named for layer in network.find_layers(one)]


def require_branches(network: Network, given: Branches, rule: str) -> list[Branch]:
    """Return the given branches, or those of the graph; raise if there is none."""
    found = residual_branches(network) if given is None else given_branches(network, given)
    if not found:
        raise ValueError(
            f"{rule} is for residual networks; no residual branch of {network.model.name!r} is "
            f"visible. If its layers add inside their own call, {PASS_BRANCHES}."
        )
    return found


def ends(network: Network, branch: Branch, last: tuple[Any, ...], rule: str) -> list[Part]:
    """Return the kernels or scales at the end of a branch."""
    if not last:
        raise ValueError(
            f"{rule} cannot determine the last layer of the branch of {branch.sum!r}: after its "
            f"last kernel it has an activation that is not zero at zero or a normalization "
            f"without a scale, or a part of it bypasses its kernels. Change that, or "
            f"{PASS_BRANCHES}; leave this one out."
        )
    found = []
    for layer in last:
        scales = network.scales(layer) if last is branch.last_weights else []
        found += [part for part in scales if part.layer is layer] or network.last_kernels(layer)
    return found
