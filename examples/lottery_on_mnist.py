"""A lottery on MNIST with the Python API: a network of your own, and its winning ticket used.

Needs MNIST, which Keras downloads once; without a network, or to see it fast, it falls
back to the digits that scikit-learn ships.
"""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from rich.console import Console

import kerasinit
from kerasinit import lottery, pruning


def build(input_shape, num_classes):
    """Return a compiled network; the lottery calls this once for every set of first weights."""
    size = 1
    for side in input_shape:
        size *= side
    model = keras.Sequential(
        [
            keras.Input((size,)),
            keras.layers.Dense(128, "relu", kernel_initializer=kerasinit.HeNormal()),
            keras.layers.Dense(64, "relu", kernel_initializer=kerasinit.HeNormal()),
            keras.layers.Dense(num_classes, kernel_initializer=kerasinit.GlorotNormal()),
        ]
    )
    model.compile(
        keras.optimizers.Adam(1.2e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def load():
    """Return MNIST if it is on this machine or can be had, else the digits."""
    try:
        return lottery.load("mnist")
    except OSError:
        print("MNIST is not here and cannot be downloaded: the digits instead.\n")
        return lottery.load("digits")


data = load()
experiment = lottery.Experiment(
    iterations=1500, levels=3, rate=0.5, output_rate=0.3, trials=1, controls=("reinit",)
)
with tempfile.TemporaryDirectory() as folder:
    run = lottery.run(experiment, out=Path(folder) / "run", build=build, data=data)
    Console(width=100).print(lottery.table(run))

    # The sparsest ticket, in a network of its own: the masks hold in an ordinary fit.
    last = max(place for place in run.places() if place.branch == "ticket")
    ticket = lottery.load_ticket(run.stage(last).ticket_path)

model = ticket.apply(build(data.input_shape, data.num_classes))
x_train = data.x_train.reshape(len(data.x_train), -1)
x_test = data.x_test.reshape(len(data.x_test), -1)
model.fit(
    x_train,
    data.y_train,
    batch_size=60,
    epochs=1 if len(x_train) > 10_000 else 30,
    callbacks=[pruning.HoldMasks(ticket.masks)],
    verbose=0,
)
_, accuracy = model.evaluate(x_test, data.y_test, verbose=0)
left = sum(int((layer.kernel.numpy() != 0).sum()) for layer in model.layers)
print(f"The ticket again, by fit: {left} of {ticket.masks.size} weights, accuracy {accuracy:.4f}")
