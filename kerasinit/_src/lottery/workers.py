"""Independent pieces of work in processes of their own, watched from one place.

A process begins anew (it is spawned, not forked: TensorFlow's threads do not survive a
fork), takes one piece after another, and may get its share of the processors only. The
pieces report through a pipe of their process, so that one that is killed leaves no lock
behind for the others. A process whose parent is gone ends at once.

Not by `concurrent.futures.ProcessPoolExecutor`: where one of its processes is killed, it ends
all others with their work half done and does not say which piece failed how; and before Python
3.14 it has no way to stop pieces that run.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any


class WorkerDiedError(ChildProcessError):
    """A process ended without a word, as one that is killed does."""


def share(
    work: Callable[..., None],
    arguments: tuple[Any, ...],
    pieces: Iterable[Any],
    workers: int,
    watch: Any,
    *,
    limited: bool = True,
) -> None:
    """Call ``work(*arguments, piece, watch)`` for each piece, some of them at a time.

    Args:
        work: A function of a module. It gets a stand-in for ``watch``.
        arguments: What it gets for every piece; they must be able to travel to a process.
        pieces: What to work on; equal results must not depend on who works on what.
        workers: How many processes there are at most.
        watch: Its methods are called here, with what the stand-in's were called with.
        limited: Whether a process gets only its share of the processors. Where rounding
            depends on the number of TensorFlow's threads, it must not.

    Raises:
        ValueError: If the arguments cannot travel to a process.
        WorkerDiedError: If a process ended on its own; the others have finished their pieces.
        Exception: What ``work`` raised; the others have been stopped.
    """
    _require_sendable(work, arguments)
    waiting = list(pieces)
    context = multiprocessing.get_context("spawn")
    running: dict[Connection, tuple[Any, Any]] = {}
    died: list[str] = []
    count = min(workers, len(waiting))
    threads = max(1, _processors() // count) if limited else None
    # It lets signals through again when it starts, which it would do within the first process.
    resource_tracker.ensure_running()
    try:
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, threads), daemon=True)
            with _deaf_to_interruption():
                process.start()
                there.close()
                running[here] = process, None
        for pipe in list(running):
            # Not as arguments of a process: whoever writes those waits for ever if it dies.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                pipe.send((work, arguments))
            _give(pipe, waiting, running)
        while running:
            ready = wait(list(running))
            for pipe in [pipe for pipe in running if pipe in ready]:
                try:
                    what, content = pipe.recv()
                except (EOFError, ConnectionResetError):
                    process, piece = running.pop(pipe)
                    process.join()
                    if piece is not None:
                        died.append(f"at work on trial {piece} {_end(process.exitcode)}")
                    continue
                if what == "done":
                    _give(pipe, waiting, running)
                elif what == "failed":
                    raise content
                else:
                    getattr(watch, what)(*content)
    finally:
        for process, _ in running.values():
            process.terminate()
        for pipe, (process, _) in running.items():
            process.join()
            pipe.close()
    if died:
        raise WorkerDiedError(
            f"A process {'; another '.join(died)}. What was finished is kept: repeat the command "
            f"to go on, with fewer --workers if memory was short."
        )


@contextlib.contextmanager
def _deaf_to_interruption() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach; what comes meanwhile is heard at the end.

    Ctrl-C goes to every process of a terminal. One that is still importing TensorFlow would
    die with a traceback, before it could be told to leave that to its parent. A process is
    born with the signals blocked that its parent blocks.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "pthread_sigmask"
    ):
        yield
        return
    heard: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, usual)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _require_sendable(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    for argument in (work, *arguments):
        try:
            pickle.dumps(argument)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{argument!r} cannot be sent to another process ({error}). With several workers "
                f"a build function must be one of a module (no lambda, none within a function); "
                f"or leave --workers at 1."
            ) from error


def _give(pipe: Connection, waiting: list[Any], running: dict[Connection, Any]) -> None:
    """Send the next piece, or say that there is none."""
    process, _ = running[pipe]
    piece = waiting.pop(0) if waiting else None
    running[pipe] = process, piece
    # A process that is gone is heard of when its pipe is read.
    try:
        pipe.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        if piece is not None:
            waiting.insert(0, piece)


def _end(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Relay:
    """Sends every call of a method through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self._pipe.send((name, arguments))


def _serve(pipe: Connection, threads: int | None) -> None:
    """Take pieces from a pipe until there are no more."""
    # Ctrl-C reaches every process of a terminal; the parent decides what comes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if threads:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    work, arguments = pipe.recv()
    while (piece := pipe.recv()) is not None:
        try:
            work(*arguments, piece, _Relay(pipe))
        except Exception as error:
            pipe.send(("failed", _portable(error)))
            return
        pipe.send(("done", None))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    # Nothing is finished from here on: who goes on with the run may already be at it.
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent, with the same words."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
