"""What is promised of the measured costs of models."""

import gzip
import json

import keras
import numpy as np
import pytest

from kerasinit._src.shrinking import runners, runtimes
from kerasinit._src.shrinking.footprints import FileSize, Footprint, FootprintRow, Latency
from kerasinit._src.shrinking.measuring import footprint, size_of
from tests.kerases import INSTALLED, tf_keras

X = np.random.default_rng(0).normal(size=(20, 12)).astype("float32")


def mlp(library=keras, width=16, name="mlp"):
    layers = library.layers
    start = keras.Input((12,)) if library is keras else layers.InputLayer((12,))
    return library.Sequential(
        [start, layers.Dense(width, "relu"), layers.Dense(width), layers.Dense(3)], name=name
    )


def latency(runtime="litert-float", threads=1, reference=False, ratio=(0.5, 0.4, 0.6)):
    return Latency(runtime, threads, 2e-3, 1e-3, 3e-3, 50, reference, *ratio)


def costs(name="dense", *latencies, not_measured=None):
    files = (FileSize("keras", 4000, 3000), FileSize("litert-float", 2000, 1500))
    return FootprintRow(name, 100, 50, 90, files, latencies, not_measured or {})


@pytest.mark.parametrize("library", INSTALLED)
def test_models_come_first_and_examples_last(library):
    dense, small = mlp(library), mlp(library, 4, "small")

    found = footprint(dense, small, X[:2], runtimes="keras-call", seconds=0.1)

    assert [row.name for row in found.rows] == ["mlp", "small"]
    assert found.batch == 2
    assert found["small"].parameters == 12 * 4 + 4 + 4 * 4 + 4 + 4 * 3 + 3
    assert found["mlp"].latency("keras-call").reference
    assert found["small"].latency("keras-call").runs >= 10
    assert found["small"].latency("keras-call").seconds > 0


def test_zeros_are_counted():
    model = mlp()
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(12)[:, None] < 6, 0, np.ones((12, 16))))

    (row,) = footprint(model, latency=False).rows

    assert row.parameters - row.nonzeros == 6 * 16 + 16 + 16 + 3  # and the biases
    assert row.macs == 12 * 16 + 16 * 16 + 16 * 3


def test_of_a_model_without_a_graph_only_the_multiplications_are_unknown():
    class Doubled(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(3)

        def call(self, x):
            return 2 * self.head(x)

    model = Doubled()
    model(X)

    (row,) = footprint(model, X[:1], runtimes=("keras-call", "litert-float"), seconds=0.1).rows

    assert (row.parameters, row.nonzeros, row.macs) == (12 * 3 + 3, 12 * 3, None)
    assert "no graph" in row.not_measured["macs"]
    assert {one.runtime for one in row.latencies} == {"keras-call", "litert-float"}


@pytest.mark.nightly
def test_every_runtime_that_is_installed_is_measured():
    models = mlp(), mlp(width=64)
    kernel = models[0].layers[0].kernel
    kernel.assign(np.where(np.arange(16) < 5, 0, kernel))
    found = footprint(*models, x=X[:1], seconds=0.1, representative_data=X, threads=1)

    measured = {one.runtime for one in found[0].latencies}
    assert measured == {one.runtime for one in found[1].latencies}
    assert measured | set(found.missing) == set(runtimes.RUNTIMES)
    assert set(found.missing) <= {"onnx"}
    # A file for each but Keras, which has one.
    files = {file.name for file in found[0].files}
    assert files == {"keras"} | {name for name in measured if not name.startswith("keras")}
    assert found[1].file("litert-int8").bytes < found[1].file("litert-float").bytes


@pytest.mark.parametrize("library", INSTALLED)
def test_the_keras_file_is_counted_without_the_optimizer(library, tmp_path):
    model = mlp(library)
    plain = footprint(model, latency=False)[0].file("keras")
    model.compile("adam", "mse")
    model.fit(X, np.zeros((20, 3)), verbose=0)

    trained = footprint(model, latency=False)[0].file("keras")

    model.save(tmp_path / "with.keras")
    assert abs(trained.bytes - plain.bytes) < 1000
    assert (tmp_path / "with.keras").stat().st_size > trained.bytes + 2 * 4 * 500
    assert model.optimizer.iterations.numpy() == 1


@pytest.mark.nightly
def test_sparse_formats_are_measured_by_default_only_where_there_are_zeros():
    found = footprint(mlp(), x=X[:1], seconds=0.1, threads=1)

    assert not [one for one in found[0].latencies if "sparse" in one.runtime]
    assert "30% zeros" in found.missing["litert-...-sparse"]


@pytest.mark.nightly
@pytest.mark.parametrize("margin", [-0.02, 0.02])
def test_the_converter_makes_a_tensor_sparse_from_as_many_zeros_as_is_assumed(margin):
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    kernel = np.ones(10_000)
    zeros = int(10_000 * (runtimes.MIN_SPARSITY + margin))
    kernel[np.random.default_rng(0).permutation(10_000)[:zeros]] = 0
    model.layers[0].kernel.assign(kernel.reshape(100, 100))

    found = footprint(model, runtimes="litert-float-sparse", latency=False)[0]

    smaller = found.file("litert-float-sparse").bytes < found.file("litert-float").bytes
    assert smaller == (margin > 0)


def test_sizes_are_those_of_the_file_and_of_its_gzip():
    content = b"0" * 1000

    assert size_of("any", content, content) == FileSize(
        "any", 2000, 2 * len(gzip.compress(content))
    )


@pytest.mark.nightly
def test_a_sparse_runtime_is_compared_with_the_plain_one_of_the_first_model():
    found = footprint(mlp(width=64), x=X[:1], runtimes="litert-float-sparse", seconds=0.1)

    by_name = {one.runtime: one for one in found[0].latencies if one.threads == 1}
    assert by_name["litert-float"].reference
    assert not by_name["litert-float-sparse"].reference
    assert by_name["litert-float-sparse"].ratio != 1


@pytest.mark.nightly
def test_what_takes_longer_loses_and_what_takes_less_gains():
    wide, narrow = mlp(width=1500), mlp(width=8)

    found = footprint(wide, narrow, X[:1], runtimes="litert-float", threads=1, seconds=0.3)
    turned = footprint(narrow, wide, X[:1], runtimes="litert-float", threads=1, seconds=0.3)

    assert found[1].latency("litert-float").verdict == "gains"
    assert turned[1].latency("litert-float").verdict == "loses"
    assert [name for name, _ in found.gains] == ["mlp (2)"]
    assert turned.gains == ()


def test_verdicts_follow_the_interval():
    assert latency(ratio=(0.9, 0.8, 0.94)).verdict == "gains"
    # Less than equal files may differ by.
    assert latency(ratio=(0.96, 0.96, 0.96)).verdict == "no difference shown"
    assert latency(ratio=(0.9, 0.8, 1.0)).verdict == "no difference shown"
    assert latency(ratio=(1.2, 1.0, 1.5)).verdict == "no difference shown"
    assert latency(ratio=(1.2, 1.1, 1.5)).verdict == "loses"


def test_it_prints_what_gained_what_was_not_measured_and_what_is_missing():
    found = Footprint(
        (
            costs("dense", latency(reference=True, ratio=(1, 1, 1))),
            costs("pruned", latency(), not_measured={"litert-dynamic-sparse": "cannot run it"}),
        ),
        1,
        {"onnx": "not installed"},
    )

    printed = " ".join(str(found).split())

    assert "pruned: gains in litert-float (0.50)." in printed
    assert "pruned, litert-dynamic-sparse: cannot run it" in printed
    assert "Not measured: onnx: not installed" in printed
    assert "litert-float pruned 1 2.000 1.000-3.000 0.50 0.40-0.60 gains" in printed
    assert json.loads(found.to_json())["rows"][1]["latencies"][0]["ratio"] == 0.5


@pytest.mark.nightly
def test_a_file_that_a_runtime_refuses_is_named_and_the_others_are_measured():
    model = mlp(width=64)
    random = np.random.default_rng(0)
    for layer in model.layers[:2]:
        # Unstructured zeros and int8 together are what XNNPACK does not take.
        kernel = layer.kernel.numpy()
        layer.kernel.assign(kernel * (random.random(kernel.shape) < 0.1))

    found = footprint(model, x=X[:1], runtimes="litert", seconds=0.1, threads=1)

    assert list(found[0].not_measured) == ["litert-dynamic-sparse"]
    assert "LiteRT does not run the file" in found[0].not_measured["litert-dynamic-sparse"]
    assert {one.runtime for one in found[0].latencies} == {
        "litert-float",
        "litert-float-sparse",
        "litert-float16",
        "litert-dynamic",
    }


def test_a_runtime_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(runners, "is_installed", lambda package: False)

    found = footprint(mlp(), x=X[:1], seconds=0.1)

    assert {one.runtime for one in found[0].latencies} == {"keras-call", "keras-predict"}
    assert "kerasinit[litert]" in found.missing["litert"]
    assert "kerasinit[onnx]" in found.missing["onnx"]
    assert "kerasinit[litert]" in str(found)
    with pytest.raises(ImportError, match=r"litert.*kerasinit\[litert\]"):
        footprint(mlp(), x=X[:1], runtimes="litert")


def test_on_another_backend_only_keras_runs(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")

    found = footprint(mlp(), x=X[:1], seconds=0.1)

    assert {one.runtime for one in found[0].latencies} == {"keras-call", "keras-predict"}
    assert "jax" in found.missing["litert"]
    assert "jax" in found.missing["onnx"]


def test_int8_needs_representative_data():
    found = footprint(mlp(), x=X[:1], runtimes="litert", seconds=0.1, threads=1)

    assert "representative_data" in found.missing["litert-int8"]
    assert "litert-float" in {one.runtime for one in found[0].latencies}
    with pytest.raises(ValueError, match="representative_data"):
        footprint(mlp(), x=X[:1], runtimes="litert-int8")


@pytest.mark.nightly
def test_models_of_both_kerases_stand_side_by_side():
    twins = mlp(), mlp(tf_keras)
    twins[1].set_weights(twins[0].get_weights())

    found = footprint(*twins, x=X[:1], runtimes=("litert-float", "keras-call"), seconds=0.1)

    assert found[0].parameters == found[1].parameters
    assert {one.runtime for one in found[1].latencies} == {"keras-call", "litert-float"}


@pytest.mark.nightly
def test_equal_names_are_numbered_and_names_can_be_given():
    model = mlp()

    assert [row.name for row in footprint(model, model, latency=False).rows] == ["mlp", "mlp (2)"]
    named = footprint(model, model, names=("dense", "compact"), latency=False)
    assert [row.name for row in named.rows] == ["dense", "compact"]
    with pytest.raises(ValueError, match="names 2 different"):
        footprint(model, model, names=("a", "a"), latency=False)


@pytest.mark.nightly
def test_several_inputs_are_passed_as_a_list_or_by_name():
    first, second = keras.Input((4,), name="first"), keras.Input((5,), name="second")
    out = keras.layers.Dense(2)(keras.layers.Concatenate()([first, second]))
    model = keras.Model([first, second], out)
    x = [X[:3, :4], X[:3, :5]]

    listed = footprint(model, x, runtimes="litert-float", seconds=0.1, threads=1)
    named = footprint(
        model, {"first": x[0], "second": x[1]}, runtimes="litert-float", seconds=0.1, threads=1
    )

    assert listed.batch == named.batch == 3
    assert listed[0].latencies
    assert named[0].latencies
    with pytest.raises(ValueError, match="has 2 inputs; got 1"):
        footprint(model, x[0])
    with pytest.raises(ValueError, match="'first', 'second'"):
        footprint(model, {"first": x[0], "third": x[1]})


@pytest.mark.nightly
def test_measuring_does_not_change_a_model():
    model = keras.Sequential(
        [keras.Input((12,)), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    )
    before = [variable.numpy() for variable in model.variables]

    footprint(model, x=X, seconds=0.1, threads=1, runtimes=("keras", "litert"))

    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def _wrong_weights():
    model = mlp()
    model.layers[1].kernel.assign(np.full((16, 16), np.nan))
    return model


@pytest.mark.parametrize(
    ("models", "options", "error", "message"),
    [
        ((), {}, TypeError, "at least one model"),
        ((X,), {}, TypeError, "at least one model"),
        ((mlp, X[:1]), {"x": X}, TypeError, "not both"),
        ((mlp, X[:1, :5]), {}, ValueError, r"takes batches of shape \(any, 12\).*\(1, 5\)"),
        ((mlp, X[0]), {}, ValueError, r"x\[:1\], not x\[0\]"),
        ((mlp, X[:0]), {}, ValueError, "at least one"),
        ((mlp, np.full((1, 12), np.nan)), {}, ValueError, "finite"),
        ((mlp, "photo.png"), {}, TypeError, "array"),
        ((_wrong_weights,), {}, ValueError, "256 of the 256 weights in .*kernel.* NaN"),
        ((lambda: keras.Sequential([keras.layers.Dense(3)]),), {}, ValueError, "not built"),
        ((lambda: keras.layers.Dense(3),), {}, TypeError, "got the layer"),
        ((mlp,), {"runtimes": "litert-flot"}, ValueError, "Did you mean 'litert-float'"),
        ((mlp,), {"seconds": 0}, ValueError, "seconds"),
        ((mlp,), {"threads": 0}, ValueError, "threads"),
        ((mlp,), {"threads": ()}, ValueError, "threads"),
    ],
)
def test_wrong_arguments_are_errors(models, options, error, message):
    made = [one() if callable(one) else one for one in models]

    with pytest.raises(error, match=message):
        footprint(*made, **options)


def test_a_latency_that_was_not_measured_is_a_key_error():
    row = costs("dense", latency())

    with pytest.raises(KeyError, match="litert-float with 1"):
        row.latency("onnx")
    with pytest.raises(KeyError, match="4 threads"):
        row.latency("litert-float", 4)
