"""Early birds: the masks on the way, how far they are apart, and when they rest."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from kerasinit import lottery
from kerasinit._src.lottery.questions.early_bird import draw, farthest
from kerasinit._src.lottery.trial import Setup, Trial
from kerasinit._src.mask_arrays import Masks
from kerasinit.lottery.questions import earlybird, mask_distance
from tests.lottery.questions.conftest import BUILD, DATA, SMALL

LONG = lottery.Experiment(
    iterations=35, trials=2, batch_size=20, evaluate_every=5, xla=False, seed=3
)
BITS = arrays.arrays(bool, (3, 4))


def test_the_distance_counts_every_layer_by_its_weights():
    first = Masks({"a": np.array([True, False]), "b": np.array([[True, True, False, False]] * 2)})
    second = Masks({"a": np.array([False, False]), "b": np.array([[True, False, True, False]] * 2)})

    assert mask_distance(first, second) == (1 + 4) / 10
    with pytest.raises(ValueError, match="no mask for 'b'"):
        mask_distance(first, Masks({"a": np.array([True, False])}))


@given(BITS, BITS, BITS)
def test_the_distance_is_a_distance(a, b, c):
    a, b, c = (Masks({"w": bits}) for bits in (a, b, c))

    assert mask_distance(a, a) == 0
    assert (mask_distance(a, b) == 0) == (a == b)
    assert mask_distance(a, b) == mask_distance(b, a)
    assert mask_distance(a, c) <= mask_distance(a, b) + mask_distance(b, c) + 1e-12


def test_a_mask_is_drawn_from_all_layers_together_ties_in_order():
    weights = {
        "a": np.float32([[-5, 1], [1, 0]]),
        "bias": np.float32([100]),
        "b": np.float32([1, -4]),
    }
    masks = draw(weights, ["a", "b"], 0.5)

    assert masks["a"].tolist() == [[True, True], [False, False]]
    assert masks["b"].tolist() == [False, True]
    assert draw(weights, ["a", "b"], 0.01).kept == 1


def test_a_mask_is_held_against_each_of_those_shortly_before_it():
    masks = [Masks({"w": np.arange(8) == live}) for live in range(4)]
    away = [Masks({"w": np.arange(8) < live}) for live in (1, 2, 3, 5, 5)]

    assert farthest(masks, 2) == [None, 0.25, 0.25, 0.25]
    assert farthest(away, 2) == [None, 1 / 8, 1 / 8, 2 / 8, 0]
    assert farthest(away, 3) == [None, None, 2 / 8, 3 / 8, 2 / 8]
    assert farthest(away, 5) == [None] * 4 + [4 / 8]
    assert farthest(away, 6) == [None] * 5


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """What was found, and the folder."""
    out = tmp_path_factory.mktemp("earlybird") / "answers"
    found = earlybird(LONG, density=0.4, window=3, epsilon=0.2, out=out, build=BUILD, data=DATA)
    return found, out


def test_the_masks_are_those_of_the_training_of_the_dense_network(answered):
    """Trained again by hand, and stopped where the looks were."""
    found, _ = answered
    assert [[check.iteration for check in flight.checks] for flight in found.flights] == [
        [5, 10, 15, 20, 25, 30, 35]
    ] * 2
    training = Trial(Setup(LONG, BUILD, DATA), 1)
    trainer, masks = training.trainer, []
    for stop in (5, 10, 15, 35):
        trainer.restore(training.first)
        trained = trainer.train(
            Masks.dense(trainer.shapes), training.order(), iterations=stop, evaluate_every=5
        )
        masks.append(draw(trained.final, list(trainer.shapes), 0.4))
    checks = found.flights[1].checks

    assert checks[0].distance is None
    assert checks[1].distance == mask_distance(masks[0], masks[1])
    assert checks[2].farthest == max(mask_distance(masks[2], masks[n]) for n in (0, 1))
    assert checks[1].to_last == mask_distance(masks[1], masks[3])
    assert checks[-1].to_last == 0
    assert checks[-1].validation_accuracy == trained.curve[-1].validation_accuracy


def test_the_early_bird_is_kept_as_a_ticket_with_the_first_weights(answered):
    found, out = answered
    for flight in found.flights:
        far = [check.farthest for check in flight.checks]
        assert far[:2] == [None, None]
        assert far[2] > 0
        quiet = [check.iteration for check in flight.checks[2:] if check.farthest < 0.2]
        assert flight.iteration == quiet[0]
        ticket = lottery.load_ticket(out / f"trial-{flight.trial}" / "ticket.safetensors")
        assert ticket.masks.kept == round(0.4 * ticket.masks.size)
        first = Trial(Setup(LONG, BUILD, DATA), flight.trial).first
        for name, mask in ticket.masks.items():
            np.testing.assert_array_equal(ticket.weights[name], np.where(mask, first[name], 0))


def test_the_table_marks_the_early_bird(answered):
    found, _ = answered
    columns = {column.header: list(column.cells) for column in found.table().columns}
    at = [
        int(iteration)
        for iteration, mark in zip(columns["iteration"], columns[""], strict=True)
        if mark
    ]

    assert at == [flight.iteration for flight in found.flights]
    assert f"trial 1: early bird at iteration {at[1]} of 35" in found.table().caption


def test_asked_again_nothing_is_trained(answered, untrained):
    found, out = answered
    untrained()
    options = {"density": 0.4, "window": 3, "out": out, "build": BUILD, "data": DATA}

    assert earlybird(LONG, epsilon=0.2, **options) == found
    with pytest.raises(ValueError, match=r"epsilon is 0\.2 there and 0\.3 here"):
        earlybird(LONG, epsilon=0.3, **options)


def test_without_an_early_bird_there_is_no_ticket(tmp_path):
    found = earlybird(
        replace(LONG, trials=1),
        density=0.4,
        window=7,
        epsilon=1e-9,
        out=tmp_path / "a",
        build=BUILD,
        data=DATA,
    )

    assert found.flights[0].iteration is None
    assert "no early bird" in found.table().caption
    assert [path.name for path in (tmp_path / "a" / "trial-0").iterdir()] == ["checks.json"]


@pytest.mark.parametrize(
    ("changed", "options", "match"),
    [
        ({"levels": 3}, {}, "--levels does not apply to an early bird"),
        ({"rewind": "step:5"}, {}, "--rewind does not apply"),
        ({"controls": ()}, {}, "--controls does not apply"),
        ({}, {"density": 1}, "--density must be a number between 0 and 1"),
        ({}, {"epsilon": 0}, "--epsilon must be a number between 0 and 1"),
        ({}, {"window": 1}, "--window must be a whole number of at least 2"),
        ({}, {"window": 8}, "give 7 masks, fewer than the 8"),
    ],
)
def test_what_means_nothing_is_refused_before_training(changed, options, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        earlybird(replace(LONG, **changed), out=tmp_path / "a", build=BUILD, data=DATA, **options)

    assert not (tmp_path / "a").exists()


def test_a_run_of_the_same_options_has_the_same_dense_network(tmp_path):
    """So that an early mask can be held against the tickets of a run."""
    experiment = replace(SMALL, levels=0, trials=1, controls=())
    store = lottery.run(experiment, out=tmp_path / "run", build=BUILD, data=DATA)
    plain = lottery.Experiment(iterations=30, trials=1, batch_size=20, evaluate_every=10, xla=False)
    found = earlybird(plain, window=2, out=tmp_path / "bird", build=BUILD, data=DATA)
    (stage,) = (store.stage(place) for place in store.places())
    curve = np.loadtxt(stage.folder / "curve.csv", delimiter=",", skiprows=1)

    assert [check.validation_accuracy for check in found.flights[0].checks] == list(curve[:, 3])
