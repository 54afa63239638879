"""Every variable of a model is found, by a name that lasts, and read as its layer reads it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit._src.network.fans import compute_fans
from kerasinit._src.network.parts import KERNELS, ROLES, Kernel, parts
from kerasinit._src.whole_models.recommendation import recommend
from kerasinit._src.whole_models.redraw import reinitialize
from kerasinit.diagnosis import diagnose
from kerasinit.pruning import weight_summaries
from tests.kerases import KERASES

SEQUENCE = np.ones((1, 3, 8), "float32")
IMAGES = np.ones((1, 6, 6, 4), "float32")
both = pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)


def fans_of(layer, inputs):
    """Return the fans of a layer after its first call."""
    layer(*inputs) if isinstance(inputs, tuple) else layer(inputs)
    return compute_fans(layer)


@both
@pytest.mark.parametrize(
    ("make", "inputs", "expected"),
    [
        (lambda k: k.Dense(5), SEQUENCE, {"kernel": (8, 5)}),
        (lambda k: k.EinsumDense("abc,cde->abde", (None, 2, 5)), SEQUENCE, {"kernel": (8, 10)}),
        # One kernel for each of the three positions: they do not meet.
        (lambda k: k.EinsumDense("abc,bcd->abd", (3, 5)), SEQUENCE, {"kernel": (8, 5)}),
        (lambda k: k.EinsumDense("...x,xy->...y", 5), SEQUENCE, {"kernel": (8, 5)}),
        (lambda k: k.Conv1D(6, 2), SEQUENCE, {"kernel": (16, 12)}),
        (lambda k: k.Conv2D(6, 3), IMAGES, {"kernel": (36, 54)}),
        (lambda k: k.Conv2D(6, (3, 1), strides=(2, 1)), IMAGES, {"kernel": (12, 9)}),
        (lambda k: k.Conv2D(6, 3, strides=2), IMAGES, {"kernel": (36, 13.5)}),
        (lambda k: k.DepthwiseConv2D(3, depth_multiplier=2), IMAGES, {None: (9, 18)}),
        (lambda k: k.Conv1DTranspose(6, 4, strides=2), SEQUENCE, {"kernel": (16, 24)}),
        (lambda k: k.Conv2DTranspose(6, 4, strides=2), IMAGES, {"kernel": (16, 96)}),
        (lambda k: k.Conv2DTranspose(6, 3, strides=2), IMAGES, {"kernel": (9, 54)}),
        (
            lambda k: k.SeparableConv2D(6, 3, depth_multiplier=2),
            IMAGES,
            {"depthwise_kernel": (9, 18), "pointwise_kernel": (8, 6)},
        ),
        (lambda k: k.Embedding(9, 5), np.ones((1, 3), "int32"), {"embeddings": (1, 5)}),
        (
            lambda k: k.SimpleRNN(5),
            SEQUENCE,
            {"kernel": (8, 5), "recurrent_kernel": (5, 5)},
        ),
        (lambda k: k.LSTM(5), SEQUENCE, {"kernel": (8, 5), "recurrent_kernel": (5, 5)}),
        (lambda k: k.GRU(5), SEQUENCE, {"kernel": (8, 5), "recurrent_kernel": (5, 5)}),
        (
            lambda k: k.ConvLSTM2D(3, 2),
            IMAGES[:, None],
            {"kernel": (16, 12), "recurrent_kernel": (12, 12)},
        ),
        (
            lambda k: k.Bidirectional(k.GRU(5)),
            SEQUENCE,
            {
                f"{way}/{name}": fans
                for way in ("forward", "backward")
                for name, fans in (("kernel", (8, 5)), ("recurrent_kernel", (5, 5)))
            },
        ),
        (
            lambda k: k.RNN([k.GRUCell(5), k.GRUCell(4)]),
            SEQUENCE,
            {
                "gru_cell/kernel": (8, 5),
                "gru_cell/recurrent_kernel": (5, 5),
                "gru_cell_1/kernel": (5, 4),
                "gru_cell_1/recurrent_kernel": (4, 4),
            },
        ),
        (lambda k: k.TimeDistributed(k.Dense(5)), SEQUENCE, {"kernel": (8, 5)}),
        (
            lambda k: k.MultiHeadAttention(2, 3, output_shape=7),
            (SEQUENCE, SEQUENCE),
            {
                "query/kernel": (8, 6),
                "key/kernel": (8, 6),
                "value/kernel": (8, 6),
                "attention_output/kernel": (6, 7),
            },
        ),
        (lambda k: k.BatchNormalization(), SEQUENCE, {}),
    ],
)
def test_a_layer_tells_the_fans_of_its_kernels(module, make, inputs, expected):
    found = fans_of(make(module.layers), inputs)
    if None in expected:  # named kernel in one Keras, depthwise_kernel in the other
        assert list(found.values()) == list(expected.values())
    else:
        assert found == expected


def test_layers_that_only_keras_3_has_tell_their_fans_too():
    grouped = keras.layers.GroupQueryAttention(3, 4, 2)
    assert fans_of(grouped, (SEQUENCE, SEQUENCE)) == {
        "query/kernel": (8, 12),
        "key/kernel": (8, 6),
        "value/kernel": (8, 6),
        "attention_output/kernel": (12, 8),
    }
    assert fans_of(keras.layers.Conv3D(2, 2), np.ones((1, 3, 3, 3, 4), "float32")) == {
        "kernel": (32, 16)
    }
    assert fans_of(keras.layers.DepthwiseConv1D(3), SEQUENCE) == {"kernel": (3, 3)}


@both
def test_groups_divide_what_an_input_feeds(module):
    layer = module.layers.Conv2D(6, 3, groups=2)
    layer.build((None, 6, 6, 4))
    assert compute_fans(layer) == {"kernel": (18, 27)}
    assert compute_fans((3, 3, 2, 6), groups=2) == (18, 27)


def test_groups_that_do_not_divide_the_outputs_are_refused():
    for groups in (0, -1, 4):
        with pytest.raises(ValueError, match="to divide the number of outputs"):
            compute_fans((3, 3, 2, 6), groups=groups)


def test_a_layer_with_axes_is_refused():
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    with pytest.raises(TypeError, match="knows its axes"):
        compute_fans(layer, [0], [1])


@both
def test_what_is_not_built_is_refused(module):
    with pytest.raises(ValueError, match="no weights yet"):
        compute_fans(module.layers.Dense(3))
    with pytest.raises(ValueError, match="no weights yet"):
        parts(module.Sequential([module.layers.Dense(3)]))


def block_of(module):
    """Return a layer class that holds layers in attributes, a list and a dictionary."""

    class Block(module.layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.first = module.layers.Dense(4)
            self.others = [module.layers.Dense(4), module.layers.LayerNormalization()]
            self.named = {"last": module.layers.Dense(8)}

        def build(self, shape):
            self.first.build(shape)
            for layer in self.others:
                layer.build((*shape[:-1], 4))
            self.named["last"].build((*shape[:-1], 4))
            self.mix = self.add_weight(name="mix", shape=(8, 8))
            self.temperature = self.add_weight(name="temperature", shape=())
            self.built = True

        def call(self, inputs):
            outputs = self.first(inputs)
            for layer in self.others:
                outputs = layer(outputs)
            return tf.matmul(self.named["last"](outputs), self.mix) * self.temperature

    return Block


@both
def test_layers_inside_a_layer_of_your_own_are_found(module):
    inputs = module.Input((8,))
    model = module.Model(inputs, block_of(module)()(block_of(module)()(inputs)))
    found = parts(model)
    names = [part.name for part in found]
    expected = {
        "first/kernel": "kernel",
        "first/bias": "bias",
        "others_0/kernel": "kernel",
        "others_0/bias": "bias",
        "others_1/gamma": "scale",
        "others_1/beta": "offset",
        "named_last/kernel": "kernel",
        "named_last/bias": "bias",
        "mix": "kernel",
        "temperature": "other",
    }
    assert {name.split("/", 1)[1] for name in names} == set(expected)
    assert len(names) == len(set(names)) == len(model.weights) == 20
    for part in found:
        path, _, name = part.name.partition("/")
        assert path in ("block", "block_1")
        assert part.role == expected[name]
        assert (part.reading is not None) == isinstance(part, Kernel) == (part.role in KERNELS)
        assert part.reading is None or part.reading.by_shape == (name == "mix")


@both
def test_names_do_not_depend_on_what_was_built_before(module):
    def build():
        inputs = module.Input((3, 8))
        states = module.layers.Bidirectional(module.layers.LSTM(4, return_sequences=True))(inputs)
        states = module.layers.MultiHeadAttention(2, 4)(states, states)
        head = module.Sequential([module.layers.Dense(3), module.layers.Dense(2)])
        return module.Model(inputs, head(states))

    first, second = parts(build()), parts(build())
    assert [part.name for part in first] == [part.name for part in second]
    assert "sequential/dense_1/kernel" in [part.name for part in first]


@both
def test_a_compiled_models_metrics_are_no_parts(module):
    model = module.Sequential([module.Input((4,)), module.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
    assert [part.name for part in parts(model)] == ["dense/kernel", "dense/bias"]


@both
def test_a_shared_layer_is_one_part(module):
    inputs = module.Input((4,))
    shared = module.layers.Dense(4)
    model = module.Model(inputs, shared(shared(inputs)))
    assert [part.name for part in parts(model)] == ["dense/kernel", "dense/bias"]


@both
def test_statistics_are_told_from_frozen_kernels(module):
    model = module.Sequential(
        [module.Input((4,)), module.layers.Dense(3), module.layers.BatchNormalization()]
    )
    model.trainable = False
    roles = {part.name: part.role for part in parts(model)}
    assert roles == {
        "dense/kernel": "kernel",
        "dense/bias": "bias",
        "batch_normalization/gamma": "scale",
        "batch_normalization/beta": "offset",
        "batch_normalization/moving_mean": "statistic",
        "batch_normalization/moving_variance": "statistic",
    }
    assert set(roles.values()) <= set(ROLES)


@both
def test_a_subclassed_models_own_variables_come_under_its_name(module):
    class Own(module.Model):
        def __init__(self):
            super().__init__()
            self.dense = module.layers.Dense(3)

        def build(self, shape):
            self.dense.build(shape)
            self.scale = self.add_weight(name="factor", shape=(3,))
            self.built = True

        def call(self, inputs):
            return self.dense(inputs) * self.scale

    model = Own()
    model.build((None, 4))
    assert {part.name for part in parts(model)} == {"dense/kernel", "dense/bias", "model/factor"}


# ------------------------------------------------- what is no kernel, though it has its shape


def layer_with(module, shape, use, name="w"):
    """Return a custom layer with one variable, and what its call does with it."""

    class Custom(module.layers.Layer):
        def build(self, given):
            self.w = self.add_weight(shape=shape, initializer="ones", name=name)
            super().build(given)

        def call(self, inputs):
            return use(inputs, self.w)

    return Custom()


def add_rows(x, w):
    return tf.concat([tf.broadcast_to(w, [tf.shape(x)[0], 1, 8]), x], axis=1)


CUSTOM = {
    "multiplied": ((8, 5), lambda x, w: x @ w, "kernel"),
    "transposed": ((5, 8), lambda x, w: tf.matmul(x, w, transpose_b=True), "kernel"),
    "scaled": ((8, 5), lambda x, w: x @ (w / tf.norm(w, axis=0)), "kernel"),
    "einsum": ((8, 2, 5), lambda x, w: tf.einsum("abc,cde->abde", x, w), "kernel"),
    "convolution": ((2, 8, 5), lambda x, w: tf.nn.conv1d(x, w, 1, "SAME"), "kernel"),
    "class token": ((1, 1, 8), add_rows, "other"),
    "positions": ((3, 8), lambda x, w: x + w, "other"),
    "positions, one by one": ((9, 8), lambda x, w: x + tf.gather(w, tf.range(3)), "other"),
    "gate": ((1, 8), lambda x, w: x * tf.sigmoid(w), "other"),
    "layer scale": ((1, 1, 8), lambda x, w: x + w * tf.nn.relu(x), "other"),
    "product of its own": ((8, 8), lambda x, w: x + tf.reduce_sum(w @ w), "other"),
    "not used": ((8, 8), lambda x, w: x, "other"),
    "codebook": (
        (9, 8),
        lambda x, w: tf.gather(w, tf.cast(tf.abs(x[..., 0]), "int32") % 9),
        "embeddings",
    ),
}


@both
@pytest.mark.parametrize("case", CUSTOM)
def test_a_variable_of_a_custom_layer_is_what_its_call_does_with_it(module, case):
    shape, use, expected = CUSTOM[case]
    layer = layer_with(module, shape, use)
    model = module.Sequential([module.Input((3, 8)), layer])
    (part,) = parts(model)
    assert part.role == expected
    assert layer.losses == []
    # Nothing is drawn into what is no kernel.
    if expected == "other":
        wide = module.Sequential([model, module.layers.Dense(2)])
        wide.build((None, 3, 8))
        reinitialize(wide, {"kernel": "HeNormal"}, seed=1)
        assert (layer.w.numpy() == 1).all()


def test_variables_without_a_name_are_numbered_within_their_layer():
    class Unnamed(keras.layers.Layer):
        def build(self, shape):
            self.first = self.add_weight(shape=(shape[-1],))
            self.second = self.add_weight(shape=(shape[-1],))

    for _ in range(2):
        layer = Unnamed()
        layer.build((None, 3))
        assert [part.name for part in parts(layer)] == ["unnamed/variable", "unnamed/variable_1"]


@both
def test_a_call_that_cannot_be_traced_leaves_the_name(module):
    def use(x, w):
        raise RuntimeError("only for some")

    for name, expected in (
        ("w", "other"),
        ("my_kernel", "kernel"),
        ("position_embeddings", "embeddings"),
    ):
        layer = layer_with(module, (8, 5), use, name)
        layer.build((None, 3, 8))
        (part,) = parts(layer)
        assert part.role == expected


@both
def test_a_model_with_variables_of_its_own_is_traced_too(module):
    class Vision(module.Model):
        def __init__(self):
            super().__init__()
            self.dense = module.layers.Dense(8)

        def build(self, shape):
            self.token = self.add_weight(name="token", shape=(1, 1, 8), initializer="zeros")
            self.head = self.add_weight(name="head", shape=(8, 2), initializer="zeros")
            self.dense.build(shape)
            super().build(shape)

        def call(self, x):
            return add_rows(self.dense(x), self.token) @ self.head

    model = Vision()
    model(np.ones((2, 3, 8), "float32"))
    roles = {part.name: part.role for part in parts(model)}
    assert roles["model/token"] == "other"
    assert roles["model/head"] == "kernel"


# --------------------------------------------------------------------- names that were given


def nested(module, *names):
    inputs = outputs = module.Input((4,))
    for name in names:
        inner = [module.Input((4,)), module.layers.Dense(4, name="encoder"), module.layers.Dense(4)]
        outputs = module.Sequential(inner, name=name)(outputs)
    return module.Model(inputs, module.layers.Dense(2, name="head")(outputs))


@both
def test_a_variable_answers_to_the_names_of_its_layers(module):
    names = {part.name: part.names for part in parts(nested(module, "tower"))}
    assert names == {
        "sequential/dense/kernel": (
            "sequential/dense/kernel",
            "tower/encoder/kernel",
            "encoder/kernel",
        ),
        "sequential/dense/bias": ("sequential/dense/bias", "tower/encoder/bias", "encoder/bias"),
        "sequential/dense_1/kernel": ("sequential/dense_1/kernel", "tower/dense_1/kernel"),
        "sequential/dense_1/bias": ("sequential/dense_1/bias", "tower/dense_1/bias"),
        "dense/kernel": ("dense/kernel", "head/kernel"),
        "dense/bias": ("dense/bias", "head/bias"),
    }
    plain = module.Sequential([module.Input((4,)), module.layers.Dense(3)])
    assert [part.names for part in parts(plain)] == [("dense/kernel",), ("dense/bias",)]


@both
def test_rules_and_reports_know_the_names_that_were_given(module):
    model = nested(module, "tower")
    rules = {"encoder/kernel": "Ones", "head/*": "Zeros", "tower/dense_1/kernel": "Identity"}
    report = reinitialize(model, rules, seed=1)
    assert report.changed == [
        "sequential/dense/kernel",
        "sequential/dense_1/kernel",
        "dense/kernel",
        "dense/bias",
    ]
    assert report["encoder/kernel"] is report["sequential/dense/kernel"]
    assert "tower/encoder/kernel (sequential/dense/kernel)" in str(report)
    found = recommend(model)
    assert found["head/kernel"] is found["dense/kernel"]
    assert "head/kernel (dense/kernel)" in str(found)
    assert compute_fans(model)["encoder/kernel"] == (4, 4)
    assert weight_summaries(model)[0].called == "tower/encoder/kernel"
    assert "(encoder)" in str(diagnose(model, np.eye(4, dtype="float32")))
    with pytest.raises(ValueError, match="Did you mean 'head/kernel'"):
        reinitialize(model, {"head/kernl": "Ones"}, seed=1)


@both
def test_a_name_that_two_models_have_is_refused_with_the_full_ones(module):
    model = nested(module, "left", "right")
    both_names = r"\(left/encoder/kernel\), .*\(right/encoder/kernel\)"
    for key in ("encoder/kernel", "encoder/*"):
        with pytest.raises(ValueError, match=both_names):
            reinitialize(model, {key: "Ones"}, seed=1)
    report = reinitialize(model, {"left/encoder/kernel": "Ones"}, seed=1)
    assert report.changed == ["sequential/dense/kernel"]
    assert len(reinitialize(model, {"*encoder/kernel": "Ones"}, seed=1).changed) == 2
    with pytest.raises(KeyError, match="right/encoder/kernel"):
        report["encoder/kernel"]


@both
def test_layers_in_attributes_answer_to_their_names_too(module):
    class Block(module.layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.inside = module.layers.Dense(8, name="projection")

        def call(self, x):
            return self.inside(x)

    model = module.Sequential([module.Input((8,)), Block(name="first"), Block(name="second")])
    names = [part.names for part in parts(model) if part.name.endswith("kernel")]
    assert names[1] == (
        "block_1/inside/kernel",
        "second/projection/kernel",
        "projection/kernel",
    )
    report = reinitialize(model, {"second/projection/kernel": "Ones"}, seed=1)
    assert report.changed == ["block_1/inside/kernel"]
