"""The choice of an initializer for each variable of a model, with the reason."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasinit._src import compat, initializers
from kerasinit._src.compat.quantization import quantization_of
from kerasinit._src.network import readings
from kerasinit._src.network.branches import branches_in
from kerasinit._src.network.catalogue import reader_of, row_of
from kerasinit._src.network.context import Context, contexts_in
from kerasinit._src.network.model import (
    Network,
    is_of_attention,
    is_query_or_key,
    is_table,
    layer_with_weights,
)
from kerasinit._src.network.parts import KERNELS, Kernel, Part, is_of_lora
from kerasinit._src.network.signal_roles import is_normalization, own_activation
from kerasinit._src.theory import limits
from kerasinit._src.theory.gains import gain
from kerasinit._src.theory.mean_field import (
    NEUTRAL,
    is_collapsing,
    is_neutral,
    is_odd,
    slope_at_zero,
    stability_of,
    written,
)
from kerasinit._src.whole_models.binding import OWN
from kerasinit._src.whole_models.first_values import is_adapted, own_initializer

_LONG = limits.HARM / 2  # nats; the other half is left to chance


@dataclass(frozen=True, eq=False)
class Choice:
    """The initializer chosen for a variable, `OWN` or None to keep its values, and the reason."""

    initializer: Any
    reason: str


def choose(network: Network) -> tuple[list[Choice], tuple[str, ...]]:
    """Return the choice for each part of a model, and notes on what no initializer can fix."""
    return _Chooser(network).read()


class _Chooser:
    def __init__(self, network: Network):
        self.network = network
        self.notes: dict[str, None] = {}
        self.graph, self.contexts, self.unseen = contexts_in(network)
        if self.unseen:
            self._note(
                f"The model's call could not be traced on zeros ({self.unseen}). Kernels whose "
                f"layers have no activation keep the initializers of their layers."
            )
        self.ends = self._branch_ends()

    def read(self) -> tuple[list[Choice], tuple[str, ...]]:
        choices = [self._choice(part) for part in self.network.parts]
        unknown = [
            part.called
            for part, one in zip(self.network.parts, choices, strict=True)
            if one.initializer == OWN and own_initializer(part) is None
        ]
        if unknown:
            self._note(
                f"The initializers of {', '.join(unknown)} are unknown, so their values are kept: "
                f"give each a rule."
            )
        for part, one in zip(self.network.parts, choices, strict=True):
            kept = one.initializer is None or (
                one.initializer == OWN and own_initializer(part) is None
            )
            value = np.asarray(compat.read(part.variable), np.float64)
            if kept and not np.isfinite(value).all():
                self._note(
                    f"{part.name} has values that are not finite and is not redrawn: load it again."
                )
        return choices, tuple(self.notes)

    def _note(self, note: str) -> None:
        self.notes[note] = None

    def _choice(self, part: Part) -> Choice:
        by_its_layer = not all(layer.trainable for layer in (self.network.model, *part.layers))
        # LoRA freezes a kernel, and not its layer.
        alone = not part.variable.trainable and part.role in (*KERNELS, "bias")
        if by_its_layer or alone:
            return Choice(None, "frozen: not trained, left unchanged")
        if is_of_lora(part):
            return Choice(OWN, "a factor of LoRA: their product starts at zero")
        mode = quantization_of(part.layer)
        if mode is not None and part.role == "other":
            return Choice(None, f"created and maintained by the {mode} quantization")
        if mode is not None and mode != "float8":
            return Choice(None, f"quantized ({mode}): its values are kept")
        own = own_initializer(part)
        if isinstance(own, _DELIBERATE):
            return Choice(OWN, f"{type(own).__name__} was chosen deliberately")
        if np.ndim(getattr(own, "value", 0)) > 0:
            return Choice(OWN, "its values were given explicitly")
        if is_table(part):
            return self._embeddings(part)
        if part.role == "bias":
            return self._bias(part)
        if is_adapted(part):
            return Choice(None, "adapted: computed from data")
        if part.role in ("scale", "offset", "statistic") and is_normalization(part.layer):
            return Choice(OWN, "a normalization keeps its layer's initializers")
        if not isinstance(part, Kernel):
            return Choice(OWN, "its layer's initializer: no rule applies")
        if part.role == "recurrent_kernel":
            return _recurrent(part)
        if part.reading.by_shape:
            return Choice(OWN, "its layer's initializer: how the layer uses it is unknown")
        if part.reading.gates > 1 or row_of(part.layer).signal == "steps":
            return Choice(
                initializers.GlorotUniform(), "a gate sums input and state, each with its own fans"
            )
        if is_of_attention(part):
            return self._attention(part)
        return self._kernel(part)

    def _embeddings(self, part: Part) -> Choice:
        if not isinstance(own_initializer(part), _constant_classes()):
            return Choice(OWN, "its layer's initializer: small rows train fast")
        return Choice(
            initializers.RandomUniform(minval=-0.05, maxval=0.05),
            "small random rows: constant ones would not differ, and small ones train fast",
        )

    def _bias(self, part: Part) -> Choice:
        kernels = [
            one for one in self.network.parts if one.layer is part.layer and isinstance(one, Kernel)
        ]
        if not kernels or any(one.reading.by_shape for one in kernels):
            return Choice(OWN, "its layer's initializer: how the layer uses it is unknown")
        if kernels[0].reading.gates == 4:  # of an LSTM
            units = part.shape[-1] // 4
            return Choice(initializers.ForgetBias(units), "forget gates start open")
        context = self.contexts.get(id(layer_with_weights(part)))
        if context is not None and context.output and row_of(part.layer).signal != "steps":
            return Choice(OWN, "the output's bias encodes prior knowledge of the targets")
        return Choice(initializers.Zeros(), "no unit is favored")

    def _attention(self, part: Kernel) -> Choice:
        if is_query_or_key(part):
            return Choice(initializers.LecunNormal(), "scores of variance 1 after their scaling")
        share, why = self.ends.get(part.name, (1.0, ""))
        why = why or "linear: preserves the variance of its inputs"
        return Choice(initializers.LecunNormal(gain=share), why)

    def _kernel(self, part: Kernel) -> Choice:
        context = self.contexts.get(id(layer_with_weights(part)))
        if context is None:
            context = Context(own_activation(part.layer))
            if self.unseen and context.activation is None:
                return Choice(OWN, "its layer's initializer: what follows it could not be seen")
        reader = reader_of(part.layer, compat.variable_name(part.variable))
        if reader is readings.depthwise and part is not self._last_of(part):
            context = Context()  # the first of two kernels in a row
        self._note_problems_of_run(context)
        share, place = self.ends.get(part.name, (1.0, ""))
        wanted, reason = _wanted(context)
        given, before, critical = _given(context)
        factor = share * math.sqrt(wanted)
        if place and context.activation is None:
            reason = ""
        reason = "; ".join(one for one in (reason, before, place) if one)
        if critical is not None:
            return Choice(initializers.LecunNormal(gain=share * critical), reason)
        if given == "centred":
            return self._centred(part, context.input_activation, factor, reason)
        if given == "fixed point":
            named: dict[str, Any] = {}
            if isinstance(context.input_activation, str):
                named["nonlinearity"] = context.input_activation
            factor *= 1.0 if named else gain(context.input_activation)
            return Choice(initializers.LecunNormal(gain=_rounded(factor), **named), reason)
        if context.activation is not None and wanted > 1:
            slope = _negative_slope(wanted)
            if slope is not None:
                leaky: dict[str, Any] = {} if slope == 0 else {"negative_slope": slope}
                return Choice(initializers.HeNormal(gain=share, **leaky), reason)
        return Choice(initializers.LecunNormal(gain=_rounded(factor)), reason)

    def _last_of(self, part: Part) -> Part:
        return [one for one in self.network.parts_of(part.layer) if one.role == "kernel"][-1]

    def _centred(self, part: Kernel, input_activation: Any, factor: float, reason: str) -> Choice:
        reading = part.reading
        summed = reading.input_axes
        if hasattr(part.layer, "kernel_size") and not reading.batch_axes:
            # Each tap separately: borders, and strides of transposed ones, skip some taps.
            channels = max(axis for axis in summed if axis not in reading.output_axes)
            summed = (channels,) if part.shape[channels] > 1 else summed
        if math.prod(part.shape[axis] for axis in summed) < 2:
            return Choice(
                initializers.LecunNormal(gain=_rounded(factor * gain(input_activation))), reason
            )
        axes: dict[str, Any] = {}
        if summed != tuple(range(len(part.shape) - 1)):
            axes = {
                "input_axes": list(summed),
                "output_axes": list(reading.output_axes),
                "fans": [reading.fan_in, reading.fan_out],
            }
        if isinstance(input_activation, str):
            axes["nonlinearity"] = input_activation
        else:
            factor *= gain(input_activation, "centred")
        return Choice(initializers.CentredNormal(gain=_rounded(factor), **axes), reason)

    def _branch_ends(self) -> dict[str, tuple[float, str]]:
        """Return for the last kernels of residual branches their gain, and why."""
        if self.graph is None:
            return {}
        try:
            found = branches_in(self.graph, self.network)
        except ValueError as error:
            self._note(f"Residual branches are treated as plain layers. {error}")
            return {}
        nodes, users = self.graph.nodes, self.graph.users
        # A stream that is normalized after each sum does not accumulate.
        adding = {
            branch.stream
            for branch in found
            if not users[branch.index]
            or not all(is_normalization(nodes[user].layer) for user in users[branch.index])
        }
        open_ends = [
            branch
            for branch in found
            if branch.stream in adding
            and branch.last_kernels
            and branch.last_kernels == branch.last_weights
        ]
        streams = [branch.stream for branch in open_ends]
        ends: dict[str, tuple[float, str]] = {}
        for branch in open_ends:
            number = streams.count(branch.stream)
            why = f"last kernel of a residual branch, one of {number} in this stream"
            for layer in branch.last_kernels:
                for part in self.network.last_kernels(layer):
                    ends[part.name] = (_rounded(number**-0.5), why)
        return ends

    def _note_problems_of_run(self, context: Context) -> None:
        """Note problems of a run of layers that no initial values can fix."""
        if context.run < 2 or context.normalized:
            return
        name, found = written(context.activation), stability_of(context.activation)
        if found is None:
            return
        # Later layers damp, keep or amplify the random deviation of each layer.
        variance = 0.0
        for width in context.widths:
            variance = variance * found.variance_slope**2 + limits.spread([width])
        if math.sqrt(variance) > _LONG:
            how = "accumulates"
            if found.variance_slope > 1 + NEUTRAL:
                how = f"is multiplied by {found.variance_slope:.2f} in each following layer"
            self._note(
                f"{context.run} consecutive layers of {name}, each at least {min(context.widths)} "
                f"units wide: the random deviation of the signal in each layer {how}, whatever "
                f"the gain. Widen them, insert normalizations or shortcuts, or use selu."
            )
        grows = (
            found.correlation_slope > 1
            and context.run * math.log(found.correlation_slope) > limits.HARM
        )
        if grows and not is_odd(context.activation):
            self._note(
                f"{context.run} consecutive layers of {name}: the gradient's variance grows by a "
                f"factor of {found.correlation_slope:.2f} in each. Insert normalizations or "
                f"shortcuts, or use relu."
            )


def _wanted(context: Context) -> tuple[float, str]:
    """Return the output variance that a kernel needs for inputs of mean square 1, and why."""
    after = " after a normalization, which cancels any scale" if context.normalized else ""
    if context.activation is None:
        if context.output:
            return 1.0, "the output: variance 1, so that first predictions are undecided"
        return 1.0, "normalized next, which cancels any scale" if context.normalized else (
            "linear as far as can be seen: preserves the variance of its inputs"
        )
    name, found = written(context.activation), stability_of(context.activation)
    if context.output:
        return (
            1.0,
            f"the output, before {name}: variance 1, so that first predictions are undecided",
        )
    if context.gate:
        return 1.0, f"a gate: {name} starts at the center of its range"
    if found is None:
        return 1.0, f"before {name}: variance 1"
    if is_neutral(found):
        square = 1 / found.gain**2
        return found.gain**2, f"{name} keeps {square:.2g} of the mean square{after}"
    return 1.0, f"{name} has its fixed point at variance 1{after}"


def _given(context: Context) -> tuple[str, str, float | None]:
    """Return how to compensate for the inputs' mean square, why, and a gain that overrides it."""
    found = None if context.input_activation is None else stability_of(context.input_activation)
    if found is None or is_neutral(found):
        return "", "", None
    name = written(context.input_activation)
    if is_collapsing(context.input_activation):
        return "centred", f"the mean of the preceding {name} would dominate the signal", None
    row = context.run * math.log(found.correlation_slope)
    alike = written(context.activation) == name
    if alike and row > _LONG and found.variance_slope < 1 and is_odd(context.input_activation):
        slope = slope_at_zero(context.input_activation)
        why = f"{context.run} consecutive {name}: at the edge of chaos gradients do not grow"
        return "", why, _rounded(1 / slope)
    return (
        "fixed point",
        f"the preceding {name} leaves a mean square of {1 / found.gain**2:.2g}",
        None,
    )


def _recurrent(part: Kernel) -> Choice:
    if part.reading.gates == 1 and written(getattr(part.layer, "activation", None)) == "relu":
        return Choice(
            initializers.Identity(), "relu: the identity keeps the state unchanged at first"
        )
    return Choice(
        initializers.Orthogonal(), "orthogonal: the state keeps its norm from step to step"
    )


def _negative_slope(wanted: float) -> float | None:
    """Return the slope of the leaky relu with this He variance; None if there is none."""
    square = 2 / wanted - 1
    return None if square < -NEUTRAL else round(math.sqrt(max(0.0, square)), 4)


def _rounded(factor: float) -> float:
    return float(f"{factor:.5g}")


_DELIBERATE = (
    initializers.Bilinear,
    initializers.Chrono,
    initializers.Dirac,
    initializers.ForgetBias,
    initializers.FromModel,
    initializers.ICNR,
    initializers.Identity,
    initializers.PriorProbability,
    initializers.Siren,
    initializers.WinningTicket,
    initializers.ZerO,
)


def _constant_classes() -> tuple[type, ...]:
    names = ("Constant", "Ones", "Zeros")
    own = (getattr(initializers, name) for name in names)
    return (*own, *compat.classes("initializers", *names))
