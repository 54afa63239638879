"""A real server on a free port, in a thread, with workers that train nothing."""

import contextlib
import http.client
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

from kerasinit._src.playground import server, worker_pool
from kerasinit._src.playground.security import ServedAddress

FAKE = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]
TOKEN = "a-token"


def eventually(condition, seconds=8.0):
    """Return whether a condition comes true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def is_running(process):
    """Return whether a process runs; one that ended may still wait for its parent."""
    status = Path(f"/proc/{process}/stat")
    if Path("/proc/self/stat").exists():
        try:
            return status.read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def started_in(folder):
    """Return the ids of the workers that wrote theirs into a folder."""
    return {int(path.name) for path in folder.iterdir() if path.name.isdecimal()}


def running_in(folder):
    """Return those of them that run."""
    return {process for process in started_in(folder) if is_running(process)}


class Served:
    """A running server, and what a page or a stranger asks of it."""

    def __init__(self, address, pool, folder):
        self.address, self.pool, self.folder = address, pool, folder
        self.host = f"127.0.0.1:{address.port}"
        self.origin = f"http://{self.host}"

    def ask(self, path, method="GET", body=None, **headers):
        """Return the status, the headers and the body of a response; None leaves a header out."""
        given = {"Host": self.host, "Origin": self.origin} | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True)
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name.replace("_", "-"), value)
            if isinstance(body, bytes) and "Content_Length" not in headers:
                connection.putheader("Content-Length", str(len(body)))
            # The server may answer, and close, before it has read everything.
            with contextlib.suppress(ConnectionError):
                connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def connect(self, token=TOKEN, host=None, **options):
        """Return a socket of a session; it is opened as by the page."""
        options = {"origin": self.origin} | options
        return connect(
            f"ws://{host or self.host}/session?token={token}",
            sock=socket.create_connection(("127.0.0.1", self.address.port)),
            max_size=2**25,
            compression=None,
            **options,
        )


def tell(page, **command):
    """Send a command."""
    page.send(json.dumps(command))


def hear(page):
    """Return the next message."""
    return json.loads(page.recv(10))


@contextlib.contextmanager
def running(folder, how=None, **limits):
    """Run a server, given how its workers start, and limits."""
    with server.listening_socket("127.0.0.1", 0) as listener:
        address = ServedAddress("127.0.0.1", listener.getsockname()[1], TOKEN)
        command = [*FAKE, str(folder), *([how] if how else [])]
        pool = worker_pool.Pool(command, worker_pool.Limits(**limits))
        made = server.configured(server.Playground(pool, address))
        thread = threading.Thread(target=made.run, args=([listener],))
        thread.start()
        try:
            assert eventually(lambda: made.started)
            yield Served(address, pool, folder)
        finally:
            made.should_exit = True
            thread.join(10)
        assert not thread.is_alive()
    assert eventually(lambda: not running_in(folder))


@pytest.fixture
def serving(tmp_path):
    """Return a function that starts a server, given how its workers start, and limits."""
    with contextlib.ExitStack() as stack:
        yield lambda how=None, **limits: stack.enter_context(running(tmp_path, how, **limits))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return a server for all tests of a file."""
    with running(tmp_path_factory.mktemp("served")) as served:
        yield served
