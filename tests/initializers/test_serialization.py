"""`get`, `serialize` and `deserialize` do what those of ``keras.initializers`` do."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from tests.kerases import KERASES, registered, tf_keras

from .table import ALIASES, TABLE

KERAS_NAMES = [name for name in dir(keras.initializers) if not name.startswith("_")]


@pytest.mark.parametrize(
    "name", [n for n in KERAS_NAMES if n not in ("Initializer", "deserialize", "get", "serialize")]
)
def test_every_name_of_keras_is_understood(name):
    assert type(kerasinit.get(name)) is getattr(
        kerasinit, getattr(keras.initializers, name).__name__
    )


@pytest.mark.parametrize("name", ["normal", "one", "uniform", "zero"])
def test_keras_short_names_are_understood(name):
    expected = type(keras.initializers.get(name)).__name__
    assert type(kerasinit.get(name)) is getattr(kerasinit, expected)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_understood_in_every_spelling(alias):
    kind = getattr(kerasinit, ALIASES[alias])
    snake = alias.replace("Normal", "_normal").replace("Uniform", "_uniform").lower()
    for name in (alias, snake, f"kerasinit>{alias}"):
        assert type(kerasinit.get(name)) is kind


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_every_initializer_comes_back(case):
    made = case.fixed()
    config = json.loads(json.dumps(kerasinit.serialize(made)))
    assert config == json.loads(json.dumps(keras.initializers.serialize(made)))
    plain = {"class_name": case.name, "config": made.get_config()}
    for again in (
        kerasinit.deserialize(config),
        kerasinit.get(config),
        kerasinit.get(plain),
        *(module.initializers.get(config) for module in KERASES.values()),
    ):
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()


def test_what_is_made_already_is_returned_as_it_is():
    def ramp(shape, dtype=None):
        return np.zeros(shape, dtype)

    theirs = [module.initializers.HeNormal() for module in KERASES.values()]
    for made in (kerasinit.HeNormal(), *theirs, ramp):
        assert kerasinit.get(made) is made
    assert type(kerasinit.get(kerasinit.HeNormal)) is kerasinit.HeNormal
    assert type(kerasinit.get(tf_keras.initializers.Ones)) is tf_keras.initializers.Ones
    assert kerasinit.get(None) is kerasinit.serialize(None) is kerasinit.deserialize(None) is None


def test_an_initializer_of_keras_stays_one():
    config = kerasinit.serialize(keras.initializers.HeNormal(seed=1))
    assert type(kerasinit.get(config)) is keras.initializers.HeNormal
    assert kerasinit.serialize(tf_keras.initializers.HeNormal(seed=1)) == (
        tf_keras.initializers.serialize(tf_keras.initializers.HeNormal(seed=1))
    )


@pytest.mark.parametrize(
    "given",
    [np.eye(3), tf.eye(3), keras.ops.eye(3), keras.Variable(np.eye(3)), tf.Variable(tf.eye(3))],
    ids=lambda given: type(given).__name__,
)
def test_an_array_is_a_constant_of_its_shape_only(given):
    made = kerasinit.get(given)

    np.testing.assert_array_equal(made((3, 3)), np.eye(3))
    with pytest.raises(ValueError, match=r"Expected shape \(3, 3\)"):
        made((2, 3, 3))
    again = kerasinit.get(kerasinit.serialize(made))
    with pytest.raises(ValueError, match=r"Expected shape"):
        again((2, 3, 3))


@pytest.mark.parametrize(
    "made_of", [str, lambda name: {"class_name": name, "config": {}}], ids=["name", "configuration"]
)
def test_an_unknown_name_is_an_error_with_a_suggestion(made_of):
    with pytest.raises(ValueError, match="Unknown initializer 'typo'"):
        kerasinit.get(made_of("typo"))
    with pytest.raises(ValueError, match="Did you mean 'HeNormal'"):
        kerasinit.get(made_of("he_norml"))


@pytest.mark.parametrize("identifier", [3, [1], {}, {"class_name": "Zeros"}, int])
def test_what_is_no_initializer_is_refused(identifier):
    with pytest.raises(ValueError, match=r"Expected (an initializer|the configuration)"):
        kerasinit.get(identifier)


def test_a_module_that_is_not_there_is_refused():
    config = {"module": "nowhere.initializers", "class_name": "HeNormal", "config": {}}
    with pytest.raises(ValueError, match="Cannot create the initializer 'HeNormal'"):
        kerasinit.get(config)
    with pytest.raises(TypeError, match="Expected an initializer or None"):
        kerasinit.serialize("HeNormal")


def test_custom_classes_and_functions_are_found_by_their_names():
    class Halved(kerasinit.HeNormal):
        pass

    def ramp(shape, dtype=None):
        return np.zeros(shape, dtype)

    config = {"class_name": "Halved", "config": {"seed": 1}}
    assert type(kerasinit.deserialize(config, {"Halved": Halved})) is Halved
    assert type(kerasinit.deserialize("Halved", {"Halved": Halved})) is Halved
    with keras.saving.custom_object_scope({"Halved": Halved, "ramp": ramp}):
        assert type(kerasinit.get("Halved")) is Halved
        assert type(kerasinit.get(config)) is Halved
        assert kerasinit.get("ramp") is ramp


@pytest.mark.parametrize("form", ["model.keras", "model.h5"])
@pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
def test_a_custom_subclass_of_the_base_class_is_saved_and_loaded(module, form, tmp_path):
    model = module.Sequential(
        [module.Input((2,)), module.layers.Dense(3, kernel_initializer=Ramp(2.0))]
    )
    model.save(tmp_path / form)
    # An .h5 file of tf_keras has no registered names.
    bare = {"Ramp": Ramp} if (module, form) == (tf_keras, "model.h5") else None
    loaded = module.models.load_model(tmp_path / form, custom_objects=bare).layers[-1]

    assert type(loaded.kernel_initializer) is Ramp
    assert loaded.kernel_initializer.get_config() == {"end": 2.0}
    np.testing.assert_array_equal(np.asarray(loaded.kernel), [[0, 1, 2], [0, 1, 2]])


@registered("test_serialization")
class Ramp(kerasinit.Initializer):
    """What the base class' docstring shows."""

    def __init__(self, end=1.0):
        self.end = end

    def get_config(self):
        return {"end": self.end}

    def _values(self, shape, dtype):
        return np.broadcast_to(np.linspace(0, self.end, shape[-1]), shape).astype(dtype)
