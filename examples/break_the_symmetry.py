"""Zeros and constants do not break symmetry: a layer of 32 units that learns as one.

Units with the same weights compute the same, get the same gradient, and move alike: the
layer stays one unit, however wide it is and however long it trains. With all weights zero it is
worse: no gradient passes a kernel of zeros, and nothing but the last bias moves. Any random
values part the units; only then it matters how large they are.

`kerasinit.diagnose` says so before training. The picture is made from what
`kerasinit.SignalMonitor` logs while the network trains: how many units of the hidden layer have
the weights of another one, and the loss.

Reference: Goodfellow, Bengio and Courville, 2016, "Deep learning", section 8.4 (the initial
parameters need to "break symmetry").
"""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

import kerasinit

UNITS, EPOCHS = 32, 12
INITIALIZERS = {
    "zeros": kerasinit.Zeros(),
    "constant 0.1": kerasinit.Constant(0.1),
    "random (Glorot)": kerasinit.GlorotUniform(seed=1),
}
LOOKS = {
    "zeros": ("#D55E00", "o", "--"),  # drawn as rings, since another curve lies below
    "constant 0.1": ("#E69F00", "s", "-"),
    "random (Glorot)": ("#0072B2", "^", "-"),
}


def train(initializer, x, y):
    """Train a network of one hidden layer; return the report before, the monitor, the losses."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(UNITS, "tanh", kernel_initializer=initializer),
            layers.Dense(10, kernel_initializer=initializer),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    report = kerasinit.diagnose(model, x, y)
    monitor = kerasinit.SignalMonitor(x, y, every="epoch")
    history = model.fit(x, y, batch_size=32, epochs=EPOCHS, callbacks=[monitor], verbose=0)
    return report, monitor, history.history


def main():
    images, labels = load_digits(return_X_y=True)
    x = ((images - images.mean()) / images.std()).astype("float32")
    print(f"{'first weights':16}{'units alike':>12}{'at the end':>12}{'loss':>8}{'accuracy':>10}")
    results = {}
    for name, initializer in INITIALIZERS.items():
        report, monitor, history = train(initializer, x, labels)
        alike = [look.diagnosis.layers[0].twins.alike for look in monitor.history]
        results[name] = alike, history["loss"]
        loss, accuracy = history["loss"][-1], history["accuracy"][-1]
        print(f"{name:16}{alike[0]:12}{alike[-1]:12}{loss:8.3f}{accuracy:10.1%}")
        told = [f"{one.kind}: {one.evidence}" for one in report.findings]
        print(f"  diagnosis before training: {told[0] if told else 'nothing found'}")
    print(f"\nSaved {picture(results)}")

    *others, random = results
    alike, (*_, least) = results[random]
    if alike[-1]:
        sys.exit(f"Random values were to differ; {alike[-1]} units are alike.")
    for name in others:
        # 32 units that are alike are one unit, and one unit cannot tell ten digits apart.
        alike, losses = results[name]
        if alike[-1] < UNITS or losses[-1] < 5 * least:
            sys.exit(f"{name} were to stay alike; alike {alike[-1]}, loss {losses[-1]:.3f}.")


def picture(results):
    """Draw units that are alike and the losses, and return the new file's path."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for name, (alike, losses) in results.items():
        color, marker, style = LOOKS[name]
        look = {"color": color, "marker": marker, "linestyle": style, "label": name}
        if name == "zeros":
            look |= {"markersize": 11, "fillstyle": "none", "zorder": 3}
        left.plot(range(len(alike)), alike, **look)
        right.plot(range(1, len(losses) + 1), losses, **look)
    left.set(xlabel="epochs trained", ylabel=f"units alike, of {UNITS}", ylim=(-1.5, UNITS + 1.5))
    left.set_title("Hidden units with the weights of another one")
    right.set(xlabel="epoch", ylabel="cross-entropy (nats)", ylim=(0, 2.5))
    right.set_title("Training loss")
    left.legend(loc="center")
    path = os.path.join(tempfile.mkdtemp(), "break_the_symmetry.png")
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    main()
