"""A table of the weights of a model: which are pruned, and why."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kerasinit._src import compat
from kerasinit._src.network import readings
from kerasinit._src.network.catalogue import reader_of, row_of
from kerasinit._src.network.parts import Part, parts
from kerasinit._src.network.prunable import NoRuleError, own_weights, prunable_by_layer
from kerasinit._src.pruning import changes, pruned_models
from kerasinit._src.pruning.composition import Composition
from kerasinit._src.pruning.tfmot_bridge import policy_of, wrappers
from kerasinit._src.reports import base, figures, terminal
from kerasinit._src.reports.base import both_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class WeightSummary:
    """How one weight of a model is pruned.

    Attributes:
        name: Structural name such as ``"dense_1/kernel"``, as in `masks` and
            `prunable_weights`.
        shape: The shape of the weight.
        pruned: Whether it has a mask.
        reason: For a pruned weight ``"kernel"``, ``"recurrent kernel"``, ``"embeddings"`` or
            ``"chosen by its class"``, followed by ``", frozen"`` if it is not trained. For
            others ``"bias"``, ``"normalization"``, ``"depthwise"``, ``"policy"`` (the pruning
            policy excludes the layer), ``"no rule"`` (`prune_low_magnitude` would reject the
            model), ``"not chosen by its class"``, ``"not a kernel"``, ``"quantized"`` or
            ``"new since pruning"``; for prunable ones ``"not pruned yet"``, or ``"no mask"``
            if there are zeros, such as those left by `strip_pruning`.
        sparsity: Fraction currently removed by the mask; without a mask, the fraction of zeros
            in a prunable weight, and 0 for all others.
        schedule: The schedule of its mask, with arguments; empty without a mask.
        called: Its name with the layer names that the user set, such as ``"encoder/kernel"``;
            the structural name if there are none.

    Example:
        See `weight_summaries`.
    """

    name: str
    shape: tuple[int, ...]
    pruned: bool
    reason: str
    sparsity: float
    schedule: str
    called: str

    @property
    def size(self) -> int:
        """The number of its elements."""
        return int(np.prod(self.shape, dtype=np.int64))


class WeightSummaries(list[WeightSummary], base.Plotted):
    """The summaries of a model's weights: a list that can be drawn, from `weight_summaries`.

    Args:
        iterable: One `WeightSummary` for each weight; none by default.

    Raises:
        TypeError: If ``iterable`` is not iterable.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> rows = pruning.weight_summaries(model)
    >>> len(rows), len(rows.plot().axes)
    (2, 1)
    """


def weight_summaries(model: Any, pruning_policy: Any = None) -> WeightSummaries:
    """Return which weights of a model are pruned, which are not, and why.

    Args:
        model: A built model or layer of either Keras, pruned or not.
        pruning_policy: The policy that `prune_low_magnitude` was or will be called with. Only
            needed for a model that is not pruned yet. Default: none.

    Returns:
        A list of one `WeightSummary` for each weight, in the order of the model. Its ``plot()``
        draws the sparsity of each.

    Raises:
        TypeError: If ``model`` is neither a model nor a layer.
        ValueError: If it is not built.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> for row in pruning.weight_summaries(pruning.prune_low_magnitude(model)):
    ...     print(row.name, row.shape, row.pruned, row.reason, row.sparsity)
    dense/kernel (8, 4) True kernel 0.0
    dense/bias (4,) False bias 0.0
    """
    found = parts(model)  # checks that the model is built
    masks, schedules, wrapper_variables = _pruned(model)
    chosen = _Choice(model, pruning_policy)
    rows = WeightSummaries()
    for part in found:
        key = _key(part.variable)
        if key in wrapper_variables:
            continue
        mask = masks.get(key)
        zeros = np.empty(0)
        if mask is not None:
            zeros = np.asarray(mask.read_value()) == 0
        elif id(part.variable) in chosen.prunable:
            zeros = compat.read(part.variable) == 0
        sparsity = float(np.mean(zeros)) if zeros.size else 0.0
        rows.append(
            WeightSummary(
                part.name,
                part.shape,
                mask is not None,
                chosen.reason(part, pruned=mask is not None, sparsity=sparsity),
                sparsity,
                _describe(schedules[key]) if key in schedules else "",
                part.called,
            )
        )
    return rows


@base.figure.register(WeightSummaries)
def _figure(rows: WeightSummaries) -> "Figure":
    """Draw the sparsity of the weights that are pruned; of all if none is."""
    shown = [row for row in rows if row.pruned or row.sparsity] or list(rows)
    plot = figures.new_figure(6.4, 0.9 + 0.28 * max(2, len(shown)))
    axes = plot.subplots()
    names = [f"{row.called}, {_shape(row)}" for row in shown]
    percent = {"sparsity": [100 * row.sparsity for row in shown]}
    figures.draw_bars(axes, names, percent, numbers=".3g")
    axes.set_xlim(0, 108)
    axes.set_xlabel("weights removed (%)")
    return plot


def summary(model: Any, pruning_policy: Any = None, console: Any = None) -> WeightSummaries:
    """Print which weights of a model are pruned, which are not, and why.

    Args:
        model: A built model or layer of either Keras, pruned or not.
        pruning_policy: The policy that `prune_low_magnitude` was or will be called with. Only
            needed for a model that is not pruned yet. Default: none.
        console: A ``rich.console.Console`` to print on. Default: standard output.

    Returns:
        The rows of the table, see `weight_summaries`.

    Raises:
        TypeError: If ``model`` is neither a model nor a layer.
        ValueError: If it is not built.

    Example:
    >>> import keras
    >>> from kerasinit import pruning
    >>> layers = [keras.Input((8,)), keras.layers.Dense(4), keras.layers.PReLU()]
    >>> schedule = pruning.ConstantSparsity(0.5, 0)
    >>> model = pruning.prune_low_magnitude(keras.Sequential(layers), schedule)
    >>> rows = pruning.summary(model)
    weight          shape   pruned   why            sparsity
    ────────────────────────────────────────────────────────
    dense/kernel    8x4     yes      kernel           0.0000
    dense/bias      4       no       bias                  -
    p_re_lu/alpha   4       no       not a kernel          -
    32 of 40 numbers under masks, 0 of them removed (0.00%).
    Schedule: ConstantSparsity(target_sparsity=0.5, begin_step=0, end_step=-1, frequency=100)
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = weight_summaries(model, pruning_policy)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("weight", "shape", "pruned", "why"):
        table.add_column(heading, overflow="fold")
    table.add_column("sparsity", justify="right")
    for row in rows:
        # Zeros in a bias were not removed.
        sparsity = f"{row.sparsity:.4f}" if row.pruned or row.sparsity else "-"
        pruned = "yes" if row.pruned else "no"
        table.add_row(both_names(row), _shape(row), pruned, row.reason, sparsity)
    console = console or Console()
    console.print(table, markup=False, emoji=False)
    under = [row for row in rows if row.pruned]
    total = sum(row.size for row in rows)
    covered = sum(row.size for row in under)
    removed = round(sum(row.size * row.sparsity for row in under))
    totals = f"{covered} of {total} numbers under masks, {removed} of them removed"
    if covered:
        totals += f" ({removed / covered:.2%})"
    console.print(f"{totals}.", highlight=False, soft_wrap=True)
    for schedule in dict.fromkeys(row.schedule for row in under):
        terminal.write(console, f"Schedule: {schedule}")
    return rows


def _shape(row: WeightSummary) -> str:
    return "x".join(map(str, row.shape)) or "scalar"


class _Choice:
    """Which weights of a model its layers and a policy choose for pruning."""

    def __init__(self, model: Any, policy: Any) -> None:
        self._composition: Composition | None = None
        if compat.kerase_of(model) == "keras" and pruned_models.is_pruned(model):
            self._composition = pruned_models.session_of(model).composition
        elif policy is None and compat.kerase_of(model) == "tf_keras":
            policy = policy_of(model)
        allow = None if policy is None else policy.allow_pruning
        if allow is None and self._composition is not None:
            allow = self._composition.allow
        self.prunable: set[int] = set()
        self._excluded: set[int] = set()
        self._no_rule: set[int] = set()
        allowed: set[int] = set()
        for layer, variables, error in prunable_by_layer(model):
            found = set(map(id, variables))
            if error is None:
                self.prunable |= found
            if allow is not None and not allow(layer):
                self._excluded |= found
            elif error is None:
                allowed |= found
            else:
                self._no_rule |= found
        try:
            self.prunable.update(map(id, own_weights(model)))
        except NoRuleError:
            inner = {id(v) for layer in model.layers for v in layer.weights}
            is_allowed = policy is None or policy.allow_pruning(model)
            (self._no_rule if is_allowed else self._excluded).update(
                id(v) for v in model.trainable_weights if id(v) not in inner
            )
        self._excluded -= allowed

    def reason(self, part: Part, *, pruned: bool, sparsity: float) -> str:
        """Return why a weight is pruned or not."""
        prunable, chooses = id(part.variable) in self.prunable, _chooses(part)
        if pruned:
            why = "chosen by its class" if chooses else part.role.replace("_", " ")
            return f"{why}, frozen" if _is_frozen(part) else why
        if prunable and not tf.as_dtype(compat.dtype_of(part.variable)).is_floating:
            return "quantized"
        if id(part.variable) in self._excluded:
            return "policy"
        if prunable and self._is_new(part.variable):
            return "new since pruning"
        if prunable:
            return "no mask" if sparsity else "not pruned yet"
        if part.role == "bias":
            return "bias"
        normalizes = row_of(part.layer).signal == "normalizes"
        if normalizes or part.role in ("scale", "offset"):
            return "normalization"
        if isinstance(part.layer, compat.layer_classes("SpectralNormalization")):
            return "normalization"
        if id(part.variable) in self._no_rule:
            return "no rule"
        name = compat.variable_name(part.variable)
        if reader_of(part.layer, name) is readings.depthwise:
            return "depthwise"
        return "not chosen by its class" if chooses else "not a kernel"

    def _is_new(self, variable: Any) -> bool:
        composition = self._composition
        return composition is not None and composition.is_new(variable)


def _is_frozen(part: Part) -> bool:
    return not (part.variable.trainable and all(layer.trainable for layer in part.layers))


def _chooses(part: Part) -> bool:
    # tfmot adds the method to instances of the classes that it supports.
    return any(hasattr(type(layer), "get_prunable_weights") for layer in part.layers)


def _pruned(model: Any) -> tuple[dict[int, Any], dict[int, Any], set[int]]:
    """Return masks and schedules by weight ``id``, and the variables of tfmot's wrappers."""
    if compat.kerase_of(model) == "keras":
        if compat.is_model(model):
            pruned_models.adopt(model)
        if not pruned_models.is_pruned(model):
            return {}, {}, set()
        pruner = changes.update_session(model).pruner
        places = {name: id(weight) for name, weight in pruner.weights.items()}
        masks = {places[name]: mask for name, mask in pruner.masks.items()}
        return masks, {places[name]: rule.schedule for name, rule in pruner.rules.items()}, set()
    masks, schedules, wrapper_variables = {}, {}, set()
    for wrapper in wrappers(model) if compat.is_model(model) else []:
        wrapper_variables.add(id(wrapper.pruning_step))
        for weight, mask, threshold in wrapper.pruning_vars:
            masks[id(weight)] = mask
            schedules[id(weight)] = wrapper.pruning_schedule
            wrapper_variables |= {id(mask), id(threshold)}
    return masks, schedules, wrapper_variables


def _key(variable: Any) -> int:
    return id(compat.tensor(variable))


def _describe(schedule: Any) -> str:
    """Return a schedule with the arguments in its config, if it has one."""
    name = type(schedule).__qualname__
    try:
        config = schedule.get_config()
    except Exception:  # custom schedules need not have one
        return name
    arguments = config.get("config", config) if isinstance(config, dict) else {}
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
