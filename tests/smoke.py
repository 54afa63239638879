"""What an installed kerasinit must do, in a few seconds and without anything else of the tests.

Run as ``python -I tests/smoke.py``: with ``-I``, Python finds the installed package and no other.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kerasinit
from kerasinit import pruning


def initializer_is_saved_and_loaded(folder: Path) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", kernel_initializer=kerasinit.HeNormal(seed=1)),
            keras.layers.Dense(2),
        ]
    )
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    assert type(loaded.layers[0].kernel_initializer) is kerasinit.HeNormal
    for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    return loaded


def model_is_diagnosed(model: keras.Model, x: np.ndarray) -> None:
    report = kerasinit.diagnose(model, x)
    assert report.ok, str(report)


def model_is_pruned(model: keras.Model, x: np.ndarray) -> None:
    schedule = pruning.ConstantSparsity(0.5, begin_step=0, frequency=1)
    pruned = pruning.prune_low_magnitude(model, schedule)
    pruned.compile("sgd", "mse")
    pruned.fit(x, x[:, :2], callbacks=[pruning.UpdatePruningStep()], verbose=0)
    kernel, *_ = pruning.strip_pruning(pruned).get_weights()
    assert (kernel == 0).mean() == 0.5


def the_playground_has_its_files() -> None:
    # Those that are no modules of Python are easily left out of a wheel.
    from kerasinit._src.playground import lesson_files, page_files

    assert len(lesson_files.built_in()) >= 9
    assert {"app.js", "playground.css", "uplot.js", "page.css"} <= {*page_files.static_files()}
    assert page_files.page().startswith("<!doctype html>")


def commands_answer() -> None:
    # The installed script, not a module: its entry point is part of the package.
    command = Path(sysconfig.get_path("scripts")) / "kerasinit"
    for words, expected in (
        (["--help"], "lottery"),
        (["--version"], f"kerasinit {kerasinit.__version__}"),
    ):
        printed = subprocess.run([command, *words], capture_output=True, text=True, check=True)
        assert expected in printed.stdout, printed.stdout


def main() -> None:
    installed = Path(kerasinit.__file__).resolve()
    assert installed.is_relative_to(Path(sysconfig.get_path("purelib")).resolve()), installed
    assert metadata.version("kerasinit") == kerasinit.__version__
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).standard_normal((64, 4)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        model = initializer_is_saved_and_loaded(Path(folder))
    model_is_diagnosed(model, x)
    model_is_pruned(model, x)
    the_playground_has_its_files()
    commands_answer()
    print(f"kerasinit {kerasinit.__version__} on Python {sys.version.split()[0]}: works")


if __name__ == "__main__":
    main()
