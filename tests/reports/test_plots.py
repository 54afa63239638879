"""Every figure draws the numbers of its report, has labels, and is written as SVG and PNG."""

import dataclasses
import pickle
import sys
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit import comparison, pruning, shrinking
from kerasinit._src.diagnosis.monitor import Snapshot
from kerasinit._src.lottery.store.stage import Row
from kerasinit._src.reports import figures
from kerasinit._src.shrinking import footprints_show  # noqa: F401 (registers the figure)
from kerasinit._src.shrinking.footprints import FileSize, Footprint, FootprintRow, Latency
from kerasinit._src.whole_models.from_batch.report import ScaledLayer, ScalingReport
from kerasinit.lottery import questions, report
from tests.lottery.synthetic import RESULTS, store_of

X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")


def network(width=16):
    layers = [keras.layers.Dense(width, "relu", name="first"), keras.layers.Dense(width, "relu")]
    return keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(3, name="head")])


def row(trial, level, branch, accuracy, stop):
    return Row(trial, level, branch, 0.8**level, stop, 0.1, accuracy, accuracy)


def footprint_of(seconds=2e-3):
    rows = []
    for name, size in (("dense", 1000), ("small", 250)):
        ratio = size / 1000
        latency = Latency(
            "litert-float", 1, seconds * ratio, seconds * ratio / 2, seconds * ratio * 2,
            50, name == "dense", ratio, ratio, ratio,
        )  # fmt: skip
        files = (FileSize("keras", 4 * size, 3 * size),)
        macs = None if name == "small" else 900
        rows.append(FootprintRow(name, size, size // 2, macs, files, (latency,), {}))
    return Footprint(tuple(rows), 1, {})


@pytest.fixture(scope="module")
def plan():
    return shrinking.structured(network(), {"macs": 0.5}, round_to=4)


@pytest.fixture(scope="module")
def monitor():
    model = network()
    model.compile("sgd", "mse")
    found = kerasinit.SignalMonitor(X, np.ones((32, 3)), every=1)
    model.fit(X, np.ones((32, 3)), batch_size=16, epochs=2, verbose=0, callbacks=[found])
    return found


SCALING = ScalingReport(
    "lsuv",
    (
        ScaledLayer("dense", "Dense", 0.01, 1.0),
        ScaledLayer("dense_1", "Dense", 4.0, 1.02),
        ScaledLayer("head", "Dense", note="kept unchanged"),
    ),
)
LINES = questions.Connectivity(
    (
        questions.Line(0, 0, 1.0, (0.1, 0.3, 0.2), (0.0, 0.1, 0.0), False),
        questions.Line(1, 0, 1.0, (0.3, 0.5, 0.2), (0.0, 0.1, 0.0), False),
        questions.Line(0, 3, 0.512, (0.1, 0.1, 0.1), (0.0, 0.0, 0.0), False),
    )
)
CHECKS = tuple(
    questions.Check(100 * i, None if i == 1 else 0.1 / i, None if i < 3 else 0.3 / i, 0.0, 0.9)
    for i in range(1, 6)
)
BIRDS = questions.EarlyBirds(
    0.3, 3, 0.08, 500,
    (questions.Flight(0, 400, CHECKS), questions.Flight(1, None, CHECKS[:3])),
    None,
)  # fmt: skip
ROWS = tuple(
    row(trial, level, branch, 0.9 + 0.01 * level + 0.02 * trial, 100 * (level + 1))
    for trial in (0, 1)
    for level, branch in ((0, "ticket"), (1, "ticket"), (1, "reinit"))
)
SWEEP = questions.Sweep({"HeNormal": ROWS, "Orthogonal": ROWS[:2]}, None)
TRANSFER = questions.Transfer("digits", "a $b$", False, ROWS)


@pytest.fixture
def drawn(request, plan, monitor, tmp_path):
    store = store_of(tmp_path / "run", RESULTS)
    makers = {
        "early bird": BIRDS.plot,
        "footprint": footprint_of().plot,
        "groups": shrinking.groups(network()).plot,
        "initializers": lambda: kerasinit.plot_initializers(["HeNormal:seed=1", "Zeros"], (9, 9)),
        "lines": LINES.plot,
        "lottery curves": lambda: report.curve_figure(store),
        "lottery masks": lambda: report.mask_figure(store),
        "monitor": monitor.plot,
        "plan": plan.plot,
        "scaling": SCALING.plot,
        "sweep": SWEEP.plot,
        "transfer": TRANSFER.plot,
        "weights": pruning.weight_summaries(network()).plot,
    }
    return makers[request.param]


EVERY = [
    "early bird", "footprint", "groups", "initializers", "lines", "lottery curves",
    "lottery masks", "monitor", "plan", "scaling", "sweep", "transfer", "weights",
]  # fmt: skip


@pytest.mark.parametrize("drawn", EVERY, indirect=True)
def test_figures_have_labels_and_are_written_as_svg_and_png(drawn):
    figure = drawn()

    plain = [axes for axes in figure.axes if axes.lines or axes.patches or axes.containers]
    assert plain
    for axes in plain:
        assert axes.get_xlabel()
        named = [text.get_text() for text in axes.get_yticklabels()]
        assert axes.get_ylabel() or axes.get_title() or any(named)
    svg = figures.rendered(figure, "svg")
    assert ET.fromstring(svg).tag.endswith("svg")
    assert figures.rendered(figure, "png").startswith(b"\x89PNG")
    assert figures.rendered(drawn(), "svg") == svg


@pytest.mark.parametrize("drawn", EVERY, indirect=True)
def test_without_matplotlib_the_error_says_what_to_install(drawn, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match=r"pip install 'kerasinit\[examples\]'"):
        drawn()


def test_a_notebook_shows_a_figure_without_pyplot():
    shown = figures.new_figure(4, 3)
    shown.subplots().plot([1, 2])

    assert shown._repr_png_().startswith(b"\x89PNG")
    assert pickle.loads(pickle.dumps(shown)).axes[0].lines[0].get_ydata().tolist() == [1, 2]


def _bars(axes):
    """Return the lengths of horizontal bars by label, in order."""
    return {
        container.get_label(): [bar.get_width() for bar in container]
        for container in axes.containers
    }


def _names(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_bars_start_at_the_top_and_those_of_one_name_do_not_overlap():
    axes = figures.new_figure(4, 3).subplots()
    figures.draw_bars(axes, ["a", "b $x$"], {"one": [1.0, 2.0], "two": [None, 3.0]}, numbers=".1f")

    assert _bars(axes) == {"one": [1, 2], "two": [3]}
    assert _names(axes) == ["a", r"b \$x\$"]
    assert axes.yaxis_inverted()
    assert sorted(text.get_text() for text in axes.texts) == ["1.0", "2.0", "3.0"]
    (first, second), (third,) = axes.containers
    assert second.get_y() + second.get_height() <= third.get_y() + 1e-9
    assert first.get_y() + first.get_height() < second.get_y()
    # Told apart without colour: pale and solid.
    assert first.get_facecolor()[3] < third.get_facecolor()[3]


def test_many_series_differ_in_fill_or_hatching():
    styles = [str(sorted(figures.bar_style(number).items())) for number in range(5)]

    assert len(set(styles)) == 5
    assert [figures.bar_style(number).get("hatch", "") for number in range(4)] == [
        "",
        "",
        "////",
        "....",
    ]


def test_a_plan_is_drawn_with_its_widths_costs_and_targets(plan):
    left, right = plan.plot().axes

    widths = [one.width for one in plan.groups]
    before, after = ([pair[side] for pair in widths] for side in (0, 1))
    assert _bars(left) == {"before": before, "after": after}
    assert after < before
    assert _names(left) == [one.name for one in plan.groups]
    assert _bars(right)["after"] == pytest.approx([one.ratio for one in plan.costs])
    (target,) = right.collections
    assert [segment[0][0] for segment in target.get_segments()] == [0.5]


def test_groups_are_drawn_with_the_channels_of_each_kernel_before_and_after(plan):
    model = network()
    before = shrinking.groups(model)
    assert before.widths == {"first/kernel": 16, "dense_1/kernel": 16, "head/kernel": 3}
    plan.apply(model)
    after = shrinking.groups(shrinking.compact(model))

    (axes,) = before.plot(after).axes

    assert _names(axes) == list(before.widths)
    found = _bars(axes)
    assert found["before"] == [16, 16, 3]
    assert found["after"] == [after.widths[name] for name in before.widths]
    assert found["after"][:2] < [16, 16]
    with pytest.raises(TypeError, match=r"Expected as after the groups of a model"):
        before.plot(model)


def test_a_footprint_is_drawn_as_fractions_of_the_first_model_with_its_latencies():
    sizes, latencies = footprint_of().plot().axes

    assert _names(sizes)[:3] == ["parameters", "non-zero", "MACs"]
    assert _bars(sizes) == {"dense": [1.0] * 5, "small": [0.25] * 4}  # its MACs are not known
    texts = [text.get_text() for text in sizes.texts]
    assert {"1,000", "250", "900", "4,000", "750"} <= set(texts)
    dense, small = latencies.containers
    assert (list(dense[0].get_xdata()), list(small[0].get_xdata())) == ([2], [0.5])
    (bar,) = small[2]
    assert bar.get_segments()[0][:, 0].tolist() == [0.25, 1.0]


def test_a_footprint_without_latencies_has_the_sizes_only():
    found = footprint_of()
    bare = tuple(dataclasses.replace(one, latencies=()) for one in found.rows)

    (sizes,) = dataclasses.replace(found, rows=bare).plot().axes

    assert list(_bars(sizes)) == ["dense", "small"]


def test_scaling_is_drawn_before_and_after_without_layers_that_were_kept():
    (axes,) = SCALING.plot().axes

    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert (lines["before"], lines["after"]) == ([0.01, 4.0], [1.0, 1.02])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["dense", "dense_1"]
    assert axes.get_yscale() == "log"


def test_sparsity_is_drawn_of_the_weights_that_are_pruned():
    model = pruning.prune_low_magnitude(network(), pruning.ConstantSparsity(0.5, 0, frequency=1))
    model.compile("sgd", "mse")
    model.fit(X, np.ones((32, 3)), verbose=0, callbacks=[pruning.UpdatePruningStep()])
    rows = pruning.weight_summaries(model)

    (axes,) = rows.plot().axes

    kernels = [one for one in rows if one.pruned]
    assert _bars(axes)["sparsity"] == pytest.approx([100 * one.sparsity for one in kernels])
    assert _names(axes) == ["first/kernel, 8x16", "dense_1/kernel, 16x16", "head/kernel, 16x3"]
    (dense,) = pruning.weight_summaries(network()).plot().axes
    assert _bars(dense)["sparsity"] == [0] * 6  # nothing is pruned, so everything is shown
    assert rows == list(rows)


def test_a_monitor_draws_each_layer_against_the_step(monitor):
    steps = [one.step for one in monitor.history]
    assert steps == [0, 1, 2, 3, 4]

    signal, gradient, update = monitor.plot().axes

    for axes, measure in (
        (signal, lambda row: row.signal.square),
        (gradient, lambda row: row.gradient),
    ):
        assert len(axes.lines) == 3
        for place, line in enumerate(axes.lines):
            assert list(line.get_xdata()) == steps
            rows = [one.diagnosis.layers for one in monitor.history]
            layers = [[row for row in one if row.learns][place] for one in rows]
            assert list(line.get_ydata()) == [measure(row) for row in layers]
    assert len(update.lines) == 3


def test_a_monitor_draws_eight_of_many_layers_and_nothing_before_training():
    layers = [keras.layers.Dense(4) for _ in range(12)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    diagnosis = kerasinit.diagnose(model, X)
    found = kerasinit.SignalMonitor(X)
    assert not found.plot().axes[0].lines
    found.history = [Snapshot(0, 0, diagnosis), Snapshot(7, 1, diagnosis)]

    signal = found.plot().axes[0]

    names = [line.get_label() for line in signal.lines]
    assert len(names) == 8
    assert (names[0], names[-1]) == ("dense", "dense_11")
    assert (
        len({(one.get_color(), one.get_marker(), one.get_linestyle()) for one in signal.lines}) == 8
    )


def test_the_line_between_copies_is_drawn_as_mean_and_range_with_the_margin():
    (axes,) = LINES.plot().axes

    lines = {line.get_label(): line for line in axes.lines}
    dense = lines["level 0, 100 % left"]
    np.testing.assert_allclose(dense.get_xdata(), [0, 0.5, 1])
    np.testing.assert_allclose(dense.get_ydata(), [20, 40, 20])
    np.testing.assert_allclose(lines["level 3, 51.2 % left"].get_ydata(), [10, 10, 10])
    (band,) = axes.collections  # of the level with two trials
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((10, 50))
    limits = [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 2]
    assert limits == pytest.approx([22, 12])


def test_early_birds_are_marked_where_they_are():
    (axes,) = BIRDS.plot().axes

    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    np.testing.assert_allclose(lines["trial 0"], [(300, 0.1), (400, 0.075), (500, 0.06)])
    np.testing.assert_allclose(lines["early bird, iteration 400"], [(400, 0.075)])
    np.testing.assert_allclose(lines["trial 1"], [(300, 0.1)])
    assert lines["limit 0.08"][0][1] == 0.08


def test_a_sweep_draws_the_tickets_of_each_initializer():
    accuracy, stop = SWEEP.plot().axes

    lines = {line.get_label(): line for line in accuracy.lines}
    assert list(lines) == ["HeNormal", "Orthogonal"]
    np.testing.assert_allclose(lines["HeNormal"].get_xydata(), [(100, 91), (80, 92)])
    np.testing.assert_allclose(lines["Orthogonal"].get_xydata(), [(100, 90), (80, 91)])
    np.testing.assert_allclose(stop.lines[0].get_ydata(), [100, 200])


def test_a_transfer_draws_every_branch():
    figure = TRANSFER.plot()

    accuracy, _ = figure.axes
    lines = {line.get_label(): line for line in accuracy.lines}
    assert list(lines) == ["ticket", "reinit", "dense"]
    np.testing.assert_allclose(lines["reinit"].get_xydata(), [(80, 92)])
    assert r"a \$b\$" in figure.get_suptitle()


def test_every_public_report_with_numbers_has_a_figure():
    plotted = [
        comparison.Comparison, kerasinit.SignalMonitor, kerasinit.diagnosis.Diagnosis,
        pruning.WeightSummaries, questions.Connectivity, questions.EarlyBirds, questions.Sweep,
        questions.Transfer, shrinking.Footprint, shrinking.Groups, shrinking.Plan, ScalingReport,
    ]  # fmt: skip

    assert [one for one in plotted if not callable(getattr(one, "plot", None))] == []
