"""Independent items of work in worker processes, watched from the parent.

Each process is spawned, not forked (TensorFlow's threads do not survive a fork), takes one item
after another, and may be limited to its part of the processors. Items report through the pipe
of their process, so that a killed process leaves no lock behind. A process whose parent is gone
exits at once.

`concurrent.futures.ProcessPoolExecutor` does not fit: when one of its processes is killed, it
ends all others mid-work without reporting which item failed how, and before Python 3.14 it
cannot stop running items.
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
    """A process ended without reporting a result, as a killed one does.

    `kerasinit.lottery.run` raises it with more than one worker. Repeat the call, which resumes the
    run; if memory was the reason, with fewer workers.
    """


def map_in_processes(
    work: Callable[..., None],
    arguments: tuple[Any, ...],
    items: Iterable[Any],
    workers: int,
    watch: Any,
    *,
    limited: bool = True,
) -> None:
    """Call ``work(*arguments, item, watch)`` for each item, in several processes.

    ``work`` is a module-level function and receives a stand-in for ``watch``, whose calls are
    relayed to ``watch`` in this process. Results must not depend on which process takes an item.
    ``limited`` gives each process only its part of the processors; it must be False where
    rounding depends on the number of TensorFlow's threads.

    If a process dies, the others finish their items before a WorkerDiedError is raised. If ``work``
    raises, the others are stopped.
    """
    _require_sendable(work, arguments)
    waiting = list(items)
    context = multiprocessing.get_context("spawn")
    running: dict[Connection, tuple[Any, Any]] = {}
    died: list[str] = []
    count = min(workers, len(waiting))
    threads = max(1, _processors() // count) if limited else None
    # Starting it unblocks signals, which would otherwise happen during the first process' start.
    resource_tracker.ensure_running()
    try:
        for _ in range(count):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, threads), daemon=True)
            with _interrupts_deferred():
                process.start()
                there.close()
                running[here] = process, None
        for pipe in list(running):
            # Not as process arguments: writing those blocks forever if the process dies.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                pipe.send((work, arguments))
            _give(pipe, waiting, running)
        while running:
            ready = wait(list(running))
            for pipe in [pipe for pipe in running if pipe in ready]:
                try:
                    event, content = pipe.recv()
                except (EOFError, ConnectionResetError):
                    process, item = running.pop(pipe)
                    process.join()
                    if item is not None:
                        died.append(f"for trial {item} {_end(process.exitcode)}")
                    continue
                if event == "done":
                    _give(pipe, waiting, running)
                elif event == "failed":
                    raise content
                else:
                    getattr(watch, event)(*content)
    finally:
        for process, _ in running.values():
            process.terminate()
        for pipe, (process, _) in running.items():
            process.join()
            pipe.close()
    if died:
        raise WorkerDiedError(
            f"A process {'; another '.join(died)}. Finished trainings are kept: repeat the command "
            f"to resume, with fewer --workers if memory was short."
        )


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach; one that arrives meanwhile is raised at the end.

    Ctrl-C goes to every process of a terminal. One that is still importing TensorFlow would die
    with a traceback before it could ignore the signal. A process inherits the blocked signals of
    its parent.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "pthread_sigmask"
    ):
        yield
        return
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)


def _require_sendable(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    for argument in (work, *arguments):
        try:
            pickle.dumps(argument)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{argument!r} cannot be sent to another process ({error}). With several workers "
                f"a build function must be defined at the top level of a module (no lambda, no "
                f"nested function); or leave --workers at 1."
            ) from error


def _give(pipe: Connection, waiting: list[Any], running: dict[Connection, Any]) -> None:
    """Send the next item, or None at the end."""
    process, _ = running[pipe]
    item = waiting.pop(0) if waiting else None
    running[pipe] = process, item
    # A dead process is noticed when its pipe is read.
    try:
        pipe.send(item)
    except (BrokenPipeError, ConnectionResetError):
        if item is not None:
            waiting.insert(0, item)


def _end(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Relay:
    """Relays every method call through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self._pipe.send((name, arguments))


def _serve(pipe: Connection, threads: int | None) -> None:
    """Process items from a pipe until there are no more."""
    # Ctrl-C reaches every process of a terminal; the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if threads:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    work, arguments = pipe.recv()
    while (item := pipe.recv()) is not None:
        try:
            work(*arguments, item, _Relay(pipe))
        except Exception as error:
            pipe.send(("failed", _portable(error)))
            return
        pipe.send(("done", None))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    # Write nothing from here on: another process may already have resumed the run.
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """Return a picklable error with the same message."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
