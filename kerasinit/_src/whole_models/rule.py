"""What a rule is: which variables of a model get new values, and from what."""

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
from kerasinit._src.whole_models.binding import OWN, GivenValues

_ANY_INITIALIZER = compat.classes("initializers", "Initializer")


@dataclass(frozen=True)
class Rule:
    """Which variables get new values, and from what.

    A variable fits if it fits everything that the rule names.

    Args:
        initializer: An initializer of this package or of either Keras, without a seed of
            its own; a string such as ``"HeNormal"`` or ``"RandomNormal:stddev=0.01"``; an
            array, a list or a tensor, for variables of exactly its shape; ``"own"`` for
            what the layer was built with; None to leave the variable as it is.
        name: Structural name (see `network.parts.parts`), with ``*`` and ``?`` as in
            file names: ``"*/query/kernel"``. The names that were given to layers may stand
            in it: ``"encoder/kernel"`` is the kernel of ``Dense(16, name="encoder")``, in
            whichever model inside the model it stands.
        layer: Class of the layer that owns the variable, or of one around it, such as
            ``keras.layers.MultiHeadAttention`` (subclasses fit too), or the exact name of
            the class, ``"Conv2D"``.
        role: What the variable does: one of `network.parts.ROLES`.

    Raises:
        TypeError: If an argument is of a wrong type.
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
                f"A rule's layer is a class, or the name of one; got {self.layer!r}. For one layer "
                f"of the model give its variables' name, such as 'dense_1/*'."
            )
        object.__setattr__(self, "initializer", _checked_initializer(self.initializer))

    def fits(self, part: Part) -> bool:
        """Return whether the rule is for this variable."""
        return (
            (self.role is None or part.role == self.role)
            and (self.name is None or self._name_that_fits(part) is not None)
            and (self.layer is None or any(self._is_of(layer) for layer in part.layers))
        )

    def _name_that_fits(self, part: Part) -> str | None:
        fitting = (n for n in part.names if fnmatch.fnmatchcase(n, self.name or "*"))
        return next(fitting, None)

    def _is_of(self, layer: Any) -> bool:
        if isinstance(self.layer, type):
            return isinstance(layer, self.layer)
        return type(layer).__name__ == self.layer

    def require_one_meaning(self, found: Iterable[Part]) -> None:
        """Raise if the name begins with that of several layers of a model.

        Args:
            found: The variables of the model.

        Raises:
            ValueError: With the full names.
        """
        if self.name is None or any(sign in self.name.split("/")[0] for sign in "*?["):
            return
        meant: dict[str, str] = {}  # from where the layer stands to one of its variables
        for part in found:
            if self.fits(part):
                fitting = self._name_that_fits(part) or ""
                structural = fitting == part.name != part.called
                where = "by its place" if structural else part.called.removesuffix(fitting)
                meant.setdefault(where, f"{part.name} ({part.called})")
        if len(meant) > 1:
            raise ValueError(
                f"{self.name!r} is the name of several variables: {', '.join(meant.values())}. "
                f"Give the full name of the one that is meant, or '*{self.name}' for all of them."
            )

    def __repr__(self) -> str:
        conditions = {"name": self.name, "layer": self.layer, "role": self.role}
        shown = [f"{key}={value!r}" for key, value in conditions.items() if value is not None]
        return f"Rule({', '.join([repr(self.initializer), *shown])})"


def as_rules(given: Any, model: Any) -> list[Rule]:
    """Return rules as a list, in whatever way they were given.

    Args:
        given: What `kerasinit.reinitialize` takes as rules.
        model: The model that a function gets.

    Raises:
        TypeError: If it is anything else.
        ValueError: If there is no rule.
    """
    if given is None:
        return [Rule(OWN)]
    _refuse_initializer(given)
    if callable(given):
        made = given(model)
        if made is None:
            raise TypeError(f"Expected from {given!r} a list of Rule; it returned None.")
        given = made
    if isinstance(given, Mapping):
        rules = [_rule_of(key, value) for key, value in given.items()]
    elif isinstance(given, str | Rule) or not isinstance(given, Iterable):
        raise TypeError(f"{_EXPECTED}; got {given!r}.{_say(given)}")
    else:
        rules = list(given)
    for rule in rules:
        if not isinstance(rule, Rule):
            raise TypeError(f"Expected a list of Rule; it has {rule!r}.{_say(rule)}")
    return rules


_EXPECTED = (
    "Expected as rules a dictionary, a list of Rule, a ready rule such as kerasinit.rules.gpt2, or "
    "None"
)


def _refuse_initializer(given: Any) -> None:
    """Raise if an initializer came where rules are expected: both can be called."""
    alone = isinstance(given, (*_ANY_INITIALIZER, type)) or compat.is_array(given)
    if not alone and callable(given) and not isinstance(given, Mapping):
        try:
            first = next(iter(inspect.signature(given).parameters), "")
        except (TypeError, ValueError):  # written in C
            first = ""
        alone = first == "shape"
    if alone:
        raise TypeError(f"{_EXPECTED}; got {_short(given)}.{_say(given)}")


def _say(given: Any) -> str:
    """Return how to write what was probably meant; empty for what is no initializer."""
    if isinstance(given, Rule):
        return f" Put it in a list: [{given!r}]."
    if isinstance(given, str) or callable(given) or compat.is_array(given):
        text = repr(given) if isinstance(given, str) else _short(given)
        return f" To give it to all kernels, say {{'kernel': {text}}}."
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
    """Raise if a rule, or the lack of one, cannot be meant.

    Args:
        rules: The rules.
        found: The variables of a model.

    Raises:
        ValueError: If there is no rule, or one names something that the model does not have
            or has several times.
    """
    if not rules:
        raise ValueError(
            f"There is no rule, so that nothing would change. Give None to start every variable "
            f"as its layer was built, or rules for what the model has: the roles "
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
                f"No variable of the model fits {rule!r}.",
            )
        elif rule.name:
            names = {part.name for part in found} | {part.called for part in found}
            raise errors.unknown("variable", rule.name, names, f"No variable fits {rule!r}.")
        elif rule.role:
            raise ValueError(
                f"No variable of the model has the role {rule.role!r}, which {rule!r} is for. Its "
                f"variables have the roles {_roles(found)}. Leave the rule out."
            )


def _roles(found: Iterable[Part]) -> str:
    return ", ".join(sorted({part.role for part in found}))


def _checked_initializer(given: Any) -> Any:
    if given is None or (isinstance(given, str) and given == OWN):
        return OWN if isinstance(given, str) else None
    if isinstance(given, str):
        given = identifiers.parse(given)
    if isinstance(given, type) and issubclass(given, _ANY_INITIALIZER):
        given = given()
    if isinstance(given, RandomInitializer) and given.seed is not None:
        raise ValueError(
            f"A rule's initializer has no seed of its own, or variables would share their values; "
            f"got {given!r}. Give the seed to reinitialize."
        )
    if compat.is_array(given) or isinstance(given, list | tuple):
        return GivenValues(given)
    if not callable(given):
        raise TypeError(
            f"A rule gives an initializer, the name of one, an array, 'own' or None; got {given!r} "
            f"of type {type(given).__qualname__}."
        )
    return given
