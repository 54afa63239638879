"""The promises on each backend of Keras 3, see `check`.

The default run has TensorFlow, the nightly run the others, which come with kerasinit[backends].
"""

import json
import os
import subprocess
import sys

import pytest

from tests.products import nightly

from .check import BACKENDS, REFERENCE, ROOT, RUNS, installed, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("backends")


@pytest.fixture(scope="module")
def reference(folder):
    """Return what TensorFlow's run found; it leaves its values in the folder."""
    return run(REFERENCE, folder)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == REFERENCE else nightly) for name in RUNS]
)
def test_every_promise_is_kept_on_the_backend(name, folder, request):
    backend, _ = RUNS[name]
    assert installed(backend), f"{backend} is not installed: pip install 'kerasinit[backends]'"
    # Not an argument: its run takes seconds, which a backend that is missing need not wait for.
    reference = request.getfixturevalue("reference")
    found = reference if name == REFERENCE else run(name, folder)
    broken = {promise: outcome for promise, outcome in found.items() if outcome}
    # Keras has no SavedModel for PyTorch; when it has one, this asks for the promise.
    reasons = [promise for promise, outcome in broken.items() if isinstance(outcome, str)]
    assert reasons == (["A SavedModel computes what the model does"] if backend == "torch" else [])
    assert not {promise for promise in broken if promise not in reasons}, broken
    assert len(found) == 10


@pytest.mark.parametrize("backend", [one for one in BACKENDS if one != REFERENCE])
@nightly
def test_initializers_do_without_tensorflow(backend, tmp_path):
    assert installed(backend), f"{backend} is not installed: pip install 'kerasinit[backends]'"
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.without_tensorflow", tmp_path],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


COMPILED = """
import jax, keras, numpy as np
import kerasinit

def made():
    return kerasinit.HeNormal(seed=keras.random.SeedGenerator(1))

direct, compiled = made(), made()
for _ in range(2):
    values = jax.jit(lambda: jax.numpy.asarray(compiled((3, 4))))()
    assert np.array_equal(direct((3, 4)), values)
"""


@nightly
def test_an_initializer_that_jax_compiles_draws_what_a_direct_call_does():
    # So Keras does with a large variable that several devices share.
    assert installed("jax"), "jax is not installed: pip install 'kerasinit[backends]'"
    done = subprocess.run(
        [sys.executable, "-c", COMPILED],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
