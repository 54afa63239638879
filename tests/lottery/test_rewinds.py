"""Each rewind puts back what it says, and a training begins where it says."""

import functools
import itertools
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src import streams
from kerasinit._src.lottery.method import rewinds
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.mask_arrays import Masks
from tests.lottery.blobs import blobs, builder

DATA = blobs()
SMALL = lottery.Experiment(
    iterations=8, levels=2, trials=1, batch_size=20, evaluate_every=2, controls=(), xla=False
)
FIRST = np.array([[4.0, -1.0], [-2.0, 0.5]], "float32")
MASK = np.array([[True, False], [True, True]])


def _start(text, ended=None, seed=0):
    return rewinds.start(
        rewinds.parse(text),
        kept={"w": FIRST, "b": np.array([7.0]), "optimizer/000": np.array(3)},
        ended=ended,
        masks=Masks({"w": MASK}),
        draw=lambda name: np.random.default_rng(seed),
    )


def test_what_is_kept_comes_back_whole():
    for text in ("init", "step:5"):
        state = _start(text)
        np.testing.assert_array_equal(state["w"], FIRST)
        assert state["optimizer/000"] == 3


@pytest.mark.parametrize("text", ["lr", "lr:5", "finetune"])
def test_nothing_goes_on_from_a_level_that_is_not_there(text):
    with pytest.raises(ValueError, match="continues from the final state of the level before"):
        _start(text)


def test_what_ended_goes_on_with_the_optimizer_of_then_or_of_now():
    ended = {"w": FIRST * 2, "b": np.array([9.0]), "optimizer/000": np.array(8)}
    for text, optimizer in (("lr", 3), ("lr:5", 3), ("finetune", 8)):
        state = _start(text, ended)
        np.testing.assert_array_equal(state["w"], FIRST * 2)
        assert state["b"] == 9
        assert state["optimizer/000"] == optimizer


def test_of_signs_only_the_signs_stay_where_they_were():
    starts = [_start("signs", seed=seed)["w"] for seed in range(20)]

    for start in starts:
        np.testing.assert_array_equal(np.sign(start), np.sign(FIRST))
        assert sorted(np.abs(start).ravel()) == [0.5, 1, 2, 4]
    # Any size of the layer may come, also that of a weight that was removed.
    assert {abs(start[0, 0]) for start in starts} == {0.5, 1, 2, 4}
    assert _start("signs")["b"] == 7


def test_a_number_is_the_iteration_that_it_says():
    assert rewinds.parse("step:12") == rewinds.Rewind("step", 12)
    assert rewinds.parse("lr:1") == rewinds.Rewind("lr", 1)
    assert rewinds.parse("init") == rewinds.Rewind("init", 0)


def test_constant_signs_have_the_size_of_the_layer():
    # Mean 0.375; squares 16 + 1 + 4 + 0.25 over 4 less 0.375 squared.
    size = np.float32(np.sqrt(21.25 / 4 - 0.375**2))

    np.testing.assert_allclose(
        _start("constant-signs")["w"], [[size, -size], [-size, size]], rtol=1e-6
    )


def test_reshuffled_survivors_have_each_others_first_values():
    starts = [_start("reshuffled", seed=seed)["w"] for seed in range(20)]

    for start in starts:
        assert start[0, 1] == -1
        assert sorted(start[MASK]) == [-2, 0.5, 4]
    assert {start[0, 0] for start in starts} == {-2, 0.5, 4}


@pytest.mark.parametrize(
    "text", ["inti", "step", "step:0", "step:-1", "lr:0", "lr:x", "init:3", "signs:2", "finetune:"]
)
def test_what_asks_for_nothing_there_is_is_refused(text):
    with pytest.raises(ValueError, match=r"Unknown rewind .* Choices: constant-signs, finetune"):
        rewinds.parse(text)


def _run(folder, rewind, **changes):
    experiment = replace(SMALL, rewind=rewind, **changes)
    return lottery.run(experiment, out=folder / "run", build=builder(), data=DATA)


@pytest.mark.parametrize(
    "rewind", ["lr", "lr:3", "finetune", "signs", "constant-signs", "reshuffled"]
)
def test_a_level_starts_from_what_its_rewind_says(tmp_path, rewind):
    trials = 2 if rewind == "reshuffled" else 1
    # Only there does the optimizer's state come along.
    optimizer = "adam" if rewind == "finetune" else "sgd:learning_rate=0.1"
    store = _run(tmp_path, rewind, controls=("shuffle",), trials=trials, optimizer=optimizer)
    for trial, level in itertools.product(range(trials), (1, 2)):
        first = store.stage(Place(trial, 0, "ticket")).state("rewind")
        stage = store.stage(Place(trial, level, "ticket"))
        ended = store.stage(Place(trial, level - 1, "ticket")).state("trained")
        ticket = stage.ticket()
        expected = rewinds.start(
            rewinds.parse(rewind),
            kept=first,
            ended=ended,
            masks=ticket.masks,
            draw=functools.partial(streams.generator, 0, "rewind", trial, level),
        )
        goes_on = rewind.startswith(("lr", "fine"))
        for name, mask in ticket.masks.items():
            start = ticket.weights[name]
            np.testing.assert_array_equal(start, np.where(mask, expected[name], 0))
            if goes_on:
                np.testing.assert_array_equal(start, np.where(mask, ended[name], 0))
            else:
                assert not np.array_equal(start[mask], first[name][mask])
        # Where the optimizer was: its count goes on only if nothing is put back.
        optimizer = keras.models.load_model(stage.model_path).optimizer
        assert int(optimizer.iterations) == (8 * (level + 1) if rewind == "finetune" else 8)
        curve = (stage.folder / "curve.csv").read_text().splitlines()
        assert curve[1].split(",")[0] == ("4" if rewind == "lr:3" else "2")
        control = store.stage(Place(trial, level, "shuffle")).ticket()
        if goes_on:
            for name, mask in control.masks.items():
                np.testing.assert_array_equal(control.weights[name], np.where(mask, first[name], 0))


def test_the_state_after_some_iterations_is_that_of_a_training_of_so_many(tmp_path):
    store = _run(tmp_path / "a", "step:5", levels=1)
    short = _run(tmp_path / "b", "init", levels=0, iterations=5).stage(Place(0, 0, "ticket"))
    kept = store.stage(Place(0, 0, "ticket")).state("rewind")

    for name, value in (short.state("trained") | short.state("optimizer")).items():
        np.testing.assert_array_equal(kept[name], value)
    ticket = store.stage(Place(0, 1, "ticket")).ticket()
    for name, mask in ticket.masks.items():
        np.testing.assert_array_equal(ticket.weights[name], np.where(mask, kept[name], 0))


def test_a_fine_tuned_level_goes_on_after_a_stop_as_it_would_have(tmp_path):
    whole = _run(tmp_path / "a", "finetune")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "run" / "trial-0" / "level-02")
    again = _run(tmp_path / "b", "finetune")

    assert again.rows() == whole.rows()
