"""How long importing kerasinit takes, against what it cannot do without.

Run as ``python tests/benchmarks/import_time.py [RUNS]``. Each import has a fresh
process; the two take turns, so that a busy moment of the machine meets both.
Promised: a ratio of at most 1.3; exits with 1 if it is larger.
"""

import os
import statistics
import subprocess
import sys
import time

ASKED = 1.3
WHAT = {"base": "import tensorflow, keras", "ours": "import kerasinit"}


def seconds(code):
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return time.perf_counter() - start


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for code in WHAT.values():
        seconds(code)  # compiles to .pyc and fills the disk cache
    times = {name: [] for name in WHAT}
    for _ in range(runs):
        for name, code in WHAT.items():
            times[name].append(seconds(code))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, code in WHAT.items():
        print(f"{code:26} {medians[name]:6.2f} s  (median of {runs})")
    ratio = medians["ours"] / medians["base"]
    print(f"ratio                      {ratio:6.2f}    (at most {ASKED})")
    return int(ratio > ASKED)


if __name__ == "__main__":
    sys.exit(main())
