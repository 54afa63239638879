"""Two replicas of a model start from the same values (MirroredStrategy, two devices)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kerases import KERASES

from .table import TABLE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found():
    """Return what a process found that divided its devices before TensorFlow started."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.initializers.replicas"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("kerase", KERASES)
def test_replicas_hold_equal_values_and_those_of_the_seed(found, kerase):
    assert found[kerase].keys() == {case.name for case in TABLE}
    for name, said in found[kerase].items():
        assert said["number"] == [2, 2, 2], name
        assert said["equal"] == [True, True, True], name
        assert said["direct"], name
        assert said["new"], name
