"""A small problem that trains in a blink, and builders for it in both Kerases."""

from dataclasses import replace

import numpy as np

import kerasinit
from kerasinit.lottery import Dataset
from tests.kerases import KERASES


def blobs(examples=210, features=8, classes=3):
    """Linearly separable classes, so that a few steps learn something.

    There are as many examples to test as to validate, so that one graph evaluates both: most
    of what a small run takes is tracing.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, features)).astype("float32")
    y = (x @ rng.standard_normal((features, classes))).argmax(1)
    test = examples // 7
    return Dataset(x[test:], y[test:], x[:test], y[:test], name="blobs")


def misled(data):
    """Change a third of the labels that the first trial of seed 0 validates on.

    The surer a network that learns the others, the higher its loss on these: the early stop is
    long before the end, on any processor.
    """
    labels, (_, validation) = data.y_train.copy(), data.split(seed=0, trial=0)
    labels[validation[::3]] = (labels[validation[::3]] + 1) % data.num_classes
    return replace(data, y_train=labels)


def builder(kerase="keras", *, learning_rate=0.01, layers=(), seed=None):
    """Return a function that builds and compiles a network for `blobs`."""
    library = KERASES[kerase]

    def build():
        model = library.Sequential(
            [
                library.layers.InputLayer((8,)),
                library.layers.Dense(16, "relu", kernel_initializer=kerasinit.HeNormal(seed=seed)),
                *(getattr(library.layers, name)(*args) for name, *args in layers),
                library.layers.Dense(3, kernel_initializer=kerasinit.GlorotUniform()),
            ]
        )
        model.compile(
            library.optimizers.Adam(learning_rate),
            library.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    # What the run calls it must not depend on the Keras, so that twins can be compared.
    build.__qualname__ = "build"
    return build
