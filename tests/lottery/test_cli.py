"""The command line: what a stranger types, and what they see when it is wrong."""

import json

import numpy as np
import pytest

from kerasinit._src import cli
from kerasinit._src.files import lock

SMALL = "--iterations 20 --evaluate-every 10 --levels 1 --trials 2 --batch-size 20 --optimizer sgd"


def _kerasinit(words, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(words.split())
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A small file of examples, in the working directory; as many to test as to validate."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.random((60, 6)), "x_test": rng.random((10, 6))}
    for part in ("train", "test"):
        arrays[f"y_{part}"] = (arrays[f"x_{part}"][:, 0] > 0.5).astype(int)
    np.savez(tmp_path / "mine.npz", **arrays)
    return "mine.npz"


def test_a_run_ends_with_a_table_and_the_paths_of_what_it_wrote(data, tmp_path, capsys):
    code, out, _ = _kerasinit(f"lottery run --dataset {data} {SMALL} --out run", capsys)

    assert code == 0
    assert "mean of 2 trials" in out
    assert "80." in out
    for path in (
        "run/trial-1/level-01/ticket/ticket.safetensors",
        "run/trial-1/level-01/ticket/model.keras",
        "run/accuracy.png",
    ):
        assert path in out
        assert (tmp_path / path).stat().st_size > 1000

    pictured = (tmp_path / "run/accuracy.png").stat().st_mtime_ns
    code, again, _ = _kerasinit(f"lottery run --dataset {data} {SMALL} --out run", capsys)
    assert code == 0
    assert (tmp_path / "run/accuracy.png").stat().st_mtime_ns == pictured
    assert "nothing to train" in again
    assert again[again.index("┏") :] == out[out.index("┏") :]

    code, out, _ = _kerasinit("lottery report run --json", capsys)
    rows = json.loads(out)
    assert code == 0
    assert [(row["trial"], row["level"], row["branch"]) for row in rows] == [
        (trial, level, branch)
        for trial in (0, 1)
        for level, branch in ((0, "ticket"), (1, "ticket"), (1, "reinit"))
    ]

    code, table, _ = _kerasinit("lottery report run", capsys)
    assert code == 0
    assert f"{100 * np.mean([r['test_accuracy'] for r in rows if not r['level']]):.2f}" in table

    code, _, err = _kerasinit(f"lottery run --dataset {data} {SMALL} --out run --seed 5", capsys)
    assert code == 2
    assert "--seed is 0 there and 5 here" in err


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ("--dataset mnits", "Did you mean 'mnist'"),
        ("--dataset other.npz", "No such file: other.npz"),
        ("--dataset mine.npz --model lenet", "Did you mean 'lenet-300-100'"),
        ("--dataset mine.npz --initializer HeNorml", "Did you mean 'HeNormal'"),
        ("--dataset mine.npz --controls reinitt", "Did you mean 'reinit'"),
        ("--dataset mine.npz --rate 2", "--rate must lie between 0 and 1"),
        ("--dataset mine.npz --rewind step:x", "Choices: constant-signs, finetune, init"),
        ("--dataset mine.npz --workers 0", "--workers must be a whole number of at least 1"),
        ("--dataset mine.npz --checkpoint-every -1", "--checkpoint-every is a number of seconds"),
        ("--dataset mine.npz --out mine.npz", "mine.npz is a file"),
        (
            "--dataset mine.npz --out mine.npz/run",
            "Cannot write to mine.npz/run: Not a directory. Choose another folder",
        ),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line_before_training(data, words, match, capsys):
    code, out, err = _kerasinit(f"lottery run {words}", capsys)

    assert code == 2
    assert match in err
    assert len(err.strip().splitlines()) == 1
    assert "trainings of" not in out


def test_a_folder_that_another_process_works_on_is_left_to_it(data, tmp_path, capsys):
    with lock.held(tmp_path / "run"):
        code, _, err = _kerasinit(f"lottery run --dataset {data} {SMALL} --out run", capsys)

    assert code == 2
    assert "Another process is working on run (process" in err


def test_a_report_of_nothing_says_so(data, capsys):
    code, _, err = _kerasinit("lottery report .", capsys)

    assert code == 2
    assert "holds no lottery run" in err


def test_an_unknown_option_gets_a_suggestion(data, capsys):
    code, out, err = _kerasinit("lottery run --datset mine.npz", capsys)

    assert code == 2
    assert "--dataset" in out + err


def test_controls_are_separated_by_commas_and_none_is_none(data, capsys):
    words = f"lottery run --dataset {data} {SMALL} --trials 1 --controls none --no-xla --out run"
    code, out, _ = _kerasinit(words, capsys)

    assert code == 0
    assert "reinit" not in out
