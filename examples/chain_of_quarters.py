"""Sigmoid's chain of quarters: why deep sigmoid networks waited for other activations.

The slope of a sigmoid is at most 1/4. With orthogonal weights, which keep all lengths, each layer
thus multiplies the gradient's length by 1/4 at most on its way back: after ten layers a
millionth is left, and the first layers stand still. No luck with the weights helps as long
as they keep lengths; tanh, whose slope is up to 1, passes the gradient on.

The table shows the length of the gradient that `kerasinit.diagnose` measures at each layer,
beside the bound; then both networks are trained with the same steps.

Reference: Hochreiter, 1991, "Untersuchungen zu dynamischen neuronalen Netzen" (the bound by
quarters); Glorot and Bengio, 2010, "Understanding the difficulty of training deep
feedforward neural networks", section 3.
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

DEPTH, WIDTH, EPOCHS = 10, 64, 10
LOOKS = {"sigmoid": ("#D55E00", "s-"), "tanh": ("#0072B2", "o-")}


def build(activation):
    """Return a network of hidden layers whose weights keep lengths."""
    model = keras.Sequential([keras.Input((WIDTH,))])
    for seed in range(DEPTH):
        initializer = kerasinit.Orthogonal(seed=seed)
        model.add(keras.layers.Dense(WIDTH, activation, kernel_initializer=initializer))
    model.add(keras.layers.Dense(10, kernel_initializer=kerasinit.Orthogonal(seed=DEPTH)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss, jit_compile=False)
    return model


def main():
    images, labels = load_digits(return_X_y=True)
    x = ((images - images.mean()) / images.std()).astype("float32")
    gradients, losses = {}, {}
    for activation in LOOKS:
        keras.utils.set_random_seed(1)
        model = build(activation)
        report = kerasinit.diagnose(model, x, labels)
        gradients[activation] = np.array([row.gradient for row in report.layers[:DEPTH]])
        history = model.fit(x, labels, batch_size=32, epochs=EPOCHS, verbose=0)
        losses[activation] = history.history["loss"]

    sigmoid, tanh = gradients["sigmoid"], gradients["tanh"]
    bound = sigmoid[-1] * 0.25 ** np.arange(DEPTH - 1, -1, -1)
    print("Length of the gradient of the loss at the output of each hidden layer\n")
    heads = ("sigmoid", "x the next", "quarters", "tanh", "x the next")
    print("layer" + "".join(f"{head:>12}" for head in heads))
    for layer in range(DEPTH, 0, -1):
        place = layer - 1
        print(
            f"{layer:5}{sigmoid[place]:12.2e}{_factor(sigmoid, place):>12}{bound[place]:12.2e}"
            f"{tanh[place]:12.2e}{_factor(tanh, place):>12}"
        )
    print(f"\nLoss after {EPOCHS} epochs (guessing: {math.log(10):.3f}): ", end="")
    print(", ".join(f"{name} {curve[-1]:.3f}" for name, curve in losses.items()))
    print(f"Saved {picture(gradients, bound, losses)}")

    if (sigmoid > 1.0001 * bound).any():
        sys.exit("A sigmoid let more than a quarter of a gradient through.")
    if tanh[0] < 100 * sigmoid[0] or losses["sigmoid"][-1] < 2.2 or losses["tanh"][-1] > 0.5:
        sys.exit("Sigmoid was to stand still and tanh to learn; they did not.")


def _factor(gradients, place):
    return f"{gradients[place] / gradients[place + 1]:.3f}" if place + 1 < DEPTH else ""


def picture(gradients, bound, losses):
    """Draw the gradients by layer and the losses, and return the new file's path."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    depths = np.arange(1, DEPTH + 1)
    left.semilogy(depths, bound, ":", color="0.3", label="bound: a quarter for each layer")
    for name, (color, style) in LOOKS.items():
        left.semilogy(depths, gradients[name], style, color=color, label=name)
        right.plot(range(1, EPOCHS + 1), losses[name], style, color=color, label=name)
    left.set(xlabel="layer", ylabel="length of the gradient", xticks=depths)
    left.set_title("Gradient before training")
    left.legend()
    right.axhline(math.log(10), color="0.6", linewidth=1, zorder=0)
    right.text(EPOCHS, math.log(10) + 0.1, "guessing: ln 10", ha="right", color="0.4")
    right.set(xlabel="epoch", ylabel="cross-entropy (nats)", ylim=(0, 2.6), xticks=depths)
    right.set_title("Training loss")
    right.legend(loc="center right")
    path = os.path.join(tempfile.mkdtemp(), "chain_of_quarters.png")
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    main()
