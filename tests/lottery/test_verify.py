"""The proof of a run: it holds for good ones, and names what was changed in others."""

import csv
import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from kerasinit import lottery
from kerasinit._src import cli
from kerasinit._src.files import keras_archives
from kerasinit._src.lottery.method import controls
from kerasinit._src.lottery.proof import end_proofs, model_archive, proofs
from kerasinit._src.lottery.store import manifest
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.lottery.store.store import Store
from kerasinit._src.lottery.store.ticket import read_tensors
from kerasinit._src.mask_arrays import Masks
from kerasinit.lottery import report
from tests.kerases import KERASES
from tests.lottery.blobs import blobs, builder

SMALL = lottery.Experiment(
    iterations=20,
    levels=2,
    trials=2,
    batch_size=20,
    evaluate_every=10,
    rate=0.3,
    controls=("reinit", "shuffle"),
    xla=False,
)
LAST = Place(1, 2, "ticket")
DENSE = Place(1, 0, "ticket")
CONTROL = Place(1, 1, "reinit")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, for tests that only read, or that put back what they change."""
    out = tmp_path_factory.mktemp("verify") / "run"
    return lottery.run(SMALL, out=out, build=builder(), data=blobs())


@pytest.fixture
def copied(finished, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    return Store.read(tmp_path / "copy")


def _forge(store, place, name, change):
    """Change the arrays in a file, and repair the manifest."""
    path = store.path(place) / f"{name}.safetensors"
    arrays, words = read_tensors(path)
    change(arrays)
    path.write_bytes(safetensors.numpy.save(arrays, metadata=words))
    _repair(store, place)


def _repair(store, place):
    (store.path(place) / manifest.NAME).unlink()
    manifest.write(store.path(place), store.folder / "experiment.json")


def _flip(array, index=0):
    array.view(np.uint8).reshape(-1)[index] ^= 1


def _found(store):
    return {
        (f.claim, f.trial, f.level, f.branch, f.file, f.weight)
        for f in lottery.verify(store.folder).findings
    }


ALL = tuple(controls.CONTROLS)


@pytest.mark.parametrize(
    ("changes", "kerase"),
    [
        ({"controls": ALL, "control_levels": (1,)}, "keras"),
        ({"rewind": "step:7", "controls": ("shuffle",)}, "tf_keras"),
        ({"rewind": "lr:7", "scope": "global", "criterion": "movement"}, "keras"),
        ({"rewind": "finetune", "one_shot": True, "controls": ("random-mask",)}, "keras"),
        ({"rewind": "signs", "scope": "erk", "criterion": "random"}, "keras"),
        ({"rewind": "reshuffled", "criterion": "synflow", "controls": ()}, "keras"),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(map(str, value.values())),
)
def test_a_good_run_holds_and_everything_was_looked_at(tmp_path, changes, kerase):
    experiment = replace(SMALL, trials=1, **changes)
    store = lottery.run(experiment, out=tmp_path / "run", build=builder(kerase), data=blobs())
    proof = lottery.verify(store.folder)
    trainings = len(store.places())

    assert proof.findings == ()
    assert proof.holds
    assert proof.trainings == trainings
    # Two kernels, each with two moments, and biases; two pruned levels.
    seen = 0 if experiment.criterion == "synflow" else 2 * 2
    assert proof.checks.get("masks are recomputed", 0) == seen
    assert proof.checks["counts are exact"] == (2 if experiment.scope == "global" else 4)
    assert proof.checks["removed weights have no moments"] == 4 * trainings
    kept = [p for p in store.places() if p.level and not _fresh(p.branch)]
    assert proof.checks["survivors start from the rewind point"] == 4 * len(kept)
    assert proof.checks["model files hold the trained weights"] == 4 * 3
    assert proof.checks["models of a run are configured alike"] == 3
    assert proof.checks["tickets name the place they are from"] == 3 * trainings
    # Adam: two moments of each variable, and an odd number of settings and counters.
    assert proof.checks["model files hold the optimizer"] >= 8 * 3
    counted = proof.checks["optimizers counted every iteration"]
    assert counted == trainings + 1  # the rewind point's, too
    made = [p for p in store.places() if p.branch != "ticket"]
    assert proof.checks.get("masks of controls are recomputed", 0) == 2 * len(made)


def test_so_does_the_run_of_several_trials_that_is_changed_below(finished):
    assert lottery.verify(finished.folder).findings == ()


def _fresh(branch):
    return branch in controls.CONTROLS and controls.CONTROLS[branch].fresh


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (DENSE, "rewind.safetensors"),
        (LAST, "ticket.safetensors"),
        (LAST, "trained.safetensors"),
        (CONTROL, "optimizer.safetensors"),
        (LAST, "model.keras"),
        (CONTROL, "curve.csv"),
        (LAST, "result.json"),
        (LAST, "manifest.json"),
    ],
    ids=str,
)
def test_one_bit_in_any_file_is_found_and_the_place_is_named(copied, place, name):
    path = copied.path(place) / name
    whole = path.read_bytes()
    for index in (0, len(whole) // 2, len(whole) - 1):
        content = bytearray(whole)
        content[index] ^= 1
        path.write_bytes(content)
        findings = lottery.verify(copied.folder).findings
        assert any(
            (f.trial, f.level, f.branch, f.file) == (place.trial, place.level, place.branch, name)
            for f in findings
            if f.claim == "files match their digests"
        ), index


def test_one_bit_in_the_experiment_is_found_once(copied):
    path = copied.folder / "experiment.json"
    whole = path.read_text()
    for old, new in (
        ('"seed": 0', '"seed": 1'),
        ('"3.', '"2.'),
        ("{", "["),
        ('"levels"', '"level"'),
    ):
        assert old in whole
        path.write_text(whole.replace(old, new, 1))
        digests = [f for f in lottery.verify(copied.folder).findings if "digests" in f.claim]
        assert [(f.file, f.trial) for f in digests] == [("experiment.json", None)]
        assert "14 of 14 trainings" in digests[0].problem


def test_a_bit_of_a_mask_is_named_with_its_layer(copied):
    path = copied.path(LAST) / "ticket.safetensors"
    arrays, words = read_tensors(path)
    _flip(arrays["mask/dense_1/kernel"])
    path.write_bytes(safetensors.numpy.save(arrays, metadata=words))
    place = (1, 2, "ticket", "ticket.safetensors")

    assert {
        ("files match their digests", *place, ""),
        ("counts are exact", *place, "dense_1/kernel"),
        ("masks are recomputed", *place, "dense_1/kernel"),
    } <= _found(copied)


def _first_survivor(store, place, weight):
    mask = store.stage(place).ticket().masks[weight]
    return 4 * int(np.flatnonzero(mask)[0]), 4 * int(np.flatnonzero(~mask)[0])


@pytest.mark.parametrize(
    ("place", "name", "weight", "lives", "claim", "where"),
    [
        (LAST, "ticket", "weight/dense/kernel", 1, "survivors start from the rewind point", LAST),
        (LAST, "ticket", "weight/dense/bias", 1, "survivors start from the rewind point", LAST),
        (LAST, "ticket", "weight/dense/kernel", 0, "removed weights are zero at the start", LAST),
        (LAST, "trained", "dense/kernel", 0, "removed weights are zero at the end", LAST),
        (LAST, "trained", "dense/kernel", 1, "model files hold the trained weights", LAST),
        (CONTROL, "trained", "dense/kernel", 0, "removed weights are zero at the end", CONTROL),
        (CONTROL, "optimizer", "optimizer/002", 0, "removed weights have no moments", CONTROL),
        (DENSE, "rewind", "dense/kernel", 1, "the rewind point is the first weights", DENSE),
        (DENSE, "rewind", "dense/kernel", 1, "survivors start from the rewind point", LAST),
        (DENSE, "rewind", "dense/bias", 1, "the rewind point is the first weights", DENSE),
        (DENSE, "rewind", "optimizer/002", 1, "the rewind point's moments are fresh", DENSE),
        (DENSE, "rewind", "optimizer/004", 1, "the rewind point's moments are fresh", DENSE),
        (DENSE, "ticket", "weight/dense/kernel", 1, "the rewind point is the first weights", DENSE),
    ],
)
def test_a_forged_float_behind_a_repaired_manifest_is_named(
    copied, place, name, weight, lives, claim, where
):
    kernel = "dense/kernel"
    bytes_ = _first_survivor(copied, LAST if place == DENSE else place, kernel)
    index = (0 if weight.endswith("bias") else bytes_[1 - lives]) + 3
    _forge(copied, place, name, lambda arrays: _flip(arrays[weight], index))
    found = _found(copied)

    files = {"model files hold the trained weights": "model.keras"}
    files["survivors start from the rewind point"] = "ticket.safetensors"
    files["the rewind point is the first weights"] = "rewind.safetensors"
    file = files.get(claim, f"{name}.safetensors")
    # A moment is named after the weight that it belongs to.
    weight = copied.stage(place).tensors("optimizer")[1].get(weight, weight.removeprefix("weight/"))
    assert (claim, where.trial, where.level, where.branch, file, weight) in found
    assert not [claim for claim, *_ in found if "digests" in claim]


def _write_curve(store, place, lines):
    text = "\n".join(",".join(line) for line in lines)
    (store.path(place) / "curve.csv").write_text(text + "\n")
    _repair(store, place)


@pytest.mark.parametrize(
    ("column", "word"),
    [(1, "nan"), (1, "inf"), (2, "inf"), (3, "7.5"), (3, "-0.1"), (0, "x"), (0, "0")],
)
def test_a_curve_that_is_damaged_is_damaged_for_everybody(copied, tmp_path, column, word):
    path = copied.path(LAST) / "curve.csv"
    lines = list(csv.reader(path.read_text().splitlines()))
    losses = [float(line[2]) for line in lines[1:]]
    # Not the least, which the result names.
    worst = 1 + losses.index(max(losses))
    lines[worst][column] = word
    _write_curve(copied, LAST, lines)

    assert ("files can be read", 1, 2, "ticket", "curve.csv", "") in _found(copied)
    for write in (report.write_page, report.write_curves):
        with pytest.raises(ValueError, match=r"level-02/ticket/curve\.csv is damaged"):
            write(copied, tmp_path / "written")


def test_a_result_that_is_damaged_is_damaged_for_everybody(copied):
    path = copied.path(LAST) / "result.json"
    whole = json.loads(path.read_text())
    for change in ({"test_accuracy": 7.5}, {"trial": 0}, {"density": 0}):
        path.write_text(json.dumps(whole | change))
        _repair(copied, LAST)
        assert not lottery.verify(copied).holds
        for read in (lottery.rows, lottery.table, lottery.verdict, report.page):
            with pytest.raises(ValueError, match=r"level-02/ticket/result\.json is damaged"):
                read(copied)


def test_files_are_read_with_the_same_limits(copied, monkeypatch):
    monkeypatch.setattr("kerasinit._src.lottery.store.stage._MAX_CURVE_BYTES", 10)
    assert ("files can be read", 1, 2, "ticket", "curve.csv", "") in _found(copied)
    for read in (lottery.digest, report.page):
        with pytest.raises(
            ValueError, match=r"curve\.csv is damaged: it has \d+ bytes; at most 10"
        ):
            read(copied)


COUNTED = "optimizers counted every iteration"
STILL = "settings of optimizers stood still"
FINITE = "trainings end in finite numbers"
HELD = "model files hold the optimizer"


@pytest.mark.parametrize(
    ("place", "name", "change", "claim"),
    [
        (LAST, "000", lambda a: a.__setitem__((), 7), COUNTED),
        (CONTROL, "000", lambda a: a.__setitem__((), 7), COUNTED),
        (DENSE, "000", lambda a: a.__setitem__((), 7), COUNTED),
        (LAST, "001", lambda a: a.__setitem__((), 99), STILL),
        (CONTROL, "001", lambda a: a.__setitem__((), 99), STILL),
        (DENSE, "001", lambda a: a.__setitem__((), 99), HELD),
        (LAST, "002", lambda a: a.fill(np.nan), FINITE),
        (CONTROL, "002", lambda a: a.fill(np.nan), FINITE),
        (DENSE, "002", lambda a: a.fill(np.inf), FINITE),
        # Nothing but the run's digest has the live moments of a control twice.
        (LAST, "003", lambda a: a.__imul__(3), HELD),
        (DENSE, "003", lambda a: a.__imul__(3), HELD),
    ],
)
def test_a_forged_optimizer_behind_a_repaired_manifest_is_found(copied, place, name, change, claim):
    _forge(copied, place, "optimizer", lambda arrays: change(arrays[f"optimizer/{name}"]))

    found = {(c, trial, level, branch) for c, trial, level, branch, *_ in _found(copied)}
    assert (claim, place.trial, place.level, place.branch) in found


def test_a_counter_of_another_type_and_steps_of_its_own_do_not_escape(copied):
    _forge(
        copied, CONTROL, "optimizer", lambda a: a.update({"optimizer/000": np.array(7, "float32")})
    )
    found = _found(copied)
    assert ("no variable is missing", 1, 1, "reinit", "optimizer.safetensors", "") in found
    assert (COUNTED, 1, 1, "reinit", "optimizer.safetensors", "optimizer/000") in found

    for place in (CONTROL, LAST):
        path = copied.path(place) / "trained.safetensors"
        path.write_bytes(
            safetensors.numpy.save(
                read_tensors(path)[0], metadata={end_proofs.CUSTOM_STEPS: "Mine"}
            )
        )
        _repair(copied, place)
    found = _found(copied)
    for place in (CONTROL, LAST):
        where = (place.trial, place.level, place.branch, "trained.safetensors", "")
        assert ("trainings took steps as level 0's did", *where) in found
    assert ("own steps are those of a model's own class", 1, 2, "ticket", where[3], "") in found


def test_a_rewind_point_that_counted_otherwise_is_found(copied):
    _forge(copied, DENSE, "rewind", lambda a: a["optimizer/000"].__setitem__((), 7))

    assert (COUNTED, 1, 0, "ticket", "rewind.safetensors", "optimizer/000") in _found(copied)


@pytest.mark.parametrize("place", [LAST, CONTROL, DENSE], ids=str)
@pytest.mark.parametrize("word", ["place", "rewind", "density"])
def test_a_ticket_that_says_it_is_from_elsewhere_is_found(copied, place, word):
    path = copied.path(place) / "ticket.safetensors"
    arrays, words = read_tensors(path)
    for other in (words | {word: "elsewhere"}, {k: v for k, v in words.items() if k != word}):
        path.write_bytes(safetensors.numpy.save(arrays, metadata=other))
        _repair(copied, place)
        claim = "tickets name the place they are from"
        where = (place.trial, place.level, place.branch)
        assert _found(copied) == {(claim, *where, "ticket.safetensors", "")}


def _configure(store, place, change):
    """Change the configuration in a model file, and repair the manifest."""
    path = store.stage(place).model_path
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = change(content["config.json"].decode())
    assert config.encode() != content["config.json"]
    content["config.json"] = config.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    _repair(store, place)


@pytest.mark.parametrize(
    ("places", "change", "problem"),
    [
        ([LAST], lambda c: c.replace('"relu"', '"tanh"'), "activation is 'tanh', not 'relu'"),
        ([LAST], lambda c: c.replace("0.00999", "0.02999"), "learning_rate is 0.02999"),
        ([LAST], lambda c: c.replace('"units": 3', '"units": 4'), "units is 4, not 3"),
        (
            [Place(1, level, "ticket") for level in range(3)],
            lambda c: c.replace('"relu"', '"tanh"'),
            "activation is 'tanh', not 'relu' as in the run",
        ),
    ],
    ids=["activation", "learning rate", "units", "a whole trial"],
)
def test_a_model_that_is_configured_otherwise_is_found(copied, places, change, problem):
    for place in places:
        _configure(copied, place, change)

    claim = "models of a run are configured alike"
    findings = [f for f in lottery.verify(copied).findings if f.claim == claim]
    assert [(f.trial, f.level, f.file) for f in findings] == [
        (place.trial, place.level, "model.keras") for place in places
    ]
    assert all(problem in f.problem for f in findings)


def test_a_model_file_that_unpacks_to_far_more_is_not_read(copied, monkeypatch):
    monkeypatch.setattr(keras_archives, "LARGE", 2**26)
    path = copied.stage(LAST).model_path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(2**26 + 1))
    _repair(copied, LAST)

    (finding,) = (f for f in lottery.verify(copied).findings if f.file == "model.keras")
    assert "model.weights.h5 in " in finding.problem
    assert "declares 67108865 bytes, but has" in finding.problem


def test_names_seeds_and_scripts_make_no_other_configuration():
    def config(name, seed, rate, module="__main__"):
        layer = {"name": f"{name}_drop", "seed": seed, "rate": rate}
        return {
            "class_name": "Sequential",
            "shared_object_id": id(layer),
            "config": {
                "name": name,
                "layers": [{"class_name": "Own", "module": module, "config": layer}],
                "outputs": [[f"{name}_drop", 0, 0]],
            },
        }

    one, other = config("net", 1, 0.5), config("net_7", 1, 0.5, "__mp_main__")
    assert model_archive.normalized_config(one) == model_archive.normalized_config(other)
    drawn = config("net", 2, 0.4)
    assert model_archive.normalized_config(one) != model_archive.normalized_config(drawn)
    assert model_archive.normalized_config(one, numbers=False) == model_archive.normalized_config(
        drawn, numbers=False
    )


def _thin_out(arrays):
    arrays["mask/dense/kernel"][0] &= 0x7F
    arrays["weight/dense/kernel"].reshape(-1)[0] = 0


@pytest.mark.parametrize(
    ("place", "name", "change", "claim", "weight"),
    [
        (DENSE, "ticket", _thin_out, "level 0 is dense", "dense/kernel"),
        (DENSE, "rewind", lambda a: a.pop("dense/bias"), "the rewind point is complete", ""),
        (LAST, "optimizer", lambda a: a.pop("optimizer/002"), "no variable is missing", ""),
        (CONTROL, "trained", lambda a: a.pop("dense/bias"), "no variable is missing", ""),
    ],
    ids=["level 0", "rewind", "optimizer", "trained"],
)
def test_what_was_taken_out_behind_a_repaired_manifest_is_named(
    copied, place, name, change, claim, weight
):
    _forge(copied, place, name, change)

    where = (place.trial, place.level, place.branch, f"{name}.safetensors", weight)
    assert (claim, *where) in _found(copied)


def test_a_mask_for_other_weights_is_named(copied):
    path = copied.path(LAST) / "ticket.safetensors"
    arrays, words = read_tensors(path)
    words["order"] = "dense/kernel"
    path.write_bytes(safetensors.numpy.save(arrays, metadata=words))
    _repair(copied, LAST)
    # A file that names other weights than it has masks for is damaged in itself.
    assert ("files can be read", 1, 2, "ticket", path.name, "") in _found(copied)

    del arrays["mask/dense_1/kernel"]
    path.write_bytes(safetensors.numpy.save(arrays, metadata=words))
    _repair(copied, LAST)
    found = _found(copied)
    assert ("masks are for the same weights", 1, 2, "ticket", path.name, "") in found
    assert ("masks are recomputed", 1, 2, "ticket", path.name, "dense_1/kernel") in found


def test_a_forged_mask_behind_a_repaired_manifest_is_named(copied):
    masks = copied.stage(LAST).ticket().masks
    before = copied.stage(replace(LAST, level=1)).ticket().masks
    one, gone = (np.flatnonzero(m)[0] for m in (masks["dense/kernel"], ~before["dense/kernel"]))

    # As many live as before, but one of them was removed a level earlier.
    def swap(arrays):
        mask = masks["dense/kernel"].reshape(-1).copy()
        mask[one], mask[gone] = False, True
        arrays["mask/dense/kernel"] = np.packbits(mask)
        arrays["weight/dense/kernel"].reshape(-1)[one] = 0

    _forge(copied, LAST, "ticket", swap)
    place = (1, 2, "ticket", "ticket.safetensors", "dense/kernel")

    found = _found(copied)
    assert ("masks are nested", *place) in found
    assert ("masks are recomputed", *place) in found
    assert ("counts are exact", *place) not in found


@pytest.mark.parametrize(
    ("field", "value", "claim"),
    [
        ("trial", 0, "results are of their training"),
        ("branch", "reinit", "results are of their training"),
        ("density", 0.5, "densities are those of the masks"),
        ("best_iteration", 15, "early stops are at the curve's minimum"),
        ("best_validation_loss", 1e-9, "early stops are at the curve's minimum"),
        ("test_accuracy", 1.5, "accuracies are fractions"),
        ("final_test_accuracy", -0.5, "accuracies are fractions"),
        ("final_test_accuracy", "0.9", "files can be read"),
    ],
)
def test_a_forged_result_is_named(copied, field, value, claim):
    path = copied.path(LAST) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    _repair(copied, LAST)
    weight = field if claim not in ("results are of their training", "files can be read") else ""

    assert _found(copied) == {(claim, 1, 2, "ticket", "result.json", weight)}


def test_a_forged_curve_is_named(copied):
    path = copied.path(LAST) / "curve.csv"
    lines = list(csv.reader(path.read_text().splitlines()))
    for changed, claim in (
        (lines[:-1], "curves are complete"),
        ([lines[0], ["5", *lines[1][1:]], lines[2]], "curves are complete"),
        ([*lines[:1], *[[i, t, "0.001", a] for i, t, _, a in lines[1:]]], "early stops are at the"),
    ):
        path.write_text("\n".join(",".join(line) for line in changed))
        _repair(copied, LAST)
        assert any(c.startswith(claim) and where == 1 for c, where, *_ in _found(copied))


@pytest.mark.parametrize(
    ("field", "value", "claim"),
    [
        ("rate", 0.4, "counts are exact"),
        ("output_rate", 0.2, "counts are exact"),
        ("scope", "erk", "counts are exact"),
        ("criterion", "movement", "masks are recomputed"),
        ("criterion", "random", "masks are recomputed"),
        ("one_shot", True, "masks are recomputed"),
        ("rewind", "lr", "survivors start from the rewind point"),
        ("rewind", "signs", "survivors start from the rewind point"),
        ("seed", 1, "masks of controls are recomputed"),
        ("iterations", 30, "curves are complete"),
        ("evaluate_every", 5, "curves are complete"),
        ("rewind", "step:7", "the rewind point was trained"),
        ("levels", 3, "no training is missing or added"),
        ("trials", 1, "no training is missing or added"),
        ("levels", 10**9, "experiments can be read"),
        ("iterations", 10**14, "curves are complete"),
    ],
)
def test_an_experiment_that_is_not_the_one_that_was_run_is_found(copied, field, value, claim):
    path = copied.folder / "experiment.json"
    content = json.loads(path.read_text())
    content["experiment"][field] = value
    path.write_text(json.dumps(content))
    for place in copied.places():
        _repair(copied, place)

    assert claim in {c for c, *_ in _found(copied)}


def test_a_control_that_controls_nothing_is_found(copied):
    ticket, control = copied.path(Place(0, 2, "ticket")), copied.path(Place(0, 2, "reinit"))
    shutil.copy(ticket / "ticket.safetensors", control)
    _repair(copied, Place(0, 2, "reinit"))

    assert _found(copied) == {
        ("controls change the weights", 0, 2, "reinit", "ticket.safetensors", f"{layer}/kernel")
        for layer in ("dense", "dense_1")
    } | {("tickets name the place they are from", 0, 2, "reinit", "ticket.safetensors", "")}


def test_what_is_missing_or_was_added_is_found(copied):
    claim = "no training is missing or added"
    shutil.rmtree(copied.path(CONTROL))
    assert _found(copied) == {(claim, 1, 1, "reinit", "", "")}

    (copied.path(LAST) / "curve.csv").unlink()
    (copied.path(LAST) / "notes.txt").write_text("mine")
    (copied.folder / "trial-0" / "level-07").mkdir()
    (copied.folder / "trial-7").mkdir()
    (copied.folder / "trial-0" / ".half.partial").mkdir()
    (copied.folder / "accuracy.png").write_text("a picture")
    problems = [str(finding) for finding in lottery.verify(copied.folder).findings]
    for words in (
        "trial 1, level 2, ticket, curve.csv: it is missing",
        "trial 1, level 2, ticket, notes.txt: it does not belong here",
        "trial-0/level-07 does not belong here",
        "trial-7: trial-7 does not belong here",
    ):
        assert any(words in problem for problem in problems), words
    assert not any("partial" in problem or "png" in problem for problem in problems)


def test_a_run_without_an_experiment_is_no_run(tmp_path):
    with pytest.raises(ValueError, match="holds no lottery run"):
        lottery.verify(tmp_path)


def test_one_bit_anywhere_in_any_file_is_found_and_the_place_is_named(tmp_path):
    experiment = replace(SMALL, trials=1, levels=1, controls=("shuffle",))
    store = lottery.run(experiment, out=tmp_path / "run", build=builder(), data=blobs())
    places = {store.path(place): place for place in store.places()}
    # Names that begin with a dot, such as the lock's, hold no evidence.
    files = sorted(path for path in store.folder.rglob("[!.]*") if path.is_file())
    assert len(files) == 1 + 8 + 7 + 6
    random = np.random.default_rng(0)
    for path in files:
        whole = path.read_bytes()
        for index in random.integers(0, len(whole), 3):
            content = bytearray(whole)
            content[index] ^= 1 << random.integers(8)
            path.write_bytes(content)
            found = {str(Place(f.trial, f.level, f.branch)) + f.file for f in _findings(store)}
            place = places.get(path.parent, Place(None, None, None))
            assert str(place) + path.name in found, (path, index)
        path.write_bytes(whole)
    assert lottery.verify(store.folder).holds


def _findings(store):
    return lottery.verify(store.folder).findings


@pytest.mark.parametrize("kerase", KERASES)
def test_a_run_whose_optimizer_averages_the_weights_holds(tmp_path, kerase):
    def build():
        model = builder(kerase)()
        optimizer = KERASES[kerase].optimizers.SGD(0.05, use_ema=True, ema_overwrite_frequency=7)
        model.compile(optimizer, model.loss)
        return model

    experiment = replace(SMALL, trials=1, levels=1, controls=("shuffle",))
    store = lottery.run(experiment, out=tmp_path / "run", build=build, data=blobs())
    proof = lottery.verify(store.folder)

    assert proof.findings == ()
    assert proof.checks["the rewind point's moments are fresh"] >= 4
    assert proof.checks["removed weights have no moments"] >= 2 * proof.trainings


def test_every_control_has_its_proofs():
    assert set(controls.CONTROLS) == set(proofs.CONTROLS)
    for name, control in controls.CONTROLS.items():
        assert (proofs.other_weights in proofs.CONTROLS[name]) == control.fresh
        assert (proofs.same_masks in proofs.CONTROLS[name]) == (control.masks is controls.unchanged)


def _evidence(masks, weights):
    masks = Masks({name: np.array(mask, bool) for name, mask in masks.items()})
    start = {
        name: np.where(masks[name], np.float32(w), np.float32(0)) for name, w in weights.items()
    }
    return proofs.Evidence(
        Place(0, 1, "x"),
        masks,
        start,
        {},
        {},
        {},
        (),
        None,
        {n: np.float32(weights[n]) for n in masks},
    )


def _problems(name, control, ticket, first):
    return {
        (check.claim, check.weight)
        for proof in proofs.CONTROLS[name]
        for check in proof(control, ticket, first)
        if check.problem
    }


def test_the_proofs_of_controls_tell_what_is_kept_from_what_is_changed():
    values = np.arange(1.0, 31.0)
    half, other = np.arange(30) < 15, np.arange(30) % 2 == 0
    whole = np.ones(30, bool)
    first = _evidence({"a": whole, "b": whole}, {"a": values, "b": values})
    ticket = _evidence({"a": half, "b": half}, {"a": values, "b": values})
    shuffled = _evidence({"a": other, "b": ~other}, {"a": values, "b": values})
    anew = _evidence({"a": other, "b": ~other}, {"a": -values, "b": values + 1})
    fewer, more = other & half, other | half
    uneven = _evidence({"a": fewer, "b": more}, {"a": values, "b": values})

    assert not _problems("shuffle", shuffled, ticket, first)
    assert not _problems("random-mask", shuffled, ticket, first)
    assert not _problems("random-mask", uneven, ticket, first)
    assert not _problems("shuffle-reinit", anew, ticket, first)
    assert _problems("shuffle", ticket, ticket, first) == {
        ("controls change the mask", "a"),
        ("controls change the mask", "b"),
    }
    assert _problems("shuffle", uneven, ticket, first) == {
        ("controls keep the counts", "a"),
        ("controls keep the counts", "b"),
    }
    assert _problems("shuffle-reinit", shuffled, ticket, first) == {
        ("controls change the weights", "a"),
        ("controls change the weights", "b"),
    }
    assert _problems("reinit", anew, ticket, first) == {
        ("controls keep the mask", "a"),
        ("controls keep the mask", "b"),
    }
    fuller = _evidence({"a": whole, "b": half}, {"a": values, "b": values})
    assert ("controls keep the density", "") in _problems("random-mask", fuller, ticket, first)


def test_a_mask_that_chance_may_draw_again_is_no_failure():
    mask = [True, False, False]
    ticket = _evidence({"a": mask}, {"a": [1.0, 2.0, 3.0]})

    assert not list(filter(lambda check: check.problem, proofs.other_masks(ticket, ticket, ticket)))


def _kerasinit(words, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(words)
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


def test_the_command_says_what_was_proven_or_every_failure(copied, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    run = str(copied.folder)
    code, out, _ = _kerasinit(["lottery", "verify", run], capsys)
    assert code == 0
    assert "Everything holds." in out
    assert "masks are recomputed" in out

    digest = _kerasinit(["lottery", "digest", run], capsys)
    assert digest == (0, lottery.digest(copied) + "\n", "")

    (copied.path(LAST) / "curve.csv").unlink()
    (copied.path(CONTROL) / "result.json").write_text("{}")
    code, out, _ = _kerasinit(["lottery", "verify", run], capsys)
    assert code == 1
    assert "FAILED trial 1, level 2, ticket, curve.csv: it is missing" in out
    assert "FAILED trial 1, level 1, reinit, result.json: its digest is not" in out

    code, out, _ = _kerasinit(["lottery", "verify", run, "--json"], capsys)
    proof = json.loads(out)
    assert (code, proof["holds"]) == (1, False)
    assert {"trial": 1, "level": 2, "branch": "ticket", "file": "curve.csv"}.items() <= next(
        finding for finding in proof["findings"] if finding["file"] == "curve.csv"
    ).items()

    shutil.rmtree(copied.path(LAST))
    code, _, err = _kerasinit(["lottery", "digest", run], capsys)
    assert code == 2
    assert "--partial" in err
    assert _kerasinit(["lottery", "digest", run, "--partial"], capsys)[0] == 2
