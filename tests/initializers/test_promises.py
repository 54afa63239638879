"""The promises that every initializer keeps, each run over the whole table."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kerasinit
from kerasinit.initializers.base import Initializer

from .table import FLOATS, KERASES, TABLE

pytestmark = pytest.mark.parametrize("case", TABLE, ids=str)


def fixed(case):
    """Return an initializer that gives the same values at every call."""
    return case.make(seed=1) if case.seeded else case.make()


def test_it_belongs_to_both_kerases(case):
    made = case.make()
    assert isinstance(made, Initializer)
    assert isinstance(made, keras.initializers.Initializer)
    assert isinstance(made, tf_keras.initializers.Initializer)


@pytest.mark.parametrize("shape", [(3, 4), [4, 3], tf.TensorShape([5, 5]), (1, 1), (0, 3)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_values_have_the_shape_and_dtype_asked_for(case, shape, dtype):
    values = fixed(case)(shape, dtype=dtype)
    assert values.shape == tuple(shape)
    assert values.dtype.name == dtype
    assert np.isfinite(values.astype("float64")).all()


@pytest.mark.parametrize("dtype", [tf.bfloat16, np.float16, np.dtype("float64"), "float32"])
def test_a_dtype_may_be_an_object_of_tensorflow_or_numpy(case, dtype):
    assert fixed(case)((3, 3), dtype).dtype.name == keras.utils.standardize_dtype(dtype)


def test_without_a_dtype_it_is_keras_floatx(case):
    before = keras.config.floatx()
    try:
        keras.config.set_floatx("float16")
        assert fixed(case)((3, 3)).dtype == np.float16
    finally:
        keras.config.set_floatx(before)


def test_a_dtype_only_rounds_the_values(case):
    exact = fixed(case)((40, 30))
    for dtype in ("float16", "bfloat16", "float64"):
        rounded = fixed(case)((40, 30), dtype)
        np.testing.assert_array_equal(rounded, exact.astype(rounded.dtype))


def test_its_configuration_is_plain_json_and_makes_it_again(case):
    made = fixed(case)
    config = json.loads(json.dumps(made.get_config()))
    assert config == made.get_config()
    again = type(made).from_config(config)
    assert again.get_config() == config
    np.testing.assert_array_equal(again((6, 6)), made((6, 6)))


@pytest.mark.parametrize("kerase", KERASES)
def test_both_kerases_make_it_from_what_they_serialized(case, kerase):
    module = KERASES[kerase].initializers
    made = fixed(case)
    again = module.get(json.loads(json.dumps(module.serialize(made))))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()


@pytest.mark.parametrize("kerase", KERASES)
def test_its_registered_string_names_it(case, kerase):
    layer = KERASES[kerase].layers.Dense(3, kernel_initializer=f"kerasinit>{case.name}")
    assert type(layer.kernel_initializer) is getattr(kerasinit, case.name)


@pytest.mark.parametrize("kerase", KERASES)
def test_the_bare_name_still_names_the_built_in(case, kerase):
    module = KERASES[kerase]
    config = getattr(module.initializers, case.name)().get_config()
    built_in = module.initializers.get({"class_name": case.name, "config": config})
    assert type(built_in) is getattr(module.initializers, case.name)
    assert not isinstance(built_in, Initializer)


def test_it_copies_and_pickles(case):
    made = fixed(case)
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), made.clone()):
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()


def test_its_repr_makes_it_again(case):
    made = fixed(case)
    again = eval(f"kerasinit.{made!r}")
    assert again.get_config() == made.get_config()


def test_a_call_changes_nothing_on_it(case):
    made = case.make()
    before = dict(vars(made))
    made((3, 3))
    assert vars(made) == before


def test_each_call_returns_an_array_of_its_own(case):
    made = fixed(case)
    first = made((3, 3))
    kept = first.copy()
    first += 1
    np.testing.assert_array_equal(made((3, 3)), kept)


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_layer_holds_the_values_of_a_direct_call(case, kerase, dtype):
    layer = KERASES[kerase].layers.Dense(5, kernel_initializer=fixed(case), dtype=dtype)
    layer.build((None, 7))
    np.testing.assert_array_equal(layer.kernel.numpy(), fixed(case)((7, 5), dtype))


def test_pieces_of_a_partition_fit_together(case):
    made = fixed(case)
    pieces = [
        made((7, 4), tf.float32, partition_shape=[rows, 4], partition_offset=[start, 0])
        for start, rows in ((0, 3), (3, 4))
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), made((7, 4)))
    np.testing.assert_array_equal(made((7, 4), partition_shape=(2, 4)), made((7, 4))[:2])


def test_operations_of_tensorflow_and_keras_take_its_values(case):
    values = fixed(case)((3, 3))
    doubled = tf.function(lambda: tf.constant(fixed(case)((3, 3))) * 2)()
    np.testing.assert_array_equal(doubled, values * 2)
    np.testing.assert_array_equal(keras.ops.add(values, values), values * 2)
    np.testing.assert_array_equal(keras.Variable(fixed(case), (3, 3)).numpy(), values)
