"""A portable copy is the same model, and its files load where kerasinit is not installed."""

import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.stats

import kerasinit
from kerasinit import portable, pruning
from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.network.parts import named_variables
from tests.initializers.table import FILES, IMAGES, PLACES, TABLE
from tests.kerases import (
    HAS_TF_KERAS,
    KERASES,
    finds_registered_names,
    has_keras,
    hears_of_axes,
    tf_keras,
)
from tests.products import each_value_once, nightly

FORMS = [
    *[("keras", form) for form in ("model.keras", "model.h5", "json")],
    *[
        ("tf_keras", form)
        for form in ("model.keras", "model.h5", "json", "saved_model")
        if HAS_TF_KERAS
    ],
]
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]
both = pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)


# What draws nothing, and some of each kind of what Keras draws instead: a distribution with a
# name, one without, orthogonal matrices, and constants.
SOME = {case.name for case in TABLE if not case.seeded} | {
    *("ConvOrthogonal", "HeNormal", "Orthogonal", "RandomUniform", "Siren", "VarianceScaling")
}


def initializers(cases):
    """Return an initializer for each layer, by the layer's name."""
    made = {case.name: case.fixed(seed=3) for case in cases}
    made["with_generator"] = kerasinit.HeNormal(seed=keras.random.SeedGenerator(4))
    made["without_seed"] = kerasinit.GlorotUniform()
    made["with_axes"] = kerasinit.VarianceScaling(
        2.0, "fan_avg", "uniform", 3, input_axes=[1], output_axes=(0,)
    )
    if not has_keras("3.16"):  # by which layers find no registered initializer
        made["by_name"] = "kerasinit>LecunNormal"
    return made


def model_of(module, cases):
    """Return a trained model with a layer for every initializer, side by side."""
    images = module.Input(IMAGES)
    kinds = {case.name: case.place for case in TABLE}
    outputs = []
    for name, made in initializers(cases).items():
        place = kinds.get(name, PLACES["matrix"])
        layer = place.layer(module, made, name=name)
        outputs.append(module.layers.Flatten()(layer(place.prepare(module, images))))
    merged = module.layers.Concatenate()(outputs)
    model = module.Model(images, module.layers.Dense(2)(merged))
    # Keras 3.15 cannot read back the words "mse" and "mae" from an .h5 file.
    loss, metric = module.losses.MeanSquaredError(), module.metrics.MeanAbsoluteError()
    # Eagerly: to compile so many layers takes longer than a step of them.
    model.compile(module.optimizers.Adam(0.01), loss, metrics=[metric], run_eagerly=True)
    model.train_on_batch(*batch(IMAGES))
    return model


def exported_of(module):
    """Return a small model for the same images."""
    layers = [
        module.layers.Flatten(),
        module.layers.Dense(2, kernel_initializer=kerasinit.HeNormal()),
    ]
    return module.Sequential([module.Input(IMAGES), *layers])


def batch(shape):
    """Return inputs and targets."""
    inputs = np.linspace(-1, 1, 3 * math.prod(shape), dtype="float32").reshape(3, *shape)
    return inputs, np.ones((3, 2), "float32")


def dense_of(module, initializer, units=4, **arguments):
    """Return a model of one dense layer."""
    layer = module.layers.Dense(units, kernel_initializer=initializer, **arguments)
    return module.Sequential([module.Input((6,)), layer])


def initializer_of(model):
    return model.layers[-1].kernel_initializer


def remade(model):
    """Return a model made from another's JSON, so with new weights."""
    module = KERASES[compat.kerase_of(model)]
    return module.models.model_from_json(model.to_json())


def bits(model):
    return [np.asarray(value).tobytes() for value in model.get_weights()]


@pytest.fixture(scope="module", params=["some", pytest.param("all", marks=nightly)])
def saved(request, tmp_path_factory):
    """Return, for each Kerase, a model, its portable copy, and what another process found.

    And what a small model computes, whose copy is exported.
    """
    cases = [case for case in TABLE if case.name in SOME or request.param == "all"]
    folder = tmp_path_factory.mktemp("saved")
    np.save(folder / "inputs.npy", batch(IMAGES)[0])

    def save(name):
        (path := folder / name).mkdir()
        original = model_of(KERASES[name], cases)
        original.save(path / "original.keras")
        with pytest.warns(UserWarning, match="Keras has no equivalent of"):
            copy = portable(original)
        copy.save(path / "model.keras")
        copy.save(path / "model.h5")
        copy.save_weights(path / "model.weights.h5")
        (path / "model.json").write_text(copy.to_json())
        # A small one: a graph knows no initializers, and takes long to trace.
        small = exported_of(KERASES[name])
        if name == "keras":
            portable(small).export(path / "exported", verbose=False)
        else:
            portable(small).export(str(path / "exported"))
            # The functions of each layer take as long; here it is the classes.
            copy.save(path / "saved_model", save_format="tf", save_traces=False)
        return original, copy, small

    models = {name: save(name) for name in KERASES}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("load_without_kerasinit.py"), folder],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.returncode == 0, run.stderr
    found = json.loads((folder / "found.json").read_text())
    return {
        name: (original, copy, found[name], np.asarray(small(batch(IMAGES)[0])))
        for name, (original, copy, small) in models.items()
    }


@pytest.mark.parametrize("kerase", KERASES)
def test_the_original_does_not_load_without_kerasinit(saved, kerase):
    # Else the tests below would show nothing.
    assert "kerasinit" in saved[kerase][2]["original"]


@pytest.mark.parametrize(("kerase", "form"), FORMS)
def test_the_copys_files_load_without_kerasinit_with_the_same_weights(saved, kerase, form):
    original, _, found, _ = saved[kerase]
    assert [bytes.fromhex(value) for value in found[form]["weights"]] == bits(original)


@pytest.mark.parametrize(("kerase", "form"), [*FORMS, *((name, "exported") for name in KERASES)])
def test_the_copys_files_compute_the_same_without_kerasinit(saved, kerase, form):
    original, _, found, small = saved[kerase]
    expected = small if form == "exported" else np.asarray(original(batch(IMAGES)[0]))
    np.testing.assert_allclose(found[form]["outputs"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kerase", KERASES)
def test_what_draws_nothing_starts_from_the_same_values_without_kerasinit(saved, kerase):
    _, copy, found, _ = saved[kerase]
    anew = [bytes.fromhex(value) for value in found["json, made anew"]["weights"]]
    places = {id(weight): place for place, weight in enumerate(copy.weights)}
    names = ["Constant", "Ones", "Zeros", "STFT" if kerase == "keras" else "Identity"]
    cases = [case for case in TABLE if case.name in names]

    for case in cases:
        variable = case.place.variable(copy.get_layer(case.name))
        values = case.fixed()(case.shape)
        if case.name == "STFT":
            # That of Keras computes in float32, where ours only rounds to it.
            theirs = np.frombuffer(anew[places[id(variable)]], np.float32).reshape(values.shape)
            np.testing.assert_allclose(theirs, values, rtol=0, atol=1e-6)
            continue
        assert anew[places[id(variable)]] == values.tobytes(), case.name


@pytest.mark.parametrize("kerase", KERASES)
def test_the_copy_has_the_same_bits_names_and_compilation(saved, kerase):
    original, copy, _, _ = saved[kerase]

    assert type(copy) is type(original)
    assert copy.name == original.name
    assert [layer.name for layer in copy.layers] == [layer.name for layer in original.layers]
    assert list(named_variables(copy)) == list(named_variables(original))
    assert bits(copy) == bits(original)
    assert type(copy.optimizer) is type(original.optimizer)
    assert [v.numpy().tobytes() for v in optimizers.optimizer_variables(copy)] == [
        v.numpy().tobytes() for v in optimizers.optimizer_variables(original)
    ]
    assert type(copy.loss) is type(original.loss)
    assert copy.evaluate(*batch(IMAGES), verbose=0) == original.evaluate(*batch(IMAGES), verbose=0)


def small_of(module):
    """Return a trained model of two layers."""
    model = dense_of(module, kerasinit.HeNormal(negative_slope=0.5), units=2)
    model.compile(module.optimizers.Adam(0.01), "mse")
    model.train_on_batch(*batch((6,)))
    return model


@both
def test_the_copy_goes_on_as_the_original_does(module):
    original = small_of(module)
    copy = portable(original)
    for _ in range(3):
        original.train_on_batch(*batch((6,)))
    assert bits(copy) != bits(original)
    for _ in range(3):
        copy.train_on_batch(*batch((6,)))
    assert bits(copy) == bits(original)


@both
def test_the_original_is_not_changed(module):
    original = small_of(module)
    before = bits(original), original.to_json()
    portable(original).set_weights([np.zeros_like(w) for w in original.get_weights()])
    assert (bits(original), original.to_json()) == before


def test_a_saved_model_with_its_functions_knows_none_of_our_classes(tmp_path):
    original = dense_of(tf_keras, kerasinit.HeNormal())
    for name, model in (("original", original), ("copy", portable(original))):
        model.save(tmp_path / name, save_format="tf")
        files = [path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()]
        assert any(b"kerasinit" in content for content in files) == (name == "original")


@both
def test_a_model_that_is_not_compiled_is_not_compiled_after(module):
    copy = portable(dense_of(module, kerasinit.HeNormal()))
    assert not compat.is_compiled(copy)


@each_value_once(module=list(KERASES.values()), case=TABLE)
def test_no_class_of_ours_is_left_and_every_class_is_known(module, case):
    images = module.Input(IMAGES)
    layer = case.place.layer(module, case.fixed())
    model = module.Model(images, layer(case.place.prepare(module, images)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Keras has no equivalent of", UserWarning)
        copy = portable(model)

    assert "kerasinit" in model.to_json()
    assert "kerasinit" not in copy.to_json()
    assert bits(copy) == bits(model)


DISTRIBUTIONS = [
    kerasinit.GlorotNormal(seed=1),
    kerasinit.GlorotUniform(seed=1),
    kerasinit.HeNormal(seed=1),
    kerasinit.HeNormal(seed=1, negative_slope=0.5),
    kerasinit.HeUniform(seed=1, negative_slope=0.5),
    kerasinit.LecunNormal(seed=1),
    kerasinit.LecunUniform(seed=1),
    kerasinit.RandomNormal(0.5, 0.25, seed=1),
    kerasinit.RandomUniform(-0.5, 0.25, seed=1),
    kerasinit.TruncatedNormal(0.5, 0.25, seed=1),
    kerasinit.VarianceScaling(3.0, "fan_out", "untruncated_normal", seed=1),
    kerasinit.GlorotNormal(seed=1, nonlinearity="tanh", gain=0.5),
    kerasinit.AlexNet(seed=1),
]


WITH_AXES = [
    kerasinit.VarianceScaling(3.0, "fan_avg", "uniform", 1, input_axes=[1], output_axes=[0]),
    kerasinit.HeNormal(1, [0, 1], [], negative_slope=0.5),
]


@pytest.mark.parametrize(
    ("module", "made"),
    [
        *[(module, made) for module in KERASES.values() for made in DISTRIBUTIONS],
        *[pytest.param(keras, made, marks=hears_of_axes) for made in WITH_AXES],
    ],
)
def test_what_keras_makes_instead_has_the_same_distribution(module, made):
    layer = module.layers.Dense(300, kernel_initializer=made)
    model = module.Sequential([module.Input((200,)), layer])
    instead = initializer_of(portable(model))
    theirs, ours = np.asarray(instead((200, 300))), made((200, 300))

    assert type(instead).__module__.startswith(module.__name__)
    assert type(instead).__name__ != "Constant"
    assert scipy.stats.ks_2samp(theirs.ravel(), ours.ravel()).pvalue > 1e-3
    # Within five standard errors, of which that of a variance is at most sqrt(2 / n) of it.
    assert theirs.var() == pytest.approx(ours.var(), rel=2 * 5 * math.sqrt(2 / theirs.size))


@pytest.mark.parametrize("module", [tf_keras, *([] if has_keras("3.15") else [keras])])
@pytest.mark.parametrize("made", WITH_AXES)
def test_where_keras_takes_no_axes_its_default_stands_there_and_is_named(module, made):
    with pytest.warns(UserWarning, match="Keras has no equivalent of"):
        copy = portable(dense_of(module, made))
    assert type(initializer_of(copy)) is module.initializers.GlorotUniform


@both
def test_what_keras_makes_instead_has_the_same_name_where_there_is_one(module):
    for made, name, config in (
        (kerasinit.HeNormal(seed=7), "HeNormal", {"seed": 7}),
        (kerasinit.GlorotNormal(), "GlorotNormal", {"seed": None}),
        (kerasinit.HeUniform(negative_slope=1), "VarianceScaling", {"scale": 1.0}),
        (kerasinit.Orthogonal(0.5, seed=7), "Orthogonal", {"gain": 0.5, "seed": 7}),
        (kerasinit.Constant(0.5), "Constant", {"value": 0.5}),
        (kerasinit.Zeros(), "Zeros", {}),
    ):
        instead = initializer_of(portable(dense_of(module, made)))
        assert type(instead) is getattr(module.initializers, name)
        assert config.items() <= instead.get_config().items()


@both
@pytest.mark.parametrize(("seed", "theirs"), [(5, 5), (2**31 + 5, 5), (2**70 + 5, 5), (None, None)])
def test_a_seed_is_one_that_keras_can_take(module, seed, theirs):
    instead = initializer_of(portable(dense_of(module, kerasinit.HeNormal(seed=seed))))
    assert instead.get_config()["seed"] == theirs


@pytest.mark.parametrize("module", [pytest.param(keras, marks=finds_registered_names), tf_keras])
def test_a_name_that_a_custom_layer_keeps_is_replaced_too(module):
    class Own(module.layers.Layer):
        """A layer whose configuration holds an initializer as it was given, by its name."""

        def __init__(self, first="kerasinit>HeNormal", **options):
            super().__init__(**options)
            self.first = first

        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], 3), initializer=self.first, name="w")

        def call(self, x):
            return x @ self.w

        def get_config(self):
            return {**super().get_config(), "first": self.first}

    model = module.Sequential([module.Input((6,)), Own()])
    assert '"kerasinit>HeNormal"' in model.to_json()
    with module.saving.custom_object_scope({"Own": Own}):
        copy = portable(model)
        assert "kerasinit" not in copy.to_json()
        assert bits(copy) == bits(model)
        assert bits(remade(copy)) != bits(model)  # drawn, from what Keras makes of it


@both
@pytest.mark.parametrize("shared", ["initializer", "generator"])
def test_two_layers_do_not_start_alike_because_they_shared_something(module, shared):
    if shared == "initializer":
        first = second = kerasinit.HeNormal()
    else:
        generator = keras.random.SeedGenerator(1)
        first, second = kerasinit.HeNormal(generator), kerasinit.HeNormal(generator)
    layers = [module.layers.Dense(6, kernel_initializer=made) for made in (first, second)]
    copy = remade(portable(module.Sequential([module.Input((6,)), *layers])))

    one, other = (layer.kernel.numpy() for layer in copy.layers[-2:])
    assert not np.array_equal(one, other)


@both
def test_layers_with_parts_of_their_own_are_rewritten_too(module):
    layers, made = module.layers, kerasinit.HeUniform(seed=1, negative_slope=0.5)
    turned = kerasinit.HeNormal(seed=1)
    steps = module.Input((4, 6))
    inner = module.Sequential(
        [module.Input((4, 6)), layers.Dense(6, kernel_initializer=made), layers.Dropout(0.5)]
    )
    values = inner(layers.MultiHeadAttention(2, 3, kernel_initializer=made)(steps, steps))
    cells = [
        layers.LSTMCell(3, kernel_initializer=made),
        layers.GRUCell(3, recurrent_initializer=turned),
    ]
    outputs = [
        layers.Bidirectional(layers.LSTM(3, kernel_initializer=turned))(values),
        layers.Flatten()(layers.TimeDistributed(layers.Dense(3, kernel_initializer=made))(values)),
        layers.RNN(cells)(values),
        layers.Flatten()(
            layers.EinsumDense("abc,cd->abd", (4, 3), kernel_initializer=made)(values)
        ),
    ]
    model = module.Model(steps, layers.Concatenate()(outputs))
    copy = portable(model)
    inputs = batch((4, 6))[0]

    assert "kerasinit" not in copy.to_json()
    assert bits(copy) == bits(model)
    np.testing.assert_array_equal(np.asarray(copy(inputs)), np.asarray(model(inputs)))


@hears_of_axes
def test_a_layer_of_keras_3_that_knows_its_axes_tells_what_stands_there_instead():
    made = kerasinit.HeNormal(seed=1, negative_slope=1.0)
    steps = keras.Input((4, 64))
    layer = keras.layers.MultiHeadAttention(8, 32, kernel_initializer=made)
    copy = remade(portable(keras.Model(steps, layer(steps, steps))))

    # Query, key and value sum over 64 inputs, the output over 8 heads of 32.
    for kernel, fan_in in zip(copy.get_weights()[::2], (64, 64, 64, 256), strict=True):
        assert kernel.var() * fan_in == pytest.approx(1, rel=5 * math.sqrt(2 / kernel.size))


@both
def test_a_layer_that_stands_in_several_places_is_one_in_the_copy(module):
    shared = module.layers.Dense(6, kernel_initializer=kerasinit.HeNormal())
    inner = module.Sequential([module.Input((6,)), shared])
    inputs = module.Input((6,))
    model = module.Model(inputs, inner(inner(inputs)))
    copy = portable(model)

    assert len(copy.weights) == len(model.weights) == 2
    values = batch((6,))[0]
    np.testing.assert_array_equal(np.asarray(copy(values)), np.asarray(model(values)))
    # Keras saves two layers if it is in two models.
    with pytest.raises(ValueError, match=rf"{shared.name!r} is shared by several models"):
        portable(module.Model(inputs, shared(inner(inputs))))


@both
def test_the_random_state_of_dropout_goes_on(module):
    layers = [
        module.layers.Dense(9, kernel_initializer=kerasinit.HeNormal()),
        module.layers.Dropout(0.5, seed=1),
    ]
    model = module.Sequential([module.Input((6,)), *layers])
    inputs = batch((6,))[0]
    model(inputs, training=True)
    copy = portable(model)
    if module is keras:
        after = np.asarray(copy(inputs, training=True))
        np.testing.assert_array_equal(after, np.asarray(model(inputs, training=True)))
    else:
        assert bits(copy) == bits(model)


@both
def test_a_vocabulary_is_kept(module):
    lookup = module.layers.StringLookup(output_mode="int")
    lookup.adapt(np.array(["a", "b", "b", "c"]))
    words = module.Input((1,), dtype="string")
    embedding = module.layers.Embedding(9, 3, embeddings_initializer=kerasinit.RandomNormal())
    model = module.Model(words, embedding(lookup(words)))
    if module is tf_keras and sys.version_info >= (3, 12):
        with pytest.raises(ValueError, match=r"tf_keras cannot load its own .* vocabulary"):
            portable(model)
        return
    copy = portable(model)
    inputs = np.array([["c"], ["b"], ["none"]])

    found = [layer for layer in copy.layers if hasattr(layer, "get_vocabulary")]
    assert found[0].get_vocabulary() == lookup.get_vocabulary()
    if module is tf_keras:
        np.testing.assert_array_equal(copy(inputs), model(inputs))


def test_a_trained_copy_is_frozen_where_the_model_is():
    model = dense_of(keras, kerasinit.HeNormal())
    model.layers[-1].trainable = False
    assert portable(model).trainable_weights == []


@both
def test_a_model_of_a_class_of_its_own_is_refused(module):
    class Own(module.Model):
        def __init__(self):
            super().__init__()
            self.dense = module.layers.Dense(3, kernel_initializer=kerasinit.HeNormal())

        def call(self, x):
            return self.dense(x)

    own = Own()
    own(np.ones((1, 6)))
    with pytest.raises(TypeError, match=r"is of the class .*Own.*save_weights"):
        portable(own)
    inputs = module.Input((6,))
    with pytest.raises(TypeError, match=r"is of the class .*Own"):
        portable(module.Model(inputs, own(inputs)))


def test_a_class_of_your_own_that_extends_ours_is_refused():
    @keras.saving.register_keras_serializable("test_portable")
    class Doubled(kerasinit.HeNormal):
        def _values(self, shape, dtype):
            return 2 * super()._values(shape, dtype)

    with pytest.raises(TypeError, match=r"equivalent in Keras portable does not know"):
        portable(dense_of(keras, Doubled()))


def test_a_layer_that_makes_ours_in_its_own_code_is_refused():
    @keras.saving.register_keras_serializable("test_portable")
    class Stubborn(keras.layers.Dense):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **{**more, "kernel_initializer": kerasinit.HeNormal()})

    model = keras.Sequential([keras.Input((6,)), Stubborn(3, name="stubborn")])
    with pytest.raises(TypeError, match=r"'stubborn' creates HeNormal\(\) in its own code"):
        portable(model)


def test_what_cannot_be_saved_whole_is_refused():
    with pytest.raises(TypeError, match="Expected a model; got the layer"):
        portable(keras.layers.Dense(3))
    with pytest.raises(TypeError, match="Expected a model or layer"):
        portable("model.keras")
    for module in KERASES.values():
        with pytest.raises(ValueError, match="is not built"):
            portable(module.Sequential([module.layers.Dense(3)]))
    with pytest.raises(TypeError, match="mixed_bfloat16"):
        portable(dense_of(tf_keras, kerasinit.HeNormal(), dtype="bfloat16"))
    model = pruning.prune_low_magnitude(dense_of(tf_keras, kerasinit.HeNormal()))
    with pytest.raises(TypeError, match=r"strip_pruning\(model\)"):
        portable(model)
    assert "kerasinit" not in portable(pruning.strip_pruning(model)).to_json()
    model = dense_of(tf_keras, kerasinit.HeNormal())
    model.compile(tf_keras.optimizers.legacy.Adam(), "mse")
    with pytest.raises(TypeError, match=r"Compile with tf_keras\.optimizers\.Adam"):
        portable(model)


WITHOUT_EQUAL = [
    kerasinit.CentredNormal(seed=1),
    kerasinit.FromModel(FILES / "model-0.1.keras", "dense/kernel"),
    kerasinit.LecunUniform(seed=1, fans=(40, 3)),
    kerasinit.Sparse(2, seed=1),
    kerasinit.VarianceScaling(3.0, "fan_geo", "uniform", seed=1),
]


@both
def test_what_keras_has_no_equal_of_is_named_and_made_anew_by_its_default(module):
    layers = [
        module.layers.Dense(4, kernel_initializer=made, bias_initializer=kerasinit.ForgetBias(1))
        for made in WITHOUT_EQUAL
    ]
    model = module.Sequential([module.Input((4,)), *layers])
    with pytest.warns(UserWarning, match="Keras has no equivalent of") as told:
        copy = portable(model)

    said = " ".join(str(one.message) for one in told)
    assert bits(copy) == bits(model)
    for made, layer in zip(WITHOUT_EQUAL, layers, strict=True):
        assert f"{made!r} of {layer.name!r}" in said
    for layer in copy.layers[-len(layers) :]:
        assert type(layer.kernel_initializer) is module.initializers.GlorotUniform
        assert type(layer.bias_initializer) is module.initializers.Zeros


def test_orthogonal_is_kept_in_the_dtypes_that_keras_can_make_it_in():
    for dtype, name in (("float32", "Orthogonal"), ("mixed_bfloat16", "Orthogonal")):
        copy = portable(dense_of(keras, kerasinit.Orthogonal(seed=1), dtype=dtype))
        assert type(initializer_of(copy)).__name__ == name
    with pytest.warns(UserWarning, match=r"no equivalent of Orthogonal\(seed=1\)"):
        copy = portable(dense_of(keras, kerasinit.Orthogonal(seed=1), dtype="bfloat16"))
    assert type(initializer_of(copy)) is keras.initializers.GlorotUniform


@both
def test_a_source_that_is_gone_does_not_keep_a_model_from_being_copied(module, tmp_path):
    path = tmp_path / "source.keras"
    path.write_bytes((FILES / "model-0.1.keras").read_bytes())
    layer = module.layers.Dense(4, kernel_initializer=kerasinit.FromModel(path, "dense/kernel"))
    model = module.Sequential([module.Input((4,)), layer])
    path.unlink()
    with pytest.warns(UserWarning, match="no equivalent of FromModel"):
        copy = portable(model)

    assert bits(copy) == bits(model)
    assert bits(remade(copy)) != bits(model)
