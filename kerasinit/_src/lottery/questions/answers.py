"""A question's folder: its record, and the finished parts of the answer.

::

    FOLDER/question.json      the question, with its experiment and data
    FOLDER/trial-0/...        the finished parts
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kerasinit._src.files import atomic, json_files, lock
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store

MessageCallback = Callable[[str], None]

_RECORD, _FORMAT = "question.json", "kerasinit-question-1"
_MAX_JSON_BYTES = 2**24


def ignore(message: str) -> None:
    """Ignore a message."""


class Answers:
    """The folder of a question, created or resumed.

    ``question`` is plain JSON with everything that changes a number of the parts. A folder that
    holds something else raises ValueError and is left unchanged.
    """

    def __init__(self, folder: Path, question: Mapping[str, Any]) -> None:
        self.folder = folder
        # Through JSON, since a file has lists for tuples.
        record = json.loads(json.dumps({"format": _FORMAT, **question}))
        if atomic.has_record(folder, _RECORD, "answers to such a question"):
            _require_same(folder, record, read_json(folder / _RECORD))
        atomic.create_folder(folder, _RECORD, json.dumps(record, indent=2).encode())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder against other processes, and explain what to do if the disk gets full."""
        with atomic.reporting_full_disk(self.folder), lock.held(self.folder):
            atomic.remove_partial(self.folder)
            yield

    def path(self, *place: str) -> Path:
        """Return the folder of a part, whether it exists or not."""
        return self.folder.joinpath(*place)

    def has(self, *place: str) -> bool:
        """Return whether a part is finished."""
        return self.path(*place).is_dir()

    def new(self, *place: str) -> contextlib.AbstractContextManager[Path]:
        """Create a part's folder; it is finished when the block ends without an error."""
        return atomic.new_folder(self.path(*place))


def _require_same(folder: Path, record: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    mine, theirs = _flat(record), _flat(saved)
    different = [
        f"{name} is {theirs.get(name)!r} there and {mine.get(name)!r} here"
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]
    if different:
        raise ValueError(
            f"{folder} holds the answers to another question: {'; '.join(different)}. Choose "
            f"another folder with --out."
        )


def _flat(content: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        name = f"{within}{name}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a new JSON file atomically."""
    atomic.write_new(path, json.dumps(content, indent=2).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raise ValueError if there is none."""
    try:
        return json_files.read(path, _MAX_JSON_BYTES)
    except OSError as error:
        raise ValueError(f"{path} is damaged: {error}.") from error


def answers_folder(out: str | Path | None, run: Path, question: str) -> Path:
    """Return the folder for the answers about a run: ``out``, or one next to the run."""
    if out is not None:
        return Path(out)
    run = run.resolve()
    return run.with_name(f"{run.name}-{question}")


def chosen_levels(store: Store, levels: Iterable[int]) -> list[int]:
    """Return the sorted levels, or the last finished one if none are given.

    Raise ValueError unless all trials finished them.
    """
    trials, last = range(store.experiment.trials), store.experiment.levels
    finished = [
        level
        for level in range(last + 1)
        if all(store.has(Place(trial, level, "ticket")) for trial in trials)
    ]
    if not finished:
        raise ValueError(f"{store.folder} has no finished level yet. Resume its run first.")
    for level in levels:
        if level not in finished:
            raise ValueError(
                f"{store.folder} has no finished level {level}; finished are "
                f"{', '.join(map(str, finished))}."
            )
    return sorted(set(levels)) or finished[-1:]
