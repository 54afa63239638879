"""The ready rules give whole networks the values of the papers, in both Kerases."""

import json
import math

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit import reinitialize, rules
from kerasinit._src.network.branches import residual_branches
from kerasinit._src.network.parts import parts
from tests.kerases import INSTALLED, KERASES, tf_keras
from tests.products import each_value_once, nightly

both = pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)
NORMAL = kerasinit.RandomNormal(stddev=1.0, seed=5)
# For values that `test_a_seed_gives_the_same_values_in_both_kerases` finds in tf_keras as well.
first_in_keras = pytest.mark.parametrize("module", [keras, pytest.param(tf_keras, marks=nightly)])
BRANCH_RULES = [rules.fixup, rules.gpt2, rules.zero_last]


def values(model):
    """Return every weight by its structural name."""
    return {part.name: part.variable.numpy() for part in parts(model)}


def assert_spread(array, stddev):
    """Assert a standard deviation within five of its standard errors."""
    # That of a variance is at most sqrt(2 / n), which normal values have.
    found = float((array.astype("float64") ** 2).mean())
    assert abs(found / stddev**2 - 1) < 5 * math.sqrt(2 / array.size)


def predict(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs))


def feed_forward(module, x, name, units=64, activation="relu", **more):
    hidden = module.layers.Dense(units, activation, name=f"{name}_up", **more)(x)
    return module.layers.Dense(x.shape[-1], name=f"{name}_down", **more)(hidden)


def residual_mlp(module, depth, width=64, head=10, **more):
    x = inputs = module.Input((width,))
    for number in range(depth):
        x = x + feed_forward(module, x, f"block_{number}", width, **more)
    if head:
        x = module.layers.Dense(head, name="head")(x)
    return module.Model(inputs, x)


def residual_cnn(module, normalized, head=True):
    """Return two stages of two bottlenecks; the first of each has a projected shortcut."""
    layers = module.layers

    def conv(x, channels, window, relu=True, strides=1):
        x = layers.Conv2D(channels, window, strides, padding="same")(x)
        x = layers.BatchNormalization()(x) if normalized else x
        return layers.ReLU()(x) if relu else x

    inputs = module.Input((8, 8, 3))
    x = conv(inputs, 32, 3)
    for channels in (32, 64):
        for number in range(2):
            strides = 2 if channels == 64 and number == 0 else 1
            hidden = conv(x, 16, 1, strides=strides)
            hidden = conv(conv(hidden, 16, 3), channels, 1, relu=False)
            x = conv(x, channels, 1, relu=False, strides=strides) if number == 0 else x
            x = layers.Add()([x, hidden])
    outputs = layers.GlobalAveragePooling2D()(x)
    return module.Model(inputs, layers.Dense(10, name="head")(outputs) if head else x)


def gpt(module, depth, width=32, units=64):
    layers = module.layers
    tokens = module.Input((16,), dtype="int32")
    places = module.Input((16,), dtype="int32")
    embedded = layers.Embedding(50, width, name="tokens")(tokens)
    x = embedded + layers.Embedding(16, width, name="places")(places)
    start = x
    for number in range(depth):
        seen = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, width // 2, name=f"attention_{number}")(seen, seen)
        seen = layers.LayerNormalization()(x)
        x = x + feed_forward(module, seen, f"mlp_{number}", units, activation="gelu")
    outputs = layers.Dense(50, name="head")(layers.LayerNormalization()(x))
    model = module.Model([tokens, places], outputs)
    return model, module.Model([tokens, places], [start, x])


def post_norm(module, depth, alpha=1.0, width=32):
    """Return an encoder; each block an attention and a feed-forward branch."""
    x = inputs = module.Input((6, width))
    for number in range(depth):
        attention = module.layers.MultiHeadAttention(4, 8, name=f"attention_{number}")
        x = module.layers.LayerNormalization()(alpha * x + attention(x, x))
        x = module.layers.LayerNormalization()(alpha * x + feed_forward(module, x, f"mlp_{number}"))
    return module.Model(inputs, module.layers.Dense(5, name="head")(x))


def translator(module, encoder_blocks, decoder_blocks, width=32):
    """Return an encoder and a decoder, without normalization."""
    layers = module.layers
    source, target = module.Input((6,)), module.Input((7,))
    embed = layers.Embedding(500, width, name="embedding")
    memory, x = embed(source), embed(target)
    for number in range(encoder_blocks):
        attention = layers.MultiHeadAttention(4, 8, name=f"encoder_{number}")
        memory = memory + attention(memory, memory)
        memory = memory + feed_forward(module, memory, f"encoder_mlp_{number}")
    for number in range(decoder_blocks):
        x = x + layers.MultiHeadAttention(4, 8, name=f"self_{number}")(x, x)
        x = x + layers.MultiHeadAttention(4, 8, name=f"cross_{number}")(x, memory)
        x = x + feed_forward(module, x, f"decoder_mlp_{number}")
    return module.Model([source, target], layers.Dense(500, name="head")(x))


def hidden_sum(module):
    """Return a model whose residual sum is inside a layer's call, and that layer."""

    class Block(module.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.attention = module.layers.MultiHeadAttention(2, 8, name="attention")
            self.up = module.layers.Dense(64, "relu", name="up")
            self.down = module.layers.Dense(16, name="down")

        def call(self, x):
            x = x + self.attention(x, x)
            return x + self.down(self.up(x))

    class Own(module.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [Block(name=f"block_{number}") for number in range(3)]
            self.out = module.layers.Dense(4, name="out")

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return self.out(x)

    model = Own()
    model(np.ones((1, 5, 16), "float32"))
    return model


def told(model):
    return [one for b in model.blocks for one in ([b.attention], [b.up, b.down])]


# ------------------------------------------------------------------------------- Fixup


@first_in_keras
def test_fixup_scales_the_branches_by_their_number_and_depth(module):
    model = residual_mlp(module, depth=9)
    reinitialize(model, rules.fixup, seed=1)

    for name, value in values(model).items():
        number = int(name.split("/")[0].removeprefix("dense").removeprefix("_") or 0)
        if name.endswith("bias") or number % 2 == 1 or number == 18:
            assert not value.any(), name  # every second layer ends a branch, 18 is the head
        else:
            assert_spread(value, math.sqrt(2 / 64) * 9**-0.5)  # m = 2


@first_in_keras
def test_fixup_leaves_stem_and_shortcuts_to_he(module):
    model = residual_cnn(module, normalized=False)
    report = reinitialize(model, rules.fixup, seed=1)
    scales = [
        float(change.initializer._variance) if change.initializer.get_config() else 0.0
        for change in report.changes
        if change.role == "kernel"
    ]

    inside = 2 * 4 ** (-1 / 2)  # L = 4, m = 3
    projected, plain = [inside, inside, 0, 2], [inside, inside, 0]
    assert sorted(scales) == sorted([2, *projected, *plain, *projected, *plain, 0])


@both
def test_a_fixup_network_starts_as_its_shortcuts(module):
    model = residual_mlp(module, depth=4, head=0)
    reinitialize(model, rules.fixup(model, head=[]), seed=1)
    inputs = NORMAL((16, 64))

    np.testing.assert_array_equal(predict(model, inputs), inputs)


@first_in_keras
def test_a_fixup_network_with_a_head_starts_undecided(module):
    model = residual_cnn(module, normalized=False)
    reinitialize(model, rules.fixup, seed=1)

    assert not predict(model, NORMAL((4, 8, 8, 3))).any()


def test_fixup_keeps_the_scale_of_a_very_deep_network_where_he_explodes():
    model = residual_mlp(keras, depth=64, width=16, head=0)
    inputs = NORMAL((8, 16))
    reinitialize(model, {"kernel": "HeNormal", "bias": "Zeros"}, seed=1)
    # Each branch adds twice the mean square of its input: 3^64 of it, 10^15 in size.
    assert np.abs(predict(model, inputs)).max() > 1e9
    reinitialize(model, rules.fixup, seed=1)

    np.testing.assert_array_equal(predict(model, inputs), inputs)


def _moved(depth, rule):
    """Return how far a few steps of training move what a network computes, in features."""
    # Without biases: the paper has a single number before each layer in their place.
    model = residual_mlp(keras, depth, width=16, head=4, use_bias=False)
    # Fresh heads of He, so that the first step reaches the branches; the same for both.
    reinitialize(model, [kerasinit.Rule("HeNormal", role="kernel")], seed=3)
    reinitialize(model, rule(model), seed=1)
    features = keras.Model(model.input, model.layers[-1].input)
    inputs, wanted = NORMAL((64, 16)), NORMAL((64, 4))
    before = predict(features, inputs)
    model.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    for _ in range(2):
        model.train_on_batch(inputs, wanted)
    return float(np.sqrt(((predict(features, inputs) - before) ** 2).mean()))


def test_steps_of_training_move_a_fixup_network_alike_at_every_depth():
    fixup = [_moved(depth, lambda model: rules.fixup(model, head=[])) for depth in (2, 32)]
    zeros = [_moved(depth, rules.zero_last) for depth in (2, 32)]

    # In L branches whose other layers are not scaled down, a step does up to L times as much:
    # here 9 times as much of 16 times as many. Fixup's do 1.0 times as much.
    assert 0.4 < fixup[1] / fixup[0] < 2.5
    assert zeros[1] / zeros[0] > 4


@both
def test_fixup_refuses_branches_with_a_normalization(module):
    with pytest.raises(ValueError, match=r"without normalization.*'batch_norm.*zero_last"):
        reinitialize(residual_cnn(module, normalized=True), rules.fixup, seed=1)


@both
def test_fixup_wants_to_know_the_head_of_a_model_without_a_graph(module):
    model = hidden_sum(module)
    with pytest.raises(ValueError, match=r"head=\[layer\], or head=\[\] for none"):
        rules.fixup(model, branches=told(model))
    reinitialize(model, rules.fixup(model, branches=told(model), head=[model.out]), seed=1)

    assert not predict(model, NORMAL((2, 5, 16))).any()


# ------------------------------------------------------------------- branches from zero


def application(name):
    return lambda module: getattr(module.applications, name)(
        weights=None, input_shape=(32, 32, 3), classes=10
    )


@both
@pytest.mark.parametrize(
    ("network", "branches", "roles"),
    [
        (lambda module: residual_cnn(module, normalized=True), 4, {"scale", "offset"}),
        (lambda module: residual_cnn(module, normalized=False), 4, {"kernel", "bias"}),
        pytest.param(application("ResNet50"), 16, {"scale", "offset"}, marks=nightly),
        pytest.param(application("ResNet50V2"), 16, {"kernel", "bias"}, marks=nightly),
    ],
    ids=["normalized", "not normalized", "ResNet50", "ResNet50V2"],
)
def test_zero_last_changes_the_end_of_each_branch_and_nothing_else(
    module, network, branches, roles
):
    model = network(module)
    before = values(model)
    report = reinitialize(model, rules.zero_last, seed=1)
    after = values(model)

    assert len(report.changed) == 2 * branches
    assert {change.role for change in report.changes if change.initializer is not None} == roles
    for key, value in after.items():
        if key in report.changed:
            assert not value.any()
        else:
            np.testing.assert_array_equal(value, before[key])


def _shortcuts_alone(module, model):
    """Return the same network without its branches, with the same weights."""
    branches = {id(one) for branch in residual_branches(model) for one in branch.layers}
    x = inputs = module.Input((8, 8, 3))
    stem = [layer for layer in model.layers[1:4] if id(layer) not in branches]
    for layer in stem:
        x = layer(x)
    for branch in residual_branches(model):
        for layer in branch.shortcut:
            x = layer(x)
    return module.Model(inputs, x)


@both
@pytest.mark.parametrize("normalized", [True, False])
def test_a_zero_last_network_computes_what_its_shortcuts_compute(module, normalized):
    model = residual_cnn(module, normalized, head=False)
    inputs = NORMAL((16, 8, 8, 3))
    # Train first, so that statistics and offsets are not those of a new network.
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(inputs, np.ones((16, 4, 4, 64), "float32"))
    alone = _shortcuts_alone(module, model)
    assert not np.array_equal(predict(model, inputs), predict(alone, inputs))
    reinitialize(model, rules.zero_last, seed=1)

    np.testing.assert_array_equal(predict(model, inputs), predict(alone, inputs))


@both
def test_what_starts_at_zero_learns(module):
    layers = module.layers
    x = inputs = module.Input((8, 8, 4))
    x = x + layers.SeparableConv2D(4, 3, padding="same", name="separable")(x)
    x = x + layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
    x = layers.Reshape((8, 32))(x)
    x = x + layers.MultiHeadAttention(2, 8)(x, x)
    x = x + layers.Bidirectional(layers.LSTM(16, return_sequences=True))(x)
    model = module.Model(inputs, x)
    report = reinitialize(model, rules.zero_last, seed=1)
    images = NORMAL((4, 8, 8, 4))
    np.testing.assert_array_equal(predict(model, images), images.reshape(4, 8, 32))
    model.compile(module.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.train_on_batch(images, kerasinit.RandomNormal(stddev=1.0, seed=6)((4, 8, 32)))

    for name, value in values(model).items():
        if name in report.changed:
            assert value.any(), name


@both
def test_a_branch_that_a_zero_would_not_silence_is_refused(module):
    inputs = module.Input((8,))
    x = inputs + module.layers.Dense(8, "sigmoid")(inputs)
    model = module.Model(inputs, module.layers.Dense(3)(x))

    for rule in BRANCH_RULES:
        with pytest.raises(ValueError, match=rf"{rule.__name__} cannot .*not zero at zero"):
            rule(model)


# ------------------------------------------------------------------------------- GPT-2


@first_in_keras
def test_gpt2_draws_kernels_and_embeddings_and_shrinks_what_ends_a_branch(module):
    model, _ = gpt(module, depth=3)
    reinitialize(model, rules.gpt2(model, positions="places"), seed=1)

    for name, value in values(model).items():
        layer = name.rsplit("/", 1)[0]
        if name.endswith(("bias", "beta")):
            assert not value.any(), name
        elif name.endswith("gamma"):
            assert (value == 1).all()
        elif layer == "embedding_1":
            assert_spread(value, 0.01)
        elif layer.endswith("attention_output") or layer in ("dense_1", "dense_3", "dense_5"):
            assert_spread(value, 0.02 / math.sqrt(6))
        else:
            assert_spread(value, 0.02)


@first_in_keras
def test_gpt2_takes_the_number_of_blocks_of_the_whole_network(module):
    model, _ = gpt(module, depth=1)
    own = reinitialize(model, rules.gpt2, seed=1)["dense_1/kernel"].initializer.stddev
    whole = rules.gpt2(model, num_blocks=12)
    whole = reinitialize(model, whole, seed=1)["dense_1/kernel"].initializer.stddev

    assert (own, whole) == (0.02 / 2**0.5, 0.02 / 24**0.5)
    with pytest.raises(ValueError, match="num_blocks=0; expected at least 1"):
        rules.gpt2(model, num_blocks=0)
    with pytest.raises(TypeError, match=r"num_blocks=1\.5; expected a whole number"):
        rules.gpt2(model, num_blocks=1.5)


def _growth(depth, rule):
    """Return the variance that the blocks add to the residual stream."""
    model, stream = gpt(keras, depth, width=64, units=256)
    reinitialize(model, rule, seed=1)
    tokens = np.random.default_rng(0).integers(0, 50, (8, 16))
    start, end = stream([tokens, np.tile(np.arange(16), (8, 1))])
    return float(keras.ops.convert_to_numpy(end - start).var())


def test_the_residual_stream_of_gpt2_does_not_grow_with_depth():
    plain = {"kernel": kerasinit.RandomNormal(stddev=0.02), "bias": "Zeros"}
    plain |= {"embeddings": kerasinit.RandomNormal(stddev=0.02)}
    grown = {depth: (_growth(depth, rules.gpt2), _growth(depth, plain)) for depth in (1, 8)}

    # Without the rule each block adds as much, which is 8 times as much of 8.
    assert 0.6 < grown[8][0] / grown[1][0] < 1.7
    assert grown[8][1] / grown[1][1] > 5


# ------------------------------------------------------------------------ transformers


@first_in_keras
def test_t_fixup_scales_an_encoder(module):
    model = post_norm(module, depth=3)
    reinitialize(model, rules.t_fixup, seed=1)
    scale = 0.67 * 3**-0.25

    for name, value in values(model).items():
        if not name.endswith("kernel"):
            continue
        fans = 64 if "attention" in name else sum(value.shape)
        looks = "query" in name or "key" in name
        outside = name == "dense_6/kernel"
        assert_spread(value, math.sqrt(2 / fans) * (1 if looks or outside else scale))


@first_in_keras
def test_t_fixup_scales_encoder_decoder_and_embeddings(module):
    model = translator(module, encoder_blocks=3, decoder_blocks=2)
    reinitialize(model, rules.t_fixup, seed=1)
    encoder, decoder = 0.67 * 3**-0.25, (9 * 2) ** -0.25
    found = values(model)

    assert_spread(found["embedding/embeddings"], decoder * 32**-0.5)
    for number, scale in ((0, encoder), (2, encoder), (3, decoder), (6, decoder)):
        prefix = f"multi_head_attention_{number}".removesuffix("_0")
        for inner in ("value", "attention_output"):
            assert_spread(found[f"{prefix}/{inner}/kernel"], scale * math.sqrt(2 / 64))
        for inner in ("query", "key"):
            assert_spread(found[f"{prefix}/{inner}/kernel"], math.sqrt(2 / 64))
    for number, scale in ((0, encoder), (5, encoder), (6, decoder), (9, decoder)):
        name = f"dense_{number}/kernel".replace("_0", "")
        assert_spread(found[name], scale * math.sqrt(2 / 96))
    assert_spread(found["dense_10/kernel"], math.sqrt(2 / 532))


@first_in_keras
def test_deepnorm_follows_the_table(module):
    scales = rules.deepnorm_scales(3)
    model = post_norm(module, depth=3, alpha=scales.encoder_alpha)
    reinitialize(model, rules.deepnorm, seed=1)
    before = values(post_norm(module, depth=3))

    for name, value in values(model).items():
        if name == "dense_6/kernel" or not name.endswith("kernel"):
            assert value.shape == before[name].shape  # as the layer was built
            continue
        fans = 64 if "attention" in name else sum(value.shape)
        beta = 1 if "query" in name or "key" in name else 24**-0.25
        assert_spread(value, beta * math.sqrt(2 / fans))


@first_in_keras
def test_deepnorm_tells_an_encoder_from_a_decoder(module):
    model = translator(module, encoder_blocks=3, decoder_blocks=2)
    report = reinitialize(model, rules.deepnorm, seed=1)
    scales = rules.deepnorm_scales(3, 2)

    for name, beta in (
        ("dense/kernel", scales.encoder_beta),
        ("dense_9/kernel", scales.decoder_beta),
        ("multi_head_attention/value/kernel", scales.encoder_beta),
        ("multi_head_attention_6/attention_output/kernel", scales.decoder_beta),
        ("multi_head_attention_6/key/kernel", 1),
    ):
        assert report[name].initializer.scale == pytest.approx(beta**2)
    assert report["dense_10/kernel"].rule.initializer == "own"


def test_the_table_of_deepnorm():
    assert rules.deepnorm_scales(8) == rules.DeepNormScales(2.0, 64**-0.25, None, None)
    assert rules.deepnorm_scales(0, 8) == rules.DeepNormScales(None, None, 2.0, 64**-0.25)
    scales = rules.deepnorm_scales(18, 6)
    assert scales.encoder_alpha == pytest.approx(0.81 * 18**0.25 * 6**0.0625)
    assert scales.encoder_beta == pytest.approx(0.87 * 18**-0.25 * 6**-0.0625)
    assert scales.decoder_alpha == pytest.approx(18**0.25)
    assert scales.decoder_beta == pytest.approx(72**-0.25)
    with pytest.raises(ValueError, match="needs a block"):
        rules.deepnorm_scales()
    with pytest.raises(ValueError, match="num_decoder_blocks is at least 0; got -1"):
        rules.deepnorm_scales(1, -1)
    with pytest.raises(TypeError, match=r"num_encoder_blocks is a whole number; got 2\.0"):
        rules.deepnorm_scales(2.0)


@first_in_keras
def test_a_decoder_alone_still_looks_at_an_encoder(module):
    memory = module.Input((6, 32))
    x = inputs = module.Input((7, 32))
    for _ in range(2):
        x = x + module.layers.MultiHeadAttention(4, 8)(x, x)
        x = x + module.layers.MultiHeadAttention(4, 8)(x, memory)
    report = reinitialize(module.Model([inputs, memory], x), rules.deepnorm, seed=1)
    scale = report["multi_head_attention/value/kernel"].initializer.scale

    assert scale == pytest.approx((12 * 2) ** -0.5)


@each_value_once(module=INSTALLED, rule=[rules.t_fixup, rules.deepnorm])
def test_blocks_that_cannot_be_seen_are_told(module, rule):
    model = hidden_sum(module)
    with pytest.raises(ValueError, match="has no graph"):
        rule(model)
    with pytest.raises(TypeError, match="expected a list of blocks"):
        rule(model, encoder="block_0")
    with pytest.raises(ValueError, match=r"decoder\[0\] has no MultiHeadAttention"):
        rule(model, decoder=["out"])
    as_encoder = reinitialize(model, rule(model, encoder=model.blocks), seed=1)
    names = [f"block_{number}" for number in range(3)]
    by_name = reinitialize(model, rule(model, encoder=names), seed=1)
    as_decoder = reinitialize(model, rule(model, decoder=model.blocks), seed=1)

    squared = (0.67**2 * 3**-0.5, 27**-0.5) if rule is rules.t_fixup else (24**-0.5, 24**-0.5)
    for name in ("block/up/kernel", "block_2/attention/value/kernel"):
        assert as_encoder[name].initializer.scale == pytest.approx(squared[0])
        assert repr(by_name[name].initializer) == repr(as_encoder[name].initializer)
        assert as_decoder[name].initializer.scale == pytest.approx(squared[1])


# ----------------------------------------------------------------------------- AlexNet


def alexnet(module, convolutions=5, hidden=2):
    layers = module.layers
    x = inputs = module.Input((16, 16, 8))
    for number in range(convolutions):
        x = layers.Conv2D(16, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
    x = layers.Flatten()(layers.MaxPooling2D(4)(x))
    for number in range(hidden):
        x = layers.Dense(64, "relu", name=f"hidden_{number}")(x)
    return module.Model(inputs, layers.Dense(10, name="head")(x))


@first_in_keras
def test_alexnet_starts_as_in_the_paper(module):
    model = alexnet(module)
    reinitialize(model, rules.alexnet, seed=1)

    for layer in model.layers:
        if layer.weights:
            kernel, bias = (weight.numpy() for weight in layer.weights)
            assert_spread(kernel, 0.01)
            one = layer.name in ("conv_1", "conv_3", "conv_4", "hidden_0", "hidden_1")
            assert (bias == one).all()


@first_in_keras
def test_alexnet_is_read_in_the_order_of_the_data(module):
    model = alexnet(module)
    # The same layers, called the other way round of how they were made.
    x = inputs = module.Input((16, 16, 16))
    for number in (4, 3, 2, 1):
        x = model.get_layer(f"conv_{number}")(x)
    last = module.layers.Conv2D(16, 3, padding="same", name="last")
    x = module.layers.GlobalAveragePooling2D()(last(x))
    hidden = module.layers.Dense(8, "relu")(x)
    model = module.Model(inputs, module.layers.Dense(3)(hidden))
    reinitialize(model, rules.alexnet, seed=1)

    ones = [layer.name for layer in model.layers if layer.weights and layer.bias.numpy().all()]
    assert set(ones) == {"conv_3", "conv_1", "last", model.layers[-2].name}


@both
@pytest.mark.parametrize("less", [{"convolutions": 4}, {"hidden": 0}])
def test_alexnet_refuses_other_networks(module, less):
    with pytest.raises(ValueError, match="five convolutions, hidden dense layers and a dense"):
        reinitialize(alexnet(module, **less), rules.alexnet, seed=1)


# --------------------------------------------------------------------------- all of them


@both
def test_a_model_that_a_rule_has_nothing_to_say_about_is_refused_and_left_alone(module):
    model = module.Sequential([module.Input((8,)), module.layers.Dense(4)])
    before = values(model)

    for rule in BRANCH_RULES:
        with pytest.raises(ValueError, match=rf"{rule.__name__} is for residual networks"):
            reinitialize(model, rule, seed=1)
    for rule in (rules.t_fixup, rules.deepnorm):
        with pytest.raises(ValueError, match=rf"{rule.__name__} is for transformers"):
            reinitialize(model, rule, seed=1)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


@both
def test_an_attention_outside_of_residual_branches_is_refused(module):
    inputs = module.Input((6, 32))
    model = module.Model(inputs, module.layers.MultiHeadAttention(4, 8)(inputs, inputs))

    for rule in (rules.t_fixup, rules.deepnorm):
        with pytest.raises(ValueError, match=r"no attention in a residual branch.*encoder=\["):
            rule(model)


@each_value_once(module=INSTALLED, rule=BRANCH_RULES)
def test_branches_that_cannot_be_seen_are_told(module, rule):
    model = hidden_sum(module)
    with pytest.raises(ValueError, match=r"has no graph.*branches=\[\["):
        reinitialize(model, rule, seed=1)
    more = {"head": []} if rule is rules.fixup else {}
    report = reinitialize(model, rule(model, branches=told(model), **more), seed=1)

    ends = {"block/attention/attention_output/kernel", "block_2/down/kernel"}
    for name in ends:
        if rule is rules.gpt2:
            assert report[name].initializer.stddev == 0.02 / 6**0.5
        else:
            assert not values(model)[name].any()
    if rule is rules.zero_last:
        assert len(report.changed) == 12
        np.testing.assert_array_equal(
            predict(model, NORMAL((2, 5, 16))), predict(model.out, NORMAL((2, 5, 16)))
        )


@both
def test_only_some_of_the_branches_may_be_told(module):
    model = residual_mlp(module, depth=3)
    report = reinitialize(
        model, rules.zero_last(model, branches=residual_branches(model)[1:]), seed=1
    )

    assert report.changed == ["dense_3/kernel", "dense_3/bias", "dense_5/kernel", "dense_5/bias"]


NETWORKS = {
    rules.alexnet: alexnet,
    rules.deepnorm: lambda module: post_norm(module, 2),
    rules.fixup: lambda module: residual_cnn(module, normalized=False),
    rules.gpt2: lambda module: gpt(module, 2)[0],
    rules.t_fixup: lambda module: translator(module, 1, 1),
    rules.zero_last: lambda module: residual_cnn(module, normalized=True),
}


def test_every_rule_is_tried():
    ready = {getattr(rules, name) for name in rules.__all__ if name.islower()}

    assert set(NETWORKS) == ready - {rules.deepnorm_scales}


@pytest.mark.parametrize("rule", NETWORKS, ids=lambda rule: rule.__name__)
def test_a_seed_gives_the_same_values_in_both_kerases(rule):
    ours, theirs = (NETWORKS[rule](module) for module in (keras, tf_keras))
    for model in (ours, theirs):
        reinitialize(model, rule, seed=7)
    report = reinitialize(ours, rule, seed=7)
    first, second = values(ours), values(theirs)

    assert report.changed
    for name in report.changed:
        # What a layer was built with is of its own Keras.
        if first[name].any() and report[name].rule.initializer == "own":
            continue
        np.testing.assert_array_equal(first[name], second[name])


@each_value_once(module=INSTALLED, rule=list(NETWORKS))
def test_after_training_all_starts_anew_and_the_report_tells_it(module, rule):
    model = NETWORKS[rule](module)
    fresh = reinitialize(model, rule, seed=7)
    start = values(model)
    trained = {part: value + 1 for part, value in start.items()}
    for part in parts(model):
        part.variable.assign(trained[part.name])
    reinitialize(model, rule, seed=7)

    assert len(json.loads(fresh.to_json())["changes"]) == len(fresh.changes)
    assert str(fresh)
    # Only zero_last leaves anything as it is.
    assert (fresh.kept == []) == (rule is not rules.zero_last)
    for name, value in values(model).items():
        kept = trained if name in fresh.kept else start
        np.testing.assert_array_equal(value, kept[name])


@both
def test_a_ready_rule_may_be_amended(module):
    model, _ = gpt(module, 1)
    amended = [kerasinit.Rule("Zeros", name="dense_2/kernel"), *rules.gpt2(model)]
    reinitialize(model, amended, seed=1)
    found = values(model)

    assert not found["dense_2/kernel"].any()
    assert found["dense/kernel"].any()
