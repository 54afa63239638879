"""A variable has one name, and files from before it had keep their meaning."""

import json
import shutil

import keras
import numpy as np
import pytest

from kerasinit import lottery, pruning
from kerasinit._src import compat
from kerasinit._src.files import tensors
from kerasinit._src.lottery import loop
from kerasinit._src.network.old_names import named_for, old_names
from kerasinit._src.network.parts import named_variables, parts
from kerasinit.lottery import load_ticket
from kerasinit.lottery.questions import lmc, transfer
from tests.kerases import KERASES
from tests.network import named_models
from tests.network.named_models import CASES, FILES, built, data

OLD = FILES / "format-1"
DIGEST = "f0219628b451edfe464ff9978a6f7ea63a7cfb81c39f0be624c08f8690337b7f"
EACH = pytest.mark.parametrize(("name", "kerase"), CASES, ids=["-".join(case) for case in CASES])


@EACH
def test_a_variable_has_one_name(name, kerase):
    model, *_ = built(name, KERASES[kerase])

    names = {id(variable): name for name, variable in named_variables(model).items()}
    assert len(names) == len(named_variables(model))
    assert set(names) >= {id(variable) for variable in model.weights}
    for one in (*parts(model), *pruning.prunable_weights(model)):
        assert names[id(one.variable)] == one.name


@EACH
def test_names_are_the_same_in_the_next_build(name, kerase):
    first, second = (built(name, KERASES[kerase])[0] for _ in range(2))

    assert list(named_variables(first)) == list(named_variables(second))


@EACH
def test_a_ticket_of_the_first_format_is_put_where_it_was_taken_from(name, kerase):
    model, values, masks = built(name, KERASES[kerase])
    ticket = load_ticket(OLD / f"{name}.{kerase}.safetensors")

    assert ticket.apply(model) is model
    for variable in named_variables(model).values():
        np.testing.assert_array_equal(compat.read(variable), values[id(variable)])
    found = named_for(ticket.masks, model)
    assert list(found) == list(ticket.named_for(model).masks)
    weights = pruning.prunable_weights(model)
    assert {weight.name for weight in weights} == set(found)
    for weight in weights:
        np.testing.assert_array_equal(found[weight.name], masks[id(weight.variable)])


@EACH
def test_tickets_are_written_in_the_second_format(name, kerase, tmp_path):
    library = KERASES[kerase]
    named_models.ticket(name, library).save(tmp_path / "t")
    _, words = tensors.read_tensors(tmp_path / "t")
    assert words["version"] == "2"

    model, values, _ = built(name, library)
    load_ticket(tmp_path / "t").apply(model)
    for variable in named_variables(model).values():
        np.testing.assert_array_equal(compat.read(variable), values[id(variable)])


def test_a_ticket_of_the_first_format_is_saved_as_one_again(tmp_path):
    load_ticket(OLD / "holding.keras.safetensors").save(tmp_path / "t")

    (mine, words), (theirs, wanted) = map(
        tensors.read_tensors, (tmp_path / "t", OLD / "holding.keras.safetensors")
    )
    assert words == wanted
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_array_equal(mine[name], value)


def test_names_of_the_first_format_are_told_apart_from_todays():
    # What its class named second came first, and the first had no number.
    names = old_names(built("holding", keras)[0])

    assert names["holding/kernel"] == "holding/second/kernel"
    assert names["holding/kernel_1"] == "holding/first/kernel"


def test_masks_of_the_first_format_are_held(tmp_path):
    model = named_models.build()
    ticket = lottery.Store.of(OLD / "run").stage(loop.Place(0, 2, "ticket")).ticket()
    ticket.apply(model)
    examples = data()
    model.fit(
        examples.x_train,
        examples.y_train,
        callbacks=[pruning.HoldMasks(ticket.masks)],
        verbose=0,
    )

    for weight in pruning.prunable_weights(model):
        mask = ticket.named_for(model).masks[weight.name]
        np.testing.assert_array_equal(compat.read(weight.variable) != 0, mask)


def test_a_run_of_the_first_format_still_holds():
    proof = lottery.verify(OLD / "run")

    assert proof.holds, [str(finding) for finding in proof.findings]
    assert lottery.digest(OLD / "run") == DIGEST


@pytest.fixture
def old_run(tmp_path):
    """Return a copy of the run of the first format, as if made by the versions installed."""
    folder = shutil.copytree(OLD / "run", tmp_path / "run")
    content = json.loads((folder / "experiment.json").read_text())
    content["versions"] = loop._about(data(), True)["versions"]
    (folder / "experiment.json").write_text(json.dumps(content))
    return folder


def run(folder, build=named_models.build):
    return lottery.run(named_models.EXPERIMENT, out=folder, build=build, data=data())


def test_a_finished_run_of_the_first_format_is_not_trained_again(old_run):
    assert run(old_run).missing() == []
    assert lottery.digest(old_run) == DIGEST


def test_a_run_that_was_begun_with_other_names_is_refused(old_run):
    shutil.rmtree(old_run / "trial-0" / "level-02")

    with pytest.raises(ValueError, match="'holding/kernel_1' is 'holding/first/kernel' now"):
        run(old_run)
    assert not (old_run / "trial-0" / "level-02").exists()


def test_questions_about_a_run_of_the_first_format_are_answered(old_run, tmp_path):
    found = lmc(old_run, points=3, out=tmp_path / "lines", build=named_models.build, data=data())
    assert [line.level for line in found.lines] == [0, 2]

    rows = transfer(old_run, data(), out=tmp_path / "other", build=named_models.build).rows
    assert {row.branch for row in rows} == {"ticket", "reinit", "shuffle"}
