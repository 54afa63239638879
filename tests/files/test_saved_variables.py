"""A variable is found in every kind of file, and never taken for another."""

import contextlib
import io
import os
import pickle
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasinit._src import compat
from kerasinit._src.files import keras_archives
from kerasinit._src.files.keras_variables import read_variable, variables_in
from kerasinit._src.network.parts import named_variables
from tests.kerases import HAS_TF_KERAS, KERASES, needs_tf_keras

FORMS = [
    *[("keras", form) for form in ("m.keras", "m.h5", "m.weights.h5", "exported")],
    *[
        ("tf_keras", form)
        for form in ("m.keras", "m.h5", "m.weights.h5", "saved", "exported", "legacy_weights.h5")
        if HAS_TF_KERAS
    ],
]
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


def model_of(module):
    """Return a model of many layers, some of them named as in a later build of a program."""
    layers = module.layers
    flat, steps = module.Input((6,)), module.Input((4, 3))
    images = layers.Reshape((4, 3, 1))(steps)
    inner = module.Sequential(
        [module.Input((6,)), layers.Dense(5, name="dense_1"), layers.Dense(4, name="own")],
        name="sequential",
    )
    outputs = [
        layers.BatchNormalization(scale=False)(inner(flat)),
        layers.LayerNormalization()(layers.Dense(4, use_bias=False, name="dense_2")(flat)),
        layers.Bidirectional(layers.LSTM(2))(steps),
        layers.TimeDistributed(layers.Dense(2, name="part"))(steps),
        layers.GRU(3)(layers.MultiHeadAttention(2, 2)(steps, steps)),
        layers.SeparableConv2D(2, 2)(layers.Conv2D(3, 2, padding="same")(images)),
        layers.DepthwiseConv2D(2)(images),
        layers.EinsumDense("ab,bc->ac", 3)(flat),
        layers.RNN([layers.LSTMCell(2), layers.GRUCell(2)])(steps),
        layers.Dense(2, name="head")(flat),
        layers.PReLU()(flat),
    ]
    merged = layers.Concatenate()([layers.Flatten()(output) for output in outputs])
    model = module.Model([flat, steps], layers.Dense(1, name="dense_3")(merged))
    # With variables of the optimizer, which are not to be taken for the model's.
    model.compile(module.optimizers.SGD(momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    for variable in named_variables(model).values():
        if "seed" not in variable.name:
            compat.assign(variable, rng.standard_normal(variable.shape).astype("float32"))
    return model


def weights_of(model):
    """Return the values of a model's variables by structural name, without random state."""
    return {
        name: compat.read(variable)
        for name, variable in named_variables(model).items()
        if "seed_generator" not in name
    }


def small_model_of(module):
    layers = module.layers
    inner = module.Sequential([module.Input((6,)), layers.Dense(5), layers.BatchNormalization()])
    model = module.Sequential([module.Input((6,)), inner, layers.Dense(2, name="head")])
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(np.ones((4, 6)), np.ones((4, 2)))
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a model and where it is saved, by Keras and form."""
    found = {}
    for kerase, module in KERASES.items():
        folder, model = tmp_path_factory.mktemp(kerase), model_of(module)
        for form in ("m.keras", "m.h5"):
            model.save(folder / form)
        model.save_weights(folder / "m.weights.h5")
        # These trace every function of every layer, which takes long.
        small = small_model_of(module)
        if module is keras:
            small.export(folder / "exported", verbose=False)
        else:
            model.save_weights(folder / "legacy_weights.h5", save_format="h5")
            small.export(str(folder / "exported"))
            small.save(folder / "saved", save_format="tf")
        for path in folder.iterdir():
            found[kerase, path.name] = small if path.is_dir() else model, path
    return found


@pytest.mark.parametrize("pair", FORMS)
def test_every_variable_of_the_model_is_listed_once_and_read_bit_for_bit(saved, pair):
    model, path = saved[pair]
    expected = sorted(value.tobytes() for value in weights_of(model).values())
    listed = variables_in(path)
    values = {name: read_variable(path, name) for name in listed if "seed_generator" not in name}

    assert sorted(value.tobytes() for value in values.values()) == expected
    assert {name: value.shape for name, value in values.items()} == {
        name: shape for name, shape in listed.items() if name in values
    }


@pytest.mark.parametrize("pair", [pair for pair in FORMS if pair[1] in ("m.keras", "m.h5")])
def test_a_structural_name_is_that_variable_or_is_refused(saved, pair):
    model, path = saved[pair]
    refused = set()
    for name, expected in weights_of(model).items():
        try:
            found = read_variable(path, name)
        except ValueError:
            refused.add(name)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=name)

    # No file names the cells of a list.
    layers = {"rnn/lstm_cell", "rnn/gru_cell"}
    attention = {
        f"multi_head_attention/{part}" for part in ("key", "query", "value", "attention_output")
    }
    found = {name.rpartition("/")[0] for name in refused}
    if pair[1] == "m.keras":
        # Nor does this one name the parts of attention.
        layers |= attention
    else:
        # This names parts by what the program called them. And what the structure calls dense_1
        # is another layer than the one that was called so. Attention answers where the program
        # gave it the name that it has by the structure, as in its first build.
        layers |= {"bidirectional/forward", "bidirectional/backward"}
        layers |= {"dense_1", "dense_2", "sequential/dense_1"}
        found -= attention
    assert found == layers


@pytest.mark.parametrize("pair", [pair for pair in FORMS if pair[1] == "m.keras"])
def test_the_names_of_the_first_tickets_are_still_read(saved, pair):
    model, path = saved[pair]
    names = weights_of(model)
    for way, old in (("forward", "kernel"), ("backward", "kernel_1")):
        found = read_variable(path, f"bidirectional/{old}")
        np.testing.assert_array_equal(found, names[f"bidirectional/{way}/kernel"])


@pytest.mark.parametrize("pair", FORMS)
def test_a_layer_answers_to_the_name_that_a_person_gave_it(saved, pair):
    model, path = saved[pair]
    kernel = model.get_layer("head").kernel.numpy()
    if pair[1] == "m.weights.h5":
        with pytest.raises(ValueError, match="Unknown variable"):
            read_variable(path, "head/kernel")
    else:
        np.testing.assert_array_equal(read_variable(path, "head/kernel"), kernel)


@needs_tf_keras
@pytest.mark.parametrize("form", ["m.h5", "legacy_weights.h5"])
def test_a_variable_answers_to_its_name_in_the_program(saved, form):
    model, path = saved["tf_keras", form]
    kernel = model.get_layer("head").kernel
    for name in (kernel.name, f"head/{kernel.name}"):
        assert name.endswith("head/kernel:0")
        np.testing.assert_array_equal(read_variable(path, name), kernel.numpy())


@needs_tf_keras
def test_a_name_to_which_several_answer_is_refused_with_their_names(saved):
    _, path = saved["tf_keras", "m.h5"]
    with pytest.raises(ValueError, match=r"'kernel' matches several.*head/kernel:0 \(6, 2\)"):
        read_variable(path, "kernel")


def test_an_unknown_name_gets_the_nearest_and_the_list_with_shapes(saved):
    _, path = saved["keras", "m.keras"]
    message = r"Did you mean 'layers/conv2d/vars/0'\?.*layers/conv2d/vars/0 \(2, 2, 1, 3\)"
    with pytest.raises(ValueError, match=message):
        read_variable(path, "layers/conv2/vars/0")


LAYERS = {
    "dense": lambda layers: layers.Dense(3),
    "plain": lambda layers: layers.Dense(3, use_bias=False),
    "named": lambda layers: layers.Dense(3, name=f"given_{next(GIVEN)}"),
    "norm": lambda layers: layers.BatchNormalization(center=False),
    "einsum": lambda layers: layers.EinsumDense("ab,bc->ac", 3, bias_axes="c"),
}
GIVEN = iter(range(10**6))
KINDS = st.sampled_from(sorted(LAYERS))


@pytest.mark.parametrize("kerase", KERASES)
@settings(max_examples=6)
@given(kinds=st.lists(KINDS | st.lists(KINDS, min_size=1, max_size=3), min_size=1, max_size=5))
def test_every_structural_name_of_plain_layers_is_found(tmp_path_factory, kerase, kinds):
    module = KERASES[kerase]

    def stack(kinds):
        made = [stack(k) if isinstance(k, list) else LAYERS[k](module.layers) for k in kinds]
        return module.Sequential([module.Input((3,)), *made])

    model = stack(kinds)
    rng = np.random.default_rng(0)
    model.set_weights([rng.standard_normal(w.shape) for w in model.get_weights()])
    folder = tmp_path_factory.mktemp("stack")
    for form in ("m.keras", "m.h5"):
        model.save(folder / form)
    for name, expected in weights_of(model).items():
        found = read_variable(folder / "m.keras", name)
        np.testing.assert_array_equal(found, expected, err_msg=name)
        # Here the layer's name in the program may be in the way.
        with contextlib.suppress(ValueError):
            found = read_variable(folder / "m.h5", name)
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize("kerase", KERASES)
def test_an_h5_file_tells_the_layers_of_a_nested_model_apart(tmp_path, kerase):
    module = KERASES[kerase]
    inner = [module.layers.Dense(3, name="first"), module.layers.Dense(3, name="second")]
    nested = module.Sequential([module.Input((3,)), *inner])
    model = module.Sequential([module.Input((3,)), nested, module.layers.Dense(3, name="last")])
    model.save(tmp_path / "m.h5")

    assert len(weights_of(model)) == 6
    for name, expected in weights_of(model).items():
        np.testing.assert_array_equal(read_variable(tmp_path / "m.h5", name), expected, name)


def test_a_layer_that_two_models_share_gets_no_structural_name(tmp_path):
    shared = keras.layers.Dense(3)
    inner = keras.Sequential([keras.Input((3,)), shared])
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(3)(shared(inner(inputs)))
    keras.Model(inputs, outputs).save(tmp_path / "m.keras")

    assert len(variables_in(tmp_path / "m.keras")) == 4
    # `dense_1` is the second of the model, but the first that the file keeps there.
    for name in ("dense/kernel", "dense_1/kernel", "sequential/dense/kernel"):
        with pytest.raises(ValueError, match="Unknown variable"):
            read_variable(tmp_path / "m.keras", name)


def test_somebodys_own_dense_is_not_taken_for_keras_own(tmp_path):
    @keras.saving.register_keras_serializable("test_saved_variables")
    class Dense(keras.layers.Layer):
        def build(self, shape):
            self.bias = self.add_weight(shape=(shape[-1],), name="bias")
            self.kernel = self.add_weight(shape=(shape[-1], 2), name="kernel")

        def call(self, x):
            return x @ self.kernel

    model = keras.Sequential([keras.Input((3,)), Dense(), keras.layers.Dense(4)])
    model.save(tmp_path / "m.keras")

    with pytest.raises(ValueError, match="Unknown variable"):
        read_variable(tmp_path / "m.keras", "dense/kernel")
    found = read_variable(tmp_path / "m.keras", "dense_1/kernel")
    np.testing.assert_array_equal(found, model.layers[-1].kernel.numpy())


@pytest.mark.parametrize(("kerase", "form"), FORMS)
def test_bfloat16_comes_as_bfloat16(tmp_path, kerase, form):
    module = KERASES[kerase]
    layer = module.layers.Dense(3, dtype="bfloat16", name="head")
    model = module.Sequential([module.Input((2,), dtype="bfloat16"), layer])
    if form == "exported":
        model.export(str(tmp_path / form), **({"verbose": False} if module is keras else {}))
    elif form == "saved":
        model.save(tmp_path / form, save_format="tf")
    elif "weights" in form:
        model.save_weights(tmp_path / form)
    else:
        model.save(tmp_path / form)
    (name,) = (name for name, shape in variables_in(tmp_path / form).items() if shape == (2, 3))
    values = read_variable(tmp_path / form, name)

    assert values.dtype.name == "bfloat16"
    np.testing.assert_array_equal(values, np.asarray(layer.kernel))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int32", "bool"])
def test_safetensors_are_read_in_their_dtypes(tmp_path, dtype):
    value = np.arange(6).reshape(2, 3).astype(tf.as_dtype(dtype).as_numpy_dtype)
    safetensors.numpy.save_file({"a.weight": value}, tmp_path / "f.safetensors")

    assert variables_in(tmp_path / "f.safetensors") == {"a.weight": (2, 3)}
    found = read_variable(tmp_path / "f.safetensors", "a.weight")
    assert found.dtype == value.dtype
    np.testing.assert_array_equal(found, value)


def test_numbers_of_another_byte_order_come_in_this_machines(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["a"] = np.arange(3, dtype=">f4")
    found = read_variable(tmp_path / "f.h5", "a")

    assert found.dtype.str == np.dtype("float32").str
    assert found.tolist() == [0, 1, 2]


def external_link(file, folder):
    file["a"] = h5py.ExternalLink(str(folder / "secret.h5"), "a")


def soft_link(file, folder):
    file["b"] = np.ones(3)
    file["a"] = h5py.SoftLink("/b")


def virtual(file, folder):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "a", (3,))
    file.create_virtual_dataset("a", layout)


def external_storage(file, folder):
    file.create_dataset("a", (3,), "f4", external=[(str(folder / "secret.h5"), 0, 12)])


@pytest.mark.parametrize("trick", [external_link, soft_link, virtual, external_storage])
def test_a_file_that_points_out_of_itself_is_refused(tmp_path, trick):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["a"] = np.ones(3, "float32")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        trick(file, tmp_path)
    content = (tmp_path / "f.h5").read_bytes()
    with zipfile.ZipFile(tmp_path / "f.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", content)

    for name in ("f.h5", "f.keras"):
        with pytest.raises(ValueError, match=r"external or soft link|in another file"):
            read_variable(tmp_path / name, "a")
        with pytest.raises(ValueError, match=r"external or soft link|in another file"):
            variables_in(tmp_path / name)


def test_a_group_within_itself_is_refused(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_group("a")["b"] = file.create_group("c")
        file["c/d"] = file["a"]
    with pytest.raises(ValueError, match="contains itself"):
        variables_in(tmp_path / "f.h5")


@pytest.mark.parametrize("value", ["words", np.array([1j]), np.zeros(2, [("x", "f4")])], ids=str)
def test_what_is_no_real_number_is_refused(tmp_path, value):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["a"] = value
    with pytest.raises(ValueError, match="expected real numbers"):
        read_variable(tmp_path / "f.h5", "a")


def test_a_dataset_that_claims_more_than_it_has_is_refused(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("a", (2**20, 2**20), "f4", chunks=(1024, 1024), compression="gzip")
    with pytest.raises(ValueError, match="declares 4398046511104 bytes, but has 0"):
        read_variable(tmp_path / "f.h5", "a")


def test_a_member_that_claims_more_than_it_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_archives, "LARGE", 2**20)
    with zipfile.ZipFile(tmp_path / "f.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(2**21))
    with pytest.raises(ValueError, match="declares 2097152 bytes"):
        variables_in(tmp_path / "f.keras")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(tmp_path):
    (tmp_path / "pickle").write_bytes(pickle.dumps(Bomb(tmp_path / "made")))
    with zipfile.ZipFile(tmp_path / "torch", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(tmp_path / "made")))
    np.save(tmp_path / "array.npy", np.array([Bomb(tmp_path / "made")]), allow_pickle=True)

    for name, message in (
        ("pickle", "not a safetensors file"),
        ("torch", "not a Keras model"),
        ("array.npy", "not a safetensors file"),
    ):
        with pytest.raises(ValueError, match=message):
            variables_in(tmp_path / name)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("form", ["m.keras", "m.h5", "m.safetensors"])
def test_a_damaged_file_is_refused_wherever_it_is_cut(tmp_path, form):
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(30)])
    if form == "m.safetensors":
        safetensors.numpy.save_file({"layers/dense/vars/0": np.ones((9, 9))}, tmp_path / form)
    else:
        model.save(tmp_path / form)
    content = (tmp_path / form).read_bytes()
    whole = variables_in(tmp_path / form)
    for part in (0, 2, 9, 100, len(content) // 2, len(content) - 30):
        (tmp_path / "cut").write_bytes(content[:part])
        with pytest.raises(ValueError, match="cut"):
            read_variable(tmp_path / "cut", next(iter(whole)))


def test_a_keras_file_whose_bytes_were_changed_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(30)])
    model.save(tmp_path / "m.keras")
    content = bytearray((tmp_path / "m.keras").read_bytes())
    kernel = content.find(model.layers[0].kernel.numpy().tobytes())
    content[kernel] ^= 1
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ValueError, match="Bad CRC-32"):
        read_variable(tmp_path / "m.keras", "dense/kernel")


@pytest.mark.parametrize("config", ["[]", "{}", '{"class_name": "Sequential"}', "7", "[" * 10**5])
def test_a_configuration_of_another_kind_gives_no_names(tmp_path, config):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"] = np.ones(3)
    with zipfile.ZipFile(tmp_path / "f.keras", "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", buffer.getvalue())
    deep = len(config) > 1000
    message = "nested more than 500 levels deep" if deep else re.escape("layers/dense/vars/0 (3,)")
    with pytest.raises(ValueError, match=message):
        read_variable(tmp_path / "f.keras", "dense/kernel")


def test_a_folder_without_a_model_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not a SavedModel"):
        variables_in(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing"):
        variables_in(tmp_path / "missing.keras")
