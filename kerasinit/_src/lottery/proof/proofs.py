"""What must hold in a run for its results to be valid.

Each function compares files of a run with each other; none needs the model, the data or
another run. A table at the end lists what each control promises.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from kerasinit._src import streams
from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.lottery.method import controls, criteria, rewinds, scopes, survivors
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.outcome import Point

State = Mapping[str, np.ndarray]

_NEGLIGIBLE = 1e-20


@dataclass(frozen=True, eq=False)
class Evidence:
    """The content of one training's files.

    ``start`` and ``trained`` have every variable at the start and the end, ``moments`` the
    optimizer's at the end, ``owners`` the weight of each moment. ``rewind`` is the state to rewind
    to, optimizer included (level 0 only).
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
    ticket_metadata: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckResult:
    """One check: the claim, the file and variable in question, and the problem if it fails."""

    claim: str
    file: str
    weight: str = ""
    problem: str = ""


CheckResults = Iterator[CheckResult]


def same_bits(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Return whether two arrays have the same bits; -0 is not 0, and NaN is NaN."""
    return (
        a is not None
        and b is not None
        and (a.dtype, a.shape) == (b.dtype, b.shape)
        and a.tobytes() == b.tobytes()
    )


def check(claim: str, file: str, weight: str, wrong: object, problem: str) -> CheckResult:
    """Return a check, failed if ``wrong`` is truthy."""
    return CheckResult(claim, file, weight, problem if wrong else "")


def equal(
    claim: str, file: str, name: str, state: State, expected: np.ndarray | None
) -> CheckResult:
    """Check that a variable has the expected bits."""
    found = state.get(name)
    kinds = [None if array is None else (array.shape, array.dtype) for array in (found, expected)]
    if found is None or expected is None or kinds[0] != kinds[1]:
        return CheckResult(claim, file, name, "it does not exist in the same shape and type")
    bits = np.frombuffer(found.tobytes(), np.uint8) != np.frombuffer(expected.tobytes(), np.uint8)
    if not bits.any():
        return CheckResult(claim, file, name)
    places = np.unique(np.flatnonzero(bits) // found.itemsize)
    values = f"{found.flat[places[0]]!r}, not {expected.flat[places[0]]!r}"
    differ = f"{places.size} of {found.size} values differ, the first at flat index {places[0]}"
    return CheckResult(claim, file, name, f"{differ}: {values}")


def zero(
    claim: str, file: str, name: str, state: State, mask: np.ndarray, owner: str = ""
) -> CheckResult:
    """Check that a variable is zero where its mask, or its owner's, removes it."""
    value = state.get(name)
    of = f"in {name}, " if owner else ""
    if value is None or value.shape != mask.shape:
        return CheckResult(claim, file, owner or name, f"{of}it does not exist in the mask's shape")
    removed = value[~mask]
    # An optimizer may add a tiny constant to every square, as Adafactor does.
    constant = removed.size and np.all(removed == removed[0])
    if owner and constant and abs(float(removed[0])) <= _NEGLIGIBLE:
        return CheckResult(claim, file, owner)
    wrong = np.flatnonzero((value != 0) & ~mask)
    first = f"the first at flat index {wrong[0]}" if wrong.size else ""
    problem = f"{of}{wrong.size} removed values are not zero, {first}"
    return check(claim, file, owner or name, wrong.size, problem)


def level_0_is_dense(first: Evidence, experiment: Experiment) -> CheckResults:
    """Check that level 0 is the whole network, and that the rewind point is valid."""
    for name, mask in first.masks.items():
        count = int(np.count_nonzero(~mask))
        yield check("level 0 is dense", "ticket", name, count, f"{count} weights are removed")
    rewind = first.rewind or {}
    missing = sorted(set(first.start) - set(rewind))
    problem = f"it lacks {', '.join(missing)}"
    yield check("the rewind point is complete", "rewind", "", missing, problem)
    if experiment.rewind_step:
        same = all(same_bits(rewind.get(name), first.start[name]) for name in first.masks)
        # Counted steps may have moved nothing yet: gradients are accumulated, or a scaled loss
        # overflows at first.
        counts = [
            int(value)
            for name, value in rewind.items()
            if name not in first.start and value.ndim == 0 and value.dtype.kind in "iu"
        ]
        same = same and len(counts) < 2 and not any(counts)
        problem = f"it has the initial weights, not those of iteration {experiment.rewind_step}"
        yield check("the rewind point was trained", "rewind", "", same, problem)
        return
    for name, value in first.start.items():
        yield equal("the rewind point is the first weights", "rewind", name, rewind, value)
    for name, moment in rewind.items():
        if name in first.start:
            continue
        # Before the first step a moment is constant or, where an optimizer averages weights, a copy
        # of the initial ones.
        moved = moment.size and np.any(moment != moment.flat[0])
        moved = moved and not any(same_bits(moment, value) for value in first.start.values())
        owner, problem = first.owners.get(name, name), f"its moment {name} has been moved"
        yield check("the rewind point's moments are fresh", "rewind", owner, moved, problem)


def masks_are_nested(here: Evidence, parent: Evidence) -> CheckResults:
    """Check that no removed weight is kept again."""
    fit = list(here.masks) == list(parent.masks)
    problem = f"it masks {', '.join(here.masks)}; the level before {', '.join(parent.masks)}"
    yield check("masks are for the same weights", "ticket", "", not fit, problem)
    for name, mask in here.masks.items() if fit else ():
        if mask.shape != parent.masks[name].shape:
            problem = f"its shape is {mask.shape}; at the level before {parent.masks[name].shape}"
            yield check("masks are nested", "ticket", name, True, problem)
            continue
        back = np.flatnonzero(mask & ~parent.masks[name])
        problem = f"{back.size} weights are kept that the level before had removed"
        yield check("masks are nested", "ticket", name, back.size, problem)


def counts_are_exact(here: Evidence, experiment: Experiment) -> CheckResults:
    """Check that as many weights are kept as rates and scope say."""
    shapes = {name: mask.shape for name, mask in here.masks.items()}
    expected = scopes.counts(experiment, shapes, here.place.level)
    found = {name: int(np.count_nonzero(mask)) for name, mask in here.masks.items()}
    if isinstance(expected, int):
        expected, found = {"": expected}, {"": sum(found.values())}
    for name, count in expected.items():
        wrong = found[name] != count
        problem = f"{found[name]} weights are kept; the rates leave {count}"
        yield check("counts are exact", "ticket", name, wrong, problem)


def masks_recomputed(
    here: Evidence, before: Evidence, scored: Evidence, experiment: Experiment
) -> CheckResults:
    """Check that pruning the weights trained before gives the masks, to the bit.

    Criteria that use the network and its data cannot be recomputed from files.
    """
    if experiment.criterion in criteria.FROM_NETWORK:
        return
    expected = survivors.next_masks(
        experiment,
        here.place.trial,
        here.place.level,
        before.masks,
        began=scored.start,
        ended=scored.trained,
    )
    problem = "it differs from the mask that pruning the trained weights gives"
    yield from _equal_masks("masks are recomputed", here, expected, problem)


def _equal_masks(claim: str, here: Evidence, masks: Masks, problem: str) -> CheckResults:
    for name, mask in masks.items():
        yield check(claim, "ticket", name, not _has_mask(here, name, mask), problem)


def _has_mask(here: Evidence, name: str, mask: np.ndarray) -> bool:
    return name in here.masks and np.array_equal(here.masks[name], mask)


def removed_are_zero(here: Evidence) -> CheckResults:
    """Check that removed weights are zero at the start and the end, as are their moments."""
    for name, mask in here.masks.items():
        for file, state, when in (
            ("ticket", here.start, "start"),
            ("trained", here.trained, "end"),
        ):
            yield zero(f"removed weights are zero at the {when}", file, name, state, mask)
    for name, owner in here.owners.items():
        mask = here.masks[owner]
        yield zero("removed weights have no moments", "optimizer", name, here.moments, mask, owner)


def variables_complete(here: Evidence, first: Evidence) -> CheckResults:
    """Check that a training has every variable and every moment of level 0."""
    claim = "no variable is missing"
    for file, mine, theirs in (
        ("ticket", here.start, first.start),
        ("trained", here.trained, first.start),
        ("optimizer", here.moments, first.moments),
    ):
        different = sorted(
            name
            for name in {*mine, *theirs}
            if name not in mine
            or name not in theirs
            or (mine[name].shape, mine[name].dtype) != (theirs[name].shape, theirs[name].dtype)
        )
        problem = f"it and level 0 differ in {', '.join(different)}, or in their shape or type"
        yield check(claim, file, "", different, problem)
    wrong = dict(here.owners) != dict(first.owners) or not set(here.owners) <= set(here.moments)
    yield check(claim, "optimizer", "", wrong, "its moments belong to other weights")


def starts_from_rewind(
    here: Evidence, first: Evidence, scored: Evidence | None, experiment: Experiment
) -> CheckResults:
    """Check that kept weights start from their rewound values, bit for bit."""
    place, rewind = here.place, rewinds.parse(experiment.rewind)
    if rewind.continues and scored is None:
        rewind = rewinds.Rewind("step", rewind.step)
    state = rewinds.start(
        rewind,
        kept=first.rewind or {},
        ended=scored.trained if scored else None,
        masks=here.masks,
        draw=lambda name: streams.generator(
            experiment.seed, "rewind", place.trial, place.level, name
        ),
    )
    for name in here.start:
        value = state.get(name)
        if value is not None and name in here.masks and value.shape == here.masks[name].shape:
            value = np.where(here.masks[name], value, np.zeros((), value.dtype))
        yield equal("survivors start from the rewind point", "ticket", name, here.start, value)


def control_masks_recomputed(
    here: Evidence, ticket: Evidence, experiment: Experiment
) -> CheckResults:
    """Check that a control's masks are those that the seed gives."""
    place = here.place
    expected = controls.CONTROLS[place.branch].masks(
        ticket.masks,
        lambda weight: streams.generator(
            experiment.seed, place.branch, place.trial, place.level, weight
        ),
    )
    claim = "masks of controls are recomputed"
    yield from _equal_masks(claim, here, expected, "the seed gives another")


# What a control keeps of its ticket, and what it changes.


def same_masks(here: Evidence, ticket: Evidence, _: Evidence) -> CheckResults:
    """The control prunes the same weights."""
    yield from _equal_masks("controls keep the mask", here, ticket.masks, "it is not the ticket's")


def same_counts(here: Evidence, ticket: Evidence, _: Evidence) -> CheckResults:
    """The control prunes as many weights in every layer."""
    for name, mask in ticket.masks.items():
        count = int(np.count_nonzero(here.masks[name])) if name in here.masks else None
        of_ticket = np.count_nonzero(mask)
        problem = f"{count} weights are kept; {of_ticket} in the ticket"
        yield check("controls keep the counts", "ticket", name, count != of_ticket, problem)


def same_total(here: Evidence, ticket: Evidence, _: Evidence) -> CheckResults:
    """The control prunes as many weights in total."""
    wrong = here.masks.kept != ticket.masks.kept
    problem = f"{here.masks.kept} weights are kept; {ticket.masks.kept} in the ticket"
    yield check("controls keep the density", "ticket", "", wrong, problem)


def other_masks(here: Evidence, ticket: Evidence, _: Evidence) -> CheckResults:
    """The control prunes other weights, in every layer where chance agreement is ruled out."""
    for name, mask in ticket.masks.items():
        same = _has_many_arrangements(mask) and _has_mask(here, name, mask)
        yield check("controls change the mask", "ticket", name, same, "it is the ticket's mask")


def _has_many_arrangements(mask: np.ndarray) -> bool:
    """Return whether more than a million masks keep as many weights."""
    kept = int(np.count_nonzero(mask))
    # Of more than 12 kept and removed, choosing 12 is already enough.
    return math.comb(mask.size, min(kept, mask.size - kept, 12)) > 10**6


def other_weights(here: Evidence, _: Evidence, first: Evidence) -> CheckResults:
    """The control's kept weights have other values, in every layer."""
    for name, mask in here.masks.items():
        mine, theirs = here.start[name][mask], first.start[name][mask]
        later = (first.rewind or {}).get(name)
        wrong = same_bits(mine, theirs) or (later is not None and same_bits(mine, later[mask]))
        yield check("controls change the weights", "ticket", name, wrong, "they are the ticket's")


Promise = Callable[[Evidence, Evidence, Evidence], CheckResults]

CONTROLS: dict[str, tuple[Promise, ...]] = {
    "reinit": (same_masks, other_weights),
    "shuffle": (same_counts, other_masks),
    "random-mask": (same_total, other_masks),
    "shuffle-reinit": (same_counts, other_masks, other_weights),
}
"""By the control's name, functions of ``(control, its ticket, level 0)``. Kept weights are compared
with the rewind point, like those of tickets."""
