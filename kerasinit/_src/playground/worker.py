"""The process of one session at a time: a line of JSON for each command and each message.

The server starts it as ``python -m kerasinit._src.playground.worker``. It ends when its standard
input does, so that a server that is killed leaves no process behind.
"""

import json
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, TextIO

_MAX_LINE = 8 << 20  # characters: a table of 5,000 rows and 64 columns


def serve(commands: "queue.Queue[dict[str, Any]]", lines: TextIO, lessons: list[Path]) -> None:
    """Answer the commands of one session after another."""

    def send(message: dict[str, Any]) -> None:
        lines.write(json.dumps(message, allow_nan=False, separators=(",", ":")) + "\n")
        lines.flush()

    import tensorflow as tf

    # Small networks gain nothing from more threads, and the other core is the browser's.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from kerasinit._src.playground.options import options
    from kerasinit._src.playground.session import Session

    try:
        send({"is": "ready", "options": options(lessons)})
    except (OSError, ValueError) as error:
        # A lesson of a teacher's that is wrong: the page says which.
        send({"is": "ended", "text": str(error)})
        return
    session = Session(send)
    while True:
        try:
            command = commands.get(timeout=session.wait)
        except queue.Empty:
            command = None
        try:
            if command is None:
                session.work()
            elif command.get("do") == "close":
                session = Session(send)
                tf.keras.backend.clear_session()
                send({"is": "closed"})
            else:
                session.handle(command)
        except Exception:
            # A fault of ours: its place in the log, and a page that says so.
            traceback.print_exc()
            session = Session(send)
            send({"is": "ended", "text": "The playground failed; its terminal says why."})


def _read(commands: "queue.Queue[dict[str, Any]]") -> None:
    """Put the lines of the standard input into a queue; end the process with the input."""
    while line := sys.stdin.readline(_MAX_LINE):
        commands.put(json.loads(line))
    # Not sys.exit, which would wait for a step, or for ever.
    os._exit(0)


def main() -> None:
    """Run the process."""
    # What libraries print must not come between the messages.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    commands: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    serve(commands, lines, [Path(word) for word in sys.argv[1:]])


if __name__ == "__main__":
    main()
