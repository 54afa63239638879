"""Saved in one process, loaded in another: same class, same arguments, same weights.

One model has a layer for every class, so that each format is written and read once.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasinit
from tests.kerases import HAS_TF_KERAS, KERASES, tf_keras

from .load_saved import described
from .table import IMAGES, PLACES, TABLE

SIZE = 4
FORMS = [
    *[("keras", form) for form in ("model.keras", "model.h5", "json")],
    *[
        ("tf_keras", form)
        for form in ("model.keras", "model.h5", "json", "saved_model")
        if HAS_TF_KERAS
    ],
]
pytestmark = [
    # tf_keras says of .h5 that it is legacy; we promise it all the same.
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    # Keras 3 reads its variables through np.array(), which NumPy 2 frowns upon.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


def initializers():
    """Return an initializer for each layer, by the layer's name."""
    made = {case.name: case.fixed(seed=3) for case in TABLE}
    made["with_generator"] = kerasinit.HeNormal(seed=keras.random.SeedGenerator(4))
    made["without_seed"] = kerasinit.GlorotUniform()
    made["with_axes"] = kerasinit.VarianceScaling(
        2.0, "fan_avg", "uniform", 3, input_axes=[0], output_axes=(-1,)
    )
    return made


def model_of(module):
    """Return a model whose layers stand side by side, so that each shows in the output."""
    images = module.Input(IMAGES)
    kinds = {case.name: case.place for case in TABLE}
    outputs = []
    for name, made in initializers().items():
        place = kinds.get(name, PLACES["matrix"])
        layer = place.layer(module, made, name=name)
        outputs.append(module.layers.Flatten()(layer(place.prepare(module, images))))
    return module.Model(images, module.layers.Concatenate()(outputs))


def exported_of(module):
    """Return a small model to export: a graph knows no initializers, and takes long to trace."""
    made = kerasinit.HeNormal(seed=1)
    layers = [module.layers.Flatten(), module.layers.Dense(SIZE, kernel_initializer=made)]
    return module.Sequential([module.Input(IMAGES), *layers])


def save(module, folder):
    """Save a model in every format, and return it and what is exported."""
    folder.mkdir()
    model, small = model_of(module), exported_of(module)
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    (folder / "model.json").write_text(model.to_json())
    if module is keras:
        small.export(folder / "exported", verbose=False)
    else:
        small.export(str(folder / "exported"))
        # The functions of each layer take as long; here it is the classes.
        model.save(folder / "saved_model", save_format="tf", save_traces=False)
    return model, small


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return, for each Keras, the model, what another process found, and outputs."""
    inputs = np.linspace(-1, 1, 3 * math.prod(IMAGES), dtype="float32").reshape(3, *IMAGES)
    folder = tmp_path_factory.mktemp("saved")
    np.save(folder / "inputs.npy", inputs)
    models = {name: save(module, folder / name) for name, module in KERASES.items()}
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("load_saved.py"), folder],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.returncode == 0, run.stderr
    found = json.loads((folder / "found.json").read_text())
    return {
        # Through JSON here too, so that tuples and lists compare equal.
        name: (json.loads(json.dumps(described(model))), found[name], np.asarray(small(inputs)))
        for name, (model, small) in models.items()
    }


@pytest.mark.parametrize(("kerase", "form"), FORMS)
def test_a_fresh_process_loads_our_classes_with_their_arguments(saved, kerase, form):
    original, found, _ = saved[kerase]
    assert original.keys() == found[form].keys() == initializers().keys()
    for name, layer in found[form].items():
        for part in ("class", "config"):
            assert layer[part] == original[name][part], (name, part)


@pytest.mark.parametrize(("kerase", "form"), [pair for pair in FORMS if pair[1] != "json"])
def test_a_fresh_process_loads_the_same_weights(saved, kerase, form):
    original, found, _ = saved[kerase]
    for name, layer in found[form].items():
        assert layer["values"] == original[name]["values"], name


@pytest.mark.parametrize("kerase", KERASES)
def test_a_model_made_from_json_starts_from_the_same_seeds(saved, kerase):
    original, found, _ = saved[kerase]
    for name, layer in found["json"].items():
        same = layer["values"] == original[name]["values"]
        assert same == (name != "without_seed"), name


@pytest.mark.parametrize("kerase", KERASES)
def test_an_exported_model_computes_the_same(saved, kerase):
    _, found, outputs = saved[kerase]
    np.testing.assert_allclose(found["outputs"], outputs, rtol=1e-5, atol=1e-6)


def test_a_saved_model_with_its_functions_has_our_classes(tmp_path):
    layer = tf_keras.layers.Dense(SIZE, kernel_initializer=kerasinit.HeNormal(seed=1))
    model = tf_keras.Sequential([tf_keras.Input((SIZE,)), layer])
    model.save(tmp_path / "saved_model", save_format="tf")
    assert described(tf_keras.models.load_model(tmp_path / "saved_model")) == described(model)


@pytest.mark.parametrize("kerase", KERASES)
def test_a_clone_has_our_classes_and_the_same_seeds(kerase):
    module = KERASES[kerase]
    model = model_of(module)
    original, clone = described(model), described(module.models.clone_model(model))
    for name, layer in clone.items():
        assert layer["class"] == original[name]["class"]
        assert layer["config"] == original[name]["config"]
        assert (layer["values"] == original[name]["values"]) == (name != "without_seed")


@pytest.mark.parametrize("kerase", KERASES)
def test_a_file_without_our_classes_still_loads_the_built_in_ones(kerase, tmp_path):
    module = KERASES[kerase]
    built_in = module.initializers.HeNormal(seed=1)
    model = module.Sequential(
        [module.Input((SIZE,)), module.layers.Dense(SIZE, kernel_initializer=built_in)]
    )
    for form in ("model.h5", "model.keras"):
        model.save(tmp_path / form)
        loaded = module.models.load_model(tmp_path / form)
        assert type(loaded.layers[-1].kernel_initializer) is type(built_in)


def test_a_class_of_your_own_that_extends_ours_is_saved_by_its_own_name(tmp_path):
    @keras.saving.register_keras_serializable("test_saving")
    @tf_keras.saving.register_keras_serializable("test_saving")
    class Doubled(kerasinit.HeNormal):
        def _values(self, shape, dtype):
            return 2 * super()._values(shape, dtype)

    for name, module in KERASES.items():
        layer = module.layers.Dense(SIZE, kernel_initializer=Doubled(seed=1))
        model = module.Sequential([module.Input((SIZE,)), layer])
        model.save(tmp_path / f"{name}.keras")
        loaded = module.models.load_model(tmp_path / f"{name}.keras").layers[-1]
        assert type(loaded.kernel_initializer) is Doubled
        np.testing.assert_array_equal(
            loaded.kernel.numpy(), 2 * kerasinit.HeNormal(seed=1)((SIZE, SIZE))
        )
