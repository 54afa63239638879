"""What is promised of exported files: checked against the model, or refused in words."""

import json
import sys

import keras
import numpy as np
import pytest

from kerasinit._src.shrinking import formats, runners
from kerasinit._src.shrinking.exporting import export
from tests.kerases import INSTALLED, tf_keras
from tests.products import each_value_once

X = np.random.default_rng(0).normal(size=(80, 6, 6, 2)).astype("float32")
FILES = {
    "model.keras": {},
    "saved": {},
    "model.tflite": {},
    "half.tflite": {"quantize": "float16"},
    "dynamic.tflite": {"quantize": "dynamic"},
    "int8.tflite": {"quantize": "int8", "representative_data": X},
    "sparse.tflite": {"sparse": True},
}


def network(library=keras):
    """Return a small network of convolutions that has been trained for a step."""
    layers = library.layers
    library.utils.set_random_seed(1)
    start = keras.Input((6, 6, 2)) if library is keras else layers.InputLayer((6, 6, 2))
    model = library.Sequential(
        [
            start,
            layers.Conv2D(8, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(32, "relu"),
            layers.Dense(4),
        ],
        name="network",
    )
    model.compile("adam", "mse")
    model.fit(X, np.zeros((80, 4)), verbose=0)
    return model


@pytest.fixture(scope="module")
def networks():
    return {library.__name__: network(library) for library in INSTALLED}


def litert_outputs(path, x):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert entry["dtype"] == end["dtype"] == np.float32
    interpreter.resize_tensor_input(entry["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(end["index"])


@each_value_once(name=list(FILES), library=["keras", "tf_keras"])
def test_a_file_is_written_and_differs_as_little_as_it_says(networks, tmp_path, name, library):
    model, path = networks.get(library) or tf_keras.Model(), tmp_path / name

    found = export(model, path, check_data=X, **FILES[name])

    expected = model(X[:64], training=False).numpy()
    if name.endswith(".tflite"):
        got = litert_outputs(path, X[:64])
    elif name == "saved":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        got = loaded.serve(X[:64]).numpy()
    else:
        loader = {"keras": keras, "tf_keras": tf_keras}[library]
        loaded = loader.models.load_model(path)
        assert not getattr(loaded, "optimizer", None)
        got = loaded(X[:64], training=False).numpy()
    difference = np.abs(got - expected).max()
    assert found.difference == pytest.approx(difference, rel=0.01, abs=1e-6)
    assert found.relative == pytest.approx(found.difference / np.abs(expected).max())
    assert found.relative < (0.1 if "quantize" in FILES[name] else 1e-5)
    assert found.examples == 64
    assert not found.not_checked
    size = path.stat().st_size if path.is_file() else None
    assert size in (None, found.bytes)
    assert found.gzipped < found.bytes


@pytest.mark.nightly
def test_quantized_files_are_smaller_and_differ(networks, tmp_path):
    found = {
        name: export(networks["keras"], tmp_path / name, **options)
        for name, options in FILES.items()
        if name.endswith(".tflite")
    }

    sizes = {name: one.bytes for name, one in found.items()}
    assert sizes["int8.tflite"] < 0.5 * sizes["model.tflite"]
    assert sizes["dynamic.tflite"] < 0.5 * sizes["model.tflite"]
    assert sizes["half.tflite"] < 0.7 * sizes["model.tflite"]
    assert found["int8.tflite"].difference > 100 * found["model.tflite"].difference
    assert 0 < found["half.tflite"].difference < found["int8.tflite"].difference


def test_a_sparse_format_stores_only_what_is_not_zero(tmp_path):
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64), keras.layers.Dense(3)])
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(64)[:, None] % 16 < 4, kernel.numpy(), 0))

    plain = export(model, tmp_path / "plain.tflite")
    sparse = export(model, tmp_path / "sparse.tflite", sparse=True)

    assert sparse.bytes < 0.5 * plain.bytes
    assert sparse.relative < 1e-5


@pytest.mark.nightly
@pytest.mark.parametrize("library", INSTALLED)
def test_the_model_is_not_changed(library, tmp_path):
    model = network(library)
    model.layers[0].trainable = False
    attributes = ("optimizer", "loss", "train_function", "predict_function", "test_function")
    before = {name: getattr(model, name) for name in attributes}
    variables = [*model.variables]
    if library is keras:  # in tf_keras they are among the model's
        variables += model.optimizer.variables
    weights = [variable.numpy() for variable in variables]
    config = model.get_compile_config()

    for name, options in FILES.items():
        export(model, tmp_path / name, **options)

    assert {name: getattr(model, name) for name in attributes} == before
    assert model.get_compile_config() == config
    assert not model.layers[0].trainable
    assert model.layers[1].trainable
    for variable, value in zip(variables, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    model.fit(X, np.zeros((80, 4)), verbose=0)


@pytest.mark.parametrize("name", ["model.tflite", "saved"])
def test_an_existing_file_is_replaced_only_when_asked(networks, tmp_path, name):
    path = tmp_path / name
    export(networks["keras"], path)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

    with pytest.raises(FileExistsError, match="overwrite=True"):
        export(other, path)
    replaced = export(other, path, overwrite=True)

    assert replaced.difference < 1e-5
    assert [one.name for one in tmp_path.iterdir()] == [name]
    again = export(other, tmp_path / f"new_{name}")
    assert again.bytes == pytest.approx(replaced.bytes, rel=0.01)


def test_a_folder_that_is_no_saved_model_is_never_replaced(networks, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(b"photo")

    with pytest.raises(FileExistsError, match="not a SavedModel"):
        export(networks["keras"], tmp_path / "photos", overwrite=True)

    assert (tmp_path / "photos" / "one.png").read_bytes() == b"photo"


def test_a_wrong_conversion_is_found_and_nothing_is_written(networks, tmp_path, monkeypatch):
    other = network()
    other.layers[-1].kernel.assign(2 * other.layers[-1].kernel)
    source = formats.litert_source
    monkeypatch.setattr(
        formats, "litert_source", lambda model, inputs, size: source(other, inputs, size)
    )

    with pytest.raises(ValueError, match=r"does not compute what the model does.*Nothing was"):
        export(networks["keras"], tmp_path / "model.tflite")

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_runtime_refuses_is_an_error_and_not_written(tmp_path):
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64), keras.layers.Dense(3)])
    random = np.random.default_rng(0)
    kernel = model.layers[0].kernel.numpy()
    model.layers[0].kernel.assign(kernel * (random.random(kernel.shape) < 0.1))

    with pytest.raises(ValueError, match=r"LiteRT does not run the file.*Nothing was written"):
        export(model, tmp_path / "model.tflite", quantize="dynamic", sparse=True)

    assert list(tmp_path.iterdir()) == []


def test_without_the_runtime_the_file_is_written_and_called_unchecked(
    networks, tmp_path, monkeypatch
):
    monkeypatch.setattr(runners, "is_installed", lambda package: False)

    found = export(networks["keras"], tmp_path / "model.tflite")

    assert (tmp_path / "model.tflite").exists()
    assert found.difference is None
    assert "Not checked against the model" in str(found)
    assert "kerasinit[litert]" in str(found)


def test_a_keras_file_that_needs_custom_objects_is_called_unchecked(tmp_path):
    class Doubled(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    model = keras.Sequential([keras.Input((3,)), Doubled()])

    found = export(model, tmp_path / "model.keras")

    assert "cannot be loaded" in found.not_checked
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={"Doubled": Doubled})
    assert loaded(np.ones((1, 3))).numpy().tolist() == [[2, 2, 2]]


@pytest.mark.parametrize("library", INSTALLED)
@pytest.mark.parametrize("name", ["model.keras", "saved", "model.tflite", "int8.tflite"])
def test_several_inputs_and_outputs_keep_their_places(library, tmp_path, name):
    layers = library.layers
    zebra = library.Input((4,), name="zebra")
    ant = library.Input((5,), dtype="int32", name="ant")
    words = layers.Flatten()(layers.Embedding(9, 2)(ant))
    hidden = layers.Dense(40, "relu")(layers.Concatenate()([zebra, words]))
    model = library.Model([zebra, ant], [layers.Dense(4)(hidden), layers.Dense(4)(hidden)])
    random = np.random.default_rng(0)
    x = {"ant": random.integers(0, 9, (20, 5)), "zebra": random.normal(size=(20, 4))}
    options = {**FILES.get(name, {})}
    if options:
        options["representative_data"] = x

    found = export(model, tmp_path / name, check_data=x, **options)

    assert found.relative < (0.1 if options else 1e-5)


@pytest.mark.nightly
def test_a_recurrent_layer_needs_a_fixed_batch_size(tmp_path):
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.GRU(4)])

    with pytest.raises(ValueError, match="batch_size=1"):
        export(model, tmp_path / "model.tflite")
    # The 16 examples of the check are no multiple of 3.
    found = export(model, tmp_path / "model.tflite", batch_size=3)

    assert found.examples == 16
    assert found.relative < 1e-5
    # TensorFlow's calibration would end the process.
    with pytest.raises(ValueError, match=r"loop.*unroll=True.*dynamic"):
        export(
            model,
            tmp_path / "int8.tflite",
            batch_size=1,
            quantize="int8",
            representative_data=np.zeros((4, 5, 3)),
        )


def test_it_prints_where_what_and_how_well(networks, tmp_path):
    found = export(networks["keras"], tmp_path / "model[1].tflite", quantize="dynamic")

    printed = str(found).splitlines()

    assert printed[0] == str(tmp_path / "model[1].tflite")
    assert printed[1].startswith(f"LiteRT, dynamic: {found.bytes:,} bytes")
    assert "Largest difference on 16 examples in ai-edge-litert" in printed[2]
    assert json.loads(found.to_json())["difference"] == found.difference


def _broken(value):
    model = network()
    model.layers[-1].kernel.assign(np.full((32, 4), value))
    return model


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("model.h5", {}, ValueError, r"Unknown suffix '.h5'.*SavedModel"),
        ("model.tflit", {}, ValueError, "Did you mean '.tflite'"),
        ("model.bin", {"format": "litrt"}, ValueError, "Did you mean 'litert'"),
        ("model.keras", {"format": "litert"}, ValueError, "does not suit"),
        ("model.tflite", {"quantize": "int4"}, ValueError, "Did you mean 'int8'"),
        ("model.tflite", {"quantize": "int8"}, ValueError, "needs representative_data"),
        ("model.keras", {"quantize": "dynamic"}, ValueError, "quantize is for LiteRT"),
        ("saved", {"sparse": True}, ValueError, "sparse is for LiteRT"),
        ("model.tflite", {"batch_size": 0}, ValueError, "batch_size"),
        ("model.tflite", {"check_data": X[:, :5]}, ValueError, "check_data has the shape"),
        (
            "model.tflite",
            {"quantize": "int8", "representative_data": X[0]},
            ValueError,
            r"representative_data\[:1\]",
        ),
        ("folder/model.tflite", {}, ValueError, "folder .* does not exist"),
    ],
)
def test_wrong_arguments_are_errors_before_anything_is_written(
    networks, tmp_path, name, options, error, message
):
    with pytest.raises(error, match=message):
        export(networks["keras"], tmp_path / name, **options)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: _broken(np.nan), ValueError, "128 of the 128 weights.*NaN"),
        (lambda: _broken(3e38), ValueError, "NaN or infinity on the examples"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), ValueError, "not built"),
        (lambda: keras.layers.Dense(2), TypeError, "the layer"),
        (lambda: "model.keras", TypeError, "Expected a model"),
    ],
)
def test_models_that_cannot_be_exported_are_errors(tmp_path, build, error, message):
    with pytest.raises(error, match=message):
        export(build(), tmp_path / "model.tflite")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.tflite", "saved", "model.onnx"])
def test_on_another_backend_only_keras_files_are_written(networks, tmp_path, monkeypatch, name):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")

    with pytest.raises(ValueError, match=r"this is jax.*\.keras file.*KERAS_BACKEND=tensorflow"):
        export(networks["keras"], tmp_path / name)

    assert export(networks["keras"], tmp_path / "model.keras").difference == 0


def test_onnx_says_what_it_needs(networks, tmp_path):
    with pytest.raises(ValueError, match=r"tf_keras does not export ONNX.*tf2onnx.convert"):
        export(networks.get("tf_keras") or tf_keras.Model(), tmp_path / "model.onnx")


@pytest.mark.nightly  # which installs the extra onnx
def test_an_onnx_file_computes_what_the_model_does(networks, tmp_path):
    found = export(networks["keras"], tmp_path / "model.onnx", check_data=X)

    assert found.relative < 1e-5
    assert found.runtime.startswith("onnxruntime")


def test_onnx_names_its_extra(networks, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)

    with pytest.raises(ImportError, match=r"kerasinit\[onnx\]"):
        export(networks["keras"], tmp_path / "model.onnx")

    assert list(tmp_path.iterdir()) == []
