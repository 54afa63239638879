"""The processes that train: one for each open session, and a spare one.

A process of its own can be ended at any time, in the middle of a step, and takes its cores and its
memory with it. Each reads commands from its standard input and writes messages to its standard
output, a JSON object in a line, and ends by itself when its standard input is closed: a server
that is killed leaves none.

Loading a framework takes seconds, so a worker is started before the first session, and one that a
session leaves is kept for the next, if it answers.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

MAX_LINE = 2**24
"""The largest message of a worker, in bytes: a page that replays a long run."""
MAX_WAITING = 2**20
"""The bytes of commands that wait for a worker in the middle of a step."""
_KEPT_ERRORS = 8192
_STOPPED = "The playground was stopped. Start it again, and open the address that it prints."


@dataclass(frozen=True)
class Limits:
    """The limits of the playground's sessions and worker processes.

    Args:
        sessions: Sessions at a time.
        minutes: How long a session lasts.
        idle_minutes: How long a session lasts without a command.
        sessions_per_worker: Sessions after which a process is ended, for its memory.
        starting_seconds: How long a process may take until it is ready.
        closing_seconds: How long a process may take to leave a closed session.
        spare_seconds: How long a process is kept when there is no session.
        ending_seconds: How long a process may take to end before it is killed.
    """

    sessions: int = 4
    minutes: float = 30.0
    idle_minutes: float = 30.0
    sessions_per_worker: int = 50
    starting_seconds: float = 120.0
    closing_seconds: float = 3.0
    spare_seconds: float = 20.0
    ending_seconds: float = 2.0


class WorkerError(Exception):
    """A worker process ended, or wrote what is no message; its text is for the user."""


class TooManySessionsError(Exception):
    """There are as many sessions as there may be; the text is for the user."""


class Worker:
    """A process that trains the networks of one session at a time.

    Args:
        process: The process.
        seconds: How long it may take until it is ready.
    """

    def __init__(self, process: asyncio.subprocess.Process, seconds: float) -> None:
        self.process = process
        self.sessions = 0
        self._is_ending = False
        self._errors = b""
        self._listening = asyncio.create_task(self._keep_errors())
        self._starting = asyncio.create_task(self._read_first(seconds))
        # Nobody may wait for it.
        self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    @classmethod
    async def start(cls, command: Sequence[str], seconds: float) -> "Worker":
        """Start a process; it is not ready yet.

        Raises:
            WorkerError: If it cannot be started.
        """
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                limit=MAX_LINE,
                # Ctrl-C is for the server, which ends its workers.
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerError(f"A worker process cannot be started: {error}") from error
        return cls(process, seconds)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.returncode is None

    async def ready(self) -> dict[str, Any]:
        """Wait until the process can train; return its first message.

        Raises:
            WorkerError: If it ends before, or takes too long.
        """
        return await asyncio.shield(self._starting)

    def send(self, command: dict[str, Any]) -> bool:
        """Send a command; return False if too many wait already."""
        assert self.process.stdin is not None
        transport = self.process.stdin.transport
        if transport.get_write_buffer_size() > MAX_WAITING:
            return False
        # That the process ended is noticed where its messages are read.
        if not transport.is_closing():
            self.process.stdin.write(json.dumps(command, allow_nan=False).encode() + b"\n")
        return True

    async def read(self) -> str:
        """Return the next message, as text.

        Raises:
            WorkerError: If the process ended.
        """
        await self.ready()
        return await self._read_line()

    async def leave(self, seconds: float) -> bool:
        """Leave a session; return whether the process is free for another."""
        with contextlib.suppress(WorkerError, TimeoutError):
            # Its time counts from when it is ready: to start another would take as long.
            await self.ready()
            async with asyncio.timeout(seconds):
                if self.send({"do": "close"}):
                    while _parsed(await self.read()).get("is") != "closed":
                        pass
                    return True
        return False

    async def end(self, seconds: float) -> None:
        """End the process: ask, wait for some seconds, and kill."""
        self._is_ending = True
        if self.is_running and seconds:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.process.wait()
        self.kill()
        await self.process.wait()
        self._listening.cancel()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def print_errors(self, reason: str) -> None:
        """Print the last lines that the process wrote to standard error."""
        lines = self._errors.decode(errors="replace").splitlines()[-20:]
        print(reason, *lines, sep="\n", file=sys.stderr)
        self._errors = b""

    def kill(self) -> None:
        """Kill the process if it has not ended."""
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    async def _read_first(self, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                line = await self._read_line()
        except TimeoutError:
            self.kill()
            raise WorkerError(
                f"A worker process was not ready after {seconds:g} seconds. Reload the page to "
                f"start another."
            ) from None
        message = _parsed(line)
        if message.get("is") == "ready":
            return message
        text = message.get("text", f"A worker process began with {line:.80}.")
        print(text, file=sys.stderr)
        raise WorkerError(text)

    async def _read_line(self) -> str:
        assert self.process.stdout is not None
        try:
            line = await self.process.stdout.readline()
        except ValueError:
            raise WorkerError(
                f"The process of this session sent a message of more than {MAX_LINE} bytes. "
                f"Reload the page to start another."
            ) from None
        if not line.endswith(b"\n"):
            raise await self._ended()
        return line.decode().rstrip("\n")

    async def _ended(self) -> WorkerError:
        """Return the error for a process that ended, after its own words on standard error."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self.process.wait()
        await asyncio.wait({self._listening}, timeout=1.0)
        if self._is_ending:
            return WorkerError(_STOPPED)
        self.print_errors(f"A worker process ended (exit code {self.process.returncode}).")
        return WorkerError(
            "The process that trained these networks ended unexpectedly; the terminal of "
            "`kerasinit playground` shows why. Reload the page to start another."
        )

    async def _keep_errors(self) -> None:
        """Keep the end of what the process writes to standard error."""
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(_KEPT_ERRORS):
            self._errors = (self._errors + chunk)[-_KEPT_ERRORS:]


def _parsed(line: str) -> dict[str, Any]:
    """Return a message as a dictionary; raise WorkerError if it is none."""
    with contextlib.suppress(ValueError):
        message = json.loads(line)
        if isinstance(message, dict):
            return message
    raise WorkerError(f"A worker process wrote what is no message: {line:.80}.")


class Pool:
    """The worker processes of a server; a context in which they run.

    Args:
        command: The words that start a worker.
        limits: How many, and how long.
    """

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self.limits = limits
        self._command = tuple(command)
        self._workers: set[Worker] = set()
        self._spare: Worker | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._open = 0
        self._is_ending = False
        self._options: dict[str, Any] | None = None
        self._asking = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> "Pool":
        self._spare = await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """End all processes, and with them the sessions; none is started any more."""
        self._is_ending = True
        for task in self._leaving:
            task.cancel()
        self._stop_timer()
        seconds = self.limits.ending_seconds
        await asyncio.gather(*(self._end(worker, seconds) for worker in tuple(self._workers)))

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that run."""
        return [worker.process.pid for worker in self._workers if worker.is_running]

    def kill(self) -> None:
        """Kill what still runs, for a server that can wait no longer."""
        for worker in self._workers:
            worker.kill()

    async def options(self) -> dict[str, Any]:
        """Return what the page needs before a session: the first worker knows it.

        Raises:
            WorkerError: If no worker starts.
        """
        async with self._asking:
            if self._options is not None:
                return self._options
            worker = next((one for one in self._workers if one.is_running), None)
            if worker is None:
                worker = self._spare = await self._start()
            self._options = options = (await worker.ready())["options"]
            return options

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Worker]:
        """Lend a worker to a session.

        Raises:
            TooManySessionsError: If there are too many sessions.
        """
        if self._open >= self.limits.sessions:
            raise TooManySessionsError(
                f"All {self.limits.sessions} sessions of this playground are in use. Close another "
                f"of its tabs and reload this page, or restart it with a larger --sessions."
            )
        self._open += 1
        try:
            worker = await self._take()
            try:
                yield worker
            finally:
                # Not part of the session, whose socket is closed.
                self._in_background(self._take_back(worker))
        finally:
            self._open -= 1

    async def _take(self) -> Worker:
        """Return the spare worker, one that is about to be, or a new one."""
        self._stop_timer()
        while not self._has_spare() and self._leaving:
            await asyncio.wait(self._leaving, return_when=asyncio.FIRST_COMPLETED)
        worker, self._spare = (self._spare if self._has_spare() else None), None
        worker = worker or await self._start()
        worker.sessions += 1
        return worker

    def _has_spare(self) -> bool:
        return self._spare is not None and self._spare.is_running

    async def _take_back(self, worker: Worker) -> None:
        """Keep the worker of a closed session as the spare one, or end it."""
        limits = self.limits
        is_old = worker.sessions >= limits.sessions_per_worker
        if is_old or self._is_ending or self._has_spare():
            await self._end(worker, limits.ending_seconds)
        elif not await worker.leave(limits.closing_seconds):
            await self._end(worker, 0.0)
        # Another may have become the spare one in the meantime.
        elif self._has_spare():
            await self._end(worker, limits.ending_seconds)
        else:
            self._spare = worker
        if not self._open and self._spare is not None:
            self._stop_timer()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.limits.spare_seconds, self._end_spare)

    def _end_spare(self) -> None:
        worker, self._spare = self._spare, None
        if worker is not None:
            self._in_background(self._end(worker, self.limits.ending_seconds))

    def _in_background(self, leaving: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(leaving)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _start(self) -> Worker:
        if self._is_ending:
            raise WorkerError(_STOPPED)
        worker = await Worker.start(self._command, self.limits.starting_seconds)
        self._workers = {one for one in self._workers if one.is_running} | {worker}
        return worker

    async def _end(self, worker: Worker, seconds: float) -> None:
        await worker.end(seconds)
        self._workers.discard(worker)
