"""What must hold where a training ended: its result, its optimizer, and the model saved there.

A continuation of `lottery.proof.proofs`.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping

import numpy as np

from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.lottery.method import rewinds
from kerasinit._src.lottery.proof import kept_model
from kerasinit._src.lottery.proof.kept_model import KeptModel
from kerasinit._src.lottery.proof.proofs import Checks, Evidence, check, same_bits
from kerasinit._src.lottery.store import stage
from kerasinit._src.lottery.store.stage import Place

OWN_STEPS = "steps"
"""The word of ``trained.safetensors`` that says that a model took its own steps."""

HOLD_WEIGHTS = "model files hold the trained weights"

# Only what is narrow may overflow in a sound training.
_WIDE = 4


def measured(here: Evidence, experiment: Experiment) -> Checks:
    """Show that the result is what the curve says, and both are of this training."""
    place, row = here.place, here.row
    wrong = {(claim, field): said for claim, field, said in stage.wrong_in(row, place)}
    for claim, field in (
        (stage.OF_TRAINING, ""),
        (stage.FRACTIONS, "test_accuracy"),
        (stage.FRACTIONS, "final_test_accuracy"),
    ):
        said = wrong.get((claim, field), "")
        yield check(claim, "result", field, said, said)
    yield check(
        stage.OF_MASKS,
        "result",
        "density",
        row.density != here.masks.density,
        f"it is {row.density}; {here.masks.density} of the weights live",
    )
    last, every = experiment.iterations, experiment.evaluate_every
    begin = experiment.first_iteration(place.level, place.branch)
    looks = range((begin // every + 1) * every, last, every)
    iterations = [point.iteration for point in here.curve]
    # The length first: a forged experiment may announce more looks than memory holds.
    complete = len(iterations) == len(looks) + 1 and iterations == [*looks, last]
    yield check(
        "curves are complete",
        "curve",
        "",
        not complete,
        f"it has {len(iterations)} points; expected one every {every} iterations, from {begin} to "
        f"{last}",
    )
    best = min(here.curve, key=lambda point: point.validation_loss, default=None)
    for name, value in (
        ("best_iteration", best and best.iteration),
        ("best_validation_loss", best and best.validation_loss),
    ):
        claimed = getattr(row, name)
        yield check(
            "early stops are the curve's least",
            "result",
            name,
            claimed != value,
            f"it is {claimed}; the curve says {value}",
        )


def said(here: Evidence, experiment: Experiment) -> Checks:
    """Show that a ticket's words are true of where it lies."""
    for word, value in (
        ("place", str(here.place)),
        ("rewind", experiment.rewind),
        ("density", repr(here.masks.density)),
    ):
        found = here.words.get(word)
        problem = f"its {word} is {found!r}; it lies where that is {value!r}"
        yield check("tickets say where they are from", "ticket", "", found != value, problem)


def finite(here: Evidence) -> Checks:
    """Show that kernels and the optimizer's variables ended as numbers."""
    for file, state, names in (
        ("trained", here.trained, list(here.masks)),
        ("optimizer", here.moments, list(here.moments)),
    ):
        for name in names:
            value = state.get(name)
            if value is None or value.dtype.kind not in "fV":
                continue
            wrong = np.isnan(value)
            if value.dtype.itemsize >= _WIDE:
                wrong = ~np.isfinite(value)
            count = int(np.count_nonzero(wrong))
            owner = here.owners.get(name, name)
            within = f"in {name}, " if owner != name else ""
            problem = f"{within}{count} of {value.size} values are not finite"
            yield check("trainings end in finite numbers", file, owner, count, problem)


def stepped(
    here: Evidence, first: Evidence, scored: Evidence | None, experiment: Experiment
) -> Checks:
    """Show that the optimizer counted every iteration, and that its settings stood still.

    A model with a ``train_step`` of its own may take any number of steps, and one that scales
    its loss leaves some out; both may change settings as they go. Of them nothing is claimed.

    Args:
        here: A training.
        first: Level 0 of its trial, with the rewind point.
        scored: The training that its ticket was pruned from; None for others.
        experiment: The run.
    """
    own = OWN_STEPS in here.about
    problem = "it took steps of its own" if own else "it took no steps of its own"
    other = own != (OWN_STEPS in first.about)
    yield check("trainings took steps as level 0's did", "trained", "", other, problem)
    # Level 0's, so that a counter of another type does not escape.
    counters = [n for n, v in first.moments.items() if v.ndim == 0 and v.dtype.kind in "iu"]
    if own or len(counters) != 1 or counters[0] not in here.moments:
        return
    (name,) = counters
    wanted = experiment.iterations
    if rewinds.parse(experiment.rewind).kind == "finetune" and scored is not None:
        wanted += int(scored.moments.get(name, 0))
    claim = "optimizers counted every iteration"
    found = int(here.moments[name])
    yield check(claim, "optimizer", name, found != wanted, f"it counted {found}, not {wanted}")
    if here.rewind is not None:
        found = int(here.rewind.get(name, -1))
        wanted = experiment.rewind_step
        yield check(claim, "rewind", name, found != wanted, f"it counted {found}, not {wanted}")
    for name, value in first.moments.items():
        still = value.ndim == 0 and same_bits((first.rewind or {}).get(name), value)
        if still and name != counters[0]:
            mine = here.moments.get(name)
            yield check(
                "settings of optimizers stood still",
                "optimizer",
                name,
                not same_bits(mine, value),
                f"it is {mine}; {value} at level 0, before and after training",
            )


def kept(here: Evidence, first: Evidence | None, model: KeptModel) -> Checks:
    """Show that the model file holds the trained weights and the optimizer, bit for bit.

    What Keras does not save it cannot hold: the state of random layers of Keras 3, and what
    the run found to be left out when it saved the model, which is named in the words of
    ``trained.safetensors``.
    """
    if OWN_STEPS in here.about:
        yield check(
            "own steps are those of a model's own class",
            "trained",
            "",
            model.is_of_kerass_own_class,
            "it says that the model took steps of its own, but its class is one of Keras'",
        )
    missing = set(model.lacks({**here.trained, **here.moments}))
    named = kept_model.left_out(here.about)
    for file, state, claim in (
        ("trained", here.trained, HOLD_WEIGHTS),
        ("optimizer", here.moments, "model files hold the optimizer"),
    ):
        for name, value in state.items():
            if name in named or (name in missing and kept_model.is_random_state(name, value)):
                continue
            yield check(
                claim,
                "model",
                here.owners.get(name, name),
                name in missing,
                f"no array in it equals what {file}.safetensors has of {name}",
            )
    if first is not None:
        theirs = kept_model.left_out(first.about)
        for name in here.masks:
            yield check(
                "model files leave out what level 0's does",
                "trained",
                name,
                (name in named) != (name in theirs),
                "it is left out of one of them",
            )


def alike(
    configs: Mapping[Place, object], moving: Container[Place] = ()
) -> Iterator[tuple[Place, str]]:
    """Yield the models that are not configured as the others of a run, and how they differ.

    Models of a trial are alike in everything; those of different trials in all but numbers,
    which a build function may draw anew for each. What most have counts as right.

    Args:
        configs: The configurations of the tickets' models.
        moving: Those of models that take their own steps, which may change a number as they
            go, such as the learning rate.
    """
    groups: dict[int | None, dict[Place, str]] = {None: {}}
    for place, config in configs.items():
        groups.setdefault(place.trial, {})[place] = kept_model.comparable(
            config, numbers=place not in moving
        )
        groups[None][place] = kept_model.comparable(config, numbers=False)
    told: set[Place] = set()
    for trial, texts in sorted(groups.items(), key=lambda item: item[0] is None):
        if not texts:
            continue
        usual = Counter(texts.values()).most_common(1)[0][0]
        for place, text in texts.items():
            if text != usual and place not in told:
                told.add(place)
                others = "the run" if trial is None else "its trial"
                yield place, f"{kept_model.difference(text, usual)} as in {others}"
