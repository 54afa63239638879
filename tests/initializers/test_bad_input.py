"""A mistake is refused where it is made, with what came and what was expected."""

import math

import numpy as np
import pytest
import tensorflow as tf

import kerasinit

from .table import SEEDED, TABLE


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("VarianceScaling", {"scale": 0}, "scale=0; expected a number above 0"),
        ("VarianceScaling", {"scale": -1.0}, "scale=-1.0; expected a number above 0"),
        ("VarianceScaling", {"scale": math.inf}, "scale=inf; expected a finite number"),
        ("VarianceScaling", {"mode": "fan_inn"}, "Did you mean 'fan_in'\\? Choices: fan_avg, fan"),
        ("VarianceScaling", {"mode": "FAN_OUT"}, "Did you mean 'fan_out'"),
        ("VarianceScaling", {"distribution": "unifrom"}, "Did you mean 'uniform'"),
        ("VarianceScaling", {"distribution": "cauchy"}, "Choices: truncated_normal, uniform"),
        ("VarianceScaling", {"input_axes": [0]}, "give both or neither"),
        ("HeNormal", {"output_axes": [0]}, "give both or neither"),
        ("HeNormal", {"gain": 0}, "gain=0; expected a number above 0"),
        ("LecunNormal", {"gain": math.nan}, "gain=nan; expected a finite"),
        ("LecunNormal", {"negative_slope": math.nan}, "negative_slope=nan; expected a finite"),
        ("HeUniform", {"nonlinearity": "rellu"}, "Did you mean 'relu'"),
        ("GlorotNormal", {"nonlinearity": "softmax"}, "softmax"),
        ("GlorotNormal", {"nonlinearity": math.sin}, "cannot be saved"),
        ("HeNormal", {"nonlinearity": "gelu", "negative_slope": 0.1}, "requires the activation"),
        ("HeNormal", {"fans": (0, 3)}, "fan_in,=0; expected a number above 0"),
        ("TruncatedNormal", {"bounds": (1, -1)}, "below the upper one"),
        ("TruncatedNormal", {"bounds": (1, 1)}, "below the upper one"),
        ("TruncatedNormal", {"bounds": (1, 2, 3)}, "expected two, low and high"),
        ("TruncatedNormal", {"bounds": (50, 60)}, "almost no probability between 50 and 60"),
        (
            "TruncatedNormal",
            {"stddev": 0.01, "bounds": (2, 3), "absolute": True},
            "almost no probability between 200 and 300",
        ),
        ("HeNormal", {"negative_slope": math.nan}, "negative_slope=nan; expected a finite"),
        ("HeUniform", {"negative_slope": -math.inf}, "negative_slope=-inf; expected a finite"),
        ("RandomNormal", {"stddev": -0.1}, "stddev=-0.1; expected a number that is at least 0"),
        ("RandomNormal", {"mean": math.nan}, "mean=nan; expected a finite"),
        ("RandomNormal", {"stddev": 1e39}, "stddev=1e\\+39; expected a finite number within float"),
        ("RandomNormal", {"mean": 10**400}, "expected a finite number within float32's"),
        ("TruncatedNormal", {"stddev": math.inf}, "stddev=inf; expected a finite"),
        ("RandomUniform", {"minval": 1, "maxval": 0}, "minval=1 above maxval=0; swap them"),
        ("RandomUniform", {"minval": -3e38, "maxval": 3e38}, "further apart"),
        ("Orthogonal", {"gain": math.nan}, "gain=nan; expected a finite"),
        ("Orthogonal", {"input_axes": [0]}, "give both or neither"),
        ("Orthogonal", {"nonlinearity": "rellu"}, "Did you mean 'relu'"),
        ("ConvOrthogonal", {"nonlinearity": "softmax"}, "softmax"),
        ("DeltaOrthogonal", {"nonlinearity": math.sin}, "cannot be saved"),
        ("Orthogonal", {"nonlinearity": "gelu", "negative_slope": 0.1}, "requires the activation"),
        ("Orthogonal", {"negative_slope": math.nan}, "negative_slope=nan; expected a finite"),
        ("ConvOrthogonal", {"gain": math.inf}, "gain=inf; expected a finite"),
        ("DeltaOrthogonal", {"gain": -math.inf}, "gain=-inf; expected a finite"),
        ("PerGate", {"gates": 0}, "gates=0; expected a number that is at least 1"),
        ("PerGate", {"initializer": "HeNrmal"}, "Did you mean 'HeNormal'"),
        ("PerGate", {"initializer": "HeNormal:seed=1"}, "Pass the seed to PerGate instead"),
        ("Identity", {"gain": math.inf}, "gain=inf; expected a finite"),
        ("Dirac", {"gain": math.nan}, "gain=nan; expected a finite"),
        ("Dirac", {"groups": 0}, "groups=0; expected a number that is at least 1"),
        ("ICNR", {"scale": 0}, "scale=0; expected a number that is at least 1"),
        ("ICNR", {"initializer": "he_normal"}, "Did you mean 'HeNormal'"),
        ("Constant", {"value": []}, "an empty array"),
        ("STFT", {"side": "imaginary"}, "Did you mean 'imag'"),
        ("STFT", {"scaling": "l2"}, "Choices: density, spectrum"),
        ("STFT", {"window": "hamn"}, "Did you mean 'hann'"),
        ("STFT", {"window": "kaiser"}, "requires parameters"),
        ("STFT", {"window": [1, math.nan]}, "window=nan; expected a finite"),
        ("ConvolutionAware", {"eps_std": -0.1}, "eps_std=-0.1; expected a number that is at least"),
    ],
)
def test_a_value_that_cannot_be_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(kerasinit, name)(**arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("VarianceScaling", {"scale": "2"}, "scale='2'; expected a number"),
        ("VarianceScaling", {"scale": True}, "scale=True; expected a number"),
        ("VarianceScaling", {"input_axes": 0, "output_axes": 1}, "expected a list of axes"),
        ("HeNormal", {"input_axes": [0.5], "output_axes": [1]}, "expected integers"),
        ("HeNormal", {"fans": 3}, "expected two numbers, fan_in and"),
        ("HeNormal", {"fans": (3, 4, 5)}, "expected two numbers, fan_in and"),
        ("HeNormal", {"fans": ("3", 4)}, "fan_in,='3'; expected a number"),
        ("TruncatedNormal", {"bounds": 2}, "expected two numbers, such as"),
        ("TruncatedNormal", {"bounds": ("-2", 2)}, "bounds='-2'; expected a number"),
        ("TruncatedNormal", {"absolute": 1}, "absolute=1; expected True or False"),
        ("RandomNormal", {"stddev": None}, "stddev=None; expected a number"),
        ("Orthogonal", {"gain": [1]}, "gain=\\[1\\]; expected a number"),
        ("Orthogonal", {"input_axes": "0", "output_axes": [1]}, "expected a list of axes"),
        ("PerGate", {"gates": 4.0}, "gates=4.0; expected an integer"),
        ("PerGate", {"gates": True}, "gates=True; expected a number"),
        ("PerGate", {"initializer": 3}, "expected an initializer of this package"),
        ("Constant", {"value": [1, "2"]}, "expected a number or an array of them"),
        ("Constant", {"value": "1"}, "expected a number or an array of them"),
        ("Constant", {"value": None}, "expected a number or an array of them"),
        ("Constant", {"value": 1j}, "expected a number or an array of them"),
        ("Constant", {"value": [1], "broadcast": 0}, "broadcast=0; expected True or False"),
        ("STFT", {"periodic": 1}, "periodic=1; expected True or False"),
        ("STFT", {"window": 3}, "expected the name of a window"),
        ("STFT", {"window": ["1"]}, "window='1'; expected a number"),
        ("HeNormal", {"slope": 0.1}, "slope"),
        ("Dirac", {"groups": 2.0}, "groups=2.0; expected an integer"),
        ("Dirac", {"groups": True}, "groups=True; expected a number"),
        ("ICNR", {"scale": 1.5}, "scale=1.5; expected an integer"),
        ("ConvolutionAware", {"eps_std": None}, "eps_std=None; expected a number"),
    ],
)
def test_a_value_of_another_type_is_refused(name, arguments, message):
    with pytest.raises(TypeError, match=message):
        getattr(kerasinit, name)(**arguments)


@pytest.mark.parametrize("case", TABLE, ids=str)
@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((3, None), ValueError, "must be known"),
        (tf.TensorShape(None), ValueError, "unknown rank"),
        (tf.TensorShape([None, 3]), ValueError, "must be known"),
        ((3, -1), ValueError, "may be negative"),
        ((3, 2.5), TypeError, "integers"),
        (3, TypeError, "tuple of sizes"),
        ("33", TypeError, "tuple of sizes"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(case, shape, error, message):
    with pytest.raises(error, match=message):
        case.make()(shape)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_orthogonal_refuses_a_shape_without_rows_and_columns(shape):
    with pytest.raises(ValueError, match="of rank 2 or more"):
        kerasinit.Orthogonal()(shape)


@pytest.mark.parametrize("name", ["Identity", "Dirac", "ZerO"])
@pytest.mark.parametrize("shape", [(), (3,), (1,) * 6])
def test_what_is_neither_a_matrix_nor_a_convolution_is_refused(name, shape):
    with pytest.raises(ValueError, match="of rank 2 to 5; got shape"):
        getattr(kerasinit, name)()(shape)


@pytest.mark.parametrize("name", ["Bilinear", "ConvolutionAware"])
@pytest.mark.parametrize("shape", [(), (3,), (3, 3), (1,) * 6])
def test_what_is_not_a_convolution_is_refused(name, shape):
    with pytest.raises(ValueError, match="of rank 3 to 5; got shape"):
        getattr(kerasinit, name)()(shape)


@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4), (3, 3, 3, 4, 4)])
def test_sub_pixels_are_of_two_dimensional_convolutions(shape):
    with pytest.raises(ValueError, match="of rank 4; got shape"):
        kerasinit.ICNR()(shape)


@pytest.mark.parametrize("name", ["Bilinear", "ConvolutionAware", "Dirac", "Identity", "ZerO"])
def test_a_window_without_taps_is_refused(name):
    with pytest.raises(ValueError, match="at least one tap"):
        getattr(kerasinit, name)()((3, 0, 4, 4))


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (3, 3, 2, 4)])
def test_identity_refuses_unequal_channels_and_names_what_takes_them(shape):
    with pytest.raises(ValueError, match=f"with {shape[-2]} inputs and .*Dirac"):
        kerasinit.Identity()(shape)


def test_bilinear_refuses_unequal_channels():
    with pytest.raises(ValueError, match=r"with 3 outputs and 4 inputs .*with kernel size 1"):
        kerasinit.Bilinear()((4, 4, 3, 4))


def test_groups_that_the_outputs_cannot_be_shared_out_to_are_refused():
    with pytest.raises(ValueError, match=r"multiple of groups=3.*with 4 outputs"):
        kerasinit.Dirac(3)((3, 3, 2, 4))


def test_groups_of_a_dense_layer_are_refused():
    with pytest.raises(ValueError, match="A dense layer has no groups"):
        kerasinit.Dirac(2)((4, 4))


def test_filters_that_do_not_make_whole_pixels_are_refused():
    with pytest.raises(ValueError, match=r"scale\*\*2 = 9 filters .*with 12 filters"):
        kerasinit.ICNR(scale=3)((3, 3, 4, 12))


@pytest.mark.parametrize("name", ["Bilinear", "ZerO"])
def test_fractions_are_made_only_in_floating_dtypes(name):
    with pytest.raises(ValueError, match=r"floating-point dtypes only.*got dtype='int32'"):
        getattr(kerasinit, name)()((3, 2, 2), "int32")


def test_axes_that_a_shape_does_not_have_are_refused_at_the_call():
    with pytest.raises(ValueError, match="input_axes names axis 2"):
        kerasinit.HeNormal(input_axes=[2], output_axes=[0])((3, 4))


@pytest.mark.parametrize("case", SEEDED, ids=str)
@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64"])
def test_numbers_are_drawn_only_in_floating_dtypes(case, dtype):
    with pytest.raises(ValueError, match=f"floating-point dtypes only.*got dtype='{dtype}'"):
        case.make()(case.shape, dtype)


def test_constants_come_in_integer_and_boolean_dtypes_too():
    assert kerasinit.Zeros()((2,), "bool").tolist() == [False, False]
    assert kerasinit.Ones()((2,), tf.int64).numpy().tolist() == [1, 1]
    assert kerasinit.Constant(7.0)((2,), "uint8").tolist() == [7, 7]
    assert kerasinit.Constant(True)((2,), "bool").tolist() == [True, True]
    assert kerasinit.Identity()((2, 2), "int8").tolist() == [[1, 0], [0, 1]]
    assert kerasinit.Dirac(gain=3)((1, 2, 3), "int8").tolist() == [[[3, 0, 0], [0, 3, 0]]]
    assert np.isneginf(kerasinit.Constant(-math.inf)((2,))).all()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1.5, "int32"), (300, "uint8"), (-1, "uint8"), (2, "bool"), (math.nan, "int8"),
     (math.inf, "int32"), (1e6, "float16")],
)  # fmt: skip
def test_a_constant_that_the_dtype_cannot_hold_is_refused(value, dtype):
    with pytest.raises(ValueError, match=f"dtype '{dtype}' cannot hold"):
        kerasinit.Constant(value)((2,), dtype)


@pytest.mark.parametrize("name", ["Dirac", "Identity"])
def test_a_gain_that_the_dtype_cannot_hold_is_refused(name):
    with pytest.raises(ValueError, match="dtype 'int32' cannot hold"):
        getattr(kerasinit, name)(gain=0.5)((2, 2), "int32")


def test_an_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match="float33"):
        kerasinit.Zeros()((2,), "float33")
    with pytest.raises(ValueError, match="floating-point, integer and boolean"):
        kerasinit.Zeros()((2,), "string")


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_an_unknown_argument_of_the_call_is_refused(case):
    with pytest.raises(TypeError, match="unknown argument 'partition'"):
        case.make()(case.shape, partition=(1, 3))


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_layout_is_refused_and_none_is_not(case):
    with pytest.raises(ValueError, match="does not support DTensor"):
        case.make()(case.shape, layout="a layout")
    assert case.make()(case.shape, layout=None).shape == case.shape


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ({"partition_offset": (0, 0)}, "needs a partition_shape"),
        ({"partition_shape": (4, 3)}, "exceeds the tensor"),
        ({"partition_shape": (2, 3), "partition_offset": (2, 0)}, "exceeds the tensor"),
        ({"partition_shape": (2,)}, "exceeds the tensor"),
        ({"partition_shape": (2, 3), "partition_offset": (0,)}, "exceeds the tensor"),
        ({"partition_shape": (2, 3), "partition_offset": (0, -1)}, "may be negative"),
    ],
)
def test_a_partition_outside_the_tensor_is_refused(partition, message):
    with pytest.raises(ValueError, match=message):
        kerasinit.HeNormal()((3, 3), **partition)
