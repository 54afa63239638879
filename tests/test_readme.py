"""The README's first lines do what it says, and its set-up lines are there."""

import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasinit
from tests.kerases import needs_tf_keras, tf_keras

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(start):
    """Return the block of Python that begins with a line."""
    return re.search(rf"```python\n({re.escape(start)}\n.*?)```", README, re.DOTALL)[1]


@needs_tf_keras
def test_the_same_lines_give_the_same_weights_in_both_kerases():
    code = block("import keras, kerasinit")
    models = []
    for lines in (code, code.replace("import keras,", "import tf_keras as keras,")):
        names = {}
        exec(compile(lines, "README.md", "exec"), names)
        models.append(names["model"])

    assert isinstance(models[0], keras.Model)
    assert isinstance(models[1], tf_keras.Model)
    # The first layer has a seed; the second is fresh every time.
    first, second = ([np.array(w) for w in model.get_weights()] for model in models)
    np.testing.assert_array_equal(first[0], second[0])
    assert first[0].shape == (784, 300)
    assert not np.array_equal(first[2], second[2])


def test_each_set_up_line_is_complete():
    lines = re.findall(r"^pip install .*$", README, re.MULTILINE)

    assert lines == [
        "pip install -e '.[examples]' && kerasinit lottery run",
        "pip install -e '.[test]' && pytest",
        "pip install -e '.[playground]' && kerasinit playground",
    ]


def test_the_python_that_runs_this_is_one_that_the_readme_names():
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in README


def test_it_is_short_and_has_three_blocks_of_code():
    assert len(README.splitlines()) <= 160
    assert README.count("```python") == 3


def test_the_lines_on_diagnosis_find_and_fix_what_is_wrong():
    names = {"keras": keras, "kerasinit": kerasinit}
    names["x"] = np.random.default_rng(0).normal(size=(64, 64)).astype("float32")

    exec(block('deep = [keras.layers.Dense(64, "sigmoid") for _ in range(10)]'), names)

    assert "vanishing-gradients" in [finding.kind for finding in names["report"].findings]
    assert kerasinit.diagnose(names["model"], names["x"]).ok


def test_the_lines_on_pruning_and_smaller_models_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layers = [keras.layers.Dense(32, "relu"), keras.layers.Dense(3, name="head")]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(160, 8)).astype("float32")
    names = {"model": model, "x": x, "y": np.ones((160, 3), "float32")}
    # As many steps as the schedule of the README has would take a minute.
    lines = block("from kerasinit import pruning, shrinking")
    lines = lines.replace("end_step=2000)", "end_step=4, frequency=1)")
    lines = lines.replace("x[:1]))", "x[:1], latency=False))")

    pruned, rest = lines.split("\n\nplan = ")
    exec(compile(pruned, "README.md", "exec"), names)
    assert (layers[0].kernel.numpy() == 0).mean() == pytest.approx(0.9, abs=0.01)
    exec(compile(f"plan = {rest}", "README.md", "exec"), names)

    assert names["small"].layers[0].units <= 16
    assert (tmp_path / "small.tflite").is_file()


def test_its_links_and_pictures_are_there():
    targets = [target for target in re.findall(r"\]\(([^)#]+)", README) if "://" not in target]

    assert len(targets) > 20
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_tests_that_it_names_are_there():
    paths = re.findall(r"\b(tests/[\w/]+(?:\.py)?)", README)
    modules = [name.replace(".", "/") for name in re.findall(r"-m (tests\.[\w.]+)", README)]

    assert len(paths) >= 4
    assert len(modules) >= 3
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [name for name in modules if not (ROOT / f"{name}.py").is_file()] == []
