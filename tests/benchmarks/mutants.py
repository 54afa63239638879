"""Plant faults in the package, one at a time, and see that the default test run finds each.

    python -m tests.benchmarks.mutants [--jobs 2] [--only PATTERN]

The faults are in `tests.benchmarks.mutations`: mistakes that an engineer could make, in what
results rest on. Each is planted in a copy of the working tree, never in the tree itself. The
test files that should find it run first; if they pass, the whole default run does. Before
that the same files must pass without a fault, else a failure would mean nothing.

Promised: a test of the default run fails for every mutant. Exits with 1 if one survives, if
the tests cannot be run with it, or if the code has moved so that it cannot be planted.
"""

import argparse
import concurrent.futures
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.mutations import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider")
# Much longer than the default run takes: a mutant that never ends is not found by a test.
LONGEST = 3600


@dataclass(frozen=True)
class Outcome:
    """How a test run ended.

    Attributes:
        state: ``"passed"``, ``"failed"``, or ``"broken"`` if the tests could not be run.
        test: The first test that failed.
        output: What pytest printed.
    """

    state: str
    test: str
    output: str


def copy_tree(folder: Path) -> None:
    """Copy the working tree, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run_tests(tree: Path, *arguments: str) -> Outcome:
    """Run pytest in a copy, on the package in that copy."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        # Bytecode is recognized by its source's size and time, in whole seconds.
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
    }
    try:
        done = subprocess.run(
            [*PYTEST, *arguments],
            cwd=tree,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return Outcome("broken", "", f"pytest had not ended after {LONGEST} seconds")
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode == 1 and failed:
        return Outcome("failed", failed[1], done.stdout)
    return Outcome("broken" if done.returncode else "passed", "", done.stdout)


def require_plantable(mutants: Sequence[Mutant]) -> None:
    """Exit unless the text that each mutant replaces occurs exactly once in its file."""
    wrong = [
        f"{mutant.name}: its text occurs {found} times in {mutant.file}"
        for mutant in mutants
        if (found := (ROOT / mutant.file).read_text().count(mutant.old)) != 1
    ]
    if wrong:
        sys.exit("\n".join(["The code has moved; each text must occur once.", *wrong]))


def try_mutant(mutant: Mutant, tree: Path) -> Outcome:
    """Plant a mutant in a copy, run the tests until one fails, and take it out again."""
    path = tree / mutant.file
    sound = path.read_text()
    path.write_text(sound.replace(mutant.old, mutant.new))
    try:
        outcome = run_tests(tree, "-n", "0", *mutant.tests)
        return run_tests(tree, "-n", "2") if outcome.state == "passed" else outcome
    finally:
        path.write_text(sound)


def main() -> None:
    """Print which test finds each mutant; exit with 1 if none finds one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tried at once")
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="regular expression for area, file or name"
    )
    given = parser.parse_args()
    chosen = [
        mutant
        for area, mutants in MUTANTS.items()
        for mutant in mutants
        if re.search(given.only, f"{area} {mutant.file} {mutant.name}")
    ]
    if not chosen:
        sys.exit(f"No mutant fits {given.only!r}.")
    require_plantable(chosen)

    with tempfile.TemporaryDirectory() as folder:
        trees: queue.Queue[Path] = queue.Queue()
        for job in range(given.jobs):
            copy_tree(Path(folder) / str(job))
            trees.put(Path(folder) / str(job))
        files = sorted({file for mutant in chosen for file in mutant.tests})
        began = time.perf_counter()
        sound = run_tests(Path(folder) / "0", "-n", str(given.jobs), *files)
        if sound.state != "passed":
            sys.exit(f"The tests do not pass without a mutant.\n{sound.output}")
        print(f"without a mutant {len(files)} files pass: {time.perf_counter() - began:.0f} s")

        def attempt(mutant: Mutant) -> tuple[Mutant, Outcome, float]:
            tree = trees.get()
            start = time.perf_counter()
            try:
                return mutant, try_mutant(mutant, tree), time.perf_counter() - start
            finally:
                trees.put(tree)

        wide = max(len(mutant.name) for mutant in chosen)
        print(f"{'mutant':{wide}}  seconds  killed by")
        killed = 0
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            tried = [pool.submit(attempt, mutant) for mutant in chosen]
            for future in concurrent.futures.as_completed(tried):
                mutant, outcome, seconds = future.result()
                killed += outcome.state == "failed"
                by = {"failed": outcome.test, "passed": "NOTHING: it survives"}
                print(
                    f"{mutant.name:{wide}}  {seconds:7.1f}  {by.get(outcome.state, 'BROKEN')}",
                    flush=True,
                )
                if outcome.state == "broken":
                    print(outcome.output)
    print(f"{killed} of {len(chosen)} killed in {time.perf_counter() - began:.0f} s")
    sys.exit(killed < len(chosen))


if __name__ == "__main__":
    main()
