"""The questions as a stranger types them."""

import json

import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src import cli
from kerasinit._src.lottery.store.store import Store

SMALL = "--iterations 20 --evaluate-every 2 --trials 1 --batch-size 20 --optimizer sgd --no-xla"


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """A function that runs a command beside two files of examples.

    There are as many of them to test as to validate, so that one graph evaluates both.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    for name, column in (("mine", 0), ("yours", 1)):
        rng = np.random.default_rng(column)
        arrays = {"x_train": rng.random((60, 6)), "x_test": rng.random((10, 6))}
        for part in ("train", "test"):
            arrays[f"y_{part}"] = (arrays[f"x_{part}"][:, column] > 0.5).astype(int)
        np.savez(tmp_path / f"{name}.npz", **arrays)

    def run(words):
        with pytest.raises(SystemExit) as exit_:
            cli.main(["lottery", *words.split()])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return run


def test_lmc_and_transfer_are_asked_of_a_run(ask, tmp_path):
    assert ask(f"run --dataset mine.npz {SMALL} --levels 2 --out run")[0] == 0

    code, out, err = ask("lmc run --points 3 --level 1 2")
    assert code == 0
    assert "stable" in out
    assert "level 2, copy-1: test error" in err
    assert (tmp_path / "run-lmc" / "trial-0" / "level-01" / "line-3").is_dir()

    (tmp_path / "mine.npz").rename(tmp_path / "moved.npz")
    code, out, err = ask("lmc run --points 3")
    assert code == 2
    assert "No such file: mine.npz" in err
    code, out, err = ask("lmc run --points 3 --dataset moved.npz --json")
    assert (code, err) == (0, "")
    assert [level["level"] for level in json.loads(out)["levels"]] == [0, 2]

    code, out, _ = ask("transfer run --to yours.npz --iterations 10 --out there --json")
    rows = json.loads(out)["rows"]
    assert code == 0
    assert [(row["level"], row["branch"]) for row in rows] == [
        (0, "ticket"),
        (2, "ticket"),
        (2, "reinit"),
    ]
    assert (tmp_path / "there" / "trial-0" / "level-02" / "reinit").is_dir()
    code, out, err = ask("transfer run --to yours.npz --iterations 10 --out there --level 1")
    assert code == 0
    assert "against" in out
    assert "level 1, reinit: test accuracy" in err

    code, _, err = ask("transfer run --to yours.npz --level 3 --out there")
    assert code == 2
    assert "no finished level 3" in err


def test_an_early_bird_is_found_and_kept(ask, tmp_path):
    words = f"earlybird --dataset mine.npz {SMALL} --window 2 --epsilon 0.5 --density 0.2 --out e"
    code, out, err = ask(words)
    assert code == 0
    assert "20 % largest" in out
    assert "early bird at iteration 4 of 20" in out
    assert "folder: e" in err
    assert (tmp_path / "e" / "trial-0" / "ticket.safetensors").is_file()

    code, out, _ = ask(f"{words} --json")
    assert code == 0
    assert json.loads(out)["trials"][0]["iteration"] == 4

    code, _, err = ask(f"{words} --rate 0.5")
    assert code == 2
    assert "--rate does not apply" in err


def test_a_sweep_takes_names_and_their_arguments(ask, tmp_path):
    names = "HeNormal,VarianceScaling:scale=2.0,mode=fan_in"
    words = f"sweep --dataset mine.npz {SMALL} --levels 0 --out s --initializers {names}"
    code, out, _ = ask(words)
    assert code == 0
    assert "HeNormal: test" in out
    store = Store.read(tmp_path / "s" / "VarianceScaling-scale=2.0-mode=fan_in")
    assert store.experiment.initializer == "VarianceScaling:scale=2.0,mode=fan_in"

    code, out, _ = ask(f"{words} --json")
    assert code == 0
    assert [line["initializer"] for line in json.loads(out)["means"]] == [
        "HeNormal",
        "VarianceScaling:scale=2.0,mode=fan_in",
    ]

    code, _, err = ask(f"sweep --dataset mine.npz {SMALL} --out t --initializers HeNormall")
    assert code == 2
    assert "Did you mean 'HeNormal'" in err


_MODULE = """
import keras

def build():
    layers = [keras.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
"""


def test_a_run_of_a_script_is_asked_with_its_model_from_a_module(ask, tmp_path):
    (tmp_path / "a_module_of_mine.py").write_text(_MODULE)
    script = {}
    exec(_MODULE, script)
    build = script["build"]
    build.__module__ = "__main__"
    experiment = lottery.Experiment(
        dataset="mine.npz", iterations=4, evaluate_every=2, levels=1, trials=1, xla=False
    )
    with pytest.warns(UserWarning, match="comes from a script"):
        lottery.run(experiment, build=build, out="run")

    code, _, err = ask("lmc run --points 3")
    assert code == 2
    assert "--model module:build" in err
    code, out, _ = ask("lmc run --points 3 --model a_module_of_mine:build")
    assert code == 0
    assert "stable" in out
    code, out, _ = ask("transfer run --to yours.npz --model a_module_of_mine:build")
    assert code == 0
    assert "against" in out


def test_odd_words_are_errors_without_a_traceback(ask):
    for words in ("report x[/b]", "run --levels [/b]", "run --dataset [/b].npz", "lmc x[/b]"):
        code, out, err = ask(words)
        assert code == 2
        assert "x[/b]" in out + err or "[/b]" in out + err
        assert "Traceback" not in out + err
