"""Each session has a worker process of its own, which it leaves free, or which is ended."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from kerasinit._src.playground import relay
from tests.playground.conftest import TOKEN, eventually, hear, running, running_in, started_in, tell


def worker_of(page):
    """Return the process of a session."""
    tell(page, do="pause")
    return hear(page)["process"]


def ending(page):
    """Return what the last message of a session says, and the code of its close."""
    message = hear(page)
    assert message["is"] == "ended"
    with pytest.raises(ConnectionClosed) as closed:
        page.recv(10)
    return message["text"], closed.value.rcvd.code


def test_commands_and_messages_are_passed_on(serving):
    with serving().connect() as page:
        for command in (
            {"do": "start", "settings": {"left": {"initializer": "Zeros"}}, "step": 3, "csv": None},
            {"do": "play", "steps": 10},
            {"do": "seen", "frame": 1},
            {"do": "export", "kind": "svg", "text": "a\nline\u2028 of ü"},
        ):
            tell(page, **command)
            assert hear(page)["command"] == command
        # A message in more than one line is still one.
        page.send('{"do":\n"pause"}')
        assert hear(page)["command"] == {"do": "pause"}


def test_commands_before_the_worker_is_ready_wait(serving):
    with serving().connect() as page:
        tell(page, do="start", run=1)
        for frame in range(5):
            tell(page, do="seen", frame=frame)

        assert [hear(page)["command"].get("frame") for _ in range(6)] == [None, *range(5)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a JSON object"),
        ("{", "a JSON object"),
        ("[1]", "a JSON object"),
        ("[" * 60_000, "a JSON object"),
        ('{"do": 1}', "a JSON object"),
        ('{"do": "play", "steps": NaN}', "a JSON object"),
        ('{"do": "ply"}', "Unknown command 'ply'. Did you mean 'play'? Choices: "),
        ('{"do": "close"}', "Unknown command 'close'"),
        ('{"do": "start", "csv": "my.csv"}', "name and digest"),
        ('{"do": "start", "csv": {"name": "my.csv", "digest": "0"}}', "upload it again"),
        ('{"do": "start", "csv": {"name": "my.csv", "digest": ["0"]}}', "'my.csv' is not here"),
        (b'{"do": "play"}', "a JSON object"),
    ],
)
def test_what_is_no_command_is_refused_and_the_session_goes_on(serving, text, words):
    with serving().connect() as page:
        page.send(text)
        refused = hear(page)
        assert refused["is"] == "refused"
        assert words in refused["text"]
        assert len(refused["text"]) < 400
        assert worker_of(page)


def test_a_command_beyond_the_limit_closes_the_socket(serving):
    served = serving()
    with served.connect() as page:
        page.send(f'{{"do": "pause", "x": "{"x" * (relay.MAX_COMMAND - 100)}"}}')
        assert hear(page)["is"] == "echo"
        page.send("x" * (relay.MAX_COMMAND + 1))
        with pytest.raises(ConnectionClosed) as closed:
            page.recv(10)
    assert closed.value.rcvd.code == 1009
    assert eventually(lambda: served.pool.processes)


def test_too_many_commands_are_slowed_down(serving, monkeypatch):
    monkeypatch.setattr(relay, "_BURST", 5)
    with serving().connect() as page:
        worker_of(page)
        began = time.monotonic()
        for _ in range(15):
            tell(page, do="pause")
        for _ in range(15):
            assert hear(page)["is"] == "echo"
    # 11 above the burst, 50 in a second.
    assert 0.15 < time.monotonic() - began < 6


def test_a_large_message_arrives(serving):
    with serving().connect() as page:
        tell(page, do="explain", side="large")
        assert len(hear(page)["text"]) == 5_000_000


def test_a_worker_that_sends_too_much_is_replaced(serving):
    served = serving()
    with served.connect() as page:
        process = worker_of(page)
        tell(page, do="explain", side="too large")
        text, code = ending(page)
    assert "16777216 bytes" in text
    assert code == 1011
    with served.connect() as page:
        assert worker_of(page) != process


def test_twenty_sessions_one_after_the_other_use_one_worker(serving):
    served = serving(sessions=1)
    processes = set()
    for _ in range(20):
        with served.connect() as page:
            processes.add(worker_of(page))
    assert len(processes) == 1
    assert started_in(served.folder) == processes


def test_twenty_sessions_at_once_leave_one_spare_worker_and_that_for_a_while(serving):
    served = serving(sessions=20, spare_seconds=0.3)
    with contextlib.ExitStack() as opened:
        pages = [opened.enter_context(served.connect()) for _ in range(20)]
        processes = {worker_of(page) for page in pages}
        assert len(processes) == 20
        assert running_in(served.folder) == processes

    assert eventually(lambda: len(running_in(served.folder)) == 1)
    assert eventually(lambda: not running_in(served.folder))
    # The next one gets a new worker.
    with served.connect() as page:
        assert worker_of(page) not in processes


def test_the_first_worker_starts_with_the_server_and_stays_until_it_is_used(serving):
    served = serving(spare_seconds=0.1)
    assert eventually(lambda: len(running_in(served.folder)) == 1)
    first = running_in(served.folder)
    time.sleep(0.4)
    with served.connect() as page:
        assert {worker_of(page)} == first


def test_a_page_that_closes_before_its_worker_is_ready_leaves_it_to_the_next(serving):
    served = serving()
    for _ in range(5):
        with served.connect():
            pass
    with served.connect() as page:
        worker_of(page)
    assert len(started_in(served.folder)) == 1


@pytest.mark.parametrize("how", ["stuck", "deaf"])
def test_a_worker_in_the_middle_of_a_step_is_killed_when_its_page_closes(serving, how):
    served = serving(closing_seconds=0.2, ending_seconds=0.2)
    with served.connect() as page:
        process = worker_of(page)
        tell(page, do="explain", side=how)
        assert hear(page)["is"] == "stuck"
    closed = time.monotonic()
    assert eventually(lambda: not running_in(served.folder))
    assert 0.15 < time.monotonic() - closed < 6
    with served.connect() as page:
        assert worker_of(page) != process


def test_one_session_too_many_is_refused_politely(serving):
    served = serving(sessions=2)
    with served.connect() as first, served.connect() as second:
        assert worker_of(first) != worker_of(second)
        with served.connect() as third:
            text, code = ending(third)
        assert text.startswith("All 2 sessions of this playground are in use. Close another")
        assert "--sessions" in text
        assert code == 1013
        assert worker_of(first)
    with served.connect() as again:
        assert worker_of(again)
    assert len(started_in(served.folder)) == 2


def test_a_worker_that_ends_ends_its_session_only(serving, capfd):
    served = serving()
    with served.connect() as page, served.connect() as other:
        process = worker_of(page)
        tell(page, do="explain", side="ends")
        text, code = ending(page)
        assert "ended unexpectedly" in text
        assert "Reload the page" in text
        assert code == 1011
        assert worker_of(other) != process
    error = capfd.readouterr().err
    assert "A worker process ended (exit code 3).\nthe last words of a worker\n" in error


def test_a_killed_worker_is_noticed(serving, capfd):
    served = serving()
    with served.connect() as page:
        os.kill(worker_of(page), signal.SIGKILL)
        assert ending(page)[1] == 1011
    # A spare one, too.
    with served.connect() as page:
        process = worker_of(page)
    assert eventually(lambda: served.pool._has_spare())
    os.kill(process, signal.SIGKILL)
    assert eventually(lambda: not served.pool.processes)
    with served.connect() as page:
        assert worker_of(page) != process
    assert "(exit code -9)" in capfd.readouterr().err


def test_a_session_that_its_worker_ends_is_closed(serving, capfd):
    with serving().connect() as page:
        tell(page, do="explain", side="gives up")
        assert ending(page) == ("failed", 1000)
    assert "A session failed.\nthe traceback of a session\n" in capfd.readouterr().err


def test_a_session_ends_after_its_time(serving):
    served = serving(minutes=1 / 60)
    with served.connect() as page:
        began = time.monotonic()
        text, code = ending(page)
    assert 0.9 < time.monotonic() - began < 6
    assert "limit (--minutes)" in text
    assert code == 1000
    with served.connect() as page:
        assert worker_of(page)


def test_a_session_without_commands_ends(serving):
    with serving(idle_minutes=0.8 / 60).connect() as page:
        began = time.monotonic()
        for _ in range(3):
            time.sleep(0.3)
            worker_of(page)
        text, code = ending(page)
    assert 1.6 < time.monotonic() - began < 6
    assert text.startswith("Nothing was done in this session for 0.0133333 minutes")
    assert code == 1000


def test_a_worker_is_replaced_after_a_number_of_sessions(serving):
    served = serving(sessions_per_worker=3)
    processes = []
    for _ in range(7):
        with served.connect() as page:
            processes.append(worker_of(page))
        assert eventually(lambda: not served.pool._leaving)
    assert [processes.count(one) for one in dict.fromkeys(processes)] == [3, 3, 1]
    assert len(running_in(served.folder)) == 1


def test_a_page_that_reads_slowly_slows_its_worker_down(serving):
    served = serving(minutes=1.5 / 60, closing_seconds=0.2)
    with served.connect(max_queue=1, close_timeout=0.1) as page:
        process = worker_of(page)
        tell(page, do="explain", side="chatty")
        said = Path(served.folder, "said")

        # 100 kB each: what waits is in the pipe and the sockets, and up to twice a line's limit.
        assert eventually(said.exists)
        before = -1
        while before != (before := int(said.read_text() or 0)):
            time.sleep(0.3)
        assert before < 600
        # Its time ends it all the same.
        assert eventually(lambda: process not in running_in(served.folder))


def test_the_options_come_from_the_first_worker(serving):
    served = serving()
    status, headers, body = served.ask(f"/options?token={TOKEN}")

    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert b'"form":{}' in body
    assert served.ask(f"/options?token={TOKEN}")[2] == body
    assert len(started_in(served.folder)) == 1


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("broken", "ended unexpectedly"),
        ("sorry", "The lesson zeros.toml has no question."),
        ("odd", "A worker process wrote what is no message: Hello."),
    ],
)
def test_a_worker_that_does_not_start_is_reported(serving, capfd, how, words):
    served = serving(how)

    status, _, body = served.ask(f"/options?token={TOKEN}")
    assert status == 503
    assert words in body.decode()
    with served.connect() as page:
        assert words in ending(page)[0]
    if how != "odd":
        expected = {"broken": "the worker cannot start"}.get(how, words)
        assert expected in capfd.readouterr().err


def test_a_worker_that_does_not_get_ready_is_given_up(serving):
    served = serving("mute", starting_seconds=0.5)
    with served.connect():
        pass
    with served.connect() as page:
        text, code = ending(page)
    assert text.startswith("A worker process was not ready after 0.5 seconds. Reload the page")
    assert code == 1011
    assert eventually(lambda: not running_in(served.folder))
    assert served.ask(f"/options?token={TOKEN}")[0] == 503


def test_sessions_are_told_that_the_server_stops(tmp_path, capfd):
    with contextlib.ExitStack() as stack:
        with running(tmp_path) as served:
            pages = [stack.enter_context(served.connect()) for _ in range(2)]
            assert worker_of(pages[0]) != worker_of(pages[1])
            tell(pages[1], do="explain", side="stuck")
        for page in pages:
            while (message := hear(page))["is"] == "stuck":
                pass
            assert message["is"] == "ended"
            assert message["text"].startswith("The playground was stopped.")
    assert capfd.readouterr().err == ""
