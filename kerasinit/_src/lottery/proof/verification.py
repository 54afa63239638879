"""Verification of a run from its files alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from kerasinit._src.files.tensors import read_ticket
from kerasinit._src.lottery.method.controls import CONTROLS
from kerasinit._src.lottery.proof import end_proofs, model_archive, proofs
from kerasinit._src.lottery.proof.model_archive import ModelArchive
from kerasinit._src.lottery.proof.proofs import CheckResults, Evidence
from kerasinit._src.lottery.store import manifest
from kerasinit._src.lottery.store.stage import Place, Stage
from kerasinit._src.lottery.store.store import Run, Store, folder_of
from kerasinit._src.reports import base, terminal

_FILES = {
    "ticket": "ticket.safetensors",
    "trained": "trained.safetensors",
    "optimizer": "optimizer.safetensors",
    "rewind": "rewind.safetensors",
    "model": "model.keras",
    "curve": "curve.csv",
    "result": "result.json",
}
NOT_SHOWN = (
    "What only another training could contradict (a loss, an accuracy, the kept moments of a "
    "control) is taken from the files; only a published digest of the run proves that they were "
    "not rewritten."
)
# What reading a damaged file may raise; NumPy, JSON and zip have errors of their own kinds.
_DAMAGE = (ValueError, TypeError, KeyError, OSError, ArithmeticError, RuntimeError)


@dataclass(frozen=True)
class Finding:
    """A failed check, and where it failed.

    Attributes:
        claim: The claim that was checked.
        trial: The trial; None for the whole run.
        level: The level; None for the whole run.
        branch: ``"ticket"`` or the name of a control; None for the whole run.
        weight: The variable (or the field of a result), empty for a whole file.
        file: The name of the file.
        problem: What is wrong with it.

    Example:
        See `verify`.
    """

    claim: str
    trial: int | None
    level: int | None
    branch: str | None
    weight: str
    file: str
    problem: str

    def __str__(self) -> str:
        where = [part for part in (self.file, self.weight) if part]
        if self.trial is not None and self.level is not None and self.branch is not None:
            where.insert(0, str(Place(self.trial, self.level, self.branch)))
        return f"{', '.join(where)}: {self.problem} ({self.claim})"


@dataclass(frozen=True)
class Proof(base.Report):
    """The result of verifying a run.

    Attributes:
        trainings: The number of finished trainings.
        checks: How often each claim was checked.
        findings: The checks that failed; empty for a valid run.
        notes: What the claims do not cover, because there is nothing to compare: which
            variables Keras does not save, and what only another training could contradict.

    Example:
        See `verify`.
    """

    trainings: int
    checks: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no check failed."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as a dictionary of plain JSON."""
        return base.as_json({"holds": self.holds} | super().to_dict())

    def table(self) -> Table:
        """Return a table of the checks by claim."""
        failed = Counter(finding.claim for finding in self.findings)
        lines = [(claim, count, failed[claim]) for claim, count in self.checks.items()]
        title = f"{sum(self.checks.values())} checks of {self.trainings} trainings"
        return terminal.table(["claim", "checks", "failed"], lines, words=1, title=title)


@base.text.register(Proof)
def _text(proof: Proof) -> str:
    lines = [f"FAILED {finding}" for finding in proof.findings]
    lines += [f"Note: {note}" for note in proof.notes]
    end = "Everything holds." if proof.holds else f"{len(proof.findings)} failures."
    return "\n".join([terminal.as_text(80, proof.table()), *lines, end])


def verify(run: Run) -> Proof:
    """Verify the integrity of a run from its files alone.

    The checks: every file is unchanged, none is missing and none was added; masks are nested, and
    recomputing them from the weights trained before gives them bit for bit; kept weights start from
    the rewind point, bit for bit; removed weights are zero at the start and the end, as are their
    moments in the optimizer; controls keep and change what they should; results agree with the
    curves, curves are complete and finite; optimizers counted every iteration and are finite;
    tickets name their place in the run; saved models hold the trained weights and the optimizer, as
    far as Keras saves them, and are configured alike. Masks of the criteria snip, grasp and
    synflow, which use the network and its data, are checked only for their counts and nesting.

    What only training again could contradict rests on the digests in the manifests, which
    anyone who changes a file could change as well: a loss, an accuracy, and the kept moments of a
    control's optimizer. Only a published digest of the run (`kerasinit.lottery.digest`)
    proves them. ``proof.notes`` states this, and names what Keras does not save. Names that start
    with a dot, and files directly in the run's folder other than ``experiment.json``, are no
    evidence and are ignored.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned. An unfinished
            run fails: its trainings are missing.

    Returns:
        A `Proof`; ``proof.holds`` says whether all checks passed.

    Raises:
        ValueError: If the folder holds no run.

    Example:
    >>> from pathlib import Path
    >>> from kerasinit import lottery
    >>> proof = lottery.verify("RUN")
    >>> proof.holds, proof.trainings
    (True, 6)
    >>> Path("RUN/trial-0/level-01/reinit/result.json").unlink()
    >>> finding = lottery.verify("RUN").findings[0]
    >>> finding.level, finding.branch, finding.file
    (1, 'reinit', 'result.json')
    """
    # Even of a Store, only the files count.
    folder = folder_of(run)
    if not (folder / "experiment.json").is_file():
        raise ValueError(f"{folder} holds no lottery run: there is no experiment.json in it.")
    tally = _Tally()
    try:
        store = Store.read(folder)
        experiment = store.experiment
    except ValueError as error:
        tally.fail("experiments can be read", None, "experiment.json", str(error))
        found = sorted(folder.glob("trial-*/level-*/[!.]*"))
        _check_files(tally, folder, {path: None for path in found})
        return tally.proof(len(found))
    finished = {store.path(place): place for place in store.places() if store.has(place)}
    claim = "no training is missing or added"
    for place in store.places():
        tally.count(claim)
        if not store.has(place):
            tally.fail(claim, place, "", "it is not finished, or was removed")
    for path in _strangers(folder, finished):
        problem = f"{path.relative_to(folder)} does not belong here"
        tally.fail(claim, None, path.name, problem)
    changed = _check_files(tally, folder, finished)
    configs: dict[Place, Any] = {}
    moving: set[Place] = set()
    for trial in range(experiment.trials):
        for here, config in _check_trial(tally, store, trial, changed):
            configs[here.place] = config
            if end_proofs.CUSTOM_STEPS in here.metadata:
                moving.add(here.place)
    claim = "models of a run are configured alike"
    wrong = dict(end_proofs.differing_configs(configs, moving))
    for place in configs:
        tally.count(claim)
        if place in wrong:
            tally.fail(claim, place, _FILES["model"], wrong[place])
    return tally.proof(len(finished))


class _Tally:
    """Counts checks and collects findings."""

    def __init__(self) -> None:
        self._checks: Counter[str] = Counter()
        self._findings: list[Finding] = []
        self._unsaved: dict[str, None] = {}

    def add_unsaved(self, names: Iterable[str]) -> None:
        """Add variables that Keras does not save."""
        self._unsaved.update(dict.fromkeys(names))

    def count(self, claim: str) -> None:
        self._checks[claim] += 1

    def fail(
        self, claim: str, place: Place | None, file: str, problem: str, weight: str = ""
    ) -> None:
        where = (place.trial, place.level, place.branch) if place else (None, None, None)
        self._findings.append(Finding(claim, *where, weight, file, problem))
        # A claim that failed was checked at least once.
        self._checks[claim] = max(self._checks[claim], 1)

    def record(self, place: Place, checks: CheckResults) -> None:
        """Run checks; an error while comparing files is a finding as well."""
        try:
            for check in checks:
                self.count(check.claim)
                if check.problem:
                    file = _FILES[check.file]
                    self.fail(check.claim, place, file, check.problem, check.weight)
        except _DAMAGE as error:
            problem = f"its contents do not fit together: {error}"
            self.fail("files can be compared", place, "", problem)

    def proof(self, trainings: int) -> Proof:
        notes = []
        if self._unsaved:
            notes.append(
                f"Keras does not save {', '.join(self._unsaved)} exactly: model.keras is not "
                f"compared with it."
            )
        notes.append(NOT_SHOWN)
        return Proof(trainings, dict(self._checks), tuple(self._findings), tuple(notes))


def _strangers(folder: Path, finished: Mapping[Path, Place]) -> Iterator[Path]:
    """Yield files and folders among the trainings that are not part of the run."""
    known = {ancestor for path in finished for ancestor in (path, *path.parents)}
    for pattern in ("trial-*", "trial-*/*", "trial-*/*/*"):
        for path in sorted(folder.glob(pattern)):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path not in known and path.parent in known and not hidden:
                yield path


def _check_files(
    tally: _Tally, folder: Path, trainings: Mapping[Path, Place | None]
) -> set[tuple[Place | None, str]]:
    """Compare files with the manifests; return those that were changed."""
    claim, changed, others = "files match their digests", set(), 0
    for path, place in trainings.items():
        if not path.is_dir():
            continue
        tally.count(claim)
        for name, problem in manifest.problems(path, folder / "experiment.json"):
            changed.add((place, name))
            if name == "experiment.json":
                others += 1
            else:
                where = "" if place else f"{path.relative_to(folder)}/"
                tally.fail(claim, place, where + name, problem)
    if others:
        problem = f"its digest is not the one that {others} of {len(trainings)} trainings recorded"
        tally.fail(claim, None, "experiment.json", problem)
    return changed


def _check_trial(
    tally: _Tally, store: Store, trial: int, changed: set[tuple[Place | None, str]]
) -> Iterator[tuple[Evidence, Any]]:
    """Check a trial; yield its tickets with the configurations of their models."""
    experiment = store.experiment
    first: Evidence | None = None
    tickets: dict[int, Evidence] = {}
    for place in store.places():
        if place.trial != trial or not store.has(place):
            continue
        here = _read(tally, store.stage(place), place)
        if here is None:
            continue
        tally.record(place, end_proofs.result_matches_curve(here, experiment))
        tally.record(place, proofs.removed_are_zero(here))
        tally.record(place, end_proofs.metadata_match_place(here, experiment))
        tally.record(place, end_proofs.ends_finite(here))
        if place.level == 0:
            first = here
            tally.record(place, proofs.level_0_is_dense(here, experiment))
        # HDF5 is not safe for files that were changed.
        if place.branch == "ticket" and (place, _FILES["model"]) not in changed:
            model = _model(tally, place, store.stage(place).model_path)
            if model is not None:
                yield here, model.config
                tally.record(place, end_proofs.model_file_matches(here, first, model))
                tally.add_unsaved(model_archive.unsaved_names(here.metadata))
                tally.add_unsaved(
                    name
                    for name in model.missing(here.trained)
                    if model_archive.is_random_state(name, here.trained[name])
                )
        if first is not None:
            tally.record(place, proofs.variables_complete(here, first))
        if place.branch == "ticket":
            tickets[place.level] = here
            # Of earlier levels than the last, only level 0 is needed again.
            if place.level != 2:
                tickets.pop(place.level - 2, None)
            before = tickets.get(place.level - 1)
            if place.level:
                tally.record(place, proofs.counts_are_exact(here, experiment))
            if before is not None:
                tally.record(place, proofs.masks_are_nested(here, before))
            scored = tickets.get(experiment.scored_level(place.level))
            if first is not None and (scored is not None or not place.level):
                parent = scored if place.level else None
                tally.record(place, end_proofs.optimizer_steps(here, first, parent, experiment))
            if before is not None and scored is not None:
                tally.record(place, proofs.masks_recomputed(here, before, scored, experiment))
                if first is not None:
                    tally.record(place, proofs.starts_from_rewind(here, first, scored, experiment))
        elif first is not None and place.level in tickets:
            ticket = tickets[place.level]
            for proof in proofs.CONTROLS[place.branch]:
                tally.record(place, proof(here, ticket, first))
            tally.record(place, proofs.control_masks_recomputed(here, ticket, experiment))
            tally.record(place, end_proofs.optimizer_steps(here, first, None, experiment))
            if not CONTROLS[place.branch].fresh:
                tally.record(place, proofs.starts_from_rewind(here, first, None, experiment))


def _model(tally: _Tally, place: Place, path: Path) -> ModelArchive | None:
    """Read a model file; None if it cannot be read."""
    try:
        return ModelArchive.read(path)
    except Exception as error:
        # A zip archive with an HDF5 file may fail in many ways.
        problem = f"it cannot be read: {type(error).__name__}: {error}"
        tally.fail(end_proofs.HOLD_WEIGHTS, place, _FILES["model"], problem)
        return None


def _read(tally: _Tally, stage: Stage, place: Place) -> Evidence | None:
    """Read the files of a training; None if one cannot be read."""
    readers: dict[str, Callable[[], Any]] = {
        "ticket": lambda: read_ticket(stage.ticket_path),
        "trained": lambda: stage.tensors("trained"),
        "optimizer": lambda: stage.tensors("optimizer"),
        "curve": stage.curve,
        "result": stage.row,
        **({} if place.level else {"rewind": lambda: stage.tensors("rewind")}),
    }
    contents: dict[str, Any] = {}
    for name, read in readers.items():
        tally.count("files can be read")
        try:
            contents[name] = read()
        except _DAMAGE as error:
            tally.fail("files can be read", place, _FILES[name], f"{error}")
    if len(contents) < len(readers):
        return None
    masks, start, ticket_metadata = contents["ticket"]
    trained, metadata = contents["trained"]
    moments, owners = contents["optimizer"]
    curve, row = contents["curve"], contents["result"]
    rewind = None if place.level else contents["rewind"][0]
    return Evidence(
        place, masks, start, trained, moments, owners, curve, row, rewind, ticket_metadata, metadata
    )
