"""tfmot comes in by one door, and leaves the process as it was."""

import abc
import importlib
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import kerasinit
from kerasinit import pruning
from kerasinit._src.pruning.tfmot_bridge import tfmot
from tests.kerases import tf_keras

PACKAGE = Path(kerasinit.__file__).parent

IMPORT = """
import os, sys
from kerasinit import pruning
assert not {"tensorflow_model_optimization", "tensorboard"} & sys.modules.keys()
environment = dict(os.environ)
pruning.ConstantSparsity(0.5, 0)
assert "tensorflow_model_optimization" in sys.modules
assert dict(os.environ) == environment
import tensorflow as tf
print(tf.keras.layers.Layer.__module__)
"""


def test_schedules_come_when_asked_for_without_changing_tf_keras_or_the_environment():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("keras.")


@pytest.mark.parametrize("before", [None, "0", "1"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_variable_is_put_back_as_it_was_even_if_the_import_fails(monkeypatch, before, fails):
    def imported(name):
        os.environ["TF_USE_LEGACY_KERAS"] = "changed"
        if fails:
            raise ImportError(name)
        return types.SimpleNamespace(sparsity=types.SimpleNamespace(keras=found))

    found = types.SimpleNamespace(PrunableLayer=abc.ABCMeta("Theirs", (), {}))
    tf.keras.layers  # noqa: B018  # TensorFlow looks for it by `import_module`, once.
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", before or "")
    if before is None:
        monkeypatch.delenv("TF_USE_LEGACY_KERAS")
    monkeypatch.setattr(importlib, "import_module", imported)
    if fails:
        with pytest.raises(ImportError, match="tensorflow_model_optimization"):
            tfmot()
    else:
        assert tfmot() is found
    assert os.environ.get("TF_USE_LEGACY_KERAS") == before


def test_only_the_bridge_names_tfmot_in_an_import():
    importing = re.compile(
        r"import_module\(.tensorflow_model_opt|^\s*(import|from) tensorflow_model"
    )
    found = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if any(importing.search(line) for line in path.read_text().splitlines())
    ]
    assert found == ["tfmot_bridge.py"]


def test_the_schedules_are_listed_and_unknown_names_are_not_made_up():
    assert {"ConstantSparsity", "PolynomialDecay", "PruningSchedule"} <= {*dir(pruning)}
    assert all(hasattr(pruning, name) for name in pruning.__all__)
    with pytest.raises(AttributeError, match="CubicSparsity"):
        pruning.CubicSparsity  # noqa: B018


def tf_keras_model():
    layers = tf_keras.layers
    return tf_keras.Sequential([tf_keras.Input((6,)), layers.Dense(8), layers.Dense(2)])


def test_a_tf_keras_model_goes_to_tfmot_and_keeps_its_names():
    model = tf_keras_model()
    names = [weight.name for weight in pruning.prunable_weights(model)]
    pruned = pruning.prune_low_magnitude(model)
    assert {type(layer).__name__ for layer in pruned.layers} == {"PruneLowMagnitude"}
    assert list(pruning.masks(pruned)) == names == ["dense/kernel", "dense_1/kernel"]
    assert [weight.name for weight in pruning.prunable_weights(pruned)] == names
    stripped = pruning.strip_pruning(pruned)
    assert {type(layer) for layer in stripped.layers} == {tf_keras.layers.Dense}


def test_a_tf_keras_layer_and_a_list_go_to_tfmot():
    wrapped = pruning.prune_low_magnitude(tf_keras.layers.Dense(3), name="ignored")
    assert type(wrapped).__name__ == "PruneLowMagnitude"
    (wrapped,) = pruning.prune_low_magnitude(
        [tf_keras.layers.Dense(3)], pruning.ConstantSparsity(0.25, 0)
    )
    assert wrapped.pruning_schedule.target_sparsity == 0.25


def test_masks_of_a_tf_keras_model_that_is_not_pruned_are_refused():
    with pytest.raises(ValueError, match="none of its layers is wrapped"):
        pruning.masks(tf_keras_model())


def test_the_policy_of_tfmot_is_refused_for_keras_3():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"supports tf_keras layers only.*kerasinit.pruning"):
        pruning.prune_low_magnitude(model, pruning_policy=tfmot().PruneForLatencyOnXNNPack())
