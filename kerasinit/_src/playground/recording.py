"""What happened in a run, kept small: the messages that a page without a server replays."""

from typing import Any

MAX_FRAMES = 64


class Recording:
    """The messages of a run: its start, verdicts, events, and up to 64 frames spread over it.

    Frames are thinned as the run grows, every other one; the rows of those that are left out move
    to the next one, so that the curves stay whole.

    Args:
        started: The message that began the run.
    """

    def __init__(self, started: dict[str, Any]) -> None:
        self._started = started
        self._others: list[dict[str, Any]] = []
        self._clear_frames()

    def add(self, message: dict[str, Any]) -> None:
        """Keep a message, or, of a frame that is left out, its rows."""
        if message["is"] != "frame":
            self._others.append(message)
            return
        self._frames.append((self._count, {**message, "playing": False}))
        self._count += 1
        self._thin()
        if len(self._frames) > MAX_FRAMES:
            self._every *= 2
            self._thin()

    def rewind(self) -> None:
        """Forget everything but the start and the verdict on the first weights."""
        self._others = [m for m in self._others if m["is"] == "verdict" and m["step"] == 0]
        self._clear_frames()

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages by their steps; frames come last among those of a step."""
        messages = [*self._others, *(frame for _, frame in self._frames)]
        ordered = sorted(messages, key=lambda message: (message["step"], message["is"] == "frame"))
        return [self._started, *ordered]

    def _clear_frames(self) -> None:
        self._frames: list[tuple[int, dict[str, Any]]] = []
        self._count, self._every = 0, 1

    def _thin(self) -> None:
        """Leave out all frames but each ``every``-th and the last one."""
        kept: list[tuple[int, dict[str, Any]]] = []
        rows: list[Any] = []
        for number, frame in self._frames:
            rows = [*rows, *frame["rows"]]
            if number % self._every == 0 or number == self._count - 1:
                kept.append((number, {**frame, "rows": rows}))
                rows = []
        self._frames = kept
