"""Draw the pictures of these pages: ``python -m docs.pictures [NAME...]``.

They are written into ``docs/images/``: those of the five capabilities as SVG, and those that the
programs of ``examples/`` draw as they come. All of them take about ten minutes on two cores; names
such as ``pruning`` or ``he_against_glorot`` draw only some. Needs ``pip install -e '.[examples]'``
and no network.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import numpy as np
from sklearn.datasets import load_digits

import kerasinit
from kerasinit import lottery, pruning, shrinking
from kerasinit._src import errors
from kerasinit._src.reports import figures

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
# Whose programs draw a picture.
EXAMPLES = (
    "alexnet_against_depth",
    "break_the_symmetry",
    "chain_of_quarters",
    "he_against_glorot",
    "shrink_a_network",
    "transfer_from_saved_weights",
    "vanish_and_explode",
)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype("float32"), y


def _two_axes() -> tuple[Any, Any, Any]:
    figure = figures.new_figure(9.5, 3.4)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        figures.style_axes(axes)
    return figure, left, right


def initializers() -> Any:
    """Draw the signal through thirty layers, and through layers that a shape does not describe."""
    figure, left, right = _two_axes()
    x = np.random.default_rng(0).normal(size=(256, 256)).astype("float32")
    choices = {
        "HeNormal": kerasinit.HeNormal,
        "GlorotNormal": kerasinit.GlorotNormal,
        "RandomNormal(stddev=0.1)": lambda seed: kerasinit.RandomNormal(stddev=0.1, seed=seed),
    }
    for number, (name, make) in enumerate(choices.items()):
        signal, spread = x, []
        for depth in range(1, 31):
            signal = np.maximum(signal @ make(seed=depth)((256, 256)), 0)
            spread.append(np.sqrt(np.mean(signal**2)))
        left.semilogy(range(1, 31), spread, label=name, **figures.line_style(number, 3))
    left.set(xlabel="layer of 256 relu units", ylabel="root mean square", title="The scale")
    left.legend(frameon=False, fontsize=9)

    images = keras.Input((32, 32, 3))
    signal, shown = images, []
    layers = keras.layers
    signal = layers.Conv2D(64, 3, padding="same", kernel_initializer="lecun_normal")(signal)
    shown.append(signal)
    for _ in range(3):
        depthwise = layers.DepthwiseConv2D(3, padding="same", depthwise_initializer="lecun_normal")
        signal = depthwise(signal)
        shown.append(signal)
        signal = layers.Conv2D(64, 1, kernel_initializer="lecun_normal")(signal)
        shown.append(signal)
    for channels in (32, 16):
        signal = layers.Conv2DTranspose(
            channels, 4, strides=2, padding="same", kernel_initializer="lecun_normal"
        )(signal)
        shown.append(signal)
    model = keras.Model(images, shown)
    batch = np.random.default_rng(1).normal(size=(16, 32, 32, 3)).astype("float32")
    for number, name in enumerate(("fans of the shape (Keras)", "fans of the layer (kerasinit)")):
        if number:
            kerasinit.reinitialize(model, {"kernel": "LecunNormal"}, seed=1)
        variances = [float(np.var(one)) for one in model.predict(batch, verbose=0)]
        right.semilogy(
            range(1, len(shown) + 1), variances, label=name, **figures.line_style(1 - number)
        )
    right.set(
        xlabel="layer (depthwise: 2, 4, 6; transposed: 8, 9)",
        ylabel="variance",
        title="The fans: LeCun normal in an autoencoder",
    )
    right.legend(frameon=False, fontsize=9)
    return figure


def diagnosis() -> Any:
    """Draw a network that does not learn, and the same one after one line."""
    x, y = _digits()
    figure, left, right = _two_axes()
    for number, name in enumerate(("as Keras builds it", "after kerasinit.recommend")):
        keras.utils.set_random_seed(1)
        deep = [keras.layers.Dense(64, "sigmoid") for _ in range(10)]
        model = keras.Sequential([keras.Input((64,)), *deep, keras.layers.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.05, 0.9), loss)
        if number:
            kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)
        report = kerasinit.diagnose(model, x, y)
        gradients = [row.gradient for row in report.layers[:10]]
        style = figures.line_style(1 - number)
        left.semilogy(range(1, 11), gradients, label=name, **style)
        history = model.fit(x, y, batch_size=64, epochs=30, verbose=0).history["loss"]
        right.plot(range(1, 31), history, label=name, **{**style, "markersize": 3})
    left.set(xlabel="layer of 64 sigmoid units", ylabel="norm of dL/dh")
    left.set_title("Before training: vanishing gradients")
    right.set(xlabel="epoch", ylabel="loss", title="Training")
    left.legend(frameon=False, fontsize=9)
    return figure


def pruning_() -> Any:
    """Draw the sparsity of a network while it is pruned, and a kernel before and after."""
    x, y = _digits()
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(48, "relu"), keras.layers.Dense(10)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=10, verbose=0)
    before = model.layers[0].kernel.numpy()
    steps = 57 * 12
    end = steps * 2 // 3
    schedule = pruning.PolynomialDecay(0.0, 0.9, begin_step=0, end_step=end, frequency=20)
    model = pruning.prune_low_magnitude(model, schedule)
    model.compile("adam", loss, metrics=["accuracy"])
    reached, accuracy = [], []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            reached.append(1 - float(pruning.masks(model)["dense/kernel"].mean()))
            accuracy.append(logs["accuracy"])

    callbacks = [pruning.UpdatePruningStep(), Record()]
    history = model.fit(x, y, batch_size=32, epochs=12, verbose=0, callbacks=callbacks)
    figure = figures.new_figure(9.5, 3.4)
    axes = figure.subplot_mosaic("aab;aac")
    figures.style_axes(axes["a"])
    style = figures.line_style(0)
    axes["a"].plot(reached, color=style["color"], label="sparsity of the first kernel")
    per_epoch = [57 * (epoch + 1) for epoch in range(12)]
    axes["a"].plot(
        per_epoch, history.history["accuracy"], label="training accuracy", **figures.line_style(1)
    )
    axes["a"].set(xlabel="step", ylim=(0, 1.05), title="PolynomialDecay(0, 0.9)")
    axes["a"].legend(frameon=False, fontsize=9, loc="lower right")
    after = pruning.strip_pruning(model).layers[0].kernel.numpy()
    top = np.abs(before).max()
    for name, kernel, title in (("b", before, "kernel before"), ("c", after, "and after")):
        axes[name].imshow(np.abs(kernel).T, cmap="Blues", vmin=0, vmax=top, aspect="auto")
        axes[name].set_title(title, fontsize=10)
        axes[name].set_xticks([])
        axes[name].set_yticks([])
    return figure


def shrinking_() -> Any:
    """Draw the width of each layer, and what a model costs, before and after."""
    layers = keras.layers
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for number, width in enumerate((32, 64, 96, 128)):
        arguments = {"strides": 1 + (number > 0), "padding": "same", "activation": "relu"}
        x = layers.Conv2D(width, 3, name=f"conv{number}", **arguments)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(128, activation="relu", name="dense")(x)
    model = keras.Model(inputs, layers.Dense(10, name="head")(x))
    plan = shrinking.structured(model, {"macs": 0.4}, round_to=8)
    plan.apply(model)
    small = shrinking.compact(model)
    figure, left, right = _two_axes()
    names = [layer.name for layer in model.layers if layer.weights]
    style = figures.COLORS
    for offset, (one, label) in enumerate(((model, "before"), (small, "after compact"))):
        widths = [one.get_layer(name).output.shape[-1] for name in names]
        places = np.arange(len(names)) + 0.2 * (2 * offset - 1)
        left.bar(places, widths, 0.4, label=label, color=style[1 - offset])
    left.set_xticks(range(len(names)), names)
    left.set(ylabel="channels", title='structured(model, {"macs": 0.4}, round_to=8)')
    left.legend(frameon=False, fontsize=9)
    counts = [shrinking.count(one) for one in (model, small)]
    kinds = {"parameters": "parameters", "MACs": "macs"}
    ratios = [getattr(counts[1], kind) / getattr(counts[0], kind) for kind in kinds.values()]
    right.barh(list(kinds), [1, 1], color=style[1], label="before")
    right.barh(list(kinds), ratios, color=style[0], label="after compact")
    for place, ratio in enumerate(ratios):
        right.text(ratio / 2, place, f"{ratio:.2f}", color="white", ha="center", va="center")
    right.set(xlabel="fraction of the model before", title="What is left")
    for axes in (left, right):
        axes.set_axisbelow(True)
    return figure


def lottery_() -> Any:
    """Draw the figure of a run on the digits."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = lottery.Experiment(dataset="digits", trials=5, controls=("reinit",))
        return lottery.figure(lottery.run(experiment, out=Path(folder) / "run"))


DRAWN: dict[str, Callable[[], Any]] = {
    "initializers": initializers,
    "diagnosis": diagnosis,
    "pruning": pruning_,
    "shrinking": shrinking_,
    "lottery": lottery_,
}


def example(name: str) -> None:
    """Run a program of ``examples/`` and keep its picture."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TMPDIR": folder, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        (picture,) = Path(folder).rglob(f"{name}.png")
        path = IMAGES / "examples" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.read_bytes())


def main(names: list[str]) -> None:
    """Draw the pictures of these names, or all."""
    IMAGES.mkdir(exist_ok=True)
    for name in names:
        if name not in (*DRAWN, *EXAMPLES):
            raise errors.unknown("picture", name, (*DRAWN, *EXAMPLES))
    for name in names or (*DRAWN, *EXAMPLES):
        if name in DRAWN:
            (IMAGES / f"{name}.svg").write_bytes(figures.rendered(DRAWN[name](), "svg"))
        else:
            example(name)
        print(f"Drew {name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m docs.pictures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    main(parser.parse_args().names)
