"""What cannot be pruned is refused before anything is changed."""

import types

import keras
import pytest
import tf_keras

from kerasinit import pruning
from kerasinit.pruning import engine
from kerasinit.pruning.blocks import SingleWeights


def small():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(2)])


class Silent:
    def allow_pruning(self, layer):
        return False

    def ensure_model_supports_pruning(self, model):
        pass


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ("model", {}), TypeError, "Expected a model or layer"),
        (lambda: (small(), {"schedule": None}), TypeError, r"'schedule'.*'pruning_schedule'\?"),
        (lambda: (small(), {"pruning_schedule": 0.5}), TypeError, r"ConstantSparsity.*got 0\.5"),
        (
            lambda: (small(), {"pruning_schedule": pruning.ConstantSparsity}),
            TypeError,
            "object such as",
        ),
        (lambda: (small(), {"pruning_policy": "all"}), TypeError, "has no allow_pruning"),
        (lambda: (small(), {"pruning_policy": Silent()}), ValueError, "policy allows none"),
        (lambda: (small(), {"block_pooling_type": "MEAN"}), ValueError, "'AVG', 'MAX'"),
        (lambda: (keras.layers.Dense(3), {}), ValueError, "single Keras 3 layer"),
        (lambda: ([keras.layers.Dense(3)], {}), ValueError, "pruning_policy"),
        (
            lambda: ([keras.layers.Dense(3), tf_keras.layers.Dense(3)], {}),
            ValueError,
            "mixes layers of Keras 3 and of tf_keras",
        ),
        (lambda: ([], {}), ValueError, "empty list"),
        (
            lambda: (keras.Sequential([keras.Input((3,)), keras.layers.ReLU()]), {}),
            ValueError,
            "no weights to prune",
        ),
        (
            lambda: (
                keras.Sequential([keras.Input((8, 2)), keras.layers.Conv1D(3, 2)]),
                {"block_size": (2, 2)},
            ),
            ValueError,
            "'conv1d/kernel' has shape",
        ),
    ],
)
def test_what_cannot_be_pruned_is_refused_with_the_remedy(make, error, message):
    to_prune, arguments = make()
    with pytest.raises(error, match=message):
        pruning.prune_low_magnitude(to_prune, **arguments)


def test_a_refused_model_is_left_as_it_was():
    model = small()
    before = {*vars(model)}
    with pytest.raises(ValueError, match="pooling"):
        pruning.prune_low_magnitude(model, block_pooling_type="MEAN")
    assert {*vars(model)} == before
    with pytest.raises(ValueError, match="not pruned"):
        pruning.masks(model)


def test_a_model_on_several_devices_is_refused():
    class Replicated(keras.Sequential):
        distribute_strategy = types.SimpleNamespace(num_replicas_in_sync=2)

    model = Replicated([keras.Input((6,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="replicated over 2 devices"):
        pruning.prune_low_magnitude(model)


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        engine.attach(small(), [], pruning.ConstantSparsity(0.5, 0), SingleWeights())


def test_stripping_a_layer_is_refused():
    with pytest.raises(TypeError, match="Expected a model; got the layer"):
        pruning.strip_pruning(keras.layers.Dense(3))
