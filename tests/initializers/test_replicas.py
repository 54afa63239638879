"""Two replicas of a model start from the same values (MirroredStrategy, two devices)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .table import KERASES, TABLE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kerase", KERASES)
def test_replicas_hold_equal_values_and_those_of_the_seed(kerase):
    # In a process of its own: devices are divided before TensorFlow starts.
    run = subprocess.run(
        [sys.executable, "-m", "tests.initializers.replicas", kerase],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found.keys() == {case.name for case in TABLE}
    for name, said in found.items():
        assert said["number"] == [2, 2, 2], name
        assert said["equal"] == [True, True, True], name
        assert said["direct"], name
        assert said["new"], name
