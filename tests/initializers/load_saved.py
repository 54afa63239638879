"""Load what `test_saving` saved, in an interpreter that made none of it.

Run as ``python load_saved.py FOLDER``; writes what it found in the folder of each Kerase to
``FOLDER/found.json``.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

import kerasinit  # noqa: F401  (registers the classes; the one line that a user needs)

VARIABLES = {
    "kernel_initializer": "kernel",
    "recurrent_initializer": "recurrent_kernel",
    "bias_initializer": "bias",
}


def described(model):
    """Return what our classes initialized in a model's layers, and the values there now."""
    found = {}
    for layer in model.layers:
        for attribute, variable in VARIABLES.items():
            made = getattr(layer, attribute, None)
            if type(made).__module__.startswith("kerasinit."):
                (values,) = [
                    weight.numpy().tolist()
                    for weight in layer.weights
                    if weight.name.split("/")[-1].split(":")[0] == variable
                ]
                found[layer.name] = {
                    "class": type(made).__qualname__,
                    "config": made.get_config(),
                    "values": values,
                }
    return found


def found_in(folder, module, inputs):
    found = {}
    for form in ("model.keras", "model.h5", "saved_model"):
        if not (folder / form).exists():
            continue
        found[form] = described(module.models.load_model(folder / form))
    found["json"] = described(module.models.model_from_json((folder / "model.json").read_text()))
    exported = tf.saved_model.load(str(folder / "exported"))
    found["outputs"] = np.asarray(exported.serve(inputs)).tolist()
    return found


def main():
    folder = Path(sys.argv[1])
    inputs = np.load(folder / "inputs.npy")
    found = {
        path.name: found_in(path, importlib.import_module(path.name), inputs)
        for path in folder.iterdir()
        if path.is_dir()
    }
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
