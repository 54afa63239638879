"""A checkpoint by itself: when it is due, what it holds, what it is told from."""

import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src.training import checkpoint
from kerasinit._src.training.checkpoint import Checkpoint
from kerasinit._src.training.outcome import Point, Progress
from tests.lottery.blobs import blobs, builder

STATE = {"a/kernel": np.arange(6, dtype="float32").reshape(2, 3)}
COURSE = Progress(20, STATE, (Point(20, 0.1, 0.5, 0.25),), 0, STATE, None, total=0.25, seconds=3.5)


def test_it_is_due_whenever_its_seconds_have_passed_since_it_was_written(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[-1])
    kept = Checkpoint(tmp_path / "c", {}, every=10)
    due = []
    for now in (100.0, 109.0, 110.0, 119.0, 120.0, 135.0, 144.0, 145.0):
        clock.append(now)
        due.append(kept.due)
        if kept.due:
            kept.write(COURSE)

    assert due == [False, False, True, False, True, True, False, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'\\"at\\": 20', b'\\"at\\": 10'), (b'\\"best\\": 0', b'\\"best\\": 1'), (b"0.25", b"0.35")],
)
def test_a_number_that_was_changed_is_noticed(tmp_path, old, new):
    said = []
    kept = Checkpoint(tmp_path / "c", {"place": "here"}, 0, said.append)
    kept.write(COURSE)
    content = (tmp_path / "c").read_bytes()
    assert content.count(old) == 1
    (tmp_path / "c").write_bytes(content.replace(old, new))

    assert kept.read(STATE) is None
    assert said == ["The checkpoint c is damaged; training starts over."]


def test_arrays_differ_by_name_type_shape_and_every_bit():
    zeros = np.zeros((2, 3), "float32")
    others = [{"a": zeros.astype("int32")}, {"a": zeros.T}, {"a": -zeros}, {"b": zeros}]
    digests = [checkpoint.digest_of(arrays) for arrays in ({"a": zeros}, *others)]

    assert len(set(digests)) == len(digests)
    # Nor does it matter how they lie in memory.
    assert checkpoint.digest_of({"a": np.asfortranarray(zeros)}) == digests[0]


class _Stop(lottery.Watch):
    def __init__(self, iteration=None):
        self.iteration, self.resumes = iteration, []

    def resumed(self, place, iteration):
        self.resumes.append(iteration)

    def point(self, place, point):
        if point.iteration == self.iteration:
            raise KeyboardInterrupt


def test_a_training_that_goes_on_knows_which_measurement_was_the_best(tmp_path):
    def run(watch):
        experiment = lottery.Experiment(
            iterations=40, levels=0, trials=1, batch_size=20, evaluate_every=10, xla=False
        )
        # Without learning all measurements are equal, and the first is the best.
        build = builder(learning_rate=0.0)
        options = {"build": build, "data": blobs(), "checkpoint_every": 0}
        return lottery.run(experiment, out=tmp_path / "run", watch=watch, **options)

    with pytest.raises(KeyboardInterrupt):
        run(_Stop(30))
    watch = _Stop()
    (row,) = run(watch).rows()

    assert watch.resumes == [30]
    assert row.best_iteration == 10
