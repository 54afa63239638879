"""Write the golden files of this release: ``python -m tests.golden.write``.

What is there is left alone: that a file written today is read today proves nothing about those
that users have. A class that was added since has a file of its own. Names are recorded anew until
the release is listed in the changes; those of earlier releases have to be there.

The files are best written with the oldest Keras that ``pyproject.toml`` allows: a later one reads
them, and an earlier one does not read those of a later.
"""

import gzip
import io
import json
import os
import re
import sys
import tarfile
import tempfile
from pathlib import Path

import keras

import kerasinit
from tests.golden import files, names, recipes
from tests.golden.files import HERE
from tests.initializers.table import TABLE

RELEASE = ".".join(kerasinit.__version__.split(".")[:2])


def _packed(path: Path) -> tuple[str, bytes]:
    """Return the ending of a golden file and its bytes, without the times of writing."""
    if path.suffix in (".csv", ".toml", ".txt"):
        return "", path.read_bytes()
    if not path.is_dir():
        return ".gz", gzip.compress(path.read_bytes(), mtime=0)
    buffer = io.BytesIO()

    def timeless(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.add(path, path.name, filter=timeless)
    return ".tar.gz", gzip.compress(buffer.getvalue(), mtime=0)


def write_files(release: str, folder: Path) -> None:
    """Write the golden files of a release that are not there, from a folder to work in."""
    contents = files.expected(release)
    # Every release writes all initializers; those that were added after that have another file.
    known = files.classes_in(contents)
    number = sum(Path(name).match("keras/initializers*.keras") for name in contents)
    cases = [case for case in TABLE if case.name not in known]
    for name, write in recipes.makers(cases, f"-{number + 1}" if number else "").items():
        path = folder / name
        if name in contents:
            files.unpacked(release, name, folder)
            print(f"Kept {release}/{name}", file=sys.stderr)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        ending, packed = _packed(path)
        target = HERE / release / f"{name}{ending}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as file:  # never over one that is there
            file.write(packed)
        library, _, rest = name.partition("/")
        holds = files.read(path, library if rest else "")
        contents[name] = {"keras": keras.__version__, "holds": holds}
        text = json.dumps(contents, indent=1, sort_keys=True)
        (HERE / release / "expected.json").write_text(text + "\n", "utf-8")
        print(f"Wrote {release}/{name}", file=sys.stderr)


def write_names(release: str) -> None:
    """Record the public names of a release that is not out yet.

    Raises:
        ValueError: If it is out, or a name of an earlier release is gone or has changed.
    """
    changes = (HERE.parents[1] / "CHANGELOG.md").read_text("utf-8")
    path = HERE / release / "names.txt"
    if path.exists() and re.search(rf"^## {re.escape(release)}\.", changes, re.MULTILINE):
        print(f"Kept {path.name}: {release} is out", file=sys.stderr)
        return
    found = names.public_names()
    for earlier in HERE.glob("*/names.txt"):
        if earlier != path and (broken := names.broken(earlier.read_text().splitlines(), found)):
            raise ValueError("\n".join([f"Not as in {earlier.parent.name}:", *broken]))
    path.write_text("\n".join(found) + "\n", "utf-8")


def main() -> None:
    """Write what this release has not yet."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # so that no path of this machine gets into a file
        write_files(RELEASE, Path(folder))
    write_names(RELEASE)


if __name__ == "__main__":
    main()
