"""What a proof looks at, from evidence made by hand: the rest is in `test_verify`."""

from dataclasses import replace

import numpy as np
import pytest

from kerasinit import lottery
from kerasinit._src.lottery.method import controls
from kerasinit._src.lottery.proof import proofs
from kerasinit._src.lottery.store.stage import Place
from kerasinit._src.mask_arrays import Masks


def test_bits_are_compared_and_not_values():
    zero, nan = np.zeros(2, "float32"), np.full(2, np.nan, "float32")

    assert proofs.same_bits(nan, nan.copy())
    assert not proofs.same_bits(zero, -zero)
    assert not proofs.same_bits(zero, zero.astype("int32"))
    found = proofs.equal("", "ticket", "w", {"w": np.array([0, -0.0], "float32")}, zero)
    assert found.problem.startswith("1 of 2 values differ, the first at flat index 1: ")


@pytest.mark.parametrize("value", [-1.0, 1.0, -1e-45, np.nan])
def test_what_is_removed_is_zero_and_nothing_near_it(value):
    mask = np.array([True, False, False])
    found = proofs.zero("", "trained", "w", {"w": np.array([5, 0, value], "float32")}, mask)

    assert found.problem == "1 removed values are not zero, the first at flat index 2"
    assert not proofs.zero("", "trained", "w", {"w": np.float32([5, 0, 0])}, mask).problem


def _evidence(lives, weights, rewind=None):
    """Return the evidence of a training of one weight, of which only the start is known."""
    start = {"a": np.where(lives, weights, 0).astype("float32")}
    rewind = None if rewind is None else {"a": rewind.astype("float32")}
    masks = Masks({"a": lives})
    return proofs.Evidence(Place(0, 1, "x"), masks, start, {}, {}, {}, (), None, rewind)


def test_a_reinitialized_control_has_neither_the_first_weights_nor_those_of_the_rewind_point():
    first, later = np.arange(1.0, 31.0), np.arange(1.5, 31.5)
    dense = _evidence(np.ones(30, bool), first, rewind=later)
    ticket = _evidence(np.arange(30) < 15, later)

    for weights, wrong in ((-first, False), (first, True), (later, True)):
        control = _evidence(np.arange(30) < 15, weights)
        found = [
            check for proof in proofs.CONTROLS["reinit"] for check in proof(control, ticket, dense)
        ]
        problems = {check.claim for check in found if check.problem}
        assert problems == ({"controls change the weights"} if wrong else set())


def test_a_training_begins_at_the_iteration_that_its_weights_come_from():
    experiment = replace(lottery.Experiment(), rewind="step:7")

    for branch in ("ticket", *controls.CONTROLS):
        anew = branch != "ticket" and controls.CONTROLS[branch].fresh
        begun = [experiment.first_iteration(level, branch) for level in (0, 1, 2)]
        assert begun == ([0, 0, 0] if anew else [0, 7, 7])
