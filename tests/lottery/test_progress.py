"""What a terminal shows of a run while it goes on."""

import io

import pytest
from rich.console import Console

from kerasinit._src.lottery.progress import ConsoleWatch
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.training.outcome import Point
from kerasinit.lottery import Experiment, Row

FIRST, SECOND = Place(0, 0, "ticket"), Place(1, 0, "ticket")


def _row(place):
    return Row(place.trial, place.level, place.branch, 1.0, 60, 0.5, 0.75, 0.7)


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """A watch over a run of two trainings of 100 iterations, at a clock that stands still."""
    clock = [0.0]
    monkeypatch.setattr("kerasinit._src.lottery.progress.time.monotonic", lambda: clock[0])
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    watch = ConsoleWatch(console)
    watch.clock = clock
    experiment = Experiment(dataset="x", iterations=100, levels=0, trials=2)
    watch.began(Store(tmp_path, experiment, {}), [FIRST, SECOND])
    return watch


def _shown(watch):
    """Return the bars as lines of text."""
    console = Console(file=io.StringIO(), width=140)
    console.print(watch._bars.get_renderable())
    return console.file.getvalue().splitlines()


def test_trainings_at_the_same_time_have_bars_of_their_own(watch):
    watch.training(FIRST, 1.0)
    watch.training(SECOND, 0.8)
    watch.clock[0] = 4.0
    watch.point(FIRST, Point(60, 0.1, 0.2, 0.91))
    watch.point(SECOND, Point(20, 0.1, 0.2, 0.82))
    whole, first, second = _shown(watch)

    assert "0 of 2 trainings" in whole
    assert "80/200" in whole
    assert "20 it/s, 0:00:06 left" in whole
    assert "trial 0, level 0, ticket (100.0 %)" in first
    assert "60/100" in first
    assert "validation 91.0 %" in first
    assert "trial 1, level 0, ticket (80.0 %)" in second
    assert "20/100" in second
    assert "validation 82.0 %" in second


def test_iterations_of_an_earlier_process_count_as_done_but_not_as_speed(watch):
    watch.training(FIRST, 1.0)
    watch.resumed(FIRST, 60)
    watch.clock[0] = 2.0
    watch.point(FIRST, Point(80, 0.1, 0.2, 0.9))

    assert "80/200" in _shown(watch)[0]
    assert "10 it/s, 0:00:12 left" in _shown(watch)[0]
    assert "trial 0, level 0, ticket resumes after iteration 60." in _said(watch)


def test_a_finished_training_leaves_a_line_in_place_of_its_bar(watch):
    watch.training(FIRST, 1.0)
    watch.point(FIRST, Point(100, 0.1, 0.2, 0.9))
    watch.finished(_row(FIRST))

    assert len(_shown(watch)) == 1
    assert "1 of 2 trainings" in _shown(watch)[0]
    assert "100/200" in _shown(watch)[0]
    assert "dense    test accuracy 75.00 % at iteration 60" in _said(watch)


def test_a_note_is_written_with_its_place(watch):
    watch.note(SECOND, "The checkpoint is damaged.")

    assert "trial 1, level 0, ticket: The checkpoint is damaged." in _said(watch)


def _said(watch):
    return watch._console.file.getvalue()
