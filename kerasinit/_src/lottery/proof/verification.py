"""Is a run what it says it is? Shown from its files alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from kerasinit._src.files.tensors import read_ticket
from kerasinit._src.lottery.method.controls import CONTROLS
from kerasinit._src.lottery.proof import end_proofs, kept_model, proofs
from kerasinit._src.lottery.proof.kept_model import KeptModel
from kerasinit._src.lottery.proof.proofs import Checks, Evidence
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
    "What only another training could contradict (a loss, an accuracy, the live moments of a "
    "control) is as the files say it; only a published digest of the run proves that nobody "
    "wrote them anew."
)
# What reading a damaged file may raise; NumPy, JSON and zip have errors of their own kinds.
_DAMAGE = (ValueError, TypeError, KeyError, OSError, ArithmeticError, RuntimeError)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be, and where.

    Attributes:
        claim: What was to be shown.
        trial: Which trial; None if it is about the whole run.
        level: Which level; None likewise.
        branch: ``ticket`` or a control; None likewise.
        weight: The variable (or the field of a result), empty if it is about a file.
        file: The file's name.
        problem: What is wrong with it.
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
    """What was shown of a run, and what failed.

    Attributes:
        trainings: How many trainings were there.
        checks: How often each claim was looked at.
        findings: What does not hold; empty for a good run.
        notes: What the claims do not cover, because there is nothing to compare: which
            variables Keras does not save, and what only another training could contradict.
    """

    trainings: int
    checks: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as a dictionary of plain JSON."""
        return base.as_json({"holds": self.holds} | super().to_dict())

    def table(self) -> Table:
        """Return a table of what was looked at."""
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
    """Prove the integrity of a run from its files alone.

    Shown is: every file is what was written, none is missing and none was added; masks are
    nested, and recomputing them from the weights trained before gives them bit for bit;
    survivors start from the rewind point, bit for bit; removed weights are zero at the start
    and at the end, and so are their moments in the optimizer; controls keep what they should
    and change what they should; results are those of the curves, curves are complete and
    finite; optimizers counted every iteration and are finite; tickets say where they lie; saved
    models hold the trained weights and the optimizer, as far as Keras saves them, and are
    configured alike. Masks of the criteria snip, grasp and synflow, which look at the network
    and its data, are checked for their counts and nesting alone.

    What only training again could contradict rests on the digests in the manifests, which
    whoever changes a file could change as well: a loss, an accuracy, and the live moments of a
    control's optimizer. Only a publication of the run's digest (`kerasinit.lottery.digest`)
    proves them. ``proof.notes`` says so, and names what Keras does not save. Names that begin
    with a dot, and files directly in the run's folder other than ``experiment.json``, hold no
    evidence and are not looked at.

    Args:
        run: The run: its folder, or what `kerasinit.lottery.run` returned. One that is not
            finished fails: its trainings are missing.

    Returns:
        A `Proof`; ``proof.holds`` says whether all of it is true.

    Raises:
        ValueError: If the folder holds no run.

    Example:
    >>> import tempfile
    >>> from kerasinit._src.lottery.experiment import Experiment
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     begun = Store.open(Path(folder) / "run", Experiment(levels=0), {"data": ""})
    ...     print(verify(begun.folder).findings[0])
    trial 0, level 0, ticket: it is not finished, or was removed (no training is missing or added)
    """
    # What is proven is what the folder holds.
    folder = folder_of(run)
    if not (folder / "experiment.json").is_file():
        raise ValueError(f"{folder} holds no lottery run: there is no experiment.json in it.")
    inquiry = _Inquiry()
    try:
        store = Store.read(folder)
        experiment = store.experiment
    except ValueError as error:
        inquiry.fail("experiments can be read", None, "experiment.json", str(error))
        found = sorted(folder.glob("trial-*/level-*/[!.]*"))
        _check_files(inquiry, folder, {path: None for path in found})
        return inquiry.proof(len(found))
    there = {store.path(place): place for place in store.places() if store.has(place)}
    for place in store.places():
        inquiry.count("no training is missing or added")
        if not store.has(place):
            problem = "it is not finished, or was removed"
            inquiry.fail("no training is missing or added", place, "", problem)
    for path in _strangers(folder, there):
        problem = f"{path.relative_to(folder)} does not belong here"
        inquiry.fail("no training is missing or added", None, path.name, problem)
    changed = _check_files(inquiry, folder, there)
    configs: dict[Place, Any] = {}
    moving: set[Place] = set()
    for trial in range(experiment.trials):
        for here, config in _check_trial(inquiry, store, trial, changed):
            configs[here.place] = config
            if end_proofs.OWN_STEPS in here.about:
                moving.add(here.place)
    claim = "models of a run are configured alike"
    wrong = dict(end_proofs.alike(configs, moving))
    for place in configs:
        inquiry.count(claim)
        if place in wrong:
            inquiry.fail(claim, place, _FILES["model"], wrong[place])
    return inquiry.proof(len(there))


class _Inquiry:
    """Counts what is looked at and keeps what fails."""

    def __init__(self) -> None:
        self._checks: Counter[str] = Counter()
        self._findings: list[Finding] = []
        self._unsaved: dict[str, None] = {}

    def not_saved(self, names: Iterable[str]) -> None:
        """Remember variables that Keras does not save."""
        self._unsaved.update(dict.fromkeys(names))

    def count(self, claim: str) -> None:
        self._checks[claim] += 1

    def fail(
        self, claim: str, place: Place | None, file: str, problem: str, weight: str = ""
    ) -> None:
        where = (place.trial, place.level, place.branch) if place else (None, None, None)
        self._findings.append(Finding(claim, *where, weight, file, problem))
        # A claim that failed was looked at, at least once.
        self._checks[claim] = max(self._checks[claim], 1)

    def hear(self, place: Place, checks: Checks) -> None:
        """Go through checks; a file that cannot be compared is a failure as well."""
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
                f"Keras does not save {', '.join(self._unsaved)} as it is: model.keras is not "
                f"compared with it."
            )
        notes.append(NOT_SHOWN)
        return Proof(trainings, dict(self._checks), tuple(self._findings), tuple(notes))


def _strangers(folder: Path, there: Mapping[Path, Place]) -> Iterator[Path]:
    """Yield what lies among the trainings and is none."""
    known = {ancestor for path in there for ancestor in (path, *path.parents)}
    for pattern in ("trial-*", "trial-*/*", "trial-*/*/*"):
        for path in sorted(folder.glob(pattern)):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path not in known and path.parent in known and not hidden:
                yield path


def _check_files(
    inquiry: _Inquiry, folder: Path, there: Mapping[Path, Place | None]
) -> set[tuple[Place | None, str]]:
    """Compare files with the manifests; return those that were changed."""
    claim, changed, others = "files match their digests", set(), 0
    for path, place in there.items():
        if not path.is_dir():
            continue
        inquiry.count(claim)
        for name, problem in manifest.problems(path, folder / "experiment.json"):
            changed.add((place, name))
            if name == "experiment.json":
                others += 1
            else:
                where = "" if place else f"{path.relative_to(folder)}/"
                inquiry.fail(claim, place, where + name, problem)
    if others:
        problem = f"its digest is not the one that {others} of {len(there)} trainings name"
        inquiry.fail(claim, None, "experiment.json", problem)
    return changed


def _check_trial(
    inquiry: _Inquiry, store: Store, trial: int, changed: set[tuple[Place | None, str]]
) -> Iterator[tuple[Evidence, Any]]:
    """Go through a trial; yield its tickets with the configurations of their models."""
    experiment = store.experiment
    first: Evidence | None = None
    tickets: dict[int, Evidence] = {}
    for place in store.places():
        if place.trial != trial or not store.has(place):
            continue
        here = _read(inquiry, store.stage(place), place)
        if here is None:
            continue
        inquiry.hear(place, end_proofs.measured(here, experiment))
        inquiry.hear(place, proofs.removed(here))
        inquiry.hear(place, end_proofs.said(here, experiment))
        inquiry.hear(place, end_proofs.finite(here))
        if place.level == 0:
            first = here
            inquiry.hear(place, proofs.dense(here, experiment))
        # HDF5 is not made for reading what someone has changed.
        if place.branch == "ticket" and (place, _FILES["model"]) not in changed:
            model = _model(inquiry, place, store.stage(place).model_path)
            if model is not None:
                yield here, model.config
                inquiry.hear(place, end_proofs.kept(here, first, model))
                inquiry.not_saved(kept_model.left_out(here.about))
                inquiry.not_saved(
                    name
                    for name in model.lacks(here.trained)
                    if kept_model.is_random_state(name, here.trained[name])
                )
        if first is not None:
            inquiry.hear(place, proofs.whole(here, first))
        if place.branch == "ticket":
            tickets[place.level] = here
            # Weights before the last level are not needed again, but for those of level 0.
            if place.level != 2:
                tickets.pop(place.level - 2, None)
            before = tickets.get(place.level - 1)
            if place.level:
                inquiry.hear(place, proofs.counted(here, experiment))
            if before is not None:
                inquiry.hear(place, proofs.nested(here, before))
            scored = tickets.get(experiment.scored_level(place.level))
            if first is not None and (scored is not None or not place.level):
                before_it = scored if place.level else None
                inquiry.hear(place, end_proofs.stepped(here, first, before_it, experiment))
            if before is not None and scored is not None:
                inquiry.hear(place, proofs.pruned(here, before, scored, experiment))
                if first is not None:
                    inquiry.hear(place, proofs.started(here, first, scored, experiment))
        elif first is not None and place.level in tickets:
            ticket = tickets[place.level]
            for proof in proofs.CONTROLS[place.branch]:
                inquiry.hear(place, proof(here, ticket, first))
            inquiry.hear(place, proofs.drawn(here, ticket, experiment))
            inquiry.hear(place, end_proofs.stepped(here, first, None, experiment))
            if not CONTROLS[place.branch].fresh:
                inquiry.hear(place, proofs.started(here, first, None, experiment))


def _model(inquiry: _Inquiry, place: Place, path: Path) -> KeptModel | None:
    """Return what a model file holds, or None if it cannot be read."""
    try:
        return KeptModel.read(path)
    except Exception as error:
        # A zip archive in which there is an HDF5 file may fail in many ways.
        problem = f"it cannot be read: {type(error).__name__}: {error}"
        inquiry.fail(end_proofs.HOLD_WEIGHTS, place, _FILES["model"], problem)
        return None


def _read(inquiry: _Inquiry, stage: Stage, place: Place) -> Evidence | None:
    """Return what the files of a training say, or None if one cannot be read."""
    readers: dict[str, Callable[[], Any]] = {
        "ticket": lambda: read_ticket(stage.ticket_path),
        "trained": lambda: stage.tensors("trained"),
        "optimizer": lambda: stage.tensors("optimizer"),
        "curve": stage.curve,
        "result": stage.row,
        **({} if place.level else {"rewind": lambda: stage.tensors("rewind")}),
    }
    found: dict[str, Any] = {}
    for name, read in readers.items():
        inquiry.count("files can be read")
        try:
            found[name] = read()
        except _DAMAGE as error:
            inquiry.fail("files can be read", place, _FILES[name], f"{error}")
    if len(found) < len(readers):
        return None
    (masks, start, words), (moments, owners) = found["ticket"], found["optimizer"]
    trained, about = found["trained"]
    here = Evidence(place, masks, start, trained, moments, owners, found["curve"], found["result"])
    rewind = found["rewind"][0] if "rewind" in found else None
    return replace(here, rewind=rewind, words=words, about=about)
