"""What the playground trains: every setting, declared once.

The form of the page, the address of a state, the files of lessons and the checks all come from the
fields of `Settings` and `SideSettings`.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from kerasinit._src import errors, initializers
from kerasinit._src.initializers import identifiers

SIDES = ("left", "right")
DATA = ("blobs", "moons", "circles", "xor", "spirals", "digits", "csv")
ACTIVATIONS = (
    *("relu", "tanh", "sigmoid", "linear", "leaky_relu", "elu", "selu", "gelu", "silu", "mish"),
    *("softplus", "softsign", "relu6", "hard_sigmoid", "hard_tanh"),
)
OPTIMIZERS = ("sgd", "momentum", "adam", "rmsprop")
NORMALIZATIONS = ("none", "batch", "layer")
SURVIVORS = ("rewind", "redraw")
MAX_CELLS = 3200
"""The largest depth times width: 50 layers of 64 units."""
MAX_TEXT = 200

# Initializers of other kernels than dense ones, or from files, which a link must not open.
NOT_HERE = {
    "Bilinear": "it fills the kernels of transposed convolutions",
    "Chrono": "it fills the biases of recurrent layers",
    "ConvOrthogonal": "it fills the kernels of convolutions",
    "ConvolutionAware": "it fills the kernels of convolutions",
    "DeltaOrthogonal": "it fills the kernels of convolutions",
    "Dirac": "it fills the kernels of convolutions",
    "ForgetBias": "it fills the biases of recurrent layers",
    "FromModel": "it reads a file, and a link must not open your files",
    "ICNR": "it fills the kernels of convolutions",
    "PerGate": "it fills the kernels of recurrent layers",
    "STFT": "it fills the kernels of convolutions",
    "WinningTicket": "it reads a file, and a link must not open your files",
}
METHODS = ("lsuv", "recommend", "weight_norm", "within_layer")
"""Initial values of the whole network: from data, or by kerasinit's recommendation."""


def option(default: Any, label: str, hint: str, **limits: Any) -> Any:
    """Return a field with its default, its label and hint in the form, and its limits.

    ``limits`` are ``low`` and ``high`` of a number, ``log`` for a slider on a logarithmic scale, or
    ``choices`` of a word.
    """
    return dataclasses.field(default=default, metadata={"label": label, "hint": hint, **limits})


@dataclass(frozen=True)
class SideSettings:
    """The settings of one of the two networks.

    Args:
        initializer: The initializer of all kernels, as on the command line,
            ``"RandomNormal:stddev=0.01"``, or a method for the whole network: ``"lsuv"``,
            ``"weight_norm"``, ``"within_layer"`` or ``"recommend"``. Defaults to ``"HeNormal"``.
        activation: The activation of the hidden layers; ``"relu"`` by default.
        bias: The initializer of all biases; ``"Zeros"`` by default.
        survivors: What weights that survive pruning restart from, if there are rounds:
            ``"rewind"`` (default) to their first values (a lottery ticket), or ``"redraw"`` for
            new ones.

    Raises:
        ValueError: If a name or a value is not one of these.
        TypeError: If a value is not a string.

    Example:
    >>> SideSettings("RandomNormal:stddev=0.01", activation="tanh").bias
    'Zeros'
    """

    initializer: str = option(
        "HeNormal", "initializer", "of all kernels, as in RandomNormal:stddev=0.01 or lsuv"
    )
    activation: str = option("relu", "activation", "of the hidden layers", choices=ACTIVATIONS)
    bias: str = option("Zeros", "bias", "initializer of all biases, as in Constant:value=0.1")
    survivors: str = option(
        "rewind",
        "after pruning",
        "whether surviving weights are rewound to their first values or redrawn",
        choices=SURVIVORS,
    )

    def __post_init__(self) -> None:
        _check_fields(self)
        if self.initializer not in METHODS:
            initializer_of(self.initializer, METHODS)
        initializer_of(self.bias)


@dataclass(frozen=True)
class Settings:
    """The settings of the playground: what the two networks share, and each of them.

    Args:
        data: The examples: ``"blobs"``, ``"moons"``, ``"circles"``, ``"xor"``, ``"spirals"``,
            ``"digits"`` (8 x 8 pixels, from scikit-learn) or ``"csv"`` (a file).
        noise: The standard deviation of the noise of examples in the plane, from 0 to 1; 0.1 by
            default.
        depth: The number of hidden layers, from 1 to 50; 6 by default.
        width: The number of units of each hidden layer, from 1 to 256; 16 by default. Depth times
            width is at most 3,200.
        normalization: ``"none"``, ``"batch"`` or ``"layer"``, between kernel and activation.
        residual: Whether each hidden layer but the first adds its input to its output; False by
            default.
        optimizer: ``"sgd"``, ``"momentum"`` (SGD with 0.9), ``"adam"`` or ``"rmsprop"``.
        learning_rate: The learning rate, from 1e-6 to 100; 0.03 by default.
        batch_size: Examples per optimizer step, from 1 to 256; 32 by default.
        seed: The seed of data, batches and first weights, from 0.
        rounds: How often the networks are pruned, from 0 to 8; after each round the survivors
            restart from ``survivors`` of each side.
        round_steps: The optimizer steps of each round; 300 by default.
        sparsity: The fraction of the remaining weights that each round removes; 0.5 by default.
        left: The settings of the left network; by default ``SideSettings("HeNormal")``.
        right: The settings of the right network; by default ``SideSettings("GlorotNormal")``.

    Raises:
        ValueError: If a value is outside its range, or not one of its choices.
        TypeError: If a value has another type.

    Example:
    >>> settings = Settings(data="circles", depth=30, right=SideSettings("GlorotNormal"))
    >>> settings.right.initializer
    'GlorotNormal'
    >>> Settings.from_address(settings.to_address()) == settings
    True
    """

    data: str = option("circles", "data", "the examples to tell apart", choices=DATA)
    noise: float = option(0.1, "noise", "of examples in the plane", low=0, high=1)
    depth: int = option(6, "depth", "hidden layers", low=1, high=50)
    width: int = option(16, "width", "units of each hidden layer", low=1, high=256, log=True)
    normalization: str = option(
        "none", "normalization", "between kernel and activation", choices=NORMALIZATIONS
    )
    residual: bool = option(False, "residual", "each hidden layer adds its input to its output")
    optimizer: str = option("sgd", "optimizer", "momentum is SGD with 0.9", choices=OPTIMIZERS)
    learning_rate: float = option(
        0.03, "learning rate", "of the optimizer", low=1e-6, high=100, log=True
    )
    batch_size: int = option(32, "batch size", "examples per step", low=1, high=256, log=True)
    seed: int = option(0, "seed", "of data, batches and first weights", low=0, high=999_999)
    rounds: int = option(
        0, "pruning rounds", "how often the smallest weights are removed", low=0, high=8
    )
    round_steps: int = option(
        300, "steps per round", "of training before each pruning", low=1, high=10_000, log=True
    )
    sparsity: float = option(
        0.5, "sparsity", "fraction of the weights left that a round removes", low=0, high=0.99
    )
    left: SideSettings = dataclasses.field(default_factory=lambda: SideSettings("HeNormal"))
    right: SideSettings = dataclasses.field(default_factory=lambda: SideSettings("GlorotNormal"))

    def __post_init__(self) -> None:
        _check_fields(self)
        for name in SIDES:
            if not isinstance(getattr(self, name), SideSettings):
                raise TypeError(f"Expected SideSettings as {name}; got {getattr(self, name)!r}.")
        if self.depth * self.width > MAX_CELLS:
            raise ValueError(
                f"Depth {self.depth} times width {self.width} is {self.depth * self.width}; "
                f"expected at most {MAX_CELLS}. Make the network shallower or narrower."
            )

    @property
    def sides(self) -> tuple[SideSettings, SideSettings]:
        """The settings of the left and the right network."""
        return self.left, self.right

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary of plain values, with one for each side."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, given: Any) -> "Settings":
        """Return the settings in a dictionary as of `to_dict`; what is missing has its default.

        Args:
            given: The settings by name, with a dictionary for each side.

        Raises:
            ValueError: If there is an unknown name, or a value is invalid.
            TypeError: If a value has another type.
        """
        values = _known(given, cls)
        for name in SIDES:
            if name in values:
                # What one side does not name is the default of that side.
                values[name] = dataclasses.replace(
                    getattr(cls(), name), **_known(values[name], SideSettings, f"{name}.")
                )
        return cls(**values)

    def to_address(self) -> str:
        """Return everything as the fragment of an address, ``data=circles&noise=0.1&...``.

        Defaults are written, too: a later release may have others.
        """
        values = self.to_dict()
        flat = {name: value for name, value in values.items() if name not in SIDES}
        flat |= {f"{side}.{n}": value for side in SIDES for n, value in values[side].items()}
        words = {name: _word(value) for name, value in flat.items()}
        return urlencode(words, safe=":,=")

    @classmethod
    def from_address(cls, address: str) -> "Settings":
        """Return the settings in the fragment of an address.

        Args:
            address: The fragment, as of `to_address`.

        Raises:
            ValueError: If there is an unknown name, or a value is invalid.
        """
        nested: dict[str, Any] = {}
        for name, word in parse_qsl(address, strict_parsing=bool(address), max_num_fields=64):
            side, dot, inner = name.partition(".")
            place, key = (nested.setdefault(side, {}), inner) if dot else (nested, name)
            place[key] = _from_word(key, word, SideSettings if dot else cls)
        return cls.from_dict(nested)


def initializer_of(text: str, methods: tuple[str, ...] = ()) -> Any:
    """Return a new initializer of dense kernels from its name and arguments.

    ``methods`` are named, too, in the message about an unknown name.
    """
    name = identifiers.split(text)[0].removeprefix("kerasinit>")
    if name in NOT_HERE:
        raise ValueError(f"{name} is of no use here: {NOT_HERE[name]}.")
    if name not in identifiers.CLASSES:
        raise errors.unknown("initializer", name, {*admitted(), *methods})
    return identifiers.parse(text)


def admitted() -> tuple[str, ...]:
    """Return the names of the initializers that the playground has a use for."""
    # Public names only: CLASSES has aliases of other packages, too.
    names = {*initializers.__all__} & {*identifiers.CLASSES} - {*NOT_HERE}
    return tuple(sorted(names))


def form() -> dict[str, list[dict[str, Any]]]:
    """Return the fields of the form, those that are shared and those of each side."""
    return {
        "shared": [_described(field) for field in _options(Settings)],
        "side": [_described(field) for field in _options(SideSettings)],
    }


def _described(field: dataclasses.Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "kind": getattr(field.type, "__name__", str(field.type)),
        "default": field.default,
        **field.metadata,
    }


def _options(cls: type) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(cls) if field.metadata]


def _known(given: Any, cls: type, prefix: str = "") -> dict[str, Any]:
    """Return a mapping if its keys are fields of a class; raise an error otherwise."""
    if not isinstance(given, Mapping):
        raise TypeError(f"Expected names and values as {prefix or 'settings'}; got {given!r:.80}.")
    names = [field.name for field in dataclasses.fields(cls)]
    for name in given:
        if name not in names:
            raise errors.unknown("setting", f"{prefix}{name}", [f"{prefix}{n}" for n in names])
    return dict(given)


def _check_fields(settings: Any) -> None:
    for field in _options(type(settings)):
        value = getattr(settings, field.name)
        object.__setattr__(settings, field.name, _checked(field, value))


def _checked(field: dataclasses.Field, value: Any) -> Any:
    """Return a value as its field's type; raise an error if it is of another or out of range."""
    limits, label = field.metadata, field.metadata["label"]
    kind: Any = field.type
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        expected = {int: "a whole number", float: "a number", bool: "true or false"}
        raise TypeError(f"Expected {expected.get(kind, 'a word')} as {label}; got {value!r:.80}.")
    if "choices" in limits and value not in limits["choices"]:
        raise errors.unknown(label, value, limits["choices"])
    if "low" in limits and not limits["low"] <= value <= limits["high"]:
        raise ValueError(
            f"Expected from {limits['low']:g} to {limits['high']:g} as {label}; got {value:g}."
        )
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise ValueError(f"Expected at most {MAX_TEXT} characters as {label}; got {len(value)}.")
    return value


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_word(name: str, word: str, cls: type) -> Any:
    """Return a word of an address as the type of its field; unknown names are left to others."""
    kinds: dict[str, Any] = {field.name: field.type for field in _options(cls)}
    kind = kinds.get(name, str)
    if kind is bool:
        return {"true": True, "false": False}.get(word, word)
    try:
        number = kind(word)
    except ValueError:
        return word
    return word if isinstance(number, float) and not math.isfinite(number) else number
