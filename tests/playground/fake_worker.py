"""A worker process that trains nothing, but fails in each way that one can, when told to.

Its first argument is a folder that it puts a file with its process id in; its second, if any, is
how it starts: "mute" never gets ready, "broken" ends, "sorry" says why and ends, "odd" prints.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def say(**message):
    print(json.dumps(message), flush=True)


def fail(how):
    if how == "ends":
        print("the last words of a worker", file=sys.stderr)
        sys.exit(3)
    if how in ("stuck", "deaf"):
        if how == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(**{"is": "stuck"})
        time.sleep(600)
    if how == "large":
        say(**{"is": "file", "text": "x" * 5_000_000})
    if how == "too large":
        say(**{"is": "file", "text": "x" * 20_000_000})
    if how == "chatty":
        for number in range(10**6):
            say(**{"is": "frame", "frame": number, "text": "x" * 100_000})
            Path(sys.argv[1], "said").write_text(str(number))
    if how == "gives up":
        print("the traceback of a session", file=sys.stderr, flush=True)
        say(**{"is": "ended", "text": "failed"})


def read(commands):
    for line in sys.stdin:
        commands.append(json.loads(line))
    os._exit(0)


def main():
    Path(sys.argv[1], str(os.getpid())).touch()
    start = sys.argv[2] if len(sys.argv) > 2 else ""
    if start == "broken":
        sys.exit("the worker cannot start")
    if start == "sorry":
        say(**{"is": "ended", "text": "The lesson zeros.toml has no question."})
        sys.exit(1)
    if start == "odd":
        print("Hello", flush=True)
    commands = []
    # As in a real worker, a step does not keep it from ending with the server.
    threading.Thread(target=read, args=(commands,), daemon=True).start()
    if start == "mute":
        time.sleep(600)
    say(**{"is": "ready", "options": {"form": {}, "process": os.getpid()}})
    while True:
        while not commands:
            time.sleep(0.002)
        command = commands.pop(0)
        if command["do"] == "close":
            say(**{"is": "closed"})
        elif command["do"] == "explain":
            fail(command["side"])
        else:
            say(**{"is": "echo", "command": command, "process": os.getpid()})


if __name__ == "__main__":
    main()
