"""The page of a run: whole, true to the rows, safe, and the same each time."""

import base64
import io
import json
import re
import shlex
import shutil
import sys
import types
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasinit import lottery
from kerasinit._src import cli
from kerasinit._src.lottery import loop, options
from kerasinit._src.lottery.report import layers
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.reports.html import Markup, element
from kerasinit.lottery import report

from .blobs import blobs, builder
from .synthetic import RESULTS, store_of

EMPTY = {"br", "img", "link", "meta"}


class Page(HTMLParser):
    """The elements of a page, checked to be opened and closed in pairs."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def _svgs(text):
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def _table(text, caption):
    """Return the cells of a table: the value behind a rounded number, else the words."""
    table = re.search(rf"<table[^>]*><caption>{re.escape(caption)}.*?</table>", text, re.DOTALL)[0]
    lines = re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL) for line in lines]
    value = re.compile(r'<data value="([^"]*)">.*</data>')
    return [[value.sub(r"\1", cell) for cell in line] for line in cells]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A real run of two trials, as small as can be."""
    experiment = lottery.Experiment(
        iterations=20, evaluate_every=10, levels=2, trials=2, optimizer="sgd", xla=False
    )
    folder = tmp_path_factory.mktemp("page") / "run"
    return lottery.run(experiment, out=folder, build=builder(), data=blobs())


@pytest.fixture(scope="module")
def page(run):
    return report.page(run)


def test_a_real_run_has_every_part_and_every_picture(page):
    parsed = Page(page)
    heads = re.findall(r"<h2>(.*?)</h2>", page)

    assert heads[0] == "Accuracy and early stop"
    assert {"Training curves", "Masks", "Layer by layer", "The experiment"} <= set(heads)
    # Accuracy and early stop; loss and accuracy of ticket and control.
    assert len(parsed.all("svg")) == 2 + 4
    # The inputs at three levels; two kernels.
    assert len(parsed.all("img")) == 3 + 2
    for image in parsed.all("img"):
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        assert data.startswith(b"\x89PNG")
        assert len(image["alt"]) > 20
    assert "only a published digest of the run proves" in page


def test_svg_is_well_formed_named_and_shares_no_names(page):
    names = []
    for svg in _svgs(page):
        there = {part.get("id") for part in svg.iter() if part.get("id")}
        names += [part.get("id") for part in svg.iter() if part.get("id")]
        assert svg.get("role") == "img"
        for kind in ("labelledby", "describedby"):
            assert svg.get(f"aria-{kind}") in there
        text = ET.tostring(svg, encoding="unicode")
        used = re.findall(r"url\(#([^)]+)\)", text) + re.findall(r'href="#([^"]+)"', text)
        assert used
        assert set(used) <= there
        words = {part.text.strip() for part in svg.iter() if part.tag.endswith("}text")}
        assert words & {"weights left (%)", "iteration"}
        # Colours come from the page, so that they can be read in the dark.
        assert "var(--c0)" in text
        assert "#0072b2" not in text
    assert len(names) == len(set(names))


def test_nothing_is_asked_of_a_network_and_nothing_is_run(page):
    parsed = Page(page)
    spaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}

    assert set(re.findall(r"https?://[^\"'\s<>)]+", page)) <= spaces
    assert not parsed.all("script")
    assert "@import" not in page
    assert "default-src 'none'" in page
    for _, attributes in parsed.elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
        assert not [name for name in attributes if name.startswith("on")]


def test_it_says_what_language_it_is_and_fits_a_telephone(page):
    parsed = Page(page)

    assert page.startswith("<!doctype html>")
    assert parsed.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in parsed.all(
        "meta"
    )
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    # A frame that scrolls must be within reach of the keyboard, and say what it holds.
    frames = [a for a in parsed.all("div") if a.get("class") == "scroll"]
    assert len(frames) == len(parsed.all("table"))
    assert all(frame["tabindex"] == "0" and frame["aria-label"] for frame in frames)


def test_the_same_run_gives_the_same_page_wherever_it_is(run, page, tmp_path):
    shutil.copytree(run.folder, tmp_path / "elsewhere")

    assert report.page(Store.read(tmp_path / "elsewhere")) == page
    assert str(run.folder) not in page


def test_every_number_of_the_table_is_that_of_the_rows(run, page):
    rows = report.rows(run.folder)
    found = _table(page, "The trainings behind the means")
    columns = (
        "trial",
        "level",
        "branch",
        "density",
        "test_accuracy",
        "best_iteration",
        "best_validation_loss",
        "final_test_accuracy",
    )

    assert found == [[str(row[name]) for name in columns] for row in rows]


def test_every_mean_is_that_of_the_rows(run, page):
    rows = report.rows(run.folder)
    found = _table(page, "Each level, means over the trials")

    def mean(level, branch, name):
        values = [r[name] for r in rows if (r["level"], r["branch"]) == (level, branch)]
        return np.mean(values) if values else None

    assert [line[0] for line in found] == ["0", "1", "2"]
    for level, line in enumerate(found):
        expected = [
            mean(level, "ticket", "density"),
            mean(level, "ticket", "test_accuracy") * 100,
            mean(level, "ticket", "best_iteration"),
        ]
        if level:
            expected.append(mean(level, "reinit", "test_accuracy") * 100)
            expected.append(mean(level, "reinit", "best_iteration"))
        assert [float(cell) for cell in line[1:] if cell] == pytest.approx(expected)


def test_the_layers_have_the_densities_of_the_masks(run, page):
    found = _table(page, "Weights left in each layer of the ticket (%), mean of the trials")
    shown = [[float(re.sub("<.*?>", "", cell)) for cell in line] for line in found]

    assert len(shown) == 3
    for level, line in enumerate(shown):
        masks = [run.stage(Place(t, level, "ticket")).ticket().masks for t in (0, 1)]
        expected = [np.mean([100 * m.density for m in masks])]
        expected += [100 * np.mean([m[name].mean() for m in masks]) for name in masks[0]]
        assert line[1:] == pytest.approx(expected, abs=0.005)


def _command(page):
    return "".join(Page(re.search(r"<pre>.*?</pre>", page, re.DOTALL)[0]).texts)


EXPERIMENTS = [
    lottery.Experiment(),
    lottery.Experiment(controls=(), xla=False, initializer="HeNormal", seed=3),
    lottery.Experiment("mnist", iterations=2000, rewind="step:100", rate=0.5),
    lottery.Experiment("some dir/it's.npz", trials=2, levels=0),
]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_command_repeats_the_experiment(experiment, monkeypatch):
    asked = []

    def run(experiment, **settings):
        asked.append(experiment)
        raise ValueError("enough")

    monkeypatch.setattr(loop, "run", run)
    words = shlex.split(options.command(experiment))
    with pytest.raises(SystemExit):
        cli.main(words[1:])

    assert words[0] == "kerasinit"
    assert asked == [experiment]


def test_every_field_stands_there_with_its_meaning(run, page):
    lines = _table(page, "All fields")
    plain = [[re.sub("<.*?>", "", cell) for cell in line] for line in lines]

    assert [line[0] for line in plain] == list(run.experiment.to_dict())
    assert all(len(line[2]) > 10 for line in plain)
    assert ["seed", "--seed 0"] in [line[:2] for line in plain]
    assert run.about["data"] in page
    for name, version in run.about["versions"].items():
        assert f"{name} {version}" in page


EVIL = "<img src=x onerror=alert(1)>.npz"


def test_what_comes_from_files_is_escaped(tmp_path):
    store = store_of(tmp_path / "run", RESULTS, dataset=EVIL, model='"><script>alert(1)</script>')
    path = store.folder / "experiment.json"
    content = json.loads(path.read_text())
    content["versions"] = {"<b>keras": "</main><script>"}
    content["data"] = "<i>"
    path.write_text(json.dumps(content))
    text = report.page(Store.read(store.folder))
    parsed = Page(text)

    assert not parsed.all("script")
    assert not parsed.all("b")
    assert not parsed.all("i")
    assert all(image["src"].startswith("data:image/png") for image in parsed.all("img"))
    assert any(EVIL in words for words in parsed.texts)
    assert shlex.split(_command(text))[4] == EVIL


@settings(max_examples=30)
@given(st.text(), st.text())
def test_any_text_comes_through_an_element_unchanged(text, value):
    parsed = Page(element("p", text, Markup("<br>"), title=value))

    # A browser, too, reads both ends of a line as one.
    assert "".join(parsed.texts) == text
    assert parsed.elements[0] == ("p", {"title": value})
    assert len(parsed.elements) == 2


def test_a_control_with_a_mask_of_its_own_gets_a_picture(tmp_path):
    def mask(place):
        kernel = np.ones((4, 3), bool)
        kernel[0 if place.branch == "reinit" else 3] = place.level == 0
        return kernel

    same = report.page(store_of(tmp_path / "same", RESULTS, mask=None))
    other = report.page(store_of(tmp_path / "other", RESULTS, mask=mask))

    assert "<strong>reinit, level 1</strong>" not in same
    assert "<strong>reinit, level 1</strong>" in other
    assert "level 1: 75.00 % left; 0 to 3 per pixel; 1 of 4 pixels unused" in other


def test_without_a_first_dense_layer_there_is_no_picture_of_inputs(tmp_path):
    text = report.page(store_of(tmp_path / "run", RESULTS, shapes=(3, 3, 2, 5)))

    assert "still uses" not in text
    assert "3 x 3 x 2 x 5, 100.00 % left" in text
    assert len(Page(text).all("img")) == 2


def test_a_run_that_has_just_begun_and_one_without_levels_have_a_page_too(tmp_path):
    nothing = report.page(store_of(tmp_path / "nothing", {}))
    dense = report.page(store_of(tmp_path / "dense", {(0, 0, "ticket"): (0.9, 300)}, levels=0))

    assert "6 of 6 trainings are not finished yet" in nothing
    assert not Page(nothing).all("svg")
    assert "1 of 2 trainings are not finished yet" in dense
    assert "has no confidence intervals" in dense
    assert len(Page(dense).all("svg")) == 2 + 2


def test_the_page_opens_with_the_sparsest_level_that_has_a_control(tmp_path):
    results = {**RESULTS, (0, 2, "ticket"): (0.97, 300), (1, 2, "ticket"): (0.97, 300)}
    text = report.page(store_of(tmp_path / "run", results, levels=2))
    facts = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text)

    assert facts == [
        ("dense network", "92.00 ± 25.41 %"),
        ("ticket, 80.04 % of the weights", "94.00 ± 25.41 %"),
        ("reinit, 80.04 % of the weights", "80.00 %"),
    ]


def _judge(monkeypatch, verdict):
    # By its full name, since the function `page` has the same name as its module.
    monkeypatch.setattr(sys.modules["kerasinit._src.lottery.report.run_page"], "verdict", verdict)


def test_verdicts_are_shown(tmp_path, monkeypatch):
    one = types.SimpleNamespace(
        level=1, density=0.8004, outcome="NOT WINNING", text="0.3 < 0.5 points"
    )
    _judge(monkeypatch, lambda store: (one,))
    text = report.page(store_of(tmp_path / "run", RESULTS))

    assert _table(text, "Did the ticket win?") == [
        [
            "level 1, 80.04 % left",
            '<strong class="lost">NOT WINNING</strong>',
            "0.3 &lt; 0.5 points",
        ]
    ]


def test_a_run_that_cannot_be_judged_yet_says_why(tmp_path, monkeypatch):
    def verdict(store):
        raise ValueError(f"{store.folder} was <judged> too early")

    _judge(monkeypatch, verdict)
    text = report.page(store_of(tmp_path / "run", RESULTS))

    assert "No verdict: the run was &lt;judged&gt; too early" in text


def _pixels(data):
    from matplotlib.image import imread

    return imread(io.BytesIO(base64.b64decode(data.split(",", 1)[1])))


def test_a_picture_is_lighter_where_there_is_more():
    pixels = _pixels(layers.png(np.array([[0, 1], [2, 4]]), 4))

    assert pixels.shape[:2] == (2, 2)
    light = pixels[..., :3].sum(axis=2)
    assert light[0, 0] < light[0, 1] < light[1, 0] < light[1, 1]


def test_colour_channels_of_a_pixel_are_added_up():
    mask = np.zeros((12, 2), bool)
    mask[[0, 1, 2, 5]] = True, False

    assert layers.surviving_inputs(mask, (2, 2, 3)).tolist() == [[3, 1], [0, 0]]
    assert layers.surviving_inputs(mask, None).tolist() == [[3, 1], [0, 0]]
    assert layers.surviving_inputs(mask, (5,)) is None


@given(st.integers(1, 150), st.integers(1, 150), st.integers(0, 2**31))
def test_blocks_keep_the_density_of_their_weights(rows, columns, seed):
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.4
    blocks = layers.blocks(mask)

    assert blocks.shape == (min(rows, 64), min(columns, 64))
    assert 0 <= blocks.min() <= blocks.max() <= 1 + 1e-12
    if rows <= 64 and columns <= 64:
        np.testing.assert_array_equal(blocks, mask)
    edges = [np.linspace(0, n, min(n, 64) + 1).astype(int) for n in mask.shape]
    first = mask[: edges[0][1], : edges[1][1]]
    assert blocks[0, 0] == pytest.approx(first.mean())


def test_a_convolutions_positions_are_averaged():
    mask = np.zeros((2, 2, 1, 2), bool)
    mask[0, 0] = True
    mask[1, 1, 0, 1] = True

    assert layers.blocks(mask).tolist() == [[0.25, 0.5]]
