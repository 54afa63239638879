"""Scales from a batch: each layer comes out as promised, or nothing is changed."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasinit._src.whole_models.from_batch.layer_sequential import lsuv
from kerasinit._src.whole_models.from_batch.per_unit import weight_norm, within_layer
from tests.kerases import INSTALLED, KERASES
from tests.products import each_value_once

both = pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)
METHODS = [lsuv, within_layer, weight_norm]
every = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)


def batch_of(*shape, seed=0, low=0.0, high=255.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype("float32")


def dense(module, *sizes, activation="relu", **options):
    layers = [module.layers.Dense(size, activation, **options) for size in sizes]
    return module.Sequential([module.Input((8,)), *layers])


def weights_of(model):
    return [np.array(weight) for weight in model.get_weights()]


def own_calls(model):
    """Return the calls that hide those of the layers' classes; tf_keras' operations have some."""
    return [vars(layer).get("call") for layer in model.layers]


def branched(module):
    layers = module.layers
    inputs = module.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="tanh")(x)
    y = layers.SeparableConv2D(8, 3, padding="same")(y)
    x = layers.BatchNormalization()(layers.Add()([x, y]))
    x = layers.Conv2DTranspose(6, 3, strides=2, activation="relu")(x)
    x = layers.Reshape((-1, 6))(x)
    x = x + layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.AveragePooling1D(13)(x)
    x = layers.TimeDistributed(layers.Dense(4, "relu"))(x)
    x = layers.Bidirectional(layers.LSTM(5))(x)
    return module.Model(inputs, layers.Dense(3, "softmax")(x))


# ------------------------------------------------------------------- computed by hand


@both
def test_lsuv_divides_an_orthogonal_kernel_by_the_deviation_it_gives(module):
    # An orthogonal 1 x 1 matrix is 1 or -1; 0 and 6 have the variance 9.
    model = module.Sequential([module.Input((1,)), module.layers.Dense(1, "tanh")])
    model.set_weights([np.array([[5.0]]), np.array([-10.0])])
    row = lsuv(model, np.array([[0.0], [6.0]], "float32"), seed=1)["dense"]

    kernel, bias = weights_of(model)
    assert abs(kernel.item()) == pytest.approx(1 / 3)
    assert bias.item() == 0
    assert (row.before, row.variance, row.iterations) == pytest.approx((9, 1, 1))
    assert row.scale == pytest.approx(1 / 3)


@both
def test_within_layer_gives_each_unit_mean_zero_and_variance_one(module):
    # Unit 0 sees 1, 7 (mean 4, deviation 3), unit 1 sees 20, 20 + 6 * 10 (50, 30).
    model = module.Sequential([module.Input((1,)), module.layers.Dense(2, "relu")])
    model.set_weights([np.array([[1.0, 10.0]]), np.array([1.0, 20.0])])
    within_layer(model, np.array([[0.0], [6.0]], "float32"))

    kernel, bias = weights_of(model)
    np.testing.assert_allclose(kernel, [[1 / 3, 1 / 3]], rtol=1e-6)
    np.testing.assert_allclose(bias, [-1, -1], rtol=1e-6)


@both
def test_weight_norm_reports_the_lengths_of_the_papers_formula(module):
    model = dense(module, 4)
    batch = batch_of(50, 8)
    row = weight_norm(model, batch, seed=3)["dense"]

    kernel, bias = weights_of(model)
    direction = kernel / np.linalg.norm(kernel, axis=0)
    seen = batch.astype(float) @ direction
    np.testing.assert_allclose(row.lengths, 1 / seen.std(0), rtol=1e-4)
    np.testing.assert_allclose(bias, -seen.mean(0) / seen.std(0), rtol=1e-4)


@both
def test_the_spread_of_the_directions_falls_out(module):
    one, other = dense(module, 4), dense(module, 4)
    weight_norm(one, batch_of(50, 8), seed=3)
    weight_norm(other, batch_of(50, 8), seed=3, stddev=2.0)

    for first, second in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3)


# -------------------------------------------------------------------- what is reached


@both
def test_lsuv_reaches_variance_one_also_on_another_batch(module):
    activations = ["relu", "tanh", None, "gelu", "sigmoid"]
    layers = [module.layers.Dense(64, activation) for activation in activations]
    model = module.Sequential([module.Input((32,)), *layers])
    lsuv(model, batch_of(512, 32), seed=1)

    for batch, tolerance in ((batch_of(512, 32), 1e-3), (batch_of(512, 32, seed=1), 0.1)):
        x = batch.astype(np.float64)
        for layer in layers:
            kernel, bias = layer.get_weights()
            before = x @ kernel + bias
            assert before.var() == pytest.approx(1, abs=tolerance)
            x = np.asarray(layer.activation(before.astype("float32")))


@each_value_once(module=INSTALLED, method=METHODS, training=[False, True])
def test_every_kind_of_layer_is_reached_in_a_model_with_branches(module, method, training):
    model = branched(module)
    calls = own_calls(model)
    statistics = [w.copy() for w in model.layers[5].get_weights()[2:]]
    report = method(model, batch_of(32, 6, 6, 3), training=training)

    assert len(report.layers) == 12
    assert all(row.variance == pytest.approx(1, abs=0.01) for row in report.layers)
    assert all(row.calls == 1 for row in report.layers)
    for before, after in zip(statistics, model.layers[5].get_weights()[2:], strict=True):
        np.testing.assert_array_equal(before, after)
    assert own_calls(model) == calls


@both
def test_batch_statistics_are_used_if_asked(module):
    def scale(training):
        layers = [module.layers.BatchNormalization(), module.layers.Dense(4)]
        model = module.Sequential([module.Input((8,)), *layers])
        return lsuv(model, batch_of(64, 8), seed=1, training=training)["dense"].before

    # Behind the moving statistics 0 and 1 the inputs are still in 0..255.
    assert scale(False) > 1000
    assert scale(True) == pytest.approx(1, abs=0.3)


@both
def test_a_shared_layer_is_scaled_once_and_nested_models_are_entered(module):
    shared = module.layers.Dense(8, "relu")
    inner = module.Sequential([module.Input((8,)), module.layers.Dense(8)])
    inputs = module.Input((8,))
    model = module.Model(inputs, shared(inner(shared(inputs))))
    report = lsuv(model, batch_of(64, 8), seed=1)

    assert sorted(row.calls for row in report.layers) == [1, 2]
    assert {row.iterations for row in report.layers} == {1}
    assert "first of 2 calls" in str(report)


@both
def test_a_subclassed_model_is_measured_in_the_order_of_its_call(module):
    class Backwards(module.Model):
        def __init__(self):
            super().__init__()
            self.last = module.layers.Dense(3)
            self.first = module.layers.Dense(8, "relu")

        def call(self, inputs, training=False):
            return self.last(self.first(inputs))

    model = Backwards()
    model(batch_of(2, 8))
    assert [row.name for row in lsuv(model, batch_of(64, 8)).layers] == ["dense_1", "dense"]


@both
@pytest.mark.parametrize("seed", range(3))
def test_lsuv_holds_within_the_tolerance_and_within_10_percent_on_a_fresh_batch(module, seed):
    layers = module.layers
    inputs = module.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, activation="relu", padding="same")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", activation="tanh")(x)
    y = layers.SeparableConv2D(16, 3, padding="same")(y)
    x = layers.Conv2D(16, 3, strides=2, activation="sigmoid")(layers.Add()([x, y]))
    x = layers.Flatten()(x)
    y = layers.Dense(32, "gelu")(x)
    z = layers.Dense(32, "sigmoid")(x)
    x = layers.Concatenate()([layers.Multiply()([y, z]), layers.Dense(16, "softplus")(y)])
    model = module.Model(inputs, [layers.Dense(10)(x), layers.Dense(16, "softmax")(y)])
    images = batch_of(1024, 8, 8, 3, seed=seed)
    report = lsuv(model, images[:512], seed=seed)
    assert len(report.layers) == 9
    assert all(abs(row.variance - 1) <= 0.1 for row in report.layers)

    fresh = variances(module, model, images[512:])
    assert len(fresh) == 9
    assert all(abs(variance - 1) < 0.1 for variance in fresh.values()), fresh


def variances(module, model, batch):
    """Return the variance of each layer's output before its activation, over a batch."""
    with_kernels = [
        layer for layer in model.layers if layer.weights and hasattr(layer, "activation")
    ]
    found = {}
    for layer in with_kernels:
        inside = module.Model(model.input, layer.input)
        activation, layer.activation = layer.activation, None
        found[layer.name] = np.asarray(layer(inside(batch)), np.float64).var()
        layer.activation = activation
    return found


@both
def test_before_a_sigmoid_the_bias_takes_the_mean_of_each_unit_away(module):
    # 1 and 7 have the mean 4 and the deviation 3, so the kernel becomes 1 / 3, the bias -4 / 3.
    model = module.Sequential([module.Input((1,)), module.layers.Dense(1, "sigmoid")])
    lsuv(model, np.array([[1.0], [7.0]], "float32"), seed=1)
    kernel, bias = weights_of(model)
    assert abs(kernel.item()) == pytest.approx(1 / 3)
    assert bias.item() == pytest.approx(-4 * kernel.item())


@both
def test_behind_sigmoids_examples_stay_apart_unless_there_is_no_bias_to_see_to_it(module):
    def cosine(**options):
        model = dense(module, *[64] * 10, activation="sigmoid", **options)
        notes = {row.note for row in lsuv(model, batch_of(64, 8), seed=1).layers}
        values = np.asarray(model(batch_of(64, 8, seed=1)))
        values = values / np.linalg.norm(values, axis=1, keepdims=True)
        return (values @ values.T).mean(), notes

    assert cosine()[0] < 0.95
    alike, notes = cosine(use_bias=False)
    assert alike > 0.999
    assert notes == {"no bias for each unit: the mean stays"}


# ------------------------------------------------------------------------ properties


@settings(max_examples=8)
@given(
    factor=st.floats(1e-3, 1e3),
    shift=st.floats(-3, 3),
    units=st.integers(1, 9),
    method=st.sampled_from(METHODS),
)
def test_the_scale_and_place_of_the_inputs_do_not_matter(factor, shift, units, method):
    model = dense(keras, units, 3, activation="tanh")
    batch = (factor * (batch_of(40, 8, low=-1, high=1) + shift)).astype("float32")
    report = method(model, batch)

    assert all(row.variance == pytest.approx(1, abs=0.01) for row in report.layers)
    if method is not lsuv:
        assert all(abs(row.mean) < 0.01 for row in report.layers)


@both
@pytest.mark.parametrize("method", [lsuv, weight_norm])
def test_a_seed_means_the_same_weights_again(module, method):
    model = dense(module, 5, 3)
    first = method(model, batch_of(40, 8), seed=7)
    weights = weights_of(model)
    assert method(model, batch_of(40, 8), seed=7) == first
    for one, other in zip(weights, weights_of(model), strict=True):
        np.testing.assert_array_equal(one, other)
    method(model, batch_of(40, 8), seed=8)
    assert not np.array_equal(weights[0], weights_of(model)[0])


# --------------------------------------------------------------- nothing, if anything


@both
@every
def test_a_layer_that_never_varies_changes_nothing(module, method):
    inputs = module.Input((8,))
    x = module.layers.Dense(4, "relu")(module.layers.BatchNormalization()(inputs))
    x = module.layers.Dense(4, name="behind")(module.layers.Rescaling(0.0)(x))
    model = module.Model(inputs, x)
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(batch_of(32, 8), batch_of(32, 4))
    before, calls = weights_of(model), own_calls(model)
    state = [np.array(v.numpy()) for v in model.optimizer.variables]

    with pytest.raises(ValueError, match=r"'behind' never var|'dense_1' never var"):
        method(model, batch_of(32, 8), training=True)
    for one, other in zip(before, weights_of(model), strict=True):
        assert one.tobytes() == other.tobytes()
    for one, variable in zip(state, model.optimizer.variables, strict=True):
        assert one.tobytes() == np.array(variable.numpy()).tobytes()
    assert own_calls(model) == calls


@both
def test_a_nan_in_a_weight_that_is_kept_is_said(module):
    model = dense(module, 4, 3)
    kernel, bias, *rest = weights_of(model)
    model.set_weights([kernel * np.nan, bias, *rest])
    with pytest.raises(ValueError, match="not finite"):
        within_layer(model, batch_of(40, 8), keep=["dense"])


@both
def test_the_optimizer_starts_anew(module):
    model = dense(module, 4)
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(batch_of(32, 8), batch_of(32, 4))
    lsuv(model, batch_of(40, 8))
    assert int(model.optimizer.iterations.numpy()) == 0


@both
@every
def test_what_is_kept_stays(module, method):
    model = dense(module, 4, 3)
    before = weights_of(model)
    report = method(model, batch_of(40, 8), keep=["dense_1"])
    after = weights_of(model)

    assert not np.array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[2], after[2])
    assert report["dense_1"].note == "kept unchanged"
    with pytest.raises(ValueError, match=r"Did you mean 'dense_1'"):
        method(model, batch_of(40, 8), keep=["dense_2"])


@both
def test_units_without_a_bias_keep_their_mean_and_the_report_says_so(module):
    model = dense(module, 4, use_bias=False)
    row = within_layer(model, batch_of(40, 8))["dense"]
    assert row.variance == pytest.approx(1, abs=0.01)
    assert "mean stays" in row.note


@both
def test_a_layer_that_ignores_its_kernel_is_an_error(module):
    class Ignores(module.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(name="kernel", shape=(8, 8), initializer="ones")
            super().build(shape)

        def call(self, inputs):
            return inputs

        def compute_output_shape(self, shape):
            return shape

    model = module.Sequential([module.Input((8,)), Ignores()])
    with pytest.raises(ValueError, match="after 2 scalings"):
        lsuv(model, batch_of(40, 8), iterations=2)
    assert (weights_of(model)[0] == 1).all()


@both
def test_the_tolerance_is_held(module):
    model = module.Sequential([module.Input((8,)), module.layers.Dense(4, dtype="float16")])
    with pytest.raises(ValueError, match="not 1 within 1e-09"):
        lsuv(model, batch_of(40, 8, high=1.0), tolerance=1e-9, iterations=3)
    lsuv(model, batch_of(40, 8, high=1.0), tolerance=0.1)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (np.ones((1, 8)), ValueError, "two examples"),
        (np.full((4, 8), np.nan), ValueError, "not finite"),
        ("batch", TypeError, "next\\(iter"),
        ([], ValueError, "empty"),
    ],
)
@every
def test_a_wrong_batch_is_refused(method, batch, error, message):
    with pytest.raises(error, match=message):
        method(dense(keras, 3), batch)


def test_the_report_is_json_and_a_table():
    report = lsuv(dense(keras, 3), batch_of(40, 8), seed=5)
    assert json.loads(report.to_json())["layers"][0]["name"] == "dense"
    assert "seed 5" in str(report)
    with pytest.raises(KeyError, match="Did you mean 'dense'"):
        report["dens"]
