"""Nothing found means nothing wrong: layers that no gradient comes to, weights never drawn."""

import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from tests.diagnosis import networks
from tests.kerases import INSTALLED, KERASES
from tests.products import each_value_once

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
CUTS = {
    "stop_gradient": tf.stop_gradient,
    "round": tf.round,
    "floor": tf.floor,
    "comparison": lambda x: tf.cast(x > 0, tf.float32),
    "argmax": lambda x: tf.one_hot(tf.argmax(x, -1), 16),
}


def cut(library, name, trainable=True):
    class Cut(library.layers.Layer):
        def call(self, x):
            return CUTS[name](x)

    layers = library.layers
    hidden = [layers.Dense(16, "relu"), layers.Dense(16, "relu")]
    for layer in hidden:
        layer.trainable = trainable
    return library.Sequential([library.Input((8,)), *hidden, Cut(), layers.Dense(1)])


@each_value_once(library=INSTALLED, name=list(CUTS))
def test_hidden_layers_that_no_gradient_comes_to_are_told(library, name):
    model, x = cut(library, name), networks.batch(64, 8)
    model.compile("sgd", "mse")
    for y in (None, x[:, :1]):
        report = kerasinit.diagnose(model, x, y)
        (finding,) = report.findings
        assert (finding.kind, finding.layer, finding.others) == (
            "no-gradient",
            "dense",
            ("dense_1",),
        )
    # Frozen on purpose, it is what was wanted.
    assert kerasinit.diagnose(cut(library, name, trainable=False), x).ok


@BOTH
def test_an_embedding_that_no_gradient_comes_to_is_told(library):
    class Cut(library.layers.Layer):
        def call(self, x):
            return tf.stop_gradient(x)

    layers = library.layers
    inputs = library.Input((4,), dtype="int32")
    x = layers.Flatten()(Cut()(layers.Embedding(10, 8)(inputs)))
    model = library.Model(inputs, layers.Dense(2)(layers.Dense(8, "relu")(x)))
    words = np.random.default_rng(0).integers(0, 10, (16, 4))
    (finding,) = kerasinit.diagnose(model, words).findings
    assert (finding.kind, finding.layer) == ("no-gradient", "embedding")


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@BOTH
def test_a_network_of_which_nothing_learns_is_told(library):
    """A softmax over one number is always one."""
    layers = library.layers
    model = library.Sequential(
        [library.Input((8,)), layers.Dense(16, "tanh"), layers.Dense(1, "softmax")]
    )
    findings = kerasinit.diagnose(model, networks.batch(64, 8)).findings
    # Not also "no-gradient", which follows from it: exactly, or but for rounding.
    assert [(one.kind, one.layer) for one in findings] == [("constant-output", "dense_1")]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@BOTH
def test_the_monitor_tells_of_layers_without_a_gradient(library):
    model, x = cut(library, "stop_gradient"), networks.batch(64, 8)
    model.compile("sgd", "mse")
    monitor = kerasinit.SignalMonitor(x, x[:, :1], every=1)
    model.fit(x, x[:, :1], batch_size=32, verbose=0, callbacks=[monitor])
    told = [[one.kind for one in look.diagnosis.findings] for look in monitor.history]
    assert told == [["no-gradient"]] * len(told)


@BOTH
def test_weights_that_are_never_drawn_are_not_blamed_on_initializers(library):
    class Own(library.layers.Layer):
        def get_config(self):
            raise NotImplementedError("so that it cannot be built a second time")

        def build(self, input_shape):
            shape = (input_shape[-1], 16)
            self.w = self.add_weight(shape=shape, initializer="glorot_uniform", name="w")

        def call(self, x):
            return tf.nn.relu(tf.matmul(x, tf.convert_to_tensor(self.w)))

    model = library.Sequential([library.Input((8,)), Own(), library.layers.Dense(1)])
    value = np.array(model.layers[0].get_weights()[0])
    value[0, 0] = np.nan
    model.layers[0].set_weights([value])
    x = networks.batch(64, 8)
    (finding,) = kerasinit.diagnose(model, x, seeds=3).findings
    assert (finding.kind, finding.layer, finding.as_is, finding.seeds) == (
        "non-finite",
        "own",
        True,
        (),
    )
    # The line mends it.
    exec(finding.advice.split(": ", 1)[1], {"kerasinit": kerasinit, "model": model})
    assert kerasinit.diagnose(model, x).ok
