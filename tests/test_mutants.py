"""The faults that the nightly run plants have their place in the code."""

from pathlib import Path

import pytest

from tests.benchmarks.mutations import MUTANTS

ROOT = Path(__file__).parents[1]
PLANTED = [mutant for area in MUTANTS.values() for mutant in area]


@pytest.mark.parametrize("mutant", PLANTED, ids=lambda mutant: mutant.name)
def test_a_fault_can_be_planted(mutant):
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert all((ROOT / name).exists() for name in mutant.tests)
