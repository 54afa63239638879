"""Load what `test_portable` saved, in an interpreter that cannot import kerasinit.

Run as ``python load_without_kerasinit.py FOLDER``; writes what it found in the folder of each
Kerase to ``FOLDER/found.json``.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

sys.modules["kerasinit"] = None  # so `import kerasinit` raises ImportError, installed or not


def described(model, inputs):
    """Return a model's weights, bit for bit, and what it computes."""
    return {
        "weights": [np.asarray(value).tobytes().hex() for value in model.get_weights()],
        "outputs": np.asarray(model(inputs)).tolist(),
    }


def found_in(folder, module, inputs):
    found = {}
    for form in ("model.keras", "model.h5", "saved_model"):
        if not (folder / form).exists():
            continue
        found[form] = described(module.models.load_model(folder / form), inputs)
    model = module.models.model_from_json((folder / "model.json").read_text())
    found["json, made anew"] = described(model, inputs)
    model.load_weights(folder / "model.weights.h5")
    found["json"] = described(model, inputs)
    exported = tf.saved_model.load(str(folder / "exported"))
    found["exported"] = {"outputs": np.asarray(exported.serve(inputs)).tolist()}
    try:
        module.models.load_model(folder / "original.keras")
    except (TypeError, ValueError) as error:
        found["original"] = str(error)
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
