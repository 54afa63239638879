"""The promises that every initializer keeps, each run over the whole table."""

import copy
import inspect
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from kerasinit._src.initializers.base import Initializer
from tests.kerases import KERASES, finds_registered_names, tf_keras
from tests.products import nightly

from .table import FLOATS, IMAGES, TABLE

pytestmark = pytest.mark.parametrize("case", TABLE, ids=str)


def test_it_belongs_to_both_kerases(case):
    made = case.make()
    assert isinstance(made, Initializer)
    assert isinstance(made, keras.initializers.Initializer)
    assert isinstance(made, tf_keras.initializers.Initializer)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", [tuple, list, tf.TensorShape])
def test_the_values_have_the_shape_and_dtype_asked_for(case, kind, dtype):
    for shape in case.place.shapes:
        values = case.fixed()(kind(shape), dtype=dtype)
        assert values.shape == shape
        assert values.dtype.name == dtype
        assert np.isfinite(values.astype("float64")).all()


@pytest.mark.parametrize("dtype", [tf.bfloat16, np.float16, np.dtype("float64"), "float32"])
def test_a_dtype_may_be_an_object_of_tensorflow_or_numpy(case, dtype):
    assert case.fixed()(case.shape, dtype).dtype.name == keras.utils.standardize_dtype(dtype)


def test_without_a_dtype_it_is_keras_floatx(case):
    before = keras.config.floatx()
    try:
        keras.config.set_floatx("float16")
        assert case.fixed()(case.shape).dtype == np.float16
    finally:
        keras.config.set_floatx(before)


def test_a_dtype_only_rounds_the_values(case):
    for shape in case.place.shapes:
        exact = case.fixed()(shape)
        for dtype in ("float16", "bfloat16"):
            rounded = case.fixed()(shape, dtype)
            np.testing.assert_array_equal(rounded, exact.astype(rounded.dtype))
        # What is computed and not drawn may have more digits here.
        np.testing.assert_array_equal(case.fixed()(shape, "float64").astype("float32"), exact)


def test_its_configuration_is_plain_json_and_makes_it_again(case):
    made = case.fixed()
    config = json.loads(json.dumps(made.get_config()))
    assert config == made.get_config()
    again = type(made).from_config(config)
    assert again.get_config() == config
    np.testing.assert_array_equal(again(case.shape), made(case.shape))


@pytest.mark.parametrize("kerase", KERASES)
def test_both_kerases_make_it_from_what_they_serialized(case, kerase):
    module = KERASES[kerase].initializers
    made = case.fixed()
    again = module.get(json.loads(json.dumps(module.serialize(made))))
    assert type(again) is type(made)
    assert again.get_config() == made.get_config()


@pytest.mark.parametrize(
    "kerase", [pytest.param("keras", marks=finds_registered_names), "tf_keras"]
)
def test_its_registered_string_names_it(case, kerase):
    kind = getattr(kerasinit, case.name)
    get = KERASES[kerase].initializers.get
    parameters = inspect.signature(kind).parameters.values()
    if any(parameter.default is parameter.empty for parameter in parameters):
        # A string has no place for arguments.
        with pytest.raises(TypeError, match=r"missing \d required positional"):
            get(f"kerasinit>{case.name}")
        return
    assert type(get(f"kerasinit>{case.name}")) is kind


@pytest.mark.parametrize("kerase", KERASES)
def test_the_bare_name_still_names_the_built_in_if_there_is_one(case, kerase):
    module = KERASES[kerase]
    if not hasattr(module.initializers, case.name):
        with pytest.raises((TypeError, ValueError), match=case.name):
            module.initializers.get({"class_name": case.name, "config": {}})
        return
    config = getattr(module.initializers, case.name)().get_config()
    built_in = module.initializers.get({"class_name": case.name, "config": config})
    assert type(built_in) is getattr(module.initializers, case.name)
    assert not isinstance(built_in, Initializer)


def test_it_copies_and_pickles(case):
    made = case.fixed()
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), made.clone()):
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()


def test_its_repr_makes_it_again(case):
    made = case.fixed()
    again = eval(f"kerasinit.{made!r}")
    assert again.get_config() == made.get_config()


def test_a_call_changes_nothing_on_it(case):
    made = case.make()
    before = dict(vars(made))
    made(case.shape)
    assert vars(made) == before


def test_each_call_returns_an_array_of_its_own(case):
    made = case.fixed()
    first = made(case.shape)
    kept = first.copy()
    first += 1
    np.testing.assert_array_equal(made(case.shape), kept)


@pytest.mark.parametrize("kerase", KERASES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_layer_holds_the_values_of_a_direct_call(case, kerase, dtype):
    module = KERASES[kerase]
    layer = case.place.layer(module, case.fixed(), dtype=dtype)
    layer(case.place.prepare(module, module.Input(IMAGES, dtype=dtype)))
    np.testing.assert_array_equal(
        case.place.variable(layer).numpy(), case.fixed()(case.shape, dtype)
    )


def test_pieces_of_a_partition_fit_together(case):
    made = case.fixed()
    size, *rest = case.shape
    cut = size // 2
    pieces = [
        made(
            case.shape,
            tf.float32,
            partition_shape=[rows, *rest],
            partition_offset=[start, *[0] * len(rest)],
        )
        for start, rows in ((0, cut), (cut, size - cut))
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), made(case.shape))
    first = made(case.shape, partition_shape=(1, *rest))
    np.testing.assert_array_equal(first, made(case.shape)[:1])


@pytest.mark.parametrize("autograph", [False, pytest.param(True, marks=nightly)])
def test_operations_of_tensorflow_and_keras_take_its_values(case, autograph):
    values = case.fixed()(case.shape)
    # AutoGraph rewrites every function on the way to the values, which takes up to seconds.
    autograph = autograph or case.name == "HeNormal"
    doubled = tf.function(lambda: tf.constant(case.fixed()(case.shape)) * 2, autograph=autograph)()
    np.testing.assert_array_equal(doubled, values * 2)
    np.testing.assert_array_equal(keras.ops.add(values, values), values * 2)
    np.testing.assert_array_equal(keras.Variable(case.fixed(), case.shape).numpy(), values)
