"""The list of a training's files with their digests, which detects any changed byte.

Every finished training has one, ``manifest.json``, written last. It has the SHA-256 of each
file beside it and of the run's ``experiment.json``, in a canonical form, and the digest of this
list itself, so that a changed list is not mistaken for changed files. Repairing the list after
a change does not get past `kerasinit.lottery.verify`, which compares the contents.
"""

import hashlib
import json
from pathlib import Path

from kerasinit._src.files import atomic, json_files

NAME = "manifest.json"
_FORMAT = "kerasinit-manifest-1"


def write(folder: Path, experiment: Path) -> None:
    """Write the digests of the files in a folder, and of the experiment they belong to."""
    names = sorted(path.name for path in folder.iterdir())
    content = _serialized(sha256(experiment), {name: sha256(folder / name) for name in names})
    atomic.write_new(folder / NAME, content)


def problems(folder: Path, experiment: Path) -> list[tuple[str, str]]:
    """Return what is wrong with the files of a training, as ``(file name, problem)``."""
    path = folder / NAME
    if not path.is_file():
        return [(NAME, "it is missing, so the other files cannot be checked")]
    try:
        content = json_files.read(path)
        text = path.read_bytes()
        listed, of_run = dict(content["files"]), content["experiment"]
        intact = _serialized(of_run, listed) == text
    except (ValueError, TypeError, KeyError):
        intact = False
    if not intact:
        return [(NAME, "it is damaged: it differs from what was written")]
    wrong = []
    if not experiment.is_file() or sha256(experiment) != of_run:
        wrong.append(
            (experiment.name, "its digest differs from the one that the trainings recorded")
        )
    present = {entry.name for entry in folder.iterdir()} - {NAME}
    wrong += [(name, "it is missing") for name in sorted(set(listed) - present)]
    wrong += [(name, "it does not belong here") for name in sorted(present - set(listed))]
    for name in sorted(present & set(listed)):
        if not (folder / name).is_file() or sha256(folder / name) != listed[name]:
            wrong.append((name, "its digest is not the one in the manifest: it was changed"))
    return wrong


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _serialized(experiment: str, listed: dict[str, str]) -> bytes:
    """Return the canonical bytes of a list."""
    content = {"format": _FORMAT, "experiment": experiment, "files": listed}
    itself = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**content, "list": itself}, indent=2, sort_keys=True) + "\n").encode()
