"""What Keras 3 promises with this package, tried on the backend of this process.

Run as ``python -m tests.backends.promises FOLDER REFERENCE`` with ``KERAS_BACKEND`` set, in
a process of its own, because a process has one backend. Writes what there is to compare to
FOLDER, and compares it with REFERENCE, the folder of TensorFlow's run (for that run itself,
the same). The outcome is in ``FOLDER/found.json``: for each promise the list of its
failures, or a string, why it does not apply.
"""

import json
import math
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

import kerasinit
from kerasinit._src.network.fans import compute_fans
from tests.initializers.load_saved import described
from tests.initializers.table import FLOATS, IMAGES, TABLE
from tests.initializers.test_saving import model_of

FRESH, INTEGER, GENERATOR = "fresh", "integer", "generator"
# As exact as gains are: JAX computes them in float32.
EXACT = 1e-6


class NotOfferedError(Exception):
    """The backend does not have what the promise is about."""


def numpy_of(variable):
    return keras.ops.convert_to_numpy(variable)


def seeded(case, seed):
    """Return the initializer of a case with a seed of some kind, new each time."""
    if not case.seeded or seed == FRESH:
        return case.make()
    return case.fixed() if seed == INTEGER else case.make(seed=keras.random.SeedGenerator(4))


def bits(values):
    """Return an array as whole numbers, since files know no bfloat16."""
    return values.view(f"uint{8 * values.itemsize}")


def held_dtype(dtype):
    """Return the dtype in which the backend holds a variable of this dtype."""
    if keras.backend.backend() == "jax" and dtype == "float64":
        import jax

        return dtype if jax.config.jax_enable_x64 else "float32"
    return dtype


def layers_hold_direct_calls(folder: Path, reference: Path) -> Iterator[str]:
    """A layer's variable equals a direct call: each class, dtype and kind of seed."""
    kept = {}
    for case in TABLE:
        for dtype in FLOATS:
            # A dtype only rounds what is drawn, whatever kind of seed it is drawn from.
            every = case.seeded and dtype == "float32"
            for seed in (FRESH, INTEGER, GENERATOR) if every else (INTEGER,):
                name = f"{case.name} {dtype} {seed}"
                layer = case.place.layer(keras, seeded(case, seed), dtype=dtype)
                inputs = case.place.prepare(keras, keras.Input(IMAGES, dtype=dtype))
                # Only a fresh seed depends on it, and nothing else here draws from it.
                keras.utils.set_random_seed(7)
                layer(inputs)
                held = numpy_of(case.place.variable(layer))
                keras.utils.set_random_seed(7)
                direct = seeded(case, seed)(case.shape, dtype)
                if held.dtype != held_dtype(dtype):
                    yield f"{name}: the variable is {held.dtype}"
                # Values are those of float32, rounded, so that a wider dtype changes nothing.
                if not np.array_equal(held, direct.astype(held.dtype)):
                    yield f"{name}: the variable differs from a direct call"
                if type(direct) is not np.ndarray or direct.dtype != dtype:
                    yield f"{name}: a direct call gives {type(direct)} of {direct.dtype}"
                kept[name] = bits(direct)
    np.savez(folder / "values.npz", **kept)


def values_are_those_of_tensorflow(folder: Path, reference: Path) -> Iterator[str]:
    """The values of every seed are those of TensorFlow, bit for bit."""
    with np.load(folder / "values.npz") as ours, np.load(reference / "values.npz") as theirs:
        if set(ours.files) != set(theirs.files):
            yield f"not the same cases: {set(ours.files) ^ set(theirs.files)}"
        for name in ours.files:
            if not np.array_equal(ours[name], theirs[name]):
                yield name


def fresh_values_are_fresh(folder: Path, reference: Path) -> Iterator[str]:
    """Without a seed two layers differ."""
    for case in TABLE:
        if case.seeded:
            made = case.make()
            if np.array_equal(made(case.shape), made(case.shape)):
                yield case.name


def _differing(original, found, without=()):
    for part in ("class", "config", "values"):
        for name, layer in original.items():
            if name not in found or (
                found[name][part] != layer[part] and (part, name) not in without
            ):
                yield f"{name}: another {part}"


def files_round_trip(folder: Path, reference: Path) -> Iterator[str]:
    """.keras and .h5 keep classes, arguments and values."""
    model = model_of(keras)
    original = described(model)
    (folder / "described.json").write_text(json.dumps(original))
    for form in ("model.keras", "model.h5"):
        model.save(folder / form)
        for failure in _differing(original, described(keras.models.load_model(folder / form))):
            yield f"{form}: {failure}"


def files_of_tensorflow_load(folder: Path, reference: Path) -> Iterator[str]:
    """Files that TensorFlow wrote load with their classes, arguments and values."""
    original = json.loads((reference / "described.json").read_text())
    for form in ("model.keras", "model.h5"):
        found = json.loads(json.dumps(described(keras.models.load_model(reference / form))))
        for failure in _differing(original, found):
            yield f"{form}: {failure}"


def json_and_clones(folder: Path, reference: Path) -> Iterator[str]:
    """JSON and clone_model start from the same seeds."""
    model = model_of(keras)
    original = described(model)
    for form, again in (
        ("JSON", keras.models.model_from_json(model.to_json())),
        ("clone", keras.models.clone_model(model)),
    ):
        for failure in _differing(original, described(again), {("values", "without_seed")}):
            yield f"{form}: {failure}"


def exported_model_computes_the_same(folder: Path, reference: Path) -> Iterator[str]:
    """A SavedModel computes what the model does."""
    if keras.backend.backend() == "torch":
        raise NotOfferedError("Keras 3.15 makes no SavedModel with PyTorch, of any model")
    import tensorflow as tf

    model = model_of(keras)
    inputs = np.linspace(-1, 1, 3 * math.prod(IMAGES), dtype="float32").reshape(3, *IMAGES)
    model.export(folder / "exported", verbose=False)
    exported = tf.saved_model.load(str(folder / "exported"))
    found = np.asarray(exported.serve(inputs))
    if not np.allclose(found, numpy_of(model(inputs)), rtol=1e-5, atol=1e-6):
        yield "the outputs differ"


def _network():
    """Return a small network with the layers that a shape alone does not tell."""
    layers = keras.layers
    images = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, padding="same", groups=2)(images)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2DTranspose(4, 4, strides=2, padding="same", activation="relu")(x)
    x = layers.Reshape((16, 64))(x)
    x = layers.Dense(12, kernel_initializer=kerasinit.HeNormal())(x)
    x = layers.MultiHeadAttention(2, 6, kernel_initializer=kerasinit.LecunNormal())(x, x)
    x = layers.LSTM(5, recurrent_initializer=kerasinit.PerGate("Orthogonal"))(x)
    return keras.Model(images, layers.Dense(3)(x))


def fans_are_those_of_tensorflow(folder: Path, reference: Path) -> Iterator[str]:
    """compute_fans reads a model's layers."""
    for name, model in (("network", _network()), ("table", model_of(keras))):
        path = f"fans of the {name}.json"
        (folder / path).write_text(json.dumps(compute_fans(model), indent=1))
        if (folder / path).read_text() != (reference / path).read_text():
            yield f"other fans in the {name}"
    if compute_fans(_network())["conv2d/kernel"] != (18, 36):
        yield "the fans of a grouped convolution"


def reinitialize_is_the_same(folder: Path, reference: Path) -> Iterator[str]:
    """reinitialize gives TensorFlow's values, and gives them back after training."""
    model = _network()
    rules = {
        "*attention/*": "LecunUniform",
        "recurrent_kernel": "Orthogonal",
        "kernel": "HeNormal",
        "*": "own",
    }
    report = kerasinit.reinitialize(model, rules, seed=3)
    names = report.changed
    first = [numpy_of(variable) for variable in model.weights]
    model.compile("adam", "mse")
    loss = model.train_on_batch(np.ones((2, 8, 8, 4), "float32"), np.ones((2, 3), "float32"))
    if not np.isfinite(loss):
        yield f"the loss of a training step is {loss}"
    moved = [not np.array_equal(a, numpy_of(b)) for a, b in zip(first, model.weights, strict=True)]
    if sum(moved) < len(model.trainable_weights) - 4:  # some gradients are zero, as of key biases
        yield f"training moved {sum(moved)} variables"
    kerasinit.reinitialize(model, rules, seed=3)
    values = {
        f"{index} {variable.name}": numpy_of(variable)
        for index, variable in enumerate(model.weights)
    }
    for (name, value), before in zip(values.items(), first, strict=True):
        if not np.array_equal(value, before):
            yield f"{name}: not the first values again"
    np.savez(folder / "reinitialized.npz", names=names, **values)
    with np.load(reference / "reinitialized.npz") as theirs:
        if set(theirs.files) != {"names", *values} or theirs["names"].tolist() != names:
            yield "other variables changed than with TensorFlow"
        for name, value in values.items():
            if name in theirs.files and not np.array_equal(theirs[name], value):
                yield f"{name}: not TensorFlow's values"


def gains_are_those_of_tensorflow(folder: Path, reference: Path) -> Iterator[str]:
    """gain and stability of names, layers and functions."""
    activations = {
        **{name: name for name in ("elu", "gelu", "leaky_relu", "mish", "relu", "selu", "silu")},
        "tanh": keras.activations.tanh,
        "a layer": keras.layers.LeakyReLU(0.3),
        "a function of operations": lambda x: keras.ops.tanh(2 * x) + keras.ops.relu(x),
        "a function of arrays": lambda x: x * (x > 0),
    }
    found = {}
    for name, activation in activations.items():
        stability = kerasinit.stability(activation)
        found[name] = [
            kerasinit.gain(activation),
            kerasinit.gain(activation, "centred"),
            stability.variance_slope,
        ]
        # Derivatives of float32 numbers have half of their digits.
        if not math.isfinite(stability.correlation_slope):
            yield f"{name}: no slope of the correlation"
    if abs(found["relu"][0] - math.sqrt(2)) > EXACT:
        yield f"the gain of relu is {found['relu'][0]}"
    (folder / "gains.json").write_text(json.dumps(found))
    expected = json.loads((reference / "gains.json").read_text())
    for name, numbers in expected.items():
        if not np.allclose(found[name], numbers, rtol=EXACT, atol=0):
            yield f"{name}: {found[name]}, with TensorFlow {numbers}"


PROMISES = (
    layers_hold_direct_calls,
    values_are_those_of_tensorflow,
    fresh_values_are_fresh,
    files_round_trip,
    files_of_tensorflow_load,
    json_and_clones,
    exported_model_computes_the_same,
    fans_are_those_of_tensorflow,
    reinitialize_is_the_same,
    gains_are_those_of_tensorflow,
)


def main():
    folder, reference = map(Path, sys.argv[1:])
    found = {}
    for promise in PROMISES:
        name = promise.__doc__.rstrip(".")
        try:
            found[name] = list(promise(folder, reference))
        except NotOfferedError as reason:
            found[name] = str(reason)
        except Exception:  # a failure like any other: the rest is still to be seen
            found[name] = [traceback.format_exc(limit=-3)]
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
