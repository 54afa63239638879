"""Importing the package touches nothing but itself, and waits for what it needs."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.kerases import needs_tf_keras
from tests.products import nightly

FRAMEWORKS = {"jax", "keras", "tensorflow", "tf_keras", "torch"}


def run_fresh(script, *arguments):
    """Return what a script prints last, as JSON, in a fresh process where warnings are errors."""
    # TensorFlow and Keras set variables when they are imported. This process has them
    # already, so a child that inherited them would show nothing.
    kept = ("HOME", "PATH", "KERAS_BACKEND", "PYTHONPATH")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        env={name: os.environ[name] for name in kept if name in os.environ},
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


SCRIPT = """
import json, os, sys
import kerasinit
at_once = sorted({name.partition(".")[0] for name in sys.modules})
before = dict(os.environ)
import tensorflow as tf, keras
theirs = dict(os.environ)
kerasinit.HeNormal
changed = sorted(set(os.environ.items()) ^ set(theirs.items()))
loaded = sorted(name for name in sys.modules if "." not in name)
print(json.dumps({
    "at_once": at_once,
    "fresh": before != theirs, "changed": changed, "loaded": loaded,
    "rooms": sorted(name for name in sys.modules if name.startswith("kerasinit.")),
    "legacy": os.environ.get("TF_USE_LEGACY_KERAS"), "keras": tf.keras.__version__,
}))
"""


@pytest.fixture(scope="module")
def seen():
    return run_fresh(SCRIPT)


def test_it_waits_for_no_framework(seen):
    assert "kerasinit" in seen["at_once"]
    assert not FRAMEWORKS & set(seen["at_once"])
    assert not {"numpy", "scipy", "rich"} & set(seen["at_once"])


def test_it_imports_where_warnings_are_errors_and_leaves_the_environment_alone(seen):
    assert seen["fresh"], "the child's environment was not fresh"
    assert seen["changed"] == []
    assert seen["legacy"] is None


def test_tf_keras_is_what_it_was(seen):
    assert seen["keras"].startswith("3.")


@pytest.mark.parametrize("name", ["tensorflow_model_optimization", "tf_keras", "tyro"])
def test_it_does_not_load_what_only_some_need(seen, name):
    assert name not in seen["loaded"]


def test_initializers_do_not_load_what_is_built_upon_them(seen):
    rooms = {name.split(".")[2] for name in seen["rooms"] if name.startswith("kerasinit._src.")}
    assert "initializers" in rooms
    assert not rooms & {"cli", "diagnosis", "lottery", "pruning", "training", "whole_models"}


@pytest.mark.parametrize(
    "order",
    [["kerasinit", "keras"], pytest.param(["keras", "kerasinit"], marks=nightly)],
    ids="-".join,
)
def test_saved_models_load_without_naming_an_initializer(tmp_path, order):
    script = """
        import importlib, json, sys
        for name in sys.argv[2:]:
            importlib.import_module(name)
        import keras
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        config = model.get_config()
        chosen = {"module": None, "class_name": "HeNormal", "config": {"seed": 1},
                  "registered_name": "kerasinit>HeNormal"}
        config["layers"][1]["config"]["kernel_initializer"] = chosen
        json.dump(config, open(sys.argv[1], "w"))
        loaded = keras.Sequential.from_config(json.load(open(sys.argv[1])))
        print(json.dumps(repr(loaded.layers[0].kernel_initializer)))
    """
    assert run_fresh(script, tmp_path / "config.json", *order) == "HeNormal(seed=1)"


@needs_tf_keras
def test_objects_serve_tf_keras_though_they_are_older(tmp_path):
    script = """
        import json, sys
        import keras, kerasinit, numpy as np
        from kerasinit import pruning

        @keras.saving.register_keras_serializable("mine")
        class Ramp(kerasinit.Initializer):
            def get_config(self):
                return {}
            def _values(self, shape, dtype):
                return np.arange(np.prod(shape)).reshape(shape).astype(dtype)

        old, mine = kerasinit.HeNormal(seed=1), Ramp()
        hold = pruning.HoldMasks({"dense/kernel": np.arange(6).reshape(3, 2) > 2})
        alone = "tf_keras" not in sys.modules

        import tf_keras
        both = [isinstance(one, tf_keras.initializers.Initializer) for one in (old, mine)]
        both.append(isinstance(hold, tf_keras.callbacks.Callback))
        layers = [tf_keras.Input((3,)), tf_keras.layers.Dense(2, kernel_initializer=old)]
        model = tf_keras.Sequential(layers)
        first = model.layers[0].kernel.numpy()
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 3)), np.ones((4, 2)), callbacks=[hold], verbose=0)
        zeros = int((model.layers[0].kernel.numpy() == 0).sum())
        loaded = []
        for name in ("/model.keras", "/model.h5"):
            model.save(sys.argv[1] + name)
            loaded.append(tf_keras.models.load_model(sys.argv[1] + name))
        print(json.dumps({
            "alone": alone, "both": both, "zeros": zeros,
            "same": bool((first == old((3, 2))).all()),
            "loaded": [repr(one.layers[0].kernel_initializer) for one in loaded],
        }))
    """
    # tf_keras warns of the .h5 format, and TensorFlow of what NumPy deprecates.
    script = "import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(script)
    found = run_fresh(script, tmp_path)

    assert found == {
        "alone": True,
        "both": [True] * 3,
        "zeros": 3,
        "same": True,
        "loaded": ["HeNormal(seed=1)"] * 2,
    }


def test_keras_3_is_served_where_tf_keras_is_not_installed(tmp_path):
    script = """
        import json, sys
        for name in ("tf_keras", "tensorflow_model_optimization"):
            sys.modules[name] = None  # so that an import of it fails
        import keras, kerasinit, numpy as np
        from kerasinit import pruning

        layers = [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)]
        model = keras.Sequential(layers)
        kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)
        x, y = np.random.normal(size=(8, 3)), np.ones((8, 2))
        model.compile("sgd", "mse")
        kerasinit.diagnose(model, x, y)
        schedule = pruning.PolynomialDecay(0.0, 0.5, begin_step=0, end_step=2, frequency=1)
        pruned = pruning.prune_low_magnitude(model, schedule)
        pruned.compile("sgd", "mse")
        pruned.fit(x, y, epochs=3, callbacks=[pruning.UpdatePruningStep()], verbose=0)
        model = pruning.strip_pruning(pruned)
        model.save(sys.argv[1] + "/model.keras")
        loaded = keras.models.load_model(sys.argv[1] + "/model.keras")
        print(json.dumps(int((loaded.layers[0].kernel.numpy() == 0).sum())))
    """
    script = "import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(script)
    assert run_fresh(script, tmp_path) == 6


def test_a_file_of_tf_keras_asks_for_tf_keras(monkeypatch):
    from kerasinit._src import compat

    monkeypatch.setitem(sys.modules, "tf_keras", None)

    with pytest.raises(ImportError, match=r"pip install 'tf_keras==") as caught:
        compat.library("tf_keras")
    assert "use a model of Keras 3" in str(caught.value)


def test_what_runs_on_tensorflow_asks_for_it(monkeypatch):
    import kerasinit
    from kerasinit._src import lazy

    find, _, _ = lazy.exports("kerasinit", kerasinit.__file__)

    def fail(name):
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr(lazy.importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r"kerasinit\.diagnose runs on TensorFlow"):
        find("diagnose")


# That no module can be caught half imported is checked in test_house.py, without importing any.
FIRST = [
    "gain",
    *(pytest.param(one, marks=nightly) for one in ("compute_fans", "variables_in", "pruning")),
]


@pytest.mark.parametrize("name", FIRST)
def test_any_name_may_be_the_first_that_imports_keras(name):
    script = """
        import json, sys
        import kerasinit
        getattr(kerasinit, sys.argv[1])
        import keras
        found = keras.saving.get_registered_object("kerasinit>HeNormal")
        print(json.dumps(found is kerasinit.HeNormal))
    """
    assert run_fresh(script, name)
