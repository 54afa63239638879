"""Each importance is what its formula says, and a group that it says nothing of is kept."""

import keras
import numpy as np
import pytest

from kerasinit import shrinking
from kerasinit._src.shrinking.named_importance import NAMES, make_importance
from kerasinit._src.shrinking.reading import read_channels
from tests.kerases import INSTALLED, tf_keras

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 8, 8, 3)).astype("float32")
Y = RNG.standard_normal((40, 2)).astype("float32")
LIBRARIES = pytest.mark.parametrize("library", INSTALLED)


def conv_net(library, seed=0):
    """Return a network with one normalized group, a residual one, and a dense one."""
    layers = library.layers
    inputs = library.Input((8, 8, 3))
    first = layers.Conv2D(6, 3, padding="same", name="first")(inputs)
    first = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(first))
    one = layers.Conv2D(5, 3, padding="same", name="left")(first)
    other = layers.Conv2D(5, 1, name="right")(first)
    joined = layers.Add(name="add")([one, other])
    hidden = layers.Dense(7, activation="relu", name="hidden")(layers.Flatten()(joined))
    model = library.Model(inputs, layers.Dense(2, name="head")(hidden))
    model.compile("sgd", "mse")
    random = np.random.default_rng(seed)
    model.set_weights([_positive(random.standard_normal(w.shape)) for w in model.get_weights()])
    return model


def _positive(values):
    # One axis of the weights of a normalization: its scale and variance must be positive.
    return np.abs(values) + 0.1 if values.ndim == 1 else values * 0.3


def scores(model, name, **options):
    """Return the scores of each free group, by its name."""
    score = make_importance(name, read_channels(model), **options)
    return {group.name: score(group) for group in shrinking.groups(model).free}


def by_name(model):
    return {layer.name: [w.numpy() for w in layer.weights] for layer in model.layers}


def squares(kernel, axis):
    return (np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1) ** 2).sum(1)


@LIBRARIES
def test_magnitude_is_the_mean_of_the_squared_norms_of_what_makes_and_reads_a_channel(library):
    model = conv_net(library)
    w = by_name(model)

    found = scores(model, "magnitude")

    first = [squares(w["first"][0], 3), w["norm"][0] ** 2, squares(w["left"][0], 2)]
    first = np.mean([*first, squares(w["right"][0], 2)], 0)
    np.testing.assert_allclose(found["first"], first / first.mean(), rtol=1e-5)
    read = w["hidden"][0].reshape(64, 5, 7)  # 64 pixels of 5 channels
    both = [squares(w["left"][0], 3), squares(w["right"][0], 3), squares(read, 1)]
    both = np.mean(both, 0)
    np.testing.assert_allclose(found["left + right"], both / both.mean(), rtol=1e-5)


@LIBRARIES
@pytest.mark.parametrize(("name", "order"), [("l1", 1), ("l2", 2)])
def test_l1_and_l2_are_norms_of_the_kernels_that_make_a_channel(library, name, order):
    model = conv_net(library)
    w = by_name(model)

    found = scores(model, name)["left + right"]

    kernels = np.concatenate([w["left"][0].reshape(-1, 5), w["right"][0].reshape(-1, 5)])
    norms = np.linalg.norm(kernels, order, axis=0)
    np.testing.assert_allclose(found, norms / norms.mean(), rtol=1e-5)


def test_removed_channels_do_not_change_how_groups_compare():
    model = conv_net(keras)
    before = scores(model, "magnitude")["hidden"]
    next(one for one in shrinking.groups(model) if one.name == "hidden").zero([0, 3])

    after = scores(model, "magnitude")["hidden"]

    assert after[[0, 3]].tolist() == [0, 0]
    left = [1, 2, 4, 5, 6]
    np.testing.assert_allclose(after[left], before[left] / before[left].mean(), rtol=1e-5)


@LIBRARIES
def test_batch_norm_is_the_scale_and_says_nothing_of_other_groups(library):
    model = conv_net(library)
    model.get_layer("norm").gamma.assign([-3.0, 1, 2, 0.5, 0, 4])

    found = scores(model, "batch_norm")

    np.testing.assert_array_equal(found["first"], [3, 1, 2, 0.5, 0, 4])
    assert found["left + right"] is None
    assert found["hidden"] is None


@LIBRARIES
def test_taylor_is_the_squared_slope_of_the_loss_along_the_weights_of_a_channel(library):
    model = conv_net(library)
    x, y = X[:16], Y[:16]

    found = scores(model, "taylor", x=x, y=y)

    for group in shrinking.groups(model).free:
        for channel in range(group.size):
            slope = _slope(model, group, channel, x, y)
            np.testing.assert_allclose(found[group.name][channel], slope**2, rtol=0.03, atol=1e-5)


def _slope(model, group, channel, x, y, step=2e-3):
    """Return the change of the loss as the weights of a channel grow, by central differences."""
    before = model.get_weights()
    losses = []
    for factor in (1 + step, 1 - step):
        scaled = {}
        for one in group.slices:
            if one.role == "statistic":
                continue
            # A variable in which the channel has two axes is scaled once in each place.
            variable = one.variable
            _, mask = scaled.setdefault(
                id(variable), (variable, np.ones(tuple(variable.shape), bool))
            )
            np.moveaxis(mask, one.axis, 0)[one.positions[channel]] = False
        for variable, mask in scaled.values():
            variable.assign(np.where(mask, variable.numpy(), variable.numpy() * factor))
        outputs = np.asarray(model(x, training=False)).astype("float64")
        losses.append(((outputs - y) ** 2).mean())
        model.set_weights(before)
    return (losses[0] - losses[1]) / (2 * step)


def test_taylor_averages_the_squares_of_batches():
    model = conv_net(keras)
    parts = [scores(model, "taylor", x=X[a:b], y=Y[a:b]) for a, b in ((0, 32), (32, 40))]

    whole = scores(model, "taylor", x=X, y=Y)

    for name, found in whole.items():
        np.testing.assert_allclose(found, (parts[0][name] + parts[1][name]) / 2, rtol=1e-4)


def test_taylor_says_nothing_of_frozen_channels():
    model = conv_net(keras)
    for name in ("hidden", "head"):
        model.get_layer(name).trainable = False

    found = scores(model, "taylor", x=X, y=Y)

    assert found["hidden"] is None
    assert found["first"] is not None


@LIBRARIES
def test_activation_is_the_mean_absolute_value_where_a_channel_is_read(library):
    model = conv_net(library)

    found = scores(model, "activation", x=X)

    for name, layer in (("first", "relu"), ("left + right", "add"), ("hidden", "hidden")):
        values = library.Model(model.input, model.get_layer(layer).output)(X, training=False)
        mean = np.abs(np.asarray(values)).reshape(-1, values.shape[-1]).mean(0)
        np.testing.assert_allclose(found[name], mean / mean[mean > 0].mean(), rtol=1e-4)


def test_activation_says_nothing_of_heads_which_no_layer_takes_as_a_signal():
    inputs = keras.Input((6, 8))
    attended = keras.layers.MultiHeadAttention(4, 5)(inputs, inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(attended)))
    x = np.ones((3, 6, 8), "float32")

    plan = shrinking.structured(model, {"macs": 0.9}, importance="activation", x=x)

    reasons = {one.size: one.reason for one in plan.groups if one.name.startswith("query")}
    assert reasons[4] == "no layer with weights takes it as a signal"


def test_random_scores_depend_on_the_seed_and_the_group_alone():
    for library in INSTALLED:
        first = scores(conv_net(library), "random", seed=1)
        again = scores(conv_net(library, seed=5), "random", seed=1)
        other = scores(conv_net(library), "random", seed=2)
        for name in first:
            np.testing.assert_array_equal(first[name], again[name])
            assert not np.array_equal(first[name], other[name])
    assert not np.array_equal(first["left + right"], first["first"][:5])


@pytest.mark.parametrize("name", NAMES)
def test_both_kerases_give_the_same_scores(name):
    found = [scores(conv_net(one), name, x=X, y=Y) for one in (keras, tf_keras)]

    for group, values in found[0].items():
        if values is None:
            assert found[1][group] is None
        else:
            np.testing.assert_allclose(values, found[1][group], rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_scoring_changes_nothing(name):
    model = conv_net(keras)
    before = [w.copy() for w in model.get_weights()]

    shrinking.structured(model, ratios={"first": 0.5}, importance=name, x=X, y=Y)

    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_any_function_of_a_group_serves_as_importance():
    model = conv_net(keras)
    seen = []

    def first_ones(group):
        seen.append(group.name)
        return None if group.name == "hidden" else -np.arange(group.size)

    plan = shrinking.structured(model, {"macs": 0.6}, importance=first_ones, scope="local")

    assert seen == ["first", "left + right", "hidden"]
    for name, removed in plan.removed.items():
        size = next(one.size for one in plan.groups if one.name == name)
        assert removed == tuple(range(size - len(removed), size))
    assert {one.name: one.reason for one in plan.groups}["hidden"] == (
        "its importance is not defined"
    )


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda group: np.ones(3), r"each of the 6 channels of 'first'; got shape \(3,\)"),
        (lambda group: np.full(group.size, np.nan), "importance of 'first' is not finite"),
    ],
)
def test_a_function_that_returns_something_else_is_refused(function, match):
    with pytest.raises(ValueError, match=match):
        shrinking.structured(conv_net(keras), {"macs": 0.5}, importance=function)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"importance": "magnitud"}, "Did you mean 'magnitude'"),
        ({"importance": "taylor", "y": Y}, "needs examples: pass them as x"),
        ({"importance": "activation"}, "needs examples: pass them as x"),
        ({"importance": "taylor", "x": X}, "pass them as y"),
        ({"importance": "taylor", "x": X, "y": Y[:9]}, "40 examples in x, and 9 labels"),
        (
            {"importance": "taylor", "x": X, "y": np.full_like(Y, np.nan)},
            "gradients of .* are not finite",
        ),
        ({"importance": "taylor", "x": X, "y": Y[:, :1][:, [0] * 3]}, "cannot be computed from"),
        ({"importance": "activation", "x": X[..., :2]}, r"\(None, 8, 8, 3\); x has shape"),
        ({"importance": "activation", "x": X[:0]}, r"x has shape \(0, 8, 8, 3\)"),
        ({"importance": "activation", "x": [X, X]}, "has 1 inputs; got 2 arrays"),
        ({"importance": "activation", "x": {"a": X}}, r"got \['a'\] as x"),
        (
            {"importance": "activation", "x": np.full_like(X, np.inf)},
            "x has values that are not finite",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        shrinking.structured(conv_net(keras), {"macs": 0.5}, **options)


def test_taylor_of_a_model_without_a_loss_is_refused():
    model = conv_net(keras)
    model = keras.Model(model.inputs, model.outputs)

    with pytest.raises(ValueError, match="the model is not compiled with one"):
        shrinking.structured(model, {"macs": 0.5}, importance="taylor", x=X, y=Y)


def test_taylor_sees_the_logits_behind_a_softmax_and_inputs_by_name():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    both = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    hidden = keras.layers.Dense(6, "relu", name="hidden")(both)
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = {name: RNG.standard_normal((20, 4)).astype("float32") for name in inputs}

    for name in ("taylor", "activation"):
        plan = shrinking.structured(
            model, ratios={"hidden": 0.5}, importance=name, x=x, y=np.arange(20) % 3
        )
        assert len(plan.removed["hidden"]) == 3
