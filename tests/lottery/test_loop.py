"""The lottery: the ladder, the rewinding, the controls, and going on where it stopped."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kerasinit import lottery
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.mask_arrays import Masks
from tests.kerases import KERASES
from tests.lottery.blobs import blobs, builder
from tests.products import each_value_once, nightly

DATA = blobs()
SMALL = lottery.Experiment(
    dataset="blobs",
    iterations=30,
    levels=3,
    trials=1,
    batch_size=20,
    evaluate_every=10,
    rate=0.3,
    output_rate=0.15,
    optimizer="sgd:learning_rate=0.1",
    xla=False,
)


def _run(out, experiment=SMALL, build=None, **options):
    return lottery.run(experiment, out=out, build=build or builder(), data=DATA, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, for tests that only read."""
    return _run(tmp_path_factory.mktemp("lottery") / "run")


ONE_LEVEL = replace(SMALL, levels=1)


@pytest.fixture
def copied(finished, tmp_path):
    """The first level of the finished run, in a folder that a test may change."""
    shutil.copytree(finished.folder, tmp_path / "run")
    for level in (2, 3):
        shutil.rmtree(tmp_path / "run" / "trial-0" / f"level-{level:02d}")
    path = tmp_path / "run" / "experiment.json"
    content = json.loads(path.read_text())
    content["experiment"]["levels"] = 1
    path.write_text(json.dumps(content))
    store = Store.read(tmp_path / "run")
    assert not store.missing()
    return store


class Listener(lottery.Watch):
    """Remembers which trainings were made."""

    def __init__(self):
        self.trained = []

    def training(self, place, density):
        self.trained.append(place)


def test_every_training_has_a_row_and_level_0_is_dense(finished):
    rows = lottery.rows(finished.folder)

    assert [(row["level"], row["branch"]) for row in rows] == [
        (0, "ticket"),
        *((level, branch) for level in (1, 2, 3) for branch in ("ticket", "reinit")),
    ]
    assert rows[0]["density"] == 1
    assert set(rows[0]) == {
        "trial",
        "level",
        "branch",
        "density",
        "best_iteration",
        "best_validation_loss",
        "test_accuracy",
        "final_test_accuracy",
    }


def test_each_level_removes_its_fraction_of_each_layers_survivors(finished):
    hidden, output = 8 * 16, 16 * 3
    for level in range(4):
        masks = finished.stage(Place(0, level, "ticket")).ticket().masks
        assert masks["dense/kernel"].sum() == hidden
        assert masks["dense_1/kernel"].sum() == output
        hidden, output = round(hidden * 0.7), round(output * 0.85)


def test_what_is_removed_is_what_was_smallest_after_training(finished):
    for level in range(3):
        stage = finished.stage(Place(0, level, "ticket"))
        before = stage.ticket().masks
        after = finished.stage(Place(0, level + 1, "ticket")).ticket().masks
        trained = stage.state("trained")
        assert after.within(before)
        for name in before:
            size = np.abs(trained[name])
            removed = size[before[name] & ~after[name]]
            assert len(removed)
            assert removed.max() < size[after[name]].min()


def test_survivors_start_from_their_first_values_bit_for_bit(finished):
    first = finished.stage(Place(0, 0, "ticket")).ticket().weights
    for level in (1, 2, 3):
        ticket = finished.stage(Place(0, level, "ticket")).ticket()
        for name, weights in ticket.weights.items():
            mask = ticket.masks.get(name, np.ones(weights.shape, bool))
            np.testing.assert_array_equal(weights, np.where(mask, first[name], 0))


def test_the_first_values_are_those_of_the_initializer(finished):
    first = finished.stage(Place(0, 0, "ticket")).ticket().weights
    trained = finished.stage(Place(0, 0, "ticket")).state("trained")

    assert not first["dense/bias"].any()
    assert np.abs(first["dense/kernel"]).max() < 2 * np.sqrt(2 / 8) / 0.87
    assert not np.array_equal(first["dense/kernel"], trained["dense/kernel"])


def test_the_reinit_control_has_the_mask_and_none_of_the_values(finished):
    drawn = []
    for level in (1, 2, 3):
        ticket = finished.stage(Place(0, level, "ticket")).ticket()
        control = finished.stage(Place(0, level, "reinit")).ticket()
        assert control.masks == ticket.masks
        for name, mask in ticket.masks.items():
            assert not np.any(control.weights[name][mask] == ticket.weights[name][mask])
        drawn.append(control.weights["dense/kernel"])
    both = (drawn[0] != 0) & (drawn[1] != 0)
    assert not np.any(drawn[0][both] == drawn[1][both])


def test_the_trained_sparse_model_is_a_keras_file(finished):
    stage = finished.stage(Place(0, 3, "ticket"))
    model = keras.models.load_model(stage.model_path)
    mask = stage.ticket().masks["dense/kernel"]
    outputs = model.predict(DATA.x_test, verbose=0)

    assert not model.layers[0].kernel.numpy()[~mask].any()
    assert np.mean(outputs.argmax(1) == DATA.y_test) == stage.row().final_test_accuracy


def test_rewinding_to_an_iteration_goes_back_to_the_weights_of_that_iteration(tmp_path):
    # What that iteration's weights are is shown in test_rewinds.py.
    store = _run(tmp_path / "run", replace(ONE_LEVEL, rewind="step:12", controls=()))
    expected = store.stage(Place(0, 0, "ticket")).state("rewind")
    ticket = store.stage(Place(0, 1, "ticket")).ticket()

    for name, mask in ticket.masks.items():
        np.testing.assert_array_equal(ticket.weights[name], np.where(mask, expected[name], 0))
    curve = (store.path(Place(0, 1, "ticket")) / "curve.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in curve[1:]] == ["20", "30"]


def test_the_same_command_gives_the_same_numbers_in_another_folder(tmp_path, finished):
    assert _run(tmp_path / "run").rows() == finished.rows()


@nightly
@pytest.mark.parametrize("layers", [[], [("Dropout", 0.2)]], ids=["plain", "dropout"])
@pytest.mark.parametrize("kerase", KERASES)
def test_so_does_every_kind_of_model(tmp_path, kerase, layers):
    build = builder(kerase, layers=layers)
    runs = [_run(tmp_path / name, ONE_LEVEL, build) for name in "ab"]

    assert runs[0].rows() == runs[1].rows()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=nightly)])
def test_another_seed_gives_other_numbers(tmp_path, finished, seed):
    other = _run(tmp_path / "run", replace(ONE_LEVEL, seed=seed))

    losses = [{row.best_validation_loss for row in store.rows()} for store in (other, finished)]
    assert not losses[0] & losses[1]


def test_the_initializer_the_batches_and_the_length_are_those_of_the_experiment(tmp_path, finished):
    def build(initializer):
        model = keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Dense(16, "relu", kernel_initializer=initializer),
                keras.layers.Dense(3, kernel_initializer=initializer),
            ]
        )
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    small = replace(SMALL, iterations=5, evaluate_every=2, levels=0, controls=())
    small = replace(small, initializer="RandomNormal:stddev=3")
    stages = [
        _run(tmp_path / str(size), replace(small, batch_size=size), build).stage(
            Place(0, 0, "ticket")
        )
        for size in (20, 50)
    ]
    curves = [(stage.folder / "curve.csv").read_text().splitlines()[1:] for stage in stages]

    # A standard error of 128 draws is 0.19.
    assert stages[0].ticket().weights["dense/kernel"].std() == pytest.approx(3, abs=5 * 0.19)
    assert [line.split(",")[0] for line in curves[0]] == ["2", "4", "5"]
    assert not set(curves[0]) & set(curves[1])


def test_trials_differ_and_do_not_depend_on_how_many_there_are(tmp_path, finished):
    rows = _run(tmp_path / "run", replace(ONE_LEVEL, trials=2)).rows()

    # Nor do they depend on how many levels follow.
    assert [row for row in rows if row.trial == 0] == finished.rows()[:3]
    first, second = ([r.best_validation_loss for r in rows if r.trial == t] for t in (0, 1))
    assert not set(first) & set(second)


def test_both_kerases_find_the_same_tickets(tmp_path, finished):
    found = [finished, _run(tmp_path / "run", build=builder("tf_keras"))]

    for place in found[0].places():
        tickets = [store.stage(place).ticket() for store in found]
        assert tickets[0].masks == tickets[1].masks
        for name in tickets[0].masks:
            np.testing.assert_array_equal(*(ticket.weights[name] for ticket in tickets))


def test_a_finished_run_is_not_trained_again(finished):
    listener = Listener()
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}
    _run(finished.folder, watch=listener)

    assert listener.trained == []
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")} == before


@each_value_once(kerase=list(KERASES), last=[Place(0, 0, "ticket"), Place(0, 1, "ticket")])
def test_a_run_that_was_killed_goes_on_and_ends_in_the_same_numbers(tmp_path, kerase, last):
    build = builder(kerase, layers=[("Dropout", 0.2)])
    experiment = replace(ONE_LEVEL, controls=())
    whole = _run(tmp_path / "whole", experiment, build)

    class Killer(lottery.Watch):
        def point(self, place, point):
            if place == last and point.iteration == 20:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "killed", experiment, build, watch=Killer())
    listener = Listener()
    resumed = _run(tmp_path / "killed", experiment, build, watch=listener)

    assert listener.trained[0] == last
    assert resumed.rows() == whole.rows()
    assert not list(resumed.folder.rglob("*.partial"))


def test_what_a_killed_process_left_half_written_is_not_taken_for_a_result(copied):
    place = Place(0, 1, "reinit")
    whole = copied.stage(place).row()
    half = copied.path(place).with_name(".reinit.partial")
    copied.path(place).rename(half)
    (half / "result.json").unlink()
    again = _run(copied.folder, ONE_LEVEL)

    assert again.stage(place).row() == whole


def test_a_run_of_other_settings_is_refused_and_left_alone(finished):
    with pytest.raises(ValueError, match=r"--rate is 0\.3 there and 0\.4 here; .*--seed is 0"):
        _run(finished.folder, replace(SMALL, rate=0.4, seed=1))
    with pytest.raises(ValueError, match="the examples in the data set differ"):
        lottery.run(SMALL, out=finished.folder, build=builder(), data=blobs(300))


def test_an_unfinished_run_does_not_go_on_with_other_versions(copied, tmp_path):
    path = copied.folder / "experiment.json"
    content = json.loads(path.read_text())
    content["versions"]["keras"] = "3.0.0"
    path.write_text(json.dumps(content))

    # A finished one has nothing left to compute, so nothing can be mixed up.
    _run(copied.folder, ONE_LEVEL)
    copied.path(Place(0, 1, "reinit")).rename(tmp_path / "away")
    with pytest.raises(ValueError, match=r"keras is 3\.0\.0 there"):
        _run(copied.folder, ONE_LEVEL)


def test_a_build_function_that_has_changed_is_noticed(copied, tmp_path):
    copied.path(Place(0, 1, "ticket")).rename(tmp_path / "away")

    with pytest.raises(ValueError, match="the function that builds the model has changed"):
        _run(copied.folder, ONE_LEVEL, _changed())


def _changed():
    def build():
        model = keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Dense(16, "relu"),
                keras.layers.Dense(3, bias_initializer="ones"),
            ]
        )
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    build.__qualname__, build.__module__ = "build", builder.__module__
    return build


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ValueError, match="is not empty and contains no lottery run"):
        _run(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        _run(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_control_that_would_control_nothing_is_refused_before_training(tmp_path):
    def fixed():
        model = builder(seed=7)()
        return model

    listener = Listener()
    with pytest.raises(ValueError, match="gives 'dense/kernel' the same initial values whatever"):
        _run(tmp_path / "run", build=fixed, watch=listener)
    assert listener.trained == []
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_keeps_what_was_finished(tmp_path):
    def build():
        model = builder()()

        # Bad as soon as the first layer has zeros, that is, in the second training.
        def loss(y, outputs):
            bad = keras.ops.any(model.layers[0].kernel == 0.0)
            good = keras.losses.sparse_categorical_crossentropy(y, outputs, from_logits=True)
            return good + keras.ops.where(bad, float("nan"), 0.0)

        model.compile("sgd", loss)
        return model

    with pytest.raises(lottery.DivergedError, match=r"trial 0, level 1, ticket: .* is nan"):
        _run(tmp_path / "run", replace(SMALL, controls=()), build)
    assert [row["level"] for row in lottery.rows(tmp_path / "run")] == [0]


@given(
    weights=arrays.arrays(
        "float32", st.integers(2, 40), elements=st.sampled_from([-2, -1, 0, 0.5, 1, 2])
    ),
    rate=st.floats(0.01, 0.99),
    rounds=st.integers(1, 4),
)
def test_pruning_is_exact_nested_and_never_removes_a_larger_weight(weights, rate, rounds):
    masks = Masks({"w": np.ones(weights.shape, bool)})
    for _ in range(rounds):
        fewer = lottery.prune({"w": weights}, masks, {"w": rate})
        assert fewer.kept == max(1, round(masks.kept * (1 - rate)))
        assert fewer.within(masks)
        gone = masks["w"] & ~fewer["w"]
        if gone.any():
            assert np.abs(weights[gone]).max() <= np.abs(weights[fewer["w"]]).min()
        masks = fewer


def test_the_ladder_of_the_paper_is_exact():
    sizes = {"a": 784 * 300, "b": 300 * 100, "c": 100 * 10}
    rng = np.random.default_rng(0)
    masks = Masks({name: np.ones(size, bool) for name, size in sizes.items()})
    weights = {name: rng.standard_normal(size) for name, size in sizes.items()}
    ladder = []
    for _ in range(9):
        masks = lottery.prune(weights, masks, {"a": 0.2, "b": 0.2, "c": 0.1})
        ladder.append(round(100 * masks.density, 2))

    assert ladder == [80.04, 64.06, 51.28, 41.05, 32.87, 26.32, 21.07, 16.88, 13.52]


def test_the_folder_is_named_after_the_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = replace(SMALL, levels=0, iterations=1, evaluate_every=1)
    first = _run(None, experiment)
    second = _run(None, replace(experiment, seed=1))

    assert {first.folder, second.folder} == {Path(p.name) for p in tmp_path.iterdir()}


def test_a_run_goes_on_whichever_kerases_the_process_has_imported(copied, tmp_path):
    path = copied.folder / "experiment.json"
    content = json.loads(path.read_text())
    assert content["versions"].pop("keras")
    content["versions"]["a library that is not imported here"] = "1"
    path.write_text(json.dumps(content))
    copied.path(Place(0, 1, "reinit")).rename(tmp_path / "away")

    _run(copied.folder, ONE_LEVEL)

    assert not Store.read(copied.folder).missing()
