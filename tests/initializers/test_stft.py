"""The kernels of a short-time Fourier transform: Keras' values, with more digits."""

import keras
import numpy as np
import pytest
import scipy.signal

import kerasinit
from tests.kerases import KERASES

WINDOWS = [None, "hann", "hamming", "tukey", list(range(1, 65))]


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize(
    ("scaling", "periodic"), [("density", False), ("spectrum", True), (None, False)]
)
def test_the_values_are_those_of_keras(side, window, scaling, periodic):
    arguments = (side, window, scaling, periodic)
    theirs = keras.initializers.STFT(*arguments)((64, 1, 40), "float64")

    ours = kerasinit.STFT(*arguments)((64, 1, 40), "float64")
    assert np.abs(theirs).max() > 0.01
    # Theirs has the rounding of phases of up to 200.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(1, np.abs(ours).max()))


@pytest.mark.parametrize("module", KERASES.values(), ids=KERASES)
def test_two_convolutions_are_scipys_transform(module):
    signal = np.random.default_rng(0).normal(size=400)
    real, imag = (
        module.layers.Conv1D(
            65,
            128,
            strides=32,
            use_bias=False,
            dtype="float64",
            kernel_initializer=kerasinit.STFT(side, "hann", "spectrum", True),
        )(signal.reshape(1, 400, 1))
        for side in ("real", "imag")
    )
    found = np.asarray(real)[0] + 1j * np.asarray(imag)[0]

    _, _, expected = scipy.signal.stft(
        signal, window="hann", nperseg=128, noverlap=96, boundary=None, padded=False
    )
    np.testing.assert_allclose(found, expected.T, rtol=0, atol=1e-12)


def test_long_frames_lose_no_digits():
    values = kerasinit.STFT("real", None)((4096, 1, 2049))[:, 0]

    # The frequency at half of the sampling rate flips its sign from sample to sample.
    np.testing.assert_array_equal(values[:, -1], (-1.0) ** np.arange(4096))


@pytest.mark.parametrize("shape", [(64, 33), (64, 2, 33), (64, 1, 1), (3, 64, 1, 33)])
def test_a_shape_of_another_kind_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(samples, 1, frequencies\).*got shape"):
        kerasinit.STFT()(shape)


def test_a_window_that_does_not_fit_the_frame_is_refused():
    with pytest.raises(ValueError, match="a window of 3 values; the frame has 64 samples"):
        kerasinit.STFT(window=[1, 2, 3])((64, 1, 33))
    with pytest.raises(ValueError, match="a window of 2 zeros, which cannot be scaled"):
        kerasinit.STFT(window="hann")((2, 1, 33))
    assert not kerasinit.STFT(window="hann", scaling=None)((2, 1, 33)).any()


def test_a_spectrogram_of_keras_has_our_values():
    layer = keras.layers.STFTSpectrogram(fft_length=64, frame_length=64, frame_step=32)
    layer.build((None, 200, 1))

    for side in ("real", "imag"):
        kernel = np.asarray(getattr(layer, f"{side}_kernel"))
        made = kerasinit.STFT(side, layer.window, layer.scaling, layer.periodic)
        np.testing.assert_allclose(kernel, made(kernel.shape), rtol=0, atol=1e-5)
