"""Is a run what it says it is? Shown from its files alone."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from kerasinit.lottery import manifest, proofs, survivors
from kerasinit.lottery.controls import CONTROLS
from kerasinit.lottery.evidence import Check, Checks, Evidence
from kerasinit.lottery.store import Place, Stage, Store
from kerasinit.lottery.trainer import Point
from kerasinit.masks import Masks
from kerasinit.tensor_files import read_ticket

_FILES = {
    "ticket": "ticket.safetensors",
    "trained": "trained.safetensors",
    "optimizer": "optimizer.safetensors",
    "rewind": "rewind.safetensors",
    "model": "model.keras",
    "curve": "curve.csv",
    "result": "result.json",
}
_MOST_CURVE = 2**26
_MOST_PLACES = 10**6
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
class Proof:
    """What was shown of a run, and what failed.

    Attributes:
        trainings: How many trainings were there.
        checks: How often each claim was looked at.
        findings: What does not hold; empty for a good run.
    """

    trainings: int
    checks: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as plain JSON."""
        return {
            "holds": self.holds,
            "trainings": self.trainings,
            "checks": dict(self.checks),
            "findings": [asdict(finding) for finding in self.findings],
        }

    def table(self) -> Table:
        """Return a table of what was looked at."""
        failed = Counter(finding.claim for finding in self.findings)
        shown = Table(title=f"{sum(self.checks.values())} checks of {self.trainings} trainings")
        shown.add_column("claim")
        shown.add_column("checks", justify="right")
        shown.add_column("failed", justify="right")
        for claim, count in self.checks.items():
            shown.add_row(claim, str(count), str(failed[claim]))
        return shown


def verify(folder: str | Path) -> Proof:
    """Prove the integrity of a run from its files alone.

    Shown is: every file is what was written, none is missing and none was added; masks are
    nested, and recomputing them from the weights trained before gives them bit for bit;
    survivors start from the rewind point, bit for bit; removed weights are zero at the start
    and at the end, and so are their moments in the optimizer; controls keep what they should
    and change what they should; results are those of the curves; saved models hold the
    trained weights. Masks of the criteria snip, grasp and synflow, which look at the network
    and its data, are checked for their counts and nesting alone.

    What only training again could contradict (a loss, an accuracy on the test examples)
    rests on the digests in the manifests. Against someone who changes those as well, keep
    the run's digest (`kerasinit.lottery.digest`) elsewhere. Names that begin with a dot, and
    files directly in the run's folder other than ``experiment.json``, hold no evidence and
    are not looked at.

    Args:
        folder: The run's folder. A run that is not finished fails: its trainings are missing.

    Returns:
        A `Proof`; ``proof.holds`` says whether all of it is true.

    Raises:
        ValueError: If the folder holds no run.

    Example:
    >>> import tempfile
    >>> from kerasinit.lottery.experiment import Experiment
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     begun = Store.open(Path(folder) / "run", Experiment(levels=0), {"data": ""})
    ...     print(verify(begun.folder).findings[0])
    trial 0, level 0, ticket: it is not finished, or was removed (no training is missing or added)
    """
    folder = Path(folder)
    if not (folder / "experiment.json").is_file():
        raise ValueError(f"{folder} holds no lottery run: there is no experiment.json in it.")
    inquiry = _Inquiry()
    try:
        store = Store.read(folder)
        experiment = store.experiment
        places = experiment.trials * (experiment.levels + 1) * len(experiment.branches)
        if places > _MOST_PLACES:
            raise ValueError(f"it announces {places} trainings; at most {_MOST_PLACES} are read")
    except (ValueError, TypeError, RecursionError) as error:
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
    for trial in range(experiment.trials):
        _check_trial(inquiry, store, trial, changed)
    return inquiry.proof(len(there))


class _Inquiry:
    """Counts what is looked at and keeps what fails."""

    def __init__(self) -> None:
        self._checks: Counter[str] = Counter()
        self._findings: list[Finding] = []

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
        return Proof(trainings, dict(self._checks), tuple(self._findings))


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
) -> None:
    experiment = store.experiment
    first: Evidence | None = None
    tickets: dict[int, Evidence] = {}
    for place in store.places():
        if place.trial != trial or not store.has(place):
            continue
        here = _read(inquiry, store.stage(place), place)
        if here is None:
            continue
        inquiry.hear(place, proofs.measured(here, experiment))
        inquiry.hear(place, proofs.removed(here))
        # HDF5 is not made for reading what someone has changed.
        if place.branch == "ticket" and (place, "model.keras") not in changed:
            path = store.stage(place).model_path
            inquiry.hear(place, _model(here, path))
        if place.level == 0:
            first = here
            inquiry.hear(place, proofs.dense(here, experiment))
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
            scored = tickets.get(survivors.scored_level(experiment, place.level))
            if before is not None and scored is not None:
                inquiry.hear(place, proofs.pruned(here, before, scored, experiment))
                if first is not None:
                    inquiry.hear(place, proofs.started(here, first, scored, experiment))
        elif first is not None and place.level in tickets:
            ticket = tickets[place.level]
            for proof in proofs.CONTROLS[place.branch]:
                inquiry.hear(place, proof(here, ticket, first))
            inquiry.hear(place, proofs.drawn(here, ticket, experiment))
            if not CONTROLS[place.branch].fresh:
                inquiry.hear(place, proofs.started(here, first, None, experiment))


def _model(here: Evidence, path: Path) -> Checks:
    try:
        yield from proofs.model(here, path)
    except Exception as error:
        # A zip archive in which there is an HDF5 file may fail in many ways.
        problem = f"it cannot be read: {type(error).__name__}: {error}"
        yield Check("model files hold the trained weights", "model", "", problem)


def _read(inquiry: _Inquiry, stage: Stage, place: Place) -> Evidence | None:
    """Return what the files of a training say, or None if one cannot be read."""
    readers = {
        "ticket": lambda: read_ticket(stage.ticket_path),
        "trained": lambda: stage.state("trained"),
        "optimizer": lambda: (stage.state("optimizer"), stage.words("optimizer")),
        "curve": lambda: _curve(stage.folder / "curve.csv"),
        "result": stage.row,
        **({} if place.level else {"rewind": lambda: stage.state("rewind")}),
    }
    found: dict[str, Any] = {}
    for name, read in readers.items():
        inquiry.count("files can be read")
        try:
            found[name] = read()
            if name == "ticket":
                masks, start, _ = found[name]
                found[name] = Masks(masks), start
        except (*_DAMAGE, RecursionError, csv.Error, json.JSONDecodeError) as error:
            inquiry.fail("files can be read", place, _FILES[name], f"{error}")
    if len(found) < len(readers):
        return None
    (masks, start), (moments, owners) = found["ticket"], found["optimizer"]
    here = Evidence(
        place, masks, start, found["trained"], moments, owners, found["curve"], found["result"]
    )
    return replace(here, rewind=found.get("rewind"))


def _curve(path: Path) -> tuple[Point, ...]:
    if path.stat().st_size > _MOST_CURVE:
        raise ValueError(f"{path} has more than {_MOST_CURVE} bytes; it was not written by us.")
    with path.open(newline="") as file:
        return tuple(
            Point(
                int(line["iteration"]),
                float(line["training_loss"]),
                float(line["validation_loss"]),
                float(line["validation_accuracy"]),
            )
            for line in csv.DictReader(file, strict=True)
        )
