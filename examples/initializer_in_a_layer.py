"""An initializer in a layer: what thirty relu layers do to a signal, in either Keras."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tf_keras

import kerasinit

DEPTH, WIDTH = 30, 256
SHOWN = (1, 5, 10, 20, 30)


def signal_by_depth(make):
    """Return the standard deviation of the signal after each layer of a fresh network."""
    signal = np.random.default_rng(0).standard_normal((128, WIDTH), dtype="float32")
    spread = {}
    for depth in range(1, DEPTH + 1):
        layer = keras.layers.Dense(WIDTH, "relu", kernel_initializer=make(seed=depth))
        signal = layer(signal)
        spread[depth] = float(np.std(signal))
    return spread


print(f"Standard deviation of the signal in a relu network of {DEPTH} layers, {WIDTH} wide\n")
print("after layer         " + "".join(f"{depth:>11}" for depth in SHOWN))
for name, make in {
    "HeNormal": kerasinit.HeNormal,
    "GlorotNormal": kerasinit.GlorotNormal,
    "RandomNormal(0.01)": lambda seed: kerasinit.RandomNormal(stddev=0.01, seed=seed),
}.items():
    spread = signal_by_depth(make)
    print(f"{name:20}" + "".join(f"{spread[depth]:11.2g}" for depth in SHOWN))
print("\nOnly He's variance, 2 / fan_in, makes good for the half that relu takes away.\n")

# The same seed means the same weights: in both Kerases, at every call.
kernels = []
for module in (keras, tf_keras):
    layer = module.layers.Dense(4, kernel_initializer=kerasinit.HeNormal(seed=1))
    layer.build((None, 3))
    kernels.append(layer.kernel.numpy())
    print(f"{module.__name__:8} kernel from seed 1 begins", kernels[-1].ravel()[:3])
print("bit for bit the same:", np.array_equal(*kernels))

# A string is enough once kerasinit is imported.
layer = keras.layers.Dense(4, kernel_initializer=kerasinit.GlorotUniform())
print("by its name:", layer.kernel_initializer)
