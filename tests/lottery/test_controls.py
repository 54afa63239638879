"""Each control changes what it says, keeps the rest, and is another one at every place."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit import lottery
from kerasinit._src import streams
from kerasinit._src.lottery.method.controls import CONTROLS, scattered, shuffled, unchanged
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.mask_arrays import Masks
from tests.lottery.blobs import blobs, builder

DATA = blobs()
SMALL = lottery.Experiment(
    iterations=10,
    levels=2,
    trials=2,
    batch_size=20,
    evaluate_every=10,
    rate=0.4,
    output_rate=0.05,
    controls=tuple(CONTROLS),
    optimizer="sgd:learning_rate=0.1",
    xla=False,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with every control."""
    folder = tmp_path_factory.mktemp("controls") / "run"
    return lottery.run(SMALL, out=folder, build=builder(), data=DATA)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_changes_what_it_says_and_keeps_the_rest(finished, name, level):
    ticket = finished.stage(Place(0, level, "ticket")).ticket()
    control = finished.stage(Place(0, level, name)).ticket()
    first = finished.stage(Place(0, 0, "ticket")).ticket().weights

    assert control.masks.kept == ticket.masks.kept
    same_mask, same_counts = {
        "reinit": (True, True),
        "shuffle": (False, True),
        "random-mask": (False, False),
        "shuffle-reinit": (False, True),
    }[name]
    counts = [[int(mask.sum()) for mask in t.masks.values()] for t in (ticket, control)]
    assert (counts[0] == counts[1]) == same_counts
    for weight, mask in control.masks.items():
        assert np.array_equal(mask, ticket.masks[weight]) == same_mask
        values, firsts = control.weights[weight][mask], first[weight][mask]
        if "reinit" in name:
            assert not np.any(values == firsts)
        else:
            np.testing.assert_array_equal(values, firsts)


def test_controls_of_one_level_and_of_two_are_different_ones(finished):
    def mask(level, name, trial=0):
        return finished.stage(Place(trial, level, name)).ticket().masks["dense/kernel"]

    def weights(level, name, trial=0):
        return finished.stage(Place(trial, level, name)).ticket().weights["dense/kernel"]

    assert not np.array_equal(mask(1, "shuffle"), mask(1, "shuffle-reinit"))
    assert np.any(mask(2, "shuffle") & ~mask(1, "shuffle"))
    both = mask(2, "reinit")
    assert not np.any(weights(1, "reinit")[both] == weights(2, "reinit")[both])
    both = mask(1, "shuffle-reinit") & mask(1, "reinit")
    assert not np.any(weights(1, "reinit")[both] == weights(1, "shuffle-reinit")[both])
    both = mask(1, "reinit") & mask(1, "reinit", trial=1)
    assert not np.any(weights(1, "reinit")[both] == weights(1, "reinit", trial=1)[both])


@pytest.mark.parametrize("name", ["shuffle", "random-mask", "shuffle-reinit"])
def test_controls_are_drawn_for_each_trial_and_weight(finished, name):
    drawn = []
    for trial in (0, 1):
        masks = finished.stage(Place(trial, 1, "ticket")).ticket().masks
        draw = functools.partial(streams.generator, SMALL.seed, name, trial, 1)
        drawn.append(finished.stage(Place(trial, 1, name)).ticket().masks)
        assert drawn[-1] == CONTROLS[name].masks(masks, draw)
    assert drawn[0] != drawn[1]


def test_controls_are_trained_at_their_levels_only(tmp_path):
    experiment = replace(SMALL, trials=1, controls=("shuffle",), control_levels=(2,))
    store = lottery.run(experiment, out=tmp_path / "run", build=builder(), data=DATA)

    assert [(row.level, row.branch) for row in store.rows()] == [
        (0, "ticket"),
        (1, "ticket"),
        (2, "ticket"),
        (2, "shuffle"),
    ]
    assert not store.missing()


def test_a_control_that_keeps_late_weights_starts_at_their_iteration(tmp_path):
    experiment = replace(SMALL, levels=1, trials=1, evaluate_every=2)
    experiment = replace(experiment, rewind="step:7", controls=("shuffle", "reinit"))
    store = lottery.run(experiment, out=tmp_path / "run", build=builder(), data=DATA)
    rewind = store.stage(Place(0, 0, "ticket")).state("rewind")
    control = store.stage(Place(0, 1, "shuffle")).ticket()

    for name, mask in control.masks.items():
        np.testing.assert_array_equal(control.weights[name], np.where(mask, rewind[name], 0))
    for branch, first in (("shuffle", "8"), ("reinit", "2")):
        curve = (store.path(Place(0, 1, branch)) / "curve.csv").read_text().splitlines()
        assert curve[1].split(",")[0] == first


def _draw(seed):
    return lambda name: np.random.default_rng([seed, *name.encode()])


def test_unchanged_masks_are_the_same_ones():
    masks = Masks({"a": np.array([True, False])})

    assert unchanged(masks, _draw(0)) == masks


@given(
    lives=st.lists(st.lists(st.booleans(), min_size=1, max_size=20).filter(any), min_size=1),
    seed=st.integers(0, 99),
)
def test_counts_are_kept_in_each_layer_or_in_all(lives, seed):
    masks = Masks({str(i): np.array(row) for i, row in enumerate(lives)})
    moved, drawn = shuffled(masks, _draw(seed)), scattered(masks, _draw(seed))

    assert [int(mask.sum()) for mask in moved.values()] == [sum(row) for row in lives]
    assert drawn.kept == masks.kept
    assert all(mask.any() for mask in drawn.values())
    assert [mask.shape for mask in drawn.values()] == [mask.shape for mask in masks.values()]


def test_every_place_is_as_likely_as_another():
    masks = Masks({"a": np.arange(12).reshape(3, 4) < 3})
    wide = Masks({"a": np.ones(6, bool), "b": np.arange(18) < 2})
    moved = np.mean([shuffled(masks, _draw(seed))["a"] for seed in range(2000)], axis=0)
    drawn = [scattered(wide, _draw(seed)) for seed in range(2000)]

    # Standard errors: sqrt(p (1 - p) / 2000), times 5.
    np.testing.assert_allclose(moved, 3 / 12, atol=5 * 0.0097)
    np.testing.assert_allclose(np.mean([d["a"] for d in drawn]), 8 / 24, atol=0.02)
    np.testing.assert_allclose(np.mean([d["b"] for d in drawn]), 8 / 24, atol=0.02)


def test_the_weight_that_a_layer_is_given_back_may_be_any_and_is_taken_from_another():
    # Of two that live, in a layer of twenty and one of four, both are often in the first.
    masks = Masks({"a": np.arange(20) < 1, "b": np.arange(4) < 1})
    drawn = [scattered(masks, _draw(seed)) for seed in range(2000)]

    assert all(d["a"].sum() == d["b"].sum() == 1 for d in drawn)
    # Standard errors as above.
    np.testing.assert_allclose(np.mean([d["a"] for d in drawn], axis=0), 1 / 20, atol=5 * 0.0049)
    np.testing.assert_allclose(np.mean([d["b"] for d in drawn], axis=0), 1 / 4, atol=5 * 0.0097)


def test_places_are_permuted_whole_and_scattered_over_all():
    class Reversed:
        """A generator that turns things round."""

        def permutation(self, values):
            return values[::-1]

        def choice(self, values, size=None, replace=True):
            return np.arange(values)[:size] if size else values[-1]

        def integers(self, below):
            return below - 1

    masks = Masks({"a": np.array([[1, 1, 0], [0, 0, 0]], bool), "b": np.array([1, 1, 0], bool)})
    moved = shuffled(masks, lambda name: Reversed())
    assert moved["a"].astype(int).tolist() == [[0, 0, 0], [0, 1, 1]]
    assert moved["b"].astype(int).tolist() == [0, 1, 1]
    # The first four of nine live, which leaves b none: the last of a's goes to the last of b.
    drawn = scattered(masks, lambda name: Reversed())
    assert drawn["a"].astype(int).tolist() == [[1, 1, 1], [0, 0, 0]]
    assert drawn["b"].astype(int).tolist() == [0, 0, 1]
