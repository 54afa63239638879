"""Settings of a run reach its trainings, and what fits nothing is refused before them."""

from dataclasses import replace

import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src.lottery.store.stage import Place
from tests.kerases import KERASES
from tests.lottery.blobs import blobs, builder

DATA = blobs()
DENSE = lottery.Experiment(
    iterations=4, levels=0, trials=1, batch_size=20, evaluate_every=2, controls=(), xla=False
)


def _stage(folder, kerase="keras", **changes):
    experiment = replace(DENSE, **changes)
    store = lottery.run(experiment, out=folder, build=builder(kerase), data=DATA)
    return store.stage(Place(0, 0, "ticket"))


@pytest.mark.parametrize("kerase", KERASES)
def test_the_optimizer_is_the_one_that_was_asked_for(tmp_path, kerase):
    still = _stage(tmp_path / "still", kerase, optimizer="sgd:learning_rate=0.0")
    moved = _stage(tmp_path / "moved", kerase, optimizer="sgd:learning_rate=0.1")

    first = still.ticket().weights["dense/kernel"]
    np.testing.assert_array_equal(still.state("trained")["dense/kernel"], first)
    np.testing.assert_array_equal(moved.ticket().weights["dense/kernel"], first)
    assert not np.array_equal(moved.state("trained")["dense/kernel"], first)


def test_the_early_stop_is_found_on_as_many_examples_as_were_asked_for(tmp_path):
    lines = (_stage(tmp_path / "run", validation=3).folder / "curve.csv").read_text().splitlines()
    accuracies = [float(line.split(",")[-1]) for line in lines[1:]]

    assert lines[0].endswith("validation_accuracy")
    assert all(round(3 * accuracy, 6) in (0, 1, 2, 3) for accuracy in accuracies)
    with pytest.raises(ValueError, match="--validation 180 leaves none to train on"):
        _stage(tmp_path / "none", validation=180)


def test_a_layers_rate_is_the_one_that_it_loses(tmp_path):
    experiment = replace(DENSE, levels=1, layer_rates={"dense": 0.75})
    store = lottery.run(experiment, out=tmp_path / "run", build=builder(), data=DATA)
    masks = store.stage(Place(0, 1, "ticket")).ticket().masks

    assert [int(mask.sum()) for mask in masks.values()] == [32, round(48 * 0.9)]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"layer_rates": {"conv2d*": 0.1}}, r"Unknown layer in --layer-rates 'conv2d\*'"),
        ({"optimizer": "agd"}, "Unknown optimizer 'agd'"),
    ],
)
def test_what_fits_no_model_is_refused_before_training(tmp_path, changes, match):
    with pytest.raises(ValueError, match=match):
        _stage(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()
