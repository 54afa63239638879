"""An array as initializer: in every digit, in every file, and in the shape that it has."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from tests.kerases import INSTALLED, KERASES
from tests.products import nightly

pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]
# Digits that decimals lose, and those of float64 that float32 has no room for.
ARRAY = np.array([[1 / 3, -0.0, 1e-300], [np.pi, 2.0**-1074, -1.7e308]])


@pytest.mark.parametrize("dtype", ["bfloat16", "bool", "float16", "float32", "float64", "int64"])
def test_an_array_comes_back_from_json_bit_for_bit(dtype):
    values = np.array([[0, 1, 2], [-7, 1 / 3, 2**40]])
    values = np.clip(values, 0, 1) if dtype in ("bool", "float16", "bfloat16") else values
    array = values.astype(tf.as_dtype(dtype).as_numpy_dtype)
    made = kerasinit.Constant(array)
    again = kerasinit.Constant.from_config(json.loads(json.dumps(made.get_config())))

    assert again.value.dtype == array.dtype
    assert again.value.tobytes() == array.tobytes()
    assert made(array.shape, dtype).tobytes() == array.tobytes()


FORMS = [
    *[("keras", form) for form in ("model.keras", "model.h5", "json", "clone")],
    *[("tf_keras", form) for form in ("model.keras", "model.h5", "json", "clone")],
    # What tf_keras takes seconds to write.
    pytest.param("tf_keras", "saved_model", marks=nightly),
]


@pytest.mark.parametrize(("kerase", "form"), FORMS)
def test_an_array_comes_back_from_every_file(kerase, form, tmp_path):
    module = KERASES[kerase]
    first, second = kerasinit.Constant(ARRAY), kerasinit.Constant(ARRAY.T, broadcast=False)
    layers = [
        module.layers.Dense(3, dtype="float64", kernel_initializer=first),
        module.layers.Dense(2, dtype="float64", kernel_initializer=second),
    ]
    model = module.Sequential([module.Input((2,), dtype="float64"), *layers])
    if form == "json":
        again = module.models.model_from_json(model.to_json())
    elif form == "clone":
        again = module.models.clone_model(model)
    else:
        model.save(tmp_path / form)
        again = module.models.load_model(tmp_path / form)

    for layer, array, broadcast in zip(
        again.layers[-2:], (ARRAY, ARRAY.T.copy()), (True, False), strict=True
    ):
        made = layer.kernel_initializer
        assert type(made) is kerasinit.Constant
        assert made.broadcast is broadcast
        assert made.value.tobytes() == np.asarray(layer.kernel).tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "given",
    [
        ARRAY.tolist(),
        tuple(map(tuple, ARRAY)),
        keras.Variable(ARRAY, dtype="float64"),
        tf.Variable(ARRAY),
        tf.constant(ARRAY),
        keras.ops.convert_to_tensor(ARRAY, "float64"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_whatever_holds_the_numbers_is_taken(given):
    assert kerasinit.Constant(given)((2, 3), "float64").tobytes() == ARRAY.tobytes()


def test_the_array_is_a_copy():
    array = np.ones(3)
    made = kerasinit.Constant(array)
    array[:] = 2
    made((3,))[:] = 3

    assert made((3,)).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        made.value[0] = 4


@pytest.mark.parametrize(
    ("value", "shape"),
    [((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 1, 3), (4, 2, 3)), ((1,), (0, 4)), ((1,), (5, 1))],
)
def test_an_array_is_broadcast_as_by_keras(value, shape):
    array = np.arange(np.prod(value), dtype="float32").reshape(value)
    theirs = keras.initializers.Constant(array)(shape)

    np.testing.assert_array_equal(kerasinit.Constant(array)(shape), theirs)


@pytest.mark.parametrize("shape", [(3, 2), (3,), (6,), (2, 3, 1), ()])
def test_an_array_of_another_shape_is_refused(shape):
    made = kerasinit.Constant(ARRAY)

    with pytest.raises(ValueError, match=r"float64 array of shape \(2, 3\).*does not fit a tensor"):
        made(shape, "float64")
    with pytest.raises(ValueError, match=r"Expected shape \(2, 3\)"):
        kerasinit.Constant(ARRAY, broadcast=False)((4, 2, 3))


@pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)
def test_a_layer_refuses_an_array_of_another_shape(module):
    layer = module.layers.Dense(4, dtype="float64", kernel_initializer=kerasinit.Constant(ARRAY))

    with pytest.raises(ValueError, match="does not fit a tensor of shape"):
        layer.build((None, 2))


@pytest.mark.parametrize(
    ("values", "dtype", "shown"),
    [([1, 1.5], "int32", "1.5"), ([0, 300], "uint8", "300"), ([1, -1], "uint8", "-1"),
     ([0, 2], "bool", "2"), ([0, 1e6], "float16", "1000000"), ([0.0, np.nan], "int8", "nan")],
)  # fmt: skip
def test_a_value_that_the_dtype_cannot_hold_is_refused(values, dtype, shown):
    with pytest.raises(ValueError, match=f"dtype '{dtype}' cannot hold, such as {shown}"):
        kerasinit.Constant(values)((2,), dtype)


def test_a_single_number_of_an_array_is_a_number():
    for given in (np.float64(0.5), np.array(0.5), tf.constant(0.5), keras.Variable(0.5)):
        assert kerasinit.Constant(given).get_config() == {"value": 0.5}


@pytest.mark.parametrize("config", [{"value": {"class_name": "Zeros"}}, {"value": {}}])
def test_a_configuration_of_another_kind_is_refused(config):
    with pytest.raises(ValueError, match="a serialized array"):
        kerasinit.Constant.from_config(config)


def test_a_large_array_is_named_and_not_printed():
    assert repr(kerasinit.Constant(np.zeros((50, 60)))) == (
        "Constant(value=<float64 array of shape (50, 60)>)"
    )


@pytest.mark.parametrize("module", INSTALLED)
def test_a_portable_copy_keeps_the_weights_of_an_array_and_reports_its_substitute(module):
    made = kerasinit.Constant(np.float32([0.1, 0.2, 0.3]))
    layer = module.layers.Dense(3, kernel_initializer=made)
    model = module.Sequential([module.Input((2,)), layer])
    with pytest.warns(UserWarning, match=r"no equivalent of Constant\(value=<float32 array"):
        copy = kerasinit.portable(model)

    assert type(copy.layers[-1].kernel_initializer) is module.initializers.GlorotUniform
    np.testing.assert_array_equal(copy.layers[-1].kernel, np.float32([[0.1, 0.2, 0.3]] * 2))
