"""Rules that give every variable of a built model new first values.

A layer asks its initializer for values and says nothing of itself, so an initializer
alone cannot know that a kernel is depthwise, nor that it drew the same numbers for the
query a moment ago. Here the whole model is known: each variable gets the fans of its
layer and a stream of numbers of its own.
"""

import fnmatch
import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from kerasinit import kerases, placement, streams, suggest
from kerasinit.initializers import identifiers
from kerasinit.initializers.base import Initializer, RandomInitializer
from kerasinit.kernels import ROLES, Part, parts
from kerasinit.placement import OWN


@dataclass(frozen=True)
class Rule:
    """Which variables get new values, and from what.

    A variable fits if it fits everything that the rule names.

    Args:
        initializer: An initializer of this package or of either Keras, without a seed of
            its own; a string such as ``"HeNormal"`` or ``"RandomNormal:stddev=0.01"``;
            ``"own"`` for what the layer was built with; None to leave the variable as it
            is.
        name: Structural name (see `kerasinit.kernels.parts`), with ``*`` and ``?`` as in
            file names: ``"*/query/kernel"``.
        layer: Class of the layer that owns the variable, or of one around it, such as
            ``keras.layers.MultiHeadAttention`` (subclasses fit too), or the exact name of
            the class, ``"Conv2D"``.
        role: What the variable does: one of `kerasinit.kernels.ROLES`.

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
            raise suggest.unknown("role", self.role, ROLES)
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
            and (self.name is None or fnmatch.fnmatchcase(part.name, self.name))
            and (self.layer is None or any(self._is_of(layer) for layer in part.layers))
        )

    def _is_of(self, layer: Any) -> bool:
        if isinstance(self.layer, type):
            return isinstance(layer, self.layer)
        return type(layer).__name__ == self.layer

    def __repr__(self) -> str:
        conditions = {"name": self.name, "layer": self.layer, "role": self.role}
        shown = [f"{key}={value!r}" for key, value in conditions.items() if value is not None]
        return f"Rule({', '.join([repr(self.initializer), *shown])})"


@dataclass(frozen=True, eq=False)
class Change:
    """What was done to one variable.

    Attributes:
        name: Its structural name.
        role: What it does, one of `kerasinit.kernels.ROLES`.
        layer: The class of the layer that owns it.
        shape: Its shape.
        initializer: What its values come from, with its seed and fans, so that
            ``initializer(shape)`` gives them again; None if it was left as it is.
        fans: ``(fan_in, fan_out)`` of a kernel, else None.
        rule: The rule that was followed, None if none fits.
    """

    name: str
    role: str
    layer: str
    shape: tuple[int, ...]
    initializer: Any
    fans: tuple[float, float] | None
    rule: Rule | None


@dataclass(frozen=True, eq=False)
class Report:
    """What `reinitialize` did, variable by variable.

    Attributes:
        seed: The seed with which the same call does the same again.
        changes: One `Change` for each variable, in the order of the model.
    """

    seed: int
    changes: tuple[Change, ...]

    def __getitem__(self, name: str) -> Change:
        """Return what was done to the variable of this structural name."""
        for change in self.changes:
            if change.name == name:
                return change
        raise KeyError(
            str(suggest.unknown("variable", name, [change.name for change in self.changes]))
        )

    @property
    def changed(self) -> list[str]:
        """The names of the variables that got new values."""
        return [change.name for change in self.changes if change.initializer is not None]

    @property
    def kept(self) -> list[str]:
        """The names of the variables that were left as they are."""
        return [change.name for change in self.changes if change.initializer is None]

    def to_json(self) -> str:
        """Return the report as JSON."""
        rows = [
            {
                "name": change.name,
                "role": change.role,
                "layer": change.layer,
                "shape": change.shape,
                "initializer": None
                if change.initializer is None
                else keras.saving.serialize_keras_object(change.initializer),
                "fans": change.fans,
                "rule": None if change.rule is None else repr(change.rule),
            }
            for change in self.changes
        ]
        return json.dumps({"seed": self.seed, "changes": rows}, indent=2, default=str)

    def __str__(self) -> str:
        """Return a table to be read."""
        from rich.console import Console
        from rich.table import Table

        table = Table("variable", "shape", "role", "fan in", "fan out", "new values")
        for change in self.changes:
            fans = ["", ""] if change.fans is None else [f"{fan:g}" for fan in change.fans]
            new = placement.described(change.initializer)
            shape = " x ".join(map(str, change.shape)) or "scalar"
            table.add_row(change.name, shape, change.role, *fans, new)
        console = Console(width=160, color_system=None, markup=False, emoji=False)
        with console.capture() as capture:
            console.print(table)
        return f"{capture.get()}seed {self.seed}"


def reinitialize(
    model: Any,
    rules: Mapping[Any, Any] | Iterable[Rule] | Callable[[Any], Iterable[Rule]] | None = None,
    seed: int | None = None,
) -> Report:
    """Give the variables of a built model new first values, by rules.

    For a model that was built before its initializers were thought of, such as one of
    ``keras.applications``; for a new trial; for layers that tell an initializer too
    little (depthwise, transposed and grouped convolutions, gates, attention in tf_keras):
    here each kernel is drawn with the fans that its layer has, gate by gate.

    Each variable's numbers come from a stream of their own, derived from the seed and the
    variable's structural name. Two variables never share values, and the same call with
    the same seed gives the same values back, bit for bit, in either Keras, also after
    training and in another process. The optimizer starts anew. If anything is wrong,
    nothing is changed.

    Args:
        model: A built model or layer of either Keras.
        rules: In the order of preference, the first that fits a variable counts:

            * None: every variable by the initializer that its layer was built with.
            * A dictionary from what is meant to initializers (see `Rule`): a role
              (``"kernel"``, ``"bias"``), a structural name with ``*`` or ``/``
              (``"*/query/kernel"``), a layer class or the name of one (its kernels).
            * A list of `Rule`.
            * A function from the model to such a list: a ready rule of
              `kerasinit.rules`.

            Variables that none fits are left as they are; ``{..., "*": "own"}`` gives
            them what their layers were built with.
        seed: A non-negative integer; None draws one, which the report tells.

    Returns:
        A `Report`; print it.

    Raises:
        TypeError: If the model or a rule is of a wrong type, or the optimizer is a legacy
            one of tf_keras, whose state cannot be started anew.
        ValueError: If the model is not built, a rule names a layer or a variable that the
            model does not have, an initializer cannot make a variable's shape, or makes
            values that are not finite.

    Example:
    >>> import keras
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu")])
    >>> report = reinitialize(model, {"kernel": "HeNormal", "bias": "Zeros"}, seed=1)
    >>> report.changed
    ['dense/kernel', 'dense/bias']
    >>> report["dense/kernel"].fans
    (8, 4)
    """
    seed = checked_seed(seed)
    found = parts(model)
    if callable(rules):
        rules = rules(model)
    rules = _as_rules(rules)
    _require_use(rules, found)
    kerases.require_resettable_optimizer(model)

    changes, values = [], []
    for part in found:
        rule = next((rule for rule in rules if rule.fits(part)), None)
        initializer = None if rule is None else rule.initializer
        if initializer is not None:
            stream = streams.derive(seed, "reinitialize", part.name)
            initializer = placement.fitted(initializer, part, stream)
        if initializer is not None:
            values.append((part.variable, placement.values(initializer, part)))
        fans = part.reading and (part.reading.fan_in, part.reading.fan_out)
        layer = type(part.layer).__name__
        changes.append(Change(part.name, part.role, layer, part.shape, initializer, fans, rule))
    for variable, value in values:
        variable.assign(value)
    kerases.reset_optimizer(model)
    return Report(seed, tuple(changes))


def draw_anew(found: Iterable[Part], seed: int) -> None:
    """Give variables what their layers were built with, as ``reinitialize(model, seed=seed)``.

    Whatever is behind them, such as an optimizer, is left alone.

    Args:
        found: The variables.
        seed: The seed.
    """
    for part in found:
        initializer = placement.fitted(OWN, part, streams.derive(seed, "reinitialize", part.name))
        if initializer is not None:
            part.variable.assign(placement.values(initializer, part))


def checked_seed(seed: Any) -> int:
    """Return a seed as an integer, drawn if it is None.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is negative.
    """
    if seed is None:
        # From Python's state, which set_random_seed of both Kerases sets.
        return random.getrandbits(64)
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"Expected as seed a non-negative integer or None; got {seed!r}.")
    if seed < 0:
        raise ValueError(f"Expected as seed a non-negative integer or None; got {seed!r}.")
    return int(seed)


def _checked_initializer(given: Any) -> Any:
    if given is None or given == OWN:
        return given
    if isinstance(given, str):
        given = identifiers.parse(given)
    if isinstance(given, type) and issubclass(given, Initializer):
        given = given()
    if isinstance(given, RandomInitializer) and given.seed is not None:
        raise ValueError(
            f"A rule's initializer has no seed of its own, or variables would share their values; "
            f"got {given!r}. Give the seed to reinitialize."
        )
    if not callable(given):
        raise TypeError(
            f"A rule gives an initializer, the name of one, 'own' or None; got {given!r} of type "
            f"{type(given).__qualname__}."
        )
    return given


def _as_rules(rules: Any) -> list[Rule]:
    """Return rules as a list, whatever way they were given."""
    if rules is None:
        return [Rule(OWN)]
    if isinstance(rules, Mapping):
        return [_rule_of(key, value) for key, value in rules.items()]
    if isinstance(rules, str | Rule) or not isinstance(rules, Iterable):
        raise TypeError(
            f"Expected as rules a dictionary, a list of Rule, a ready rule such as "
            f"kerasinit.rules.gpt2, or None; got {rules!r}."
        )
    rules = list(rules)
    for rule in rules:
        if not isinstance(rule, Rule):
            raise TypeError(f"Expected a list of Rule; it has {rule!r}.")
    return rules


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


def _require_use(rules: list[Rule], found: list[Part]) -> None:
    """Raise if a rule names something that the model does not have: a slip of the pen."""
    for rule in rules:
        if (rule.name or rule.layer) and not any(rule.fits(part) for part in found):
            if not rule.layer:
                names = [part.name for part in found]
                raise suggest.unknown("variable", rule.name, names, f"No variable fits {rule!r}.")
            kinds = {type(layer).__name__ for part in found for layer in part.layers}
            raise suggest.unknown(
                "layer class or role",
                rule.layer.__name__ if isinstance(rule.layer, type) else rule.layer,
                kinds | set(ROLES),
                f"No variable of the model fits {rule!r}.",
            )
