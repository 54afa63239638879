"""Trials in several processes: the same bits, and an end that is said, however it comes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import tensorflow as tf

from kerasinit import lottery
from kerasinit._src.lottery import workers
from kerasinit._src.lottery.workers import WorkerDiedError, map_in_processes
from tests.lottery.blobs import blobs, builder
from tests.lottery.test_unkillable import SMALL, _content, _left
from tests.products import nightly

TWO = replace(SMALL, trials=2, levels=1, controls=())


def build():
    """A build function that another process can import."""
    return builder()()


@pytest.fixture
def quick(monkeypatch):
    """Let processes begin as copies of one that has imported what they need, and done no more.

    All else is as it is when they are spawned, where each of them takes seconds to import it.
    """
    copying = multiprocessing.get_context("forkserver")
    copying.set_forkserver_preload([__name__])
    monkeypatch.setattr(multiprocessing, "get_context", {"spawn": copying}.__getitem__)


class Heard:
    """Remembers what pieces of work said."""

    def __init__(self):
        self.said = []

    def say(self, *words):
        self.said.append(words)


def _work(mood, piece, watch):
    watch.say(piece, os.getpid(), tf.config.threading.get_intra_op_parallelism_threads())
    if mood == "fail" and piece == 1:
        raise ValueError("one is bad")
    if mood == "die" and piece == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    watch.say(piece, "end")


def test_two_processes_find_what_one_finds(tmp_path, quick):
    _two_processes_find_what_one_finds(tmp_path)


@nightly
def test_two_spawned_processes_find_what_one_finds(tmp_path):
    _two_processes_find_what_one_finds(tmp_path)


def _two_processes_find_what_one_finds(tmp_path):
    runs = []
    for number in (1, 2):
        out = tmp_path / str(number)
        runs.append(lottery.run(TWO, out=out, build=build, data=blobs(), workers=number))

    assert len(runs[1].rows()) == 4
    assert _content(runs[0]) == _content(runs[1])
    assert not _left(runs[1].folder)


def test_an_error_of_a_piece_is_raised_here(quick):
    heard = Heard()
    with pytest.raises(ValueError, match="one is bad"):
        map_in_processes(_work, ("fail",), [0, 1, 2], 1, heard, limited=False)

    assert [words[0] for words in heard.said] == [0, 0, 1]
    assert os.getpid() not in [words[1] for words in heard.said]
    # 0 is TensorFlow's own choice, which is that of a process that works alone.
    assert heard.said[0][2] == 0


def test_a_process_that_is_killed_is_said_and_the_others_finish(quick):
    heard = Heard()
    with pytest.raises(WorkerDiedError, match="for trial 1 was killed by SIGKILL"):
        map_in_processes(_work, ("die",), [0, 1, 2], 2, heard)

    assert {words[0] for words in heard.said if words[1] == "end"} == {0, 2}
    pids = {words[0]: words[1] for words in heard.said if words[1] != "end"}
    assert len(set(pids.values())) == 2
    share_of_two = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {words[2] for words in heard.said if words[1] != "end"} == {share_of_two}


class Stopping(Heard):
    """Presses Ctrl-C when a piece begins."""

    def say(self, *words):
        super().say(*words)
        raise KeyboardInterrupt


def test_ctrl_c_stops_every_process(quick):
    watch = Stopping()
    with pytest.raises(KeyboardInterrupt):
        map_in_processes(_work, ("well",), [0, 1], 1, watch)
    pid = watch.said[0][1]
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process is still there")


def test_a_build_function_that_cannot_travel_is_refused_before_training(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be sent to another process .* --workers at 1"):
        lottery.run(TWO, out=tmp_path / "run", build=builder(), data=blobs(), workers=2)


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_a_number_of_workers_that_is_none_is_refused(tmp_path, number):
    with pytest.raises(ValueError, match="--workers must be a whole number of at least 1"):
        lottery.run(TWO, out=tmp_path / "run", build=build, data=blobs(), workers=number)


# What runs in the background of a shell is born deaf to Ctrl-C, and so is what it starts.
_SCRIPT = """
import signal
import sys

from kerasinit._src import cli

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main(sys.argv[1:])
"""


@nightly
def test_ctrl_c_while_processes_start_is_quiet(tmp_path):
    (tmp_path / "script.py").write_text(_SCRIPT)
    words = "lottery run --dataset digits --iterations 20 --levels 0 --trials 2 --controls none"
    command = [sys.executable, "script.py", *words.split(), "--workers", "2", "--out", "run"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    for line in process.stdout:
        if "trainings of" in line:
            break
    # Its processes are starting now: they import TensorFlow, for seconds.
    time.sleep(0.5)
    # As a terminal does: every process of the group hears it.
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()

    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("Stopped. What was finished is kept")


def test_what_comes_while_a_process_starts_is_heard_afterwards():
    heard = []
    usual = signal.signal(signal.SIGINT, lambda *_: heard.append("now"))
    try:
        with workers._interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            assert heard == []
        assert heard == ["now"]
    finally:
        signal.signal(signal.SIGINT, usual)
