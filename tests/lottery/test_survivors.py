"""Survivors are the best by their criterion, with ties in a fixed order."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasinit import lottery
from kerasinit._src import compat, streams
from kerasinit._src.lottery.method import criteria, saliency, survivors
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.mask_arrays import Masks
from kerasinit._src.network.parts import named_variables
from tests.kerases import KERASES
from tests.lottery.blobs import blobs, builder

DATA = blobs()
SMALL = lottery.Experiment(
    iterations=8,
    levels=2,
    trials=1,
    batch_size=20,
    rate=0.5,
    output_rate=0.25,
    controls=(),
    optimizer="sgd:learning_rate=1.0",  # far enough for masks to differ by more than a few
    xla=False,
)


def _ints(masks):
    return {name: mask.astype(int).tolist() for name, mask in masks.items()}


def test_each_criterion_has_its_own_winners_and_ties_go_to_the_first():
    began = {"w": np.array([2.0, -2.0, 0.0, -1.0, 1.0])}
    ended = {"w": np.array([3.0, 1.0, 1.0, -3.0, 1.0])}
    # sizes 3 1 1 3 1; growth 1 -1 1 2 0; ways 1 3 1 2 0
    winners = {
        "magnitude": [1, 1, 0, 1, 0],
        "large_final": [1, 1, 0, 1, 0],
        "magnitude_increase": [1, 0, 1, 1, 0],
        "movement": [1, 1, 0, 1, 0],
    }
    # Of the ways' tie between the first and the third, the first stays.
    masks = Masks.dense({"w": (5,)})

    for name, expected in winners.items():
        scores = {"w": criteria.FROM_WEIGHTS[name](ended["w"], began["w"])}
        assert _ints(survivors.keep(scores, masks, {"w": 3})) == {"w": expected}
    two = {
        name: _ints(survivors.keep({"w": score(ended["w"], began["w"])}, masks, {"w": 2}))["w"]
        for name, score in criteria.FROM_WEIGHTS.items()
    }
    assert two == {
        "magnitude": [1, 0, 0, 1, 0],
        "large_final": [1, 0, 0, 1, 0],
        "magnitude_increase": [1, 0, 0, 1, 0],
        "movement": [0, 1, 0, 1, 0],
    }


def test_the_best_of_all_are_kept_and_the_best_of_each_layer():
    masks = Masks(
        {"a": np.array([True, True, True]), "b": np.ones(2, bool), "c": np.array([True, False])}
    )
    scores = {
        "a": np.array([2.0, 3.0, 3.0]),
        "b": np.array([2.0, 5.0]),
        "c": np.array([0.1, 9.0]),  # the 9 does not live any more
    }

    def kept(number):
        return _ints(survivors.keep(scores, masks, number))

    assert kept(3) == {"a": [0, 1, 0], "b": [0, 1], "c": [1, 0]}
    assert kept(4) == {"a": [0, 1, 1], "b": [0, 1], "c": [1, 0]}
    assert kept(5) == {"a": [1, 1, 1], "b": [0, 1], "c": [1, 0]}  # a tie: first in the model
    assert kept(6) == {"a": [1, 1, 1], "b": [1, 1], "c": [1, 0]}
    with pytest.raises(ValueError, match="count between 0 and 3"):
        kept(7)


@given(
    seed=st.integers(0, 99),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    data=st.data(),
)
def test_no_loser_is_better_than_a_winner(seed, sizes, data):
    rng = np.random.default_rng(seed)
    scores = {str(i): rng.integers(-2, 3, size).astype("float32") for i, size in enumerate(sizes)}
    masks = Masks.dense({name: score.shape for name, score in scores.items()})
    wanted = data.draw(st.integers(len(sizes), sum(sizes)))
    found = survivors.keep(scores, masks, wanted)

    assert found.kept == wanted
    lost = np.concatenate([scores[name][~found[name]] for name in scores])
    for name, score in scores.items():
        assert found[name].any()
        winners = score[found[name]]
        if len(winners) > 1 and lost.size:
            assert np.sort(winners)[0] >= lost.max() or len(winners) == 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the run of a criterion, made once."""
    made = {}

    def run(**changes):
        key = repr(changes)
        if key not in made:
            folder = tmp_path_factory.mktemp("survivors") / "run"
            experiment = replace(SMALL, **changes)
            made[key] = lottery.run(experiment, out=folder, build=builder(), data=DATA)
        return made[key]

    return run


def _masks(store, level):
    return store.stage(Place(0, level, "ticket")).ticket().masks


@pytest.mark.parametrize("criterion", [c for c in criteria.CRITERIA if c != "magnitude"])
def test_each_criterion_is_the_one_that_chooses(runs, criterion):
    store, usual = runs(criterion=criterion), runs()

    for level, counts in ((1, [64, 36]), (2, [32, 27])):
        masks = _masks(store, level)
        assert [int(mask.sum()) for mask in masks.values()] == counts
        assert masks.within(_masks(store, level - 1))
        assert (masks == _masks(usual, level)) == (criterion == "large_final")


@pytest.mark.parametrize("criterion", ["magnitude_increase", "movement"])
def test_what_a_level_began_and_ended_with_decides(runs, criterion):
    store = runs(criterion=criterion)
    for level in (1, 2):
        before = store.stage(Place(0, level - 1, "ticket"))
        masks, began, ended = (
            before.ticket().masks,
            before.ticket().weights,
            before.state("trained"),
        )
        for name, mask in _masks(store, level).items():
            change = {
                "magnitude_increase": np.abs(ended[name]) - np.abs(began[name]),
                "movement": np.abs(ended[name] - began[name]),
            }[criterion]
            lost = change[masks[name] & ~mask]
            assert lost.max() < change[mask].min()


@pytest.mark.parametrize("criterion", criteria.FROM_NETWORK)
def test_the_network_that_a_level_began_with_decides(runs, criterion):
    store, model = runs(criterion=criterion), builder()()
    positions, _ = DATA.split(SMALL.seed, 0)
    for level, counts in ((1, [64, 36]), (2, [32, 27])):
        ticket = store.stage(Place(0, level - 1, "ticket")).ticket()
        for name, variable in named_variables(model).items():
            compat.assign(variable, ticket.weights[name])
        wanted = dict(zip(ticket.masks, counts, strict=True))
        if criterion == "synflow":
            expected = saliency.synflow(model, ticket.masks, wanted)
        else:
            # Ten examples of each of the three classes.
            random = streams.generator(SMALL.seed, "criterion", 0, level - 1)
            batch = random.choice(positions, 30, replace=False)
            score = {"snip": saliency.snip, "grasp": saliency.grasp}[criterion]
            scores = score(model, DATA.x_train[batch], DATA.y_train[batch])
            expected = survivors.keep(scores, ticket.masks, wanted)
        assert _masks(store, level) == expected


def test_layers_have_the_rates_that_they_are_given(runs):
    masks = _masks(runs(layer_rates={"dense": 0.75}, levels=1), 1)

    assert [int(mask.sum()) for mask in masks.values()] == [32, 36]


def test_every_weight_is_as_likely_to_be_chosen_at_random():
    masks = Masks({"a/kernel": np.arange(12).reshape(3, 4) < 8, "b/kernel": np.ones(4, bool)})
    chosen = [
        survivors.next_masks(
            replace(SMALL, criterion="random", rate=0.5, seed=seed), 0, 1, masks, began={}, ended={}
        )
        for seed in range(500)
    ]

    # 6 of 12 and 3 of 4 are asked for, of the 8 and 4 that live. Five standard errors.
    a, b = (np.mean([found[name] for found in chosen], axis=0) for name in masks)
    np.testing.assert_allclose(a[masks["a/kernel"]], 6 / 8, atol=5 * 0.0194)
    np.testing.assert_allclose(b, 3 / 4, atol=5 * 0.0194)
    assert {found["a/kernel"].sum() for found in chosen} == {6}


def test_a_random_choice_is_the_same_again_and_another_one_everywhere_else():
    # Weights of equal shapes, chosen alike.
    masks = Masks.dense({"a": (40,), "b": (40,)})

    def chosen(trial, level, seed=0):
        experiment = replace(SMALL, criterion="random", output_rate=0.5, seed=seed)
        return survivors.next_masks(experiment, trial, level, masks, began={}, ended={})

    first = chosen(0, 1)
    assert chosen(0, 1) == first
    assert chosen(0, 1, seed=1) != first
    assert not np.array_equal(first["a"], first["b"])
    assert first != chosen(1, 1)
    # The best of the same numbers would be among the best of before.
    assert not chosen(0, 2).within(first)


def test_at_once_every_level_is_chosen_by_the_dense_network(runs):
    store = runs(one_shot=True)
    dense = store.stage(Place(0, 0, "ticket")).state("trained")

    for level, counts in ((1, [64, 36]), (2, [32, 27])):
        for (name, mask), count in zip(_masks(store, level).items(), counts, strict=True):
            least = np.sort(np.abs(dense[name]).ravel())[-count]
            np.testing.assert_array_equal(mask, np.abs(dense[name]) >= least)
    assert _masks(store, 1) == _masks(runs(), 1)
    assert _masks(store, 2) != _masks(runs(), 2)


@pytest.mark.parametrize("scope", ["global", "erk", "smart-ratios"])
def test_each_scope_spreads_in_its_own_way(runs, scope):
    store = runs(scope=scope)
    counts = [int(mask.sum()) for mask in _masks(store, 1).values()]

    assert sum(counts) == 100
    # erk: 24 to 19; smart ratios: 0.3 of 48, and the rest.
    expected = {"erk": [56, 44], "smart-ratios": [86, 14]}.get(scope)
    if expected:
        assert counts == expected
    else:
        trained = store.stage(Place(0, 0, "ticket")).state("trained")
        sizes = np.concatenate([np.abs(trained[name]).ravel() for name in _masks(store, 1)])
        least = np.sort(sizes)[-100]
        assert counts == [int((np.abs(trained[n]) >= least).sum()) for n in _masks(store, 1)]
        assert counts != [64, 36]
    assert _masks(store, 2).within(_masks(store, 1))
    assert _masks(store, 2).kept == 59


def test_masks_are_found_again_from_files_alone(runs):
    for store in (
        runs(),
        runs(criterion="movement"),
        runs(criterion="random"),
        runs(one_shot=True),
    ):
        for level in (1, 2):
            scored = store.experiment.scored_level(level)
            stage = store.stage(Place(0, scored, "ticket"))
            again = survivors.next_masks(
                store.experiment,
                0,
                level,
                _masks(store, level - 1),
                began=stage.ticket().weights,
                ended=stage.state("trained"),
            )
            assert again == _masks(store, level)
    with pytest.raises(ValueError, match="snip needs the network"):
        survivors.next_masks(
            replace(SMALL, criterion="snip"), 0, 1, _masks(runs(), 0), began={}, ended={}
        )


@pytest.mark.parametrize("kerase", KERASES)
def test_a_network_is_scored_in_the_same_way_after_a_stop(tmp_path, kerase):
    experiment = replace(SMALL, criterion="snip", iterations=2, levels=1)
    build = builder(kerase, layers=[("Dropout", 0.5)])
    whole = lottery.run(experiment, out=tmp_path / "a", build=build, data=DATA)
    shutil.copytree(whole.folder, tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "trial-0" / "level-01")
    again = lottery.run(experiment, out=tmp_path / "b", build=build, data=DATA)

    assert _masks(again, 1) == _masks(whole, 1)
    assert again.rows() == whole.rows()
