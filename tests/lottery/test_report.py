"""What a run came to: the table and the picture show the rows and nothing else."""

import io
import json
import sys

import pytest
from rich.console import Console

from kerasinit import lottery
from kerasinit.lottery.store import Place, Store


@pytest.fixture
def store(tmp_path):
    """A run of two trials, made by hand, of which one training is missing."""
    experiment = lottery.Experiment(levels=1, trials=2)
    store = Store.open(tmp_path / "run", experiment, {"data": "", "versions": {}})
    accuracies = {
        Place(0, 0, "ticket"): (0.90, 300),
        Place(0, 1, "ticket"): (0.92, 100),
        Place(0, 1, "reinit"): (0.80, 500),
        Place(1, 0, "ticket"): (0.94, 500),
        Place(1, 1, "ticket"): (0.96, 300),
    }
    for place, (accuracy, stop) in accuracies.items():
        store.path(place).mkdir(parents=True)
        row = {
            "trial": place.trial,
            "level": place.level,
            "branch": place.branch,
            "density": 1.0 if place.level == 0 else 0.8004,
            "best_iteration": stop,
            "best_validation_loss": 0.1,
            "test_accuracy": accuracy,
            "final_test_accuracy": 0.5,
        }
        (store.path(place) / "result.json").write_text(json.dumps({**row, "seconds": 1.0}))
    return store


def test_the_table_has_means_over_the_trials_that_are_there(store):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(lottery.table(store))
    lines = [line for line in console.export_text().splitlines() if "│" in line]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]

    assert cells == [
        ["0", "100.00", "92.00 ± 2.83", "400", "", ""],
        ["1", "80.04", "94.00 ± 2.83", "200", "80.00", "500"],
    ]


def test_the_picture_has_a_line_for_each_branch_and_one_for_dense(store):
    accuracy, stop = lottery.figure(store).axes
    lines = {line.get_label(): line for line in accuracy.lines}

    assert list(lines) == ["ticket", "reinit", "dense"]
    assert list(lines["ticket"].get_xdata()) == pytest.approx([100, 80.04])
    assert list(lines["ticket"].get_ydata()) == pytest.approx([92, 94])
    assert list(lines["reinit"].get_ydata()) == pytest.approx([80])
    assert set(lines["dense"].get_ydata()) == {92}
    assert list(stop.lines[0].get_ydata()) == [400, 200]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_is_written_whole_and_may_be_drawn_again(store, tmp_path, suffix):
    for _ in range(2):
        lottery.plot(store, tmp_path / f"a{suffix}")

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [f"a{suffix}"]


def test_without_matplotlib_the_error_says_what_to_install(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match=r"pip install 'kerasinit\[examples\]'"):
        lottery.figure(store)


def test_a_damaged_result_is_named(store):
    path = store.path(Place(0, 1, "ticket")) / "result.json"
    for content in ("{", "[]", '{"trial": 0}'):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"level-01/ticket/result\.json is damaged"):
            lottery.rows(store.folder)


def test_a_run_of_a_later_format_is_refused(store):
    path = store.folder / "experiment.json"
    path.write_text(path.read_text().replace("kerasinit-lottery-1", "kerasinit-lottery-9"))

    with pytest.raises(ValueError, match="has format 'kerasinit-lottery-9'"):
        lottery.rows(store.folder)
