"""The description of a run: everything that changes a number, declared once.

The command line, TOML files, the file in the run's folder, the folder's name and the
table in docs/guides/lottery.md all derive from the fields of `Experiment`.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kerasinit._src import errors
from kerasinit._src.lottery.method import rewinds, scopes
from kerasinit._src.lottery.method.controls import CONTROLS
from kerasinit._src.lottery.method.criteria import CRITERIA

# Default (iterations, trials). The paper trains MNIST for 50,000 iterations; the digits are
# small, quick and noisy, so they get few iterations and several trials.
_DEFAULTS = {"digits": (2_000, 3), "mnist": (50_000, 1), "cifar10": (20_000, 1)}
_FALLBACK = (10_000, 1)


@dataclass(frozen=True)
class Options:
    """The options of a run as given; the data set or the model replaces None."""

    dataset: str = "digits"
    """digits (offline), mnist or cifar10 (downloaded once), or FILE.npz with x_train, y_train,
    x_test and y_test"""
    model: str = "lenet-300-100"
    """lenet-300-100, conv2, conv4, conv6, or package.module:function that returns a compiled
    model"""
    initializer: str | None = None
    """the kernels' initializer, as in HeNormal or RandomNormal:stddev=0.01; by default the model's
    own"""
    optimizer: str | None = None
    """a Keras optimizer, as in adam:learning_rate=0.0012 or sgd:learning_rate=0.1,momentum=0.9; by
    default the model's own"""
    iterations: int | None = None
    """optimizer steps of each training; by default digits 2000, mnist 50000, cifar10 20000,
    otherwise 10000"""
    levels: int = 8
    """how many times to prune; level 0 is the dense network"""
    one_shot: bool = False
    """prune the dense network in one step at each level, to the density of that level"""
    criterion: str = "magnitude"
    """which weights to keep: magnitude (or large_final), magnitude_increase, movement, snip, grasp,
    synflow or random"""
    scope: str = "layer"
    """how the kept weights are distributed over the layers: layer (by the rates), global (the best
    of all), erk or smart-ratios; all keep the same total"""
    rate: float = 0.2
    """fraction of each layer's remaining weights that a level removes"""
    output_rate: float = 0.1
    """the same, for the output layer"""
    layer_rates: dict[str, float] = dataclasses.field(default_factory=dict, hash=False)
    """the same, for layers by name or pattern (the first match), as in dense_1=0.3,conv2d*=0.1"""
    rewind: str = "init"
    """what the kept weights are rewound to: init (the initial weights), step:K (those after K
    iterations), lr or lr:K (trained weights, the optimizer's initial state or that after K),
    finetune (no rewind), signs (initial signs, magnitudes permuted), constant-signs (initial signs,
    one magnitude), reshuffled (initial values permuted)"""
    controls: tuple[str, ...] = ("reinit",)
    """networks trained beside each ticket, separated by commas, or none: reinit (same mask, new
    weights), shuffle (mask permuted within each layer, same weights), random-mask (random mask with
    the same total), shuffle-reinit (mask permuted, new weights)"""
    control_levels: tuple[int, ...] = ()
    """the levels that have controls, as in 7,9,11; by default all"""
    trials: int | None = None
    """independent repetitions; by default digits 3, otherwise 1"""
    seed: int = 0
    """seed of every random number; the same seed gives the same numbers"""
    batch_size: int = 60
    """examples in an optimizer step"""
    evaluate_every: int = 100
    """iterations between two evaluations on the validation examples"""
    validation: int | None = None
    """training examples held out for validation; by default a sixth, at most 5000"""
    xla: bool | None = None
    """compile the training loop with XLA: several times faster for most networks, other rounding;
    by default yes, except for networks with convolutions on a CPU, which it slows down"""


@dataclass(frozen=True)
class Experiment(Options):
    """A lottery run: train, prune, rewind, retrain, for some levels and trials.

    Also known as iterative magnitude pruning (IMP), with weight rewinding to the initial weights or
    to those after some iterations. The fields are the options of ``kerasinit lottery run``, and
    all that a number of the run depends on; the docstring of each field describes it.

    Raises:
        ValueError: If a field is invalid; the message lists what is valid.

    Example:
    >>> Experiment(levels=3, rewind="step:100").rewind_step
    100
    >>> Experiment(controls=("reinitt",))
    Traceback (most recent call last):
    ...
    ValueError: Unknown control 'reinitt'. Did you mean 'reinit'? Choices: ...

    Reference:
        Frankle and Carbin, 2019, "The lottery ticket hypothesis",
        https://arxiv.org/abs/1803.03635; Frankle, Dziugaite, Roy and Carbin, 2020, "Linear mode
        connectivity and the lottery ticket hypothesis", https://arxiv.org/abs/1912.05671
        (rewinding).
    """

    if TYPE_CHECKING:
        # None is resolved when an experiment is created.
        @property
        def iterations(self) -> int:
            """Optimizer steps of each training."""
            ...

        @property
        def trials(self) -> int:
            """Independent repetitions."""
            ...

    def __post_init__(self) -> None:
        optional = ("initializer", "optimizer")
        for name in ("dataset", "model", "criterion", "scope", "rewind", *optional):
            value = getattr(self, name)
            if not isinstance(value, str) and not (name in optional and value is None):
                raise ValueError(f"{option(name)} must be text; got {value!r}.")
        # A frozen data class sets its fields through object.
        defaults = _DEFAULTS.get(self.dataset, _FALLBACK)
        for name, number in zip(("iterations", "trials"), defaults, strict=True):
            if getattr(self, name) is None:
                object.__setattr__(self, name, number)
        for name, kind, example in (
            ("controls", str, "reinit,shuffle"),
            ("control_levels", int, "7,9,11"),
        ):
            value = getattr(self, name)
            if not isinstance(value, tuple | list) or any(type(item) is not kind for item in value):
                raise ValueError(f"{option(name)} is a list, as in {example}; got {value!r}.")
            if len(set(value)) < len(value):
                listed = ", ".join(map(str, value))
                raise ValueError(f"{option(name)} has duplicates: {listed}.")
            object.__setattr__(self, name, tuple(value))
        if not isinstance(self.layer_rates, dict):
            raise ValueError(
                f"--layer-rates maps names to numbers, as in dense=0.3; got {self.layer_rates!r}."
            )
        object.__setattr__(self, "layer_rates", dict(self.layer_rates))
        self._require_numbers()
        for control in self.controls:
            if control not in CONTROLS:
                raise errors.unknown("control", control, CONTROLS)
        for name, choices in (("criterion", CRITERIA), ("scope", scopes.SCOPES)):
            if getattr(self, name) not in choices:
                raise errors.unknown(name, getattr(self, name), choices)
        for level in self.control_levels:
            if not 1 <= level <= self.levels:
                raise ValueError(
                    f"{option('control_levels')} has {level}; pruned levels range from 1 to "
                    f"{self.levels} ({option('levels')} {self.levels})."
                )
        if self.rewind_step >= self.iterations:
            raise ValueError(
                f"{option('rewind')} {self.rewind} leaves nothing to train: a training has "
                f"{self.iterations} iterations."
            )

    def _require_numbers(self) -> None:
        for name, minimum in (
            ("iterations", 1),
            ("levels", 0),
            ("trials", 1),
            ("batch_size", 1),
            ("evaluate_every", 1),
            ("seed", 0),
            ("validation", 1),
        ):
            value = getattr(self, name)
            if name == "validation" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
                raise ValueError(
                    f"{option(name)} must be a whole number of at least {minimum}; got {value!r}."
                )
        rates = {option(name): getattr(self, name) for name in ("rate", "output_rate")}
        rates |= {f"{option('layer_rates')} {k}": rate for k, rate in self.layer_rates.items()}
        for name, value in rates.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name} must be a number; got {value!r}.")
            if not (math.isfinite(value) and 0 < value < 1):
                raise ValueError(
                    f"{name} must lie between 0 and 1, both excluded; got {value}. "
                    f"0.2 removes a fifth of the remaining weights."
                )
        for name in ("one_shot", "xla"):
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "xla" and value is None):
                raise ValueError(f"{option(name)} is yes or no; got {value!r}.")

    @property
    def rewind_step(self) -> int:
        """The iteration whose state is restored, at least in part; 0 for the initial state."""
        return rewinds.parse(self.rewind).step

    @property
    def branches(self) -> tuple[str, ...]:
        """The ticket and its controls, at whichever levels they are trained."""
        return ("ticket", *self.controls)

    def branches_at(self, level: int) -> tuple[str, ...]:
        """Return the branches that are trained at a level.

        Args:
            level: The level; 0 is the dense network.

        Example:
        >>> experiment = Experiment(levels=3, control_levels=(2,))
        >>> [experiment.branches_at(level) for level in range(4)]
        [('ticket',), ('ticket',), ('ticket', 'reinit'), ('ticket',)]
        """
        if level and level in (self.control_levels or range(1, self.levels + 1)):
            return self.branches
        return ("ticket",)

    def first_iteration(self, level: int, branch: str) -> int:
        """Return the iteration from which the first weights of a training come.

        Args:
            level: The level; 0 is the dense network.
            branch: ``"ticket"`` or the name of a control.
        """
        fresh = level == 0 or (branch in CONTROLS and CONTROLS[branch].fresh)
        return 0 if fresh else self.rewind_step

    def scored_level(self, level: int) -> int:
        """Return the level whose network is scored to compute the masks of a level.

        Args:
            level: The level, at least 1.
        """
        return 0 if self.one_shot else level - 1

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON."""
        fields = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Experiment":
        """Return the experiment that `to_dict` described.

        Args:
            fields: The fields by name; those that are missing have their defaults.

        Raises:
            ValueError: If a field is unknown or not valid.
        """
        require_fields(fields, "field of an experiment")
        return cls(**fields)

    @property
    def digest(self) -> str:
        """A short hash of all fields.

        An ``xla`` of None hashes as True, which it resolves to for most networks.
        """
        text = json.dumps({**self.to_dict(), "xla": self.xla is not False}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def differences(self, other: "Experiment") -> list[str]:
        """Return the differences from another experiment, a phrase for each field.

        Args:
            other: The experiment to compare with.
        """
        mine, theirs = self.to_dict(), other.to_dict()
        return [
            f"{option(name)} is {theirs[name]!r} there and {mine[name]!r} here"
            for name in mine
            if mine[name] != theirs[name]
        ]


def require_fields(names: Iterable[str], what: str) -> None:
    """Raise ValueError unless all names are fields of an `Experiment`."""
    known = [field.name for field in dataclasses.fields(Experiment)]
    for name in names:
        if name not in known:
            raise errors.unknown(what, name, known)


def require_experiment(experiment: Any) -> Experiment:
    """Return ``experiment``; raise TypeError if it is not an `Experiment`."""
    if not isinstance(experiment, Experiment):
        raise TypeError(
            f"Expected experiment to be a kerasinit.lottery.Experiment, as in "
            f"Experiment(dataset='digits', levels=3); got {experiment!r:.80}."
        )
    return experiment


def option(name: str) -> str:
    """Return the command-line option of a field."""
    return "--" + name.replace("_", "-")
