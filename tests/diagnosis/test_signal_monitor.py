"""The monitor sees every layer while a model trains, on time, and changes nothing."""

import csv
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasinit
from kerasinit._src import compat
from kerasinit._src.compat import optimizers
from kerasinit._src.diagnosis import monitor as signal_monitor
from kerasinit._src.diagnosis.measured import Measured
from kerasinit._src.diagnosis.monitor_files import COLUMNS
from tests.diagnosis import networks
from tests.kerases import KERASES, tf_keras
from tests.products import nightly

BOTH = pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
X, Y = networks.batch(24, 6), np.arange(24) % 3


def small(library, optimizer="sgd", **arguments):
    layers = library.layers
    model = library.Sequential(
        [library.Input((6,)), layers.Dense(5, "tanh"), layers.Dense(3, "softmax")]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", **arguments)
    return model


def fit(model, monitor, epochs=1, **arguments):
    model.fit(X, Y, batch_size=4, epochs=epochs, callbacks=[monitor], verbose=0, **arguments)


def steps_of(monitor):
    return [look.step for look in monitor.history]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# tf_keras' own dropout draws other numbers in each training under XLA.
@pytest.mark.parametrize(
    ("library", "jit", "dropout", "at_once"),
    [
        (keras, False, 0.5, 2),
        (tf_keras, True, 0.0, 1),
        pytest.param(keras, True, 0.5, 1, marks=nightly),
        pytest.param(tf_keras, False, 0.5, 2, marks=nightly),
    ],
)
def test_the_training_is_the_same_to_the_last_bit(library, jit, dropout, at_once):
    def trained(callbacks):
        library.utils.set_random_seed(3)
        layers = library.layers
        model = library.Sequential(
            [
                library.Input((6,)),
                layers.Dense(8, "relu", activity_regularizer="l2", kernel_regularizer="l2"),
                layers.BatchNormalization(),
                layers.Dropout(dropout),
                layers.Dense(3, "softmax"),
            ]
        )
        model.compile(
            library.optimizers.Adam(1e-2),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=jit,
            steps_per_execution=at_once,
        )
        # Validation is compiled too, which takes its time under XLA.
        x, y, split = (X[:20], Y[:20], 0) if jit else (X, Y, 0.2)
        history = model.fit(x, y, 5, 1, callbacks=callbacks, validation_split=split, verbose=0)
        held = [*model.variables, *optimizers.optimizer_variables(model)]
        return [compat.read(one).tobytes() for one in held], history.history

    monitor = kerasinit.SignalMonitor(X, Y, every=1)
    assert trained([monitor]) == trained([])
    assert steps_of(monitor) == list(range(0, 5, at_once))


@BOTH
def test_a_look_is_the_diagnosis_of_the_weights_at_its_step(library, tmp_path):
    model, path = small(library), tmp_path / "signals.csv"
    monitor = kerasinit.SignalMonitor(X, Y, csv=path, every=4)
    before = kerasinit.diagnose(model, X, Y)
    fit(model, monitor, epochs=2)
    assert steps_of(monitor) == [0, 4, 8, 12]
    assert [look.epoch for look in monitor.history] == [0, 0, 1, 1]
    after = kerasinit.diagnose(model, X, Y)
    assert monitor.history[0].diagnosis == before
    assert monitor.history[-1].diagnosis == after

    rows = rows_of(path)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["step"], row["layer"]) for row in rows[-2:]] == [
        ("12", "dense"),
        ("12", "dense_1"),
    ]
    for row, layer in zip(rows[-2:], after.layers, strict=True):
        for name in ("mean", "variance", "least", "most", "dead", "saturated", "correlation"):
            assert float(row[name]) == getattr(layer.signal, name)
        assert float(row["rank"]) == layer.signal.rank
        assert int(row["alike"]) == layer.twins.alike
        for name in ("gradient", "weight_gradient", "update_ratio"):
            assert float(row[name]) == getattr(layer, name)


@BOTH
def test_the_update_is_the_one_that_the_optimizer_makes_next(library):
    decay = library.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    model = small(library, library.optimizers.Adam(decay))
    kernels = []
    keep = library.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: kernels.append(model.layers[0].kernel.numpy()),
        on_train_end=lambda logs: kernels.append(model.layers[0].kernel.numpy()),
    )
    # One batch, that of the monitor, is all that there is.
    monitor = kerasinit.SignalMonitor(X, Y, every="epoch")
    model.fit(X, Y, batch_size=24, epochs=4, callbacks=[monitor, keep], verbose=0)
    moved = [
        np.linalg.norm(after - before) / np.linalg.norm(before)
        for before, after in itertools.pairwise(kernels)
    ]
    told = [look.diagnosis.layers[0].update_ratio for look in monitor.history]
    assert steps_of(monitor) == [0, 1, 2, 3, 4]
    assert told[:-1] == pytest.approx(moved, rel=1e-4)
    assert moved[3] < moved[0] / 2


class Clock:
    """A time that goes on only as it is told to."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


def imagined(monkeypatch, steps, seconds, cost, at_once=1, **arguments):
    """Return the steps of the snapshots in a training that takes no time, and their share of it.

    The first step compiles for 20 seconds, the first snapshot takes four times as long.
    """
    clock, costs = Clock(), itertools.chain([4 * cost], itertools.repeat(cost))
    spent = []

    def measured(*_):
        spent.append(next(costs))
        clock.now += spent[-1]
        return Measured((), (), "", 2, 2)

    monkeypatch.setattr(signal_monitor, "time", clock)
    monkeypatch.setattr(signal_monitor, "measure", measured)
    monitor = kerasinit.SignalMonitor(X, **arguments)
    monitor.set_model(small(keras, steps_per_execution=at_once))
    monitor.set_params({"steps": steps, "epochs": 1})
    monitor.on_train_begin()
    monitor.on_epoch_begin(0)
    for batch in range(0, steps, at_once):
        monitor.on_train_batch_begin(batch)
        clock.now += seconds * at_once if batch else 20
    monitor.on_epoch_end(0)
    monitor.on_train_end()
    return steps_of(monitor), sum(spent) / (seconds * (steps - 1))


@pytest.mark.parametrize(
    ("seconds", "cost", "at_once"), [(0.002, 0.05, 1), (0.002, 0.05, 30), (0.2, 0.1, 1)]
)
def test_by_default_looks_take_at_most_their_budget(monkeypatch, seconds, cost, at_once):
    steps, share = imagined(monkeypatch, 60_000, seconds, cost, at_once)
    assert share <= 0.03
    assert steps[0] == 0
    assert steps[-1] == 60_000
    # Enough of them, each within an execution of a multiple of a power of two.
    assert len(steps) > 10
    intervals = [1 << k for k in range(5, 12)]
    assert all(any(step % i < at_once for i in intervals) for step in steps if step >= 1024)
    assert share > 0.01 or np.diff(steps).max() <= 60_000 / 16


def test_by_default_there_are_few_looks_in_a_long_training(monkeypatch):
    steps, _ = imagined(monkeypatch, 200_000, 1.0, 0.01)
    assert len(steps) < 32 * np.log2(200_000)
    assert np.diff(steps).max() <= 200_000 / 16
    assert np.diff(steps[:20]).max() <= 8


def test_a_training_too_short_for_the_budget_has_a_first_and_a_last_look(monkeypatch):
    assert imagined(monkeypatch, 100, 0.002, 0.05)[0] == [0, 100]


def test_fixed_steps_do_not_depend_on_time(monkeypatch):
    for seconds in (1e-6, 1.0):
        steps, _ = imagined(monkeypatch, 40, seconds, 0.05, every=15)
        assert steps == [0, 15, 30, 40]
    assert imagined(monkeypatch, 40, 1.0, 0.05, at_once=10, every=15)[0] == [0, 20, 30, 40]


def test_what_was_seen_is_on_disk_at_each_step(tmp_path):
    path = tmp_path / "signals.csv"
    seen = []
    model = small(keras)
    monitor = kerasinit.SignalMonitor(X, csv=path, every=2)
    after = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(len(rows_of(path)))
    )
    model.fit(X, Y, batch_size=4, callbacks=[monitor, after], verbose=0)
    assert seen == [2, 2, 4, 4, 6, 6]


@BOTH
def test_a_training_that_goes_on_is_appended(library, tmp_path):
    path, model = tmp_path / "signals.csv", small(library)
    fit(model, kerasinit.SignalMonitor(X, Y, csv=path, every="epoch"), epochs=2)
    first = path.read_text()
    path.write_text(first + "13,2,den")  # killed while it wrote
    monitor = kerasinit.SignalMonitor(X, Y, csv=path, every="epoch")
    fit(model, monitor, epochs=3, initial_epoch=2)
    assert steps_of(monitor) == [12, 18]
    assert [look.epoch for look in monitor.history] == [2, 2]
    assert path.read_text().startswith(first)
    steps = [row["step"] for row in rows_of(path) if row["layer"] == "dense"]
    assert steps == ["0", "6", "12", "12", "18"]


def test_the_signals_of_another_training_are_not_touched(tmp_path):
    path = tmp_path / "signals.csv"
    fit(small(keras), kerasinit.SignalMonitor(X, Y, csv=path))
    content = path.read_bytes()
    model = small(keras)
    weights = model.get_weights()
    with pytest.raises(FileExistsError, match="nothing is overwritten"):
        fit(model, kerasinit.SignalMonitor(X, Y, csv=path))
    assert path.read_bytes() == content
    assert all(map(np.array_equal, weights, model.get_weights()))

    path.write_text("epoch,loss\n0,1.5\n")
    with pytest.raises(ValueError, match="exists with other columns, epoch,loss"):
        kerasinit.SignalMonitor(X, Y, csv=path)
    assert path.read_text() == "epoch,loss\n0,1.5\n"


@BOTH
def test_tensorboard_has_a_scalar_for_each_layer_and_measure(library, tmp_path):
    model = small(library)
    monitor = kerasinit.SignalMonitor(X, Y, log_dir=tmp_path / "logs", every=3)
    fit(model, monitor)
    found = {}
    (path,) = (tmp_path / "logs").iterdir()
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            number = float(tf.make_ndarray(value.tensor))
            found.setdefault(value.tag, {})[event.step] = number
    assert found["signal/dense_1/variance"] == pytest.approx(
        {look.step: look.diagnosis.layers[1].signal.variance for look in monitor.history}
    )
    assert list(found["signal/dense/update_ratio"]) == [0, 3, 6]
    assert {tag.split("/")[1] for tag in found} == {"dense", "dense_1"}
    assert {tag.split("/")[2] for tag in found} == set(COLUMNS[6:])


def test_a_model_that_is_not_built_is_first_seen_after_its_first_step():
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Dense(5, "relu"), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    monitor = kerasinit.SignalMonitor(X, Y, every="epoch")
    fit(model, monitor, epochs=2)
    assert steps_of(monitor) == [1, 6, 12]


def test_the_history_spans_the_training_in_little_room():
    monitor = kerasinit.SignalMonitor(X, every=1, keep=4)
    fit(small(keras), monitor)
    assert len(monitor.history) <= 4
    assert steps_of(monitor)[0] == 0
    assert steps_of(monitor)[-1] == 6
    fit(small(keras), monitor)  # of another model nothing of the first one stays
    assert steps_of(monitor)[0] == 0


def test_changing_the_batch_later_changes_nothing():
    x = X.copy()
    monitor = kerasinit.SignalMonitor(x, Y, every="epoch")
    x[:] = np.nan
    fit(small(keras), monitor)
    assert all(look.diagnosis.measured.inputs[0].finite for look in monitor.history)


def test_a_batch_that_does_not_fit_is_told_before_the_first_step():
    model = small(keras)
    weights = model.get_weights()
    with pytest.raises(Exception, match=r"incompatible|shape") as caught:
        fit(model, kerasinit.SignalMonitor(X[:, :4], Y))
    assert "Raised while SignalMonitor measured its own x at step 0." in caught.value.__notes__
    assert all(map(np.array_equal, weights, model.get_weights()))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"y": Y[:5]}, ValueError, "as many labels as examples; got \\[5, 24\\]"),
        ({"x": tf.data.Dataset.from_tensors(X)}, TypeError, "Take a batch of it"),
        ({"examples": 1}, ValueError, "at least 2"),
        ({"keep": 2.5}, ValueError, "at least 3"),
        ({"every": 0}, ValueError, "at least 1"),
        ({"every": "epcoh"}, ValueError, "Did you mean 'epoch'"),
        ({"budget": 0}, ValueError, "fraction above 0"),
        ({"budget": 0.1, "every": 5}, ValueError, "pass one of them"),
        ({"csv": 3}, TypeError, "the path of a file"),
        ({"csv": "nowhere/signals.csv"}, ValueError, "no folder nowhere"),
        ({"log_dir": ""}, TypeError, "the path of a folder"),
    ],
)
def test_wrong_input_is_refused_at_once(arguments, error, words):
    with pytest.raises(error, match=words):
        kerasinit.SignalMonitor(**{"x": X} | arguments)


@BOTH
def test_it_is_a_callback_of_either_keras(library):
    assert isinstance(kerasinit.SignalMonitor(X), library.callbacks.Callback)


def test_files_that_are_not_ours_are_named(tmp_path):
    (tmp_path / "long.csv").write_text("x" * 10**6)
    with pytest.raises(ValueError, match=r"long\.csv already exists with other columns, xxx"):
        kerasinit.SignalMonitor(X, Y, csv=tmp_path / "long.csv")
    with pytest.raises(ValueError, match=r"log_dir must be a folder; .*long\.csv is a file"):
        kerasinit.SignalMonitor(X, Y, log_dir=tmp_path / "long.csv")
