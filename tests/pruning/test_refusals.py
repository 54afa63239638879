"""What cannot be pruned is refused before anything is changed."""

import keras
import pytest

from kerasinit import pruning
from tests.kerases import tf_keras


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
        # As tfmot has it.
        (lambda: ("model", {}), ValueError, "Expected a model or layer"),
        (lambda: ([keras.layers.Dense(2), "model"], {}), ValueError, "Expected a model or layer"),
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
        (
            lambda: (small(), {"pruning_schedule": lambda step: step > 3}),
            TypeError,
            r"return \(whether to update the masks, sparsity\)",
        ),
        (
            lambda: (small(), {"pruning_schedule": lambda step: (True, 50.0)}),
            ValueError,
            r"in \[0, 1\).*asks for 50 at step 1.*percentage, 0.5 would be",
        ),
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


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        pruning.prune_low_magnitude(small())


def test_stripping_a_tf_keras_layer_is_refused():
    for error in (TypeError, ValueError):  # tfmot raises the latter
        with pytest.raises(error, match="tfmot strips whole tf_keras models; got a layer"):
            pruning.strip_pruning(tf_keras.layers.Dense(3))
        with pytest.raises(error, match="Expected a model or layer"):
            pruning.strip_pruning("model")


@pytest.mark.parametrize("step", [-1, 2.0, True])
def test_an_initial_step_that_is_no_count_is_refused(step):
    with pytest.raises(ValueError, match=r"initial_step to be the number of training steps taken"):
        pruning.prune_low_magnitude(small(), initial_step=step)


def test_an_initial_step_is_refused_for_tf_keras():
    with pytest.raises(ValueError, match="initial_step is for Keras 3"):
        pruning.prune_low_magnitude(tf_keras.layers.Dense(3), initial_step=3)


@pytest.mark.parametrize("loop", [pruning.begin_step, pruning.apply_masks])
def test_the_functions_for_loops_take_pruned_keras_3_models_only(loop):
    with pytest.raises(ValueError, match=r"not pruned.*prune_low_magnitude"):
        loop(small())
    with pytest.raises(TypeError, match="Expected a Keras 3 model"):
        loop(tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(3)]))
