"""The initializer that each variable of a model asks for, by what stands around it.

What a kernel should start with follows from three things: what it is to bring about (the
activation after it works best on sums of a certain size), what it gets (the activation before it
has taken something from the signal), and its place (the end of a residual branch, a gate, the
output). Here they are read from the model and put together, as rules for `reinitialize`.
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
    """What is recommended for one variable.

    Attributes:
        name: Its structural name.
        role: What it does, one of `network.parts.ROLES`.
        layer: The class of the layer that owns it.
        shape: Its shape.
        initializer: What it should start with; ``"own"`` for what its layer was built with, None
            to leave it as it is.
        reason: Why.
        called: Its name by the names that were given to layers, such as ``"encoder/kernel"``;
            the structural name where none was given.
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
    """What is recommended for a model: rules for `reinitialize`, with the reasons.

    As a sequence it holds the rules; variables with one initializer share one.

    Attributes:
        rows: One `Recommended` for each variable, in the order of the model.
        notes: What no initializer can fix.
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
        """Return a rule by its place, or what is recommended for a variable by its name."""
        if not isinstance(key, str):
            return self.rules[key]
        return base.row_named(self.rows, key)

    def __iter__(self) -> Iterator[Rule]:
        """Yield the rules."""
        return iter(self.rules)

    def to_dict(self) -> dict[str, Any]:
        """Return the recommendation as a dictionary."""
        rows = [
            vars(row) | {"initializer": binding.serialized(row.initializer)} for row in self.rows
        ]
        return {"variables": rows, "notes": self.notes}


@base.text.register(Recommendation)
def _text(found: Recommendation) -> str:
    lines = [(base.both_names(row), _written(row.initializer), row.reason) for row in found.rows]
    heads = ("variable", "starts with", "because")
    return terminal.as_text(
        100,
        terminal.table(heads, lines, len(heads), box=box.SIMPLE_HEAD, pad_edge=False),
        "kerasinit.reinitialize(model, recommendation, seed=1) applies it.",
        *(["\nNo initializer can fix:"] if found.notes else []),
        *(terminal.indented(f"- {note}") for note in found.notes),
    )


def recommend(model: Any) -> Recommendation:
    """Return for each kernel and bias of a model the initializer that it asks for, and why.

    For a model that `kerasinit.diagnose` finds fault with, or before there is anything to
    diagnose: applied, it keeps signal and gradient at one size from end to end. Nothing of the
    model changes; `reinitialize` applies it. Frozen variables are kept. What was chosen with a
    purpose (`PriorProbability`, `Chrono`, `Siren`, `Bilinear`, a file, an array, ...) stays the
    layer's own, and so does what its initializer is not known of, which is noted.

    Formula: a kernel gets the variance ``v / (m fan_in)``.

    * v is what its activation f wants of the sums. Where the variance passes unchanged whatever
      it is (relu, leaky relu), ``v = 1 / E[f(z)^2]``, so that f gives a mean square of 1: He's 2
      for relu. For any other f, and before an output, a gate or a sum, ``v = 1``, where f has
      its fixed point.
    * m is what comes in: 1 from inputs that are scaled, normalizations, relu; ``E[f(z)^2]`` from
      an activation with its fixed point at 1 (0.39 for tanh).
    * Activations with a mean so large that all examples come to look alike (sigmoid, softplus:
      ``chi = E[f'(z)^2] / E[f(z)^2] < 1``) are followed by kernels that sum to zero,
      `CentredNormal`; m is then ``Var[f(z)]``. A network of sigmoids starts as one of tanh.
    * In long rows of tanh and its kin the gradient would grow by chi a layer; where that comes
      to 3 nats, they start at the edge of chaos, ``Var(w) = 1 / (f'(0)^2 fan_in)``.
    * The last kernel of each of N residual branches of a stream is divided by ``sqrt(N)``,
      unless a normalization comes after it.
    * Recurrent kernels are orthogonal gate by gate (the identity for relu), their inputs'
      Glorot's gate by gate, forget gates start open (1). The kernels of an attention have the
      variance ``1 / fan_in`` by its own fans. Embeddings stay as their layers were built, which
      is small in Keras (0.05 at most) and learns faster than ``N(0, 1)``. Biases are 0.

    `reinitialize` adds the fans, by each layer's own reading: depthwise, transposed, grouped.

    A model without a graph is called once on zeros, to see its layers in their order; what its
    call does by functions instead of layers is not seen, and taken as linear.

    Args:
        model: A built model of either Keras: sequential, functional, subclassed or nested.

    Returns:
        A `Recommendation`: a sequence of rules; print it. It says what no initializer can fix as
        far as the model shows it. What the data does (inputs that are not scaled), only
        `kerasinit.diagnose` can see.

    Raises:
        TypeError: If it is not a model of either Keras.
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
    """Return one rule for all variables with one initializer."""
    alike: dict[str, tuple[Any, list[Part]]] = {}
    for part, one in zip(parts, choices, strict=True):
        _, found = alike.setdefault(repr(one.initializer), (one.initializer, []))
        found.append(part)
    return tuple(rule for made, found in alike.values() for rule in rules_for(made, found))


def _written(initializer: Any) -> str:
    if initializer is None:
        return "what it has"
    return "its layer's own" if initializer == OWN else binding.described(initializer)
