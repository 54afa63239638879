"""tfmot's pruning guide, step by step, with a Keras 3 model.

It follows "Pruning in Keras example" and "Pruning comprehensive guide" of
tensorflow.org/model_optimization. What is different is the import: ``from kerasinit import
pruning`` in the place of ``tfmot.sparsity.keras``; the data, which are the digits of
scikit-learn, so that it runs offline; and that each step checks itself.
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
from ai_edge_litert.interpreter import Interpreter
from sklearn.datasets import load_digits

from kerasinit import pruning

keras.utils.set_random_seed(1)
# Keras saves through an __array__ that NumPy finds old-fashioned.
warnings.simplefilter("ignore")
work = tempfile.TemporaryDirectory()
folder = Path(work.name)


def heading(text):
    print(f"\n== {text}")


def sparsity(layer):
    return float(np.mean(layer.kernel.numpy() == 0))


def zipped(path):
    """Return the size in bytes of a file compressed."""
    return len(gzip.compress(Path(path).read_bytes(), 9))


heading("Train a model without pruning")
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order], labels[order]
images = (images / 16).reshape(-1, 8, 8).astype("float32")
train_images, test_images = images[:1500], images[1500:]
train_labels, test_labels = labels[:1500], labels[1500:]

model = keras.Sequential(
    [
        keras.layers.InputLayer((8, 8)),
        keras.layers.Reshape((8, 8, 1)),
        keras.layers.Conv2D(16, (3, 3), activation="relu"),
        keras.layers.MaxPooling2D((2, 2)),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10),
    ]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
model.fit(train_images, train_labels, epochs=15, validation_split=0.1, verbose=0)
_, baseline_accuracy = model.evaluate(test_images, test_labels, verbose=0)
model.save(folder / "baseline.keras")
print(f"test accuracy {baseline_accuracy:.4f}")
assert baseline_accuracy > 0.9

heading("Define the model to prune, and fine-tune it with pruning: from 50 % to 80 % sparsity")
batch_size, epochs, validation_split = 32, 20, 0.1
num_images = int(len(train_images) * (1 - validation_split))
# The second half of the epochs is left to the weights that remain.
end_step = int(np.ceil(num_images / batch_size)) * (epochs // 2)
pruning_params = {
    "pruning_schedule": pruning.PolynomialDecay(
        initial_sparsity=0.50,
        final_sparsity=0.80,
        begin_step=0,
        end_step=end_step,
        frequency=end_step // 10,
    )
}
model_for_pruning = pruning.prune_low_magnitude(model, **pruning_params)
model_for_pruning.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
pruning.summary(model_for_pruning)

callbacks = [
    pruning.UpdatePruningStep(),
    pruning.PruningSummaries(log_dir=str(folder / "logs")),
]
model_for_pruning.fit(
    train_images,
    train_labels,
    batch_size=batch_size,
    epochs=epochs,
    validation_split=validation_split,
    callbacks=callbacks,
    verbose=0,
)
_, pruned_accuracy = model_for_pruning.evaluate(test_images, test_labels, verbose=0)
print(f"baseline test accuracy {baseline_accuracy:.4f}, pruned {pruned_accuracy:.4f}")
assert pruned_accuracy > baseline_accuracy - 0.06
assert any((folder / "logs" / "metrics").iterdir())

heading("Create smaller models from pruning")
model_for_export = pruning.strip_pruning(model_for_pruning)
for layer in model_for_export.layers:
    if layer.weights:
        print(f"{layer.name}: {sparsity(layer):.4f} of the kernel is zero")
        assert abs(sparsity(layer) - 0.8) < 0.005
model_for_export.save(folder / "pruned.keras")
for name in ("baseline.keras", "pruned.keras"):
    # Keras 3 writes the optimizer into a .keras file whatever include_optimizer says.
    keras.models.load_model(folder / name, compile=False).save(folder / name)


def write_tflite(name, *optimizations):
    """Convert the pruned model and return the path of the file."""
    model_for_export.export(folder / "saved_model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    converter.optimizations = list(optimizations)
    path = folder / name
    path.write_bytes(converter.convert())
    return path


pruned_tflite = write_tflite("pruned.tflite")
sizes = [zipped(folder / name) for name in ("baseline.keras", "pruned.keras", "pruned.tflite")]
print("gzipped bytes: baseline Keras {}, pruned Keras {}, pruned TFLite {}".format(*sizes))
assert sizes[1] < 0.7 * sizes[0]

heading("Combine pruning and quantization")
quantized = write_tflite("quantized.tflite", tf.lite.Optimize.DEFAULT)
print(f"gzipped bytes: baseline Keras {sizes[0]}, pruned and quantized TFLite {zipped(quantized)}")
assert zipped(quantized) < 0.3 * sizes[0]

heading("See that the accuracy persists from TensorFlow to TFLite")
interpreter = Interpreter(model_content=quantized.read_bytes())
interpreter.allocate_tensors()
entry = interpreter.get_input_details()[0]["index"]
end = interpreter.get_output_details()[0]["index"]
right = 0
for image, label in zip(test_images, test_labels, strict=True):
    interpreter.set_tensor(entry, image[None])
    interpreter.invoke()
    right += int(interpreter.get_tensor(end).argmax() == label)
print(f"TFLite {right / len(test_labels):.4f}, TensorFlow {pruned_accuracy:.4f}")
# Eight bits may decide otherwise where two classes are close: up to three images of 99.
assert abs(right / len(test_labels) - pruned_accuracy) < 3.5 / len(test_labels)

heading("Comprehensive guide: prune whole models, sequential and functional")


def sequential_model():
    return keras.Sequential(
        [keras.Input((20,)), keras.layers.Dense(20), keras.layers.Flatten()],
    )


def functional_model():
    inputs = keras.Input((20,))
    hidden = keras.layers.Dense(10, name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Flatten()(hidden))


x_train = np.random.default_rng(0).normal(size=(20, 20)).astype("float32")
y_train = keras.utils.to_categorical(np.arange(20) % 20, num_classes=20)
for build in (sequential_model, functional_model):
    print(list(pruning.masks(pruning.prune_low_magnitude(build()))))

heading("Prune some layers")


def apply_pruning_to_dense(layer):
    if isinstance(layer, keras.layers.Dense):
        return pruning.prune_low_magnitude(layer)
    return layer


def base_model():
    inputs = keras.Input((8, 8, 1))
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(inputs))
    return keras.Model(inputs, keras.layers.Dense(10)(hidden))


model_for_pruning = keras.models.clone_model(base_model(), clone_function=apply_pruning_to_dense)
print(list(pruning.masks(model_for_pruning)))
assert list(pruning.masks(model_for_pruning)) == ["dense/kernel"]

heading("More readable: where the model is made")
inputs = keras.Input((20,))
hidden = pruning.prune_low_magnitude(keras.layers.Dense(10), **pruning_params)(inputs)
readable = keras.Model(inputs, keras.layers.Dense(10)(hidden))
print(list(pruning.masks(readable)))
assert list(pruning.masks(readable)) == ["dense/kernel"]

heading("Prune what a policy allows")


class OnlyConvolutions(pruning.PruningPolicy):
    def allow_pruning(self, layer):
        return isinstance(layer, keras.layers.Conv2D)

    def ensure_model_supports_pruning(self, model):
        pass


partly = pruning.prune_low_magnitude(base_model(), pruning_policy=OnlyConvolutions())
print(list(pruning.masks(partly)))
assert list(pruning.masks(partly)) == ["conv2d/kernel"]

heading("Prune a custom Keras layer, or other parts of a layer")


class MyDense(keras.layers.Dense, pruning.PrunableLayer):
    def get_prunable_weights(self):
        # Prunes the bias, too, which usually harms the accuracy too much.
        return [self.kernel, self.bias]


custom = pruning.prune_low_magnitude(keras.Sequential([keras.Input((20,)), MyDense(20)]))
print(list(pruning.masks(custom)))
assert len(pruning.masks(custom)) == 2

heading("Train with fit, and say it if the callback is forgotten")
model_for_pruning = pruning.prune_low_magnitude(sequential_model())
model_for_pruning.compile(loss="categorical_crossentropy", optimizer="adam")
try:
    model_for_pruning.fit(x_train, y_train, verbose=0)
except ValueError as error:
    print("Without the callback:", str(error).split(". ")[0])
else:
    raise AssertionError("A training without the callback went through.")
model_for_pruning.fit(x_train, y_train, callbacks=callbacks[:1], epochs=2, verbose=0)

heading("Train with a loop of your own")
model_for_pruning = pruning.prune_low_magnitude(
    sequential_model(), pruning.ConstantSparsity(0.5, begin_step=0, frequency=1)
)
optimizer = keras.optimizers.Adam()
model_for_pruning.optimizer = optimizer
step_callback = pruning.UpdatePruningStep()
step_callback.set_model(model_for_pruning)
log_callback = pruning.PruningSummaries(log_dir=str(folder / "loop"))
log_callback.set_model(model_for_pruning)
unused = -1

step_callback.on_train_begin()
for _ in range(3):
    log_callback.on_epoch_begin(epoch=unused)
    for _ in range(4):
        step_callback.on_train_batch_begin(batch=unused)
        with tf.GradientTape() as tape:
            logits = model_for_pruning(x_train, training=True)
            value = keras.ops.mean(
                keras.losses.categorical_crossentropy(y_train, logits, from_logits=True)
            )
        gradients = tape.gradient(value, model_for_pruning.trainable_variables)
        optimizer.apply(gradients, model_for_pruning.trainable_variables)
    step_callback.on_epoch_end(batch=unused)
print(f"{sparsity(model_for_pruning.layers[0]):.2f} of the kernel is zero")
assert sparsity(model_for_pruning.layers[0]) == 0.5

heading("Checkpoint and deserialize")
model_for_pruning.save(folder / "checkpoint.keras")
with pruning.prune_scope():  # needed for files of tf_keras only
    loaded = keras.models.load_model(folder / "checkpoint.keras")
for one, other in zip(model_for_pruning.get_weights(), loaded.get_weights(), strict=True):
    assert np.array_equal(one, other)
print("loaded with the same weights:", [weight.shape for weight in loaded.weights])

heading("Structured sparsity: blocks, and two of every four")
for told, arguments in {
    "blocks of (1, 4)": {"block_size": (1, 4)},
    "2 of every 4 inputs": {"sparsity_m_by_n": (2, 4)},
}.items():
    structured = pruning.prune_low_magnitude(
        sequential_model(), pruning.ConstantSparsity(0.5, 0, frequency=1), **arguments
    )
    structured.compile(loss="mse", optimizer="adam", jit_compile=False)
    structured.fit(x_train, y_train, callbacks=callbacks[:1], verbose=0)
    kernel = pruning.strip_pruning(structured).layers[0].kernel.numpy()
    blocks = kernel.reshape(20, 5, 4) if "block_size" in arguments else kernel.T.reshape(-1, 4)
    zeros = sorted({int(count) for count in (blocks == 0).sum(-1).ravel()})
    print(f"{told}: {np.mean(kernel == 0):.2f} zero; zeros in a group: {zeros}")
    assert zeros == ([0, 4] if "block_size" in arguments else [2])

work.cleanup()
print("\nThe guide ran to its end.")
