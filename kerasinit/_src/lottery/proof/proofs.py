"""What must hold in a run for its results to mean what they say.

Each proof compares files of a run with each other; none needs the model, the data or
another run. What a control promises is said in a table at the end.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.special

from kerasinit._src import streams
from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.lottery.method import controls, criteria, rewinds, scopes, survivors
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.outcome import Point

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


def dense(first: Evidence, experiment: Experiment) -> Checks:
    """Show that level 0 is the whole network, and where its survivors go back to."""
    for name, mask in first.masks.items():
        gone = int(np.count_nonzero(~mask))
        yield check("level 0 is dense", "ticket", name, gone, f"{gone} weights are removed")
    rewind = first.rewind or {}
    missing = sorted(set(first.start) - set(rewind))
    yield check(
        "the rewind point is whole", "rewind", "", missing, f"it lacks {', '.join(missing)}"
    )
    if experiment.rewind_step:
        same = all(same_bits(rewind.get(name), first.start[name]) for name in first.masks)
        # Steps that were counted may have moved nothing yet: gradients are added up over some,
        # or a scaled loss overflows at first.
        counts = [
            int(value)
            for name, value in rewind.items()
            if name not in first.start and value.ndim == 0 and value.dtype.kind in "iu"
        ]
        same = same and len(counts) < 2 and not any(counts)
        yield check(
            "the rewind point was trained",
            "rewind",
            "",
            same,
            f"it is the first weights, not those of iteration {experiment.rewind_step}",
        )
        return
    for name, value in first.start.items():
        yield equal("the rewind point is the first weights", "rewind", name, rewind, value)
    for name, moment in rewind.items():
        if name in first.start:
            continue
        # An optimizer that has taken no step holds one value throughout a moment, or, where it
        # averages weights, their first values.
        moved = moment.size and np.any(moment != moment.flat[0])
        moved = moved and not any(same_bits(moment, value) for value in first.start.values())
        yield check(
            "the rewind point's moments are fresh",
            "rewind",
            first.owners.get(name, name),
            moved,
            f"its moment {name} has been moved",
        )


def nested(here: Evidence, parent: Evidence) -> Checks:
    """Show that no weight lives that was removed before."""
    fit = list(here.masks) == list(parent.masks)
    yield check(
        "masks are for the same weights",
        "ticket",
        "",
        not fit,
        f"it masks {', '.join(here.masks)}; the level before {', '.join(parent.masks)}",
    )
    for name, mask in here.masks.items() if fit else ():
        if mask.shape != parent.masks[name].shape:
            problem = f"its shape is {mask.shape}; at the level before {parent.masks[name].shape}"
            yield check("masks are nested", "ticket", name, True, problem)
            continue
        back = np.flatnonzero(mask & ~parent.masks[name])
        problem = f"{back.size} weights live that the level before had removed"
        yield check("masks are nested", "ticket", name, back.size, problem)


def counted(here: Evidence, experiment: Experiment) -> Checks:
    """Show that as many weights live as rates and scope leave."""
    shapes = {name: mask.shape for name, mask in here.masks.items()}
    wanted = scopes.counts(experiment, shapes, here.place.level)
    found = {name: int(np.count_nonzero(mask)) for name, mask in here.masks.items()}
    if isinstance(wanted, int):
        wanted, found = {"": wanted}, {"": sum(found.values())}
    for name, count in wanted.items():
        wrong = found[name] != count
        problem = f"{found[name]} weights live; the rates leave {count}"
        yield check("counts are exact", "ticket", name, wrong, problem)


def pruned(here: Evidence, before: Evidence, scored: Evidence, experiment: Experiment) -> Checks:
    """Show that the masks are what pruning makes of weights trained before, to the bit.

    Criteria that look at the network and its data cannot be recomputed from files.
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
    for name, mask in expected.items():
        wrong = not _has_mask(here, name, mask)
        problem = "it is not what pruning the weights trained before gives"
        yield check("masks are recomputed", "ticket", name, wrong, problem)


def _has_mask(here: Evidence, name: str, mask: np.ndarray) -> bool:
    return name in here.masks and np.array_equal(here.masks[name], mask)


def removed(here: Evidence) -> Checks:
    """Show that removed weights are zero at the start and at the end, and so their moments."""
    for name, mask in here.masks.items():
        for file, state, when in (
            ("ticket", here.start, "start"),
            ("trained", here.trained, "end"),
        ):
            yield zero(f"removed weights are zero at the {when}", file, name, state, mask)
    for name, owner in here.owners.items():
        mask = here.masks[owner]
        yield zero("removed weights have no moments", "optimizer", name, here.moments, mask, owner)


def whole(here: Evidence, first: Evidence) -> Checks:
    """Show that a training has every variable and every moment that level 0 has."""
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
        yield check(
            "no variable is missing",
            file,
            "",
            different,
            f"it and level 0 differ in having {', '.join(different)}, or in shape or type",
        )
    wrong = dict(here.owners) != dict(first.owners) or not set(here.owners) <= set(here.moments)
    yield check(
        "no variable is missing", "optimizer", "", wrong, "its moments belong to other weights"
    )


def started(
    here: Evidence, first: Evidence, scored: Evidence | None, experiment: Experiment
) -> Checks:
    """Show that survivors start from what they are rewound to, bit for bit."""
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
        wanted = state.get(name)
        if wanted is not None and name in here.masks and wanted.shape == here.masks[name].shape:
            wanted = np.where(here.masks[name], wanted, np.zeros((), wanted.dtype))
        yield equal("survivors start from the rewind point", "ticket", name, here.start, wanted)


def drawn(here: Evidence, ticket: Evidence, experiment: Experiment) -> Checks:
    """Show that a control's masks are those that the seed gives it."""
    place = here.place
    expected = controls.CONTROLS[place.branch].masks(
        ticket.masks,
        lambda weight: streams.generator(
            experiment.seed, place.branch, place.trial, place.level, weight
        ),
    )
    for name, mask in expected.items():
        wrong = not _has_mask(here, name, mask)
        yield check(
            "masks of controls are recomputed", "ticket", name, wrong, "the seed gives another"
        )


# What a control keeps of its ticket, and what it changes.


def same_masks(here: Evidence, ticket: Evidence, _: Evidence) -> Checks:
    """The control prunes the same weights."""
    for name, mask in ticket.masks.items():
        wrong = not _has_mask(here, name, mask)
        yield check("controls keep the mask", "ticket", name, wrong, "it is not the ticket's")


def same_counts(here: Evidence, ticket: Evidence, _: Evidence) -> Checks:
    """The control prunes as many weights in every layer."""
    for name, mask in ticket.masks.items():
        count = int(np.count_nonzero(here.masks[name])) if name in here.masks else None
        wrong = count != np.count_nonzero(mask)
        yield check(
            "controls keep the counts",
            "ticket",
            name,
            wrong,
            f"{count} weights live; {np.count_nonzero(mask)} do in the ticket",
        )


def same_total(here: Evidence, ticket: Evidence, _: Evidence) -> Checks:
    """The control prunes as many weights in all."""
    yield check(
        "controls keep the density",
        "ticket",
        "",
        here.masks.kept != ticket.masks.kept,
        f"{here.masks.kept} weights live; {ticket.masks.kept} do in the ticket",
    )


def other_masks(here: Evidence, ticket: Evidence, _: Evidence) -> Checks:
    """The control prunes other weights, in every layer where that cannot fail by chance."""
    for name, mask in ticket.masks.items():
        arrangements = scipy.special.binom(mask.size, np.count_nonzero(mask))
        same = arrangements > 1e6 and _has_mask(here, name, mask)
        yield check("controls change the mask", "ticket", name, same, "it is the ticket's mask")


def other_weights(here: Evidence, _: Evidence, first: Evidence) -> Checks:
    """The control's survivors have values of their own, in every layer."""
    for name, mask in here.masks.items():
        mine, theirs = here.start[name][mask], first.start[name][mask]
        later = (first.rewind or {}).get(name)
        wrong = same_bits(mine, theirs) or (later is not None and same_bits(mine, later[mask]))
        yield check("controls change the weights", "ticket", name, wrong, "they are the ticket's")


Promise = Callable[[Evidence, Evidence, Evidence], Checks]

CONTROLS: dict[str, tuple[Promise, ...]] = {
    "reinit": (same_masks, other_weights),
    "shuffle": (same_counts, other_masks),
    "random-mask": (same_total, other_masks),
    "shuffle-reinit": (same_counts, other_masks, other_weights),
}
"""By the control's name: ``(control, its ticket, level 0)``. Weights that are kept are
compared with the rewind point, as those of tickets are."""
