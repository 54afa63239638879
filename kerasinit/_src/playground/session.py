"""One session: the commands of a page, and the messages that answer them.

Nothing here knows of sockets or processes: commands and messages are dictionaries.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from kerasinit._src.diagnosis.entry import diagnose
from kerasinit._src.errors import unknown
from kerasinit._src.playground import exports
from kerasinit._src.playground.explanations import explain
from kerasinit._src.playground.keras_code import network_code
from kerasinit._src.playground.measuring import Views, bounds
from kerasinit._src.playground.networks import seeded
from kerasinit._src.playground.recording import Recording
from kerasinit._src.playground.settings import METHODS, SIDES, Settings
from kerasinit._src.playground.theory_lines import squares
from kerasinit._src.playground.two_networks import TwoNetworks
from kerasinit._src.playground.verdicts import verdict
from kerasinit._src.reports.base import as_json

Message = dict[str, Any]

MAX_STEPS = 100_000
"""The last step of a run."""
_MAX_AT_ONCE = 1_000  # steps per frame
_UNSEEN = 2  # frames in flight
_PAUSE = 1 / 15  # seconds between two frames
_WAYS_OF_WRONG_INPUT = (ValueError, TypeError, ArithmeticError, ImportError)


class Session:
    """The state of a page's two networks.

    Args:
        send: Called with each message.
        clock: The time in seconds, for the pace of frames.
    """

    def __init__(
        self, send: Callable[[Message], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send, self._clock = send, clock
        self._run = self._frame = 0
        self._two: TwoNetworks | None = None
        self._views: tuple[Views, ...] = ()
        self._recording = Recording({})
        # What is still to be done: verdicts of sides, a step to train to, frames to be seen.
        self._verdicts: list[str] = []
        self._words: Message = {}
        self._until = self._at_once = self._unseen = 0
        self._last = -_PAUSE
        self._rows = self._events = 0
        self._commands: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "advance": self._advance,
            "diagnose": self._diagnose,
            "explain": self._explain,
            "export": self._export,
            "pause": self._pause,
            "play": self._play,
            "rewind": self._rewind,
            "seen": self._seen,
            "start": self._start,
        }

    def handle(self, command: Mapping[str, Any]) -> None:
        """Carry out a command; what is wrong with it is answered as refused."""
        try:
            name = command.get("do")
            if name not in self._commands:
                raise unknown("command", name, self._commands)
            if self._two is None and name != "start":
                raise ValueError("There are no networks yet: start with some settings.")
            self._commands[name](command)
        except _WAYS_OF_WRONG_INPUT as error:
            self._send({"is": "refused", "text": str(error)})

    @property
    def wait(self) -> float | None:
        """The seconds until `work` has something to do; 0 for at once, None for never."""
        if self._verdicts:
            return 0.0
        if self._two is None or self._two.step >= self._until or self._unseen >= _UNSEEN:
            return None
        return max(0.0, self._last + _PAUSE - self._clock())

    def work(self) -> None:
        """Do the next piece of work: a verdict, or the steps up to the next frame."""
        two = self._networks
        if self._verdicts:
            side = self._verdicts.pop(0)
            self._words[side] = self._verdict(side)
            if not self._verdicts:
                self._record({"is": "verdict", "run": self._run, "step": two.step, **self._words})
        elif self.wait == 0:
            two.advance(min(self._at_once, self._until - two.step))
            self._show()

    @property
    def recorded(self) -> list[Message]:
        """The messages of the current run, as `Recording` keeps them, and all explanations."""
        layers = range(self._depth + 1)
        explanations = [self._explanation(side, layer) for side in SIDES for layer in layers]
        return [*self._recording.messages(), *explanations]

    @property
    def _networks(self) -> TwoNetworks:
        assert self._two is not None
        return self._two

    def _start(self, command: Mapping[str, Any]) -> None:
        settings = Settings.from_dict(command.get("settings", {}))
        step = _count(command, "step", 0, MAX_STEPS)
        table = command.get("csv")
        if settings.data != "csv":
            table = None
        two = TwoNetworks(settings, table)
        sides = zip(two.networks, settings.sides, strict=True)
        self._views = tuple(Views(one.model, two.examples, side.activation) for one, side in sides)
        self._two = two
        self._run += 1
        self._until = self._unseen = self._rows = self._events = 0
        started = as_json(self._started(two, table))
        self._recording = Recording(started)
        self._send(started)
        self._show()
        self._diagnose(command)
        # No faster than it can be shown, even on the way to a step in a link.
        self._until, self._at_once = step, 50

    def _started(self, two: TwoNetworks, table: Mapping[str, Any] | None) -> Message:
        settings, examples = two.settings, two.examples
        points = {"x": examples.x, "y": examples.y, "x_test": examples.x_test}
        points = {name: part.tolist() for name, part in points.items()}
        points["y_test"] = examples.y_test.tolist()
        images = (examples.x_test * 16).round().astype(int).tolist()
        side = examples.image_side
        return {
            "is": "started",
            "run": self._run,
            "settings": settings.to_dict(),
            "address": settings.to_address(),
            "classes": examples.classes,
            "columns": examples.columns,
            "points": points if examples.is_plane else None,
            "bounds": bounds(examples) if examples.is_plane else None,
            "images": {"side": side, "test": images} if side else None,
            "layers": [*(f"hidden_{n + 1}" for n in range(settings.depth)), "outputs"],
            "file": {key: table[key] for key in ("name", "digest")} if table else None,
            "notes": _notes(two),
            **{name: self._side(two, name) for name in SIDES},
        }

    def _side(self, two: TwoNetworks, name: str) -> Message:
        settings, examples = two.settings, two.examples
        side, model = getattr(settings, name), getattr(two, name)
        hidden = [model.get_layer(f"hidden_{n + 1}").get_weights() for n in range(settings.depth)]
        kernels, biases = zip(*hidden, strict=True)
        q = float((examples.probe[0] ** 2).mean())
        theory, note = squares(settings, side, kernels, biases, q)
        code = network_code(settings, name, len(examples.classes), len(examples.columns))
        return {
            "code": code,
            "weights": model.count_params(),
            "theory": theory,
            "theory_note": note,
        }

    def _verdict(self, side: str) -> Message:
        two = self._networks
        x, y = two.examples.probe
        return verdict(diagnose(getattr(two, side), x, y), two.settings, side)

    def _show(self) -> None:
        """Send a frame, and the events since the last one."""
        two = self._networks
        for step, text in two.events[self._events :]:
            self._record({"is": "event", "run": self._run, "step": step, "text": text})
        self._events = len(two.events)
        self._frame += 1
        rows = two.rows
        frame = {
            "is": "frame",
            "run": self._run,
            "frame": self._frame,
            "step": two.step,
            "playing": two.step < self._until,
            "rows": rows[self._rows :].tolist(),
        }
        for name, one, views in zip(SIDES, two.networks, self._views, strict=True):
            frame[name] = {"diverged": one.diverged_at, **views.view(one.masks)}
        self._rows = len(rows)
        self._record(frame)
        self._unseen += 1
        self._last = self._clock()

    def _record(self, message: Message) -> None:
        message = as_json(message)
        self._recording.add(message)
        self._send(message)

    def _advance(self, command: Mapping[str, Any]) -> None:
        steps = _count(command, "steps", 1, MAX_STEPS)
        self._train_to(self._networks.step + steps, steps)

    def _play(self, command: Mapping[str, Any]) -> None:
        until = _count(command, "until", 1, MAX_STEPS) if "until" in command else MAX_STEPS
        if until <= self._networks.step:
            until = MAX_STEPS  # a lesson's end that is past
        self._train_to(until, _count(command, "steps", 1, MAX_STEPS))

    def _train_to(self, step: int, at_once: int) -> None:
        if self._networks.step >= MAX_STEPS:
            raise ValueError(
                f"The last step of a run, {MAX_STEPS}, is reached. Rewind, or choose another seed."
            )
        self._until, self._at_once = min(step, MAX_STEPS), min(at_once, _MAX_AT_ONCE)

    def _pause(self, command: Mapping[str, Any]) -> None:
        if self._until > self._networks.step:
            self._until = self._networks.step
            self._show()

    def _rewind(self, command: Mapping[str, Any]) -> None:
        self._networks.rewind()
        self._recording.rewind()
        self._until = self._rows = self._events = 0
        self._show()

    def _seen(self, command: Mapping[str, Any]) -> None:
        self._unseen = max(0, self._frame - _count(command, "frame", 0, self._frame))

    def _diagnose(self, command: Mapping[str, Any]) -> None:
        self._verdicts, self._words = list(SIDES), {}

    def _explain(self, command: Mapping[str, Any]) -> None:
        self._send(self._explanation(_side_name(command), _count(command, "layer", 0, self._depth)))

    def _explanation(self, name: str, number: int) -> Message:
        side, model = getattr(self._networks.settings, name), getattr(self._networks, name)
        layer = model.get_layer(f"hidden_{number + 1}" if number < self._depth else "outputs")
        initializer = side.initializer
        if initializer not in METHODS:
            initializer = seeded(initializer, 0)
        # The theory is of a layer whose inputs have passed an activation.
        activation = side.activation if number else None
        told = explain(initializer, tuple(layer.kernel.shape), activation)
        return {
            "is": "explanation",
            "side": name,
            "layer": number,
            "title": told.title,
            "lines": list(told.lines),
            "source": told.source,
        }

    @property
    def _depth(self) -> int:
        return self._networks.settings.depth

    def _export(self, command: Mapping[str, Any]) -> None:
        kind = command.get("kind")
        if kind not in exports.KINDS:
            raise unknown("kind of export", kind, exports.KINDS)
        self._send({"is": "file"} | exports.KINDS[kind](self._networks, self.recorded))


def _notes(two: TwoNetworks) -> list[str]:
    examples = two.examples
    notes = [f"{len(examples.x)} training and {len(examples.x_test)} test examples."]
    if not examples.image_side:
        notes.append("Inputs are standardized: mean 0, variance 1.")
    return notes


def _count(command: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = command.get(name, low)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"Expected a whole number from {low} to {high} as {name}; got {value!r}.")
    return value


def _side_name(command: Mapping[str, Any]) -> str:
    if command.get("side") not in SIDES:
        raise unknown("side", command.get("side"), SIDES)
    return command["side"]
