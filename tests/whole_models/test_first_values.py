"""What a layer was built with is known again, and what is not known is said."""

import keras
import numpy as np
import pytest

import kerasinit
from kerasinit._src.network.parts import parts
from kerasinit._src.whole_models.first_values import own_initializer
from kerasinit._src.whole_models.redraw import reinitialize
from tests.kerases import INSTALLED, KERASES, has_keras, tf_keras
from tests.products import nightly

both = pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)
IMAGES, SEQUENCES, WORDS = (2, 8, 8, 4), (2, 5, 4), (2, 5)

# What a layer needs besides its defaults, and what it is called with where that is no sequence.
ARGUMENTS = {
    "AbstractRNNCell": None,
    "Activation": ("relu",),
    "BatchNormalization": lambda module: module.layers.BatchNormalization(
        **{"renorm": True} if module is tf_keras or has_keras("3.14") else {}
    ),
    "Bidirectional": lambda module: module.layers.Bidirectional(module.layers.GRU(3)),
    "Dense": (3,),
    "Discretization": None,
    "EinsumDense": lambda module: module.layers.EinsumDense("abc,cd->abd", (None, 3)),
    "Embedding": (9, 4),
    "GroupNormalization": (2,),
    "GroupQueryAttention": (2, 4, 2),
    "LocallyConnected1D": (3, 2),
    "LocallyConnected2D": (3, 2),
    "MultiHeadAttention": (2, 3),
    "RNN": lambda module: module.layers.RNN([module.layers.LSTMCell(3), module.layers.GRUCell(2)]),
    "ReversibleEmbedding": lambda module: module.layers.ReversibleEmbedding(
        9, 4, tie_weights=False
    ),
    "SpectralNormalization": lambda module: module.layers.SpectralNormalization(
        module.layers.Dense(3)
    ),
    "StackedRNNCells": None,
    "TimeDistributed": lambda module: module.layers.TimeDistributed(module.layers.Dense(3)),
}
SHAPES = {
    **dict.fromkeys(("Embedding", "ReversibleEmbedding"), WORDS),
    **dict.fromkeys(("ConvLSTM1D",), (2, 3, 8, 4)),
    **dict.fromkeys(("ConvLSTM2D",), (2, 3, 8, 8, 4)),
    **dict.fromkeys(("ConvLSTM3D",), (2, 3, 4, 4, 4, 2)),
    **dict.fromkeys(("Conv3D", "Conv3DTranspose"), (2, 4, 4, 4, 2)),
    "STFTSpectrogram": (2, 512, 1),
}


def made(module, name):
    """Return a layer of a class, or None if it is none that can be made and has weights."""
    kind = getattr(module.layers, name)
    if name in ARGUMENTS:
        given = ARGUMENTS[name]
        if given is None or callable(given):
            return given and given(module)
        return kind(**given) if isinstance(given, dict) else kind(*given)
    for given in ((), (3,), (3, 2)):
        try:
            return kind(*given)
        except (ImportError, TypeError, ValueError):  # JaxLayer, FlaxLayer, wrappers
            continue
    return None


def built(module, name):
    """Return a layer of a class with its weights; None if it has none."""
    shapes = [SHAPES[name]] if name in SHAPES else [SEQUENCES, IMAGES]
    for shape in shapes:
        layer = made(module, name)
        if layer is None:
            return None
        x = np.ones(shape, "int32" if shape == WORDS else "float32")
        given = [x]
        if name in ("Attention", "AdditiveAttention"):
            given = [[x, x]]
        elif name.endswith("Attention"):
            given = [x, x]
        try:
            layer(*given)
        except Exception:  # most classes take one of the two shapes
            continue
        return layer if layer.weights else None
    return None


def classes(module):
    """Return the names of the layer classes, without the families that have no weights."""
    return sorted(
        name
        for name, kind in vars(module.layers).items()
        if isinstance(kind, type) and issubclass(kind, module.layers.Layer)
        if not any(
            f".{family}" in kind.__module__
            for family in ("image_preprocessing", "merging", "pooling", "regularization", "reshap")
        )
    )


def assert_it_gets_its_first_weights_back(name, layer):
    # Keras' own start, as far as nothing is drawn.
    first = {one.name: one.variable.numpy() for one in parts(layer)}
    report = reinitialize(layer, seed=1)
    assert report.kept == [], name
    drawn = {one.name: one.variable.numpy() for one in parts(layer)}
    for part in parts(layer):
        if np.ptp(first[part.name]) == 0:
            np.testing.assert_array_equal(drawn[part.name], first[part.name])
        part.variable.assign(np.full(part.shape, 7, first[part.name].dtype))
    reinitialize(layer, seed=1)
    for part in parts(layer):
        assert part.variable.numpy().tobytes() == drawn[part.name].tobytes(), part.name


FORGOTTEN = ["AdditiveAttention", "BatchNormalization", "PReLU"]  # in one Keras or both
ONLY_IN_KERAS_3 = ["GroupQueryAttention", "RMSNormalization", "ReversibleEmbedding"]
ONLY_IN_KERAS_3 += ["STFTSpectrogram", "SpectralNormalization"]  # the latter fails in tf_keras


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *((module, name) for module in INSTALLED for name in FORGOTTEN),
        *((keras, name) for name in ONLY_IN_KERAS_3),
    ],
)
def test_a_layer_that_forgets_its_initializers_gets_its_first_weights_back(module, name):
    assert_it_gets_its_first_weights_back(name, built(module, name))


@both
@nightly
def test_every_layer_of_keras_gets_its_first_weights_back(module):
    layers = {name: built(module, name) for name in classes(module)}
    seen = [name for name, layer in layers.items() if layer is not None]
    for name in seen:
        if not hasattr(layers[name], "adapt"):
            assert_it_gets_its_first_weights_back(name, layers[name])
    # The walk finds them all, and not only what is easy.
    expected = {*FORGOTTEN, "ConvLSTM3D", "LSTM", "MultiHeadAttention", "SeparableConv2D"}
    assert expected | (set(ONLY_IN_KERAS_3) if module is keras else set()) <= set(seen)


def custom(module, initializer="he_normal", **more):
    class Own(module.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(
                shape=(shape[-1], 3), initializer=initializer, name="w", **more
            )
            super().build(shape)

        def call(self, inputs):
            return inputs @ self.w

    return Own


@both
def test_a_custom_layer_gets_its_first_weights_back(module):
    def ramp(shape, dtype=None):
        return np.arange(np.prod(shape), dtype="float32").reshape(shape)

    for initializer in ("he_normal", module.initializers.RandomUniform(0, 2), ramp, None):
        layer = custom(module, initializer)()
        model = module.Sequential([module.Input((4,)), layer])
        model.compile("sgd", "mse")
        reinitialize(model, seed=1)
        first = layer.w.numpy()
        model.fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0)
        assert not np.array_equal(layer.w.numpy(), first)
        report = reinitialize(model, seed=1)
        np.testing.assert_array_equal(layer.w.numpy(), first)
        assert report.kept == []
        reinitialize(model, seed=2)
        assert np.array_equal(layer.w.numpy(), first) == (initializer is ramp)


@both
def test_what_cannot_be_put_back_is_named_in_a_warning(module):
    class Unsaid(custom(module)):
        def __init__(self, function):
            super().__init__()
            self.function = function

    layer = Unsaid(lambda: 3)  # which no configuration holds
    model = module.Sequential([module.Input((4,)), layer, module.layers.Dense(2)])
    before = layer.w.numpy()
    if module is keras:
        layer.get_config = lambda: {}
    for rules in (None, {"*": "own"}, kerasinit.recommend(model)):
        with pytest.warns(UserWarning, match=r"of unsaid/w cannot be restored.*a rule, such as"):
            report = reinitialize(model, rules, seed=1)
        assert report.kept == ["unsaid/w"]
    np.testing.assert_array_equal(layer.w.numpy(), before)
    assert "unsaid/w" in kerasinit.recommend(model).notes[0]
    # With a rule for it, and where nobody asked for it, nothing is said.
    assert reinitialize(model, {"unsaid/w": "HeNormal", "*": "own"}, seed=1).kept == []
    reinitialize(model, {"dense/kernel": "HeNormal"}, seed=1)


def test_a_function_that_draws_without_a_seed_is_named_in_a_warning():
    rng = np.random.default_rng(0)
    layer = keras.layers.Dense(
        3, kernel_initializer=lambda shape, dtype=None: rng.normal(size=shape)
    )
    model = keras.Sequential([keras.Input((4,)), layer])
    with pytest.warns(UserWarning, match="dense/kernel come from functions that draw without"):
        reinitialize(model, seed=1)


def test_a_variable_of_a_model_itself_is_named_in_a_warning():
    class Own(keras.Model):
        def build(self, shape):
            self.factor = self.add_weight(name="factor", shape=())

        def call(self, x):
            return x * self.factor

    model = Own()
    model(np.ones((2, 4)))
    with pytest.warns(UserWarning, match="model/factor"):
        reinitialize(model, seed=1)


@both
def test_what_adapt_found_in_data_stays(module):
    layer = module.layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, size=(64, 4)))
    model = module.Sequential([module.Input((4,)), layer, module.layers.Dense(2)])
    before = [weight.numpy() for weight in layer.weights]
    for rules in (None, kerasinit.recommend(model)):
        report = reinitialize(model, rules, seed=1)
        assert len(report.kept) == len(layer.weights)
    for one, other in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


@both
def test_a_state_that_is_kept_between_calls_begins_again(module):
    if module is keras:
        inputs = module.Input(batch_shape=(2, 3, 4))
    else:
        inputs = module.Input((3, 4), batch_size=2)
    layer = module.layers.Bidirectional(module.layers.LSTM(3, stateful=True))
    model = module.Model(inputs, layer(inputs))
    reinitialize(model, seed=1)
    first = np.asarray(model(np.ones((2, 3, 4), "float32")))
    assert not np.array_equal(np.asarray(model(np.ones((2, 3, 4), "float32"))), first)
    reinitialize(model, seed=1)
    np.testing.assert_array_equal(np.asarray(model(np.ones((2, 3, 4), "float32"))), first)


@both
def test_looking_leaves_the_random_state_of_python_alone(module):
    import random

    model = module.Sequential([module.Input((4,)), custom(module)()])
    random.seed(3)
    expected = random.random()
    random.seed(3)
    assert all(own_initializer(part) is not None for part in parts(model))
    assert random.random() == expected


# --------------------------------------------------------------------------- LoRA


def adapted(layer, *shape, dtype="float32"):
    model = keras.Sequential([keras.Input(shape, dtype=dtype), layer])
    layer.enable_lora(2)
    return model


LORA = {
    "dense": lambda: adapted(keras.layers.Dense(6), 4),
    "einsum_dense": lambda: adapted(keras.layers.EinsumDense("ab,bc->ac", 6), 4),
    "conv1d": lambda: adapted(keras.layers.Conv1D(6, 3), 5, 4),
    "conv2d": lambda: adapted(keras.layers.Conv2D(6, 3), 5, 5, 4),
    "embedding": lambda: adapted(keras.layers.Embedding(9, 6), 5, dtype="int32"),
}


@pytest.mark.parametrize("name", LORA)
def test_factors_of_lora_are_no_kernels_and_go_back_to_their_start(name):
    model = LORA[name]()
    a, b = [part for part in parts(model) if "lora" in part.name]
    for part in (a, b):
        part.variable.assign(np.full(part.shape, 3.0))
    roles = {part.role for part in parts(model)} - {"other", "bias"}
    reinitialize(model, dict.fromkeys(roles, "HeNormal"), seed=1)
    for part in (a, b):
        assert (part.variable.numpy() == 3).all()
    report = reinitialize(model, seed=1)
    assert report.kept == []
    assert not b.variable.numpy().any()
    limit = np.sqrt(6 / np.prod(a.shape[:-1]))  # he_uniform
    assert 0.5 * limit < abs(a.variable.numpy()).max() <= limit
    assert not any("lora" in key for key in kerasinit.compute_fans(model))


def test_recommend_leaves_the_kernel_under_lora_and_lsuv_looks_past_the_factors():
    model = LORA["dense"]()
    found = kerasinit.recommend(model)
    assert found["dense/kernel"].initializer is None
    assert found["dense/lora_kernel_a"].initializer == "own"
    kernel = model.layers[0].kernel.numpy()
    report = reinitialize(model, found, seed=1)
    assert report.kept == ["dense/kernel"]
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)
    model.add(keras.layers.Dense(3))
    x = np.random.default_rng(0).normal(size=(16, 4))
    with pytest.raises(ValueError, match=r"frozen under LoRA.*keep=\['dense'\]"):
        kerasinit.lsuv(model, x)
    kerasinit.lsuv(model, x, keep=["dense"])
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)
    assert kerasinit.diagnose(model, x).ok


def test_factors_of_lora_on_a_quantized_layer_go_back_too():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6)])
    model.layers[0].quantize("int8")
    model.layers[0].enable_lora(2)
    with pytest.warns(UserWarning, match="dense/kernel"):
        report = reinitialize(model, seed=1)
    assert "dense/lora_kernel_b" in report.changed
