"""Models whose variables have had different names, and files that were written under each.

``tests/network/files`` holds them for each format of tickets: a ticket of each model, and a small
finished run. They were written, in the format of the version that it ran with, by::

    python -c "from tests.network import named_models; named_models.write('FOLDER')"
"""

from pathlib import Path

import keras
import numpy as np

from kerasinit import lottery, pruning
from kerasinit._src import compat
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.parts import named_variables
from tests.kerases import KERASES

FILES = Path(__file__).parent / "files"


def _holding(library):
    @library.utils.register_keras_serializable("named")
    class Holding(library.layers.Layer):
        """A layer that holds layers, and chooses among their kernels, the later first."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = library.layers.Dense(3)
            self.second = library.layers.Dense(3)

        def build(self, shape):
            self.first.build(shape)
            self.second.build((*shape[:-1], 3))
            self.built = True

        def call(self, inputs):
            return self.second(self.first(inputs))

        def get_prunable_weights(self):
            return [self.second.kernel, self.first.kernel]

    return Holding()


def _own(library):
    class Own(library.Model):
        """A model with variables of its own."""

        def __init__(self):
            super().__init__()
            self.dense = library.layers.Dense(3)

        def build(self, shape):
            self.mixing = self.add_weight(shape=(3, 3), name="mixing")
            self.shift = self.add_weight(shape=(3,), name="shift")
            self.dense.build(shape)
            self.built = True

        def call(self, inputs):
            return self.dense(inputs) @ self.mixing + self.shift

        def get_prunable_weights(self):
            return [self.mixing]

    model = Own()
    model(np.zeros((2, 4), "float32"))
    return model


def _attention(library):
    inputs = library.Input((5, 4))
    outputs = library.layers.MultiHeadAttention(2, 2, dropout=0.1)(inputs, inputs)
    return library.Model(inputs, library.layers.Dense(2)(outputs))


def _nested(library):
    def inner():
        layers = library.layers
        return library.Sequential(
            [
                library.Input((4,)),
                layers.Dense(4),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.Dense(4),
            ]
        )

    return library.Sequential([library.Input((4,)), inner(), inner(), library.layers.Dense(2)])


def _sequence(library, *layers):
    return library.Sequential([library.Input((5, 4)), *layers])


MODELS = {
    "attention": _attention,
    "bidirectional": lambda library: _sequence(
        library, library.layers.Bidirectional(library.layers.LSTM(2)), library.layers.Dense(2)
    ),
    "distributed": lambda library: _sequence(
        library,
        library.layers.TimeDistributed(library.layers.Dense(2)),
        library.layers.Dropout(0.1),
    ),
    "holding": lambda library: library.Sequential([library.Input((4,)), _holding(library)]),
    "nested": _nested,
    "own": _own,
    # The layer of tf_keras 2.21 is made for the Keras inside TensorFlow, and cannot be built.
    "spectral": lambda _: keras.Sequential(
        [keras.Input((4,)), keras.layers.SpectralNormalization(keras.layers.Dense(3))]
    ),
    "stacked": lambda library: _sequence(
        library,
        library.layers.RNN(
            library.layers.StackedRNNCells(
                [library.layers.LSTMCell(2), library.layers.GRUCell(3), library.layers.LSTMCell(2)]
            )
        ),
    ),
}


CASES = [
    (name, kerase)
    for kerase in KERASES
    for name in MODELS
    if (name, kerase) != ("spectral", "tf_keras")
]


def built(name, library):
    """Return one of `MODELS`, and the values and masks that its files hold, by its variables."""
    model = MODELS[name](library)
    values, masks = {}, {}
    variables = model.variables if library is keras else model.weights
    for place, variable in enumerate(variables):
        random = np.random.default_rng(place)
        value = random.integers(1, 100, variable.shape).astype(compat.read(variable).dtype)
        values[id(variable)] = value
        masks[id(variable)] = random.random(variable.shape) < 0.5
    for weight in pruning.prunable_weights(model):
        values[id(weight.variable)] = values[id(weight.variable)] * masks[id(weight.variable)]
    return model, values, masks


def ticket(name, library):
    """Return the ticket of one of `MODELS`."""
    model, values, masks = built(name, library)
    weights = pruning.prunable_weights(model)
    return lottery.Ticket(
        Masks({weight.name: masks[id(weight.variable)] for weight in weights}),
        {name: values[id(variable)] for name, variable in named_variables(model).items()},
        {"model": name},
    )


def data():
    """Return examples that a network is trained on in a blink."""
    random = np.random.default_rng(0)
    x = random.standard_normal((60, 4)).astype("float32")
    y = (x @ random.standard_normal((4, 3))).argmax(1)
    return lottery.Dataset(x[20:], y[20:], x[:20], y[:20], name="named")


def build():
    """Return the network of the run, whose kernels have had different names."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            _holding(keras),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(3),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


EXPERIMENT = lottery.Experiment(
    dataset="named",
    levels=2,
    trials=1,
    iterations=4,
    evaluate_every=2,
    batch_size=5,
    validation=10,
    rewind="step:2",
    controls=("reinit", "shuffle"),
    xla=False,
)


def write(folder):
    """Write a ticket of each model in each Keras, and a finished run."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    for name, kerase in CASES:
        ticket(name, KERASES[kerase]).save(folder / f"{name}.{kerase}.safetensors")
    lottery.run(EXPERIMENT, out=folder / "run", build=build, data=data())
