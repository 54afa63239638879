"""What people named is printed as it is, by every renderer."""

import io
import os
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from kerasinit import lottery
from kerasinit._src import cli
from kerasinit._src.lottery import options
from kerasinit._src.lottery.proof.winning import table as verdict_table
from kerasinit._src.reports import figures, terminal
from kerasinit.lottery import Experiment, report
from kerasinit.lottery.questions import Sweep, Transfer
from tests.lottery.synthetic import RESULTS, store_of
from tests.products import nightly

# Markup and its end, emoji, a tab, two spaces, mathematics, HTML, shell, a hyphen in front, and
# more than a line of a terminal holds.
ODD = (
    "x[/b]",
    "[red]x",
    "a:cat:b",
    "a\tb",
    "a  b",
    "$x^2$",
    "a&amp;<b>",
    'it\'s "$HOME"; *',
    "-x",
    "back\\slash",
    "é漢",
    "d" * 150,
)


@pytest.mark.parametrize("name", ODD)
def test_a_line_is_written_as_it_is(name):
    for console in (Console(file=io.StringIO(), width=30), terminal.console()):
        console.file = io.StringIO()
        terminal.write(console, f"folder: {name}")
        assert console.file.getvalue() == f"folder: {name}\n"


@pytest.mark.parametrize("name", ODD)
def test_tables_say_names_as_they_are(tmp_path, name):
    store = store_of(tmp_path / "run", RESULTS)
    store.experiment = replace(store.experiment, dataset=f"{name}/data.npz", model=f"m:{name}")
    rows = tuple(store.rows())
    tables = [
        lottery.table(store),
        verdict_table(lottery.verdict(store), title=f"on {name}"),
        Transfer(name, name, True, rows).table(),
        Sweep({name: rows}, tmp_path).table(),
    ]
    for table in tables:
        console = Console(file=io.StringIO(), width=600)  # reads markup, as a user's own does
        console.print(table)
        # A title is broken where the table ends, and set in the middle.
        assert "".join(name.split()) in "".join(console.file.getvalue().split())
    console = Console(file=io.StringIO(), width=40)
    terminal.show(console, lottery.table(store))
    assert f"{name}/data.npz, mean of 2 trials\n" in console.file.getvalue()


def test_a_page_says_names_as_they_are(tmp_path):
    name = "".join(ODD)
    store = store_of(tmp_path / "run", RESULTS)
    store.experiment = replace(store.experiment, dataset=f"{name}/data.npz", model=f"m:{name}")
    text = _text_of(report.page(store))
    assert "".join(f"m:{name} on {name}/data.npz".split()) in text
    assert "".join(options.command(store.experiment).split()) in text


def _text_of(page):
    """Return what a browser reads in a page."""
    from html.parser import HTMLParser

    words = []
    parser = HTMLParser()
    parser.handle_data = words.append
    parser.feed(page)
    return "".join("".join(words).split())


@pytest.mark.parametrize("name", ODD)
def test_a_command_and_a_file_give_the_same_experiment_again(tmp_path, name):
    import shlex

    experiment = Experiment(dataset=f"{name}.npz", levels=3, model=f"{name}:build")
    words = shlex.split(options.command(experiment))[3:]
    expanded = options.expand(words)
    assert expanded == words
    found = {}
    rest = list(words)
    while rest:
        key = rest.pop(0)
        key, equals, value = key.partition("=")
        found[key] = value if equals else rest.pop(0)
    assert found == {"--dataset": f"{name}.npz", "--levels": "3", "--model": f"{name}:build"}
    assert tomllib.loads(options.to_toml(experiment))["dataset"] == f"{name}.npz"
    (tmp_path / "spec.toml").write_text(options.to_toml(experiment), encoding="utf-8")
    assert Experiment(**options.read_toml(tmp_path / "spec.toml")) == experiment


@pytest.mark.parametrize("name", [name for name in ODD if name.count("$") > 1])
def test_plots_draw_names_as_they_are(name):
    figure = figures.new_figure(4, 2)
    figure.subplots().set_title(figures.literal(name))
    assert f">{name}</text>" in figures.rendered(figure, "svg").decode()


def test_toml_refuses_what_is_no_text():
    with pytest.raises(ValueError, match="which is not valid text"):
        options.to_toml(Experiment(dataset=os.fsdecode(b"\xff.npz")))


def _kerasinit(words, capfdbinary):
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    captured = capfdbinary.readouterr()
    return exit_.value.code, captured.out, captured.err


@pytest.mark.parametrize(
    "name",
    [pytest.param("x[/b]", marks=nightly), "[b]x[/red]:cat:\ty", os.fsdecode(b"caf\xe9")],
)
def test_a_run_in_an_odd_folder_says_where_it_is(tmp_path, name, capfdbinary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    folder = tmp_path / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 6)), np.arange(60) % 2
    np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    words = "--levels 0 --iterations 4 --evaluate-every 2 --trials 1 --controls none --no-xla"
    where = os.fsencode(folder)
    command = ["lottery", "run", *words.split(), "--dataset", f"{folder}/d.npz"]

    code, out, err = _kerasinit([*command, "--out", f"{folder}/run"], capfdbinary)
    assert code == 0, err
    assert b"Run: " + where + b"/run\n" in out
    assert b"everything:        " + where + b"/run\n" in out
    assert b"on " + where + b"/d.npz, one trial\n" in out
    again = ["lottery", "report", f"{folder}/run", "--html", f"{folder}/page.html"]
    code, out, err = _kerasinit(again, capfdbinary)
    assert code == 0, err
    assert b"html:        " + where + b"/page.html\n" in out
    for command in ("verify", "digest", "verdict"):
        code, _, err = _kerasinit(["lottery", command, f"{folder}/run"], capfdbinary)
        assert code == (2 if command == "verdict" else 0), err
    assert where in err
