"""Linear mode connectivity: the line, the barrier, and the two copies at its ends."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kerasinit import lottery
from kerasinit._src.lottery.questions.batch_statistics import normalizations, recompute
from kerasinit._src.lottery.questions.connectivity import interpolate, line_errors
from kerasinit._src.lottery.store.stage import Place, Stage
from kerasinit._src.lottery.trial import Setup, Trial
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.training.data import Order
from kerasinit._src.training.outcome import weights_of
from kerasinit.lottery.questions import Connectivity, Line, barrier, lmc
from tests.lottery.blobs import blobs, builder
from tests.lottery.questions.conftest import BUILD, DATA, SMALL

ERRORS = st.lists(st.floats(0, 1), min_size=2, max_size=9)
VALUES = arrays.arrays(
    np.float32, 5, elements=st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)
)


def test_the_barrier_is_the_highest_error_over_the_mean_of_the_ends():
    assert barrier([0.25, 0.5, 0.75, 0.125]) == 0.75 - 0.1875
    assert barrier([0.5, 0.25, 0.25]) == 0.5 - 0.375  # the highest is an end
    with pytest.raises(ValueError, match="two ends; got 1"):
        barrier([0.5])


@given(ERRORS)
def test_a_barrier_is_not_negative_and_the_same_from_both_ends(errors):
    assert barrier(errors) >= 0
    assert barrier(errors) == barrier(errors[::-1])
    assert barrier([errors[0]] * len(errors)) == 0


@given(VALUES, VALUES, st.integers(2, 30), st.data())
def test_a_line_has_its_ends_and_goes_both_ways(first, second, steps, data):
    step = data.draw(st.integers(0, steps))
    a, b = {"w": first}, {"w": second}

    np.testing.assert_array_equal(interpolate(a, b, 0, steps)["w"], first)
    np.testing.assert_array_equal(interpolate(a, b, steps, steps)["w"], second)
    np.testing.assert_array_equal(interpolate(a, a, step, steps)["w"], first)
    there, back = interpolate(a, b, step, steps), interpolate(b, a, steps - step, steps)
    np.testing.assert_array_equal(there["w"], back["w"])
    assert there["w"].dtype == np.float32


def test_what_is_no_number_on_a_line_stays_as_it_is_in_the_first():
    first = {"w": np.float32([0, 4]), "seed": np.uint32([7, 8])}
    second = {"w": np.float32([8, 4]), "seed": np.uint32([1, 2])}
    mixed = interpolate(first, second, 1, 4)

    assert mixed["w"].tolist() == [2, 4]
    assert mixed["seed"].tolist() == [7, 8]


def test_stable_is_below_two_points_on_the_mean_of_the_trials():
    def line(trial, level, rise):
        return Line(trial, level, 0.5, (0.25, 0.25 + rise, 0.25), (0.0, 0.5, 0.0), False)

    found = Connectivity((line(0, 0, 0.03), line(1, 0, 0.02), line(0, 1, 0.03), line(1, 1, 0.005)))

    assert found.barriers()[0] == pytest.approx((0.025, 0.5))
    assert found.stable() == {0: False, 1: True}
    assert [level["stable"] for level in found.to_json()["levels"]] == [False, True]


@pytest.fixture(scope="module")
def answered(finished, tmp_path_factory):
    """What was found, the folder it is in, and what was said."""
    out, said = tmp_path_factory.mktemp("lmc") / "answers", []
    options = {"build": BUILD, "data": DATA, "say": said.append}
    return lmc(finished.folder, levels=[1], points=5, out=out, **options), out, said


def test_each_level_has_its_line_and_dense_stands_beside_it(answered, finished):
    found, _, said = answered

    assert [(line.trial, line.level) for line in found.lines] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {len(line.test_errors) for line in found.lines} == {5}
    assert len(said) == 8
    assert found.lines[0].density == 1
    assert found.lines[1].density == finished.rows()[1].density
    assert not any(line.recomputed for line in found.lines)


def test_both_copies_start_from_the_rewind_point_and_go_apart(answered, finished):
    _, out, _ = answered
    rewind = finished.stage(Place(1, 0, "ticket")).state("rewind")
    for level in (0, 1):
        masks = finished.stage(Place(1, level, "ticket")).ticket().masks
        folder = out / "trial-1" / f"level-{level:02d}"
        first, second = (Stage(folder / f"copy-{number}") for number in (0, 1))
        for stage in (first, second):
            assert stage.ticket().masks == masks
            for name, value in stage.ticket().weights.items():
                mask = masks.get(name, True)
                np.testing.assert_array_equal(value, np.where(mask, rewind[name], 0))
            for name, mask in masks.items():
                assert not stage.state("trained")[name][~mask].any()
        for name in masks:
            assert not np.array_equal(first.state("trained")[name], second.state("trained")[name])


def test_the_copies_are_what_their_orders_and_the_optimizers_state_give(answered, finished):
    """Trained again here by hand, from iteration 5 with the moments of iteration 5."""
    _, out, _ = answered
    training = Trial(Setup(finished.experiment, BUILD, DATA), 1)
    trainer = training.trainer
    ticket = finished.stage(Place(1, 1, "ticket")).ticket()
    rewind = finished.stage(Place(1, 0, "ticket")).state("rewind")
    trainer.restore(trainer.mask_state(rewind, ticket.masks))
    by_hand = trainer.train(
        ticket.masks, training.order("lmc", 0), iterations=30, start=5, evaluate_every=10
    )
    stored = Stage(out / "trial-1" / "level-01" / "copy-0").state("trained")

    for name, value in stored.items():
        np.testing.assert_array_equal(value, by_hand.final[name])


def test_no_two_orders_are_the_same_and_none_is_the_runs():
    training = Trial(Setup(SMALL, BUILD, DATA), 0)
    orders = [training.order(), training.order("lmc", 0), training.order("lmc", 1)]
    first, second, third = (order.batches(0, 20) for order in orders)

    np.testing.assert_array_equal(
        first, Order(training.positions, SMALL.batch_size, SMALL.seed, 0).batches(0, 20)
    )
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, third)
    assert not np.array_equal(second, third)


def test_the_ends_of_a_line_are_the_copies_errors(answered):
    found, out, _ = answered
    for line in found.lines:
        folder = out / f"trial-{line.trial}" / f"level-{line.level:02d}"
        for number, end in ((0, 0), (1, -1)):
            row = Stage(folder / f"copy-{number}").row()
            assert line.test_errors[end] == pytest.approx(1 - row.final_test_accuracy)


def test_the_middle_of_a_line_is_the_error_of_the_mean_network(answered):
    found, out, _ = answered
    line, folder = found.lines[1], out / "trial-0" / "level-01"
    ends = [Stage(folder / f"copy-{number}").state("trained") for number in (0, 1)]
    w = {name: (ends[0][name] + ends[1][name]) / 2 for name in ends[0]}
    training = Trial(Setup(SMALL, BUILD, DATA), 0)

    def error(x, y):
        hidden = np.maximum(x @ w["dense/kernel"] + w["dense/bias"], 0)
        return np.mean((hidden @ w["dense_1/kernel"] + w["dense_1/bias"]).argmax(1) != y)

    train = training.positions
    assert line.test_errors[2] == pytest.approx(error(DATA.x_test, DATA.y_test))
    assert line.train_errors[2] == pytest.approx(error(DATA.x_train[train], DATA.y_train[train]))


def test_asked_again_nothing_is_trained_and_the_answer_is_the_same(answered, finished, untrained):
    found, out, _ = answered
    untrained()

    assert lmc(finished.folder, levels=[1], points=5, out=out, build=BUILD, data=DATA) == found
    other = lmc(finished.folder, levels=[1], points=3, out=out, build=BUILD, data=DATA)
    assert [line.test_errors[1] for line in other.lines] == [
        line.test_errors[2] for line in found.lines
    ]


def test_what_was_killed_goes_on_to_the_same_numbers(answered, finished, tmp_path, monkeypatch):
    found, _, _ = answered
    done = []

    def killed(line):
        done.append(line)
        if len(done) == 3:
            raise KeyboardInterrupt

    options = {"levels": [1], "points": 5, "out": tmp_path / "a", "build": BUILD, "data": DATA}
    with pytest.raises(KeyboardInterrupt):
        lmc(finished.folder, say=killed, **options)

    assert lmc(finished.folder, say=done.append, **options) == found
    assert len(done) == 8


def test_what_does_not_fit_is_said_before_training(finished, tmp_path, untrained):
    untrained()
    options = {"build": BUILD, "data": DATA, "out": tmp_path / "a"}
    with pytest.raises(ValueError, match="no finished level 7; finished are 0, 1, 2"):
        lmc(finished.folder, levels=[7], **options)
    with pytest.raises(ValueError, match="at least 3"):
        lmc(finished.folder, points=2, **options)
    with pytest.raises(ValueError, match="holds no lottery run"):
        lmc(tmp_path, **options)
    with pytest.raises(ValueError, match=r"not those that .*run was made with"):
        lmc(finished.folder, **{**options, "data": blobs(examples=200)})

    assert not (tmp_path / "a").exists()


def test_a_ticket_that_is_fine_tuned_starts_with_the_optimizer_of_its_dense_network(tmp_path):
    experiment = replace(SMALL, trials=1, levels=1, controls=(), rewind="finetune")
    store = lottery.run(experiment, out=tmp_path / "run", build=BUILD, data=DATA)
    lmc(store.folder, points=3, out=tmp_path / "a", build=BUILD, data=DATA)
    training = Trial(Setup.of_run(store, BUILD, DATA), 0)
    ticket = store.stage(Place(0, 1, "ticket")).ticket()
    ended = store.stage(Place(0, 0, "ticket")).state("optimizer")
    start = {**training.first, **ticket.weights, **ended}
    _, by_hand = training.train("", ticket.masks, start, training.order("lmc", 1))
    stored = Stage(tmp_path / "a" / "trial-0" / "level-01" / "copy-1").state("trained")

    for name, value in stored.items():
        np.testing.assert_array_equal(value, by_hand.final[name])


def test_the_run_itself_is_not_touched(answered, finished):
    names = {path.name for path in finished.folder.iterdir() if path.name != ".lock"}

    assert names == {"experiment.json", "trial-0", "trial-1"}


@pytest.mark.parametrize("kerase", ["keras", "tf_keras"])
def test_statistics_of_batches_are_those_of_the_weights_there(kerase):
    build = builder(kerase, layers=[("BatchNormalization",), ("Dropout", 0.0)])
    training = Trial(Setup(SMALL, build, DATA), 0)
    model, dense = training.trainer.model, Masks.dense(training.trainer.shapes)
    (layer,) = normalizations(model)
    momentum = layer.momentum
    recompute(model, DATA.x_train)
    state = training.trainer.state()
    hidden = np.maximum(DATA.x_train @ state["dense/kernel"] + state["dense/bias"], 0)

    assert layer.momentum == momentum
    np.testing.assert_allclose(
        state["batch_normalization/moving_mean"], hidden.mean(0), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        state["batch_normalization/moving_variance"], hidden.var(0), rtol=2e-2, atol=1e-6
    )

    order = training.order
    ends = [
        weights_of(training.train("", dense, {}, order("lmc", number))[1].final)
        for number in (0, 1)
    ]
    trainer, positions = training.trainer, training.positions
    same = line_errors(trainer, [ends[0]] * 2, 3, DATA, positions)
    there = line_errors(trainer, ends, 3, DATA, positions)
    back = line_errors(trainer, ends[::-1], 3, DATA, positions)
    for part in ("test_errors", "train_errors"):
        assert barrier(same[part]) == 0
        assert there[part] == back[part][::-1]


def test_many_examples_are_taken_in_batches_of_which_each_counts_as_much(monkeypatch):
    """Hand-computed: whatever the pairs, the mean of their means is 30 / 6."""
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    monkeypatch.setattr("kerasinit._src.lottery.questions.batch_statistics._BATCH_SIZE", 2)
    x = np.float32([[0], [2], [4], [6], [8], [10]])
    recompute(model, x)

    assert model.layers[0].moving_mean.numpy() == pytest.approx([5])
    variance = model.layers[0].moving_variance.numpy()
    # Shuffled into pairs; the whole variance would be 35 / 3.
    assert 0 < variance < 35 / 3
