"""What passes between the socket of a page and the worker process that trains for it.

Commands are checked and passed on to the worker; its messages are passed on unchanged. A message is
read from the worker only once the socket has taken the one before, so a slow socket slows the
training and fills no memory.
"""

import asyncio
import contextlib
import json
import re
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from kerasinit._src import errors
from kerasinit._src.playground.uploads import Uploads
from kerasinit._src.playground.worker_pool import Pool, TooManySessionsError, Worker, WorkerError

MAX_COMMAND = 2**16
"""The largest command, in bytes; a larger one closes the socket."""
_COMMANDS = ("start", "play", "pause", "advance", "rewind", "seen", "diagnose", "explain", "export")
_EARLY = 64
_RATE, _BURST = 50.0, 200.0
_ENDED = re.compile(r'\s*\{\s*"is"\s*:\s*"ended"')
_NORMAL, _FAILED, _TRY_LATER = 1000, 1011, 1013


class Relay:
    """What passes between a page and the worker of its session.

    Args:
        socket: The socket of the page, not accepted yet.
        pool: The pool that lends a worker.
        uploads: The files that the page has uploaded.
    """

    def __init__(self, socket: WebSocket, pool: Pool, uploads: Uploads) -> None:
        self._socket = socket
        self._pool = pool
        self._uploads = uploads
        self._worker: Worker | None = None
        self._early: list[dict[str, Any]] = []
        self._pace = _Pace()

    async def run(self) -> None:
        """Serve the session until it ends."""
        await self._socket.accept()
        seconds = 60 * self._pool.limits.minutes
        tasks = {asyncio.create_task(self._pass_commands()), asyncio.create_task(self._pass_back())}
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, WebSocketDisconnect):
                return
        for result in results:
            if isinstance(result, Exception):
                raise result
        for task in done:
            await self._close(*task.result())
            return
        await self._close(
            _NORMAL,
            f"This session lasted {self._pool.limits.minutes:g} minutes, which is the limit "
            f"(--minutes). Reload the page to continue from its address.",
        )

    async def _close(self, code: int, text: str | None) -> None:
        """Send a last message and close the socket, unless the page is gone or hangs."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(2.0):
                if text is not None:
                    await self._send("ended", text)
                await self._socket.close(code)

    async def _send(self, kind: str, text: str) -> None:
        await self._socket.send_text(json.dumps({"is": kind, "text": text}))

    async def _pass_back(self) -> tuple[int, str | None]:
        """Pass messages of the worker to the page; return how the session ended."""
        try:
            async with self._pool.session() as worker:
                await worker.ready()
                while self._early:
                    if worker.send(self._early[0]):
                        self._early.pop(0)
                    else:
                        await asyncio.sleep(0.05)
                self._worker = worker
                while True:
                    message = await worker.read()
                    await self._socket.send_text(message)
                    if _ENDED.match(message):
                        worker.print_errors("A session failed.")
                        return _NORMAL, None
        except TooManySessionsError as error:
            return _TRY_LATER, str(error)
        except WorkerError as error:
            return _FAILED, str(error)
        finally:
            self._worker = None

    async def _pass_commands(self) -> tuple[int, str | None]:
        """Pass commands of the page to the worker; return how the session ended."""
        minutes = self._pool.limits.idle_minutes
        while True:
            try:
                async with asyncio.timeout(60 * minutes):
                    message = await self._socket.receive()
            except TimeoutError:
                return _NORMAL, (
                    f"Nothing was done in this session for {minutes:g} minutes, so it was ended. "
                    f"Reload the page to continue from its address."
                )
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1006))
            try:
                self._pass_on(self._with_table(read_command(message.get("text"))))
            except ValueError as error:
                await self._send("refused", str(error))
            await self._pace.wait()

    def _with_table(self, command: dict[str, Any]) -> dict[str, Any]:
        """Return a command with the table in the place of the file that it names."""
        named = command.get("csv")
        if command["do"] != "start" or named is None:
            return command
        if not isinstance(named, dict):
            raise ValueError(f"Expected name and digest of a file as csv; got {named!r:.80}.")
        table = self._uploads.get(named.get("digest"))
        if table is None:
            raise ValueError(
                f"The file {named.get('name', '')!r:.80} is not here (any more): upload it again."
            )
        return command | {"csv": table.to_dict()}

    def _pass_on(self, command: dict[str, Any]) -> None:
        if command["do"] == "start":
            # What was to happen before makes no difference any more.
            self._early.clear()
        if self._worker is not None:
            is_taken = self._worker.send(command)
        elif is_taken := len(self._early) < _EARLY:
            self._early.append(command)
        if not is_taken:
            raise ValueError(
                "Too many commands wait for the end of the current step. Wait for it, or reload "
                "the page."
            )


def read_command(text: str | None) -> dict[str, Any]:
    """Return a command of the page as a dictionary.

    Raises:
        ValueError: If it is not one; only its name is checked.
    """
    try:
        command = json.loads(text or "", parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        command = None
    if not isinstance(command, dict) or not isinstance(command.get("do"), str):
        raise ValueError(
            f'Expected as command a JSON object such as {{"do": "pause"}}; got {text!r:.80}.'
        )
    if command["do"] not in _COMMANDS:
        raise errors.unknown("command", command["do"][:80], _COMMANDS)
    return command


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


class _Pace:
    """Slows a page that sends commands without end down to a rate, after a burst."""

    def __init__(self) -> None:
        self._credit = _BURST
        self._counted = time.monotonic()

    async def wait(self) -> None:
        """Wait as long as the last commands came too fast."""
        now = time.monotonic()
        earned = (now - self._counted) * _RATE
        self._credit, self._counted = min(_BURST, self._credit + earned) - 1, now
        if self._credit < 0:
            await asyncio.sleep(-self._credit / _RATE)
