"""Kill a run at random moments, and see that it ends as one that nothing stopped.

    python tests/benchmarks/kill.py [KILLS] [--seed 0]

Each time a process of its own goes on with the run and is killed (SIGKILL) after a random
time, now and then while it still starts; at the end the run is finished, and its digest, and
every array and result, are compared with those of an undisturbed one. Exits with 1 if one
differs.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# So long that a process is killed in the middle of it some times.
PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from dataclasses import replace
from tests.lottery import test_unkillable as here
from kerasinit import lottery

class Watch(lottery.Watch):
    def began(self, store, missing):
        print("began", flush=True)

experiment = replace(here.SMALL, iterations=3000, evaluate_every=20, levels=2)
here._run({out!r}, experiment, watch=Watch())
print("finished", flush=True)
"""


def start(out):
    """Start a process that goes on with the run."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(root=str(ROOT), out=str(out))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def main():
    """Print where each process was killed; exit with 1 if the ends differ."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("kills", nargs="?", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    from kerasinit._src.lottery.store.store import Store
    from kerasinit.lottery import digest
    from tests.lottery.test_unkillable import _content, _left

    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        began = time.perf_counter()
        start(whole).communicate()
        seconds = time.perf_counter() - began
        print(f"undisturbed: {seconds:.1f} s")
        for kill in range(given.kills):
            process = start(killed)
            if rng.random() < 0.8:
                process.stdout.readline()
            # A process begins with some seconds of imports, before its first line.
            time.sleep(rng.random() * max(1.0, seconds / 8))
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            if (killed / "experiment.json").exists():
                store = Store.read(killed)
                there = len(store.places()) - len(store.missing())
                inside = sum(1 for _ in killed.rglob("*.checkpoint.safetensors"))
            else:
                there = inside = 0
            print(f"kill {kill + 1:2d}: {there} finished, {inside} begun", flush=True)
        start(killed).communicate()
        digests = [digest(Store.read(run)) for run in (whole, killed)]
        print("digests:", *digests)
        same = _content(Store.read(killed)) == _content(Store.read(whole))
        same = same and digests[0] == digests[1]
        left = _left(killed)
    print("the same bits" if same and not left else f"DIFFERENT; left over: {left}")
    sys.exit(not same or bool(left))


if __name__ == "__main__":
    main()
