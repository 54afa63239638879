"""Names of layers and variables survive rebuilding, in both Kerases."""

import keras
import numpy as np
import pytest

from kerasinit._src import compat
from kerasinit._src.network.parts import named_variables
from tests.kerases import INSTALLED, tf_keras


def _model(library):
    inner = library.Sequential([library.layers.InputLayer((4,)), library.layers.Dense(4)])
    inputs = library.Input((4,))
    shared = library.layers.Dense(4, name="mine")
    outputs = shared(inner(shared(inputs)))
    outputs = library.layers.BatchNormalization()(outputs)
    return library.Model(inputs, library.layers.Dense(2)(outputs))


@pytest.mark.parametrize("library", INSTALLED)
def test_names_are_the_same_at_every_build(library):
    first, second = _model(library), _model(library)

    assert list(named_variables(first)) == list(named_variables(second))
    assert first.layers[-1].name != second.layers[-1].name


def test_names_are_the_same_in_both_kerases():
    names = [
        {name for name in named_variables(_model(library)) if "seed" not in name}
        for library in (keras, tf_keras)
    ]

    assert names[0] == names[1]
    assert {"dense/kernel", "sequential/dense/kernel", "dense_1/bias"} <= names[0]


@pytest.mark.parametrize("library", INSTALLED)
def test_every_weight_has_a_name_and_only_one(library):
    model = _model(library)
    named = named_variables(model)

    assert {id(v) for v in named.values()} >= {id(v) for v in model.weights}
    assert len(named) == len({id(v) for v in named.values()})


@pytest.mark.parametrize("library", INSTALLED)
def test_metrics_are_no_weights(library):
    model = _model(library)
    before = list(named_variables(model))
    model.compile("sgd", "mse", metrics=["mae"])
    model.train_on_batch(np.ones((1, 4)), np.ones((1, 2)))

    assert list(named_variables(model)) == before


@pytest.mark.parametrize("library", INSTALLED)
def test_each_keras_knows_its_own(library):
    name = "keras" if library is keras else "tf_keras"

    assert compat.kerase_of(library.layers.Dense(1)) == name
    with pytest.raises(TypeError, match="got 3"):
        compat.kerase_of(3)


@pytest.mark.parametrize("library", INSTALLED)
def test_a_train_step_of_ones_own_is_noticed(library):
    class Own(library.Model):
        def train_step(self, data):
            return super().train_step(data)

    inputs = library.Input((4,))
    assert compat.has_own_train_step(Own(inputs, library.layers.Dense(1)(inputs)))
    assert not compat.has_own_train_step(_model(library))
    assert not compat.has_own_train_step(library.Sequential([library.layers.Dense(1)]))
