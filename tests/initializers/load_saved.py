"""Load what `test_saving` saved, in an interpreter that made none of it.

Run as ``python load_saved.py KERASE FOLDER``; writes what it found to
``FOLDER/found.json``.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf_keras

import kerasinit  # noqa: F401  (registers the classes; the one line that a user needs)


def described(model):
    """Return what a loaded model's layers were initialized with, and their weights."""
    return {
        layer.name: {
            "class": type(layer.kernel_initializer).__qualname__,
            "module": type(layer.kernel_initializer).__module__,
            "config": layer.kernel_initializer.get_config(),
            "kernel": layer.kernel.numpy().tolist(),
        }
        for layer in model.layers
        if hasattr(layer, "kernel")
    }


def main():
    name, folder = sys.argv[1], Path(sys.argv[2])
    module = {"keras": keras, "tf_keras": tf_keras}[name]
    inputs = np.load(folder / "inputs.npy")
    found = {}
    for form in ("model.keras", "model.h5", *(["saved_model"] if name == "tf_keras" else [])):
        found[form] = described(module.models.load_model(folder / form))
    found["json"] = described(module.models.model_from_json((folder / "model.json").read_text()))
    exported = tf.saved_model.load(str(folder / "exported"))
    found["outputs"] = np.asarray(exported.serve(inputs)).tolist()
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
