"""Transfer from saved weights: layers that know digits need two images of each.

A network learns the digits from half of the images and is saved. A second one has only two images
of each digit from the other half. Its hidden layers begin with the values in the file, by
`kerasinit.FromModel`; its last layer, which gives the names, is new. What the first network
learned to see need not be learned again, so the second one needs fewer images and fewer steps
than one that begins with random weights.

The new layer begins with zeros, for its units are told apart by the labels. Then its first step
sends no gradient down. Drawn by Glorot's rule on signals as large as those of trained layers, it
answers loudly and wrong, and the steps that mend it spoil what was transferred: with
`kerasinit.GlorotNormal` as its initializer hardly anything is gained here. (This is transfer at
its easiest, between halves of one set; the paper measures what is left between tasks that
differ more.)

The file is read directly and nothing in it is executed; the initializer keeps a digest of the
values, so a file that was changed since is noticed.

Reference: Yosinski, Clune, Bengio and Lipson, 2014, "How transferable are features in deep neural
networks?".
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import kerasinit

EACH, EPOCHS, SEEDS = 2, 20, (1, 2, 3)
SHOWN = (1, 2, 5, 10, 15, 20)
LOOKS = {"random (He)": ("#D55E00", "--"), "from the file": ("#0072B2", "-")}


def build(kernels, biases):
    """Return a network whose hidden layers start with the given initializers."""
    model = keras.Sequential([keras.Input((64,))])
    for units, kernel, bias in zip((64, 32), kernels, biases, strict=True):
        dense = keras.layers.Dense(units, "relu", kernel_initializer=kernel, bias_initializer=bias)
        model.add(dense)
    model.add(keras.layers.Dense(10, kernel_initializer=kerasinit.Zeros()))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"], jit_compile=False)
    return model


def drawn(seed):
    """Return initializers of random hidden layers: kernels and biases."""
    kernels = [kerasinit.HeNormal(seed=10 * seed + layer) for layer in (1, 2)]
    return kernels, [kerasinit.Zeros(), kerasinit.Zeros()]


def saved(path):
    """Return initializers that take the hidden layers of a saved model."""
    return [
        [kerasinit.FromModel(path, f"{layer}/{what}") for layer in ("dense", "dense_1")]
        for what in ("kernel", "bias")
    ]


def main():
    images, labels = load_digits(return_X_y=True)
    images = ((images - images.mean()) / images.std()).astype("float32")
    half = len(images) // 2
    keras.utils.set_random_seed(0)
    teacher = build(*drawn(seed=0))
    teacher.fit(images[:half], labels[:half], batch_size=32, epochs=20, verbose=0)
    path = Path(tempfile.mkdtemp()) / "teacher.keras"
    teacher.save(path)
    print(f"Saved {path}; in it are {', '.join(kerasinit.variables_in(path))}\n")

    print(f"Accuracy on images not seen, learnt from {EACH} of each digit\n")
    print(f"{'hidden layers':14}{'epoch':>8}" + "".join(f"{epoch:8}" for epoch in SHOWN))
    curves = {name: [] for name in LOOKS}
    for name, runs in curves.items():
        for seed in SEEDS:
            hidden = saved(path) if name == "from the file" else drawn(seed)
            model = build(*hidden)
            runs.append(accuracies(model, images[half:], labels[half:], seed))
            shown = "".join(f"{runs[-1][epoch - 1]:8.1%}" for epoch in SHOWN)
            print(f"{name:14}{f'seed {seed}':>8}{shown}", flush=True)
    print(f"\nSaved {picture(curves)}")

    for seed, random, transferred in zip(SEEDS, *curves.values(), strict=True):
        if transferred[-1] < random[-1] + 0.05:
            sys.exit(f"At seed {seed} the file was to be worth five points or more.")


def accuracies(model, images, digits, seed):
    """Train with a few images of each digit; return the accuracy on the rest by epoch."""
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(digits))
    few = np.concatenate([order[digits[order] == digit][:EACH] for digit in range(10)])
    rest = np.setdiff1d(order, few)
    history = model.fit(
        images[few],
        digits[few],
        batch_size=5,
        epochs=EPOCHS,
        validation_data=(images[rest], digits[rest]),
        validation_batch_size=1024,
        verbose=0,
    )
    return history.history["val_accuracy"]


def picture(curves):
    """Draw the accuracies by epoch, and return the new file's path."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    epochs = range(1, EPOCHS + 1)
    for name, runs in curves.items():
        color, style = LOOKS[name]
        for seed, run in zip(SEEDS, runs, strict=True):
            label = f"hidden layers {name}" if seed == SEEDS[0] else None
            axes.plot(epochs, 100 * np.array(run), style, color=color, label=label)
    axes.axhline(10, color="0.6", linewidth=1, zorder=0)
    axes.text(EPOCHS, 11, "guessing", ha="right", va="bottom", color="0.4")
    axes.set(xlabel="epoch", ylabel="accuracy on images not seen (%)", ylim=(0, 100))
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.set_title(f"Digits from {EACH} images of each ({len(SEEDS)} seeds)")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.15))
    path = os.path.join(tempfile.mkdtemp(), "transfer_from_saved_weights.png")
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    main()
