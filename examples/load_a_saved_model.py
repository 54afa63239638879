"""Save a model, load it in a fresh interpreter: `import kerasinit` is all it needs."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import subprocess
import sys
import tempfile
from pathlib import Path

import keras

import kerasinit

LOADER = """
import sys
import keras
import kerasinit  # registers the initializers; without it Keras does not know them

model = keras.models.load_model(sys.argv[1])
for layer in model.layers:
    print(layer.name, layer.kernel_initializer, layer.kernel.numpy().tobytes().hex(), sep=";")
"""

model = keras.Sequential(
    [
        keras.Input((8,)),
        keras.layers.Dense(
            16, "leaky_relu", kernel_initializer=kerasinit.HeNormal(seed=1, negative_slope=0.2)
        ),
        keras.layers.Dense(4, kernel_initializer=kerasinit.Orthogonal(gain=0.5, seed=2)),
    ]
)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.keras"
    model.save(path)
    print(f"Saved {path.stat().st_size} bytes; loading them in a fresh interpreter.\n")
    loaded = subprocess.run(
        [sys.executable, "-c", LOADER, str(path)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()

for layer, line in zip(model.layers, loaded, strict=True):
    name, initializer, weights = line.split(";")
    same = weights == layer.kernel.numpy().tobytes().hex()
    print(f"{name}: {initializer}")
    print(f"  same initializer: {initializer == repr(layer.kernel_initializer)}, ", end="")
    print(f"same weights: {same}")
