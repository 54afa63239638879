"""Whether the diagnosis leaves sound networks in peace, and how long it takes.

Run as ``python -m tests.benchmarks.diagnosis [NAME ...]``; it prints a table: one network of each
family of `keras.applications` and, where KerasHub is installed (``pip install -e '.[hub]'``), six
of its backbones in a tiny size; with random weights, the findings and the seconds that they took.
Promised: no finding, or one that a training bears out. So a network with findings is trained for
some steps of Adam, as it comes and with what `kerasinit.recommend` gives, each at the better of two
rates; the finding is true if the recommendation takes the loss down further.
"""

import sys
import time

import keras
import numpy as np

import kerasinit

EXAMPLES, STEPS, RATES = 16, 60, (1e-3, 1e-4)
# One of each family, the smallest images that it takes, and the pixels that it asks for.
APPLICATIONS = {
    "ConvNeXtTiny": (32, 255),
    "DenseNet121": (32, 1),
    "EfficientNetB0": (32, 255),
    "EfficientNetV2B0": (32, 255),
    "InceptionResNetV2": (75, 1),
    "InceptionV3": (75, 1),
    "MobileNet": (32, 1),
    "MobileNetV2": (32, 1),
    "MobileNetV3Small": (32, 255),
    "NASNetMobile": (32, 1),
    "ResNet50": (32, 1),
    "ResNet50V2": (32, 1),
    "VGG16": (32, 1),
    "Xception": (71, 1),
}
TEXT = {"vocabulary_size": 64, "num_layers": 4, "hidden_dim": 48, "intermediate_dim": 96}
BACKBONES = {
    "BertBackbone": TEXT | {"num_heads": 4},
    "GPT2Backbone": TEXT | {"num_heads": 4},
    "LlamaBackbone": TEXT | {"num_query_heads": 4, "num_key_value_heads": 2},
    "T5Backbone": TEXT | {"num_heads": 4},
    "ViTBackbone": {
        "image_shape": (16, 16, 3),
        "patch_size": 4,
        "num_layers": 4,
        "num_heads": 4,
        "hidden_dim": 48,
        "mlp_dim": 96,
    },
    "ResNetBackbone": {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [3],
        "stackwise_num_filters": [64, 128],
        "stackwise_num_blocks": [2, 2],
        "stackwise_num_strides": [1, 2],
        "block_type": "basic_block",
        "image_shape": (32, 32, 3),
    },
}
CLASSES = 4


def application(name):
    """Return a model, a batch and its labels: the colour of an image's left half."""
    size, most = APPLICATIONS[name]
    made = getattr(keras.applications, name)
    options = {"classifier_activation": None, "classes": CLASSES}
    model = made(weights=None, input_shape=(size, size, 3), **options)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (EXAMPLES, size, size, 3)), np.arange(EXAMPLES) % CLASSES
    x[:, :, : size // 2] += 0.5 * rng.uniform(-1, 1, (CLASSES, 3))[y][:, None, None]
    return model, (x if most == 1 else np.clip(127.5 * (x + 1), 0, 255)).astype("float32"), y


def backbone(name):
    """Return a backbone, a batch and labels: the first word, or the place of an image."""
    import keras_hub

    model = getattr(keras_hub.models, name)(**BACKBONES[name])
    rng, y = np.random.default_rng(0), np.arange(EXAMPLES) % CLASSES
    x = {}
    for tensor in model.inputs:
        key, shape = tensor.name, (EXAMPLES, *(size or 12 for size in tensor.shape[1:]))
        x[key] = np.ones(shape, "int32") if "mask" in key else rng.integers(0, 2, shape)
        if "token" in key:
            x[key] = rng.integers(CLASSES, 64, shape)
            x[key][:, 0] = y
        if "images" in key or len(shape) == 4:
            x[key] = rng.uniform(-1, 1, shape).astype("float32")
            x[key] += 0.5 * rng.uniform(-1, 1, (CLASSES, 3))[y][:, None, None].astype("float32")
        if "segment" in key:
            x[key] = np.zeros(shape, "int32")
    return model, x if len(x) > 1 else next(iter(x.values())), y


def trained(make, name, recommended):
    """Return the lowest loss of some steps, with a linear head, at the better of the rates."""
    found = []
    for rate in RATES:
        keras.utils.set_random_seed(0)
        model, x, y = make(name)
        if recommended:
            kerasinit.reinitialize(model, kerasinit.recommend(model), seed=1)
        outputs = keras.tree.flatten(model.outputs)[0]
        if outputs.shape[1:] != (CLASSES,):
            if len(outputs.shape) == 4:
                outputs = keras.layers.GlobalAveragePooling2D()(outputs)
            elif len(outputs.shape) == 3:
                outputs = outputs[:, 0]
            outputs = keras.layers.Dense(CLASSES)(outputs)
        whole = keras.Model(model.input, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        whole.compile(keras.optimizers.Adam(rate), loss)
        found += whole.fit(x, y, batch_size=len(y), epochs=STEPS, verbose=0).history["loss"]
        keras.backend.clear_session()
    return np.nanmin(found)


def row(name, make):
    """Print a row of the table, and return whether a finding in it is false."""
    keras.utils.set_random_seed(0)
    model, x, _ = make(name)
    start = time.perf_counter()
    report = kerasinit.diagnose(model, x)
    taken = time.perf_counter() - start
    told = ", ".join(f"{one.kind} at {one.layer}" for one in report.findings) or "none"
    if report.measured.note:
        told += f" ({report.measured.note})"
    is_false = False
    if not report.ok:
        first, again = trained(make, name, False), trained(make, name, True)
        told += f"; lowest loss of {STEPS} steps {first:.2g}, recommended {again:.2g}"
        is_false = again > 0.8 * first
    print(f"| {name:17} | {told} | {taken:4.1f} |", flush=True)
    return is_false


def main():
    """Print the table, and return the exit status."""
    wanted, alarms = sys.argv[1:], 0
    print(f"| {'network':17} | findings | seconds |\n|---|---|---:|", flush=True)
    for names, make in ((APPLICATIONS, application), (BACKBONES, backbone)):
        if make is backbone:
            try:
                import keras_hub  # noqa: F401 - asks whether it is there
            except ImportError:
                print("KerasHub is not installed: pip install -e '.[hub]'")
                continue
        for name in names:
            if not wanted or name in wanted:
                alarms += row(name, make)
                keras.backend.clear_session()
    print(f"{alarms} findings that training does not bear out")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
