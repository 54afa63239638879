"""Lessons as pages that replay without a server: for a site, or for students offline."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kerasinit._src.files import atomic
from kerasinit._src.playground.lesson_files import Lesson
from kerasinit._src.playground.replays import replay_page
from kerasinit._src.playground.session import Session
from kerasinit._src.playground.settings import Settings, form

_FRAMES = 60


def write_replays(folder: Path, lessons: Iterable[Lesson]) -> list[Path]:
    """Train each lesson, and what it suggests to try, and write one page for each.

    Args:
        folder: A folder that does not exist yet.
        lessons: The lessons.

    Returns:
        The files, ``01-zeros.html`` and so on, in the order of the lessons.

    Raises:
        FileExistsError: If the folder exists; nothing is overwritten.
    """
    folder.mkdir(parents=True)
    written = []
    for number, lesson in enumerate(lessons, 1):
        path = folder / f"{number:02d}-{lesson.id}.html"
        atomic.write_new(path, lesson_page(lesson).encode())
        written.append(path)
    return written


def lesson_page(lesson: Lesson) -> str:
    """Train a lesson and return its page."""
    runs = [{"label": "the lesson", "messages": _recorded(lesson.settings, lesson.steps)}]
    for number, attempt in enumerate(lesson.attempts):
        if attempt.settings is not None:
            messages = _recorded(lesson.patched(number), lesson.steps)
            runs.append({"label": attempt.text, "messages": messages})
    return replay_page({"lesson": lesson.to_dict(), "form": form(), "runs": runs})


def _recorded(settings: Settings, steps: int) -> list[dict[str, Any]]:
    """Return the messages of a run, as a page would have had them."""
    # Frames are not paced: nobody watches.
    time = iter(range(10**9))
    last: list[int] = [0]

    def seen(message: dict[str, Any]) -> None:
        if message["is"] == "refused":
            raise ValueError(message["text"])
        if message["is"] == "frame":
            last[0] = message["frame"]

    session = Session(seen, clock=lambda: next(time))
    session.handle({"do": "start", "settings": settings.to_dict()})
    while session.wait is not None:
        session.work()
    session.handle({"do": "seen", "frame": last[0]})
    for at_once in _lengths(steps):
        session.handle({"do": "advance", "steps": at_once})
        while session.wait is not None:
            session.work()
        session.handle({"do": "seen", "frame": last[0]})
    return session.recorded


def _lengths(steps: int) -> list[int]:
    """Return the steps between frames: equal, but for the first ones, where most happens."""
    ends = {1, 2, 5, 10, *(round(steps * n / _FRAMES) for n in range(1, _FRAMES + 1))}
    ends = sorted(end for end in ends if 0 < end <= steps)
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
