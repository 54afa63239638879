"""Small normals vanish, large ones explode: what twenty layers make of a signal.

A layer of width n whose weights have the standard deviation s multiplies the signal's standard
deviation by about s sqrt(n) (times sqrt(1/2) after relu), and so does the gradient on its way
back. One factor is harmless; to the power of 20 it is not. Only near one value, He's
sqrt(2 / n) for relu, the factor is 1, and 20 layers or 200 make no difference.

The table compares what `kerasinit.diagnose` measures at the last hidden layer, and of the
gradient at the first, with that theory; then each network is trained for a while.

Reference: Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward
neural networks"; He, Zhang, Ren and Sun, 2015, "Delving deep into rectifiers", section 2.2.
"""

import math
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import kerasinit

DEPTH, WIDTH, EPOCHS = 20, 256, 3
HE = math.sqrt(2 / WIDTH)
# Standard deviation of the weights, colour, line.
NORMALS = {
    "small, 0.01": (0.01, "#D55E00", "--"),
    "He, sqrt(2 / 256)": (HE, "#0072B2", "-"),
    "large, 0.2": (0.2, "#009E73", "-."),
}


def build(stddev):
    """Return a network of DEPTH hidden layers; the widths are one, so that one factor rules."""
    layers = [
        keras.layers.Dense(
            WIDTH, "relu", kernel_initializer=kerasinit.RandomNormal(stddev=stddev, seed=layer)
        )
        for layer in range(DEPTH)
    ]
    head = keras.layers.Dense(10, kernel_initializer=kerasinit.GlorotNormal(seed=DEPTH))
    model = keras.Sequential([keras.Input((WIDTH,)), *layers, head])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
    return model


def main():
    images, labels = load_digits(return_X_y=True)
    # Each pixel four times: 256 inputs, as many as the layers have units.
    x = np.repeat((images - images.mean()) / images.std(), 4, axis=1).astype("float32")
    print(f"Root mean square of the signal after {DEPTH} layers of relu, {WIDTH} wide\n")
    print(f"{'weights':20}{'measured':>10}{'theory':>10}{'gradient, 1st layer':>22}{'loss':>9}")
    reports, losses = {}, {}
    for name, (stddev, *_) in NORMALS.items():
        model = build(stddev)
        report = reports[name] = kerasinit.diagnose(model, x, labels)
        first, last = report.layers[0], report.layers[DEPTH - 1]
        theory = (stddev / HE) ** DEPTH
        keras.utils.set_random_seed(1)  # the order of the examples
        losses[name] = model.fit(x, labels, epochs=EPOCHS, verbose=0).history["loss"][-1]
        print(
            f"{name:20}{math.sqrt(last.signal.square):10.1e}{theory:10.1e}"
            f"{first.gradient:22.1e}{losses[name]:9.3f}"
        )
        print(f"  diagnosis: {', '.join(one.kind for one in report.findings) or 'nothing found'}")
        if abs(math.log10(math.sqrt(last.signal.square) / theory)) > 1:
            sys.exit(f"{name}: the signal is not within a factor of ten of the theory.")
    print(f"\nSaved {picture(reports)}")

    small, he, large = losses.values()
    # He's loss is 0.3 to 1.6 by then, as the order of the examples and rounding have it.
    if not (he < 2.0 and abs(small - math.log(10)) < 0.05 and not large < math.log(10)):
        sys.exit(f"Only He's values were to train; the losses are {losses}.")


def picture(reports):
    """Draw signal and gradient by depth, and return the new file's path."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained", sharex=True)
    depths = np.arange(1, DEPTH + 1)
    for name, report in reports.items():
        stddev, color, style = NORMALS[name]
        rows = report.layers[:DEPTH]
        axes[0].semilogy(depths, [row.signal.square**0.5 for row in rows], style, color=color)
        axes[0].semilogy(depths, (stddev / HE) ** depths, ":", color="0.4", linewidth=1)
        gradients = [row.gradient for row in rows]
        axes[1].semilogy(depths, gradients, style, color=color, label=name)
    axes[0].plot([], [], ":", color="0.4", linewidth=1, label="theory: (s / He's s)^depth")
    axes[0].legend(loc="lower left")
    axes[1].legend(title="standard deviation s")
    axes[0].set(xlabel="layer", ylabel="root mean square", title="Signal, on the way forward")
    axes[1].set(xlabel="layer", ylabel="norm of the gradient", title="Gradient, on the way back")
    axes[0].set_xticks([1, 5, 10, 15, 20])
    path = os.path.join(tempfile.mkdtemp(), "vanish_and_explode.png")
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    main()
