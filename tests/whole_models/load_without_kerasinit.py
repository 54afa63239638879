"""Load what `test_portable` saved, in an interpreter that cannot import kerasinit.

Run as ``python load_without_kerasinit.py FOLDER``; writes what it found in the folder of each
Kerase to ``FOLDER/found.json``.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf_keras

sys.modules["kerasinit"] = None  # so `import kerasinit` raises ImportError, installed or not


def described(model, inputs):
    """Return a model's weights, bit for bit, and what it computes."""
    return {
        "weights": [np.asarray(value).tobytes().hex() for value in model.get_weights()],
        "outputs": np.asarray(model(inputs)).tolist(),
    }


def found_in(folder, module, inputs):
    found = {}
    for form in ("model.keras", "model.h5", *(["saved_model"] if module is tf_keras else [])):
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
    kerases = {"keras": keras, "tf_keras": tf_keras}
    found = {name: found_in(folder / name, module, inputs) for name, module in kerases.items()}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
