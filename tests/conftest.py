"""What every test starts from: a quiet TensorFlow and its own random state."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The run has a process for each of two cores. More threads of TensorFlow wait for each other, which
# takes a fifth of the time; the nightly run has two in each process.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from tests.kerases import INSTALLED

# A shared two-core machine stalls now and then; a deadline would test the machine.
settings.register_profile("kerasinit", deadline=None, derandomize=True)
settings.load_profile("kerasinit")


@pytest.fixture(autouse=True)
def _fixed_global_seed():
    """Give every test the same global random state, whatever ran before it."""
    for library in INSTALLED:
        library.utils.set_random_seed(0)  # tf_keras has a generator of its own once it is seeded
