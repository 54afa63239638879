"""What is differentiated is what `fit` minimizes: gradients are compared with a step of `fit`.

A step of plain SGD at a learning rate of 1 moves each weight by its gradient.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.lottery.method import saliency
from tests.diagnosis import networks
from tests.kerases import INSTALLED, KERASES, tf_keras
from tests.products import each_value_once, nightly

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
ONE_OF_BOTH = pytest.mark.parametrize(
    "library", [keras, pytest.param(tf_keras, marks=nightly)], ids=["keras", "tf_keras"]
)
N, CLASSES = 12, 3
X = networks.batch(N, 6) + 0.2
NUMBERS = np.arange(N) % CLASSES
BINARY = NUMBERS % 2
ONE_HOT = np.eye(CLASSES, dtype="float32")[NUMBERS]


def step_of_fit(model, x, y, **arguments):
    """Return how far one step moves the weights of each layer, and put them back."""
    layers = [layer for layer in model.layers if layer.trainable_weights]
    before = {layer.name: layer.get_weights() for layer in layers}
    model.fit(x, y, batch_size=N, epochs=1, shuffle=False, verbose=0, **arguments)
    moved = {}
    for layer in layers:
        pairs = zip(layer.get_weights(), before[layer.name], strict=True)
        moved[layer.name] = sum(float(np.square(a - b).sum()) for a, b in pairs) ** 0.5
        layer.set_weights(before[layer.name])
    return moved


def gradients_of(found):
    return {row.name: row.weight_gradient for row in found.layers if row.weight_gradient}


# Head, loss, labels: whoever goes through Keras' logits, and who does not.
HEADS = {
    "one_hot": ("softmax", "categorical_crossentropy", ONE_HOT),
    "sparse": ("softmax", "sparse_categorical_crossentropy", NUMBERS),
    "divergence": ("softmax", "kl_divergence", ONE_HOT),
    "binary": ("sigmoid", "binary_crossentropy", BINARY),
    "focal": ("sigmoid", "binary_focal_crossentropy", BINARY),
    "many": ("sigmoid", "binary_crossentropy", ONE_HOT),
    "square": (None, "mse", X[:, 0]),
    "column": (None, "mae", X[:, :1]),
    "huber": ("tanh", "huber", X[:, 0]),
    "hinge": (None, "hinge", BINARY),
    "poisson": ("softplus", "poisson", NUMBERS),
    "cosine": (None, "cosine_similarity", ONE_HOT),
    "mixed": ("sigmoid", "mse", BINARY),
    "wrong": ("relu", "categorical_crossentropy", ONE_HOT),
    "tensorflow": (tf.nn.softmax, "categorical_crossentropy", ONE_HOT),
    "tensorflow_binary": (tf.nn.sigmoid, "binary_crossentropy", BINARY),
    "activation": ("Activation", "sparse_categorical_crossentropy", NUMBERS),
    "layer": ("Softmax", "sparse_categorical_crossentropy", NUMBERS[:, None]),
    "reshaped": ("Reshape", "categorical_crossentropy", ONE_HOT[:, None]),
    # In a graph Keras sees what made the output, and takes its logits from there.
    "own_softmax": ("own", "categorical_crossentropy", ONE_HOT),
    "own_sparse": ("own", "sparse_categorical_crossentropy", NUMBERS),
    "own_sigmoid": ("own", "binary_crossentropy", ONE_HOT),
    # And that it is not the function that belongs to the loss.
    "own_mixed": ("own", "binary_crossentropy", ONE_HOT),
    "tensorflow_mixed": (tf.nn.sigmoid, "categorical_crossentropy", ONE_HOT),
}
FUNCTIONS = {
    "own_softmax": tf.nn.softmax,
    "own_sparse": lambda z: tf.nn.softmax(z / 2),
    "own_sigmoid": tf.math.sigmoid,
    "own_mixed": tf.nn.softmax,
}

HEADS_LOSSES = {name: loss for name, (_, loss, _) in HEADS.items()}


def own_head(library, function, **options):
    """A layer that multiplies, and applies a function of TensorFlow's, by itself."""

    class Own(library.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], CLASSES), name="w")

        def call(self, x):
            return function(tf.matmul(x, tf.convert_to_tensor(self.w)))

        def get_prunable_weights(self):
            return [self.w]

    return Own(**options)


def many_headed(library, scale):
    """A network with every head, each with a loss of its own, and its labels."""
    layers = library.layers
    inputs = library.Input((6,))
    hidden = layers.Dense(8, "tanh", kernel_regularizer="l2", activity_regularizer="l2")(inputs)
    # Where the sums are as large as raw data make them, probabilities are 0 and 1.
    hidden = layers.Rescaling(scale)(hidden)
    outputs, losses, labels = {}, {}, {}
    for name, (head, loss, label) in HEADS.items():
        if head == "own":
            outputs[name] = own_head(library, FUNCTIONS[name], name=name)(hidden)
            losses[name], labels[name] = loss, label
            continue
        units = 1 if label.ndim == 1 and "sparse" not in loss else CLASSES
        is_layer = head in ("Activation", "Softmax", "Reshape")
        output = layers.Dense(units, None if is_layer else head, name=name)(hidden)
        if is_layer:
            given = {"Activation": ["softmax"], "Softmax": [], "Reshape": [(1, CLASSES)]}[head]
            output = layers.Softmax()(output) if head == "Reshape" else output
            output = getattr(layers, head)(*given, name=f"{name}_output")(output)
        outputs[name], losses[name], labels[name] = output, loss, label
    model = library.Model(inputs, outputs)
    weights = {name: 1.0 + place / 4 for place, name in enumerate(HEADS)}
    model.compile(library.optimizers.SGD(1.0), losses, loss_weights=weights)
    return model, labels


@BOTH
@pytest.mark.parametrize("scale", [pytest.param(1.0, marks=nightly), 300.0])
def test_gradients_are_those_of_fit_for_every_head_and_loss(library, scale):
    model, y = many_headed(library, scale)
    found = kerasinit.diagnose(model, X, y)
    moved = step_of_fit(model, X, y)
    gradients = {name: gradients_of(found).get(name, 0.0) for name in moved}
    assert gradients == pytest.approx(moved, rel=1e-4, abs=1e-6)
    # Where Keras takes the logits no probability is clipped, however large the sums.
    logits = ("one_hot", "sparse", "binary", "many", "tensorflow", "tensorflow_binary", "layer")
    logits += ("own_softmax", "own_sparse", "own_sigmoid")
    assert all(gradients[name] > 0 for name in logits)
    ratios = {row.name: row.update_ratio for row in found.layers if row.update_ratio}
    for name in ("one_hot", "binary"):
        kernel = model.get_layer(name).kernel
        assert 0 < ratios[name] <= 1.001 * moved[name] / np.linalg.norm(compat.read(kernel))


@BOTH
def test_a_softmax_in_a_models_own_call_is_differentiated_as_in_fit(library):
    """Also where the loss is looked at after the next step, and by a monitor while `fit` runs."""

    class Own(library.Model):
        def __init__(self):
            super().__init__()
            self.inner = library.layers.Dense(CLASSES)

        def call(self, x):
            return tf.nn.softmax(self.inner(x))

    x = 300 * X
    for eager in (False, True):
        library.utils.set_random_seed(1)
        model = Own()
        model(x)
        model.compile(library.optimizers.SGD(1.0), "categorical_crossentropy", run_eagerly=eager)
        found = kerasinit.diagnose(model, x, ONE_HOT)
        (head,) = found.measured.heads
        assert (head.activation, head.logits) == ("softmax", not eager)
        monitor = kerasinit.SignalMonitor(x, ONE_HOT, every=1)
        losses = [
            model.fit(x, ONE_HOT, batch_size=N, shuffle=False, verbose=0, callbacks=[monitor])
            for _ in range(2)
        ]
        losses = [one.history["loss"][0] for one in losses]
        (row,) = found.layers
        assert [found.measured.loss, found.measured.step.loss] == pytest.approx(losses, rel=1e-4)
        assert monitor.history[0].diagnosis.layers[0].weight_gradient == row.weight_gradient
        if not eager:
            assert row.weight_gradient > 0
            assert row.gradient > 0


@ONE_OF_BOTH
def test_a_monitor_traces_such_a_model_once(library):
    traced = []

    class Own(library.Model):
        def __init__(self):
            super().__init__()
            self.inner = library.layers.Dense(CLASSES)

        def call(self, x):
            traced.append(tf.is_symbolic_tensor(x))
            return tf.nn.softmax(self.inner(x))

    model = Own()
    model(X)
    counts = []
    for batch in (N // 2, N // 4):
        model.compile(library.optimizers.SGD(1.0), "categorical_crossentropy")
        traced.clear()
        monitor = kerasinit.SignalMonitor(X, ONE_HOT, every=1)
        model.fit(X, ONE_HOT, batch_size=batch, verbose=0, callbacks=[monitor])
        counts.append((sum(traced), len(monitor.history)))
    (few, looks), (many, more_looks) = counts
    assert more_looks > looks > 1
    assert many == few


@each_value_once(library=INSTALLED, structure=[list, dict])
def test_losses_labels_and_weights_go_by_name_or_by_place(library, structure):
    def two(loss, weights=None):
        hidden = library.layers.Dense(4, "tanh")(inputs := library.Input((6,)))
        a, b = (library.layers.Dense(1, name=name)(hidden) for name in "ab")
        model = library.Model(inputs, [a, b] if structure is list else {"a": a, "b": b})
        model.compile(library.optimizers.SGD(1.0), loss, loss_weights=weights)
        return model

    named = {"a": X[:, 0], "b": X[:, 1:2]}
    placed = [X[:, 0], X[:, 1:2]]
    cases = [({"a": "mse", "b": "mae"}, named, {"a": 1.0, "b": 0.0}), ("mse", named, None)]
    if structure is list:
        cases += [(["mse", "mae"], placed, [0.5, 2.0]), (["mse", "mae"], tuple(placed), None)]
    for loss, y, weights in cases:
        model = two(loss, weights)
        found = gradients_of(kerasinit.diagnose(model, X, y))
        moved = step_of_fit(model, X, y)
        assert {name: found.get(name, 0.0) for name in moved} == pytest.approx(moved, rel=1e-4)
    assert gradients_of(kerasinit.diagnose(two("mse"), X, y, loss="mae"))


@BOTH
@pytest.mark.parametrize("loss", ["mse", "mae", "binary_crossentropy", "hinge", "huber", "poisson"])
def test_labels_in_a_row_are_labels_in_a_column(library, loss):
    model = library.Sequential([library.Input((6,)), library.layers.Dense(1, "sigmoid")])
    model.compile("adam", loss)
    row, column = (kerasinit.diagnose(model, X, y) for y in (BINARY, BINARY[:, None]))
    assert row == column
    if loss == "mse":
        monitor = kerasinit.SignalMonitor(X, BINARY, every="epoch")
        model.fit(X, BINARY, callbacks=[monitor], verbose=0)
        assert monitor.history[0].diagnosis == row


@ONE_OF_BOTH
# Keras 3.16 says it of a recurrent layer that returns its last step.
@pytest.mark.filterwarnings("ignore:.*was passed an input with a mask attached to it:UserWarning")
def test_masks_sample_weights_and_class_weights_weigh_as_in_fit(library):
    words = np.random.default_rng(0).integers(1, 9, (N, 5))
    words[:, 3:] = 0
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((5,)),
            layers.Embedding(9, 4, mask_zero=True),
            layers.LSTM(3, return_sequences=True),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(library.optimizers.SGD(1.0), "binary_crossentropy")
    y = (words[:, :, None] % 2).astype("float32")
    assert gradients_of(kerasinit.diagnose(model, words, y)) == pytest.approx(
        step_of_fit(model, words, y), rel=1e-4
    )

    model = library.Sequential([library.Input((6,)), library.layers.Dense(CLASSES, "softmax")])
    model.compile(library.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    weigh = [
        {"sample_weight": np.linspace(0.0, 3.0, N)},
        {"class_weight": {0: 0.1, 1: 1.0, 2: 5.0}},
    ]
    for given in weigh:
        found = gradients_of(kerasinit.diagnose(model, X, NUMBERS, **given))
        assert found == pytest.approx(step_of_fit(model, X, NUMBERS, **given), rel=1e-4)
        assert found != gradients_of(kerasinit.diagnose(model, X, NUMBERS))
    for given, words in (
        ({"sample_weight": np.ones(3)}, "sample_weight 3"),
        ({"sample_weight": np.ones(N), "class_weight": {0: 1.0}}, "not both"),
    ):
        with pytest.raises(ValueError, match=words):
            kerasinit.diagnose(model, X, NUMBERS, **given)
    with pytest.raises(ValueError, match="needs labels"):
        kerasinit.SignalMonitor(X, class_weight={0: 2.0})


def test_a_loss_of_the_models_own_is_asked():
    @keras.saving.register_keras_serializable("tests")
    class Own(keras.Sequential):
        def compute_loss(self, inputs=None, labels=None, given=None, weights=None):
            return 3 * keras.ops.mean((given - labels) ** 2) + sum(self.losses)

    layers = [keras.Input((6,)), keras.layers.Dense(1, kernel_regularizer="l2")]
    model = Own(layers)
    model.compile(keras.optimizers.SGD(1.0))
    found = kerasinit.diagnose(model, X, X[:, :1])
    assert found.measured.objective == "Own.compute_loss"
    assert gradients_of(found) == pytest.approx(step_of_fit(model, X, X[:, :1]), rel=1e-4)
    # Another one may be looked at, the compiled one stays.
    other = kerasinit.diagnose(model, X, X[:, :1], loss="mse")
    assert other.measured.objective == "mse"
    assert sum(gradients_of(other).values()) < sum(gradients_of(found).values())


@ONE_OF_BOTH
def test_the_compilation_stays_to_the_last_bit(library):
    model, y = many_headed(library, 1.0)
    metrics, loss = len(model.metrics), model.loss
    config = repr(model.get_compile_config())
    before = [compat.read(one).tobytes() for one in optimizers.optimizer_variables(model)]
    kerasinit.diagnose(model, X, y)
    kerasinit.diagnose(model, X, y, loss=dict(HEADS_LOSSES))
    assert len(model.metrics) == metrics
    assert model.loss is loss
    assert repr(model.get_compile_config()) == config
    assert [compat.read(one).tobytes() for one in model.optimizer.variables] == before


@BOTH
@pytest.mark.parametrize("head", ["activation", "own call"])
def test_scores_of_the_lottery_see_the_loss_of_fit(library, head):
    layer = library.layers.Dense(CLASSES, tf.nn.softmax, name="dense")
    if head == "own call":
        layer = own_head(library, tf.nn.softmax, name="dense")
    model = library.Sequential([library.Input((6,)), layer])
    model.compile(library.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    x = 300 * X
    before = compat.read(model.weights[0])
    (scores,) = saliency.snip(model, x, NUMBERS).values()
    model.fit(x, NUMBERS, batch_size=N, shuffle=False, verbose=0)
    after = compat.read(model.weights[0])
    assert scores.max() > 0
    assert scores == pytest.approx(np.abs(before * (before - after)), rel=1e-3, abs=1e-3)
