"""What a question trains with is what the run trained with."""

from dataclasses import replace

import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.trial import Setup, Trial
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.outcome import weights_of
from tests.lottery.blobs import builder
from tests.lottery.questions.conftest import BUILD, DATA, SMALL
from tests.products import nightly

CHANGES = {
    "seed": 5,
    "batch_size": 7,
    "optimizer": "sgd:learning_rate=0.1",
    "validation": 9,
}


@pytest.mark.parametrize(
    "changed",
    [
        CHANGES,
        *(pytest.param({name: CHANGES[name]}, marks=nightly) for name in CHANGES),
        pytest.param({}, marks=nightly),
    ],
    ids=lambda changed: ", ".join(changed) or "nothing",
)
def test_the_dense_network_of_a_run_is_trained_again_to_the_same_bits(changed, tmp_path):
    experiment = replace(SMALL, levels=0, trials=2, **changed)
    store = lottery.run(experiment, out=tmp_path / "run", build=BUILD, data=DATA)
    stage = store.stage(Place(1, 0, "ticket"))
    training = Trial(Setup.of_run(store, BUILD, DATA), 1)
    dense = Masks.dense(training.trainer.shapes)
    # Whatever was trained before.
    training.train("warm", dense, {}, training.order("another", 3))
    begun, trained = training.train("", dense, {}, training.order())

    for name, value in stage.ticket().weights.items():
        np.testing.assert_array_equal(begun[name], value)
    for name, value in weights_of(trained.final).items():
        np.testing.assert_array_equal(value, stage.state("trained")[name])
    assert trained.best_validation_loss == stage.row().best_validation_loss


def test_the_data_of_a_run_are_known_again(finished):
    changed = lottery.Dataset(DATA.x_train + 1, DATA.y_train, DATA.x_test, DATA.y_test, "blobs")

    assert Setup.of_run(finished, BUILD, DATA).data is DATA
    with pytest.raises(ValueError, match="Pass the run's own data"):
        Setup.of_run(finished, BUILD, changed)


def test_random_layers_of_tf_keras_do_not_depend_on_what_was_trained_before():
    build = builder("tf_keras", layers=[("Dropout", 0.5)])
    trained = []
    for warm in (True, False):
        training = Trial(Setup(SMALL, build, DATA), 0)
        dense = Masks.dense(training.trainer.shapes)
        if warm:
            training.train("", dense, {}, training.order("another", 3))
        trained.append(training.train("", dense, {}, training.order())[1].final)

    for name, value in trained[0].items():
        np.testing.assert_array_equal(value, trained[1][name])
