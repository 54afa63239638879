"""Importing the package touches nothing but itself."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, os
before = dict(os.environ)
import tensorflow as tf, keras
theirs = dict(os.environ)
import kerasinit
changed = sorted(set(os.environ.items()) ^ set(theirs.items()))
import sys
loaded = sorted(name for name in sys.modules if "." not in name)
print(json.dumps({
    "fresh": before != theirs, "changed": changed, "loaded": loaded,
    "rooms": sorted(name for name in sys.modules if name.startswith("kerasinit.")),
    "legacy": os.environ.get("TF_USE_LEGACY_KERAS"), "keras": tf.keras.__version__,
}))
"""


@pytest.fixture(scope="module")
def seen():
    """Return what a fresh interpreter, in which warnings are errors, saw."""
    # TensorFlow and Keras set variables when they are imported. This process has them
    # already, so a child that inherited them would show nothing.
    environment = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_it_imports_where_warnings_are_errors_and_leaves_the_environment_alone(seen):
    assert seen["fresh"], "the child's environment was not fresh"
    assert seen["changed"] == []
    assert seen["legacy"] is None
    assert "kerasinit" in seen["loaded"]


def test_tf_keras_is_what_it_was(seen):
    assert seen["keras"].startswith("3.")


@pytest.mark.parametrize("name", ["tensorflow_model_optimization", "tyro"])
def test_it_does_not_load_what_only_some_need(seen, name):
    assert name not in seen["loaded"]


def test_initializers_do_not_load_what_is_built_upon_them(seen):
    rooms = {name.split(".")[2] for name in seen["rooms"] if name.startswith("kerasinit._src.")}
    assert "initializers" in rooms
    assert not rooms & {"cli", "lottery", "pruning"}
