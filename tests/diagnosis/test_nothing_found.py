"""That nothing was found means that it was looked for; else it is an error, or is said."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from tests.diagnosis import networks
from tests.kerases import KERASES
from tests.products import nightly

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
QUIET = pytest.mark.filterwarnings("ignore:(Layer .* does not have a `quantize`|`model.quantize)")
X = networks.batch(64, 8)


def mlp(library=keras, **arguments):
    layers = library.layers
    return library.Sequential(
        [
            library.Input((8,)),
            layers.Dense(16, "relu", **arguments),
            layers.Dense(1, **arguments),
        ]
    )


@BOTH
@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (X[:1], None, ValueError, "at least 2 examples"),
        (X[:0], None, ValueError, "at least 2 examples"),
        (X, np.zeros(10), ValueError, "x 64, y 10"),
        (X.tolist(), None, TypeError, r"x = numpy\.asarray\(x\)"),
        (X, [0.0] * 64, TypeError, r"y = numpy\.asarray\(y\)"),
        (X, np.array(["a", "b"] * 32), TypeError, "Convert words to indices"),
        (3.0, None, TypeError, "contains a float"),
        (np.array(3.0), None, ValueError, "examples first"),
        (tf.data.Dataset.from_tensors(X), None, TypeError, "Take a batch of it"),
        (tf.ragged.constant([[1.0], [1.0, 2.0]]), None, TypeError, "dense arrays"),
        (np.array([[1.0], [1.0, 2.0]], dtype=object), None, TypeError, "different lengths"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(library, x, y, error, words):
    model = mlp(library)
    model.compile("adam", "mse")
    with pytest.raises(error, match=words):
        kerasinit.diagnose(model, x, y)
    with pytest.raises(error, match=words):
        kerasinit.SignalMonitor(x, y)


def test_labels_that_make_no_loss_are_named_with_their_shapes():
    model = mlp()
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match=r"binary.* labels of shape \(64, 3\) .* \(64, 1\)"):
        kerasinit.diagnose(model, X, np.zeros((64, 3)))
    model = mlp()  # compiled again without a loss, a model of Keras 3 keeps the one that it had
    model.compile("adam")
    with pytest.raises(ValueError, match="compiled without one"):
        kerasinit.diagnose(model, X, np.zeros((64, 1)))


@QUIET
@pytest.mark.parametrize("mode", [pytest.param("int8", marks=nightly), "int4", "float8"])
def test_a_quantized_model_gets_no_verdict(mode):
    model = mlp()
    model.quantize(mode)
    with pytest.raises(ValueError, match=rf"dense, dense_1 are quantized \({mode}\).*before"):
        kerasinit.diagnose(model, X)
    for scale in (kerasinit.lsuv, kerasinit.within_layer, kerasinit.weight_norm):
        with pytest.raises(ValueError, match=f"quantized to {mode}: scale it before"):
            scale(model, X)


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_what_of_a_model_is_quantized_is_said(mode):
    model = mlp()
    model.layers[0].quantize(mode)
    report = kerasinit.diagnose(model, X)
    assert report.measured.unseen == (f"dense ({mode})",)
    assert [row.layer for row in report.layers] == ["dense_1"]
    assert f"Not measured, since quantized: dense ({mode})." in str(report)
    assert f"dense ({mode})" in report.to_html()


@QUIET
@pytest.mark.parametrize("mode", ["int8", pytest.param("int4", marks=nightly), "float8"])
def test_recommend_leaves_what_is_quantized(mode):
    model = mlp()
    model.quantize(mode)
    before = {one.path: one.numpy() for one in model.variables}
    found = kerasinit.recommend(model)
    scale = found["dense/kernel_scale"]
    assert (scale.role, scale.initializer) == ("other", None)
    assert "normalization" not in scale.reason
    if mode != "float8":
        assert all(row.initializer is None for row in found.rows)
    kerasinit.reinitialize(model, found, seed=1)
    kept = [one for one in model.variables if mode != "float8" or one.name != "kernel"]
    assert all(np.array_equal(before[one.path], one.numpy()) for one in kept)


@QUIET
def test_fans_are_those_of_the_kernel_before_it_was_packed():
    layers = keras.layers
    for mode in ("int8", "int4"):
        model = keras.Sequential(
            [
                keras.Input((5,)),
                layers.Embedding(9, 6),
                layers.EinsumDense("abc,cde->abde", (None, 3, 5)),
                layers.Reshape((5, 15)),
                layers.Dense(7),
            ]
        )
        wanted = kerasinit.compute_fans(model)
        model.quantize(mode)
        assert kerasinit.compute_fans(model) == wanted
        assert kerasinit.compute_fans(model.layers[-1]) == {"kernel": (15, 7)}


@BOTH
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "mixed_float16", "float16"])
def test_kernels_are_scaled_in_every_precision(library, policy):
    x = networks.batch(256, 8)
    for scale in (kerasinit.lsuv, kerasinit.within_layer, kerasinit.weight_norm):
        model = mlp(library, dtype=policy)
        report = scale(model, x)
        assert report["dense"].variance == pytest.approx(1, abs=0.15)
        assert kerasinit.diagnose(model, x).ok


def test_nothing_to_look_at_is_an_error():
    class Bare(keras.Model):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(8, 1), name="kernel")

        def call(self, x):
            return x @ self.kernel

    model = Bare()
    model(X)
    with pytest.raises(ValueError, match=r"No layer of .* could be measured"):
        kerasinit.diagnose(model, X)


def test_a_model_is_no_function_and_a_kernel_no_shape():
    model = mlp()
    with pytest.raises(TypeError, match=r"the Sequential 'sequential.*'"):
        kerasinit.compare(model, ["HeNormal"], (X, X[:, :1]))
    with pytest.raises(TypeError, match=r"compute_fans\(kernel.shape\)"):
        kerasinit.compute_fans(model.layers[0].kernel)
    with pytest.raises(TypeError, match=r"compute_fans\(kernel.shape\)"):
        kerasinit.compute_fans(np.ones((8, 16)))
    with pytest.raises(TypeError, match="shape of a kernel"):
        kerasinit.compute_fans("dense")
    assert kerasinit.compute_fans(np.array([3, 4])) == (3, 4)
