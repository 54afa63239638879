"""A question's folder: what is asked stands at its top, and each part is there whole or not.

::

    FOLDER/question.json      what is asked, of which experiment, on which data
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

Say = Callable[[str], None]


def silent(line: str) -> None:
    """Say nothing."""


_RECORD, _FORMAT = "question.json", "kerasinit-question-1"
_MOST_JSON = 2**24


class Answers:
    """The folder of a question, begun or gone on with.

    Args:
        folder: Where it is, or will be.
        asked: What is asked, as plain JSON: everything that changes a number of the
            parts. A folder that was begun for something else is refused.

    Raises:
        ValueError: If the folder holds something else (nothing is changed then), or
            cannot be written to.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     answers = Answers(Path(folder) / "new", {"question": "how far?"})
    ...     with answers.new("trial-0") as part:
    ...         write_json(part / "way.json", {"far": 3})
    ...     answers.has("trial-0"), read_json(answers.path("trial-0") / "way.json")
    (True, {'far': 3})
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        self.folder = folder
        # What is compared is what a file gives back: lists for tuples.
        asked = json.loads(json.dumps({"format": _FORMAT, **asked}))
        if atomic.has_record(folder, _RECORD, "answers to such a question"):
            _require_same(folder, asked, read_json(folder / _RECORD))
        atomic.create_folder(folder, _RECORD, json.dumps(asked, indent=2).encode())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes off the folder, and say what to do if the disk gets full.

        Raises:
            BusyError: If another process works on it.
            NoSpaceError: If something within the block finds the disk full.
        """
        with atomic.reporting_full_disk(self.folder), lock.held(self.folder):
            atomic.remove_partial(self.folder)
            yield

    def path(self, *place: str) -> Path:
        """Return the folder of a part, there or not."""
        return self.folder.joinpath(*place)

    def has(self, *place: str) -> bool:
        """Return whether a part is finished."""
        return self.path(*place).is_dir()

    @contextlib.contextmanager
    def new(self, *place: str) -> Iterator[Path]:
        """Give a part's folder to fill; it is finished when the block ends without an error."""
        with atomic.new_folder(self.path(*place)) as folder:
            yield folder


def _require_same(folder: Path, asked: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    mine, theirs = _flat(asked), _flat(there)
    different = [
        f"{name} is {theirs.get(name)!r} there and {mine.get(name)!r} here"
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]
    if different:
        raise ValueError(
            f"{folder} holds the answers to another question: {'; '.join(different)}. Name "
            f"another folder with --out."
        )


def _flat(content: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        name = f"{within}{name}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a new file of JSON, whole or not at all."""
    atomic.write_new(path, json.dumps(content, indent=2).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a file of JSON holds.

    Raises:
        ValueError: If it holds something else; the message names the file.
    """
    try:
        return json_files.read(path, _MOST_JSON)
    except OSError as error:
        raise ValueError(f"{path} is damaged: {error}.") from error


def beside(run: Path, question: str) -> Path:
    """Return the folder for the answers about a run, where none is named: next to the run."""
    run = run.resolve()
    return run.with_name(f"{run.name}-{question}")


def chosen_levels(store: Store, levels: Iterable[int]) -> list[int]:
    """Return the levels to ask about, in order, after making sure that they are finished.

    Args:
        store: The run.
        levels: Those that were named; if none, the last one that all trials finished.

    Raises:
        ValueError: If one is not there, or no level is.
    """
    trials, last = range(store.experiment.trials), store.experiment.levels
    there = [
        level
        for level in range(last + 1)
        if all(store.has(Place(trial, level, "ticket")) for trial in trials)
    ]
    if not there:
        raise ValueError(f"{store.folder} has no finished level yet. Let its run go on first.")
    for level in levels:
        if level not in there:
            raise ValueError(
                f"{store.folder} has no finished level {level}; finished are "
                f"{', '.join(map(str, there))}."
            )
    return sorted(set(levels)) or there[-1:]
