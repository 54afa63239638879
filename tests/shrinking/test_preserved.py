"""What `compact` leaves as it is: names, flags, precision, compile state, optimizer."""

import json

import keras
import numpy as np
import pytest

from kerasinit import shrinking
from tests.products import each_value_once
from tests.shrinking import networks
from tests.shrinking.cutting import (
    assert_same_outputs,
    located_variables,
    zero_channels,
)
from tests.shrinking.networks import INSTALLED, batch, leaf, make


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_a_sequential_that_was_built_by_a_call_is_cut(library):
    model = library.Sequential(
        [library.layers.Dense(8, activation="sigmoid"), library.layers.Dense(2)]
    )
    model(np.zeros((1, 4), "float32"))
    networks.randomize(model, 0)
    zero_channels(model, 0.5, np.random.default_rng(0))

    small = shrinking.compact(model)

    assert [one.shape for one in small.get_weights()] == [(4, 4), (4,), (4, 2), (2,)]
    assert_same_outputs(model, small, np.ones((3, 4), "float32"))


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_names_flags_and_options_are_kept(library):
    model = make("nested_sequential_application", library)
    model.get_layer("base").layers[1].trainable = False
    model.layers[-2].trainable = False
    zero_channels(model, 0.5, np.random.default_rng(0))
    small = shrinking.compact(model)

    def described(one):
        return [
            (layer.name, type(layer), layer.trainable, layer.get_config().get("activation"))
            for layer in (*one.layers, *one.get_layer("base").layers)
        ]

    assert described(small) == described(model)
    assert (small.name, type(small)) == (model.name, type(model))
    assert [leaf(one) for one in small.trainable_variables] == [
        leaf(one) for one in model.trainable_variables
    ]
    assert json.loads(small.to_json()).keys() == json.loads(model.to_json()).keys()


@each_value_once(
    library=INSTALLED,
    policy=("mixed_float16", "mixed_bfloat16", "float16", "bfloat16"),
    name=("vgg", "mlp", "transformer_encoder"),
)
def test_precision_is_kept(library, policy, name):
    with networks.precision(library, policy):
        model = make(name, library)
    zero_channels(model, 0.5, np.random.default_rng(0))
    small = shrinking.compact(model)

    def policies(one):
        kind = "dtype_policy" if library is keras else "_dtype_policy"
        layers = [layer for layer in one.layers if layer.weights]
        return [getattr(layer, kind).name for layer in layers]

    assert policies(small) == policies(model)
    assert [str(one.dtype) for one in small.variables] == [
        str(one.dtype) for one in model.variables
    ]
    assert_same_outputs(model, small, batch(model), 2e-2 if "b" in policy else 4e-3)


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_the_compile_state_is_kept(library):
    model = make("mlp", library)
    model.compile(
        library.optimizers.Adam(0.0123),
        library.losses.Huber(delta=0.7),
        metrics=["mae"],
    )
    zero_channels(model, 0.5, np.random.default_rng(0))

    small = shrinking.compact(model)

    assert type(small.optimizer) is type(model.optimizer)
    assert small.optimizer is not model.optimizer
    assert float(small.optimizer.learning_rate) == pytest.approx(0.0123)
    x = batch(model)
    y = np.ones((4, 4), "float32")
    assert small.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), 1e-5)
    small.fit(x, y, verbose=0)


@pytest.mark.parametrize("library", INSTALLED, ids=lambda one: one.__name__)
def test_a_model_that_is_not_compiled_stays_so(library):
    model = make("mlp", library)

    small = shrinking.compact(model)

    with pytest.raises((RuntimeError, ValueError), match="compile"):
        small.fit(batch(model), np.ones((4, 4)), verbose=0)


@each_value_once(
    library=INSTALLED,
    name=("vgg", "resnet20", "inception"),
    optimizer=("adam", "sgd", "nadam"),
)
def test_training_goes_on_where_it_was_with_the_moments(library, name, optimizer):
    model = make(name, library)
    chosen = library.optimizers.SGD(0.01, momentum=0.9) if optimizer == "sgd" else optimizer
    freeze_statistics(model)
    model.compile(chosen, "mse", run_eagerly=True)
    x, y = batch(model), np.ones((4, *model.output_shape[1:]), "float32")
    model.train_on_batch(x, y)
    gone = zero_channels(model, 0.5, np.random.default_rng(0))

    small = shrinking.compact(model, optimizer=True)
    without = shrinking.compact(model)

    assert int(np.asarray(small.optimizer.iterations)) == 1
    assert int(np.asarray(without.optimizer.iterations)) == 0
    model.train_on_batch(x, y)
    small.train_on_batch(x, y)
    left, compared = located_variables(small), 0
    for place, variable in located_variables(model).items():
        if "kernel" in leaf(variable):
            index = [
                np.setdiff1d(np.arange(size), gone.get(id(variable), {}).get(axis, []))
                for axis, size in enumerate(variable.shape)
            ]
            np.testing.assert_allclose(
                np.asarray(left[place]), np.asarray(variable)[np.ix_(*index)], 1e-4, 1e-5
            )
            compared += 1
    assert compared > 2


def freeze_statistics(model):
    for layer in model.layers:
        if "BatchNormalization" in type(layer).__name__:
            layer.trainable = False
