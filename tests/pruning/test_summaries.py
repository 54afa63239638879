"""What pruning writes for TensorBoard."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasinit import pruning
from tests.kerases import has_keras, tf_keras

pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")

X, Y = np.ones((8, 6), "float32"), np.ones((8, 2), "float32")


def small(library):
    layers = library.layers
    return library.Sequential([library.Input((6,)), layers.Dense(8), layers.Dense(2)])


def fit(model, library, folder, **arguments):
    schedule = pruning.PolynomialDecay(0.25, 0.75, 0, 4, power=1, frequency=1)
    model = pruning.prune_low_magnitude(model, schedule)
    model.compile(library.optimizers.SGD(0.01), "mse")
    callbacks = [pruning.UpdatePruningStep(), pruning.PruningSummaries(str(folder), **arguments)]
    model.fit(X, Y, batch_size=4, epochs=2, callbacks=callbacks, verbose=0)
    return model


def scalars(folder):
    """Return the values of each tag by step, of all event files in a folder."""
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, {})[event.step] = number
    return found


def test_sparsity_and_threshold_are_written_each_epoch_and_at_the_end(tmp_path):
    model = fit(small(keras), keras, tmp_path)
    found = scalars(tmp_path / "metrics")
    assert set(found) == {
        f"{name}/{what}"
        for name in ("dense/kernel", "dense_1/kernel")
        for what in ("sparsity", "threshold")
    }
    assert found["dense/kernel/sparsity"] == {0: 0.0, 2: 0.5, 4: 0.75}
    thresholds = found["dense/kernel/threshold"]
    assert thresholds[0] == 0
    kernel = model.layers[0].kernel.numpy()
    assert thresholds[2] > 0
    # The optimizer has moved the survivors since, by little.
    assert thresholds[4] == pytest.approx(np.abs(kernel[kernel != 0]).min(), abs=0.1)


def test_the_losses_are_written_as_by_keras(tmp_path):
    fit(small(keras), keras, tmp_path, histogram_freq=1)
    tags = {
        value.tag
        for path in (tmp_path / "train").glob("events.out.tfevents.*")
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    assert "epoch_loss" in tags
    # Before 3.14 the kernels of two layers had one name.
    kernels = 2 if has_keras("3.14") else 1
    assert sum(tag.endswith("kernel/histogram") for tag in tags) == kernels


def test_a_tf_keras_model_gets_the_summaries_of_tfmot(tmp_path):
    fit(small(tf_keras), tf_keras, tmp_path)
    found = scalars(tmp_path / "metrics")
    sparsity = {tag: values for tag, values in found.items() if tag.endswith("/sparsity")}
    assert len(sparsity) == 2
    assert all("prune_low_magnitude_dense" in tag for tag in sparsity)
    assert all(values[2] == 0.5 for values in sparsity.values())


def test_a_second_training_writes_on(tmp_path):
    model = pruning.prune_low_magnitude(small(keras), pruning.ConstantSparsity(0.5, 0, frequency=1))
    model.compile("sgd", "mse")
    callbacks = [pruning.UpdatePruningStep(), pruning.PruningSummaries(tmp_path)]
    for _ in range(2):
        model.fit(X, Y, callbacks=callbacks, verbose=0)
    assert set(scalars(tmp_path / "metrics")["dense/kernel/sparsity"]) == {0, 1, 2}


@pytest.mark.parametrize("log_dir", [None, "", 3])
def test_a_folder_that_is_none_is_refused(log_dir):
    with pytest.raises(ValueError, match=r"log_dir to be the path of a folder.*got"):
        pruning.PruningSummaries(log_dir)


def test_arguments_of_tensorboard_are_checked_at_once():
    with pytest.raises(TypeError, match="histogram_fre"):
        pruning.PruningSummaries("logs", histogram_fre=1)


def test_a_model_that_is_not_pruned_is_refused(tmp_path):
    model = small(keras)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="not pruned"):
        model.fit(X, Y, callbacks=[pruning.PruningSummaries(tmp_path)], verbose=0)


def test_without_tensorboard_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"kerasinit\[tensorboard\]"):
        pruning.PruningSummaries("logs")
