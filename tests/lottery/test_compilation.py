"""Whether XLA compiles a loop follows from the network and the device, and is said."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import kerasinit
from kerasinit import comparison, lottery
from kerasinit._src.lottery.progress import ConsoleWatch
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training import xla as compilation
from kerasinit._src.training.data import Order
from kerasinit._src.training.trainer import Trainer
from tests.kerases import KERASES, tf_keras
from tests.lottery.blobs import blobs, builder
from tests.products import nightly

DATA = blobs()
TRAIN, VALIDATION = DATA.split(0, 0)
OPEN = lottery.Experiment(
    dataset="blobs", iterations=4, levels=1, trials=1, batch_size=20, evaluate_every=2, controls=()
)


def _convolutional(layers):
    """Return a function that builds a network with a convolution for `blobs`."""

    def build():
        model = layers.Sequential(
            [
                layers.layers.InputLayer((8,)),
                layers.layers.Reshape((8, 1)),
                layers.layers.Conv1D(2, 3, kernel_initializer=kerasinit.HeNormal()),
                layers.layers.Flatten(),
                layers.layers.Dense(3, kernel_initializer=kerasinit.HeNormal()),
            ]
        )
        loss = layers.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(layers.optimizers.Adam(0.01), loss)
        return model

    build.__qualname__ = "build"
    return build


def _traced(layer, shape):
    layer(tf.zeros(shape))
    function = tf.function(lambda x: layer(x, training=True), autograph=False)
    return function.get_concrete_function(tf.TensorSpec(shape))


def _layers(library, word):
    """Yield every layer of a Keras that has a word in its name, with a shape of its inputs."""
    for name, kind in sorted(vars(library.layers).items()):
        dimensions = [digit for digit in name if digit.isdigit()]
        if isinstance(kind, type) and word in name and dimensions:
            image = (int(dimensions[0])) * (6,)
            time = (2,) if "LSTM" in name else ()
            # The same class may have several names.
            if kind.__name__ == name:
                yield kind, (1, *time, *image, 2)


CONVOLUTIONS = [
    pytest.param(
        kind,
        shape,
        id=f"{name}.{kind.__name__}",
        marks=() if name == "keras" and "2D" in kind.__name__ else nightly,
    )
    for name, library in KERASES.items()
    for kind, shape in _layers(library, "Conv")
]


@pytest.mark.parametrize(("kind", "shape"), CONVOLUTIONS)
def test_every_layer_that_is_called_a_convolution_is_known_as_one(kind, shape):
    filters = () if "Depthwise" in kind.__name__ else (2,)

    assert compilation.convolves(_traced(kind(*filters, 3), shape))


class Custom(keras.layers.Layer):
    """A convolution that is only known by what it computes."""

    def call(self, inputs):
        return tf.nn.convolution(inputs, tf.ones((2, 2, 1, 1)), dilations=2)


def _nested(library):
    inside = library.Sequential([library.layers.Conv2D(1, 2), library.layers.Flatten()])
    return library.Sequential([library.layers.TimeDistributed(inside)])


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (Custom, (1, 6, 6, 1)),
        (lambda: _nested(keras), (1, 3, 6, 6, 1)),
        (lambda: _nested(tf_keras), (1, 3, 6, 6, 1)),
        (lambda: keras.layers.Conv2D(4, 3, groups=2), (1, 6, 6, 2)),
    ],
    ids=["custom", "nested, keras", "nested, tf_keras", "in groups"],
)
def test_a_convolution_is_found_wherever_it_is(make, shape):
    assert compilation.convolves(_traced(make(), shape))


@pytest.mark.parametrize("library", [keras, pytest.param(tf_keras, marks=nightly)])
@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("Dense", (3,), (1, 4)),
        ("EinsumDense", ("ab,bc->ac", 3), (1, 4)),
        ("LSTM", (3,), (1, 4, 2)),
        ("MaxPooling2D", (), (1, 4, 4, 2)),
        ("AveragePooling1D", (2,), (1, 4, 2)),
        ("BatchNormalization", (), (1, 4)),
    ],
)
def test_what_is_no_convolution_is_not_taken_for_one(library, name, arguments, shape):
    layer = getattr(library.layers, name)(*arguments)

    assert not compilation.convolves(_traced(layer, shape))


def _trainer(build, xla=None):
    return Trainer(build(), DATA, VALIDATION, xla=xla)


@pytest.fixture
def with_gpu(monkeypatch):
    """Let TensorFlow report a GPU."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: ["GPU:0"])


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_xla_compiles_all_but_convolutions_on_a_cpu(library):
    assert _trainer(builder()).uses_xla
    assert not _trainer(_convolutional(library)).uses_xla
    assert _trainer(_convolutional(library), xla=True).uses_xla
    assert not _trainer(builder(), xla=False).uses_xla


def test_xla_compiles_convolutions_on_a_gpu(with_gpu):
    assert _trainer(_convolutional(keras)).uses_xla


def _run(out, build, experiment=OPEN, **options):
    return lottery.run(experiment, out=out, build=build, data=DATA, **options)


class Stop(ConsoleWatch):
    """Stops a run at the first training of a level."""

    def __init__(self, level):
        super().__init__(Console(width=100))
        self.level = level

    def training(self, place, density):
        super().training(place, density)
        if place.level == self.level:
            raise KeyboardInterrupt


def _stopped(build, experiment=OPEN, out=None, level=0):
    with pytest.raises(KeyboardInterrupt):
        lottery.run(experiment, out=out, build=build, data=DATA, watch=Stop(level))


def _begun(path):
    """Return what stands in each run's folder: XLA or not, and who decided."""
    found = {}
    for folder in path.iterdir():
        store = Store.read(folder)
        assert folder.name.endswith(store.experiment.digest)
        found[store.experiment.xla] = store.about.get("xla", "").split()[-1:]
    return found


@pytest.mark.parametrize("build", [builder(), _convolutional(keras)], ids=["dense", "conv"])
def test_a_run_records_and_prints_what_the_rule_says(tmp_path, monkeypatch, capsys, build):
    monkeypatch.chdir(tmp_path)
    xla = _trainer(build).uses_xla
    _stopped(build)

    assert _begun(tmp_path) == {xla: ["device"]}
    words = "XLA compiles" if xla else "XLA does not compile"
    assert f"{words} the training loop, by the network and the device." in capsys.readouterr().out


@pytest.mark.parametrize(
    "build",
    [builder(), pytest.param(_convolutional(keras), marks=nightly)],
    ids=["dense", "conv"],
)
def test_a_run_that_names_it_is_another_run_unless_it_names_the_same(tmp_path, monkeypatch, build):
    monkeypatch.chdir(tmp_path)
    xla = _trainer(build).uses_xla
    _stopped(build, replace(OPEN, xla=not xla))
    assert _begun(tmp_path) == {not xla: ["options"]}
    _stopped(build)
    assert _begun(tmp_path) == {not xla: ["options"], xla: ["device"]}
    _stopped(build, replace(OPEN, xla=xla))
    assert len(_begun(tmp_path)) == 2


@pytest.mark.parametrize(
    "named",
    [pytest.param(True, marks=nightly), False],
    ids=["named folder", "default folder"],
)
def test_a_run_goes_on_as_it_was_begun_on_another_device(tmp_path, monkeypatch, request, named):
    monkeypatch.chdir(tmp_path)
    build, out = _convolutional(keras), tmp_path / "run" if named else None
    _stopped(build, out=out, level=1)
    request.getfixturevalue("with_gpu")
    resumed = lottery.run(OPEN, out=out, build=build, data=DATA)

    assert len(list(tmp_path.iterdir())) == 1
    assert resumed.experiment.xla is False
    # The same numbers as where it is named.
    named = replace(OPEN, xla=False)
    whole = lottery.run(named, out=tmp_path / "whole", build=build, data=DATA)
    assert lottery.digest(resumed) == lottery.digest(whole)
    with pytest.raises(ValueError, match="--xla is False there and True here"):
        lottery.run(replace(OPEN, xla=True), out=resumed.folder, build=build, data=DATA)


def test_a_run_from_before_the_rule_goes_on_with_what_it_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build = _convolutional(keras)
    _stopped(build, replace(OPEN, xla=True))
    (folder,) = tmp_path.iterdir()
    path = folder / "experiment.json"
    content = json.loads(path.read_text())
    del content["xla"]
    path.write_text(json.dumps(content))
    _stopped(build)

    assert _begun(tmp_path) == {True: []}


@pytest.mark.parametrize("library", KERASES.values(), ids=KERASES)
def test_convolutions_repeat_to_the_bit(library):
    ends = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        tf_keras.utils.set_random_seed(0)
        trainer = _trainer(_convolutional(library))
        masks = Masks({n: np.indices(s).sum(0) % 2 == 0 for n, s in trainer.shapes.items()})
        ends.append(trainer.train(masks, Order(TRAIN, 20, 0, 0), iterations=6, keep=6))

    assert ends[0].curve == ends[1].curve
    for name, value in ends[0].kept.items():
        np.testing.assert_array_equal(value, ends[1].kept[name])


def test_a_comparison_follows_the_same_rule(monkeypatch):
    seen = []
    taking = compilation.take_steps

    def take_steps(*arguments, jit):
        seen.append(jit)
        return taking(*arguments, jit=jit)

    monkeypatch.setattr("kerasinit._src.training.loop.take_steps", take_steps)
    options = {"steps": 2, "seeds": 1, "batch_size": 20, "evaluate_every": 1}
    comparison.compare(_convolutional(keras), ["own", "Zeros"], DATA, **options)

    assert set(seen) == {False}
