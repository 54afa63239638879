"""Rules for a whole model: the right fans, streams that no two variables share."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from kerasinit._src.network.fans import compute_fans
from kerasinit._src.whole_models.redraw import Rule, reinitialize
from tests.kerases import INSTALLED, KERASES, tf_keras

both = pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)
NORMAL = kerasinit.RandomNormal(stddev=1.0, seed=5)
LECUN = {"kernel": "LecunNormal"}


def dense_model(module, activation="relu"):
    return module.Sequential(
        [
            module.Input((6,)),
            module.layers.Dense(8, activation),
            module.layers.Dense(8, activation),
            module.layers.Dense(3),
        ]
    )


def weights_of(model):
    return [weight.numpy() for weight in model.weights]


def assert_equal(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------ the variance of each layer


def through(module, kind):
    """Return a layer of one kind that keeps its input's statistics apart, and inputs."""
    layers = module.layers
    sequence, images = NORMAL((64, 10, 64)), NORMAL((4, 16, 16, 64))
    volume = NORMAL((2, 8, 8, 8, 16))
    bare = {"use_bias": False}
    return {
        "Dense": lambda: (layers.Dense(256, **bare), sequence),
        "EinsumDense": lambda: (layers.EinsumDense("abc,cde->abde", (None, 8, 32)), sequence),
        "EinsumDense by position": lambda: (
            layers.EinsumDense("abc,bcd->abd", (10, 128)),
            sequence,
        ),
        "Conv1D": lambda: (layers.Conv1D(128, 3, **bare), sequence),
        "Conv2D": lambda: (layers.Conv2D(64, 3, **bare), images),
        "Conv2D in groups": lambda: (layers.Conv2D(64, 3, groups=4, **bare), images),
        "Conv3D": lambda: (layers.Conv3D(64, 3, **bare), volume),
        "DepthwiseConv2D": lambda: (layers.DepthwiseConv2D(5, depth_multiplier=16, **bare), images),
        "SeparableConv2D": lambda: (
            layers.SeparableConv2D(128, 5, depth_multiplier=8, **bare),
            images,
        ),
        "Conv1DTranspose": lambda: (layers.Conv1DTranspose(128, 4, strides=2, **bare), sequence),
        # Without the border, which fewer inputs reach.
        "Conv2DTranspose": lambda: (
            layers.Conv2DTranspose(64, 4, strides=2, padding="same", **bare),
            images,
        ),
        "Conv2DTranspose, an odd window": lambda: (
            layers.Conv2DTranspose(64, 5, strides=2, padding="same", **bare),
            images,
        ),
        "Conv3DTranspose": lambda: (
            layers.Conv3DTranspose(64, 4, strides=2, padding="same", **bare),
            volume,
        ),
        "Embedding": lambda: (
            layers.Embedding(1000, 64),
            np.arange(1000, dtype="int32").reshape(10, 100),
        ),
    }[kind]()


KINDS = [
    "Dense",
    "EinsumDense",
    "EinsumDense by position",
    "Conv1D",
    "Conv2D",
    "Conv2D in groups",
    "Conv3D",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv2DTranspose, an odd window",
    "Conv3DTranspose",
    "Embedding",
]


@both
@pytest.mark.parametrize("kind", KINDS)
def test_lecun_scaling_keeps_the_variance_through_every_layer(module, kind):
    layer, inputs = through(module, kind)
    layer(inputs[:1])
    reinitialize(layer, {"*embeddings": "LecunNormal"} if kind == "Embedding" else LECUN, seed=1)
    outputs = np.asarray(layer(inputs))
    if "Transpose" in kind:
        border = (slice(None), *[slice(4, -4)] * (outputs.ndim - 2))
        outputs = outputs[border]
    # Two or three kernels' own fluctuations are within this too, at these sizes.
    assert outputs.var() == pytest.approx(1, abs=0.05)


@both
@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM", "ConvLSTM2D"])
def test_lecun_scaling_keeps_the_variance_through_every_gate(module, kind):
    """Measured on the gates' own inputs: the kernels applied to signals of variance 1."""
    if kind == "ConvLSTM2D":
        layer, inputs = module.layers.ConvLSTM2D(32, 3), NORMAL((1, 2, 8, 8, 32))
    else:
        layer, inputs = getattr(module.layers, kind)(256), NORMAL((1, 3, 256))
    layer(inputs)
    reinitialize(layer, {"kernel": "LecunNormal", "recurrent_kernel": "LecunNormal"}, seed=1)
    gates = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4, "ConvLSTM2D": 4}[kind]
    kernel, recurrent, _ = layer.get_weights()
    for values in (kernel, recurrent):
        rows = values.reshape(-1, values.shape[-1])
        signal = NORMAL((400, rows.shape[0])) @ rows
        for gate in np.split(signal, gates, axis=-1):
            assert gate.var() == pytest.approx(1, abs=0.05)


@both
def test_lecun_scaling_keeps_the_variance_through_the_projections_of_attention(module):
    layer = module.layers.MultiHeadAttention(8, 32)
    inputs = NORMAL((2, 10, 256))
    layer(inputs, inputs)
    reinitialize(layer, {"kernel": "LecunNormal"}, seed=1)
    for weight in layer.weights:
        if "kernel" in weight.name or "kernel" in getattr(weight, "path", ""):
            values = weight.numpy()
            matrix = values.reshape(256, 256)
            assert (NORMAL((400, 256)) @ matrix).var() == pytest.approx(1, abs=0.05)


def test_lecun_scaling_keeps_the_variance_through_grouped_query_attention():
    layer = keras.layers.GroupQueryAttention(32, 8, 4)
    inputs = NORMAL((2, 10, 256))
    layer(inputs, inputs)
    reinitialize(layer, {"kernel": "LecunNormal"}, seed=1)
    for name, (fan_in, _) in compute_fans(layer).items():
        (values,) = [w.numpy() for w in layer.weights if w.path.endswith(name)]
        signal = NORMAL((400, fan_in)) @ values.reshape(fan_in, -1)
        assert signal.var() == pytest.approx(1, abs=0.05)


# ------------------------------------------------------------ streams


@both
def test_query_key_and_value_differ_under_one_seed(module):
    layer = module.layers.MultiHeadAttention(2, 4, kernel_initializer=kerasinit.HeNormal(seed=3))
    inputs = NORMAL((1, 5, 8))
    layer(inputs, inputs)
    query, key, value = (layer.get_weights()[place] for place in (0, 2, 4))
    np.testing.assert_array_equal(query, key)  # what an integer seed does without rules
    for rules in (None, {"kernel": "HeNormal"}):
        reinitialize(layer, rules, seed=3)
        query, key, value = (layer.get_weights()[place] for place in (0, 2, 4))
        for one, other in ((query, key), (query, value), (key, value)):
            assert not np.isin(one, other).any()


@both
@pytest.mark.parametrize("rules", [None, {"kernel": "HeNormal"}, {"*": "RandomUniform"}])
def test_the_same_call_gives_the_first_values_back(module, rules):
    model = dense_model(module)
    model.compile(module.optimizers.Adam(0.01), "mse", run_eagerly=True)
    reinitialize(model, rules, seed=4)
    first = weights_of(model)
    model.train_on_batch(NORMAL((16, 6)), NORMAL((16, 3)))
    assert not np.array_equal(model.weights[0].numpy(), first[0])
    reinitialize(model, rules, seed=4)
    if rules != {"kernel": "HeNormal"}:  # which leaves the biases as they are
        assert_equal(weights_of(model), first)
    np.testing.assert_array_equal(model.weights[0].numpy(), first[0])
    # In a model that was built later, whose layers have other names, as well.
    other = dense_model(module)
    reinitialize(other, rules, seed=4)
    np.testing.assert_array_equal(other.weights[2].numpy(), first[2])
    reinitialize(other, rules, seed=5)
    assert not np.array_equal(other.weights[2].numpy(), first[2])


def test_both_kerases_get_the_same_values():
    models = [dense_model(module) for module in (keras, tf_keras)]
    for model in models:
        reinitialize(model, {"*/kernel": "HeNormal", "bias": "RandomNormal"}, seed=4)
    assert_equal(*map(weights_of, models))


@both
def test_layers_of_one_shape_get_different_values(module):
    model = module.Sequential([module.Input((8,)), *[module.layers.Dense(8) for _ in range(3)]])
    reinitialize(model, {"kernel": "HeNormal"}, seed=4)
    first, second, third = (model.get_weights()[place] for place in (0, 2, 4))
    for one, other in ((first, second), (first, third), (second, third)):
        assert not np.isin(one, other).any()


@both
def test_without_a_seed_one_is_drawn_and_told(module):
    model = dense_model(module)
    report = reinitialize(model)
    values = weights_of(model)
    other = reinitialize(model)
    assert other.seed != report.seed
    assert not np.array_equal(model.weights[0].numpy(), values[0])
    reinitialize(model, seed=report.seed)
    assert_equal(weights_of(model), values)


@both
def test_global_seeds_fix_the_seed_that_is_drawn(module):
    model = dense_model(module)
    seeds = []
    for _ in range(2):
        module.utils.set_random_seed(9)
        seeds.append(reinitialize(model).seed)
    assert seeds[0] == seeds[1]


# ------------------------------------------------------------ which rule counts


@both
def test_the_first_rule_that_fits_counts(module):
    model = dense_model(module)
    before = weights_of(model)
    report = reinitialize(
        model,
        [
            Rule("Ones", name="dense_1/kernel"),
            Rule(None, name="dense_2/*"),
            Rule("Zeros", layer="Dense", role="kernel"),
            Rule(kerasinit.Constant(0.5), layer=module.layers.Dense),
        ],
        seed=1,
    )
    after = weights_of(model)
    assert (after[0] == 0).all()
    assert (after[1] == 0.5).all()
    assert (after[2] == 1).all()
    assert_equal(after[4:], before[4:])
    assert report.kept == ["dense_2/kernel", "dense_2/bias"]
    assert report["dense_1/kernel"].rule.name == "dense_1/kernel"


@both
def test_a_dictionary_says_it_shorter(module):
    model = module.Sequential(
        [
            module.Input((6, 6, 2)),
            module.layers.Conv2D(4, 3),
            module.layers.BatchNormalization(),
            module.layers.Flatten(),
            module.layers.Dense(3),
        ]
    )
    report = reinitialize(
        model,
        {
            "Conv2D": "Ones",
            module.layers.Dense: kerasinit.Constant(2.0),
            "*/gamma": "Zeros",
            "bias": kerasinit.Constant(3.0),
            "statistic": "own",
        },
        seed=1,
    )
    values = dict(zip([change.name for change in report.changes], weights_of(model), strict=True))
    assert (values["conv2d/kernel"] == 1).all()
    assert (values["dense/kernel"] == 2).all()
    assert (values["batch_normalization/gamma"] == 0).all()
    assert (values["dense/bias"] == 3).all()
    assert report.kept == ["batch_normalization/beta"]


@both
def test_a_rule_for_a_layer_reaches_the_layers_inside_it(module):
    inputs = module.Input((5, 8))
    attended = module.layers.MultiHeadAttention(2, 4)(inputs, inputs)
    model = module.Model(inputs, module.layers.Dense(3)(attended))
    report = reinitialize(model, {module.layers.MultiHeadAttention: "Zeros"}, seed=1)
    assert len(report.changed) == 4
    assert all(name.startswith("multi_head_attention/") for name in report.changed)


@both
def test_a_function_of_the_model_may_make_the_rules(module):
    model = dense_model(module)
    report = reinitialize(
        model, lambda given: [Rule("Zeros", name="*/kernel")] if given is model else [], seed=1
    )
    assert len(report.changed) == 3


@both
def test_foreign_initializers_get_a_stream_of_their_own_too(module):
    model = module.Sequential([module.Input((8,)), *[module.layers.Dense(8) for _ in range(2)]])
    rules = {"kernel": module.initializers.HeNormal()}
    reinitialize(model, rules, seed=4)
    first, _, second, _ = weights_of(model)
    assert not np.array_equal(first, second)
    reinitialize(model, rules, seed=4)
    np.testing.assert_array_equal(model.get_weights()[0], first)


# ------------------------------------------------------------ what the layer knows


@both
def test_without_rules_every_layers_own_initializer_is_asked(module):
    layers = module.layers
    inputs = module.Input((5, 6, 6, 4))
    outputs = layers.ConvLSTM2D(4, 3, recurrent_initializer=kerasinit.Constant(0.1))(inputs)
    outputs = layers.DepthwiseConv2D(2, depthwise_initializer=kerasinit.Ones())(outputs)
    outputs = layers.SeparableConv2D(4, 2, pointwise_initializer="zeros")(outputs)
    outputs = layers.BatchNormalization(gamma_initializer=kerasinit.Constant(0.5))(outputs)
    outputs = layers.PReLU(kerasinit.Constant(0.3))(outputs)
    outputs = layers.Reshape((-1, 4))(outputs)
    outputs = layers.Bidirectional(layers.LSTM(3, bias_initializer=kerasinit.Constant(0.2)))(
        outputs
    )
    model = module.Model(inputs, outputs)
    report = reinitialize(model, seed=1)
    assert report.kept == []
    values = dict(zip([change.name for change in report.changes], weights_of(model), strict=True))
    assert (values["conv_lstm2d/recurrent_kernel"] == np.float32(0.1)).all()
    assert values["conv_lstm2d/bias"].tolist() == [0] * 4 + [1] * 4 + [0] * 8
    (depthwise,) = [
        values[name] for name in values if name.startswith("depthwise_conv2d/") and "kernel" in name
    ]
    assert (depthwise == 1).all()
    assert values["separable_conv2d/depthwise_kernel"].std() > 0
    assert (values["separable_conv2d/pointwise_kernel"] == 0).all()
    assert (values["batch_normalization/gamma"] == 0.5).all()
    assert (values["batch_normalization/moving_variance"] == 1).all()
    np.testing.assert_allclose(
        values["bidirectional/backward/bias"], [0.2] * 3 + [1] * 3 + [0.2] * 6
    )


@both
def test_gates_are_matrices_of_their_own(module):
    layer = module.layers.LSTM(6)
    layer(NORMAL((1, 3, 6)))
    reinitialize(layer, {"kernel": "Identity", "recurrent_kernel": "Orthogonal"}, seed=1)
    kernel, recurrent, _ = layer.get_weights()
    blocks = np.split(recurrent, 4, axis=-1)
    for block in blocks:
        np.testing.assert_allclose(block.T @ block, np.eye(6), atol=1e-5)
    assert not np.array_equal(blocks[0], blocks[1])
    np.testing.assert_array_equal(kernel, np.tile(np.eye(6), 4))


@both
def test_orthogonal_reads_attention_kernels_as_matrices(module):
    layer = module.layers.MultiHeadAttention(2, 4)
    inputs = NORMAL((1, 5, 8))
    layer(inputs, inputs)
    reinitialize(layer, {"kernel": "Orthogonal"}, seed=1)
    for kernel in (weight for weight in layer.get_weights() if weight.ndim == 3):
        matrix = kernel.reshape(8, 8)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(8), atol=1e-5)


@both
def test_an_initializers_own_fans_and_axes_are_kept(module):
    layer = module.layers.Dense(400)
    layer.build((None, 300))
    for made, fan in (
        (kerasinit.LecunNormal(fans=(25, 1)), 25),
        (kerasinit.LecunNormal(input_axes=[1], output_axes=[0]), 400),
    ):
        reinitialize(layer, {"kernel": made}, seed=1)
        assert layer.kernel.numpy().var() == pytest.approx(1 / fan, rel=0.05)


# ------------------------------------------------------------ what else happens


@both
@pytest.mark.parametrize(
    "make",
    [
        lambda k: k.optimizers.SGD(0.1),
        lambda k: k.optimizers.SGD(0.1, momentum=0.9),
        lambda k: k.optimizers.Adam(0.01),
        lambda k: k.optimizers.Adagrad(0.1, initial_accumulator_value=0.3),
        lambda k: k.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
        lambda k: k.optimizers.Adam(k.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)),
    ],
    ids=["sgd", "momentum", "adam", "adagrad", "ema", "schedule"],
)
def test_the_optimizer_starts_anew(module, make):
    inputs, targets = NORMAL((32, 6)), NORMAL((32, 3))

    def trained():
        for batch in range(0, 32, 8):
            model.train_on_batch(inputs[batch : batch + 8], targets[batch : batch + 8])
        return weights_of(model)

    model = dense_model(module)
    model.compile(make(module), "mse", run_eagerly=True)
    reinitialize(model, seed=1)
    first = trained()
    trained()
    reinitialize(model, seed=1)
    assert_equal(trained(), first)


@both
def test_a_learning_rate_that_was_set_by_hand_stays(module):
    model = dense_model(module)
    model.compile(module.optimizers.Adam(0.01), "mse", run_eagerly=True)
    model.train_on_batch(NORMAL((8, 6)), NORMAL((8, 3)))
    model.optimizer.learning_rate.assign(0.002)
    reinitialize(model, seed=1)
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(0.002)
    assert int(model.optimizer.iterations.numpy()) == 0


def test_a_used_legacy_optimizer_is_refused_before_anything_changes():
    model = dense_model(tf_keras)
    model.compile(tf_keras.optimizers.legacy.Adam(0.01), "mse", run_eagerly=True)
    reinitialize(model, seed=1)
    model.train_on_batch(NORMAL((8, 6)), NORMAL((8, 3)))
    before = weights_of(model)
    with pytest.raises(TypeError, match="legacy optimizer"):
        reinitialize(model, seed=1)
    assert_equal(weights_of(model), before)


@both
def test_an_error_leaves_the_model_as_it_was(module):
    model = dense_model(module)
    before = weights_of(model)
    for rules, error, message in (
        ({"dense/kernel": "Zeros", "*/bias": "Orthogonal"}, ValueError, "dense/bias, of shape"),
        ({"kernel": lambda shape, dtype=None: np.full(shape, np.nan)}, ValueError, "non-finite"),
        ({"kernel": lambda shape, dtype=None: np.zeros(3)}, ValueError, r"values of shape \(3,\)"),
    ):
        with pytest.raises(error, match=message):
            reinitialize(model, rules, seed=1)
        assert_equal(weights_of(model), before)


@both
def test_a_variable_keeps_its_dtype(module):
    layer = module.layers.Dense(4, dtype="bfloat16")
    layer.build((None, 4))
    reinitialize(layer, {"kernel": "HeNormal"}, seed=1)
    assert keras.utils.standardize_dtype(layer.kernel.dtype) == "bfloat16"


def test_the_report_tells_it_all():
    layer = keras.layers.DepthwiseConv2D(3)
    model = keras.Sequential([keras.Input((8, 8, 4)), layer, keras.layers.BatchNormalization()])
    report = reinitialize(model, {"kernel": "HeNormal"}, seed=7)
    change = report["depthwise_conv2d/kernel"]
    assert (change.role, change.layer, change.fans) == ("kernel", "DepthwiseConv2D", (9, 9))
    np.testing.assert_array_equal(change.initializer(change.shape), layer.kernel.numpy())
    told = json.loads(report.to_json())
    assert told["seed"] == 7
    assert told["changes"][0]["initializer"]["config"]["fans"] == [9, 9]
    assert told["changes"][1]["initializer"] is None
    text = str(report)
    assert "depthwise_conv2d/kernel" in text
    assert "HeNormal()" in text
    assert "kept" in text
    with pytest.raises(KeyError, match="Did you mean 'depthwise_conv2d/kernel'"):
        report["depthwise_conv2d/kernal"]


def test_a_report_on_an_lstm_is_json_too():
    layer = keras.layers.LSTM(3)
    layer.build((None, 4, 2))
    changes = json.loads(reinitialize(layer, seed=1).to_json())["changes"]
    assert "Zeros" in json.dumps(changes[2]["initializer"])


# ------------------------------------------------------------ slips


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({"kernal": "HeNormal"}, ValueError, "Did you mean 'kernel'"),
        ({"Conv2D": "HeNormal"}, ValueError, "No variable of the model matches"),
        ({"dens/kernel": "HeNormal"}, ValueError, "Did you mean 'dense/kernel'"),
        ({keras.layers.Conv2D: "HeNormal"}, ValueError, "Unknown layer class or role 'Conv2D'"),
        ({"kernel": "HeNormall"}, ValueError, "Did you mean 'HeNormal'"),
        ({"kernel": kerasinit.HeNormal(seed=1)}, ValueError, "Pass the seed to reinitialize"),
        ({"kernel": 3}, TypeError, "A rule takes an initializer"),
        ({3: "HeNormal"}, TypeError, "A rule's key is a role"),
        ("HeNormal", TypeError, r"pass \{'kernel': 'HeNormal'\}"),
        (kerasinit.HeNormal(), TypeError, r"pass \{'kernel': HeNormal\(\)\}"),
        (kerasinit.HeNormal, TypeError, r"pass \{'kernel': HeNormal\}"),
        (keras.initializers.HeNormal(), TypeError, r"pass \{'kernel': <"),
        *(
            (library.initializers.HeNormal, TypeError, r"pass \{'kernel': HeNormal\}")
            for library in INSTALLED
        ),
        (lambda shape, dtype=None: np.zeros(shape), TypeError, r"pass \{'kernel': .*<lambda>\}"),
        (np.ones((6, 8)), TypeError, r"pass \{'kernel': an array of shape \(6, 8\)\}"),
        (lambda model: None, TypeError, "returned None"),
        (Rule("HeNormal"), TypeError, r"Put it in a list: \[Rule\("),
        (["HeNormal"], TypeError, r"Expected a list of Rule.*pass \{'kernel': 'HeNormal'\}"),
        ({}, ValueError, "no rule.*the roles bias, kernel, or names such as 'dense/kernel'"),
        ([], ValueError, "no rule"),
        ({"embeddings": "Zeros"}, ValueError, "role 'embeddings'.*have the roles bias, kernel"),
        ([Rule("Zeros", role="scale")], ValueError, "role 'scale'.*have the roles bias, kernel"),
        ({"kernel": ["HeNormal"]}, TypeError, "an array of numbers"),
        ({"kernel": np.ones((6, 8))}, ValueError, r"dense_1/kernel, of shape \(8, 8\): .*\(6, 8\)"),
    ],
)
def test_a_slip_in_the_rules_is_told(rules, error, message):
    with pytest.raises(error, match=message):
        reinitialize(dense_model(keras), rules, seed=1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"role": "kernal"}, ValueError, "Did you mean 'kernel'"),
        ({"name": 3}, TypeError, "name is a string"),
        ({"layer": keras.layers.Dense(3)}, TypeError, "a class or the name of one"),
    ],
)
def test_a_slip_in_a_rule_is_told(arguments, error, message):
    with pytest.raises(error, match=message):
        Rule("Zeros", **arguments)


@both
def test_values_may_be_given_as_they_are(module):
    model, values = dense_model(module), np.arange(48.0).reshape(6, 8)
    tensor, variable = tf.constant(values), module.layers.Dense(8)
    variable.build((None, 6))
    variable.kernel.assign(values)
    for given in (values, values.tolist(), tensor, variable.kernel, values.astype(int)):
        reinitialize(model, {"*": "Zeros"}, seed=1)
        report = reinitialize(model, {"dense/kernel": given}, seed=1)
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), values)
        assert report.changed == ["dense/kernel"]
    assert "GivenValues(shape=(6, 8))" in str(report)
    assert json.loads(report.to_json())["changes"][0]["initializer"]["config"]


@pytest.mark.parametrize("seed", [-1, True, 1.5, "1"])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises((TypeError, ValueError), match="Expected seed to be a non-negative integer"):
        reinitialize(dense_model(keras), seed=seed)


def test_a_model_without_weights_is_refused():
    with pytest.raises(ValueError, match="no weights yet"):
        reinitialize(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(TypeError, match="Expected a model or layer"):
        reinitialize("model")
