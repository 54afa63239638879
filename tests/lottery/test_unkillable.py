"""A run may be stopped anywhere, by anything: it goes on and ends in the same bits."""

import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasinit import lottery
from kerasinit._src.files import atomic, lock
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.training import checkpoint
from kerasinit._src.training.outcome import Point, Progress
from tests.lottery.blobs import blobs, builder, misled
from tests.products import nightly

ROOT = Path(__file__).parents[2]
DATA = blobs()
SMALL = lottery.Experiment(
    dataset="blobs",
    iterations=40,
    levels=1,
    trials=1,
    batch_size=20,
    evaluate_every=10,
    rewind="step:12",
    controls=("reinit",),
    xla=False,
)


def _run(out, experiment=SMALL, build=None, **options):
    options = {"checkpoint_every": 0, "data": DATA, **options}
    return lottery.run(experiment, out=out, build=build or builder(), **options)


def _content(store):
    """Return everything that a run came to, but the time that it took."""
    found = {"rows": store.rows()}
    for place in store.places():
        stage = store.stage(place)
        found[place, "ticket"] = checkpoint.digest_of(stage.ticket().weights)
        found[place, "masks"] = checkpoint.digest_of(stage.ticket().masks)
        found[place, "curve"] = (stage.folder / "curve.csv").read_text()
        for name in ("trained", "rewind"):
            if (stage.folder / f"{name}.safetensors").exists():
                found[place, name] = checkpoint.digest_of(stage.state(name))
    return found


def _left(folder):
    """Return what lies in a run's folder that a finished run has no use for."""
    return [path for path in folder.rglob(".*") if path.name != lock.NAME]


class Killer(lottery.Watch):
    """Stops a run at a measurement, and remembers where trainings went on."""

    def __init__(self, place=None, iteration=None):
        self.stop = place, iteration
        self.trained, self.resumes, self.notes = [], [], []

    def training(self, place, density):
        self.trained.append(place)

    def resumed(self, place, iteration):
        self.resumes.append((place, iteration))

    def note(self, place, message):
        self.notes.append((place, message))

    def point(self, place, point):
        if (place, point.iteration) == self.stop:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing stopped."""
    return _run(tmp_path_factory.mktemp("whole") / "run")


STOPS = [
    (Place(0, 0, "ticket"), 10),  # before the iteration that survivors are rewound to
    (Place(0, 0, "ticket"), 30),  # after it
    (Place(0, 1, "ticket"), 20),
    (Place(0, 1, "reinit"), 30),
]


@pytest.mark.parametrize(
    ("kerase", "layers", "stops"),
    [
        ("keras", [("Dropout", 0.3), ("BatchNormalization",)], STOPS[::2]),
        ("tf_keras", [("BatchNormalization",)], STOPS[1:2]),
        pytest.param("keras", [("Dropout", 0.3), ("BatchNormalization",)], STOPS, marks=nightly),
        pytest.param("tf_keras", [("BatchNormalization",)], STOPS, marks=nightly),
    ],
    ids=["keras", "tf_keras", "keras, often", "tf_keras, often"],
)
def test_a_training_goes_on_inside_a_level_and_ends_in_the_same_bits(
    tmp_path, kerase, layers, stops
):
    options = {
        "build": builder(kerase, layers=layers, learning_rate=0.05),
        "data": misled(DATA),
    }
    undisturbed = _run(tmp_path / "undisturbed", **options)
    # So what was best before a stop must be known after it.
    assert undisturbed.rows()[0].best_iteration < 30
    for number, stop in enumerate(stops):
        killer = Killer(*stop)
        with pytest.raises(KeyboardInterrupt):
            _run(tmp_path / "run", watch=killer, **options)
        # Where it went on is where it was stopped the time before.
        assert killer.resumes == stops[number - 1 : number]
    killer = Killer()
    resumed = _run(tmp_path / "run", watch=killer, **options)

    assert killer.resumes == stops[-1:]
    assert _content(resumed) == _content(undisturbed)
    assert not _left(resumed.folder)


def test_a_training_goes_on_between_two_measurements_that_are_far_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("kerasinit._src.training.trainer._STEPS_AT_ONCE", 7)
    experiment = replace(SMALL, iterations=20, evaluate_every=20, levels=0)
    undisturbed = _run(tmp_path / "undisturbed", experiment)
    written = []
    write = checkpoint.Checkpoint.write

    def stopping(self, course):
        write(self, course)
        written.append(course.at)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "write", stopping)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            _run(tmp_path / "run", experiment)
    resumed = _run(tmp_path / "run", experiment)

    assert written == [7, 12, 14]
    assert _content(resumed) == _content(undisturbed)


def test_hidden_random_layers_of_tf_keras_begin_the_level_again(tmp_path):
    build = builder("tf_keras", layers=[("Dropout", 0.3)])
    dense, experiment = Place(0, 0, "ticket"), replace(SMALL, levels=0)
    undisturbed = _run(tmp_path / "undisturbed", experiment, build)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "run", experiment, build, watch=Killer(dense, 20))
    killer = Killer()
    resumed = _run(tmp_path / "run", experiment, build, watch=killer)

    assert _content(resumed) == _content(undisturbed)
    assert killer.trained == [dense]
    assert not killer.resumes


def test_a_checkpoint_is_written_when_its_time_has_come(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "run", checkpoint_every=3600, watch=Killer(Place(0, 0, "ticket"), 30))
    assert not list(tmp_path.rglob("*.checkpoint.*"))
    killer = Killer()
    assert _content(_run(tmp_path / "run", watch=killer)) == _content(whole)
    assert not killer.resumes


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "soon", True])
def test_a_time_between_checkpoints_that_is_none_is_refused_at_once(tmp_path, seconds):
    with pytest.raises(ValueError, match="--checkpoint-every is a number of seconds"):
        _run(tmp_path / "run", checkpoint_every=seconds)
    assert not (tmp_path / "run").exists()


def test_the_checkpoint_of_another_training_is_ignored_with_a_word(tmp_path, whole):
    dense = Place(0, 0, "ticket")
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "other", replace(SMALL, seed=1), watch=Killer(dense, 10))
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "run", watch=Killer(dense, 20))
    store = Store.read(tmp_path / "run")
    foreign = Store.read(tmp_path / "other").checkpoint_path(dense)
    foreign.rename(store.checkpoint_path(dense))
    killer = Killer()

    assert _content(_run(tmp_path / "run", watch=killer)) == _content(whole)
    assert [place for place, said in killer.notes if "is of another training" in said] == [dense]
    assert not killer.resumes


_STATE = {"a/kernel": np.arange(6, dtype="float32").reshape(2, 3), "optimizer/0": np.int64(3)}
_COURSE = Progress(
    at=20,
    state=_STATE,
    curve=(Point(10, 0.1, 1 / 3, 0.5), Point(20, 0.2, 0.7, 0.25)),
    best=0,
    best_state={**_STATE, "optimizer/0": np.int64(2)},
    kept=None,
    total=0.1,
    seconds=3.25,
)


def _same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)
    return one == other


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path):
    kept = checkpoint.Checkpoint(tmp_path / "deep" / "c", {"place": "here"}, 0)
    for course in (_COURSE, replace(_COURSE, at=30, kept=_STATE, best=None, best_state=None)):
        kept.write(course)
        again = kept.read(_STATE)
        assert all(_same(value, vars(again)[name]) for name, value in vars(course).items())
    assert kept.read({**_STATE, "optimizer/1": np.float32(0)}) is None
    assert kept.read({**_STATE, "a/kernel": np.zeros((3, 2), "float32")}) is None
    (tmp_path / "deep" / "c").unlink()
    assert kept.read(_STATE) is None
    assert not list((tmp_path / "deep").iterdir())


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
def test_no_byte_of_a_checkpoint_can_be_changed_unnoticed(tmp_path_factory, where, change, cut):
    folder = tmp_path_factory.mktemp("damaged")
    said = []
    kept = checkpoint.Checkpoint(folder / "c", {"place": "here"}, 0, said.append)
    kept.write(_COURSE)
    content = bytearray((folder / "c").read_bytes())
    position = int(where * len(content))
    if cut:
        content = content[:position]
    else:
        content[position] ^= change
    (folder / "c").write_bytes(content)

    again = kept.read(_STATE)
    if again is None:
        assert len(said) == 1
    else:
        # Spaces that pad the header may become other spaces; nothing that counts changed.
        assert all(_same(value, vars(again)[name]) for name, value in vars(_COURSE).items())


def test_a_second_process_on_a_run_says_so_and_stops(tmp_path):
    class Second(lottery.Watch):
        said = None

        def point(self, place, point):
            if self.said is None:
                with pytest.raises(lottery.BusyError) as error:
                    _run(tmp_path / "run", experiment)
                self.said = str(error.value)
                # Who only reads is not kept out.
                assert lottery.rows(tmp_path / "run") == []

    watch, experiment = Second(), replace(SMALL, levels=0)
    _run(tmp_path / "run", experiment, watch=watch)

    assert f"Another process is working on {tmp_path / 'run'} (process {os.getpid()} on" in (
        watch.said
    )
    assert isinstance(lottery.BusyError(), ValueError)  # so the command line leaves with 2


def test_a_lock_leaves_no_trace_of_a_run_that_never_began(tmp_path):
    with lock.held(tmp_path / "a" / "run"):
        assert (tmp_path / "a" / "run" / lock.NAME).exists()
    assert not (tmp_path / "a" / "run").exists()
    (tmp_path / "mine").mkdir()
    with lock.held(tmp_path / "mine"):
        (tmp_path / "mine" / "work").write_text("")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {lock.NAME, "work"}


def test_a_file_system_without_locks_is_said_and_other_errors_are_raised(tmp_path, monkeypatch):
    def refuse(number):
        def flock(*arguments):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)

    refuse(errno.ENOLCK)
    with pytest.warns(UserWarning, match="does not support locks"), lock.held(tmp_path / "run"):
        assert (tmp_path / "run" / lock.NAME).exists()
    refuse(errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), lock.held(tmp_path / "run"):
        pass


def test_what_a_process_that_was_killed_at_once_left_is_no_hindrance(tmp_path, whole):
    (tmp_path / "run" / "trial-0" / ".level-00.partial").mkdir(parents=True)
    (tmp_path / "run" / "trial-0").rename(tmp_path / "run" / ".x.partial")
    (tmp_path / "run" / ".experiment.json.123.partial").write_text('{"half')
    (tmp_path / "run" / lock.NAME).write_text("process 123 on another")
    store = _run(tmp_path / "run")

    assert _content(store) == _content(whole)
    assert not _left(store.folder)


class _Disk:
    """Refuses to open, make or rename anything in folders called ``full`` after n times."""

    left = None

    def __call__(self, event, arguments):
        if self.left is None or event not in ("open", "os.mkdir", "os.rename"):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if "/full/" in str(arguments[0]) and not str(arguments[0]).endswith(lock.NAME):
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), arguments[0])


# Python offers no way to take a hook away again; without `left` it does nothing.
_disk = _Disk()
sys.addaudithook(_disk)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=nightly)])
def test_a_disk_that_is_full_at_any_write_is_said_and_the_run_goes_on(tmp_path, whole, seed):
    rng, said, store = random.Random(seed), [], None
    folder = tmp_path / "full" / "run"
    while store is None:
        _disk.left = rng.randrange(40) if said else 0
        try:
            store = _run(folder)
        except lottery.NoSpaceError as error:
            said.append(str(error))
        finally:
            _disk.left = None

    assert len(said) >= 3
    assert all(f"No space left in {folder}. Free some space and repeat" in words for words in said)
    assert _content(store) == _content(whole)
    assert not _left(store.folder)


def test_half_a_file_is_never_seen_under_its_name(tmp_path, monkeypatch):
    atomic.replace(tmp_path / "c", b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(lottery.NoSpaceError, match="in RUN"),
        atomic.reporting_full_disk(Path("RUN")),
    ):
        atomic.replace(tmp_path / "c", b"new" * 1000)
    assert (tmp_path / "c").read_bytes() == b"old"
    with pytest.raises(OSError, match="No space"), atomic.new_folder(tmp_path / "stage") as folder:
        (folder / "result.json").write_text("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_an_error_of_another_kind_is_not_taken_for_a_full_disk():
    with pytest.raises(PermissionError), atomic.reporting_full_disk(Path("RUN")):
        raise PermissionError(errno.EACCES, "Permission denied")
    # As h5py says it: the system's number is only in the words.
    with pytest.raises(lottery.NoSpaceError), atomic.reporting_full_disk(Path("RUN")):
        raise RuntimeError("file write failed: errno = 28, 'No space left on device'")


PROGRAM = """
import sys
sys.path.insert(0, {root!r})
# As where neither is installed: neither the command line nor a run needs them.
sys.modules.update(dict.fromkeys(("matplotlib", "tensorboard")))
import kerasinit._src.cli
from tests.lottery import test_unkillable as here
from kerasinit import lottery

class Watch(lottery.Watch):
    def began(self, store, missing):
        print("began", flush=True)
    def point(self, place, point):
        print(place, point.iteration, flush=True)

here._run({out!r}, watch=Watch())
print("finished", flush=True)
"""


def _start(out):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(root=str(ROOT), out=str(out))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


@pytest.mark.parametrize("kills", [[6], pytest.param([2, 7], marks=nightly)], ids=str)
def test_a_process_that_is_killed_leaves_a_run_that_goes_on_to_the_same_bits(
    tmp_path, whole, kills
):
    rng = random.Random(5)
    for lines in kills:
        process = _start(tmp_path / "run")
        for _ in range(lines):
            assert process.stdout.readline(), process.stderr.read()
        time.sleep(rng.random() * 0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    killer = Killer()
    store = _run(tmp_path / "run", watch=killer)

    assert killer.resumes or len(killer.trained) < 3
    assert _content(store) == _content(whole)
    assert not _left(store.folder)


def test_a_finished_run_builds_nothing(whole):
    def build():
        raise AssertionError("a finished run needs no model")

    build.__module__, build.__qualname__ = builder.__module__, "build"
    before = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*")}
    with lock.held(whole.folder):  # nor does it need the lock
        assert _content(_run(whole.folder, build=build)) == _content(whole)
    after = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*")}
    before[whole.folder / lock.NAME] = after[whole.folder / lock.NAME]
    assert after == before
