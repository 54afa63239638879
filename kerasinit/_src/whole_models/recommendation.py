"""The initializer that suits each variable of a model, by its context.

It depends on three things: the activation after a kernel, which works best at a certain variance;
the activation before it, which changes the mean square of its inputs; and its position (the end of
a residual branch, a gate, the output). The results are rules for `reinitialize`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from rich import box

from kerasinit._src.network.model import read
from kerasinit._src.network.parts import Part
from kerasinit._src.reports import base, terminal
from kerasinit._src.whole_models import binding
from kerasinit._src.whole_models.binding import OWN
from kerasinit._src.whole_models.reasons import Choice, choose
from kerasinit._src.whole_models.redraw import Rule
from kerasinit._src.whole_models.rules.picking import rules_for


@dataclass(frozen=True, eq=False)
class Recommended:
    """The recommendation for one variable.

    Attributes:
        name: Its structural name.
        role: The role of the variable, one of `network.parts.ROLES`.
        layer: The class name of the layer that owns it.
        shape: Its shape.
        initializer: The recommended initializer; ``"own"`` for the one that its layer was built
            with, None to keep the current values.
        reason: Why it is recommended.
        called: Its name with the layer names that the user set, such as ``"encoder/kernel"``;
            the structural name if the user set none.
    """

    name: str
    role: str
    layer: str
    shape: tuple[int, ...]
    initializer: Any
    reason: str
    called: str


@dataclass(frozen=True, eq=False)
class Recommendation(base.Report, Sequence[Rule]):
    """The recommendation for a model: rules for `reinitialize`, with the reasons.

    It is a sequence of the rules; variables with the same initializer share a rule.

    Attributes:
        rows: One `Recommended` for each variable, in the order of the model.
        notes: Problems that no initializer can fix.
        rules: The rules.
    """

    rows: tuple[Recommended, ...]
    notes: tuple[str, ...]
    rules: tuple[Rule, ...]

    def __len__(self) -> int:
        """Return how many rules there are."""
        return len(self.rules)

    @overload
    def __getitem__(self, key: int) -> Rule: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Rule, ...]: ...
    @overload
    def __getitem__(self, key: str) -> Recommended: ...
    def __getitem__(self, key: Any) -> Any:
        """Return a rule by its index, or the recommendation for a variable by its name."""
        if not isinstance(key, str):
            return self.rules[key]
        return base.row_named(self.rows, key)

    def __iter__(self) -> Iterator[Rule]:
        """Yield the rules."""
        return iter(self.rules)

    def to_dict(self) -> dict[str, Any]:
        """Return the recommendation as a dictionary."""
        rows = [
            vars(row) | {"initializer": binding.serialize(row.initializer)} for row in self.rows
        ]
        return {"variables": rows, "notes": self.notes}


@base.text.register(Recommendation)
def _text(found: Recommendation) -> str:
    lines = [(base.both_names(row), _describe(row.initializer), row.reason) for row in found.rows]
    heads = ("variable", "starts with", "because")
    return terminal.as_text(
        100,
        terminal.table(heads, lines, len(heads), box=box.SIMPLE_HEAD, pad_edge=False),
        "kerasinit.reinitialize(model, recommendation, seed=1) applies it.",
        *(["\nNo initializer can fix:"] if found.notes else []),
        *(terminal.indented(f"- {note}") for note in found.notes),
    )


def recommend(model: Any) -> Recommendation:
    """Recommend an initializer for each variable of a model, with the reason.

    For a model that `kerasinit.diagnose` finds fault with, or for which there is no data. With the
    recommended values, signal and gradient keep their size from end to end. The model is not
    changed; `reinitialize` applies the recommendation. Frozen variables are kept. Deliberate
    choices (`PriorProbability`, `Chrono`, `Siren`, `Bilinear`, a file, an array, ...) are left to
    the layer, as are variables whose initializer is unknown, with a note.

    Formula: a kernel gets the variance ``v / (m fan_in)``.

    * v is the variance at which its activation f works best. If f preserves any variance (relu,
      leaky relu), ``v = 1 / E[f(z)^2]``, so that f gives a mean square of 1: He's 2 for relu.
      For any other f, and before an output, a gate or a sum, ``v = 1``, the fixed point.
    * m is the mean square of the inputs: 1 from scaled inputs, normalizations and relu;
      ``E[f(z)^2]`` from an activation with its fixed point at 1 (0.39 for tanh).
    * Activations whose mean is so large that all examples become alike (sigmoid, softplus:
      ``chi = E[f'(z)^2] / E[f(z)^2] < 1``) are followed by kernels that sum to zero,
      `CentredNormal`; m is then ``Var[f(z)]``. A network of sigmoids then starts like one of tanh.
    * In long runs of tanh and similar activations the gradient would grow by chi per layer; from
      3 nats on, they start at the edge of chaos, ``Var(w) = 1 / (f'(0)^2 fan_in)``.
    * The last kernel of each of N residual branches of a stream is divided by ``sqrt(N)``,
      unless a normalization comes after it.
    * Recurrent kernels are orthogonal gate by gate (the identity for relu), input kernels
      Glorot's gate by gate, forget gates start open (1). The kernels of an attention layer
      have the variance ``1 / fan_in``, each with its own fans. Embeddings keep their layers'
      initializers; Keras' defaults have small values (0.05 at most), which train faster than
      ``N(0, 1)``. Biases are 0.

    `reinitialize` supplies the fans as each layer (depthwise, transposed, grouped) reads them.

    A model without a graph is called once on zeros to trace its layers; functions between layers
    are not seen, so they are treated as linear.

    Args:
        model: A built model of either Keras: sequential, functional, subclassed or nested.

    Returns:
        A sequence of `Rule`, printed as a table with the reasons. Its notes list what no
        initializer can fix, as far as the model shows it; only `kerasinit.diagnose` can see
        problems of the data, such as inputs that are not scaled.

    Raises:
        TypeError: If ``model`` is not a model of either Keras.
        ValueError: If the model is not built.

    Example:
    >>> import keras, kerasinit
    >>> layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(10, "softmax")]
    >>> model = keras.Sequential([keras.Input((64,)), *layers])
    >>> found = recommend(model)
    >>> found["dense/kernel"].initializer, found["dense_1/kernel"].initializer
    (HeNormal(), LecunNormal())
    >>> report = kerasinit.reinitialize(model, found, seed=1)

    Reference:
        He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers"; Glorot and Bengio, 2010,
        "Understanding the difficulty of training deep feedforward neural networks"; Schoenholz,
        Gilmer, Ganguli and Sohl-Dickstein, 2017, "Deep information propagation"; Radford et al.,
        2019, "Language models are unsupervised multitask learners", section 2.3 (branches);
        Jozefowicz, Zaremba and Sutskever, 2015, "An empirical exploration of recurrent network
        architectures" (forget gates).
    """
    network = read(model)
    choices, notes = choose(network)
    rows = tuple(
        Recommended(
            part.name,
            part.role,
            type(part.layer).__name__,
            part.shape,
            one.initializer,
            one.reason,
            part.called,
        )
        for part, one in zip(network.parts, choices, strict=True)
    )
    return Recommendation(rows, notes, _as_rules(network.parts, choices))


def _as_rules(parts: Sequence[Part], choices: Sequence[Choice]) -> tuple[Rule, ...]:
    """Return the rules, one for all variables with the same initializer."""
    by_initializer: dict[str, tuple[Any, list[Part]]] = {}
    for part, one in zip(parts, choices, strict=True):
        _, found = by_initializer.setdefault(repr(one.initializer), (one.initializer, []))
        found.append(part)
    return tuple(
        rule
        for initializer, found in by_initializer.values()
        for rule in rules_for(initializer, found)
    )


def _describe(initializer: Any) -> str:
    if initializer is None:
        return "its current values"
    return "its layer's initializer" if initializer == OWN else binding.describe(initializer)
