"""Plans structured pruning: which channels to remove so that a model costs what it may."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from kerasinit._src import compat, errors
from kerasinit._src.network.parts import variables_of
from kerasinit._src.shrinking import named_importance, plan_show  # noqa: F401 (registers)
from kerasinit._src.shrinking.channel_groups import Group, groups_of
from kerasinit._src.shrinking.costs import Costs
from kerasinit._src.shrinking.measured_cost import Latency
from kerasinit._src.shrinking.plan_settings import (
    Importance,
    Settings,
    checked_ratio,
    checked_scope,
    checked_target,
)
from kerasinit._src.shrinking.reading import read_channels
from kerasinit._src.shrinking.removal_plan import (
    Plan,
    PlannedCost,
    PlannedGroup,
    slices_of,
    unique_names,
)
from kerasinit._src.shrinking.selection import Candidate, Chooser, Scope, Target
from kerasinit._src.shrinking.widths import widths_of


def structured(
    model: Any,
    target: Mapping[str, float] | None = None,
    *,
    importance: str | Importance = "magnitude",
    scope: Scope = "global",
    ratios: Mapping[str, float] | None = None,
    round_to: int = 1,
    ignore: Iterable[Any] = (),
    min_width: int = 1,
    through_statistics: bool = False,
    x: Any = None,
    y: Any = None,
    seed: int = 0,
    latency: Callable[[Any], float] | None = None,
) -> Plan:
    """Plan which units, filters, channels and heads of a model to remove.

    The least important channels are removed, each from all layers that produce or read it, until
    the model costs no more than the target. The plan changes nothing: `Plan.apply` sets the
    channels to zero at once, `StructuredPruning` while the model trains, and
    `kerasinit.shrinking.compact` removes channels that are zero. Also known as structured pruning,
    channel pruning or filter pruning.

    The importance of a channel is one of

    * ``"magnitude"``: the mean of ``|w|^2`` over the kernels and scales ``w`` that produce or read
      the channel, divided by its mean over the group (DepGraph's group norm);
    * ``"l1"``, ``"l2"``: the norm of the kernels that produce it (Li et al.), normalized by their
      size, divided by its mean over the group;
    * ``"batch_norm"``: ``|gamma|`` of its batch normalization (network slimming);
    * ``"taylor"``: ``mean over batches of (sum of w dL/dw over all weights of the channel)^2``, in
      batches of 32 of ``x`` and ``y`` (Molchanov et al.);
    * ``"activation"``: the mean absolute value on ``x`` where layers read the channel, divided by
      its mean over the group;
    * ``"random"``: uniform, a control;
    * a function that takes a `Group` and returns a number for each of its channels.

    A group to which an importance does not apply, such as ``"batch_norm"`` to one without batch
    normalization, or for which a function returns None, is not changed, with the reason in the
    plan.

    Args:
        model: A built functional or sequential model of either Keras. It is not changed.
        target: The fractions of the dense model's costs to keep, such as ``{"macs": 0.5}`` for
            half of the multiplications; in (0, 1]. Costs are ``"macs"``, ``"parameters"``,
            ``"bytes"`` (of weights in memory) and ``"latency"`` (measured). All targets are met.
            None (default) to remove only what ``ratios`` specifies.
        importance: A name or a function, see above; ``"magnitude"`` by default.
        scope: ``"global"`` (default): one ranking of all groups, which also determines their
            widths; ``"local"``: the same fraction of every group.
        ratios: The fraction to remove from some groups, in [0, 1), by the name of a layer that
            produces their channels or of the group; none by default. Targets are met with the
            other groups.
        round_to: The width of a layer that loses channels becomes a multiple of this; 1 by
            default. 8 suits most kernels of runtimes, 16 those of LiteRT on processors with
            AVX-512. Narrower layers are not changed. Each part of a concatenation is rounded
            separately; the number of attention heads is not rounded.
        ignore: Layers, or their names, whose outputs keep their width; none by default.
        min_width: The min width of a layer that loses channels; 1 by default.
        through_statistics: Whether to remove channels that the statistics of a layer or group
            normalization include; False by default. This changes what the other channels compute,
            which `compact` never does: remove them with `Plan.cut`, and fine-tune.
        x: Examples as the model takes them, for ``"taylor"``, ``"activation"`` and the target
            ``"latency"`` (one random example by default).
        y: Labels of ``x``, for ``"taylor"``; None by default.
        seed: The seed of ``"random"``; 0 by default.
        latency: A function that measures a model, in seconds, for the target ``"latency"``. By
            default (None), the median of interleaved calls of both compiled models on this
            machine.

    Returns:
        The `Plan`: widths, costs, and the channels to remove.

    Raises:
        ValueError: If a target cannot be met (the message says what can), a fraction is out of its
            range, a name is unknown, a layer in ``ratios`` must be kept whole, the data do not fit,
            or the model is not built, a subclassed one, or has weights that are NaN or infinite.

    Example:
    >>> import keras
    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(16, name="hidden"), keras.layers.Dense(2)]
    ... )
    >>> plan = structured(model, {"macs": 0.5}, round_to=4)
    >>> plan.widths["hidden"], plan.cost("macs").ratio
    ((16, 8), 0.5)
    >>> plan.groups[0].name, len(plan.groups[0].removed), plan.groups[1].reason
    ('hidden', 8, 'output of the model')

    Reference:
        [Fang et al., 2023](https://arxiv.org/abs/2301.12900) (DepGraph);
        [Li et al., 2017](https://arxiv.org/abs/1608.08710);
        [Liu et al., 2017](https://arxiv.org/abs/1708.06519) (network slimming);
        [Molchanov et al., 2019](https://arxiv.org/abs/1906.10771) (Taylor)
    """
    settings = Settings(
        checked_target(target, ratios),
        importance,
        checked_scope(scope),
        {name: checked_ratio(name, one) for name, one in (ratios or {}).items()},
        errors.checked_count("round_to", round_to),
        (ignore,) if isinstance(ignore, str) else tuple(ignore),
        errors.checked_count("min_width", min_width),
        through_statistics,
        x,
        y,
        errors.checked_seed(seed),
        latency,
    )
    planner = Planner(model, settings)
    return planner.plan(planner.choose())


class Planner:
    """Chooses channels of one model, from its current weights.

    Attributes:
        reading: The channels of the model.
        groups: Its groups.
    """

    def __init__(self, model: Any, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self.reading = read_channels(model, through_statistics=settings.through_statistics)
        self.groups = groups_of(self.reading)
        self._costs = Costs(self.reading)
        self._all = np.ones(self.reading.channels.number, bool)
        self._widths = widths_of(self.reading, settings.round_to)
        ignored = self._groups_called(settings.ignore, "ignore")
        self._reasons = {
            place: group.reason or ("ignored" if place in ignored else "")
            for place, group in enumerate(self.groups)
        }
        self._ratios = self._ratio_by_group()

    def choose(
        self, progress: float = 1.0, present: np.ndarray | None = None, macs: float = 1.0
    ) -> np.ndarray:
        """Return which channels of the model are kept.

        On the way, the finished model is chosen first, and then as many of the channels that it
        does not have as are to be removed by now: so their number may be any, and it still ends
        with the widths that are allowed.

        Args:
            progress: How much of what the targets remove is to be removed, from 0 to 1.
            present: Those that have not been removed yet; others don't return. None: all.
            macs: The fraction of the multiplications that the finished model has; on the way it
                takes the place of a latency, which is measured at the end only.
        """
        candidates = self._candidates(self._all if present is None else present)
        targets = list(self._targets(None if progress == 1 else macs))
        finished = self._chosen(candidates, targets)
        if progress == 1:
            return finished
        on_the_way = [
            one.on_the_way(finished, None if one.ratio is None else one.ratio * progress)
            for one in candidates
        ]
        nearer = [replace(one, fraction=1 - progress * (1 - one.fraction)) for one in targets]
        return self._chosen(on_the_way, nearer)

    def _chosen(self, candidates: list[Candidate], targets: list[Target]) -> np.ndarray:
        chooser = Chooser(candidates, self._settings.scope, len(self._all))
        kept = chooser.kept(targets)
        if kept is None:
            raise ValueError(self._unmet(targets, chooser.mask(chooser.counts(chooser.levels))))
        return kept

    def plan(self, kept: np.ndarray) -> Plan:
        """Return the plan that keeps some channels."""
        inexact = [
            name
            for labels, name in self.reading.channels.inexact
            if not kept[self.reading.channels.of(labels)].all()
        ]
        rows = tuple(
            PlannedGroup(
                name,
                group.name,
                group.size,
                tuple(int(one) for one in np.flatnonzero(~kept[group.channels])),
                self._widths.positions_of(group),
                self._reasons[place],
                slices_of(group),
            )
            for place, (name, group) in enumerate(
                zip(unique_names(self.groups), self.groups, strict=True)
            )
        )
        settings = self._settings
        return Plan(
            rows,
            tuple(self._planned_costs(kept)),
            tuple(dict.fromkeys(inexact)),
            settings.through_statistics,
            settings,
        )

    def _candidates(self, present: np.ndarray) -> list[Candidate]:
        score = self._settings.importance
        if isinstance(score, str):
            settings = self._settings
            score = named_importance.make_importance(
                score, self.reading, settings.x, settings.y, settings.seed
            )
        found = []
        for place, group in enumerate(self.groups):
            if self._reasons[place]:
                continue
            ratio = self._ratios.get(place)
            scores = score(group)
            if scores is None:
                what = self._settings.importance
                self._reasons[place] = named_importance.UNDEFINED.get(
                    what if isinstance(what, str) else "", "its importance is not defined"
                )
                if ratio is not None:
                    raise ValueError(
                        f"ratios has {group.name!r}, whose channels cannot be ranked: "
                        f"{self._reasons[place]}."
                    )
                continue
            found.append(
                Candidate(
                    group,
                    _checked_scores(group, scores),
                    self._widths.sizes_of(group, self._settings.min_width),
                    present[group.channels],
                    ratio,
                )
            )
        return found

    def _targets(self, macs: float | None) -> Iterator[Target]:
        """Yield the targets; the fraction ``macs``, if given, stands for a latency."""
        for name, fraction in self._settings.target.items():
            if name == "latency":
                if macs is None:
                    yield Target(name, fraction, self._latency.fraction_of, measured=True)
                    continue
                name, fraction = "macs", macs
            function, dense = getattr(self._costs, name), getattr(self._costs, name)(self._all)
            yield Target(
                name,
                fraction,
                lambda kept, function=function, dense=dense: function(kept) / dense,
            )

    @cached_property
    def _latency(self) -> Latency:
        settings = self._settings
        return Latency(self.reading, settings.x, settings.latency)

    def _planned_costs(self, kept: np.ndarray) -> Iterator[PlannedCost]:
        target = self._settings.target
        for name in ("macs", "parameters", "bytes"):
            function = getattr(self._costs, name)
            yield PlannedCost(name, function(self._all), function(kept), target.get(name))
        if "latency" in target:
            yield PlannedCost("latency", *self._latency.measured(kept), target["latency"])

    def _unmet(self, targets: list[Target], smallest: np.ndarray) -> str:
        asked = ", ".join(f"{one.name} {one.fraction:.4g}" for one in targets)
        can = ", ".join(f"{one.name} {math.ceil(one.of(smallest) * 1e4) / 1e4:.4g}"
                        for one in targets)  # fmt: skip
        settings = self._settings
        why = [f"round_to={settings.round_to}", f"min_width={settings.min_width}"]
        why += [f"ignore={[_name(one) for one in settings.ignore]}"] if settings.ignore else []
        why += [f"ratios={dict(settings.ratios)}"] if settings.ratios else []
        whole = [f"{group.name!r} ({self._reasons[place]})"
                 for place, group in enumerate(self.groups) if self._reasons[place]]  # fmt: skip
        return (
            f"The target (fractions left: {asked}) cannot be met: with {', '.join(why)} the "
            f"smallest is {can}. Kept whole: {'; '.join(whole)}."
        )

    def _ratio_by_group(self) -> dict[int, float]:
        found: dict[int, float] = {}
        for name, ratio in self._settings.ratios.items():
            for place in sorted(self._groups_called([name], "ratios")):
                if self._reasons[place]:
                    raise ValueError(
                        f"ratios has {name!r}, whose channels must be kept: {self._reasons[place]}."
                    )
                if found.setdefault(place, ratio) != ratio:
                    raise ValueError(
                        f"ratios removes {found[place]} and, as {name!r}, {ratio} of the same "
                        f"channels: those of {self.groups[place].name!r}."
                    )
        return found

    def _groups_called(self, names: Iterable[Any], argument: str) -> set[int]:
        """Return the places of the groups that some layers make channels of."""
        layers = {id(one.variable): one.layers for one in variables_of(self._model)}
        found: set[int] = set()
        known: dict[str, None] = {}
        makers = []
        for group in self.groups:
            own = [
                layer
                for one in group.slices
                if one.role != "in"
                for layer in layers[id(one.variable)]
            ]
            makers.append({group.name, *(layer.name for layer in own if layer is not self._model)})
            known.update(dict.fromkeys(makers[-1]))
        for one in names:
            places = {place for place, own in enumerate(makers) if _name(one) in own}
            if not places:
                raise errors.unknown(
                    f"layer in {argument}", _name(one), known, "These make channels."
                )
            found |= places
        return found


def _name(layer: Any) -> str:
    return str(layer.name) if compat.is_layer(layer) else str(layer)


def _checked_scores(group: Group, scores: Any) -> np.ndarray:
    scores = np.asarray(scores, dtype="float64")
    if scores.shape != (group.size,):
        raise ValueError(
            f"Expected the importance to be a number for each of the {group.size} channels of "
            f"{group.name!r}; got shape {scores.shape}."
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"The importance of {group.name!r} is not finite (NaN or infinite).")
    return scores
