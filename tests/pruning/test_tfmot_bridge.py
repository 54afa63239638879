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
from tests.kerases import needs_tfmot, tf_keras
from tests.products import nightly

PACKAGE = Path(kerasinit.__file__).parent

IMPORT = """
import os, sys
from kerasinit import pruning
schedule = pruning.ConstantSparsity(0.5, 0)
assert not {"tensorflow_model_optimization", "tensorboard"} & sys.modules.keys()
environment = dict(os.environ)
import tf_keras
pruning.prune_low_magnitude(tf_keras.layers.Dense(3), schedule)
assert "tensorflow_model_optimization" in sys.modules
assert dict(os.environ) == environment
import tensorflow as tf
print(tf.keras.layers.Layer.__module__)
"""

# A Keras 3 model from pruning to its file, with everything that could want to know what tfmot has.
KERAS_3 = """
import sys, tempfile
import keras, numpy as np
from kerasinit import pruning
layers = [keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(2)]
schedule = pruning.PolynomialDecay(0.0, 0.5, begin_step=0, end_step=4, frequency=1)
policy = pruning.PruneTrainableLayers() & pruning.PruneKnownLayers()
model = pruning.prune_low_magnitude(keras.Sequential(layers), schedule, pruning_policy=policy)
model.compile("sgd", "mse")
x = np.random.default_rng(0).standard_normal((16, 6)).astype("float32")
callbacks = [pruning.UpdatePruningStep(), pruning.EarlyStopping("loss")]
model.fit(x, x[:, :2], batch_size=4, epochs=2, callbacks=callbacks, verbose=0)
pruning.summary(model)
model = pruning.strip_pruning(model)
with tempfile.TemporaryDirectory() as folder:
    model.save(folder + "/model.keras")
    model = keras.models.load_model(folder + "/model.keras")
assert [float((layer.kernel.numpy() == 0).mean()) for layer in model.layers] == [0.5, 0.5]
assert isinstance(pruning.prune_low_magnitude(model), keras.Sequential)
for name in sys.argv[1:]:
    assert name not in sys.modules, name
"""


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_tfmot
def test_a_tf_keras_layer_brings_tfmot_without_changing_tf_keras_or_the_environment():
    assert run(IMPORT).startswith("keras.")


@nightly  # test_import.py does more, where they cannot be imported
def test_a_keras_3_model_is_pruned_without_tfmot_and_tf_keras():
    run(KERAS_3, "tensorflow_model_optimization", "tf_keras")


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


@needs_tfmot
def test_all_names_of_tfmot_are_here():
    theirs = {name for name in dir(tfmot()) if not name.startswith("_")}
    assert "PolynomialDecay" in theirs
    assert theirs <= {*pruning.__all__}
    assert all(hasattr(pruning, name) for name in pruning.__all__)


@pytest.mark.parametrize(
    "call",
    [
        lambda layer: pruning.prune_low_magnitude(layer),
        lambda layer: pruning.prune_low_magnitude([layer], pruning.ConstantSparsity(0.5, 0)),
        lambda layer: pruning.strip_pruning(tf_keras.Sequential([layer])),
        lambda layer: pruning.prune_scope(),
    ],
)
def test_without_tfmot_an_error_says_why_it_is_needed_and_how_it_is_installed(monkeypatch, call):
    layer = tf_keras.layers.Dense(3)
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    with pytest.raises(
        ImportError,
        match=r"^tf_keras models are pruned by tensorflow-model-optimization itself, which is not "
        r"installed .*\. Install it by: pip install tensorflow-model-optimization\. ",
    ):
        call(layer)
    pruning.prune_low_magnitude(keras.layers.Dense(3), pruning.ConstantSparsity(0.5, 0))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("tf_keras.src", r"needs tf_keras, which is not installed .*: pip install tf_keras\. "),
        ("distutils.version", r"needs setuptools, which is not installed .* install setuptools\. "),
        ("mock", r"cannot be imported \(No module named 'mock'\).* tf_keras setuptools\. "),
    ],
)
def test_what_tfmot_lacks_is_named_with_the_line_that_installs_it(monkeypatch, module, message):
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    theirs = importlib.import_module

    def imported(name, *arguments):
        if name == "tensorflow_model_optimization":
            raise error
        return theirs(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", imported)
    with pytest.raises(ImportError, match=message) as said:
        pruning.prune_low_magnitude(tf_keras.layers.Dense(3))
    assert (said.value.name, said.value.__cause__) == (module, error)


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


class Ramp(pruning.PruningSchedule):
    """A custom schedule, not derived from a class of tfmot."""

    def __call__(self, step):
        return step >= 1, tf.minimum(0.25 * tf.cast(step, tf.float32), 0.5)

    def get_config(self):
        return {"class_name": "Ramp", "config": {}}


@pytest.mark.parametrize(
    "schedule",
    [
        pruning.ConstantSparsity(0.5, 1, end_step=9, frequency=1),
        pruning.PolynomialDecay(0.25, 0.5, 0, 2, power=2, frequency=1),
        Ramp(),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("scope", [pruning.prune_scope, lambda: tfmot().prune_scope()])
def test_a_wrapped_model_is_loaded_with_its_schedule(tmp_path, schedule, suffix, scope):
    model = pruning.prune_low_magnitude(tf_keras_model(), schedule)
    path = tmp_path / f"model.{suffix}"
    model.save(path)
    with scope(), tf_keras.utils.custom_object_scope({"Ramp": Ramp}):
        loaded = tf_keras.models.load_model(path, compile=False)
    # Both hold what they would hold if this package did not exist.
    kind = getattr(tfmot(), type(schedule).__name__, Ramp)
    for layer in (*model.layers, *loaded.layers):
        assert type(layer.pruning_schedule) is kind
        assert layer.pruning_schedule.get_config() == schedule.get_config()
    loaded.compile("sgd", "mse")
    x = tf.random.stateless_normal((16, 6), (0, 0))
    loaded.fit(x, x[:, :2], 4, verbose=0, callbacks=[pruning.UpdatePruningStep()])
    sparsities = [1 - mask.mean() for mask in pruning.masks(loaded).values()]
    assert sparsities == [0.5, 0.5]


@needs_tfmot
def test_a_schedule_of_tfmot_reaches_tfmot_as_the_same_object():
    schedule = tfmot().ConstantSparsity(0.25, 0)
    wrapped = pruning.prune_low_magnitude(tf_keras.layers.Dense(3), schedule)
    assert wrapped.pruning_schedule is schedule


def test_masks_of_a_tf_keras_model_that_is_not_pruned_are_refused():
    with pytest.raises(ValueError, match="none of its layers is wrapped"):
        pruning.masks(tf_keras_model())


@needs_tfmot
def test_the_policy_of_tfmot_is_refused_for_keras_3():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"supports tf_keras layers only.*kerasinit.pruning"):
        pruning.prune_low_magnitude(model, pruning_policy=tfmot().PruneForLatencyOnXNNPack())


def test_the_scope_does_nothing_where_tf_keras_is_not_installed(monkeypatch):
    for name in ("tensorflow_model_optimization", "tf_keras"):
        monkeypatch.setitem(sys.modules, name, None)
    with pruning.prune_scope():
        pass
