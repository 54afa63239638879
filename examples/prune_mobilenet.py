"""A pruned MobileNetV2 on its way to a phone: Keras file, SavedModel and LiteRT.

Prunes three quarters of the weights while the network trains for a few steps on the digits
of scikit-learn, writes every format, checks what the files compute against the model, and
prints their sizes, raw and compressed. The weights are random: what is shown is the road,
not the accuracy.
"""

import gzip
import os
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from kerasinit import pruning

SIDE, SPARSITY, EPOCHS = 32, 0.75, 5
keras.utils.set_random_seed(1)


def digits():
    """Return the digits as colour images and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 8 - 1
    images = images.repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2).repeat(3, axis=3)
    return images, labels


def build():
    """Return MobileNetV2, the smallest that keras.applications has."""
    model = keras.applications.MobileNetV2(
        (SIDE, SIDE, 3), alpha=0.35, weights=None, classes=10, classifier_activation=None
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # so that a few steps are enough for the statistics
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
    return model


def settle(model, images):
    """Let the statistics of the normalizations follow the weights as they are now."""
    forward = tf.function(lambda batch: model(batch, training=True))
    for start in range(0, len(images) - 64, 64):
        forward(images[start : start + 64])


def convert(folder, optimizations=(), *, half=False, samples=None):
    """Return a SavedModel as a LiteRT file."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.optimizations = list(optimizations)
    if half:
        converter.target_spec.supported_types = [tf.float16]
    if samples is not None:
        converter.representative_dataset = lambda: ([image[None]] for image in samples)
    return converter.convert()


def run(content, images):
    """Return what a LiteRT file makes of some images."""
    # XNNPACK, which LiteRT runs files with by default, refuses some that are sparse and quantized.
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in images:
        interpreter.set_tensor(entry["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(end["index"])[0])
    return np.array(rows)


def compressed(path):
    """Return the size of a file, or of all files in a folder, raw and compressed."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    contents = [file.read_bytes() for file in files if file.is_file()]
    return sum(map(len, contents)), sum(len(gzip.compress(content, 9)) for content in contents)


images, labels = digits()
samples = images[:64]
optimize = tf.lite.Optimize
# What each format may differ by from the model on average (root of the mean square), in
# standard deviations of the model's outputs.
FORMATS = {
    "plain": (1e-4, {}),
    "sparse": (1e-4, {"optimizations": [optimize.EXPERIMENTAL_SPARSITY]}),
    "float16": (0.1, {"optimizations": [optimize.DEFAULT], "half": True}),
    "float16, sparse": (
        0.1,
        {"optimizations": [optimize.DEFAULT, optimize.EXPERIMENTAL_SPARSITY], "half": True},
    ),
    "int8": (0.8, {"optimizations": [optimize.DEFAULT], "samples": images[:200]}),
    "int8, sparse": (
        0.8,
        {
            "optimizations": [optimize.DEFAULT, optimize.EXPERIMENTAL_SPARSITY],
            "samples": images[:200],
        },
    ),
}

table = Table("file", "raw kB", "gzip kB", "difference", "same class", title="MobileNetV2 0.35")
for column in table.columns[1:]:
    column.justify = "right"
kilobytes = {}


def note(name, sizes, got=None, allowed=1e-4):
    """Add a row to the table, and see that outputs are those of the model."""
    kilobytes[name] = [size / 1000 for size in sizes]
    told = ()
    if got is not None:
        difference = np.sqrt(np.mean((got - outputs) ** 2)) / outputs.std()
        told = f"{difference:.2g}", f"{np.mean(got.argmax(-1) == outputs.argmax(-1)):.0%}"
        assert difference < allowed, f"{name} differs by {difference}, more than {allowed}."
    table.add_row(name, *(f"{size:.0f}" for size in kilobytes[name]), *told)


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    model = build()
    with warnings.catch_warnings():
        # Keras saves through an __array__ that NumPy finds old-fashioned.
        warnings.simplefilter("ignore", DeprecationWarning)
        model.save(folder / "dense.keras")
        note("dense .keras", compressed(folder / "dense.keras"))
        # The same network, pruned while it trains.
        schedule = pruning.ConstantSparsity(SPARSITY, begin_step=20, frequency=20)
        pruning.prune_low_magnitude(model, schedule)
        model.fit(
            images,
            labels,
            batch_size=64,
            epochs=EPOCHS,
            callbacks=[pruning.UpdatePruningStep()],
            verbose=0,
        )
        settle(model, images)
        removed = [row for row in pruning.weight_summaries(model) if row.pruned]
        pruning.strip_pruning(model)
        model.save(folder / "pruned.keras")
        # Without the optimizer, which takes more room than the network.
        loaded = keras.models.load_model(folder / "pruned.keras", compile=False)
        loaded.save(folder / "pruned.keras")
    loaded.export(folder / "saved_model", verbose=False)
    outputs = model.predict(samples, verbose=0)

    loaded = keras.models.load_model(folder / "pruned.keras")
    got = loaded.predict(samples, verbose=0)
    note("pruned .keras", compressed(folder / "pruned.keras"), got)

    artifact = tf.saved_model.load(str(folder / "saved_model"))
    got = artifact.serve(samples).numpy()
    note("pruned SavedModel", compressed(folder / "saved_model"), got)

    for name, (allowed, arguments) in FORMATS.items():
        content = convert(folder / "saved_model", **arguments)
        sizes = len(content), len(gzip.compress(content, 9))
        note(f"pruned TFLite, {name}", sizes, run(content, samples), allowed)

Console(width=100).print(table)
print("int8 changes what this hardly trained network says: look at your own before using it.")
print("Difference: root mean square over 64 images, in standard deviations of the outputs.")
numbers = sum(row.size for row in removed)
zeros = sum(row.size * row.sparsity for row in removed)
print(f"{zeros / numbers:.2%} of {numbers} numbers in {len(removed)} kernels are zero.")
assert abs(zeros / numbers - SPARSITY) < 0.001
assert kilobytes["pruned .keras"][1] < 0.6 * kilobytes["dense .keras"][1]
assert kilobytes["pruned TFLite, sparse"][0] < 0.6 * kilobytes["pruned TFLite, plain"][0]
