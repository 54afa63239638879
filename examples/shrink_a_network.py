"""A convolution network with half the multiplications: planned, fine-tuned, cut, exported, timed.

Pruning leaves zeros, which a phone multiplies like any other numbers. Here whole channels fade
out while the network trains on the digits of scikit-learn; then they are taken out, so that an
ordinary, smaller Keras model is left. It is written for LiteRT, with weights and signals in int8,
and both are timed in turn. MobileNetV2 is cut in the same way, at once: its weights are random,
and what is shown is that channels are found through depthwise convolutions and residual
additions, not its accuracy.

The picture shows the width of every layer before and after.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import matplotlib.pyplot as plt
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from kerasinit import pruning, shrinking

EPOCHS, BATCH, TARGET = 6, 32, {"macs": 0.5}
REMOVED, LEFT, JOINED, FAINT = "#d5dde4", "#0072b2", "#d55e00", "#7b8794"


def digits():
    """Return images and labels to train on, and others to test."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 8, 8, 1).astype("float32")
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return images[:1400], labels[:1400], images[1400:], labels[1400:]


def build():
    """Return a small VGG: three blocks of convolutions with batch normalization."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 8, 1))], name="convolutions")
    for block, width in enumerate((32, 64, 128), 1):
        for number in (1, 2):
            name = f"block{block}_conv{number}"
            model.add(layers.Conv2D(width, 3, padding="same", use_bias=False, name=name))
            model.add(layers.BatchNormalization(momentum=0.9))
            model.add(layers.ReLU())
        if block < 3:
            model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, name="head"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"], jit_compile=False)
    return model


def train(model, data, epochs, *callbacks):
    """Train a model, and return its accuracy on the test images."""
    x, y, x_test, y_test = data
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


def shrink(dense, data):
    """Return a copy of a trained network with half its multiplications, and its accuracy."""
    model = keras.models.clone_model(dense)
    model.set_weights(dense.get_weights())
    model.compile(keras.optimizers.Adam(1e-3), dense.loss, metrics=["accuracy"], jit_compile=False)
    plan = shrinking.structured(model, TARGET, round_to=8)
    # Channels fade out over the first third of the steps; the others fine-tune what is left.
    steps = EPOCHS * -(-len(data[0]) // BATCH)
    schedule = pruning.PolynomialDecay(
        0.0, 0.5, begin_step=0, end_step=steps // 3 // 8 * 8, frequency=8
    )
    accuracy = train(model, data, EPOCHS, shrinking.StructuredPruning(plan, schedule))
    small = shrinking.compact(model)
    outputs, smaller = (one.predict(data[2], verbose=0) for one in (model, small))
    difference = np.abs(outputs - smaller).max() / np.abs(outputs).max()
    print(f"Taken out: the outputs differ by {difference:.1e} of the largest.")
    assert difference < 1e-5
    return small, accuracy


def mobilenet():
    """Return MobileNetV2 with random weights, and without half its multiplications."""
    dense = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None)
    start = time.perf_counter()
    model = keras.models.clone_model(dense)
    model.set_weights(dense.get_weights())
    shrinking.structured(model, TARGET, round_to=8).apply(model)
    small = shrinking.compact(model)
    print(f"MobileNetV2 planned and cut in {time.perf_counter() - start:.1f} s.")
    return dense, small


def widths(model):
    """Return the number of channels that each convolution makes, by its name."""
    return {
        layer.name: layer.filters
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }


def accuracy_of(path, images, labels):
    """Return the accuracy of a LiteRT file."""
    interpreter = Interpreter(str(path))
    (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(entry["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], images)
    interpreter.invoke()
    return np.mean(interpreter.get_tensor(end["index"]).argmax(-1) == labels)


def tabulate(title, pair, examples, accuracies=(), data=None, path=None):
    """Print what a model and the smaller one cost, and return their costs."""
    calibration = None if data is None else data[0][:200]
    found = shrinking.footprint(
        *pair,
        examples,
        names=["dense", "small"],
        runtimes=("litert-float",) if data is None else ("litert-float", "litert-int8"),
        threads=1,
        seconds=2,
        representative_data=calibration,
    )
    table = Table("", "dense", "small", "ratio", title=title)
    for column in table.columns[1:]:
        column.justify = "right"

    def add(name, values, form="{:,.0f}"):
        table.add_row(name, *map(form.format, values), f"{values[1] / values[0]:.2f}")

    add("multiplications", [row.macs for row in found.rows])
    add("parameters", [row.parameters for row in found.rows])
    if data is not None:
        files = [row.file("litert-int8") for row in found.rows]
        add("int8 file, kB", [file.bytes / 1000 for file in files], "{:.1f}")
        table.add_row("accuracy", *map("{:.1%}".format, accuracies), "")
        written = shrinking.export(pair[1], path, quantize="int8", representative_data=calibration)
        exact = accuracy_of(path, *data[2:])
        table.add_row("accuracy in int8", "", f"{exact:.1%}", "")
        print(f"Signals in int8 move outputs by {written.relative:.1%} of the largest at most.")
        assert exact > accuracies[1] - 0.03
    for name in dict.fromkeys(one.runtime for one in found[0].latencies):
        times = [row.latency(name) for row in found.rows]
        seconds = [f"{1000 * one.seconds:.3f}" for one in times]
        table.add_row(f"{name}, ms", *seconds, f"{times[1].ratio:.2f}")
    Console(width=100).print(table)
    return found


def picture(networks):
    """Draw the widths before and after, save them in a folder of their own, return the path."""
    figure, panels = plt.subplots(
        len(networks), figsize=(8, 6.4), layout="constrained", height_ratios=(1, 1.2)
    )
    for axes, (title, dense, small, top) in zip(panels, networks, strict=True):
        before, after = widths(dense), widths(small)
        axes.set(ylim=(0, top), xlim=(-0.7, len(before) - 0.3), ylabel="channels", xticks=[])
        for place, name in enumerate(before):
            draw(axes, place, before[name], after[name], JOINED if "project" in name else LEFT)
            if len(before) < 12:
                label(axes, name.replace("_", "\n"), (place, 0), (0, -5), ha="center", va="top")
                width = f"{before[name]} \u2192 {after[name]}"
                label(axes, width, (place, before[name]), (0, 3), ha="center")
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(color=FAINT, labelsize=9)
        axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
    panels[-1].set_xlabel("convolutions from input to output, without the depthwise ones")
    kinds = {"removed": REMOVED, "left": LEFT, "left, the same in blocks that are added": JOINED}
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in kinds.values()]
    panels[-1].legend(handles, kinds, loc="upper left", frameon=False, fontsize=9)
    path = os.path.join(tempfile.mkdtemp(), "shrink_a_network.png")
    figure.savefig(path, dpi=150)
    return path


def draw(axes, place, before, after, color):
    """Draw the width of a layer before and after; a bar that is too high is broken and labelled."""
    top = axes.get_ylim()[1]
    axes.bar(place, before, 0.8, color=REMOVED)
    axes.bar(place, after, 0.8, color=color)
    if before > top:
        axes.plot([place - 0.7, place + 0.7], [0.91 * top, 0.95 * top], color="white", linewidth=4)
        label(axes, f"{before} \u2192 {after}", (place - 0.4, top), (-4, 0), ha="right", va="top")


def label(axes, text, place, offset, **options):
    axes.annotate(text, place, offset, textcoords="offset points", fontsize=9, **options)


def main():
    keras.utils.set_random_seed(1)
    data = digits()
    dense = build()
    accuracy = train(dense, data, EPOCHS)
    small, smaller = shrink(dense, data)
    mobile = mobilenet()
    image = np.random.default_rng(0).random((1, 96, 96, 3)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.tflite"
        first = tabulate(
            "Convolutions on digits",
            (dense, small),
            data[2][:1],
            (accuracy, smaller),
            data,
            path,
        )
    second = tabulate("MobileNetV2 0.35, 96 x 96, random weights", mobile, image)
    print("The small network of the digits has been trained for as many epochs again.")
    networks = (
        (f"Convolutions on digits: {first[1].macs / first[0].macs:.0%} of the multiplications left",
         dense, small, 150),
        (f"MobileNetV2 0.35: {second[1].macs / second[0].macs:.0%} of the multiplications left",
         *mobile, 400),
    )  # fmt: skip
    print(f"\nSaved {picture(networks)}")

    for found in (first, second):
        if not 0.4 < found[1].macs / found[0].macs <= 0.5:
            sys.exit(f"Half of the multiplications were to be left; {found[1].macs} are.")
    if smaller < accuracy - 0.03:
        sys.exit(f"The smaller network was to be as good as the first, but has {smaller:.3f}.")


if __name__ == "__main__":
    main()
