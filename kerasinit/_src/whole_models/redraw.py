"""Rules that give every variable of a built model new first values.

A layer asks its initializer for values and says nothing of itself, so an initializer
alone cannot know that a kernel is depthwise, nor that it drew the same numbers for the
query a moment ago. Here the whole model is known: each variable gets the fans of its
layer and a stream of numbers of its own.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kerasinit._src import compat, streams
from kerasinit._src.compat import optimizers
from kerasinit._src.errors import checked_seed
from kerasinit._src.network.parts import Part, parts
from kerasinit._src.reports import base, terminal
from kerasinit._src.whole_models import binding, first_values
from kerasinit._src.whole_models.binding import OWN
from kerasinit._src.whole_models.rule import Rule, as_rules, require_use


@dataclass(frozen=True, eq=False)
class Change:
    """What was done to one variable.

    Attributes:
        name: Its structural name.
        role: What it does, one of `network.parts.ROLES`.
        layer: The class of the layer that owns it.
        shape: Its shape.
        initializer: What its values come from, with its seed and fans, so that
            ``initializer(shape)`` gives them again; None if it was left as it is.
        fans: ``(fan_in, fan_out)`` of a kernel, else None.
        rule: The rule that was followed, None if none fits.
        called: Its name by the names that were given to layers, such as ``"encoder/kernel"``;
            the structural name where none was given.
    """

    name: str
    role: str
    layer: str
    shape: tuple[int, ...]
    initializer: Any
    fans: tuple[float, float] | None
    rule: Rule | None
    called: str


@dataclass(frozen=True, eq=False)
class Report(base.Report):
    """What `reinitialize` did, variable by variable.

    Attributes:
        seed: The seed with which the same call does the same again.
        changes: One `Change` for each variable, in the order of the model.
    """

    seed: int
    changes: tuple[Change, ...]

    def __getitem__(self, name: str) -> Change:
        """Return what was done to the variable of this name, structural or given."""
        return base.row_named(self.changes, name)

    @property
    def changed(self) -> list[str]:
        """The names of the variables that got new values."""
        return [change.name for change in self.changes if change.initializer is not None]

    @property
    def kept(self) -> list[str]:
        """The names of the variables that were left as they are."""
        return [change.name for change in self.changes if change.initializer is None]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary."""
        rows = [
            vars(change)
            | {
                "initializer": binding.serialized(change.initializer),
                "rule": None if change.rule is None else repr(change.rule),
            }
            for change in self.changes
        ]
        return {"seed": self.seed, "changes": rows}


@base.text.register(Report)
def _text(report: Report) -> str:
    lines = [
        (
            base.both_names(change),
            " x ".join(map(str, change.shape)) or "scalar",
            change.role,
            *(["", ""] if change.fans is None else [f"{fan:g}" for fan in change.fans]),
            binding.described(change.initializer),
        )
        for change in report.changes
    ]
    heads = ("variable", "shape", "role", "fan in", "fan out", "new values")
    return terminal.as_text(160, terminal.table(heads, lines, len(heads)), f"seed {report.seed}")


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

            * None: every variable by the initializer that its layer was built with. What a
              layer passes to ``add_weight`` is seen by building a second one of its
              configuration. What ``adapt`` learned from data stays.
            * A dictionary from what is meant to initializers (see `Rule`): a role
              (``"kernel"``, ``"bias"``), a name with ``*`` or ``/`` (``"*/query/kernel"``,
              or ``"encoder/kernel"`` for a layer that was given the name ``encoder``), a
              layer class or the name of one (its kernels). An array in the place of an
              initializer is for variables of exactly its shape.
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
        ValueError: If the model is not built, there is no rule, a rule names a role, a layer
            or a variable that the model does not have, or a name that it has several times,
            an initializer cannot make a variable's shape, or makes values that are not finite.

    Warns:
        UserWarning: If the start of a variable cannot be repeated, with the variables' names:
            the initializer is not known, or it draws without a seed.

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
    rules = as_rules(rules, model)
    require_use(rules, found)
    optimizers.require_resettable_optimizer(model)

    changes, values = [], []
    for part in found:
        rule = next((rule for rule in rules if rule.fits(part)), None)
        initializer = None if rule is None else rule.initializer
        if initializer is not None:
            stream = streams.derive(seed, "reinitialize", part.name)
            initializer = binding.fitted(initializer, part, stream)
        if initializer is not None:
            values.append((part.variable, binding.values(initializer, part)))
        fans = part.reading and (part.reading.fan_in, part.reading.fan_out)
        layer = type(part.layer).__name__
        changes.append(
            Change(part.name, part.role, layer, part.shape, initializer, fans, rule, part.called)
        )
    _warn_of_what_does_not_come_back(found, changes)
    for variable, value in values:
        variable.assign(value)
    if any(_is_for_everything(rule) for rule in rules):
        compat.reset_states({id(one): one for part in found for one in part.layers}.values())
    optimizers.reset_optimizer(model)
    return Report(seed, tuple(changes))


def _is_for_everything(rule: Rule) -> bool:
    return rule.initializer is OWN and rule in (Rule(OWN), Rule(OWN, name="*"))


def _warn_of_what_does_not_come_back(found: list[Part], changes: list[Change]) -> None:
    unknown, drawn = [], []
    for part, change in zip(found, changes, strict=True):
        if change.rule is None or change.rule.initializer is not OWN:
            continue
        if change.initializer is None:
            if not first_values.is_adapted(part):
                unknown.append(part.called)
        elif not first_values.is_repeatable(change.initializer, part):
            drawn.append(part.called)
    if unknown:
        warnings.warn(
            f"The first values of {', '.join(unknown)} cannot be put back: it is not known which "
            f"initializers made them (a custom layer that cannot be built a second time from its "
            f"configuration, or a quantized one). They keep the values that they have. Give each a "
            f"rule, such as {{{unknown[0]!r}: 'GlorotUniform', '*': 'own'}}.",
            stacklevel=3,
        )
    if drawn:
        warnings.warn(
            f"The values of {', '.join(drawn)} come from functions that draw without a seed: the "
            f"same call will not give them again. Give each a rule with an initializer, such as "
            f"{{{drawn[0]!r}: 'GlorotUniform', '*': 'own'}}.",
            stacklevel=3,
        )


def draw_anew(found: Iterable[Part], seed: int) -> None:
    """Give variables what their layers were built with, as ``reinitialize(model, seed=seed)``.

    Whatever is behind them, such as an optimizer, is left alone.

    Args:
        found: The variables.
        seed: The seed.
    """
    for part in found:
        initializer = binding.fitted(OWN, part, streams.derive(seed, "reinitialize", part.name))
        if initializer is not None:
            part.variable.assign(binding.values(initializer, part))
