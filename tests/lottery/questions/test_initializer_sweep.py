"""A sweep over initializers: ordinary runs that differ in nothing else."""

import contextlib
import dataclasses

import keras
import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src.lottery.store.stage import Place, Row
from kerasinit._src.lottery.store.store import Store
from kerasinit.lottery.questions import Sweep, sweep
from tests.lottery.questions.conftest import DATA, SMALL

EXPERIMENT = dataclasses.replace(SMALL, levels=1, trials=1)
NAMES = ("HeNormal", "RandomNormal:stddev=0.5")


def build(initializer=None):
    """A network whose kernels can be given an initializer."""
    layers = [keras.layers.Dense(n, kernel_initializer=initializer) for n in (6, 3)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    return model


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """What was found."""
    return sweep(NAMES, EXPERIMENT, out=tmp_path_factory.mktemp("s") / "s", build=build, data=DATA)


def test_every_initializer_has_an_ordinary_run(swept):
    assert list(swept.rows) == list(NAMES)
    for initializer, name in zip(NAMES, ("HeNormal", "RandomNormal-stddev=0.5"), strict=True):
        store = Store.read(swept.folder / name)
        assert store.experiment.initializer == initializer
        assert not store.missing()
        assert tuple(store.rows()) == swept.rows[initializer]
    alone = dataclasses.replace(EXPERIMENT, initializer="HeNormal")
    again = lottery.run(alone, out=swept.folder / "HeNormal", build=build, data=DATA)
    assert tuple(again.rows()) == swept.rows["HeNormal"]


def test_the_initializer_is_what_differs(swept):
    first = [
        Store.read(swept.folder / name).stage(Place(0, 0, "ticket")).ticket().weights
        for name in ("HeNormal", "RandomNormal-stddev=0.5")
    ]

    assert not np.array_equal(first[0]["dense/kernel"], first[1]["dense/kernel"])
    ratio = first[0]["dense/kernel"].std() / first[1]["dense/kernel"].std()
    assert ratio == pytest.approx(np.sqrt(2 / 8) / 0.5, rel=0.5)
    fields = [
        Store.read(swept.folder / name).experiment.to_dict()
        for name in ("HeNormal", "RandomNormal-stddev=0.5")
    ]
    assert {key for key in fields[0] if fields[0][key] != fields[1][key]} == {"initializer"}


def test_a_sweep_that_was_stopped_goes_on(swept, tmp_path, untrained):
    class Stop(lottery.Watch):
        def finished(self, row):
            if row.level == 1:
                raise KeyboardInterrupt

    heard = []

    @contextlib.contextmanager
    def watching(initializer):
        heard.append(initializer)
        yield Stop() if initializer == NAMES[1] else lottery.Watch()

    options = {"out": tmp_path / "s", "build": build, "data": DATA}
    with pytest.raises(KeyboardInterrupt):
        sweep(NAMES, EXPERIMENT, watching=watching, **options)
    assert heard == list(NAMES)
    assert sweep(NAMES, EXPERIMENT, **options).rows == swept.rows

    untrained()
    assert sweep(NAMES[::-1], EXPERIMENT, **options).rows == swept.rows


def test_the_table_has_means_over_the_trials():
    def row(trial, level, accuracy, stop, branch="ticket"):
        return Row(trial, level, branch, 1.0 if level == 0 else 0.5, stop, 0.1, accuracy, 0.0)

    found = Sweep(
        {
            "HeNormal": (
                row(0, 0, 0.90, 300),
                row(0, 1, 0.92, 100),
                row(0, 1, 0.10, 900, "reinit"),
                row(1, 0, 0.94, 500),
                row(1, 1, 0.96, 300),
            ),
            "Zeros": (row(0, 0, 0.1, 100),),
        },
        folder=None,
    )
    cells = [list(column.cells) for column in found.table().columns]

    assert cells == [
        ["0", "1"],
        ["100.00", "50.00"],
        ["92.00 ± 2.83", "94.00 ± 2.83"],
        ["400", "200"],
        ["10.00", ""],
        ["100", ""],
    ]
    reinit = [line for line in found.to_json()["means"] if line["branch"] == "reinit"]
    assert [line["test_accuracy"] for line in reinit] == [0.1]


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["HeNormal", "HeNorml"], "Did you mean 'HeNormal'"),
        (["HeNormal", "HeNormal"], "'HeNormal'.*is duplicated"),
        ([], "must name at least one"),
    ],
)
def test_what_cannot_be_swept_is_said_before_training(names, match, tmp_path, untrained):
    untrained()
    with pytest.raises(ValueError, match=match):
        sweep(names, EXPERIMENT, out=tmp_path / "s", build=build, data=DATA)

    assert not (tmp_path / "s").exists()


def test_an_initializer_beside_the_sweep_is_refused(tmp_path):
    with pytest.raises(ValueError, match="contradicts --initializers"):
        sweep(NAMES, dataclasses.replace(EXPERIMENT, initializer="Zeros"), out=tmp_path / "s")


def test_a_network_that_takes_no_initializer_is_refused(tmp_path, untrained):
    untrained()

    def fixed():
        return build("zeros")

    with pytest.raises(ValueError, match="takes no argument `initializer`"):
        sweep(NAMES, EXPERIMENT, out=tmp_path / "s", build=fixed, data=DATA)
