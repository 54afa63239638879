"""An initializer that wraps another one: what it takes, and whose seed counts."""

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit._src.initializers.wrapping import Wrapper
from tests.kerases import INSTALLED, KERASES, registered

INNER = kerasinit.RandomUniform(-0.5, 0.25)
CONFIG = {"class_name": "kerasinit>RandomUniform", "config": {"minval": -0.5, "maxval": 0.25}}


@registered("test_wrapping")
class Doubled(Wrapper):
    def _draw(self, stream, shape, dtype):
        return 2 * self._draw_inner(stream, shape, dtype)


@keras.saving.register_keras_serializable("test_wrapping")
class Half(kerasinit.HeNormal):
    def _draw(self, stream, shape, dtype):
        return super()._draw(stream, shape, dtype) / 2


@pytest.mark.parametrize(
    "given",
    [
        INNER,
        "RandomUniform:minval=-0.5,maxval=0.25",
        "kerasinit>RandomUniform:minval=-0.5,maxval=0.25",
        CONFIG,
        *(library.saving.serialize_keras_object(INNER) for library in INSTALLED),
        *(library.initializers.serialize(INNER) for library in INSTALLED),
    ],
)
def test_it_takes_an_instance_a_name_or_a_configuration(given):
    made = Doubled(given, seed=1)
    assert type(made.initializer) is kerasinit.RandomUniform
    assert made.initializer.get_config() == INNER.get_config()


@pytest.mark.parametrize("name", ["HeNormal", "KaimingNormal", "kerasinit>HeNormal"])
def test_a_name_alone_stands_for_the_defaults(name):
    assert Doubled(name).initializer.get_config() == kerasinit.HeNormal().get_config()
    assert type(Doubled(name).initializer) is kerasinit.HeNormal


def test_it_takes_a_registered_class_of_your_own():
    for given in (Half(), "test_wrapping>Half", Doubled(Half()).get_config()["initializer"]):
        made = Doubled(given, seed=1)
        assert type(made.initializer) is Half
        np.testing.assert_array_equal(made((3, 4)), kerasinit.HeNormal(seed=1)((3, 4)))


def test_the_values_come_from_the_seed_of_the_wrapper():
    made = Doubled(INNER, seed=1)
    np.testing.assert_array_equal(made((3, 4)), 2 * kerasinit.RandomUniform(-0.5, 0.25, 1)((3, 4)))
    fresh = Doubled(INNER)
    assert not np.array_equal(fresh((3, 4)), fresh((3, 4)))


def test_what_draws_nothing_can_be_wrapped_too():
    np.testing.assert_array_equal(Doubled(kerasinit.Identity(1.5))((2, 2)), 3 * np.eye(2))


def test_a_wrapper_can_be_wrapped():
    np.testing.assert_array_equal(
        Doubled(Doubled(INNER), seed=1)((3, 4)), 2 * Doubled(INNER, seed=1)((3, 4))
    )


@pytest.mark.parametrize("seed", [1, keras.random.SeedGenerator(1)])
def test_a_seed_of_the_wrapped_is_refused(seed):
    with pytest.raises(ValueError, match="Pass the seed to Doubled instead"):
        Doubled(kerasinit.HeNormal(seed=seed))


@pytest.mark.parametrize(
    "given",
    [
        None,
        3,
        kerasinit.HeNormal,
        *(library.initializers.HeNormal() for library in INSTALLED),
        keras.initializers.serialize(keras.initializers.HeNormal()),
        {"class_name": "Dense", "config": {"units": 3}},
        {"class_name": "kerasinit>HeNormal"},
        {},
    ],
)
def test_what_is_not_of_this_package_is_refused(given):
    with pytest.raises(TypeError, match=r"expected an initializer of this package: an instance"):
        Doubled(given)


@pytest.mark.parametrize("name", ["he_normal", "HeNormall", "keras>HeNormal"])
def test_an_unknown_name_is_refused_with_a_guess(name):
    with pytest.raises(ValueError, match="Did you mean 'HeNormal'"):
        Doubled(name)


@pytest.mark.parametrize("seed", [1, "generator"])
@pytest.mark.parametrize("form", ["model.keras", "model.h5", "json"])
@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_every_file_keeps_what_is_wrapped(kerase, form, seed, tmp_path):
    module = KERASES[kerase]
    seed = keras.random.SeedGenerator(5) if seed == "generator" else seed
    made = kerasinit.ICNR(INNER, seed=seed)
    layer = module.layers.Conv2D(8, 3, kernel_initializer=made)
    model = module.Sequential([module.Input((5, 5, 3)), layer])
    if form == "json":
        loaded = module.models.model_from_json(model.to_json()).layers[-1]
    else:
        model.save(tmp_path / form)
        loaded = module.models.load_model(tmp_path / form).layers[-1]
    assert type(loaded.kernel_initializer) is kerasinit.ICNR
    assert loaded.kernel_initializer.get_config() == made.get_config()
    np.testing.assert_array_equal(loaded.kernel.numpy(), layer.kernel.numpy())


def test_a_configuration_that_names_another_module_still_loads():
    """The configuration names the class by its registered name and by nothing else."""
    config = Doubled(INNER).get_config()
    assert config["initializer"].keys() == {"class_name", "config", "registered_name"}
    moved = {**config["initializer"], "module": "kerasinit.somewhere.else"}
    assert Doubled(moved).get_config() == config
