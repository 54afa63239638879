"""Run every promise on the backends of Keras 3, and print a table.

Run as ``python -m tests.backends.check [BACKEND ...]``: those named, or all that are
installed. Exits with 1 if a promise is broken. TensorFlow, which is always installed,
runs first: the others must have its values.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
REFERENCE = "tensorflow"
# JAX has 64 bits only if it is told so, and then computes in them.
RUNS = {
    "tensorflow": ("tensorflow", {}),
    "jax": ("jax", {}),
    "jax, 64 bits": ("jax", {"JAX_ENABLE_X64": "1"}),
    "torch": ("torch", {}),
}
BACKENDS = tuple(dict.fromkeys(backend for backend, _ in RUNS.values()))


def installed(backend: str) -> bool:
    return importlib.util.find_spec(backend) is not None


def run(name: str, folder: Path) -> dict[str, list[str] | str]:
    """Run the promises in a new process; needs TensorFlow's run in the same folder.

    Args:
        name: One of RUNS.
        folder: Where each run has a folder of its own.

    Returns:
        For each promise the list of its failures, or a string, why it does not apply.
    """
    backend, variables = RUNS[name]
    own = folder / name
    own.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.promises", own, folder / REFERENCE],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend, **variables},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return {"starts": [done.stderr[-2000:]]}
    return json.loads((own / "found.json").read_text())


def main(asked: list[str]) -> int:
    console = Console(width=120)
    for backend in asked:
        if backend not in BACKENDS:
            console.print(f"Unknown backend {backend!r}; choices: {', '.join(BACKENDS)}.")
            return 2
        if not installed(backend):
            console.print(f"{backend} is not installed: pip install 'kerasinit[backends]'.")
            return 2
    wanted = asked or [backend for backend in BACKENDS if installed(backend)]
    names = [name for name, (backend, _) in RUNS.items() if backend in {*wanted, REFERENCE}]
    with tempfile.TemporaryDirectory() as folder:
        found = {name: run(name, Path(folder)) for name in names}

    table = Table("promise", *names)
    for promise in dict.fromkeys(promise for run in found.values() for promise in run):
        cells = []
        for name in names:
            outcome = found[name].get(promise, ["not run"])
            cells.append("not offered" if isinstance(outcome, str) else f"{len(outcome)} broken")
            if outcome == []:
                cells[-1] = "kept"
        table.add_row(promise, *cells)
    console.print(table)
    broken = 0
    for name in names:
        for promise, outcome in found[name].items():
            if isinstance(outcome, str):
                console.print(
                    f"{name}: {promise}: not offered: {outcome}.", markup=False, soft_wrap=True
                )
                continue
            broken += len(outcome)
            for failure in outcome[:10]:
                console.print(f"{name}: {promise}: {failure}", markup=False, soft_wrap=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
