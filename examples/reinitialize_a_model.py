"""Give a model that is built already new first values, right for each of its layers.

A small autoencoder of the layers that a shape does not describe: depthwise and transposed
convolutions. Drawn as Keras draws them, the signal dies on the way; drawn with the fans
that the layers have, it arrives.
"""

import keras
import numpy as np

import kerasinit

LAYERS = keras.layers


def build():
    images = keras.Input((32, 32, 3))
    signal = LAYERS.Conv2D(64, 3, padding="same")(images)
    for _ in range(3):
        signal = LAYERS.DepthwiseConv2D(3, padding="same", depthwise_initializer="lecun_normal")(
            signal
        )
        signal = LAYERS.Conv2D(64, 1, kernel_initializer="lecun_normal")(signal)
    for channels in (32, 16):
        signal = LAYERS.Conv2DTranspose(
            channels, 4, strides=2, padding="same", kernel_initializer="lecun_normal"
        )(signal)
    return keras.Model(images, LAYERS.Conv2D(3, 1, kernel_initializer="lecun_normal")(signal))


def output_variance(model, images):
    return float(np.var(model.predict(images, verbose=0)))


def main():
    images = kerasinit.RandomNormal(stddev=1.0, seed=1)((8, 32, 32, 3))
    model = build()
    print(f"variance of the output, Keras' own fans: {output_variance(model, images):.2g}")

    report = kerasinit.reinitialize(model, {"kernel": "LecunNormal", "bias": "Zeros"}, seed=1)
    print(report)
    arrived = output_variance(model, images)
    print(f"variance of the output, the layers' fans: {arrived:.2g}")
    assert 0.3 < arrived < 3

    # The same call gives the same weights back: here after some training.
    first = model.get_weights()
    model.compile("adam", "mse")
    model.fit(images, np.zeros((8, 128, 128, 3)), verbose=0)
    kerasinit.reinitialize(model, {"kernel": "LecunNormal", "bias": "Zeros"}, seed=1)
    same = all(map(np.array_equal, first, model.get_weights()))
    print(f"the first weights are back, bit for bit: {same}")
    assert same


if __name__ == "__main__":
    main()
