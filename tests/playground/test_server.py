"""The server as its user starts and ends it, and what a page uploads to it."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from kerasinit._src import cli
from kerasinit._src.playground import lesson_files, lesson_replays, server, uploads
from kerasinit._src.playground.worker_pool import Limits
from kerasinit._src.troubleshooting import see
from tests.playground.conftest import FAKE, TOKEN, eventually, hear, is_running, running_in, tell
from tests.playground.test_uploads import GOOD

# A shell starts what runs in the background with interrupts ignored, and its children inherit that.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from kerasinit._src import cli
from kerasinit._src.playground import server
server._worker_command = lambda lessons: sys.argv[1].split("|")
try:
    cli.main(sys.argv[2:])
finally:
    loaded = {"keras", "tensorflow", "numpy"} & {*sys.modules}
    print("loaded", *sorted(loaded - {"numpy"}), flush=True)
"""


@pytest.fixture
def typed(tmp_path):
    """Return a function that runs the command in a process, with workers that train nothing."""
    started = []

    def run(*words, how=""):
        command = "|".join([*FAKE, str(tmp_path), how])
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, command, "playground", "--no-browser", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    assert eventually(lambda: not running_in(tmp_path))


def address_of(process):
    """Return the address that a server printed."""
    line = process.stdout.readline()
    assert line.startswith("The playground is at http://127.0.0.1:")
    assert line.endswith(" (Ctrl-C ends it).\n")
    return line.split()[4]


def test_the_page_is_there_when_its_address_is_printed(typed):
    address = address_of(typed("--port", "0"))

    asked = time.monotonic()
    with urllib.request.urlopen(address) as response:
        assert response.status == 200
    assert time.monotonic() - asked < 1
    assert len(address.partition("?token=")[2]) > 30


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_interrupted_ends_its_workers(typed, tmp_path, how):
    process = typed("--port", "0")
    urllib.request.urlopen(address_of(process).replace("/?", "/options?")).close()
    assert running_in(tmp_path)

    process.send_signal(how)

    out, error = process.communicate(timeout=5)
    if how == signal.SIGINT:
        assert (process.returncode, error) == (130, "Stopped.\n")
        assert out == "loaded\n"
    else:
        assert (process.returncode, error) == (-signal.SIGTERM, "")
    assert not running_in(tmp_path)


def test_a_server_stops_at_once_while_its_first_worker_is_not_ready(typed, tmp_path):
    process = typed("--port", "0", how="mute")
    address = address_of(process)
    answers = []

    def ask():
        try:
            urllib.request.urlopen(address.replace("/?", "/options?"))
        except urllib.error.HTTPError as error:
            answers.append((error.code, error.read()))

    asking = threading.Thread(target=ask)
    asking.start()
    assert eventually(lambda: running_in(tmp_path))
    time.sleep(0.2)

    process.send_signal(signal.SIGINT)

    _, error = process.communicate(timeout=5)
    asking.join()
    assert (process.returncode, error) == (130, "Stopped.\n")
    assert answers[0][0] == 503
    assert b"The playground was stopped." in answers[0][1]


def test_a_server_that_is_killed_leaves_no_process(typed, tmp_path):
    process = typed("--port", "0")
    urllib.request.urlopen(address_of(process).replace("/?", "/options?")).close()
    (worker,) = running_in(tmp_path)

    process.kill()

    assert eventually(lambda: not is_running(worker), 2)


def test_a_second_server_on_a_port_is_refused(typed):
    first = typed("--port", "0")
    port = address_of(first).split(":")[2].split("/")[0]

    second = typed("--port", port)

    out, error = second.communicate(timeout=20)
    assert second.returncode == 2
    assert error == (
        f"kerasinit: Port {port} of 127.0.0.1 is in use, maybe by another playground. Pass "
        f"another --port, or --port 0 for any that is free.\n"
    )
    assert out == "loaded\n"
    assert first.poll() is None


@pytest.fixture
def refused(capsys):
    """Return a function that runs the command and returns its error."""

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main(["playground", "--no-browser", *words])
        assert ended.value.code == 2
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--port 65536", "--port must be a whole number from 0 to 65535; got 65536."),
        ("--port -1", "got -1"),
        ("--sessions 0", "--sessions to be an integer of at least 1; got 0."),
        ("--minutes 0", "--minutes to be a positive number; got 0.0."),
        ("--minutes nan", "--minutes to be a positive number; got nan."),
        ("--host 192.0.2.1", "Cannot listen on --host 192.0.2.1, --port 8765"),
        ("--host no.such.host.invalid", "--host no.such.host.invalid is no address of this"),
        ("--lessons nowhere", "--lessons nowhere is not a folder"),
    ],
)
def test_wrong_options_are_refused(refused, words, error):
    assert error in refused(*words.split())


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets"])
def test_the_extra_is_named_if_it_is_not_installed(refused, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)

    assert "pip install 'kerasinit[playground]'" in refused()


def test_options_reach_the_server(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(server, "serve", lambda *args, **named: given.append((args, named)))

    options = f"--port 0 --host ::1 --sessions 2 --minutes 5 --no-browser --lessons {tmp_path}"
    for words in ([], options.split()):
        with pytest.raises(SystemExit) as ended:
            cli.main(["playground", *words])
        assert not ended.value.code

    usual, chosen = given
    assert usual == (("127.0.0.1", 8765, Limits()), {"lessons": None, "browser": True})
    assert chosen == (
        ("::1", 0, Limits(sessions=2, minutes=5.0)),
        {"lessons": tmp_path, "browser": False},
    )
    assert server._worker_command(None)[1:] == ["-m", "kerasinit._src.playground.worker"]
    assert server._worker_command(tmp_path)[3:] == [str(tmp_path)]


def test_replays_are_written_in_the_place_of_serving(monkeypatch, tmp_path, capsys):
    given = []

    def write_replays(folder, lessons):
        given.append((folder, lessons))
        return [folder / "01-zeros.html"]

    monkeypatch.setattr(lesson_replays, "write_replays", write_replays)
    monkeypatch.setattr(server, "serve", None)
    own = tmp_path / "lessons"
    own.mkdir()
    example = next(one for one in lesson_files._LESSONS.iterdir() if one.suffix == ".toml")
    (own / "my-own.toml").write_bytes(example.read_bytes())

    for words in ([], ["--lessons", str(own)]):
        with pytest.raises(SystemExit) as ended:
            cli.main(["playground", "--replays", str(tmp_path / "pages"), *words])
        assert not ended.value.code

    built_in = lesson_files.built_in()
    assert [folder for folder, _ in given] == [tmp_path / "pages"] * 2
    assert given[0][1] == [*built_in]
    assert [lesson.id for lesson in given[1][1]] == [*(one.id for one in built_in), "my-own"]
    assert capsys.readouterr().out == f"Wrote {tmp_path / 'pages' / '01-zeros.html'}\n" * 2


class _NoServer:
    def run(self, sockets):
        raise KeyboardInterrupt


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_browser_is_opened_and_other_machines_are_warned_of(monkeypatch, capsys, host):
    opened = []
    monkeypatch.setattr(server.webbrowser, "open", opened.append)
    monkeypatch.setattr(server, "configured", lambda app: _NoServer())

    for browser in (True, False):
        with pytest.raises(KeyboardInterrupt):
            server.serve(host, 0, Limits(), browser=browser)

    out, error = capsys.readouterr()
    assert eventually(lambda: opened)
    assert opened == [out.split()[4]]
    assert error.count(
        "Warning: --host 0.0.0.0 makes the playground reachable from other machines"
    ) == (2 if host == "0.0.0.0" else 0)
    assert [TOKEN in line for line in out.splitlines()] == [False, False]


def test_an_upload_is_kept_for_the_sessions(served):
    status, headers, body = served.ask(f"/upload?token={TOKEN}&name=my.csv", "POST", GOOD)

    assert status == 200
    assert headers["Content-Type"] == "application/json"
    table = uploads.parse(GOOD, "my.csv")
    assert json.loads(body) == table.summary()
    with served.connect() as page:
        csv = {"name": "my.csv", "digest": table.digest}
        tell(page, do="start", settings={"data": "csv"}, csv=csv)
        assert hear(page)["command"] == {
            "do": "start",
            "settings": {"data": "csv"},
            "csv": table.to_dict(),
        }


def test_an_upload_with_text_is_refused(served):
    content = GOOD + b"1,tall,0\n"
    status, _, body = served.ask(f"/upload?token={TOKEN}&name=my.csv", "POST", content)

    assert status == 422
    assert "Line 21 of my.csv has 'tall' in 'column 2'" in json.loads(body)["text"]


def large(pieces, sent):
    """Yield pieces of a megabyte."""
    for _ in range(pieces):
        sent.append(1)
        yield b"1,2,a\n" * 170_000


def test_an_upload_of_100_mb_is_refused_before_it_has_arrived(served):
    for headers, body in (
        ({"Content_Length": str(102_000_000)}, lambda sent: large(100, sent)),
        # Announced only.
        ({"Content_Length": str(102_000_000)}, lambda sent: None),
        ({"Content_Length": "1e8"}, lambda sent: None),
    ):
        sent = []
        status, found, answer = served.ask(
            f"/upload?token={TOKEN}&name=my.csv", "POST", body(sent), **headers
        )
        assert status in (413, 400)
        if status == 413:
            assert json.loads(answer)["text"] == (
                "my.csv has more than 1,000 kB, the limit of an upload. Keep fewer rows or "
                f"columns. {see('csv-refused')}"
            )
            assert found["Connection"] == "close"
        assert len(sent) < 50
    assert served.ask(f"/upload?token={TOKEN}", "POST", GOOD)[0] == 200


def test_an_upload_of_unknown_length_is_refused_when_it_is_too_long(served):
    with socket.create_connection(("127.0.0.1", served.address.port)) as connection:
        connection.sendall(
            f"POST /upload?token={TOKEN} HTTP/1.1\r\nHost: {served.host}\r\n"
            f"Origin: {served.origin}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        sent, chunk = 0, b"%x\r\n%s\r\n" % (50_000, b"1,2,a\n123\n" * 5000)
        try:
            while sent < 100_000_000:
                connection.sendall(chunk)
                sent += 50_000
        except ConnectionError:
            pass
        assert sent < 30_000_000
        assert connection.recv(10_000).startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_is_given_up_is_forgotten(served, capfd):
    with socket.create_connection(("127.0.0.1", served.address.port)) as connection:
        connection.sendall(
            f"POST /upload?token={TOKEN} HTTP/1.1\r\nHost: {served.host}\r\n"
            f"Origin: {served.origin}\r\nContent-Length: 100\r\n\r\n1,2".encode()
        )
    assert served.ask(f"/upload?token={TOKEN}", "POST", GOOD)[0] == 200
    assert capfd.readouterr().err == ""


def test_an_upload_that_takes_too_long_is_given_up(served, monkeypatch):
    monkeypatch.setattr(server, "_UPLOAD_SECONDS", 0.2)
    headers = {"Content_Length": "100"}

    status, _, body = served.ask(f"/upload?token={TOKEN}", "POST", b"1,2", **headers)

    assert status == 408
    assert "more than 0.2 seconds" in json.loads(body)["text"]
