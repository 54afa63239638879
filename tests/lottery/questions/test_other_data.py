"""Tickets on other data: what comes along, what is drawn anew, and beside what they stand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit import lottery
from kerasinit._src.lottery.questions.other_data import fit_head
from kerasinit._src.lottery.store.stage import Place, Row, Stage
from kerasinit._src.lottery.store.ticket import Ticket
from kerasinit._src.lottery.trial import Setup, Trial
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training import paper_networks
from kerasinit.lottery.questions import Transfer, transfer
from tests.lottery.blobs import blobs
from tests.lottery.questions.conftest import BUILD, DATA, SMALL

BRIEF = replace(SMALL, iterations=4, evaluate_every=4, optimizer="sgd")


def _noisy(classes=3):
    """Other examples of the same shape."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((200, 8)).astype("float32")
    y = (x[:, :classes] + 0.1 * rng.standard_normal((200, classes))).argmax(1)
    return lottery.Dataset(x[40:], y[40:], x[:40], y[:40], name=f"noisy{classes}")


def sized(input_shape, num_classes):
    """A network whose output layer follows the data."""
    return paper_networks.lenet_300_100(input_shape, num_classes)


@pytest.fixture(scope="module")
def moved(finished, tmp_path_factory):
    """What was found on other data of as many classes, and the folder."""
    out = tmp_path_factory.mktemp("transfer") / "answers"
    return transfer(finished.folder, _noisy(), levels=[1], out=out, build=BUILD), out


def test_the_ticket_stands_beside_its_controls_and_the_dense_network(moved):
    found, _ = moved

    assert [(row.trial, row.level, row.branch) for row in found.rows] == [
        (trial, level, branch)
        for trial in (0, 1)
        for level, branch in ((0, "ticket"), (1, "ticket"), (1, "reinit"))
    ]
    assert (found.trained_on, found.new_head) == ("noisy3", False)


def test_masks_and_weights_are_those_that_were_found(moved, finished):
    _, out = moved
    for place in finished.places():
        if place.level == 2:
            continue
        there = finished.stage(place).ticket()
        stage = Stage(out / f"trial-{place.trial}" / f"level-{place.level:02d}" / place.branch)
        here = stage.ticket()
        assert here.masks == there.masks
        for name, value in there.weights.items():
            np.testing.assert_array_equal(here.weights[name], value)
        for name, mask in here.masks.items():
            assert not stage.state("trained")[name][~mask].any()


def test_it_is_the_other_data_that_is_trained_on(moved, finished):
    """Trained again by hand: from the ticket, iteration 0, with a new optimizer."""
    found, _ = moved
    experiment = replace(finished.experiment, rewind="init")
    training = Trial(Setup(experiment, BUILD, _noisy()), 1)
    ticket = finished.stage(Place(1, 1, "ticket")).ticket()
    training.trainer.restore(ticket.weights)
    by_hand = training.trainer.train(
        ticket.masks, training.order(), iterations=30, evaluate_every=10
    )
    (row,) = [r for r in found.rows if (r.trial, r.level, r.branch) == (1, 1, "ticket")]

    assert row.best_validation_loss == by_hand.best_validation_loss
    assert row.test_accuracy == by_hand.test_accuracy


def test_asked_again_nothing_is_trained_and_more_levels_may_follow(
    moved, finished, untrained, monkeypatch
):
    found, out = moved
    said = []
    more = transfer(finished.folder, _noisy(), levels=[1, 2], out=out, build=BUILD, say=said.append)
    assert [line[: line.index(":")] for line in said] == [
        f"trial {trial}, level 2, {branch}" for trial in (0, 1) for branch in ("ticket", "reinit")
    ]
    assert [row for row in more.rows if row.level < 2] == list(found.rows)

    untrained()
    assert transfer(finished.folder, _noisy(), levels=[1], out=out, build=BUILD) == found


def test_fewer_iterations_are_another_question(moved, finished, tmp_path):
    _, out = moved
    with pytest.raises(ValueError, match=r"experiment\.iterations is 30 there and 10 here"):
        transfer(finished.folder, _noisy(), levels=[1], iterations=10, out=out, build=BUILD)

    found = transfer(
        finished.folder, _noisy(), levels=[1], iterations=10, out=tmp_path / "a", build=BUILD
    )
    assert {row.best_iteration for row in found.rows} == {10}


def test_another_number_of_classes_gets_another_output_layer(tmp_path):
    experiment = replace(BRIEF, levels=1, trials=1)
    store = lottery.run(experiment, out=tmp_path / "run", build=sized, data=DATA)
    found = transfer(store.folder, _noisy(5), out=tmp_path / "to", build=sized)
    stages = [
        Stage(tmp_path / "to" / "trial-0" / "level-01" / branch) for branch in ("ticket", "reinit")
    ]
    ticket, reinit = (stage.ticket() for stage in stages)
    there = store.stage(Place(0, 1, "ticket")).ticket()

    assert found.new_head
    assert ticket.masks["dense_2/kernel"].shape == (100, 5)
    assert ticket.masks["dense_2/kernel"].sum() == round(500 * 255 / 300)
    for name in ("dense/kernel", "dense_1/kernel"):
        np.testing.assert_array_equal(ticket.masks[name], there.masks[name])
        np.testing.assert_array_equal(ticket.weights[name], there.weights[name])
    # All that differs between the ticket and its control is what came along.
    assert ticket.masks == reinit.masks
    np.testing.assert_array_equal(
        ticket.weights["dense_2/kernel"], reinit.weights["dense_2/kernel"]
    )
    assert not np.array_equal(ticket.weights["dense/kernel"], reinit.weights["dense/kernel"])


def test_examples_of_another_shape_are_refused(tmp_path, untrained):
    experiment = replace(BRIEF, levels=0, trials=1)
    store = lottery.run(experiment, out=tmp_path / "run", build=sized, data=DATA)
    untrained()

    with pytest.raises(ValueError, match=r"have shape \(5,\): 'dense/kernel' is \(8, 300\) in the"):
        transfer(store.folder, blobs(features=5), out=tmp_path / "to", build=sized)
    assert not (tmp_path / "to").exists()


def test_a_control_that_was_not_trained_is_left_out(tmp_path):
    experiment = replace(BRIEF, controls=(), trials=1)
    store = lottery.run(experiment, out=tmp_path / "run", build=BUILD, data=DATA)
    found = transfer(store.folder, _noisy(), out=tmp_path / "to", build=BUILD)

    assert [(row.level, row.branch) for row in found.rows] == [(0, "ticket"), (2, "ticket")]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32), st.data())
def test_a_new_output_layer_has_the_density_of_the_old(rows, old, new, seed, data):
    kept = data.draw(st.integers(1, rows * old))
    mask = np.arange(rows * old).reshape(rows, old) < kept
    ticket = Ticket(
        Masks({"a/kernel": np.array([True, False]), "b/kernel": mask}),
        {
            "a/kernel": np.float32([3, 0]),
            "a/bias": np.float32([1]),
            "b/kernel": np.where(mask, np.float32(2), np.float32(0)),
            "b/bias": np.full(old, 9, np.float32),
        },
    )
    first = {
        "a/kernel": np.float32([7, 7]),
        "a/bias": np.float32([7]),
        "b/kernel": np.full((rows, new), 5, np.float32),
        "b/bias": np.zeros(new, np.float32),
    }
    fitted = fit_head(ticket, first, np.random.default_rng(seed))

    assert fitted.weights["a/kernel"].tolist() == [3, 0]
    assert fitted.weights["a/bias"].tolist() == [1]
    if old == new:
        assert fitted is ticket
        return
    count = max(1, round(kept / (rows * old) * rows * new))
    assert fitted.masks["b/kernel"].sum() == count
    np.testing.assert_array_equal(fitted.weights["b/kernel"], 5 * fitted.masks["b/kernel"])
    assert not fitted.weights["b/bias"].any()


def test_the_table_compares_with_the_dense_network():
    def row(trial, level, branch, accuracy):
        return Row(trial, level, branch, 1.0 if level == 0 else 0.5, 100, 0.1, accuracy, 0.0)

    found = Transfer(
        "mnist",
        "fashion",
        False,
        (
            row(0, 0, "ticket", 0.80),
            row(0, 3, "ticket", 0.82),
            row(1, 0, "ticket", 0.84),
            row(1, 3, "ticket", 0.86),
        ),
    )
    cells = [list(column.cells) for column in found.table().columns]

    assert cells[0] == ["dense", "ticket"]
    assert cells[3] == ["82.00 ± 2.83", "84.00 ± 2.83"]
    assert cells[5] == ["", "+2.00"]
