"""The help, wrong options, and the commands that read a run import no framework."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from kerasinit._src import cli

FRAMEWORKS = {"jax", "keras", "tensorflow", "tensorflow_model_optimization", "tf_keras", "torch"}
SLOW = FRAMEWORKS | {"h5py", "matplotlib", "scipy", "sklearn"}

PROGRAM = """
import sys
from kerasinit._src.cli import main
try:
    main()
finally:
    with open("imported.txt", "w") as file:
        file.write("\\n".join(sys.modules))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.random((60, 6)), "x_test": rng.random((10, 6))}
    for part in ("train", "test"):
        arrays[f"y_{part}"] = (arrays[f"x_{part}"][:, 0] > 0.5).astype(int)
    np.savez(folder / "mine.npz", **arrays)
    words = "--iterations 20 --evaluate-every 10 --levels 1 --trials 2 --batch-size 20"
    words += f" --dataset {folder / 'mine.npz'} --out {folder / 'run'}"
    with pytest.raises(SystemExit) as exit_:
        cli.main(["lottery", "run", *words.split()])
    assert not exit_.value.code
    return folder / "run"


@pytest.fixture
def typed(tmp_path):
    """Return what a command printed in a process of its own, its exit code, its imports."""

    def typed(*words):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"},
        )
        return ended, set((tmp_path / "imported.txt").read_text().split())

    return typed


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help", 0),
        ("lottery --help", 0),
        *(
            (f"{command} --help", 0)
            for command in (
                "diagnose",
                "compare",
                "footprint",
                "shrink",
                "playground",
                "lottery run",
                "lottery report",
                "lottery plot",
                "lottery verdict",
                "lottery digest",
                "lottery verify",
                "lottery lmc",
                "lottery transfer",
                "lottery earlybird",
                "lottery sweep",
            )
        ),
        ("frobnicate", 2),
        ("lottery reprot", 2),
        ("lottery run --datset mine.npz", 2),
        ("lottery run --preset digts", 2),
        ("lottery run --rate 2", 2),
        ("lottery plot any --what picture", 2),
        ("diagnose", 2),
        ("compare --seeds x", 2),
        ("footprint", 2),
        ("footprint any.keras --batch-size 0", 2),
        ("shrink any.keras --out small.keras --target macs=half", 2),
        ("shrink any.keras --out small.keras", 2),
        ("playground --port 65536", 2),
    ],
)
def test_help_and_wrong_words_are_answered_without_a_framework(typed, words, code):
    ended, imported = typed(*words.split())

    assert ended.returncode == code
    assert (ended.stdout if code == 0 else ended.stderr).strip()
    assert imported & SLOW == set()


@pytest.mark.parametrize("what", ["accuracy", "curves", "masks"])
def test_a_run_is_drawn_without_a_framework(run, typed, what):
    ended, imported = typed("lottery", "plot", run, "--what", what)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert imported & FRAMEWORKS == set()


READING = ("report", "report --json", "verdict", "verdict --json", "verify", "verify --json")


@pytest.mark.parametrize("words", [*READING, "digest", "report --csv rows.csv --curves curves.csv"])
def test_a_run_is_read_without_a_framework_and_alike(run, typed, words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    command, *options = words.split()

    ended, imported = typed("lottery", command, run, *options)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "numpy" in imported
    assert imported & FRAMEWORKS == set()
    if "--csv" not in words:
        # Here every framework is imported.
        with pytest.raises(SystemExit):
            cli.main(["lottery", command, str(run), *options])
        assert ended.stdout == capsys.readouterr().out


def test_what_is_wrong_with_a_run_is_found_without_a_framework(run, typed, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    model = copy / "trial-0/level-01/ticket/model.keras"
    model.write_bytes(model.read_bytes()[:-100])

    ended, imported = typed("lottery", "verify", copy, "--json")

    assert ended.returncode == 1
    findings = json.loads(ended.stdout)["findings"]
    assert {finding["file"] for finding in findings} == {"model.keras"}
    assert imported & FRAMEWORKS == set()


@pytest.mark.parametrize("command", ["report", "verdict", "digest", "verify"])
def test_a_folder_without_a_run_is_refused_without_a_framework(typed, tmp_path, command):
    ended, imported = typed("lottery", command, tmp_path)

    assert ended.returncode == 2
    assert "holds no lottery run" in ended.stderr
    assert imported & FRAMEWORKS == set()
