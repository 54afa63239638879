"""Residual branches are found in the graph of a model, of either Keras, or asked for."""

import keras
import numpy as np
import pytest

from kerasinit._src.network.branches import given_branches, residual_branches, terminal_layers
from kerasinit._src.network.graph import graph_of
from tests.kerases import INSTALLED, KERASES, tf_keras
from tests.products import each_value_once, nightly

both = pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)


def names(layers):
    return [layer.name for layer in layers]


def branch_names(model):
    return [names(branch.layers) for branch in residual_branches(model)]


def block(module, x, name, width=8, **dense):
    hidden = module.layers.Dense(16, "relu", name=f"{name}_up")(x)
    return module.layers.Dense(width, name=f"{name}_down", **dense)(hidden)


def attention_block(module, x, name, memory=None, norm=None):
    """Return the sum of a signal and an attention, in front of or behind a normalization."""
    attention = module.layers.MultiHeadAttention(2, 4, name=name)
    if norm == "pre":
        seen = module.layers.LayerNormalization(name=f"{name}_norm")(x)
        return x + attention(seen, seen if memory is None else memory)
    outputs = x + attention(x, x if memory is None else memory)
    return module.layers.LayerNormalization()(outputs) if norm == "post" else outputs


def feed_forward(module, x, name, norm=None):
    if norm == "pre":
        seen = module.layers.LayerNormalization(name=f"{name}_norm")(x)
        return x + block(module, seen, name)
    outputs = x + block(module, x, name)
    return module.layers.LayerNormalization()(outputs) if norm == "post" else outputs


# ---------------------------------------------------------------- known architectures


@pytest.mark.parametrize(
    ("module", "name", "number", "projections", "ends_with_gamma"),
    [
        (keras, "ResNet50", 16, 4, True),
        (tf_keras, "ResNet50V2", 16, 4, False),
        (keras, "MobileNetV2", 10, 0, True),
        pytest.param(tf_keras, "ResNet50", 16, 4, True, marks=nightly),
        pytest.param(keras, "ResNet50V2", 16, 4, False, marks=nightly),
        pytest.param(tf_keras, "MobileNetV2", 10, 0, True, marks=nightly),
        pytest.param(keras, "EfficientNetB0", 9, 0, True, marks=nightly),
        pytest.param(tf_keras, "EfficientNetB0", 9, 0, True, marks=nightly),
    ],
)
def test_the_branches_of_known_networks(module, name, number, projections, ends_with_gamma):
    model = getattr(module.applications, name)(weights=None, input_shape=(32, 32, 3), classes=10)
    found = residual_branches(model)

    assert len(found) == number
    assert sum(bool(branch.shortcut) for branch in found) == projections
    assert {branch.depth for branch in found} == {3}
    for branch in found:
        (kernel,) = branch.last_kernels
        (weight,) = branch.last_weights
        # The sum takes what the last of them made.
        assert (weight is not kernel) == ends_with_gamma
        assert weight is branch.layers[-1]
        assert hasattr(weight, "gamma") == ends_with_gamma
    assert names(terminal_layers(model)) == ["predictions"]


@pytest.mark.parametrize("module", [keras, pytest.param(tf_keras, marks=nightly)])
def test_a_layer_scale_ends_a_branch(module):
    model = module.applications.ConvNeXtTiny(weights=None, input_shape=(32, 32, 3), classes=10)
    found = residual_branches(model)

    assert len(found) == 18
    assert {type(branch.last_weights[0]).__name__ for branch in found} == {"LayerScale"}
    assert all("pointwise_conv_2" in branch.last_kernels[0].name for branch in found)


@nightly  # the default run has a small one, see `test_equal_ways_are_asked_about_...`
def test_a_network_whose_sums_are_of_equal_ways_is_not_guessed_at():
    model = keras.applications.NASNetMobile(weights=None, input_shape=(32, 32, 3), classes=10)

    with pytest.raises(ValueError, match=r"sum 'normal_add_\w+'.*branches=\[\["):
        residual_branches(model)


@both
def test_a_network_of_concatenations_has_no_residual_branch(module):
    x = inputs = module.Input((8,))
    for number in range(3):
        x = module.layers.Concatenate()([x, block(module, x, f"dense_{number}")])

    assert residual_branches(module.Model(inputs, x)) == []


@both
@pytest.mark.parametrize("norm", ["pre", "post", None])
def test_each_attention_and_feed_forward_layer_of_a_transformer_is_a_branch(module, norm):
    x = inputs = module.Input((5, 8))
    for number in range(2):
        x = attention_block(module, x, f"attention_{number}", norm=norm)
        x = feed_forward(module, x, f"mlp_{number}", norm=norm)
    model = module.Model(inputs, module.layers.Dense(3, name="head")(x))
    found = residual_branches(model)

    attention = ["query", "key", "value", "attention_output"]
    for branch, number, name in zip(found, (0, 0, 1, 1), ("attention", "mlp") * 2, strict=True):
        inside = attention if name == "attention" else [f"mlp_{number}_up", f"mlp_{number}_down"]
        before = [f"{name}_{number}_norm"] if norm == "pre" else []
        assert names(branch.layers)[: len(before)] == before
        assert sorted(names(branch.layers)[len(before) :]) == sorted(inside)
        assert names(branch.last_kernels) == inside[-1:]
        assert branch.last_weights == branch.last_kernels
        assert (branch.depth, branch.shortcut, branch.crosses) == (2, (), False)
    assert len({branch.stream for branch in found}) == 1
    assert names(terminal_layers(model)) == ["head"]


def translator(module, nested, norm=None):
    """Return an encoder of one block and a decoder of two, as one model or of two models."""
    seen, wanted = module.Input((5,), name="source"), module.Input((7,), name="target")
    embed = module.layers.Embedding(20, 8, name="embedding")
    places = module.layers.Embedding(20, 8, name="places")

    def embedded(tokens):
        return embed(tokens) + places(tokens)

    def encode(x):
        x = attention_block(module, x, "encoder_attention", norm=norm)
        return feed_forward(module, x, "encoder_mlp", norm=norm)

    def decode(x, memory):
        for number in range(2):
            x = attention_block(module, x, f"self_{number}", norm=norm)
            x = attention_block(module, x, f"cross_{number}", memory, norm=norm)
            x = feed_forward(module, x, f"decoder_mlp_{number}", norm=norm)
        return x

    if nested:
        tokens = module.Input((5,))
        encoder = module.Model(tokens, encode(embedded(tokens)))
        tokens, memory = module.Input((7,)), module.Input((5, 8))
        decoder = module.Model([tokens, memory], decode(embedded(tokens), memory))
        outputs = decoder([wanted, encoder(seen)])
    else:
        outputs = decode(embedded(wanted), encode(embedded(seen)))
    return module.Model([seen, wanted], module.layers.Dense(20, name="head")(outputs))


# In an order in which both Kerases get flat and nested ones.
TRANSLATORS = {
    "flat, pre": (False, "pre"),
    "flat, post": (False, "post"),
    "nested": (True, None),
    "nested, pre": (True, "pre"),
    "nested, post": (True, "post"),
    "flat": (False, None),
}


@each_value_once(module=INSTALLED, kind=list(TRANSLATORS))
def test_a_decoder_is_what_looks_at_another_signal(module, kind):
    found = residual_branches(translator(module, *TRANSLATORS[kind]))
    streams = {
        name: {branch.stream for branch in found if any(name in n for n in names(branch.layers))}
        for name in ("encoder_mlp", "decoder_mlp")
    }

    assert len(found) == 8
    assert [branch.crosses for branch in found].count(True) == 2
    assert len(streams["encoder_mlp"]) == len(streams["decoder_mlp"]) == 1
    assert streams["encoder_mlp"] != streams["decoder_mlp"]
    for branch in found:
        if branch.crosses:
            assert branch.stream in streams["decoder_mlp"]


@both
def test_a_masked_attention_looks_at_no_other_signal(module):
    inputs, mask = module.Input((5, 8)), module.Input((5, 5))
    attention = module.layers.MultiHeadAttention(2, 4)
    x = inputs + attention(query=inputs, value=inputs, attention_mask=mask)
    (branch,) = residual_branches(module.Model([inputs, mask], x))

    assert not branch.crosses


# ---------------------------------------------------------------- ways to write a sum


@both
@pytest.mark.parametrize(
    "add",
    [
        lambda module, x, y: module.layers.Add()([x, y]),
        lambda module, x, y: module.layers.Add()([y, x]),
        lambda module, x, y: x + y,
        lambda module, x, y: y + x,
        lambda module, x, y: module.layers.add([x, module.layers.Dropout(0.1)(y)]),
        lambda module, x, y: module.layers.Add()([x, 0.5 * y]),
    ],
)
def test_a_sum_may_be_written_in_any_way(module, add):
    inputs = module.Input((8,))
    outputs = add(module, inputs, block(module, inputs, "a"))
    outputs = add(module, outputs, block(module, outputs, "b"))

    assert branch_names(module.Model(inputs, outputs)) == [["a_up", "a_down"], ["b_up", "b_down"]]


def test_tensorflows_sums_are_seen():
    import tensorflow as tf

    inputs = tf_keras.Input((8,))
    x = tf.add(inputs, block(tf_keras, inputs, "a"))
    x = tf.add_n([x, block(tf_keras, x, "b")])
    x += block(tf_keras, x, "c")

    assert [one[-1] for one in branch_names(tf_keras.Model(inputs, x))] == [
        "a_down",
        "b_down",
        "c_down",
    ]


def test_keras_operations_are_seen():
    inputs = keras.Input((8,))
    x = keras.ops.add(inputs, block(keras, inputs, "a"))
    x = keras.ops.add(keras.ops.relu(block(keras, x, "b")), x)

    assert branch_names(keras.Model(inputs, x)) == [["a_up", "a_down"], ["b_up", "b_down"]]


@both
def test_parallel_branches_are_told_apart_however_they_are_summed(module):
    def parallel(how):
        inputs = module.Input((5, 8))
        seen = module.layers.LayerNormalization(name="norm")(inputs)
        a = module.layers.MultiHeadAttention(2, 4, name="attention")(seen, seen)
        b = block(module, seen, "mlp")
        return module.Model(inputs, how(inputs, a, b))

    for how in (
        lambda x, a, b: module.layers.Add()([x, a, b]),
        lambda x, a, b: x + a + b,
        lambda x, a, b: (a + b) + x,
        lambda x, a, b: x + module.layers.Dropout(0.1)(a + b),
    ):
        found = residual_branches(parallel(how))
        assert sorted(names(branch.last_kernels)[0] for branch in found) == [
            "attention_output",
            "mlp_down",
        ]
        assert {branch.shortcut for branch in found} == {()}


@both
def test_a_sum_that_only_one_later_sum_takes_from_afar_stays_its_own(module):
    # As in a U-Net: the early signal skips what comes between.
    skip = inputs = module.Input((8,))
    x = module.layers.Dense(8, name="down")(skip)
    x = x + block(module, x, "inner")
    model = module.Model(inputs, x + skip)
    first, second = residual_branches(model)

    assert names(first.layers) == ["inner_up", "inner_down"]
    assert names(second.layers) == ["down", "inner_up", "inner_down"]


# ---------------------------------------------------------------- what is no branch


@both
def test_sums_that_are_not_residual_are_left_out(module):
    a, b = module.Input((6,)), module.Input((6,))
    embed = module.layers.Embedding(20, 8)
    # Two inputs; two embeddings of one input; two heads of different shapes; no kernel.
    x = embed(a) + embed(b)
    x = x + module.layers.Embedding(20, 8)(a)
    wide = module.layers.Dense(8)(x) + module.layers.Dense(1)(x)
    x = wide + module.layers.BatchNormalization()(wide)
    model = module.Model([a, b], x)

    assert residual_branches(model) == []


@both
def test_a_sum_with_an_embedding_is_no_branch(module):
    tokens = module.Input((8,))
    features = module.layers.Dense(8)(module.layers.Embedding(20, 8)(tokens))
    model = module.Model(tokens, features + module.layers.Embedding(20, 8)(tokens))

    assert residual_branches(model) == []


@both
def test_a_layer_of_position_embeddings_is_no_branch(module):
    @module.saving.register_keras_serializable("test_graph")
    class Positions(module.layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(name="position_embedding", shape=tuple(shape[1:]))

        def call(self, x):
            return 0 * x + self.table

    inputs = module.Input((5, 8))
    x = inputs + Positions()(inputs)
    model = module.Model(inputs, x + block(module, x, "mlp"))

    assert branch_names(model) == [["mlp_up", "mlp_down"]]


@both
def test_two_signals_that_share_only_a_mask_are_no_branch(module):
    a, b, mask = module.Input((8,)), module.Input((8,)), module.Input((8,))
    one = module.layers.Dense(8)(module.layers.Multiply()([a, mask]))
    other = block(module, module.layers.Multiply()([b, mask]), "other")
    model = module.Model([a, b, mask], one + other)

    assert residual_branches(model) == []


@both
def test_a_sum_with_a_broadcast_signal_is_no_branch(module):
    # The step of a diffusion model goes into every block, as one vector for all places.
    image, step = module.Input((4, 4, 8)), module.Input((8,))
    time = module.layers.Dense(8, name="time")(step)
    x = image
    for number in range(2):
        hidden = module.layers.Conv2D(8, 3, padding="same", name=f"first_{number}")(x)
        vector = module.layers.Dense(8, name=f"time_{number}")(time)
        hidden = hidden + module.layers.Reshape((1, 1, 8))(vector)
        x = x + module.layers.Conv2D(8, 3, padding="same", name=f"second_{number}")(hidden)

    assert branch_names(module.Model([image, step], x)) == [
        ["first_0", "second_0"],
        ["first_1", "second_1"],
    ]


# ---------------------------------------------------------------- where a branch ends


@both
def test_a_gate_does_not_end_a_branch(module):
    # Squeeze and excite: a sigmoid of zero is not zero, so what it scales must be.
    inputs = module.Input((4, 4, 8))
    x = module.layers.Conv2D(8, 3, padding="same", name="first")(inputs)
    x = module.layers.Conv2D(8, 3, padding="same", name="second")(x)
    x = module.layers.BatchNormalization(name="norm")(x)
    gate = module.layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = module.layers.Conv2D(2, 1, activation="relu", name="squeeze")(gate)
    gate = module.layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gate)
    model = module.Model(inputs, inputs + module.layers.Multiply()([gate, x]))
    (branch,) = residual_branches(model)

    assert names(branch.last_kernels) == ["second"]
    assert names(branch.last_weights) == ["norm"]
    assert branch.depth == 2


@both
def test_a_branch_may_end_in_several_layers(module):
    inputs = module.Input((8,))
    x = module.layers.Dense(8, name="first")(inputs)
    parts = [module.layers.Dense(4, name=f"part_{number}")(x) for number in range(2)]
    model = module.Model(inputs, inputs + module.layers.Concatenate()(parts))
    (branch,) = residual_branches(model)

    assert names(branch.last_kernels) == ["part_0", "part_1"]
    assert branch.depth == 2


@both
@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "softplus"])
def test_nothing_ends_a_branch_whose_activation_is_not_zero_at_zero(module, activation):
    inputs = module.Input((8,))
    layer = block(module, inputs, "a", activation=activation)
    (inside,) = residual_branches(module.Model(inputs, inputs + layer))
    after = module.layers.Activation(activation)(block(module, inputs, "a"))
    (outside,) = residual_branches(module.Model(inputs, inputs + after))

    for branch in (inside, outside):
        assert branch.last_kernels == branch.last_weights == ()


@both
def test_nothing_ends_a_branch_to_which_a_constant_is_added(module):
    inputs = module.Input((8,))
    (branch,) = residual_branches(module.Model(inputs, inputs + (block(module, inputs, "a") + 1)))

    assert branch.last_kernels == branch.last_weights == ()


def test_what_only_gives_a_shape_does_not_matter_to_where_a_branch_ends():
    import tensorflow as tf

    inputs = tf_keras.Input((4, 8))
    x = tf_keras.layers.Reshape((32,))(block(tf_keras, inputs, "a"))
    x = tf.reshape(x, tf.shape(inputs))
    (branch,) = residual_branches(tf_keras.Model(inputs, inputs + x))

    assert names(branch.last_kernels) == ["a_down"]


@both
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_an_activation_that_is_zero_at_zero_may_follow(module, activation):
    inputs = module.Input((8,))
    outputs = inputs + block(module, inputs, "a", activation=activation)
    (branch,) = residual_branches(module.Model(inputs, outputs))

    assert names(branch.last_kernels) == ["a_down"]


@both
def test_an_activation_may_be_a_layer_with_weights(module):
    inputs = module.Input((8,))
    for activation, ends in ((module.layers.PReLU(), ["a_down"]), (module.layers.Softmax(), [])):
        outputs = inputs + block(module, inputs, "a", activation=activation)
        (branch,) = residual_branches(module.Model(inputs, outputs))
        assert names(branch.last_kernels) == ends


def test_an_attention_with_grouped_queries_is_one():
    inputs = keras.Input((5, 8))
    attention = keras.layers.GroupQueryAttention(4, 4, 2)
    (branch,) = residual_branches(keras.Model(inputs, inputs + attention(inputs, inputs)))

    assert names(branch.last_kernels) == ["attention_output"]
    assert (branch.depth, branch.crosses) == (2, False)


@both
def test_a_normalization_without_a_scale_cannot_end_a_branch(module):
    inputs = module.Input((8,))
    x = module.layers.BatchNormalization(scale=False)(block(module, inputs, "a"))
    (branch,) = residual_branches(module.Model(inputs, inputs + x))

    assert branch.last_weights == ()
    assert names(branch.last_kernels) == ["a_down"]


# ---------------------------------------------------------------- models inside models


def nested_block(module, kind):
    """Return a residual block as a model."""
    inputs = module.Input((8,))
    if kind == "sum inside":
        return module.Model(inputs, inputs + block(module, inputs, "inner"))
    if kind == "branch":
        return module.Model(inputs, block(module, inputs, "inner"))
    return module.Sequential(
        [
            module.Input((8,)),
            module.layers.Dense(16, "relu", name="inner_up"),
            module.layers.Dense(8, name="inner_down"),
        ]
    )


@both
@pytest.mark.parametrize("kind", ["sum inside", "branch", "sequential branch"])
def test_blocks_may_be_models(module, kind):
    x = inputs = module.Input((8,))
    for _ in range(3):
        inner = nested_block(module, kind)
        x = inner(x) if kind == "sum inside" else x + inner(x)
    found = residual_branches(module.Model(inputs, module.layers.Dense(3, name="head")(x)))

    assert [names(branch.layers) for branch in found] == [["inner_up", "inner_down"]] * 3
    assert [names(branch.last_kernels) for branch in found] == [["inner_down"]] * 3
    assert {branch.depth for branch in found} == {2}
    assert len({branch.stream for branch in found}) == 1


@both
def test_blocks_may_stand_in_a_row(module):
    model = module.Sequential(
        [
            nested_block(module, "sum inside"),
            nested_block(module, "sum inside"),
            module.layers.Dense(3, name="head"),
        ]
    )
    model.build((None, 8))

    assert branch_names(model) == [["inner_up", "inner_down"]] * 2
    assert names(terminal_layers(model)) == ["head"]


@both
def test_a_shared_block_counts_each_time_that_it_is_called(module):
    x = inputs = module.Input((8,))
    inner = nested_block(module, "sum inside")
    shared = module.layers.Dense(8, name="shared")
    for _ in range(3):
        x = inner(x)
        x = x + shared(x)
    found = residual_branches(module.Model(inputs, x))

    assert len(found) == 6
    assert names(found[1].layers) == ["shared"]
    assert found[1].layers[0] is found[3].layers[0]


@both
def test_a_model_may_be_wrapped_for_each_time_step(module):
    inputs = module.Input((5, 8))
    x = module.layers.TimeDistributed(nested_block(module, "sum inside"))(inputs)
    x = x + module.layers.TimeDistributed(nested_block(module, "branch"))(x)

    assert branch_names(module.Model(inputs, x)) == [["inner_up", "inner_down"]] * 2


@both
def test_a_model_with_several_inputs_and_outputs_may_stand_inside(module):
    a, b = module.Input((8,), name="a"), module.Input((8,), name="b")
    inner = module.Model({"a": a, "b": b}, {"y": b + 0, "x": a + block(module, a, "inner")})
    inputs = module.Input((8,))
    other = module.layers.Dense(8, name="other")(inputs)
    outputs = inner({"b": other, "a": inputs})
    both_ways = residual_branches(module.Model(inputs, outputs["x"] + outputs["y"]))
    (one_way,) = residual_branches(module.Model(inputs, outputs["y"] + inputs))

    # What came in as a is the shortcut of both, what came in as b comes out as y.
    assert [names(branch.layers) for branch in both_ways] == [["inner_up", "inner_down"], ["other"]]
    assert names(one_way.layers) == ["other"]


@both
def test_what_a_model_inside_makes_for_nobody_is_left_out(module):
    a = module.Input((8,))
    middle = a + block(module, a, "used")
    inner = module.Model(a, [middle, middle + block(module, middle, "unused")])
    inputs = module.Input((8,))

    assert branch_names(module.Model(inputs, inner(inputs)[0])) == [["used_up", "used_down"]]


@both
def test_a_class_around_a_functional_model_has_its_graph(module):
    class Own(module.Model):
        def __init__(self, width):
            inputs = module.Input((width,))
            super().__init__(inputs, inputs + block(module, inputs, "a"))

    assert branch_names(Own(8)) == [["a_up", "a_down"]]


@both
def test_a_composite_layer_counts_as_the_layers_in_it(module):
    @module.saving.register_keras_serializable("test_graph")
    class FeedForward(module.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = module.layers.Dense(16, "relu", name="first")
            self.second = module.layers.Dense(8, name="second")

        def build(self, shape):
            self.first.build(shape)
            self.second.build((*shape[:-1], 16))
            self.built = True

        def call(self, x):
            return self.second(self.first(x))

    inputs = module.Input((8,))
    (branch,) = residual_branches(module.Model(inputs, inputs + FeedForward()(inputs)))

    assert names(branch.layers) == ["first", "second"]
    assert names(branch.last_kernels) == ["second"]
    assert branch.depth == 2


@both
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_recurrent_layer_is_one(module, wrapped):
    inputs = module.Input((5, 8))
    layer = module.layers.LSTM(4 if wrapped else 8, return_sequences=True, name="lstm")
    layer = module.layers.Bidirectional(layer, name="lstm") if wrapped else layer
    (branch,) = residual_branches(module.Model(inputs, inputs + layer(inputs)))

    assert [one is layer for one in branch.layers] == [True]
    assert branch.depth == 1


# ---------------------------------------------------------------- asking and telling


def subclassed(module):
    class Own(module.Model):
        def __init__(self):
            super().__init__()
            self.first = module.layers.Dense(16, "relu", name="first")
            self.second = module.layers.Dense(8, name="second")

        def call(self, x):
            return x + self.second(self.first(x))

    model = Own()
    model(np.ones((1, 8), "float32"))
    return model


@both
def test_a_subclassed_model_has_no_graph_and_says_how_to_tell(module):
    model = subclassed(module)

    assert graph_of(model) is None
    with pytest.raises(ValueError, match=r"class .*Own has no graph.*branches=\[\["):
        residual_branches(model)


@both
def test_equal_ways_are_asked_about_by_the_name_of_the_sum(module):
    inputs = module.Input((8,))
    ways = [module.layers.Dense(8)(inputs) for _ in range(2)]
    model = module.Model(inputs, module.layers.Add(name="my_sum")(ways))

    with pytest.raises(ValueError, match=r"'my_sum'.*2 of them pass 1 kernel.*branches=\[\["):
        residual_branches(model)


def test_a_layer_without_a_configuration_is_told_to_have_one():
    class Stubborn(tf_keras.layers.Layer):
        def __init__(self, width):
            super().__init__()
            self.width = width

        def call(self, x):
            return x

        def get_config(self):
            raise NotImplementedError("no configuration here")

    inputs = tf_keras.Input((8,))
    model = tf_keras.Model(inputs, Stubborn(3)(inputs) + block(tf_keras, inputs, "a"))

    with pytest.raises(ValueError, match=r"no configuration here.*get_config, or pass"):
        residual_branches(model)


@both
def test_branches_may_be_told_by_layers_names_and_structural_names(module):
    model = subclassed(module)
    layers = [model.first, model.second]
    for given in (layers, ["first", "second"], ["dense", "dense_1"], [model.first, "second"]):
        (branch,) = given_branches(model, [given])
        assert [a is b for a, b in zip(branch.layers, layers, strict=True)] == [True, True]
        assert branch.last_kernels == branch.last_weights == (model.second,)
        assert branch.depth == 2


@both
def test_found_branches_may_be_told_again(module):
    inputs = module.Input((8,))
    x = inputs + block(module, inputs, "a")
    model = module.Model(inputs, x + block(module, x, "b"))
    found = residual_branches(model)

    assert given_branches(model, found[1:]) == found[1:]


@both
def test_what_is_told_wrong_is_refused(module):
    model = subclassed(module)

    with pytest.raises(ValueError, match="Did you mean 'second'"):
        given_branches(model, [["first", "secnod"]])
    with pytest.raises(TypeError, match="a list of layers or names for each branch"):
        given_branches(model, "first")
    with pytest.raises(TypeError, match="a list of layers or names for each branch"):
        given_branches(model, ["first", "second"])
    with pytest.raises(ValueError, match="has no layer with a kernel"):
        given_branches(model, [[]])
    with pytest.raises(ValueError, match="no weights in"):
        given_branches(model, [[module.layers.Dense(3, name="stranger")]])
    with pytest.raises(TypeError, match="Expected a model"):
        residual_branches(module.layers.Dense(3))


@both
def test_a_name_that_two_layers_have_is_refused(module):
    inner = [nested_block(module, "branch") for _ in range(2)]
    inputs = module.Input((8,))
    model = module.Model(inputs, inner[1](inner[0](inputs)))

    with pytest.raises(ValueError, match=r"Several layers .* 'inner_up': give the layer itself"):
        given_branches(model, [["inner_up", "inner_down"]])


@both
def test_a_model_without_weights_is_refused(module):
    with pytest.raises(ValueError, match="has no weights yet"):
        residual_branches(module.Sequential([module.layers.Dense(3)]))


@both
def test_looking_changes_nothing(module):
    inputs = module.Input((8,))
    model = module.Model(inputs, inputs + block(module, inputs, "a"))
    before = [weight.numpy() for weight in model.weights]
    config = str(model.get_config())
    residual_branches(model)

    assert str(model.get_config()) == config
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


@both
def test_a_deep_network_is_no_trouble(module):
    x = inputs = module.Input((2,))
    dense, add = module.layers.Dense(2), module.layers.Add()
    for _ in range(200):
        x = add([x, dense(x)])
    found = residual_branches(module.Model(inputs, x))

    assert len(found) == 200
