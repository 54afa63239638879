"""Checks of a training's end: its result, its optimizer, and the model saved there.

A continuation of `lottery.proof.proofs`.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping

import numpy as np

from kerasinit._src.lottery.experiment import Experiment
from kerasinit._src.lottery.method import rewinds
from kerasinit._src.lottery.proof import model_archive
from kerasinit._src.lottery.proof.model_archive import ModelArchive
from kerasinit._src.lottery.proof.proofs import CheckResults, Evidence, check, same_bits
from kerasinit._src.lottery.store import stage
from kerasinit._src.lottery.store.stage import Place

CUSTOM_STEPS = "steps"
"""The metadata key of ``trained.safetensors`` for a model with a custom ``train_step``."""

HOLD_WEIGHTS = "model files hold the trained weights"

# In bytes: only narrower types may overflow in a valid training.
_WIDE = 4


def result_matches_curve(here: Evidence, experiment: Experiment) -> CheckResults:
    """Check that the result agrees with the curve, and both with this training."""
    place, row = here.place, here.row
    wrong = {(claim, field): problem for claim, field, problem in stage.wrong_in(row, place)}
    for claim, field in (
        (stage.OF_TRAINING, ""),
        (stage.FRACTIONS, "test_accuracy"),
        (stage.FRACTIONS, "final_test_accuracy"),
    ):
        problem = wrong.get((claim, field), "")
        yield check(claim, "result", field, problem, problem)
    problem = f"it is {row.density}; {here.masks.density} of the weights are kept"
    other = row.density != here.masks.density
    yield check(stage.OF_MASKS, "result", "density", other, problem)
    last, every = experiment.iterations, experiment.evaluate_every
    begin = experiment.first_iteration(place.level, place.branch)
    evaluations = range((begin // every + 1) * every, last, every)
    iterations = [point.iteration for point in here.curve]
    # The length first: a forged experiment may declare more evaluations than memory holds.
    complete = len(iterations) == len(evaluations) + 1 and iterations == [*evaluations, last]
    count = f"it has {len(iterations)} points"
    problem = f"{count}; expected one every {every} iterations, from {begin} to {last}"
    yield check("curves are complete", "curve", "", not complete, problem)
    best = min(here.curve, key=lambda point: point.validation_loss, default=None)
    for name, value in (
        ("best_iteration", best and best.iteration),
        ("best_validation_loss", best and best.validation_loss),
    ):
        claimed = getattr(row, name)
        problem = f"it is {claimed}; in the curve it is {value}"
        yield check(
            "early stops are at the curve's minimum", "result", name, claimed != value, problem
        )


def metadata_match_place(here: Evidence, experiment: Experiment) -> CheckResults:
    """Check that a ticket's metadata agree with its place in the run."""
    for key, value in (
        ("place", str(here.place)),
        ("rewind", experiment.rewind),
        ("density", repr(here.masks.density)),
    ):
        found = here.ticket_metadata.get(key)
        problem = f"its {key} is {found!r}; at its place in the run it is {value!r}"
        yield check("tickets name the place they are from", "ticket", "", found != value, problem)


def ends_finite(here: Evidence) -> CheckResults:
    """Check that the kernels and the optimizer's variables are finite at the end."""
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


def optimizer_steps(
    here: Evidence, first: Evidence, scored: Evidence | None, experiment: Experiment
) -> CheckResults:
    """Check that the optimizer counted every iteration, and that its settings were constant.

    Nothing is claimed of a model with a custom ``train_step``, which may take any number of steps,
    or of one with loss scaling, which skips some; both may change settings as they train. ``first``
    is level 0 of the trial; ``scored`` the training that its ticket was pruned from, None for
    others.
    """
    custom = CUSTOM_STEPS in here.metadata
    problem = "its steps were custom" if custom else "its steps were not custom"
    other = custom != (CUSTOM_STEPS in first.metadata)
    yield check("trainings took steps as level 0's did", "trained", "", other, problem)
    # Those of level 0, so that a counter of another type is not overlooked.
    counters = [n for n, v in first.moments.items() if v.ndim == 0 and v.dtype.kind in "iu"]
    if custom or len(counters) != 1 or counters[0] not in here.moments:
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
            problem = f"it is {mine}; {value} at level 0, before and after training"
            claim = "settings of optimizers stood still"
            yield check(claim, "optimizer", name, not same_bits(mine, value), problem)


def model_file_matches(here: Evidence, first: Evidence | None, model: ModelArchive) -> CheckResults:
    """Check that the model file holds the trained weights and the optimizer, bit for bit.

    It cannot hold what Keras does not save: the state of random layers of Keras 3, and the
    variables that the run found missing when it saved the model, which are listed in the metadata
    of ``trained.safetensors``.
    """
    if CUSTOM_STEPS in here.metadata:
        claim = "own steps are those of a model's own class"
        problem = "its metadata say that the model's steps were custom, but its class is Keras' own"
        yield check(claim, "trained", "", model.is_builtin_class, problem)
    missing = set(model.missing({**here.trained, **here.moments}))
    unsaved = model_archive.unsaved_names(here.metadata)
    for file, state, claim in (
        ("trained", here.trained, HOLD_WEIGHTS),
        ("optimizer", here.moments, "model files hold the optimizer"),
    ):
        for name, value in state.items():
            if name in unsaved or (name in missing and model_archive.is_random_state(name, value)):
                continue
            problem = f"no array in it equals {name} in {file}.safetensors"
            yield check(claim, "model", here.owners.get(name, name), name in missing, problem)
    if first is not None:
        theirs = model_archive.unsaved_names(first.metadata)
        claim = "model files leave out what level 0's does"
        for name in here.masks:
            wrong = (name in unsaved) != (name in theirs)
            yield check(claim, "trained", name, wrong, "it is missing from one of them")


def differing_configs(
    configs: Mapping[Place, object], moving: Container[Place] = ()
) -> Iterator[tuple[Place, str]]:
    """Yield the models whose configuration differs from the others of a run, and how.

    Models of a trial are alike in everything; those of different trials in all but numbers,
    which a build function may draw for each. The most common configuration counts as right.
    ``moving`` are models with a custom step, which may change a number as they train, such as the
    learning rate.
    """
    groups: dict[int | None, dict[Place, str]] = {None: {}}
    for place, config in configs.items():
        numbers = place not in moving
        trial = groups.setdefault(place.trial, {})
        trial[place] = model_archive.normalized_config(config, numbers=numbers)
        groups[None][place] = model_archive.normalized_config(config, numbers=False)
    reported: set[Place] = set()
    for trial, texts in sorted(groups.items(), key=lambda item: item[0] is None):
        if not texts:
            continue
        common = Counter(texts.values()).most_common(1)[0][0]
        for place, text in texts.items():
            if text != common and place not in reported:
                reported.add(place)
                others = "the run" if trial is None else "its trial"
                yield place, f"{model_archive.first_difference(text, common)} as in {others}"
