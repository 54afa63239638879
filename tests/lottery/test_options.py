"""One description of a run: what is typed, a file, a preset and the guide agree."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit._src import cli
from kerasinit._src.lottery import loop, options
from kerasinit.lottery import Experiment, command, preset, read_toml, to_toml

GUIDE = (Path(__file__).parents[2] / "docs/guides/lottery.md").read_text()


@pytest.fixture
def parsed(monkeypatch):
    """Return the experiment that the command line would run."""
    found = []

    class NoStoreError(ValueError):
        pass

    def run(experiment, **_):
        found.append(experiment)
        raise NoStoreError

    monkeypatch.setattr(loop, "run", run)

    def parse(words):
        with pytest.raises(SystemExit):
            cli.main(["lottery", "run", *words])
        return found.pop() if found else None

    return parse


EXPERIMENTS = [
    Experiment(),
    Experiment("mnist", controls=(), layer_rates={"dense": 0.3, "conv2d*": 1e-05}, xla=False),
    Experiment(
        "a b's.npz",
        model="m:f",
        initializer="RandomNormal:stddev=0.01",
        optimizer="sgd:learning_rate=0.1,momentum=0.9",
        controls=("reinit", "shuffle"),
        control_levels=(3, 1),
        validation=7,
        rewind="step:9",
    ),
    *map(preset, options.PRESETS),
]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.digest)
def test_an_experiment_comes_back_from_its_command_and_its_file(parsed, tmp_path, experiment):
    path = tmp_path / "spec.toml"
    path.write_text(to_toml(experiment), encoding="utf-8")

    assert Experiment.from_dict(read_toml(path)) == experiment
    assert parsed([str(path)]) == experiment
    words = shlex.split(command(experiment))
    assert words[:3] == ["kerasinit", "lottery", "run"]
    assert parsed(words[3:]) == experiment


@given(name=st.text(st.characters(exclude_categories=("Cs",))))
def test_any_name_survives_a_file(tmp_path_factory, name):
    experiment = Experiment(name, layer_rates={name: 0.5})
    path = tmp_path_factory.mktemp("toml") / "spec.toml"
    path.write_bytes(to_toml(experiment).encode())

    assert Experiment.from_dict(read_toml(path)) == experiment


def test_what_is_typed_wins_over_the_file_and_the_file_over_the_preset(parsed, tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text("levels = 12\ntrials = 4\n[layer_rates]\ndense = 0.5\n")
    words = ["--trials", "2", "--no-xla", str(path), "--preset=lenet-mnist-short"]
    found = parsed(words)

    assert found.trials == 2
    assert found.levels == 12
    assert found.layer_rates == {"dense": 0.5}
    assert found.iterations == 15_000
    assert not found.xla
    assert found == parsed(["--preset", "lenet-mnist-short", *words[:-1]])


def test_a_preset_with_another_file_of_examples_is_otherwise_the_same(parsed):
    found = parsed(["--preset", "lenet-mnist-short", "--dataset", "m.npz", "--trials", "5"])

    assert found.dataset == "m.npz"
    assert (found.iterations, found.levels, found.trials) == (15_000, 11, 5)
    assert found.branches_at(7) == ("ticket", "reinit", "shuffle")
    assert found.branches_at(8) == ("ticket",)


def test_xla_is_left_open_unless_it_is_named(parsed, tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text("xla = false\n")
    words = ([], ["--xla"], ["--no-xla"], [str(path)], [str(path), "--xla"], ["--xla", "--no-xla"])

    assert [parsed(some).xla for some in words] == [None, True, False, False, True, False]


def test_what_depends_on_the_data_is_not_frozen_by_the_command_line(parsed):
    assert parsed(["--dataset", "mnist"]) == Experiment("mnist")


@pytest.mark.parametrize(
    ("content", "words", "match"),
    [
        ("levls = 3", [], "Unknown key in SPEC 'levls'. Did you mean 'levels'"),
        ("levels = 'many'", [], "--levels must be a whole number"),
        ("levels = ", [], "SPEC is not TOML"),
        (b"\xff\xfe", [], "SPEC is not TOML"),
        ("a = " + "[" * 5000, [], "SPEC is not TOML"),
        ("#" * (2**20 + 1), [], "has 1048577 bytes"),
        ("", ["--preset", "lenet-mnits"], "Unknown preset 'lenet-mnits'. Did you mean"),
        ("", ["other.toml"], "No such file: other.toml"),
        ("", ["lenet-mnist"], "got 'lenet-mnist'. Options start with --"),
    ],
)
def test_a_description_that_is_wrong_is_said_in_one_line(
    tmp_path, capsys, parsed, content, words, match
):
    path = tmp_path / "spec.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert parsed([str(path), *words]) is None
    err = capsys.readouterr().err
    assert match.replace("SPEC", str(path)) in err
    assert len(err.strip().splitlines()) == 1


def test_a_number_that_is_none_is_refused(parsed, capsys):
    for words in (["--control-levels", "a"], ["--layer-rates", "dense"]):
        assert parsed(words) is None
        assert words[0] in "".join(capsys.readouterr())


def test_the_presets_are_the_papers():
    mnist = preset("lenet-mnist")
    assert (mnist.iterations, mnist.levels, mnist.batch_size) == (50_000, 20, 60)
    assert (mnist.initializer, mnist.optimizer) == ("GlorotNormal", "adam:learning_rate=0.0012")
    assert {
        name: (
            preset(name).iterations,
            preset(name).optimizer,
            preset(name).layer_rates,
            preset(name).rate,
            preset(name).output_rate,
        )
        for name in ("conv2", "conv4", "conv6")
    } == {
        "conv2": (20_000, "adam:learning_rate=0.0002", {"conv2d*": 0.1}, 0.2, 0.1),
        "conv4": (25_000, "adam:learning_rate=0.0003", {"conv2d*": 0.1}, 0.2, 0.1),
        "conv6": (30_000, "adam:learning_rate=0.0003", {"conv2d*": 0.15}, 0.2, 0.1),
    }


def test_the_readme_has_the_table_of_the_fields():
    assert options.table() in GUIDE


def test_every_field_is_described():
    assert list(options.descriptions()) == list(Experiment().to_dict())
