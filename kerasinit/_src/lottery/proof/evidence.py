"""What the files of a training say, and how two of them are compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.loop import Point

State = Mapping[str, np.ndarray]

_TRIFLE = 1e-20


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the files of one training say.

    Attributes:
        place: Where it is in the run.
        masks: Which weights live.
        start: Every variable as it began.
        trained: Every variable as it ended.
        moments: The optimizer's variables as they ended.
        owners: The weights that moments belong to, by the moments' names.
        curve: The measurements.
        row: The result.
        rewind: Where survivors go back to, the optimizer's variables too; of level 0 only.
        words: What the ticket says of itself.
        about: What ``trained.safetensors`` says of the training.
    """

    place: Place
    masks: Masks
    start: State
    trained: State
    moments: State
    owners: Mapping[str, str]
    curve: tuple[Point, ...]
    row: Row
    rewind: State | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        claim: What was to be shown; checks of a claim are counted together.
        file: The file that would be wrong.
        weight: The variable that would be wrong, if it is about one.
        problem: What is wrong; empty if the claim holds.
    """

    claim: str
    file: str
    weight: str = ""
    problem: str = ""


Checks = Iterator[Check]


def same_bits(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Return whether two arrays have the same bits; -0 is not 0, and NaN is NaN."""
    return (
        a is not None
        and b is not None
        and (a.dtype, a.shape) == (b.dtype, b.shape)
        and a.tobytes() == b.tobytes()
    )


def check(claim: str, file: str, weight: str, wrong: object, problem: str) -> Check:
    """Return a check that failed if something is wrong."""
    return Check(claim, file, weight, problem if wrong else "")


def equal(claim: str, file: str, name: str, state: State, wanted: np.ndarray | None) -> Check:
    """Check that a variable has the bits that are wanted."""
    found = state.get(name)
    if (
        found is None
        or wanted is None
        or (found.shape, found.dtype) != (wanted.shape, wanted.dtype)
    ):
        return Check(claim, file, name, "it is not there in the same shape and type")
    if same_bits(found, wanted):
        return Check(claim, file, name)
    bits = np.frombuffer(found.tobytes(), np.uint8) != np.frombuffer(wanted.tobytes(), np.uint8)
    places = np.unique(np.flatnonzero(bits) // found.itemsize)
    return Check(
        claim,
        file,
        name,
        f"{places.size} of {found.size} values differ, the first at flat index {places[0]}: "
        f"{found.flat[places[0]]!r}, not {wanted.flat[places[0]]!r}",
    )


def zero(
    claim: str, file: str, name: str, state: State, mask: np.ndarray, owner: str = ""
) -> Check:
    """Check that a variable is zero where its mask, or its owner's, removes it."""
    value = state.get(name)
    of = f"in {name}, " if owner else ""
    if value is None or value.shape != mask.shape:
        return Check(claim, file, owner or name, f"{of}it is not there in the mask's shape")
    gone = value[~mask]
    # An optimizer may add a trifle to every square, as Adafactor does: then it is in all alike.
    if owner and gone.size and abs(float(gone[0])) <= _TRIFLE and np.all(gone == gone[0]):
        return Check(claim, file, owner)
    wrong = np.flatnonzero((value != 0) & ~mask)
    first = f"the first at flat index {wrong[0]}" if wrong.size else ""
    problem = f"{of}{wrong.size} of the removed are not zero, {first}"
    return check(claim, file, owner or name, wrong.size, problem)
