"""The description of a run: everything that changes a number, said once.

The command line, the file in the run's folder and the folder's name all come from
the fields of `Experiment`.
"""

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from kerasinit import suggest
from kerasinit.lottery.controls import CONTROLS

# (iterations, trials) where none are given. The paper trains MNIST for 50,000; the
# digits are small, quick and noisy, so they get few iterations and several trials.
_DEFAULTS = {"digits": (2_000, 3), "mnist": (50_000, 1)}
_OTHERWISE = (10_000, 1)


@dataclass(frozen=True)
class Experiment:
    """A lottery run: train, prune, rewind, retrain, for some levels and trials.

    Raises:
        ValueError: If a field has no meaning; the message says what would have.

    Example:
    >>> Experiment(levels=3, rewind="step:100").rewind_step
    100
    >>> Experiment(controls=("reinitt",))
    Traceback (most recent call last):
    ...
    ValueError: Unknown control 'reinitt'. Did you mean 'reinit'? Choices: reinit.

    Reference:
        Frankle and Carbin, 2019, https://arxiv.org/abs/1803.03635.
    """

    dataset: str = "digits"
    """digits (offline), mnist (downloaded once), or FILE.npz with x_train, y_train, x_test and
    y_test"""
    model: str = "lenet-300-100"
    """lenet-300-100, or package.module:function that returns a compiled model"""
    initializer: str | None = None
    """the kernels' initializer, as in HeNormal or RandomNormal:stddev=0.01; if not given, the
    model's own"""
    iterations: int | None = None
    """optimizer steps of each training; if not given: digits 2000, mnist 50000, otherwise 10000"""
    levels: int = 8
    """how many times to prune; level 0 is the dense network"""
    rate: float = 0.2
    """fraction of each layer's surviving weights that a level removes"""
    output_rate: float = 0.1
    """the same, for the output layer"""
    rewind: str = "init"
    """what survivors go back to: init (the first weights) or step:K (those after K iterations)"""
    controls: tuple[str, ...] = ("reinit",)
    """networks trained beside each ticket, separated by commas, or none: reinit (same mask, new
    weights)"""
    trials: int | None = None
    """independent repetitions; if not given: digits 3, otherwise 1"""
    seed: int = 0
    """the origin of every random number; the same seed gives the same numbers"""
    batch_size: int = 60
    """examples in an optimizer step"""
    evaluate_every: int = 100
    """iterations between two looks at the validation loss"""
    xla: bool = True
    """let XLA compile the training loop: several times faster, other rounding"""

    def __post_init__(self) -> None:
        iterations, trials = _DEFAULTS.get(self.dataset, _OTHERWISE)
        # A frozen data class fills in its own fields through object.
        if self.iterations is None:
            object.__setattr__(self, "iterations", iterations)
        if self.trials is None:
            object.__setattr__(self, "trials", trials)
        object.__setattr__(self, "controls", tuple(self.controls))
        for name, least in (
            ("iterations", 1),
            ("levels", 0),
            ("trials", 1),
            ("batch_size", 1),
            ("evaluate_every", 1),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{_option(name)} must be a whole number of at least {least}; got {value!r}."
                )
        for name in ("rate", "output_rate"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{_option(name)} must be a number; got {value!r}.")
            if not (math.isfinite(value) and 0 < value < 1):
                raise ValueError(
                    f"{_option(name)} must lie between 0 and 1, both excluded; got {value}. "
                    f"0.2 removes a fifth of the weights that are left."
                )
        if not isinstance(self.xla, bool):
            raise ValueError(f"--xla is yes or no; got {self.xla!r}.")
        for control in self.controls:
            if control not in CONTROLS:
                raise suggest.unknown("control", control, CONTROLS)
        if len(set(self.controls)) < len(self.controls):
            raise ValueError(f"A control is named twice: {', '.join(self.controls)}.")
        if self.rewind_step >= self.iterations:
            raise ValueError(
                f"{_option('rewind')} {self.rewind} leaves nothing to train: a training has "
                f"{self.iterations} iterations."
            )

    @property
    def rewind_step(self) -> int:
        """The iteration that survivors are rewound to; 0 for the first weights."""
        if self.rewind == "init":
            return 0
        match = re.fullmatch(r"step:(\d{1,15})", self.rewind)
        if not match or not int(match[1]):
            raise suggest.unknown("rewind", self.rewind, ("init", "step:K"), "K is at least 1.")
        return int(match[1])

    @property
    def branches(self) -> tuple[str, ...]:
        """The networks that are trained at each level from 1 on."""
        return ("ticket", *self.controls)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON."""
        return {**dataclasses.asdict(self), "controls": list(self.controls)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Experiment":
        """Return the experiment that `to_dict` described.

        Raises:
            ValueError: If a field is unknown or not valid.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise suggest.unknown("field of an experiment", name, known)
        return cls(**fields)

    @property
    def digest(self) -> str:
        """A short hash of all fields."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def differences(self, other: "Experiment") -> list[str]:
        """Return what differs from another experiment, a phrase for each field."""
        mine, theirs = self.to_dict(), other.to_dict()
        return [
            f"{_option(name)} is {theirs[name]!r} there and {mine[name]!r} here"
            for name in mine
            if mine[name] != theirs[name]
        ]


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
