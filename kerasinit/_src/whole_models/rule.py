"""Rules: which variables of a model are redrawn, and with which initializer."""

import fnmatch
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerasinit._src import compat, errors
from kerasinit._src.initializers import identifiers
from kerasinit._src.initializers.base import RandomInitializer
from kerasinit._src.network.parts import ROLES, Part
from kerasinit._src.troubleshooting import see
from kerasinit._src.whole_models.binding import OWN, GivenValues


@dataclass(frozen=True)
class Rule:
    """Which variables get new values, and from which initializer.

    A variable must match every condition that the rule names.

    Args:
        initializer: An initializer of this package or of either Keras, without a seed; a string
            such as ``"HeNormal"`` or ``"RandomNormal:stddev=0.01"``; an array, a list or a
            tensor, for variables of exactly its shape; ``"own"`` for the initializer that the
            layer was built with; None to keep the variable's values.
        name: Structural name, with ``*`` and ``?`` as wildcards: ``"*/query/kernel"``. It may
            contain layer names that the user set: ``"encoder/kernel"`` is the kernel of
            ``Dense(16, name="encoder")``, in whichever nested model it is. None (default) for
            any name.
        layer: Class of the layer that owns the variable, or of one around it, such as
            ``keras.layers.MultiHeadAttention`` (subclasses match, too), or the exact name of
            the class, ``"Conv2D"``. None (default) for any layer.
        role: The variable's role: ``"kernel"``, ``"recurrent_kernel"``, ``"embeddings"``,
            ``"bias"``, ``"scale"`` and ``"offset"`` (of a normalization), ``"statistic"`` or
            ``"other"``. None (default) for any role.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the role or the initializer is unknown, or the initializer has a
            seed.

    Example:
    >>> Rule("HeNormal", layer="Conv2D", role="kernel")
    Rule(HeNormal(), layer='Conv2D', role='kernel')
    """

    initializer: Any
    name: str | None = field(default=None, kw_only=True)
    layer: type | str | None = field(default=None, kw_only=True)
    role: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.role is not None and self.role not in ROLES:
            raise errors.unknown("role", self.role, ROLES)
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"A rule's name is a string such as '*/kernel'; got {self.name!r}.")
        if self.layer is not None and not isinstance(self.layer, type | str):
            raise TypeError(
                f"A rule's layer is a class or the name of one; got {self.layer!r}. For a single "
                f"layer of the model give its variables' name, such as 'dense_1/*'."
            )
        object.__setattr__(self, "initializer", _checked_initializer(self.initializer))

    def fits(self, part: Part) -> bool:
        """Return whether the rule matches a variable.

        Args:
            part: The variable, with its names, its role and the layers around it.
        """
        return (
            (self.role is None or part.role == self.role)
            and (self.name is None or self._matching_name(part) is not None)
            and (self.layer is None or any(self._is_of(layer) for layer in part.layers))
        )

    def _matching_name(self, part: Part) -> str | None:
        matching = (n for n in part.names if fnmatch.fnmatchcase(n, self.name or "*"))
        return next(matching, None)

    def _is_of(self, layer: Any) -> bool:
        if isinstance(self.layer, type):
            return isinstance(layer, self.layer)
        return type(layer).__name__ == self.layer

    def require_one_meaning(self, found: Iterable[Part]) -> None:
        """Raise ValueError, with the full names, if several layers of a model match the name.

        Args:
            found: The variables of the model.

        Raises:
            ValueError: If the name has no wildcard and matches variables of several layers.
        """
        if self.name is None or any(sign in self.name.split("/")[0] for sign in "*?["):
            return
        by_path: dict[str, str] = {}  # from a layer's path to one of its variables
        for part in found:
            if self.fits(part):
                matching = self._matching_name(part) or ""
                structural = matching == part.name != part.called
                where = "structural" if structural else part.called.removesuffix(matching)
                by_path.setdefault(where, f"{part.name} ({part.called})")
        if len(by_path) > 1:
            raise ValueError(
                f"{self.name!r} matches several variables: {', '.join(by_path.values())}. Give the "
                f"full name of one, or '*{self.name}' for all of them."
            )

    def __repr__(self) -> str:
        conditions = {"name": self.name, "layer": self.layer, "role": self.role}
        shown = [f"{key}={value!r}" for key, value in conditions.items() if value is not None]
        return f"Rule({', '.join([repr(self.initializer), *shown])})"


def as_rules(given: Any, model: Any) -> list[Rule]:
    """Return what `kerasinit.reinitialize` takes as rules as a list; a function gets ``model``."""
    if given is None:
        return [Rule(OWN)]
    _refuse_initializer(given)
    if callable(given):
        made = given(model)
        if made is None:
            raise TypeError(f"Expected {given!r} to return a list of Rule; it returned None.")
        given = made
    if isinstance(given, Mapping):
        rules = [_rule_of(key, value) for key, value in given.items()]
    elif isinstance(given, str | Rule) or not isinstance(given, Iterable):
        raise TypeError(f"{_EXPECTED}; got {given!r}.{_hint(given)}")
    else:
        rules = list(given)
    for rule in rules:
        if not isinstance(rule, Rule):
            raise TypeError(f"Expected a list of Rule; it contains {rule!r}.{_hint(rule)}")
    return rules


_EXPECTED = (
    "Expected rules as a dictionary, a list of Rule, a function such as kerasinit.rules.gpt2, or "
    "None"
)


def _refuse_initializer(given: Any) -> None:
    """Raise if an initializer was passed as rules: both are callable."""
    alone = isinstance(
        given, (*compat.classes("initializers", "Initializer"), type)
    ) or compat.is_array(given)
    if not alone and callable(given) and not isinstance(given, Mapping):
        try:
            first = next(iter(inspect.signature(given).parameters), "")
        except (TypeError, ValueError):  # written in C
            first = ""
        alone = first == "shape"
    if alone:
        raise TypeError(f"{_EXPECTED}; got {_short(given)}.{_hint(given)}")


def _hint(given: Any) -> str:
    """Return a suggestion of what was probably meant; empty if it is no initializer."""
    if isinstance(given, Rule):
        return f" Put it in a list: [{given!r}]."
    if isinstance(given, str) or callable(given) or compat.is_array(given):
        text = repr(given) if isinstance(given, str) else _short(given)
        return f" To apply it to all kernels, pass {{'kernel': {text}}}."
    return ""


def _short(given: Any) -> str:
    if compat.is_array(given):
        return f"an array of shape {np.shape(given)}"
    if isinstance(given, type) or inspect.isroutine(given):
        return str(getattr(given, "__qualname__", given))
    return repr(given)


def _rule_of(key: Any, initializer: Any) -> Rule:
    if isinstance(key, type):
        return Rule(initializer, layer=key, role="kernel")
    if not isinstance(key, str):
        raise TypeError(
            f"A rule's key is a role, a name with * or /, a layer class or the name of one; got "
            f"{key!r}."
        )
    if key in ROLES:
        return Rule(initializer, role=key)
    if any(sign in key for sign in "*?[/"):
        return Rule(initializer, name=key)
    return Rule(initializer, layer=key, role="kernel")


def require_use(rules: list[Rule], found: list[Part]) -> None:
    """Raise ValueError if there is no rule, or one matches no variable, or several by mistake."""
    if not rules:
        raise ValueError(
            f"There is no rule, so nothing would change. Pass None to redraw every variable with "
            f"its layer's initializer, or rules for what the model has: the roles "
            f"{_roles(found)}, or names such as {found[0].name!r}."
            if found
            else "The model has no variables."
        )
    for rule in rules:
        if any(rule.fits(part) for part in found):
            rule.require_one_meaning(found)
        elif rule.layer:
            kinds = {type(layer).__name__ for part in found for layer in part.layers}
            raise errors.unknown(
                "layer class or role",
                rule.layer.__name__ if isinstance(rule.layer, type) else rule.layer,
                kinds | {part.role for part in found},
                f"No variable of the model matches {rule!r}. {see('unmatched-rule')}",
            )
        elif rule.name:
            names = {part.name for part in found} | {part.called for part in found}
            hint = f"No variable matches {rule!r}. {see('unmatched-rule')}"
            raise errors.unknown("variable", rule.name, names, hint)
        elif rule.role:
            raise ValueError(
                f"No variable of the model has the role {rule.role!r} of {rule!r}. Its variables "
                f"have the roles {_roles(found)}. Leave the rule out. {see('unmatched-rule')}"
            )


def _roles(found: Iterable[Part]) -> str:
    return ", ".join(sorted({part.role for part in found}))


def _checked_initializer(given: Any) -> Any:
    if given is None or (isinstance(given, str) and given == OWN):
        return OWN if isinstance(given, str) else None
    if isinstance(given, str):
        given = identifiers.parse(given)
    if isinstance(given, type) and issubclass(given, compat.classes("initializers", "Initializer")):
        given = given()
    if isinstance(given, RandomInitializer) and given.seed is not None:
        raise ValueError(
            f"A rule's initializer must not have a seed, or variables would share their values; "
            f"got {given!r}. Pass the seed to reinitialize."
        )
    if compat.is_array(given) or isinstance(given, list | tuple):
        return GivenValues(given)
    if not callable(given):
        raise TypeError(
            f"A rule takes an initializer, the name of one, an array, 'own' or None; got {given!r} "
            f"of type {type(given).__qualname__}."
        )
    return given
