"""What is wrong beside the layers is found, and gone when its advice is followed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from tests.diagnosis import networks
from tests.kerases import KERASES, tf_keras

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
X = networks.batch(64, 8)
BINARY = (X[:, 0] > 0).astype("int32")
CLASSES = np.digitize(X[:, 0], [-0.5, 0.5])
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
SEVERAL = (X[:, :3] > 0).astype("float32")
REAL = X[:, :1] + 1.5 * X[:, 1:2]


def network(library, units, activation, loss, rate=1e-3, optimizer="Adam"):
    """A small network of sound first values."""
    layers = library.layers
    hidden = [
        layers.Dense(32, "relu", kernel_initializer=kerasinit.HeNormal(seed=seed))
        for seed in (1, 2)
    ]
    head = layers.Dense(units, activation, kernel_initializer=kerasinit.LecunNormal(seed=3))
    model = library.Sequential([library.Input((8,)), *hidden, head])
    model.compile(getattr(library.optimizers, optimizer)(rate), loss)
    return model


def one_weight(library, value):
    """Linear regression, in which the first weight may be anything."""
    inputs = library.Input((8,))
    head = library.layers.Dense(1, use_bias=False)
    model = library.Model(inputs, head(inputs[:, :1]))
    head.set_weights([np.array([[value]])])
    model.compile(library.optimizers.SGD(0.1), "mse")
    return model


def narrow(library):
    """A network of so few weights that a step is easily longer than they are."""
    layers = library.layers
    hidden = [
        layers.Dense(units, "tanh", kernel_initializer=kerasinit.LecunNormal(seed=units))
        for units in (3, 2)
    ]
    head = layers.Dense(1, kernel_initializer=kerasinit.LecunNormal(seed=1))
    model = library.Sequential([library.Input((8,)), *hidden, head])
    model.compile(library.optimizers.SGD(0.05), "mse")
    return model


def ending(library, model, function):
    """The same model with a function of TensorFlow's at its end, in a custom call."""

    class Ending(library.Model):
        def __init__(self):
            super().__init__()
            self.inner = model

        def call(self, x):
            return function(self.inner(x))

    found = Ending()
    found(X)
    found.compile(type(model.optimizer)(1e-3), model.loss)
    return found


def logits(library, name):
    return getattr(library.losses, name)(from_logits=True)


SOUND = {
    "binary": lambda lib: (network(lib, 1, "sigmoid", "binary_crossentropy"), BINARY),
    "one hot": lambda lib: (network(lib, 3, "softmax", "categorical_crossentropy"), ONE_HOT),
    "classes": lambda lib: (network(lib, 3, "softmax", "sparse_categorical_crossentropy"), CLASSES),
    "several": lambda lib: (network(lib, 3, "sigmoid", "binary_crossentropy"), SEVERAL),
    "real": lambda lib: (network(lib, 1, None, "mse"), REAL),
    "bounded": lambda lib: (network(lib, 1, "tanh", "mse"), np.tanh(REAL)),
    "ages": lambda lib: (network(lib, 1, None, "mae", 0.01), 20 + 5 * REAL),
    "logits": lambda lib: (
        network(lib, 3, None, logits(lib, "SparseCategoricalCrossentropy")),
        CLASSES,
    ),
    "binary logits": lambda lib: (
        network(lib, 1, None, logits(lib, "BinaryCrossentropy")),
        BINARY,
    ),
    # Keras takes the logits: it learns as with a softmax.
    "sigmoid": lambda lib: (network(lib, 3, "sigmoid", "categorical_crossentropy"), ONE_HOT),
    "narrow": lambda lib: (narrow(lib), REAL),
    # One weight, and by chance a short one: a step longer than it tells nothing.
    "one weight": lambda lib: (one_weight(lib, 0.002), X[:, :1]),
    "descent": lambda lib: (network(lib, 1, None, "mse", 0.05, "SGD"), REAL),
    "smoothed": lambda lib: (
        network(lib, 3, "softmax", "categorical_crossentropy"),
        0.9 * ONE_HOT + 0.1 / 3,
    ),
    "counts": lambda lib: (network(lib, 1, "softplus", "poisson"), CLASSES),
    "divergence": lambda lib: (network(lib, 3, "softmax", "kl_divergence"), ONE_HOT),
    "one hot, by a function": lambda lib: (
        ending(lib, network(lib, 3, None, "categorical_crossentropy"), tf.nn.softmax),
        ONE_HOT,
    ),
}

# Kind, network and labels, words of the advice, and the network that follows it.
FAULTS = {
    "softmax over one": (
        "constant-output",
        lambda lib: (network(lib, 1, "softmax", "binary_crossentropy"), BINARY),
        "activation='sigmoid'",
        "binary",
    ),
    "softmax over one, three classes": (
        "constant-output",
        lambda lib: (network(lib, 1, "softmax", "sparse_categorical_crossentropy"), CLASSES),
        "Dense(3, activation='softmax')",
        "classes",
    ),
    "softmax over one, numbers": (
        "constant-output",
        lambda lib: (network(lib, 1, "softmax", "mse"), REAL),
        "activation=None",
        "real",
    ),
    "one class": (
        "constant-output",
        lambda lib: (network(lib, 1, "sigmoid", "categorical_crossentropy"), BINARY[:, None]),
        "loss='binary_crossentropy'",
        "binary",
    ),
    "sigmoid for numbers": (
        "output-range",
        lambda lib: (network(lib, 1, "sigmoid", "mse"), REAL),
        "activation=None",
        "real",
    ),
    "relu for negative numbers": (
        "output-range",
        lambda lib: (network(lib, 1, "relu", "mae"), REAL),
        "activation=None",
        "real",
    ),
    "tanh for large numbers": (
        "output-range",
        lambda lib: (network(lib, 1, "tanh", "huber"), 3000 * REAL),
        "standardized",
        "real",
    ),
    "softmax for several": (
        "output-range",
        lambda lib: (network(lib, 3, "softmax", "categorical_crossentropy"), SEVERAL),
        "activation='sigmoid' at the output, loss='binary_crossentropy'",
        "several",
    ),
    "softmax for several, binary": (
        "output-range",
        lambda lib: (network(lib, 3, "softmax", "binary_crossentropy"), SEVERAL),
        "activation='sigmoid'",
        "several",
    ),
    "relu as probabilities": (
        "output-loss",
        lambda lib: (network(lib, 3, "relu", "categorical_crossentropy"), ONE_HOT),
        "activation='softmax'",
        "one hot",
    ),
    "nothing as probabilities": (
        "output-loss",
        lambda lib: (network(lib, 3, None, "sparse_categorical_crossentropy"), CLASSES),
        "from_logits=True",
        "logits",
    ),
    "nothing as a probability": (
        "output-loss",
        lambda lib: (network(lib, 1, None, "binary_crossentropy"), BINARY),
        "activation='sigmoid'",
        "binary",
    ),
    "relu as a probability": (
        "output-loss",
        lambda lib: (network(lib, 1, "relu", "binary_crossentropy"), BINARY),
        "activation='sigmoid'",
        "binary",
    ),
    "relu as logits": (
        "output-loss",
        lambda lib: (network(lib, 1, "relu", logits(lib, "BinaryCrossentropy")), BINARY),
        "activation=None",
        "binary logits",
    ),
    "negative rates": (
        "output-loss",
        lambda lib: (network(lib, 1, None, "poisson"), CLASSES),
        "softplus",
        "counts",
    ),
    "nothing as a distribution": (
        "output-loss",
        lambda lib: (network(lib, 3, None, "kl_divergence"), ONE_HOT),
        "activation='softmax'",
        "divergence",
    ),
    "sigmoid as a distribution": (
        "output-loss",
        lambda lib: (network(lib, 3, "sigmoid", lib.losses.KLDivergence()), ONE_HOT),
        "activation='softmax'",
        "divergence",
    ),
    "one number as a distribution": (
        "output-loss",
        lambda lib: (network(lib, 1, "sigmoid", "kl_divergence"), BINARY),
        "loss='binary_crossentropy'",
        "binary",
    ),
    # Functions that are no layer's do what they do.
    "softmax over one, by a function": (
        "constant-output",
        lambda lib: (
            ending(lib, network(lib, 1, None, "binary_crossentropy"), tf.nn.softmax),
            BINARY,
        ),
        "activation='sigmoid'",
        "binary",
    ),
    "relu for negative numbers, by a function": (
        "output-range",
        lambda lib: (ending(lib, network(lib, 1, None, "mae"), tf.nn.relu), REAL),
        "activation=None",
        "real",
    ),
    "classes from 1": (
        "labels",
        lambda lib: (network(lib, 3, "softmax", "sparse_categorical_crossentropy"), CLASSES + 1),
        "y = y - 1",
        "classes",
    ),
    "more classes than outputs": (
        "labels",
        lambda lib: (network(lib, 2, "softmax", "sparse_categorical_crossentropy"), CLASSES),
        "Dense(3)",
        "classes",
    ),
    "labels divided": (
        "labels",
        lambda lib: (
            network(lib, 3, "softmax", "sparse_categorical_crossentropy"),
            CLASSES / 255,
        ),
        "Do not rescale the labels",
        "classes",
    ),
    "one-hot for sparse": (
        "labels",
        lambda lib: (network(lib, 3, "softmax", "sparse_categorical_crossentropy"), ONE_HOT),
        "loss='categorical_crossentropy'",
        "one hot",
    ),
    "classes for one-hot": (
        "labels",
        lambda lib: (network(lib, 3, "softmax", "categorical_crossentropy"), CLASSES),
        "loss='sparse_categorical_crossentropy'",
        "classes",
    ),
    "three labels for one output": (
        "labels",
        lambda lib: (network(lib, 1, None, "mse"), X[:, :3]),
        "Dense(3)",
        "real",
    ),
    "minus one and one": (
        "labels",
        lambda lib: (network(lib, 1, "sigmoid", "binary_crossentropy"), 2 * BINARY - 1),
        "y = (y + 1) / 2",
        "binary",
    ),
    "one and two": (
        "labels",
        lambda lib: (network(lib, 1, "sigmoid", "binary_crossentropy"), BINARY + 1),
        "y = (y == 2)",
        "binary",
    ),
    "three classes as two": (
        "labels",
        lambda lib: (network(lib, 1, "sigmoid", "binary_crossentropy"), CLASSES),
        "Dense(3, activation='softmax')",
        "classes",
    ),
    "no number": (
        "labels",
        lambda lib: (network(lib, 1, None, "mse"), np.where(REAL > 1, np.nan, REAL)),
        "numpy.isfinite",
        "real",
    ),
    "far targets": (
        "target-scale",
        lambda lib: (network(lib, 1, None, "mse"), 1e5 * REAL),
        "Standardize",
        "real",
    ),
    "far targets, plain descent": (
        "target-scale",
        lambda lib: (network(lib, 1, None, "mse", 0.05, "SGD"), 1e5 * (REAL + 1)),
        "Standardize",
        "descent",
    ),
    "far targets, few weights": (
        "target-scale",
        lambda lib: (narrow(lib), 1e4 * (REAL + 5)),
        "Standardize",
        "narrow",
    ),
    "huge steps": (
        "learning-rate",
        lambda lib: (network(lib, 1, None, "mse", 30.0), REAL),
        "learning_rate=0.0",
        "real",
    ),
    "steps that explode": (
        "learning-rate",
        lambda lib: (network(lib, 1, None, "mse", 2.0, "SGD"), REAL),
        "keras.optimizers.SGD(learning_rate=",
        "descent",
    ),
    "no steps": (
        "learning-rate",
        lambda lib: (network(lib, 1, None, "mse", 1e-12), REAL),
        "learning_rate=0.001",
        "real",
    ),
}


@BOTH
@pytest.mark.parametrize("name", SOUND)
def test_of_a_sound_output_nothing_is_said(library, name):
    model, y = SOUND[name](library)
    assert kerasinit.diagnose(model, X, y).findings == ()
    assert kerasinit.diagnose(model, X).findings == ()


@BOTH
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@pytest.mark.filterwarnings("ignore:In loss categorical_crossentropy, expected")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_with_the_line_that_mends_it(library, name):
    kind, plant, words, mended = FAULTS[name]
    assert mended in SOUND
    model, y = plant(library)
    found = {one.kind: one for one in kerasinit.diagnose(model, X, y).findings}
    assert kind in found
    assert words in found[kind].advice


@BOTH
def test_labels_are_to_be_standardized_only_where_they_do_harm_as_they_are(library):
    """Plain descent learns labels of 50 as they are, and more slowly when they are scaled."""
    y = 50 + 20 * REAL
    model = network(library, 1, "sigmoid", "mse", 1e-3, "SGD")
    (finding,) = kerasinit.diagnose(model, X, y).findings
    assert (finding.kind, finding.advice) == ("output-range", "activation=None at the output")
    assert kerasinit.diagnose(network(library, 1, None, "mse", 1e-3, "SGD"), X, y).ok


def test_a_dead_output_leaves_no_gradient():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, "relu")])
    model.layers[0].set_weights([np.zeros((8, 1)), np.full(1, -3.0)])
    model.compile("adam", "mse")
    found = {one.kind: one for one in kerasinit.diagnose(model, X, np.abs(REAL)).findings}
    assert "activation=None" in found["no-gradient"].advice


def test_what_the_loss_expects_is_judged_without_labels_too():
    for library in (keras, tf_keras):
        model, _ = FAULTS["relu as probabilities"][1](library)
        assert [one.kind for one in kerasinit.diagnose(model, X).findings] == ["output-loss"]


@BOTH
def test_each_output_is_judged_by_its_own_loss_and_labels(library):
    layers = library.layers
    hidden = layers.Dense(16, "relu", kernel_initializer=kerasinit.HeNormal(seed=1))(
        inputs := library.Input((8,))
    )
    outputs = {
        "good": layers.Dense(1, name="good")(hidden),
        "bad": layers.Dense(1, "sigmoid", name="bad")(hidden),
    }
    model = library.Model(inputs, outputs)
    model.compile("adam", {"good": "mse", "bad": "mse"})
    report = kerasinit.diagnose(model, X, {"good": REAL, "bad": REAL})
    (finding,) = report.findings
    assert (finding.kind, finding.others) == ("output-range", ())
    assert [row.layer for row in report.layers if row.name == "bad"] == [finding.layer]


def test_softmax_through_other_layers_is_seen():
    layers = keras.layers
    head = [layers.Dense(3), layers.Activation("softmax"), layers.Reshape((1, 3))]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(16, "relu"), *head])
    model.compile("adam", loss)
    kinds = [one.kind for one in kerasinit.diagnose(model, X, ONE_HOT[:, None]).findings]
    assert kinds == ["output-loss"]


@BOTH
@pytest.mark.parametrize("x", [np.zeros((64, 8)), np.tile(X[:1], (64, 1))], ids=["zero", "same"])
def test_examples_that_do_not_differ_are_found(library, x):
    model, y = SOUND["real"](library)
    found = {one.kind: one for one in kerasinit.diagnose(model, x, y).findings}
    assert found["equal-examples"].layer == "input"
    words = keras.Sequential([keras.Input((3,)), keras.layers.Embedding(9, 4)])
    tokens = np.zeros((8, 3), int)
    assert "equal-examples" in {one.kind for one in kerasinit.diagnose(words, tokens).findings}
    monitor = kerasinit.SignalMonitor(x, y, every="epoch")
    model.fit(x, y, verbose=0, callbacks=[monitor])
    assert "equal-examples" in {one.kind for one in monitor.history[0].diagnosis.findings}


@BOTH
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
def test_a_softmax_that_weighs_one_position_is_no_fault(library):
    """Whatever the layer is called, and wherever its softmax comes from."""
    ops = keras.ops if library is keras else None

    class Reader(library.layers.Layer):
        def __init__(self):
            super().__init__()
            self.ask, self.tell, self.give = (library.layers.Dense(8) for _ in range(3))
            self.choose = library.layers.Softmax()

        def build(self, shape):
            for layer in (self.ask, self.tell, self.give):
                layer.build(shape)
            super().build(shape)

        def call(self, x):
            ask, tell = self.ask(x), self.tell(x)
            swapped = ops.transpose(tell, (0, 2, 1)) if ops else tf.transpose(tell, (0, 2, 1))
            return self.choose(ask @ swapped / 8**0.5) @ self.give(x)

    inputs = library.Input((1, 8))
    x = library.layers.Flatten()(inputs + Reader()(inputs))
    model = library.Model(inputs, library.layers.Dense(1)(x))
    assert kerasinit.diagnose(model, X[:, None]).findings == ()


@BOTH
@pytest.mark.parametrize(
    ("stddev", "kind"), [(0.01, "vanishing-activations"), (0.5, "exploding-activations")]
)
def test_a_sound_learning_rate_is_not_blamed_for_gradients_out_of_proportion(library, stddev, kind):
    layers = library.layers
    hidden = [
        layers.Dense(
            64, "relu", kernel_initializer=kerasinit.RandomNormal(stddev=stddev, seed=seed)
        )
        for seed in range(20)
    ]
    model = library.Sequential([library.Input((8,)), *hidden, layers.Dense(1)])
    model.compile(library.optimizers.SGD(0.01), "mse")
    kinds = [one.kind for one in kerasinit.diagnose(model, X, REAL).findings]
    assert kind in kinds
    assert "learning-rate" not in kinds


@BOTH
def test_outputs_that_are_infinite_with_both_signs_are_a_finding_not_a_warning(library):
    model = network(library, 3, None, "mse")
    bias = model.layers[-1].bias
    bias.assign(np.array([np.inf, -np.inf, 0.0], "float32"))

    report = kerasinit.diagnose(model, X, SEVERAL)

    assert report.findings[0].kind == "non-finite"
