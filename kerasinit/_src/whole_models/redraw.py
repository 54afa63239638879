"""Redraws the variables of a built model by rules.

An initializer sees a shape only: it cannot know that a kernel is depthwise, or that it drew the
same values for the query before. With the whole model known, each variable gets the fans of its
layer and its own stream of random numbers.
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
    """The change of one variable.

    Attributes:
        name: Its structural name.
        role: What it does, one of `network.parts.ROLES`.
        layer: The class of the layer that owns it.
        shape: Its shape.
        initializer: The initializer of its values, with seed and fans, so that
            ``initializer(shape)`` returns them again; None if it was not changed.
        fans: ``(fan_in, fan_out)`` of a kernel, else None.
        rule: The rule that was applied, None if none matches.
        called: Its name with the layer names that the user set, such as ``"encoder/kernel"``;
            the structural name without any.
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
class ReinitializeReport(base.Report):
    """The changes that `reinitialize` made.

    Attributes:
        seed: The seed that reproduces the call.
        changes: One `Change` for each variable, in the order of the model.
    """

    seed: int
    changes: tuple[Change, ...]

    def __getitem__(self, name: str) -> Change:
        """Return the change of a variable by its structural name, or the one set by the user."""
        return base.row_named(self.changes, name)

    @property
    def changed(self) -> list[str]:
        """The names of the variables that got new values."""
        return [change.name for change in self.changes if change.initializer is not None]

    @property
    def kept(self) -> list[str]:
        """The names of the variables that were not changed."""
        return [change.name for change in self.changes if change.initializer is None]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary."""
        rows = [
            vars(change)
            | {
                "initializer": binding.serialize(change.initializer),
                "rule": None if change.rule is None else repr(change.rule),
            }
            for change in self.changes
        ]
        return {"seed": self.seed, "changes": rows}


@base.text.register(ReinitializeReport)
def _text(report: ReinitializeReport) -> str:
    lines = [
        (
            base.both_names(change),
            " x ".join(map(str, change.shape)) or "scalar",
            change.role,
            *(["", ""] if change.fans is None else [f"{fan:g}" for fan in change.fans]),
            binding.describe(change.initializer),
        )
        for change in report.changes
    ]
    heads = ("variable", "shape", "role", "fan in", "fan out", "new values")
    return terminal.as_text(160, terminal.table(heads, lines, len(heads)), f"seed {report.seed}")


def reinitialize(
    model: Any,
    rules: Mapping[Any, Any] | Iterable[Rule] | Callable[[Any], Iterable[Rule]] | None = None,
    seed: int | None = None,
) -> ReinitializeReport:
    """Redraw the variables of a built model, by rules.

    For a model that is already built, such as one of ``keras.applications``; for a new trial; for
    layers whose initializers see too little (depthwise, transposed and grouped convolutions, gates,
    attention in tf_keras): each kernel is drawn with the fans that its layer has, gate by gate.

    Each variable has its own stream of random numbers, derived from the seed and the variable's
    structural name. Two variables never share values, and the same call with the same seed gives
    the same values, bit for bit, in either Keras, also after training and in another process. The
    optimizer is reset. If an error is raised, nothing is changed.

    Args:
        model: A built model or layer of either Keras.
        rules: The first rule that matches a variable applies:

            * None (default): every variable by the initializer that its layer was built with. What
              a layer passes to ``add_weight`` is found by building a second one from its
              configuration. What ``adapt`` computed from data stays.
            * A dictionary from targets to initializers (see `Rule`). A target is a role
              (``"kernel"``, ``"bias"``), a name with ``*`` or ``/`` (``"*/query/kernel"``,
              or ``"encoder/kernel"`` for a layer that the user named ``encoder``), a
              layer class or its name (for its kernels). An array in place of an
              initializer is for variables of exactly its shape.
            * A list of `Rule`.
            * A function from the model to such a list, such as those in `kerasinit.rules`.

            Variables that no rule matches keep their values; ``{..., "*": "own"}`` gives
            them what their layers were built with.
        seed: A non-negative integer; None (default) draws one, which the report holds.

    Returns:
        A report, printed as a table: for each variable its fans and initializer, or that it was
        kept.

    Raises:
        TypeError: If the model or a rule is of a wrong type, or the optimizer is a legacy
            one of tf_keras, whose state cannot be reset.
        ValueError: If the model is not built; there is no rule; a rule names a role, a layer or a
            variable that the model does not have, or an ambiguous name; or an initializer cannot
            make values of a variable's shape, or makes some that are not finite.

    Warns:
        UserWarning: If a variable's first values cannot be reproduced, with its name: its
            initializer is unknown, or draws without a seed.

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
            initializer = binding.bind(initializer, part, stream)
        if initializer is not None:
            values.append((part.variable, binding.make_values(initializer, part)))
        fans = part.reading and (part.reading.fan_in, part.reading.fan_out)
        layer = type(part.layer).__name__
        changes.append(
            Change(part.name, part.role, layer, part.shape, initializer, fans, rule, part.called)
        )
    _warn_of_irreproducible_values(found, changes)
    for variable, value in values:
        variable.assign(value)
    if any(_is_for_everything(rule) for rule in rules):
        compat.reset_states({id(one): one for part in found for one in part.layers}.values())
    optimizers.reset_optimizer(model)
    return ReinitializeReport(seed, tuple(changes))


def _is_for_everything(rule: Rule) -> bool:
    return rule.initializer is OWN and rule in (Rule(OWN), Rule(OWN, name="*"))


def _warn_of_irreproducible_values(found: list[Part], changes: list[Change]) -> None:
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
            f"The first values of {', '.join(unknown)} cannot be restored: their initializers are "
            f"unknown (a custom layer that cannot be rebuilt from its configuration, or a "
            f"quantized one). They keep their current values. Give each a rule, such as "
            f"{{{unknown[0]!r}: 'GlorotUniform', '*': 'own'}}.",
            stacklevel=3,
        )
    if drawn:
        warnings.warn(
            f"The values of {', '.join(drawn)} come from functions that draw without a seed and "
            f"cannot be reproduced. Give each a rule with an initializer, such as "
            f"{{{drawn[0]!r}: 'GlorotUniform', '*': 'own'}}.",
            stacklevel=3,
        )


def redraw_variables(found: Iterable[Part], seed: int) -> None:
    """Redraw variables as ``reinitialize(model, seed=seed)`` does, without the optimizer."""
    for part in found:
        binding.fill(OWN, part, streams.derive(seed, "reinitialize", part.name))
