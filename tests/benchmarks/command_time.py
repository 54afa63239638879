"""How long the command line takes to answer where nothing is trained.

Run as ``python tests/benchmarks/command_time.py [RUN] [TIMES]``; without the folder of a finished
run, one of the digits is trained first, which takes minutes. The commands take turns, each in a
fresh process. Promised: 0.6 s for the help and wrong options, 1.5 s for reading a run of the
digits; exits with 1 if a median is longer. Processor time is printed beside it: on a busy machine
it says what a quiet one would take.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HELP, READ = 0.6, 1.5
COMMANDS = {
    "--help": HELP,
    "lottery --help": HELP,
    "lottery run --help": HELP,
    "diagnose --help": HELP,
    "compare --help": HELP,
    "lottery run --datset digits": HELP,
    "lottery reprot RUN": HELP,
    "lottery report RUN": READ,
    "lottery verdict RUN": READ,
    "lottery verify RUN": READ,
    "lottery digest RUN": READ,
}
PROGRAM = "from kerasinit._src.cli import main; main()"


def kerasinit(words):
    """Return the seconds that a command takes, and those of the processor."""
    begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    # A wrong option ends with 2.
    if ended.returncode != (2 if {"--datset", "reprot"} & set(words) else 0):
        raise SystemExit(f"kerasinit {' '.join(words)} ended with {ended.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return time.perf_counter() - begin, processor


def measured(run, times):
    """Return the seconds of each command, and those of the processor, a pair for each time."""
    typed = {command: command.replace("RUN", str(run)).split() for command in COMMANDS}
    for words in typed.values():
        kerasinit(words)  # compiles to .pyc and fills the disk cache
    seconds = {command: [] for command in COMMANDS}
    for _ in range(times):
        for command, words in typed.items():
            seconds[command].append(kerasinit(words))
    return seconds


def main():
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "run"
        if not run.exists():
            kerasinit(["lottery", "run", "--preset", "digits", "--out", str(run)])
        seconds = measured(run, times)
    missed = 0
    print(f"{'kerasinit ...':28}  median  processor  at most   (of {times})")
    for command, bar in COMMANDS.items():
        median, processor = (statistics.median(one) for one in zip(*seconds[command], strict=True))
        missed += median > bar
        print(f"{command:28} {median:6.2f} s {processor:8.2f} s {bar:6.1f} s")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
