"""How fast the playground moves, what it keeps, and what it leaves behind.

    python tests/benchmarks/playground.py [--minutes 10] [--sessions 200]

A server runs in a process of its own; this script plays the page: it looks at every frame and
answers it. Prints

- frames a second of two networks of depth 6 and width 16, and of depth 50 and width 64, with one
  optimizer step a frame and with 50; a frame has everything: rows, boundary, layers;
- resident memory of server and worker over some minutes of training;
- processes after so many sessions were opened, trained a little, and closed.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from websockets.sync.client import connect

from kerasinit.playground import Settings

_SECONDS = 10.0
_PAGE = 4096


class Server:
    """A server in a process of its own, and pages that talk to it."""

    def __init__(self):
        words = [sys.executable, "-c", "from kerasinit._src.cli import main; main()", "playground"]
        words += ["--no-browser", "--port", "0", "--minutes", "600"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.address = re.search(r"http://(\S+)/\?token=(\S+)", line).groups()

    @contextlib.contextmanager
    def page(self, settings):
        host, token = self.address
        address = f"ws://{host}/session?token={token}"
        with connect(address, origin=f"http://{host}", max_size=2**24) as socket:
            send(socket, do="start", settings=settings.to_dict())
            until(socket, "verdict")
            yield socket

    def processes(self):
        """Return the ids of the server's process and of those that it started."""
        found, waiting = [], [self.process.pid]
        while waiting:
            found.append(waiting.pop())
            for task in Path(f"/proc/{found[-1]}/task").glob("*"):
                waiting += map(int, (task / "children").read_text().split())
        return found

    def megabytes(self):
        """Return the resident memory of these processes together."""
        pages = [int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in self.processes()]
        return sum(pages) * _PAGE / 2**20

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def send(socket, **command):
    socket.send(json.dumps(command))


def until(socket, kind):
    """Answer frames until a message of a kind comes; return it."""
    while True:
        message = json.loads(socket.recv(timeout=120))
        if message["is"] == "frame":
            send(socket, do="seen", frame=message["frame"])
        if message["is"] in ("refused", "ended"):
            raise RuntimeError(message["text"])
        if message["is"] == kind:
            return message


def frames_a_second(server, settings, steps):
    with server.page(settings) as socket:
        send(socket, do="play", steps=steps)
        for _ in range(5):
            first = until(socket, "frame")
        begin, frames = time.perf_counter(), 0
        while time.perf_counter() - begin < _SECONDS:
            last = until(socket, "frame")
            frames += 1
        seconds = time.perf_counter() - begin
    return frames / seconds, (last["step"] - first["step"]) / seconds


def print_speed(server):
    print("depth x width   steps a frame   frames a second   steps a second of both")
    for depth, width in ((6, 16), (50, 64)):
        for steps in (1, 50):
            settings = Settings(depth=depth, width=width, data="moons")
            frames, taken = frames_a_second(server, settings, steps)
            print(f"{depth:5d} x {width:<5d} {steps:15d} {frames:17.1f} {taken:24.0f}", flush=True)


def print_memory(server, minutes):
    """Train for some minutes, restarting when a run is at its last step, as a page would."""
    print("\nminute   MB of all processes")
    begin, shown = time.perf_counter(), -1
    with server.page(Settings(data="moons")) as socket:
        send(socket, do="play", steps=50)
        while (now := (time.perf_counter() - begin) / 60) <= minutes:
            if not until(socket, "frame")["playing"]:
                send(socket, do="rewind")
                send(socket, do="play", steps=50)
            if int(now) > shown:
                shown = int(now)
                print(f"{shown:6d} {server.megabytes():21.0f}", flush=True)


def print_leftovers(server, sessions):
    begin = time.perf_counter()
    for number in range(sessions):
        with server.page(Settings(depth=1 + number % 6, seed=number)) as socket:
            send(socket, do="play", steps=5)
            until(socket, "frame")
    seconds = time.perf_counter() - begin
    print(f"\n{sessions} sessions, opened and closed while they trained, in {seconds:.0f} s")
    print(f"processes at once: {len(server.processes()) - 1} besides the server", flush=True)
    time.sleep(30)
    print(
        f"after 30 s without a session: {len(server.processes()) - 1}, {server.megabytes():.0f} MB"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--sessions", type=int, default=200)
    options = parser.parse_args()
    server = Server()
    try:
        print_speed(server)
        print_memory(server, options.minutes)
        print_leftovers(server, options.sessions)
        everything = server.processes()
    finally:
        server.stop()
    left = [process for process in everything if Path(f"/proc/{process}").exists()]
    print(f"after the server's end: {len(left)} processes")


if __name__ == "__main__":
    main()
