"""A finding means that something is wrong: what starts small, shut or without data has peace."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from kerasinit._src.diagnosis.flow import traced
from tests.diagnosis import networks
from tests.kerases import INSTALLED, KERASES, tf_keras
from tests.products import each_value_once

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
WORDS = np.random.default_rng(0).integers(0, 32, (64, 24))


def scaled(library, shape, value):
    """Return a layer that multiplies by a weight of its own."""

    class Scale(library.layers.Layer):
        def build(self, input_shape):
            size = (input_shape[-1],) if shape == "channels" else ()
            constant = library.initializers.Constant(value)
            self.factor = self.add_weight(shape=size, initializer=constant, name="factor")

        def call(self, x):
            return x * self.factor

    return Scale()


CLOSED = {
    "LayerScale": ("channels", 1e-6),
    "closed": ("channels", 0.0),
    "ReZero": ("one", 0.0),
    "SkipInit": ("one", 1e-4),
}


def branch(library, x, last):
    layers = library.layers
    return last(layers.Dense(32)(layers.Dense(64, "gelu")(layers.LayerNormalization()(x))))


def residual(library, last, blocks=6):
    inputs = library.Input((8,))
    x = library.layers.Dense(32)(inputs)
    for _ in range(blocks):
        x = x + branch(library, x, last())
    outputs = library.layers.Dense(1)(library.layers.LayerNormalization()(x))
    return library.Model(inputs, outputs)


@each_value_once(library=INSTALLED, scale=list(CLOSED))
def test_a_branch_that_starts_closed_is_sound(library, scale):
    shape, value = CLOSED[scale]
    model = residual(library, lambda: scaled(library, shape, value))
    report = kerasinit.diagnose(model, networks.batch(64, 8))
    assert report.ok, report.findings


@BOTH
def test_a_branch_whose_last_kernel_is_zero_is_sound(library):
    model = residual(library, lambda: library.layers.Dense(32, kernel_initializer="zeros"))
    assert kerasinit.diagnose(model, networks.batch(64, 8)).ok


@BOTH
def test_gates_that_start_shut_are_sound(library):
    layers, inputs = library.layers, library.Input((32,))
    x = inputs
    for _ in range(6):
        shut = library.initializers.Constant(-8.0)
        gate = layers.Dense(32, "sigmoid", bias_initializer=shut)(x)
        x = gate * layers.Dense(32, "tanh")(x) + (1 - gate) * x
    model = library.Model(inputs, layers.Dense(4)(x))
    report = kerasinit.diagnose(model, networks.batch(64, 32))
    assert report.ok, report.findings


@BOTH
def test_a_stream_that_is_lost_is_told_though_its_branches_are_small(library):
    inputs = library.Input((32,))
    x = inputs
    for _ in range(6):
        x = library.layers.Dense(32, kernel_initializer=kerasinit.RandomNormal(stddev=0.02))(x)
        x = x + scaled(library, "one", 1e-4)(library.layers.Dense(32)(x))
    model = library.Model(inputs, library.layers.Dense(4)(x))
    found = [finding.kind for finding in kerasinit.diagnose(model, networks.batch(64, 32)).findings]
    assert "vanishing-activations" in found


@BOTH
def test_a_deep_tower_beside_a_wide_one_is_judged_and_a_small_one_is_not(library):
    layers, inputs = library.layers, library.Input((32,))

    def beside(depth, initializer):
        x = inputs
        for _ in range(depth):
            x = layers.Dense(32, "relu", kernel_initializer=initializer)(x)
        outputs = layers.Dense(4)(layers.Concatenate()([inputs, x]))
        return kerasinit.diagnose(library.Model(inputs, outputs), networks.batch(64, 32))

    assert beside(3, kerasinit.RandomNormal(stddev=0.02)).ok
    found = [finding.kind for finding in beside(30, "glorot_uniform").findings]
    assert "vanishing-activations" in found


def table(library, role):
    """Return a layer that does not look at its input's numbers."""

    class Table(library.layers.Layer):
        def build(self, input_shape):
            rows = 1 if role == "token" else input_shape[-2]
            shape = (rows, input_shape[-1])
            self.rows = self.add_weight(
                shape=shape, initializer="uniform", name="position_embeddings"
            )

        def call(self, x):
            if library is keras:
                shape = keras.ops.shape(x)
                return keras.ops.broadcast_to(self.rows, (shape[0], *self.rows.shape))
            return tf.broadcast_to(self.rows, (tf.shape(x)[0], *self.rows.shape))

    return Table()


@each_value_once(library=INSTALLED, role=["positions", "token"])
def test_what_does_not_depend_on_the_data_cannot_lose_it(library, role):
    layers, inputs = library.layers, library.Input((24,), dtype="int32")
    x = layers.Embedding(32, 16)(inputs)
    other = table(library, role)(x)
    x = x + other if role == "positions" else layers.Concatenate(1)([other, x])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    model = library.Model(inputs, layers.Dense(4)(layers.Dense(16, "relu")(x)))
    report = kerasinit.diagnose(model, WORDS)
    assert report.ok, report.findings
    assert [row.way for row in report.layers if row.kind == "Table"] == ["constant"]


def gpt(library, blocks=3):
    layers, inputs = library.layers, library.Input((24,), dtype="int32")
    small = networks.normal(0.02, library)
    x = layers.Embedding(32, 48, embeddings_initializer=small)(inputs)
    for _ in range(blocks):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 12)(y, y, use_causal_mask=True)
        x = x + layers.Dense(48)(layers.Dense(192, "gelu")(layers.LayerNormalization()(x)))
    return library.Model(inputs, layers.Dense(32)(layers.LayerNormalization()(x)))


@BOTH
def test_small_first_values_beside_a_stream_are_sound(library):
    model = gpt(library)
    for rule in (kerasinit.rules.gpt2, {"kernel": kerasinit.RandomNormal(stddev=0.02)}):
        kerasinit.reinitialize(model, rule, seed=1)
        report = kerasinit.diagnose(model, WORDS)
        assert report.ok, report.findings


def attention(library, names, by_hand):
    """Return an attention of four Dense layers: query, key, value and output."""

    class Attention(library.layers.Layer):
        def __init__(self):
            super().__init__()
            for name in names:
                setattr(self, name, library.layers.Dense(48))

        def call(self, x):
            query, key, value, last = (getattr(self, name) for name in names)
            scores = tf.matmul(query(x), key(x), transpose_b=True) / 48**0.5
            if by_hand:
                scores = tf.exp(scores - tf.reduce_max(scores, -1, keepdims=True))
                chosen = scores / tf.reduce_sum(scores, -1, keepdims=True)
            else:
                chosen = tf.nn.softmax(scores)
            return last(tf.matmul(chosen, value(x)))

    return Attention()


@each_value_once(library=INSTALLED, softmax=["softmax", "by hand"])
def test_queries_and_keys_are_known_by_what_they_do(library, softmax):
    reports = {}
    for names in (("query", "key", "value", "out"), ("wq", "wk", "wv", "wo")):
        library.utils.set_random_seed(1)
        layers, inputs = library.layers, library.Input((24,), dtype="int32")
        small = networks.normal(0.02, library)
        x = layers.Embedding(32, 48, embeddings_initializer=small)(inputs)
        for _ in range(2):
            x = x + attention(library, names, softmax == "by hand")(layers.LayerNormalization()(x))
            y = layers.Dense(96, "gelu")(layers.LayerNormalization()(x))
            x = x + layers.Dense(48)(y)
        model = library.Model(inputs, layers.Dense(32)(layers.LayerNormalization()(x)))
        report = kerasinit.diagnose(model, WORDS)
        assert report.ok, report.findings
        reports[names] = report
    ways = [[row.way for row in report.layers] for report in reports.values()]
    assert ways[0] == ways[1]
    assert ways[0].count("choice") == 4


def test_a_value_without_a_stream_beside_it_is_judged():
    """Without a stream the values carry all there is."""
    inputs = keras.Input((24, 48))
    x = inputs
    for _ in range(3):
        x = attention(keras, ("wq", "wk", "wv", "wo"), False)(x)
    model = keras.Model(inputs, keras.layers.Dense(4)(x))
    kerasinit.reinitialize(model, {"kernel": kerasinit.RandomNormal(stddev=0.01)}, seed=1)
    (finding, *_) = kerasinit.diagnose(model, networks.batch(16, 24, 48)).findings
    assert (finding.kind, finding.layer) == ("vanishing-activations", "attention/wo")


@pytest.mark.parametrize("mode", ["full", "activations", "larger_than", "list_of_layers"])
def test_what_is_computed_anew_for_the_gradient_is_seen_once(mode):
    def sigmoids():
        keras.utils.set_random_seed(3)
        inputs = x = keras.Input((8,))
        for number in range(20):
            x = keras.layers.Dense(64, "sigmoid", name=f"hidden_{number}")(x)
        return keras.Model(inputs, keras.layers.Dense(1)(x))

    x = networks.batch(16, 8)
    plain = kerasinit.diagnose(sigmoids(), x)
    names = ["hidden_3", "hidden_4"]
    with keras.RematScope(mode=mode, output_size_threshold=10, layer_names=names):
        again = kerasinit.diagnose(sigmoids(), x)
    assert len(again.layers) == 21
    assert again.measured.note == ""
    for one, other in zip(plain.layers, again.layers, strict=True):
        assert one.layer == other.layer
        assert one.gradient == pytest.approx(other.gradient, rel=1e-4)
        assert one.weight_gradient == pytest.approx(other.weight_gradient, rel=1e-4)
    assert [one.kind for one in plain.findings] == [one.kind for one in again.findings]


def test_a_shared_layer_that_is_computed_anew_keeps_its_calls_apart():
    shared = keras.layers.Dense(8, "tanh")

    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.shared, self.last = shared, keras.layers.Dense(1)

        def call(self, x):
            again = keras.remat(self.shared)
            return self.last(again(again(x)))

    model = Twice()
    x = networks.batch(16, 8)
    model(x)
    report = kerasinit.diagnose(model, x)
    assert [(row.layer, row.call) for row in report.layers] == [
        ("dense", 1),
        ("dense", 2),
        ("dense_1", 1),
    ]
    assert report.layers[0].gradient != report.layers[1].gradient


@BOTH
def test_the_output_layer_alone_is_no_finding(library):
    layers, x = library.layers, networks.batch(64, 32)
    tiny = networks.normal(1e-4, library)
    model = library.Sequential(
        [
            library.Input((32,)),
            layers.Dense(32, "relu", kernel_initializer="he_normal"),
            layers.Dense(10, "softmax", kernel_initializer=tiny),
        ]
    )
    assert kerasinit.diagnose(model, x).ok
    model.layers[-1].set_weights([30 * networks.batch(32, 10), np.zeros(10)])
    found = [finding.kind for finding in kerasinit.diagnose(model, x).findings]
    assert "saturation" not in found


@each_value_once(library=INSTALLED, hidden=[1, 2], initializer=["RandomNormal", "RandomUniform"])
def test_small_weights_in_a_small_net_are_no_finding(library, hidden, initializer):
    made = getattr(kerasinit, initializer)
    small = made(stddev=0.05) if initializer == "RandomNormal" else made(-0.05, 0.05)
    model = networks.stack(library, 16, hidden, "relu", small)
    report = kerasinit.diagnose(model, networks.batch(64, 16))
    assert report.ok, report.findings
    # The same in ten layers is one.
    model = networks.stack(library, 16, 10, "relu", small)
    assert not kerasinit.diagnose(model, networks.batch(64, 16)).ok


@BOTH
@pytest.mark.parametrize("apart", [False, True], ids=["in the layer", "in one of its own"])
def test_what_an_optimizer_compensates_for_is_no_finding_wherever_the_activation_is(library, apart):
    layers, x = library.layers, networks.batch(64, 16)
    hidden = []
    for seed in (1, 2):
        small = kerasinit.RandomNormal(stddev=0.01, seed=seed)
        activation = None if apart else "relu"
        hidden.append(layers.Dense(16, activation, kernel_initializer=small))
        hidden += [layers.Activation("relu")] if apart else []
    model = library.Sequential([library.Input((16,)), *hidden, layers.Dense(1)])
    # Steps of 0.001 move weights of 0.01 by a tenth, steps of 1e-5 by a thousandth.
    for rate, sound in ((1e-3, True), (1e-5, False)):
        model.compile(library.optimizers.Adam(rate), "mse")
        assert kerasinit.diagnose(model, x, x[:, :1]).ok == sound


def test_one_layer_that_is_mostly_flat_is_no_finding_and_several_are():
    x = networks.batch(64, 32)
    for depth, sound in ((1, True), (10, False)):
        model = networks.stack(keras, 32, depth, "tanh", networks.normal(1.0))
        report = kerasinit.diagnose(model, x)
        assert all(row.signal.saturated > 0.5 for row in report.layers[:-1])
        kinds = [finding.kind for finding in report.findings]
        assert ("saturation" not in kinds) == sound


@BOTH
def test_rescaling_is_advised_where_it_helps(library):
    rng = np.random.default_rng(0)
    model = networks.stack(library, 8, 1, "relu", "he_normal")
    narrow = rng.uniform(65, 70, (64, 8)).astype("float32")
    columns = (rng.uniform(0, 1, (64, 8)) * [1, 1, 1, 1, 1, 1, 1, 250]).astype("float32")
    wide = (rng.normal(size=(64, 8)) * [10, 2e4, 1, 1, 1, 1, 1, 1]).astype("float32")
    for x in (narrow, columns, wide):
        (finding,) = kerasinit.diagnose(model, x).findings
        assert finding.kind == "unscaled-input"
        assert "Normalization()" in finding.advice
        assert ".adapt(x)" in finding.advice
        assert "divide" not in finding.advice
        # What it says, done.
        normalize = library.layers.Normalization()
        normalize.adapt(x)
        mended = library.Sequential([library.Input((8,)), normalize, *model.layers])
        assert kerasinit.diagnose(mended, x).ok


@BOTH
def test_a_call_that_cannot_be_traced_is_judged_in_order_and_said(library):
    class Asks(library.Model):
        def __init__(self):
            super().__init__()
            self.hidden = [library.layers.Dense(32, "sigmoid") for _ in range(10)]
            self.last = library.layers.Dense(4)

        def call(self, x):
            if library is keras:
                keras.ops.convert_to_numpy(x)
            else:
                x.numpy()
            for layer in self.hidden:
                x = layer(x)
            return self.last(x)

    model, x = Asks(), networks.batch(16, 32)
    if library is tf_keras:
        model.compile(run_eagerly=True)
    model(x)
    report = kerasinit.diagnose(model, x)
    assert "vanishing-gradients" in [finding.kind for finding in report.findings]
    assert "could not be traced" in str(report)
    assert "could not be traced" in report.to_html()


def test_the_ways_of_a_network_are_read_from_what_it_computes():
    inputs = keras.Input((4, 8))
    first = keras.layers.Dense(8)(inputs)
    gate = keras.layers.Dense(8, "sigmoid")(first)
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Multiply()([first, gate]))
    outputs = keras.layers.Dense(2)(keras.ops.sigmoid(keras.layers.Dense(3)(pooled)))
    model = keras.Model(inputs, outputs)
    flow = traced(model, tf.zeros((2, 4, 8)))
    told = {
        path: (passage.way, passage.before)
        for path, passage in zip(flow.paths, flow.passages, strict=True)
    }
    assert told == {
        "dense": ("main", (-1,)),
        "dense_1": ("beside", (0,)),
        "multiply": ("main", (0, 1)),
        "global_average_pooling1d": ("main", (2,)),
        "dense_2": ("main", (3,)),
        "dense_3": ("main", (4,)),
    }
    assert flow.passages[3].averaged == pytest.approx(np.log(4))
    assert [passage.follows for passage in flow.passages] == [None] * 4 + ["sigmoid", None]


@BOTH
def test_zeros_that_wake_are_no_symmetry(library):
    """Units of zeros are one another's twins until the first step, which tells them apart."""
    layers = library.layers
    x = networks.batch(32, 8)
    for zeros in ("all", "some"):
        head = layers.Dense(10, kernel_initializer="zeros" if zeros == "all" else "he_normal")
        model = library.Sequential([library.Input((8,)), layers.Dense(16, "tanh"), head])
        if zeros == "some":
            kernel, bias = head.get_weights()
            kernel[:, :4] = 0
            head.set_weights([kernel, bias])
        report = kerasinit.diagnose(model, x)
        assert report.layers[-1].twins.zero == (10 if zeros == "all" else 4)
        assert "symmetry" not in {one.kind for one in report.findings}
