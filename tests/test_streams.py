"""Every draw has an owner."""

import random

import keras
import numpy as np

import kerasinit
from kerasinit._src import compat, streams
from tests.kerases import tf_keras


def test_the_name_of_a_stream_decides_its_numbers_and_nothing_else_does():
    first = streams.generator(0, "order", 1).random(4)
    np.random.default_rng().random(9)
    again = streams.generator(0, "order", 1).random(4)

    np.testing.assert_array_equal(first, again)


def test_streams_of_other_names_differ():
    names = [(0, "order", 1), (1, "order", 1), (0, "split", 1), (0, "order", 2), (0, "order", "1")]

    assert len({streams.derive(*name) for name in names}) == len(names)


def test_values_are_for_ever():
    # A change here changes the numbers of every run that was ever made.
    assert streams.derive(0, "order", 0) == 92407284019856740300500031381575226530


def test_models_built_in_a_global_stream_get_the_same_weights_in_both_kerases():
    kernels = []
    for library in (keras, tf_keras):
        with compat.global_stream(3, "weights", 0):
            layer = library.layers.Dense(4, kernel_initializer=kerasinit.HeNormal())
            layer.build((None, 5))
        kernels.append(layer.kernel.numpy())

    np.testing.assert_array_equal(*kernels)


def test_a_global_stream_gives_python_and_numpy_their_state_back():
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)

    with compat.global_stream(0, "weights"):
        random.random()
        np.random.random()

    assert (random.random(), np.random.random()) == expected
