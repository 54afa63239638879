"""What a run came to: the table and the picture show the rows and nothing else."""

import csv
import io
import json
import math
import re
import statistics
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from kerasinit import lottery
from kerasinit._src import cli
from kerasinit._src.lottery.method.controls import CONTROLS
from kerasinit._src.lottery.report.exports import WRITERS
from kerasinit._src.lottery.report.means import Mean
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.reports.figures import spread
from kerasinit.lottery import report

from .synthetic import RESULTS, store_of


@pytest.fixture
def store(tmp_path):
    """A run of two trials, made by hand, of which one training is missing."""
    return store_of(tmp_path / "run", RESULTS)


def _shown(store, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(lottery.table(store))
    return console.export_text()


def test_the_table_has_means_and_intervals_over_the_trials_that_are_there(store):
    lines = [line for line in _shown(store, 120).splitlines() if "│" in line]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]

    # Two trials that differ by 4 points: t = tan(0.95 pi / 2) = 12.706, times half of 4.
    assert cells == [
        ["0", "100.00", "92.00 ± 25.41", "400 ± 1271", "", ""],
        ["1", "80.04", "94.00 ± 25.41", "200 ± 1271", "80.00", "500"],
    ]
    assert "Student's t" in _shown(store, 120)


def test_one_trial_has_no_interval_and_the_table_says_so(tmp_path):
    shown = _shown(store_of(tmp_path / "run", {(0, 0, "ticket"): (0.9, 300)}, trials=1), 80)

    assert "±" not in shown
    assert "no confidence intervals" in " ".join(shown.split())


@pytest.mark.parametrize("number", [1, 4])
def test_the_table_fits_into_80_columns(tmp_path, number, monkeypatch):
    names = ["reinit", "shuffle", "random-mask", "shuffle-reinit"][:number]
    # The controls that later versions may have: the table does not ask what they do.
    for name in names:
        monkeypatch.setitem(CONTROLS, name, None)
    results = dict(RESULTS)
    for trial in (0, 1):
        results |= {(trial, 1, name): (0.97 + trial / 100, 12300) for name in names}
    shown = _shown(store_of(tmp_path / "run", results, controls=tuple(names)), 80)

    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert shown.count("97.50 ± 6.35") == number
    assert shown.count("12300 ± 0") == number
    assert "94.00 ± 25.41" in shown
    for name in names:
        # A long name is broken at its hyphen.
        assert f"{name.rpartition('-')[2]}:" in shown


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8))
def test_the_margin_is_that_of_scipys_t_interval(values):
    mean = Mean.of(values)
    scale = stats.sem(values)

    if scale > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, statistics.mean(values), scale)
        assert mean.value - mean.margin == pytest.approx(low, abs=1e-6)
        assert mean.value + mean.margin == pytest.approx(high, abs=1e-6)
    else:
        assert mean.margin == pytest.approx(0, abs=1e-6)


@given(st.integers(1, 40), st.integers(2, 10))
def test_levels_are_spread_from_the_first_to_the_last_without_repeats(count, most):
    chosen = spread(range(count), most)

    assert len(chosen) == min(count, most)
    assert sorted(set(chosen)) == chosen
    assert (chosen[0], chosen[-1]) == (0, count - 1)


def test_the_picture_has_a_line_for_each_branch_and_one_for_dense(store):
    accuracy, stop = lottery.figure(store).axes
    lines = {line.get_label(): line for line in accuracy.lines}

    assert list(lines) == ["ticket", "reinit", "dense"]
    assert list(lines["ticket"].get_xdata()) == pytest.approx([100, 80.04])
    assert list(lines["ticket"].get_ydata()) == pytest.approx([92, 94])
    assert list(lines["reinit"].get_ydata()) == pytest.approx([80])
    assert set(lines["dense"].get_ydata()) == {92}
    assert list(stop.lines[0].get_ydata()) == [400, 200]
    assert accuracy.get_xscale() == "log"
    assert accuracy.xaxis_inverted()
    styles = {(line.get_color(), line.get_marker()) for line in accuracy.lines}
    assert len(styles) == 3


def test_the_band_is_the_interval_and_there_is_none_over_one_trial(store, tmp_path):
    accuracy, _ = lottery.figure(store).axes
    (band,) = accuracy.collections  # reinit has one trial only
    heights = [y for path in band.get_paths() for y in path.vertices[:, 1]]
    margin = stats.t.ppf(0.975, 1) * 2

    assert min(heights) == pytest.approx(92 - margin)
    assert max(heights) == pytest.approx(94 + margin)
    # So wide a band would squeeze the lines, so it is cut off.
    low, high = accuracy.get_ylim()
    assert 70 < low < 80
    assert 96 < high <= 100.2

    # Early stops of 100 to 500 iterations need a frame of their own size.
    low, high = lottery.figure(store).axes[1].get_ylim()
    assert 0 <= low < 100
    assert 500 < high < 700

    single = store_of(tmp_path / "single", {(0, 0, "ticket"): (0.9, 300)}, trials=1)
    assert not lottery.figure(single).axes[0].collections


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_is_written_whole_and_may_be_drawn_again(store, tmp_path, suffix):
    for _ in range(2):
        lottery.plot(store, tmp_path / f"a{suffix}")

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [f"a{suffix}"]


def test_without_matplotlib_the_error_says_what_to_install(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    for draw in (lottery.figure, report.page):
        with pytest.raises(ImportError, match=r"pip install 'kerasinit\[examples\]'"):
            draw(store)


def test_csv_has_every_row_with_all_its_digits(store, tmp_path):
    report.write_csv(store, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        found = list(csv.DictReader(file))

    expected = report.rows(store.folder)
    assert [list(line) for line in found] == [list(row) for row in expected]
    for line, row in zip(found, expected, strict=True):
        assert {name: type(row[name])(value) for name, value in line.items()} == row


def test_curves_have_a_line_for_each_measurement(store, tmp_path):
    report.write_curves(store, tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(newline="") as file:
        found = list(csv.DictReader(file))

    assert len(found) == 2 * len(RESULTS)
    assert found[1] == {
        "trial": "0",
        "level": "0",
        "branch": "ticket",
        "density": "1.0",
        "iteration": "400",
        "training_loss": "0.3",
        "validation_loss": "0.1",
        "validation_accuracy": "0.9",
    }


def test_tensorboard_gets_a_run_for_each_training_and_each_branch(store, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    report.write_tensorboard(store, tmp_path / "board")

    def scalars(name, tag):
        board = EventAccumulator(str(tmp_path / "board" / name))
        board.Reload()
        return [
            (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
            for event in board.Tensors(tag)
        ]

    assert scalars("trial-1/level-01/ticket", "validation_loss") == [
        (100, pytest.approx(0.4)),
        (400, pytest.approx(0.1)),
    ]
    assert scalars("trial-0/level-01/reinit", "validation_accuracy")[-1] == (
        600,
        pytest.approx(0.8),
    )
    assert scalars("trial-1/ticket", "test_accuracy") == [
        (0, pytest.approx(0.94)),
        (1, pytest.approx(0.96)),
    ]
    assert scalars("trial-0/reinit", "best_iteration") == [(1, 500)]
    events = [path.parent for path in (tmp_path / "board").rglob("events.*")]
    assert len(events) == len(set(events)) == len(RESULTS) + 3


def test_without_tensorboard_the_error_says_what_to_install(store, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ImportError, match=r"pip install 'kerasinit\[tensorboard\]'"):
        report.write_tensorboard(store, tmp_path / "board")


def _report(words, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["lottery", "report", *map(str, words)])
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


OUTPUTS = {
    "html": "a.html",
    "csv": "a.csv",
    "curves": "b.csv",
    "png": "a.png",
    "svg": "a.svg",
    "tensorboard": "board",
}


def test_every_output_is_written_and_named(store, tmp_path, capsys):
    words = [store.folder]
    for option, name in OUTPUTS.items():
        words += [f"--{option}", tmp_path / name]
    code, out, _ = _report(words, capsys)

    assert code == 0
    for name in OUTPUTS.values():
        assert str(tmp_path / name) in out
        assert (tmp_path / name).exists()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    assert {path.name for path in tmp_path.iterdir()} == {*OUTPUTS.values(), "run"}


@pytest.mark.parametrize("option", OUTPUTS)
def test_nothing_is_overwritten_and_nothing_else_is_written_then(store, tmp_path, option, capsys):
    there = tmp_path / OUTPUTS[option]
    there.write_text("mine")
    words = [store.folder, f"--{option}", there]
    other = "csv" if option != "csv" else "html"
    code, _, err = _report([*words, f"--{other}", tmp_path / "other"], capsys)

    assert code == 2
    assert f"--{option}: {there} already exists" in err
    assert there.read_text() == "mine"
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--png", "a.svg"], r"--png needs a name that ends in \.png; got .*a\.svg"),
        (["--html", "none/a.html"], "--html: the folder .*none of a.html does not exist"),
        (["--csv", "a", "--html", "a"], "Two outputs have the same name"),
    ],
)
def test_outputs_that_cannot_be_are_refused_at_once(
    store, tmp_path, words, match, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, _, err = _report([store.folder, *words], capsys)

    assert code == 2
    assert re.search(match, err)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_picture_of_another_kind_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.png or \.svg"):
        report.write_plot(store, tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_the_same_run_gives_the_same_picture(store, tmp_path, name):
    contents = set()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        report.write_plot(store, tmp_path / folder / name)
        contents.add((tmp_path / folder / name).read_bytes())

    assert len(contents) == 1


def test_a_damaged_result_is_named(store):
    path = store.path(Place(0, 1, "ticket")) / "result.json"
    good = json.loads(path.read_text())
    for content in (
        "{",
        "[]",
        '{"trial": 0}',
        json.dumps({**good, "test_accuracy": "<b>"}),
        json.dumps({**good, "best_iteration": 1.5}),
        json.dumps({**good, "density": math.nan}),
        json.dumps({**good, "level": True}),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"level-01/ticket/result\.json is damaged"):
            lottery.rows(store.folder)


def test_a_damaged_curve_is_named(store):
    place = Place(0, 1, "ticket")
    path = store.path(place) / "curve.csv"
    head, first = path.read_text().splitlines()[:2]
    for content in (
        "",
        head,
        "a,b\n1,2\n",
        f"{head}\n1,2\n",
        f"{head}\n100,x,0.1,0.1\n",
        first,
        f"{head}\n100,0.1,nan,0.1\n",
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"level-01/ticket/curve\.csv is damaged"):
            store.stage(place).curve()


def test_a_run_of_a_later_format_is_refused(store):
    path = store.folder / "experiment.json"
    path.write_text(path.read_text().replace("kerasinit-lottery-1", "kerasinit-lottery-9"))

    with pytest.raises(ValueError, match="has format 'kerasinit-lottery-9'"):
        lottery.rows(store.folder)


def test_a_run_is_its_folder_or_its_object(store, tmp_path):
    folder = store.folder
    functions = {
        "table": lambda run: _shown(run, 100),
        "rows": lottery.rows,
        "verdict": lottery.verdict,
        "verify": lambda run: lottery.verify(run).to_dict(),
        "digest": lambda run: lottery.digest(run, partial=True),
        "figure": lambda run: len(lottery.figure(run).axes),
        "page": report.page,
    }
    for name in set(functions) - {"digest"}:
        found = [functions[name](run) for run in (store, folder, str(folder))]
        assert found[0] == found[1] == found[2], name
    for number, run in enumerate((store, folder, str(folder))):
        for name in ("csv", "curves", "html", "svg"):
            WRITERS[name](run, tmp_path / f"{number}.{name}")
        lottery.plot(run, tmp_path / f"{number}.png")
    for function in (*functions.values(), lambda run: lottery.plot(run, "a.png")):
        for thing in (None, 3, store.experiment):
            with pytest.raises(TypeError, match="Expected a run: its folder, or what"):
                function(thing)
        with pytest.raises(ValueError, match="holds no lottery run"):
            function(tmp_path / "nothing")


def test_masks_are_drawn_level_by_level(tmp_path):
    def mask(place):
        kept = np.ones((4, 3), bool)
        kept[: place.level * (1 + place.trial)] = False
        return kept

    store = store_of(tmp_path / "run", RESULTS, mask=mask)

    dense, pruned, scale, below = report.mask_figure(store).axes

    # The images are those of the first trial: what leaves each of 2 x 2 inputs, on one scale.
    assert dense.images[0].get_array().tolist() == [[3, 3], [3, 3]]
    assert pruned.images[0].get_array().tolist() == [[0, 3], [3, 3]]
    assert dense.images[0].get_clim() == pruned.images[0].get_clim() == (0, 3)
    assert pruned.get_title() == "level 1: 75 %"
    lines = {line.get_label(): list(line.get_ydata()) for line in below.lines}
    assert lines["dense/kernel"] == pytest.approx([100, 100 * (0.75 + 0.5) / 2])
    assert lines["dense_1/kernel"] == [100, 100]
    assert lines["all weights"] == pytest.approx([100, 100 * (15 + 12) / 36])
    assert scale.get_ylim() == (0, 3)


def test_masks_of_a_convolution_are_drawn_as_fractions(tmp_path):
    store = store_of(tmp_path / "run", RESULTS, shapes=(3, 3, 2, 5))

    first, *_ = report.mask_figure(store).axes

    assert first.images[0].get_array().shape == (2, 5)
    assert first.images[0].get_clim() == (0, 1)


def test_a_run_without_tickets_has_no_masks_to_draw(tmp_path):
    with pytest.raises(ValueError, match="run has no finished ticket yet"):
        report.mask_figure(store_of(tmp_path / "run", {}))


def test_curves_are_drawn_as_means_over_the_trials(store):
    loss, accuracy = report.curve_figure(store).axes

    lines = {line.get_label(): line for line in accuracy.lines}
    assert list(lines) == ["100 %", "80 %"]
    # Both dense trials were measured at step 100 only; the others at step 200 or later, alone.
    np.testing.assert_allclose(lines["100 %"].get_xydata(), [(100, 82)])
    assert loss.lines[0].get_ydata()[0] == pytest.approx(0.4)
    assert loss.get_yscale() == "log"


@pytest.mark.parametrize("what", ["accuracy", "curves", "masks"])
def test_a_plot_is_written_to_a_new_file(store, tmp_path, what, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def plot(*words):
        with pytest.raises(SystemExit) as exit_:
            cli.main(["lottery", "plot", str(store.folder), "--what", what, *words])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    assert plot() == (0, f"Wrote run-{what}.svg\n", "")
    content = (tmp_path / f"run-{what}.svg").read_bytes()
    assert ET.fromstring(content).tag.endswith("svg")
    assert plot("--out", "a.png") == (0, "Wrote a.png\n", "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert plot("--out", "b.svg")[0] == 0
    assert (tmp_path / "b.svg").read_bytes() == content

    code, _, error = plot("--out", "a.png")
    assert (code, "a.png already exists" in error) == (2, True)
    code, _, error = plot("--out", "a.pdf")
    assert (code, "ends in .png or .svg" in error) == (2, True)
    assert not (tmp_path / "a.pdf").exists()


def test_a_figure_that_there_is_not_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"Unknown figure 'mask'\. Did you mean 'masks'"):
        report.write_plot(store, tmp_path / "a.svg", "mask")
