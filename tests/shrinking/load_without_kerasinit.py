"""Load what `test_exact` saved, in an interpreter that cannot import kerasinit.

Run as ``python load_without_kerasinit.py FOLDER``. It computes for each ``NAME.LIBRARY.keras`` the
outputs for the arrays in ``NAME.LIBRARY.x.npz`` into ``NAME.LIBRARY.y.npz``.
"""

import importlib
import sys
from pathlib import Path

import numpy as np


def flat(outputs):
    if isinstance(outputs, dict):
        outputs = [outputs[key] for key in sorted(outputs)]
    return outputs if isinstance(outputs, list | tuple) else [outputs]


def main():
    sys.modules["kerasinit"] = None  # so `import kerasinit` raises ImportError, installed or not
    for path in sorted(Path(sys.argv[1]).glob("*.keras")):
        library = importlib.import_module(path.stem.split(".")[1])
        model = library.models.load_model(path)
        with np.load(path.with_suffix(".x.npz")) as file:
            x = dict(file)
        if "arr_0" in x:  # no names of the test's own
            x = list(x.values()) if len(x) > 1 else x["arr_0"]
        outputs = flat(model(x, training=False))
        np.savez(path.with_suffix(".y.npz"), *(np.asarray(one) for one in outputs))


if __name__ == "__main__":
    main()
