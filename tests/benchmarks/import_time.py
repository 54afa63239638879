"""How long importing kerasinit takes, against an import of Keras, on each backend.

Run as ``python tests/benchmarks/import_time.py [RUNS]``. Each import has a fresh
process; the two take turns, so that a busy moment of the machine meets both.
Promised: a ratio of at most 1.15 on each backend that is installed; exits with 1 if one is larger.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import time

ASKED = 1.15
BACKENDS = ("tensorflow", "jax", "torch")
BASE = "import keras"
# The use of a name makes sure that the initializers are imported and registered.
OURS = "import keras, kerasinit; kerasinit.HeNormal"


def seconds(code, backend):
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend},
    )
    return time.perf_counter() - start


def ratio_on(backend, runs):
    """Print the times on a backend, and return their ratio."""
    for code in (BASE, OURS):
        seconds(code, backend)  # compiles to .pyc and fills the disk cache
    times = {code: [] for code in (BASE, OURS)}
    for _ in range(runs):
        for code in times:
            times[code].append(seconds(code, backend))
    base, ours = (statistics.median(times[code]) for code in (BASE, OURS))
    print(f"{backend:11} {base:6.2f} s {ours:6.2f} s {ours / base:6.2f}", flush=True)
    return ours / base


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"median of {runs}: {BASE} | {OURS} | ratio (at most {ASKED})")
    ratios = [ratio_on(one, runs) for one in BACKENDS if importlib.util.find_spec(one)]
    return int(max(ratios) > ASKED)


if __name__ == "__main__":
    sys.exit(main())
