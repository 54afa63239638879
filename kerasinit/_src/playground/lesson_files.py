"""Lessons: a question, settings that show it, things to try, and the answer; one TOML file each.

A file has ``title``, ``question``, ``answer``, ``steps`` (to train until the answer shows), a
table ``[settings]`` as of `Settings`, with ``[settings.left]`` and ``[settings.right]``, and any
number of ``[[try]]`` with a ``text`` and, if it can be set for the student, ``[try.settings]``,
which replace those of the lesson. In all texts, backticks mark code.
"""

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasinit._src import errors
from kerasinit._src.playground.settings import SIDES, Settings

MAX_BYTES = 64 * 1024
MAX_STEPS = 100_000
_KEYS = {"title": str, "question": str, "answer": str, "steps": int, "settings": dict}
_OPTIONAL = {"try": list}
_TRY_KEYS = {"text": str}
_TRY_OPTIONAL = {"settings": dict}
_KINDS = {str: "text", int: "a whole number", dict: "a table", list: "an array of tables"}
_NAME = re.compile(r"(?:(\d{1,9})[-_])?([a-z][a-z0-9_-]*)")
_LESSONS = Path(__file__).with_name("lessons")


@dataclass(frozen=True)
class Attempt:
    """Something for the student to try.

    Attributes:
        text: What to do and what to look at.
        settings: What to replace in the settings of the lesson, nested as in `Settings.to_dict`;
            None if the text says it all.
    """

    text: str
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Lesson:
    """A lesson of the playground.

    Attributes:
        id: Its name in an address.
        title: A few words.
        question: What the student is asked before the networks train.
        attempts: What to try then.
        answer: What is seen, and why.
        steps: The steps after which the answer is seen.
        settings: What is trained.
    """

    id: str
    title: str
    question: str
    attempts: tuple[Attempt, ...]
    answer: str
    steps: int
    settings: Settings

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary of plain values."""
        return {
            "id": self.id,
            "title": self.title,
            "question": self.question,
            "try": [
                {"text": one.text, "settings": None if one.settings is None else {**one.settings}}
                for one in self.attempts
            ],
            "answer": self.answer,
            "steps": self.steps,
            "settings": self.settings.to_dict(),
        }

    def patched(self, number: int) -> Settings:
        """Return the settings with those of something to try, which are counted from 0."""
        return _patched(self.settings, self.attempts[number].settings or {})


@functools.cache
def built_in() -> tuple[Lesson, ...]:
    """Return the lessons of this package, in their order."""
    return read_folder(_LESSONS)


def read_folder(path: str | Path) -> tuple[Lesson, ...]:
    """Return the lessons in the TOML files of a folder, in the order of their names.

    ``2_sizes.toml`` comes before ``10_tickets.toml``; files without a number come last.

    Raises:
        ValueError: If there is no such folder, a file is not a lesson, or two have one name.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"Expected a folder with lessons; there is none at {folder}.")
    files = sorted(folder.glob("*.toml"), key=_place)
    lessons = tuple(read_file(file) for file in files)
    names: dict[str, Path] = {}
    for file, lesson in zip(files, lessons, strict=True):
        if lesson.id in names:
            raise ValueError(
                f"{names[lesson.id]} and {file} are both the lesson {lesson.id!r}; rename one."
            )
        names[lesson.id] = file
    return lessons


def _place(file: Path) -> tuple[float, str]:
    match = _NAME.fullmatch(file.stem)
    number = match[1] if match else None
    return (float("inf") if number is None else int(number), file.name)


def read_file(path: str | Path) -> Lesson:
    """Return the lesson in a TOML file.

    Raises:
        ValueError: If the file is not a lesson; the message names the file and the key.
    """
    file = Path(path)
    try:
        return _lesson(file.stem, _read_toml(file))
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"Cannot read the lesson {file}: {error}") from error


def _read_toml(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"It has more than {MAX_BYTES // 1024} KB, too many for a lesson.")
    return tomllib.loads(content.decode())


def _lesson(stem: str, given: dict[str, Any]) -> Lesson:
    match = _NAME.fullmatch(stem)
    if match is None:
        raise ValueError(
            f"Expected as name of the file lowercase letters, digits, - and _, such as "
            f"'10_dropout'; got {stem!r}."
        )
    _check_keys(given, _KEYS, _OPTIONAL)
    if not 1 <= given["steps"] <= MAX_STEPS:
        raise ValueError(f"Expected from 1 to {MAX_STEPS:,} as 'steps'; got {given['steps']}.")
    settings = _settings_in("settings", Settings(), given["settings"])
    if settings.data == "csv":
        raise ValueError("'settings.data' is 'csv', but a lesson has no file of examples.")
    attempts = tuple(
        _try(f"try[{number}]", settings, one) for number, one in enumerate(given.get("try", ()))
    )
    texts = {key: _joined(given[key]) for key, kind in _KEYS.items() if kind is str}
    return Lesson(match[2], attempts=attempts, steps=given["steps"], settings=settings, **texts)


def _try(place: str, settings: Settings, given: Any) -> Attempt:
    if not isinstance(given, dict):
        raise TypeError(f"Expected a table as {place!r}; got {given!r:.80}.")
    _check_keys(given, _TRY_KEYS, _TRY_OPTIONAL, f"{place}.")
    patch = given.get("settings")
    if patch is not None:
        _settings_in(f"{place}.settings", settings, patch)
    return Attempt(_joined(given["text"]), patch)


def _settings_in(place: str, base: Settings, patch: Mapping[str, Any]) -> Settings:
    try:
        return _patched(base, patch)
    except (TypeError, ValueError) as error:
        raise ValueError(f"In {place!r}: {error}") from error


def _patched(base: Settings, patch: Mapping[str, Any]) -> Settings:
    """Return settings in which some are replaced; what a side does not name stays."""
    values = base.to_dict()
    for name, value in patch.items():
        inner = name in SIDES and isinstance(value, Mapping)
        values[name] = {**values[name], **value} if inner else value
    return Settings.from_dict(values)


def _check_keys(
    given: Mapping[str, Any],
    required: Mapping[str, type],
    optional: Mapping[str, type],
    prefix: str = "",
) -> None:
    kinds = {**required, **optional}
    for key, value in given.items():
        if key not in kinds:
            raise errors.unknown("key", f"{prefix}{key}", _prefixed(prefix, kinds))
        kind = kinds[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"Expected {_KINDS[kind]} as {prefix + key!r}; got {value!r:.80}.")
        if kind is str and not value.strip():
            raise ValueError(f"{prefix + key!r} is empty.")
    missing = [key for key in required if key not in given]
    if missing:
        raise ValueError(f"Missing: {', '.join(map(repr, _prefixed(prefix, missing)))}.")


def _prefixed(prefix: str, keys: Iterable[str]) -> list[str]:
    return [f"{prefix}{key}" for key in keys]


def _joined(text: str) -> str:
    """Return a text without the line breaks of the file, except between paragraphs."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
