"""The list of a training's files with their digests: any changed byte is found.

Every finished training has one, ``manifest.json``, written last. It names the SHA-256 of
each file beside it and of the run's ``experiment.json``, in one fixed spelling, and the
digest of this list itself, so that a changed list is not taken for changed files. Whoever
repairs the list after a change has to get past `kerasinit.lottery.verify`, which compares
the contents.
"""

import hashlib
import json
from pathlib import Path

from kerasinit._src.files import atomic, json_files

NAME = "manifest.json"
_FORMAT = "kerasinit-manifest-1"


def write(folder: Path, experiment: Path) -> None:
    """Write the list of the files in a folder, and of the experiment they belong to.

    Raises:
        FileExistsError: If there is a list already.
    """
    names = sorted(path.name for path in folder.iterdir())
    content = _spelled(sha256(experiment), {name: sha256(folder / name) for name in names})
    atomic.write_new(folder / NAME, content)


def problems(folder: Path, experiment: Path) -> list[tuple[str, str]]:
    """Return what is wrong with the files of a training, as ``(file's name, problem)``."""
    path = folder / NAME
    if not path.is_file():
        return [(NAME, "it is missing, so nothing says what the other files were")]
    try:
        content = json_files.read(path)
        text = path.read_bytes()
        listed, of_run = dict(content["files"]), content["experiment"]
        intact = _spelled(of_run, listed) == text
    except (ValueError, TypeError, KeyError):
        intact = False
    if not intact:
        return [(NAME, "it is damaged: it is not what was written")]
    found = []
    if not experiment.is_file() or sha256(experiment) != of_run:
        found.append((experiment.name, "its digest is not the one that trainings were made under"))
    there = {entry.name for entry in folder.iterdir()} - {NAME}
    found += [(name, "it is missing") for name in sorted(set(listed) - there)]
    found += [(name, "it does not belong here") for name in sorted(there - set(listed))]
    for name in sorted(there & set(listed)):
        if not (folder / name).is_file() or sha256(folder / name) != listed[name]:
            found.append((name, "its digest is not the one in the manifest: it was changed"))
    return found


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _spelled(experiment: str, listed: dict[str, str]) -> bytes:
    """Return the only spelling that a list may have."""
    content = {"format": _FORMAT, "experiment": experiment, "files": listed}
    itself = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**content, "list": itself}, indent=2, sort_keys=True) + "\n").encode()
