"""The README's first lines do what it says, and its set-up lines are there."""

import re
import sys
from pathlib import Path

import keras
import numpy as np

from tests.kerases import needs_tf_keras, tf_keras

README = (Path(__file__).parents[1] / "README.md").read_text()


@needs_tf_keras
def test_the_same_lines_give_the_same_weights_in_both_kerases():
    code = re.search(r"```python\n(import keras, kerasinit\n.*?)```", README, re.DOTALL)[1]
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


def test_there_are_two_set_up_lines_each_complete():
    lines = re.findall(r"^pip install .*$", README, re.MULTILINE)

    assert lines == [
        "pip install -e '.[examples]' && kerasinit lottery run",
        "pip install -e '.[test]' && pytest",
    ]


def test_the_python_that_runs_this_is_one_that_the_readme_names():
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in README


def test_the_lines_on_smaller_models_make_one(tmp_path, monkeypatch):
    code = re.search(
        r"```python\n(from kerasinit import pruning, shrinking\n.*?)```", README, re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    layers = [keras.layers.Dense(32, "relu"), keras.layers.Dense(3, name="head")]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(160, 8)).astype("float32")
    names = {"model": model, "x": x, "y": np.ones((160, 3), "float32")}
    # As many steps as the schedule of the README has would take a minute.
    lines = code[1].replace("end_step=2000)", "end_step=4, frequency=1)")
    lines = lines.replace("x[:1]))", "x[:1], latency=False))")

    exec(compile(lines, "README.md", "exec"), names)

    assert names["small"].layers[0].units == 16
    assert (tmp_path / "small.tflite").is_file()
